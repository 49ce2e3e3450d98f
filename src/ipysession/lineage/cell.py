"""What a cell's code says before it runs: its flow, the parts that it uses, magics translated.

A magic is not skipped: the Python that it runs is put in its place, a shell command becomes a
reading of the names that it mentions, and what it sets is told as hidden state. One that is not
known reaches everything. The user's own code is never changed: only what we look at is.
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from ipysession.lineage.flow import Flow, cell_flow
from ipysession.lineage.names import (
    CODE_CELL_MAGICS,
    CODE_LINE_MAGICS,
    HARMLESS_LINE_MAGICS,
    OPTION_NAME,
    TEXT_CELL_MAGICS,
    shell_reads,
    without_options,
)
from ipysession.lineage.things import attribute, item, of_kind

if TYPE_CHECKING:
    from collections.abc import Callable

_NAMESPACES = frozenset({"globals", "locals", "vars"})
_TO_TRANSLATE = re.compile(r"get_ipython|\b(?:exec|eval|globals|locals|vars|query|In|Out)\b")
_HAS_PARTS = re.compile(r"\w\s*[\[.]|\b(?:set|del)attr\b")
_MENTIONED = re.compile(r"@([A-Za-z_]\w*)")
_EVERYTHING = frozenset({"exec", "eval", "globals", "locals", "vars", "dir", "get_ipython"})
_SETTINGS = {
    "alias": "aliases", "alias_magic": "aliases", "unalias": "aliases", "rehashx": "aliases",
    "load_ext": "magics", "reload_ext": "magics", "unload_ext": "magics",
    "precision": "display", "config": "config", "matplotlib": "matplotlib", "pylab": "matplotlib",
    "autocall": "transforms", "automagic": "transforms", "autoreload": "autoreload",
    "xmode": "tracebacks", "pip": "packages", "conda": "packages", "uv": "packages",
    "mamba": "packages", "micromamba": "packages", "logstart": "log", "colors": "display",
    "pprint": "display",
}  # fmt: skip
"""Magics that set something of IPython's, and what."""


@dataclass(slots=True)
class Cell:
    """What a cell's code says."""

    flow: Flow = field(default_factory=Flow)
    parts: dict[str, tuple[tuple[str, bool], ...]] = field(default_factory=dict)
    """Of names that it uses in parts only: each part, and whether it is only written to."""
    mentions: frozenset[str] = frozenset()
    """Names that it reads in ways that the flow does not show: ``$name`` in a command."""
    sets: frozenset[str] = frozenset()
    """Hidden state that its magics set."""
    uses_settings: frozenset[str] = frozenset()
    """Hidden state that its magics rest on."""
    commands: tuple[str, ...] = ()
    """What it gives to shells and to %run."""
    patched: frozenset[str] = frozenset()
    """Names whose attributes it sets."""
    calls_first: tuple[str, ...] = ()
    """The calls of its top level, as written, in order, as far as they are unconditional."""
    stars: bool = False
    outputs: frozenset[int | None] = frozenset()
    """The numbers of the outputs that it uses: ``Out[3]``; None for one that cannot be told."""
    unbounded: bool = False
    """It may reach any name."""
    magics: bool = False
    """It asks IPython to do something."""


def nothing(text: str) -> str:
    """Magics inside magics, where nobody knows how to translate them."""
    return text


@lru_cache(maxsize=512)
def read_cell(python: str, expand: Callable[[str], str] = nothing) -> Cell:
    """What a cell says, from its transformed source. ``expand`` transforms what a magic runs.

    A source that does not compile says nothing: it did not run.
    """
    cell = Cell(magics="get_ipython" in python)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `"\d"` in the user's code is the user's
            translates = _TO_TRANSLATE.search(python) is not None
            has_parts = _HAS_PARTS.search(python) is not None or "import" in python
            said: str | ast.Module = python
            if translates or has_parts:
                said = tree = ast.parse(python)
                if translates:
                    said = tree = _Translation(cell, expand).translated(tree)
                if has_parts:
                    _Parts(cell).take(tree)
            code = compile(
                said, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
            )
            cell.flow = cell_flow(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Cell()
    cell.unbounded = cell.unbounded or bool(cell.flow.reads & _EVERYTHING)
    return cell


class _Translation(ast.NodeTransformer):
    """Puts Python in the place of magics, and names in the place of ``globals()['x']``."""

    def __init__(self, cell: Cell, expand: Callable[[str], str]) -> None:
        self._cell = cell
        self._expand = expand

    def translated(self, tree: ast.Module) -> ast.Module:
        tree = self.visit(tree)
        return ast.fix_missing_locations(tree)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | list[ast.stmt]:
        if isinstance(node.value, ast.Call):
            inner = self._statements(node.value)
            if inner is not None:
                return inner
        return self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        key = node.slice
        if isinstance(key, ast.Constant):
            if isinstance(node.value, ast.Name) and node.value.id in {"Out", "_oh"}:
                number = key.value if isinstance(key.value, int) else None
                self._cell.outputs |= {number}
                return ast.copy_location(ast.Constant(None), node)
            if (
                isinstance(key.value, str)
                and key.value.isidentifier()
                and _is_namespace(node.value)
            ):
                return ast.copy_location(ast.Name(key.value, node.ctx), node)
        return self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        name = node.left.value if isinstance(node.left, ast.Constant) else None
        if (
            len(node.ops) == 1
            and isinstance(node.ops[0], (ast.In, ast.NotIn))
            and isinstance(name, str)
            and name.isidentifier()
            and _is_namespace(node.comparators[0])
        ):
            return ast.copy_location(ast.Name(name, ast.Load()), node)
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in {"Out", "_oh", "In", "_ih", "_dh"} and isinstance(node.ctx, ast.Load):
            self._cell.outputs |= {None}
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr in {"query", "eval"}:
            for argument in node.args:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    self._cell.mentions |= frozenset(_MENTIONED.findall(argument.value))
        if isinstance(function, ast.Name) and function.id == "eval" and len(node.args) == 1:
            inner = _parsed(node.args[0], "eval")
            if isinstance(inner, ast.Expression):
                return self.visit(inner.body)  # type: ignore[no-any-return]
        if _is_shell(function):
            return self._magic(node)
        return self.generic_visit(node)

    def _statements(self, call: ast.Call) -> list[ast.stmt] | None:
        """The statements that a call stands for: of ``exec("…")``, or of a magic."""
        if isinstance(call.func, ast.Name) and call.func.id == "exec" and len(call.args) == 1:
            inner = _parsed(call.args[0], "exec")
            return None if not isinstance(inner, ast.Module) else self._inside(inner)
        if not _is_shell(call.func):
            return None
        assert isinstance(call.func, ast.Attribute)  # noqa: S101 - that is what makes it a shell's
        words = _words(call)
        if call.func.attr == "run_line_magic" and len(words) == 2:
            return self._line_magic(*words)
        if call.func.attr == "run_cell_magic" and len(words) == 3:
            return self._cell_magic(*words)
        return None

    def _inside(self, tree: ast.Module) -> list[ast.stmt]:
        body = self.visit(tree).body
        return body or [ast.Pass()]

    def _code(self, source: str) -> list[ast.stmt]:
        """What a magic runs, as typed."""
        try:
            return self._inside(ast.parse(self._expand(source)))
        except (SyntaxError, ValueError):
            self._cell.unbounded = True
            return [ast.Pass()]

    def _line_magic(self, name: str, line: str) -> list[ast.stmt] | None:
        if name in CODE_LINE_MAGICS:
            return self._code(without_options(line))
        return None

    def _cell_magic(self, name: str, line: str, body: str) -> list[ast.stmt] | None:
        if name in CODE_CELL_MAGICS:
            statements = self._code(body)
            if name == "timeit":
                statements = [*self._code(without_options(line)), *statements]
            captured = without_options(line).split()[:1] if name == "capture" else []
            return [*statements, *map(_bind, captured)]
        if name in TEXT_CELL_MAGICS:
            self._cell.commands += (f"{line}\n{body}",)
            reads = ast.Expr(_names(shell_reads(f"{line} {body}")))
            return [reads, *map(_bind, OPTION_NAME.findall(line))]
        return None

    def _magic(self, call: ast.Call) -> ast.expr:
        """What stands in the place of a magic whose value is used, or that runs no code."""
        assert isinstance(call.func, ast.Attribute)  # noqa: S101 - that is what makes it a shell's
        words = _words(call)
        kind = call.func.attr
        if kind in {"system", "getoutput", "getoutput_pexpect"}:
            self._cell.commands += (" ".join(words),)
            return _names(shell_reads(" ".join(words)))
        if kind == "run_line_magic" and len(words) == 2:
            name, line = words
            if name in CODE_LINE_MAGICS:
                for statement in self._code(without_options(line)):
                    if isinstance(statement, ast.Expr):
                        return statement.value
                self._cell.unbounded = True
            elif name == "run" and not re.search(r"(^|\s)-\w*i", line):
                self._cell.commands += (line,)
            elif name in _SETTINGS and line.strip():
                self._cell.sets |= {of_kind("ipython", _SETTINGS[name])}
            elif name not in HARMLESS_LINE_MAGICS:
                self._unknown(name)
            return _names(shell_reads(line))
        if kind in {"run_line_magic", "run_cell_magic"} and words:
            self._unknown(words[0])
        elif kind == "set_next_input":
            return _names(frozenset())
        else:
            self._cell.unbounded = True
        return _names(frozenset())

    def _unknown(self, name: str) -> None:
        self._cell.unbounded = True
        self._cell.uses_settings |= {
            of_kind("ipython", "magics"), of_kind("ipython", "aliases"), of_kind("magic", name)
        }  # fmt: skip


def _is_shell(function: ast.expr) -> bool:
    """Is it ``get_ipython().something``?"""
    return (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Call)
        and isinstance(function.value.func, ast.Name)
        and function.value.func.id == "get_ipython"
    )


def _is_namespace(node: ast.expr) -> bool:
    """Is it ``globals()``, or IPython's name for the same?"""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id in _NAMESPACES and not node.args
    return isinstance(node, ast.Attribute) and node.attr == "user_ns" and _is_shell(node)


def _words(call: ast.Call) -> list[str]:
    return [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]


def _parsed(node: ast.expr, mode: str) -> ast.AST | None:
    if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        return None
    try:
        return ast.parse(node.value.strip() if mode == "eval" else node.value, mode=mode)
    except SyntaxError:
        return None


def _names(names: frozenset[str]) -> ast.Tuple:
    return ast.Tuple([ast.Name(name, ast.Load()) for name in sorted(names)], ast.Load())


def _bind(name: str) -> ast.stmt:
    return ast.Assign([ast.Name(name, ast.Store())], ast.Constant(None))


_SCOPES = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.ListComp, ast.SetComp,
    ast.DictComp, ast.GeneratorExp,
)  # fmt: skip


class _Parts:
    """Finds the names that a cell uses in parts only, ``d['a']`` or ``o.x``, and the rest that
    only the tree shows.
    """

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._parts: dict[str, list[tuple[str, bool]]] = {}
        self._whole: set[str] = set()
        self._patched: set[str] = set()

    def take(self, tree: ast.Module) -> None:
        todo: list[ast.AST] = list(tree.body)
        while todo:
            node = todo.pop()
            if isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(
                node.value, ast.Name
            ):
                self._part(node, node.value.id)
                if isinstance(node, ast.Subscript):
                    todo.append(node.slice)
                continue
            if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
                self._patch(node)
            if isinstance(node, ast.Name):
                self._whole.add(node.id)
            elif isinstance(node, _SCOPES):
                self._whole.update(
                    inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)
                )
                if not isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp)):
                    continue
            elif isinstance(node, ast.AugAssign):
                target = node.target
                if isinstance(target, (ast.Attribute, ast.Subscript)) and isinstance(
                    target.value, ast.Name
                ):
                    self._part(target, target.value.id, read=True)
            elif isinstance(node, ast.Call):
                self._set_by_call(node)
            elif isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
                self._cell.stars = True
            todo.extend(ast.iter_child_nodes(node))
        self._cell.parts = {
            name: tuple(dict.fromkeys(parts))
            for name, parts in self._parts.items()
            if name not in self._whole
        }
        self._cell.patched = frozenset(self._patched)
        self._cell.calls_first = tuple(_calls(tree))

    def _part(self, node: ast.Attribute | ast.Subscript, name: str, *, read: bool = False) -> None:
        stored = isinstance(node.ctx, ast.Store) and not read
        if isinstance(node, ast.Attribute):
            self._parts.setdefault(name, []).append((attribute("", node.attr), stored))
            if not isinstance(node.ctx, ast.Load):
                self._patched.add(name)
        elif isinstance(node.slice, ast.Constant) and type(node.slice.value) in (str, int):
            self._parts.setdefault(name, []).append((item("", node.slice.value), stored))
        else:
            self._whole.add(name)

    def _set_by_call(self, call: ast.Call) -> None:
        if isinstance(call.func, ast.Name) and call.func.id in {"setattr", "delattr"}:
            root = call.args[0] if call.args else None
            while isinstance(root, ast.Attribute):
                root = root.value
            if isinstance(root, ast.Name):
                self._patched.add(root.id)

    def _patch(self, node: ast.Attribute) -> None:
        root: ast.expr = node
        while isinstance(root, ast.Attribute):
            root = root.value
        if isinstance(root, ast.Name):
            self._patched.add(root.id)


def _calls(tree: ast.Module) -> list[str]:
    found: list[str] = []
    for statement in tree.body:
        if not isinstance(
            statement, (ast.Expr, ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom)
        ):
            break
        found += [_dotted(node.func) for node in ast.walk(statement) if isinstance(node, ast.Call)]
    return found


def _dotted(node: ast.expr) -> str:
    """``np.random.seed`` as written; ``().seed`` where it is not a name that is asked."""
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    names.append(node.id if isinstance(node, ast.Name) else "()")
    return ".".join(reversed(names))
