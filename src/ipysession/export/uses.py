"""Which names a step reads before it binds them itself, and which it surely binds.

`ipysession.lineage` says which names a cell reads and binds; this adds the order inside the
cell, so that ``x = 1; print(x)`` does not count as a use of an earlier ``x``. What is not
certain counts as a use.
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass

from ipysession.lineage import CellNames, cell_names

_SWALLOWS = re.compile(r"suppress|ignore|raises|catch(?!_warnings)", re.IGNORECASE)
"""Context managers that may end their block early without an error."""


@dataclass(frozen=True, slots=True)
class Uses:
    """The names of one cell, with respect to what ran before it.

    ``reads``: used before the cell itself bound them. ``binds``: surely bound (or deleted)
    when the cell ends without an error. ``may_bind``: all names that the text binds.
    ``in_loops``: those that it binds in loops only, which may not have run at all.
    ``early``: bound before the cell called anything.
    ``mentions``: every name that the text loads. ``unbounded``: it may reach any name.
    """

    reads: frozenset[str]
    binds: frozenset[str]
    may_bind: frozenset[str]
    in_loops: frozenset[str]
    early: frozenset[str]
    mentions: frozenset[str]
    unbounded: bool


def parse(python: str) -> ast.Module | None:
    """The syntax tree of a cell with known magics opened up; None where it does not parse."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `"\d"` in the user's code is the user's
            tree = ast.parse(python)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    body: list[ast.stmt] = []
    for statement in tree.body:
        inner = _inside_magic(statement)
        body.extend([statement] if inner is None else inner)
    tree.body = body
    return tree


def _inside_magic(statement: ast.stmt) -> list[ast.stmt] | None:
    """The statements that ``%time``, ``%%time`` and ``%%capture`` run."""
    match statement:
        case ast.Expr(
            ast.Call(
                func=ast.Attribute(value=ast.Call(func=ast.Name("get_ipython")), attr=runner),
                args=[ast.Constant(str(name)), *rest],
            )
        ) if runner in {"run_line_magic", "run_cell_magic"}:
            code = rest[-1].value if rest and isinstance(rest[-1], ast.Constant) else None
            plain = name == "time" or (name == "capture" and runner == "run_cell_magic")
            if plain and isinstance(code, str) and not code.lstrip().startswith("-"):
                inner = parse(code)
                return None if inner is None else inner.body
    return None


def uses(tree: ast.Module) -> Uses:
    """What the cell's code says about names, in the order in which it runs."""
    order = _Order()
    try:
        whole = _names(tree)
        bound = order.block(tree.body, frozenset())
    except (RecursionError, MemoryError):
        nothing: frozenset[str] = frozenset()
        return Uses(nothing, nothing, nothing, nothing, nothing, nothing, unbounded=True)
    reads = order.reads | (order.deferred - bound)
    return Uses(
        reads=frozenset(reads & whole.reads),
        binds=bound,
        may_bind=whole.bound | bound,
        in_loops=frozenset(order.in_loops - order.out_of_loops - bound),
        early=frozenset(order.early),
        mentions=whole.reads,
        unbounded=whole.unbounded,
    )


def _names(node: ast.AST) -> CellNames:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cell_names(ast.unparse(node))


def _targets(nodes: list[ast.expr]) -> frozenset[str]:
    """The plain names among targets of an assignment."""
    names: set[str] = set()
    todo = list(nodes)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, (ast.Tuple, ast.List)):
            todo.extend(node.elts)
        elif isinstance(node, ast.Starred):
            todo.append(node.value)
    return frozenset(names)


_CALLS = (ast.Call, ast.Await, ast.With, ast.AsyncWith, ast.Yield, ast.YieldFrom)


class _Order:
    """Walks the statements in the order in which they run; see `Uses` for what it collects.

    A function's body counts when something is called after its definition.
    """

    def __init__(self) -> None:
        self.reads: set[str] = set()
        self.early: set[str] = set()
        self.deferred: set[str] = set()
        self.in_loops: set[str] = set()
        self.out_of_loops: set[str] = set()
        self._depth = 0
        self._called = False

    def block(self, statements: list[ast.stmt], bound: frozenset[str]) -> frozenset[str]:
        """Take in the statements; returns what is surely bound after them."""
        for statement in statements:
            bound = self._statement(statement, bound)
        return bound

    def _statement(self, node: ast.stmt, bound: frozenset[str]) -> frozenset[str]:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                return self._function(node, bound)
            case ast.ClassDef():
                return self._class(node, bound)
            case ast.If():
                self._load(node.test, bound)
                return self.block(node.body, bound) & self.block(node.orelse, bound)
            case ast.While():
                self._load(node.test, bound)
                self._loop(node.body, bound)
                self.block(node.orelse, bound)
                return bound
            case ast.For() | ast.AsyncFor():
                self._load(node.iter, bound)
                self._load_target(node.target, bound)
                targets = _targets([node.target])
                self.in_loops |= targets
                self._loop(node.body, bound | targets)
                self.block(node.orelse, bound)
                return bound
            case ast.With() | ast.AsyncWith():
                return self._with(node, bound)
            case ast.Try() | ast.TryStar():
                return self._try(node, bound)
            case _:
                return self._leaf(node, bound)

    def _loop(self, statements: list[ast.stmt], bound: frozenset[str]) -> None:
        self._depth += 1
        self.block(statements, bound)
        self._depth -= 1

    def _load(self, node: ast.AST | None, bound: frozenset[str]) -> None:
        if node is None:
            return
        self._note_call(node, bound)
        self.reads |= _names(node).reads - bound

    def _load_target(self, target: ast.expr, bound: frozenset[str]) -> None:
        """In ``for x[i], y in …`` the target reads ``x`` and ``i``."""
        for node in ast.walk(target):
            if isinstance(node, (ast.Attribute, ast.Subscript)):
                self._load(node, bound)

    def _note_call(self, node: ast.AST, bound: frozenset[str]) -> None:
        if any(isinstance(inner, _CALLS) for inner in ast.walk(node)):
            self._called = True
            self.reads |= self.deferred - bound
            self.deferred.clear()

    def _bind(self, names: frozenset[str], bound: frozenset[str]) -> frozenset[str]:
        (self.in_loops if self._depth else self.out_of_loops).update(names)
        if not self._called:
            self.early |= names
        return bound | names

    def _leaf(self, node: ast.stmt, bound: frozenset[str]) -> frozenset[str]:
        self._load(node, bound)
        match node:
            case ast.Assign():
                return self._bind(_targets(node.targets), bound)
            case ast.AugAssign() | ast.AnnAssign() if node.value is not None:
                return self._bind(_targets([node.target]), bound)
            case ast.Import() | ast.ImportFrom():
                names = {alias.asname or alias.name.partition(".")[0] for alias in node.names}
                return self._bind(frozenset(names), bound)
            case ast.Delete():
                gone = _targets(node.targets)
                self.reads |= gone - bound
                return bound | gone  # a later use of it is an error of the cell's own
            case ast.Expr() if "get_ipython" in _names_text(node):
                return self._bind(_names(node).bound, bound)
        return bound

    def _function(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef, bound: frozenset[str]
    ) -> frozenset[str]:
        for part in (*node.decorator_list, *node.args.defaults, *node.args.kw_defaults):
            self._load(part, bound)
        self.deferred |= _names(node).reads - {node.name}
        if node.decorator_list:
            self._called = True
        return self._bind(frozenset({node.name}), bound)

    def _class(self, node: ast.ClassDef, bound: frozenset[str]) -> frozenset[str]:
        for part in (*node.decorator_list, *node.bases, *(word.value for word in node.keywords)):
            self._load(part, bound)
        names = _names(node).reads - {node.name}
        now: set[str] = set()
        for statement in node.body:
            if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
                self._note_call(statement, bound)
                now |= _names(statement).reads
            else:
                for decorator in statement.decorator_list:
                    now |= _names(decorator).reads
        self.reads |= (names & now) - bound
        self.deferred |= names
        return self._bind(frozenset({node.name}), bound)

    def _with(self, node: ast.With | ast.AsyncWith, bound: frozenset[str]) -> frozenset[str]:
        self._called = True
        before = bound
        swallows = False
        for item in node.items:
            self._load(item.context_expr, bound)
            swallows = swallows or bool(_SWALLOWS.search(ast.unparse(item.context_expr)))
            if item.optional_vars is not None:
                self._load_target(item.optional_vars, bound)
                bound = self._bind(_targets([item.optional_vars]), bound)
        after = self.block(node.body, bound)
        return before if swallows else after

    def _try(self, node: ast.Try | ast.TryStar, bound: frozenset[str]) -> frozenset[str]:
        after = self.block(node.orelse, self.block(node.body, bound))
        for handler in node.handlers:
            self._load(handler.type, bound)
            named = frozenset({handler.name} if handler.name else ())
            after &= self.block(handler.body, bound | named) - named
        return after | (self.block(node.finalbody, bound) - bound)


def _names_text(node: ast.AST) -> frozenset[str]:
    return frozenset(inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name))
