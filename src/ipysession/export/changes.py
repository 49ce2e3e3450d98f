"""Which objects a cell may change in place: a small judgement on the safe side.

Only what is provably a mere reading counts as one: showing a name, arithmetic, and calls to
the known readers in `readers`. Everything else that a call is given may have changed.
Nothing is run, and nothing in the user's code is trusted to be well-behaved but those.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from enum import Enum, auto

from ipysession.export import readers
from ipysession.export.known import Known, fresh_names, local_names, parameters

RANDOMNESS = "random numbers"
"""Stands among the names for the generators of random numbers."""

_MAX_CALLS = 6
"""Functions that call functions are followed so deep."""


class _Manner(Enum):
    """How a function of the user's treats its arguments."""

    READS = auto()
    ITERATES = auto()
    CHANGES = auto()


@dataclass(slots=True)
class Changes:
    """What a cell may have changed in place.

    ``names`` are the names of the objects. ``hidden`` holds in words what has no name: the
    state of a library. ``anything``: also whatever the cell can reach through its functions.
    """

    names: set[str] = field(default_factory=set)
    hidden: set[str] = field(default_factory=set)
    anything: bool = False

    def __bool__(self) -> bool:
        return bool(self.names or self.hidden or self.anything)


def changes(tree: ast.Module, known: Known, fresh: frozenset[str] = frozenset()) -> Changes:
    """What running ``tree`` may change in place. ``known`` learns what its statements made.

    ``fresh``: names that the cell binds only to new objects, before it uses them.
    """
    judge = _Judge(known, fresh=fresh)
    try:
        for statement in tree.body:
            judge.visit(statement)
            known.learn(statement)
    except RecursionError:
        judge.found.anything = True
    return judge.found


class _Judge(ast.NodeVisitor):
    """``function`` is set where a function's body is judged; ``busy`` holds its callers."""

    def __init__(
        self,
        known: Known,
        function: ast.FunctionDef | None = None,
        busy: frozenset[str] = frozenset(),
        fresh: frozenset[str] = frozenset(),
    ) -> None:
        self.known = known
        self.found = Changes()
        self.loops_over_arguments = False
        self._busy = busy
        self._params = frozenset[str]() if function is None else parameters(function)
        self._locals = frozenset[str]() if function is None else local_names(function)
        self._fresh = fresh if function is None else fresh_names(function)

    # -- what is touched ---------------------------------------------------------------

    def _touch(self, node: ast.expr) -> None:
        """The object that ``node`` gives may change in place."""
        depth = 0
        while isinstance(node, (ast.Attribute, ast.Subscript, ast.Starred, ast.Await)):
            if isinstance(node, ast.Subscript):
                self.visit(node.slice)
            node = node.value
            depth += 1
        if isinstance(node, ast.Name):
            self.visit(node)
            if node.id in self._fresh and depth <= 1:
                return  # the function's own new list; what is in it is another matter
            dotted = self.known.modules.get(node.id)
            if dotted is None:
                self.found.names.add(node.id)
            else:
                self.found.hidden.add(f"the state of {dotted}")
        elif isinstance(node, ast.Call):
            if not self._makes_something_new(node.func):
                self._touch(node.func)
            self._touch_arguments(node)
        else:
            self._touch_names(node)

    def _makes_something_new(self, function: ast.expr) -> bool:
        dotted = self.known.dotted(function)
        if dotted is None:
            return False
        return dotted.rpartition(".")[2][:1].isupper() or self._is_reading(dotted)

    def _touch_names(self, node: ast.AST) -> None:
        """Every object that is named in ``node`` may change, libraries apart."""
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name):
                if inner.id not in self.known.modules and inner.id not in self._fresh:
                    self.found.names.add(inner.id)
            elif isinstance(inner, ast.Call):
                self.visit(inner)

    def _touch_arguments(self, call: ast.Call) -> None:
        for argument in (*call.args, *(word.value for word in call.keywords)):
            if not isinstance(argument, ast.Constant):
                self._touch_names(argument)

    def _iterate(self, node: ast.expr) -> None:
        """``node`` is looped over: that uses an iterator up, and only reads a container."""
        self.visit(node)
        if not isinstance(node, ast.Name) or node.id in self._fresh:
            return
        if node.id in self._params:
            self.loops_over_arguments = True
        elif node.id in self._locals or not self.known.is_container(node):
            self._touch(node)

    def visit_Name(self, node: ast.Name) -> None:
        if node.id == "get_ipython":  # magics, translated
            self.found.hidden.add("IPython's own state")

    # -- statements --------------------------------------------------------------------

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for decorator in node.decorator_list:
            dotted = self.known.dotted(decorator)
            if dotted is None or not self._is_reading(dotted):
                self._touch(decorator)
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                self.visit(default)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 - ast calls it so

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for decorator in node.decorator_list:
            dotted = self.known.dotted(decorator)
            if dotted is None or not self._is_reading(dotted):
                self._touch(decorator)
        for base in (*node.bases, *(word.value for word in node.keywords)):
            self.visit(base)
        for statement in node.body:
            self.visit(statement)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.visit(node.body)  # as if it were called at once

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self._assign(target)

    def _assign(self, target: ast.expr) -> None:
        if isinstance(target, (ast.Attribute, ast.Subscript)):
            self._touch(target)
        elif isinstance(target, (ast.Tuple, ast.List)):
            for element in target.elts:
                self._assign(element)
        elif isinstance(target, ast.Starred):
            self._assign(target.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)
        self._assign(node.target)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit(node.value)
        self._touch(node.target)  # `x += [1]` changes the list that x names

    def visit_Delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            self._assign(target)

    def visit_Global(self, _node: ast.Global) -> None:
        self.found.anything = True

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self._iterate(node.iter)
        self._assign(node.target)
        for statement in (*node.body, *node.orelse):
            self.visit(statement)

    visit_AsyncFor = visit_For  # noqa: N815

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self._iterate(node.iter)
        for condition in node.ifs:
            self.visit(condition)

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            self.visit(item.context_expr)
            if not isinstance(item.context_expr, ast.Call):
                self._touch(item.context_expr)
            if item.optional_vars is not None:
                self._assign(item.optional_vars)
        for statement in node.body:
            self.visit(statement)

    visit_AsyncWith = visit_With  # noqa: N815

    def visit_Await(self, node: ast.Await) -> None:
        self.visit(node.value)
        if not isinstance(node.value, ast.Call):
            self._touch(node.value)

    # -- calls -------------------------------------------------------------------------

    def visit_Call(self, node: ast.Call) -> None:
        function = node.func
        dotted = self.known.dotted(function)
        arguments = [*node.args, *(word.value for word in node.keywords)]
        if dotted is not None:
            self._library_call(dotted, node)
        elif isinstance(function, ast.Name) and function.id in self._params | self._locals:
            self._unknown_call(node)
        elif isinstance(function, ast.Name) and function.id not in self.known.bound:
            if function.id in readers.READING_BUILTINS:
                self._hand_over(arguments)
            elif function.id in readers.ITERATING_BUILTINS:
                self._hand_over(arguments, calls=function.id in readers.CALLING)
                for argument in arguments:
                    self._iterate(argument)
            else:
                self._unknown_call(node)
        elif isinstance(function, ast.Name) and function.id in self.known.functions:
            self._user_call(self.known.functions[function.id], node)
        elif isinstance(function, ast.Attribute) and self._reads_only(function, node):
            self.visit(function.value)
            self._hand_over(arguments, calls=function.attr in readers.CALLING)
        else:
            self._unknown_call(node)

    def _unknown_call(self, node: ast.Call) -> None:
        match node.func:
            case ast.Attribute(value=ast.Name(name)) if name in self._fresh:
                self._hand_over([*node.args, *(word.value for word in node.keywords)])
                return  # `found.append(x)` on a list of its own
        self._touch(node.func)
        self._touch_arguments(node)
        self.found.anything = True

    def _hand_over(self, arguments: list[ast.expr], *, calls: bool = False) -> None:
        """Arguments of a reader are read, and functions among them may be called. ``calls``:
        any argument may be called, also a bound method.
        """
        for argument in arguments:
            self.visit(argument)
            self._calls_back(argument)
            if calls and not isinstance(argument, ast.Lambda):
                self._calls_argument(argument)

    def _calls_back(self, argument: ast.expr) -> None:
        if not isinstance(argument, ast.Name):
            return
        function = self.known.functions.get(argument.id)
        if function is not None and self._manner(function) is _Manner.CHANGES:
            self.found.anything = True

    def _calls_argument(self, argument: ast.expr) -> None:
        if isinstance(argument, ast.Attribute) and self.known.dotted(argument) is None:
            self._touch(argument)
        elif isinstance(argument, ast.Name) and not (
            argument.id in self.known.functions
            or argument.id in self.known.modules
            or argument.id in self.known.containers
            or argument.id not in self.known.bound | self._params | self._locals
        ):
            self._touch(argument)
            self.found.anything = True

    def _reads_only(self, function: ast.Attribute, call: ast.Call) -> bool:
        words = {word.arg for word in call.keywords}
        if words & {"inplace", "out", "buf", None}:
            return False
        if function.attr in readers.READING_METHODS:
            return True
        root = function.value
        return (
            function.attr in readers.DRAWING_METHODS
            and "ax" not in words
            and self.known.is_container(root)
        )

    def _is_reading(self, dotted: str) -> bool:
        return (
            readers.READING_MODULES.match(dotted) is not None
            and readers.CHANGING_FUNCTIONS.fullmatch(dotted) is None
        )

    def _library_call(self, dotted: str, node: ast.Call) -> None:
        last = dotted.rpartition(".")[2]
        words = {word.arg: word.value for word in node.keywords}
        if readers.RANDOM_WORDS.search(dotted) or last == "seed":
            if not isinstance(words.get("random_state"), ast.Constant):
                self.found.hidden.add(RANDOMNESS)
        elif readers.SETTING_WORDS.match(last) and not self._is_reading(dotted):
            self.found.hidden.add(f"the state of {dotted}")
        arguments = [*node.args, *words.values()]
        if (self._is_reading(dotted) or last[:1].isupper()) and not words.keys() & {"out", None}:
            self._hand_over(arguments)
            if readers.CONSUMING_FUNCTIONS.fullmatch(dotted):
                for argument in arguments:
                    self._iterate(argument)
        else:
            self._touch_arguments(node)
            for argument in arguments:
                self._calls_back(argument)

    def _user_call(self, function: ast.FunctionDef, node: ast.Call) -> None:
        arguments = [*node.args, *(word.value for word in node.keywords)]
        manner = self._manner(function)
        if manner is _Manner.READS:
            self._hand_over(arguments)
        elif manner is _Manner.ITERATES:
            for argument in arguments:
                self._iterate(argument)
        else:
            self._unknown_call(node)

    def _manner(self, function: ast.FunctionDef) -> _Manner:
        if function.name in self._busy:
            return _Manner.READS  # what it does otherwise is judged where it was called first
        if len(self._busy) >= _MAX_CALLS:
            return _Manner.CHANGES
        judge = _Judge(self.known, function, self._busy | {function.name})
        for statement in function.body:
            judge.visit(statement)
        self.found.hidden |= judge.found.hidden
        if judge.found.names or judge.found.anything:
            return _Manner.CHANGES
        return _Manner.ITERATES if judge.loops_over_arguments else _Manner.READS
