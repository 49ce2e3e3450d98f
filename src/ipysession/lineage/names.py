"""The names that a cell binds, reads and deletes, by Python's own symbol tables.

Never by hand-written scope rules: comprehensions, walrus, match, lambdas, ``global`` and
augmented assignment are right by construction. Magics are looked into where their meaning
is known; one that is not known reaches everything.
"""

from __future__ import annotations

import ast
import re
import symtable
import sys
from dataclasses import dataclass
from functools import lru_cache

_UNBOUNDED_NAMES = frozenset({"exec", "eval", "globals", "locals", "vars", "__import__"})
"""Builtins through which a cell can reach any name without saying it."""

HARMLESS_LINE_MAGICS = frozenset(
    {
        "alias", "autoreload", "autosave", "cd", "colors", "conda", "config", "dhist", "dirs",
        "env", "hist", "history", "load_ext", "logstart", "logstop", "lsmagic", "magic",
        "matplotlib", "notebook", "pdoc", "pinfo", "pinfo2", "pip", "popd", "precision",
        "pushd", "pwd", "quickref", "reload_ext", "session", "set_env", "sx", "system",
        "unload_ext", "uv", "who", "who_ls", "whos", "xmode",
    }
)  # fmt: skip
"""Line magics that neither bind nor change the user's names."""

CODE_LINE_MAGICS = frozenset({"time", "timeit", "prun", "memit", "mprun", "lprun"})
CODE_CELL_MAGICS = frozenset({"time", "timeit", "capture", "prun", "memit"})
TEXT_CELL_MAGICS = frozenset(
    {
        "HTML", "SVG", "bash", "cmd", "file", "html", "javascript", "js", "latex", "markdown",
        "perl", "ruby", "script", "sh", "svg", "sx", "system", "writefile", "!",
    }
)  # fmt: skip
"""Cell magics whose body is not Python; ``--out NAME`` binds, ``$name`` reads."""

_SHELL_VARIABLE = re.compile(r"(?<![\\$])[${]\{?([A-Za-z_]\w*)")
_INTERNAL = re.compile(
    r"_+|_i+|_i\d+|_oh|_dh|_ih|In|Out|_exit_code|__.*__|exit|quit|get_ipython|open"
)
_OUTPUT = re.compile(r"_\d+")
_BEYOND_TABLES = re.compile(r"\bdel\b|\bimport[\s\\]*\*|[-+*/%@&|^<>]=")
"""Where none of these stands and no magic is called, symbol tables say everything, and the
tree need not be made: it would cost a tiny cell more than all else that is done here."""

_COMPREHENSION = 1 << 9
"""CPython's DEF_COMP_ITER, which ``_symtable`` does not name."""

OPTION_NAME = re.compile(r"--(?:out|err|proc)[ =](\w+)")


@dataclass(frozen=True, slots=True)
class CellNames:
    """What a cell's code says about names of the namespace.

    ``unbounded`` says that it may reach any name (``exec``, a star import, an unknown magic).
    """

    bound: frozenset[str] = frozenset()
    reads: frozenset[str] = frozenset()
    deleted: frozenset[str] = frozenset()
    unbounded: bool = False

    def __or__(self, other: CellNames) -> CellNames:
        return CellNames(
            self.bound | other.bound,
            self.reads | other.reads,
            self.deleted | other.deleted,
            self.unbounded or other.unbounded,
        )


EVERYTHING = CellNames(unbounded=True)


def is_internal(name: str) -> bool:
    """Is it one of IPython's own names (``_``, ``_i3``, ``In`` …)? ``_3``, an output, is not."""
    return _INTERNAL.fullmatch(name) is not None


def is_output(name: str) -> bool:
    """Is it an output that IPython keeps, such as ``_3``?"""
    return _OUTPUT.fullmatch(name) is not None


@lru_cache(maxsize=512)
def cell_names(python: str) -> CellNames:
    """The names that a cell uses, from its transformed source.

    A source that does not compile uses none: it did not run.
    """
    try:
        found = _from_table(symtable.symtable(python, "<cell>", "exec"))
        if "get_ipython" in found.reads or _BEYOND_TABLES.search(python) is not None:
            found = _from_tree(ast.parse(python), found)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return CellNames()
    return found


def _from_tree(tree: ast.Module, said: CellNames) -> CellNames:
    """What symbol tables do not say, added to what they ``said``."""
    found = said
    deleted: set[str] = set()
    augmented: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Del):
                deleted.add(node.id)
        elif isinstance(node, ast.AugAssign):
            if isinstance(node.target, ast.Name):
                augmented.add(node.target.id)  # `y += 1` reads y too
        elif isinstance(node, ast.ImportFrom):
            if node.names[0].name == "*":
                found |= EVERYTHING
        elif isinstance(node, ast.Call) and "get_ipython" in said.reads:
            found |= _from_magic(node)
    return CellNames(
        found.bound,
        # What is deleted has to be there, as what is read.
        (found.reads | augmented | deleted) - {"get_ipython"},
        found.deleted | deleted,
        found.unbounded,
    )


def _from_table(table: symtable.SymbolTable) -> CellNames:
    bound: set[str] = set()
    reads: set[str] = set()
    todo = [table]
    while todo:
        scope = todo.pop()
        todo.extend(scope.get_children())
        top = scope.get_type() == "module"
        for symbol in scope.get_symbols():
            name = symbol.get_name()
            if _of_comprehension(symbol) if top else not symbol.is_global():
                continue
            if symbol.is_referenced():
                reads.add(name)
            # One that is declared global has a walrus of a comprehension behind it, or may have.
            if (
                symbol.is_assigned()
                or symbol.is_imported()
                or symbol.is_annotated()
                or symbol.is_declared_global()
            ):
                bound.add(name)
                if not top:
                    reads.add(name)
    # A function that assigns a global binds it only when it is called; saying so here too
    # is the safe side.
    return CellNames(frozenset(bound), frozenset(reads), unbounded=bool(reads & _UNBOUNDED_NAMES))


def _of_comprehension(symbol: symtable.Symbol) -> bool:
    """Is it the variable of a comprehension? Since Python 3.12 these are listed with the names
    around it, where those are not of the same name.
    """
    if sys.version_info >= (3, 14):
        return symbol.is_comp_iter()
    return bool(symbol._Symbol__flags & _COMPREHENSION)  # type: ignore[attr-defined]  # noqa: SLF001 - nothing public says it before 3.14


def _from_magic(call: ast.Call) -> CellNames:
    """What ``get_ipython().run_line_magic('time', 'f(x)')`` and its kind do to names."""
    function = call.func
    if not (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Call)
        and isinstance(function.value.func, ast.Name)
        and function.value.func.id == "get_ipython"
    ):
        return CellNames()
    texts = [arg.value for arg in call.args if isinstance(arg, ast.Constant)]
    words = [text for text in texts if isinstance(text, str)]
    if function.attr in {"system", "getoutput"}:
        return CellNames(reads=shell_reads(" ".join(words)))
    if function.attr == "run_line_magic" and len(words) == 2:
        name, line = words
        if name in CODE_LINE_MAGICS:
            return _inner_names(without_options(line))
        if name in HARMLESS_LINE_MAGICS:
            return CellNames(reads=shell_reads(line))
    if function.attr == "run_cell_magic" and len(words) == 3:
        name, line, body = words
        if name in CODE_CELL_MAGICS:
            output = without_options(line) if name == "capture" else ""
            names = _inner_names(body)
            if name == "timeit":
                names |= _inner_names(without_options(line))
            return names | CellNames(bound=frozenset(output.split()[:1]))
        if name in TEXT_CELL_MAGICS:
            outputs = frozenset(OPTION_NAME.findall(line))
            return CellNames(bound=outputs, reads=shell_reads(f"{line} {body}"))
    if function.attr in {"run_line_magic", "run_cell_magic", "magic", "run_cell", "ex", "ev"}:
        return EVERYTHING
    return CellNames()


def _inner_names(source: str) -> CellNames:
    """The names that the code inside a magic uses. It is as typed, so it may hold magics in
    turn, which are not Python: then it may reach anything.
    """
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return EVERYTHING
    return cell_names(source)


def shell_reads(text: str) -> frozenset[str]:
    """The names that a command mentions: ``$name``, ``{name}``."""
    return frozenset(_SHELL_VARIABLE.findall(text))


def without_options(line: str) -> str:
    """``-n 3 -r 1 f(x)`` → ``f(x)``."""
    return re.sub(r"^(\s*-{1,2}[\w-]+(?:[ =]?\d+)?)+\s*", "", line).strip()
