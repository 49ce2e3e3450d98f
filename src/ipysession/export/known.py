"""What the steps so far have made of names, as far as their text says it."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ipysession.export import readers
from ipysession.lineage import cell_names

if TYPE_CHECKING:
    from collections.abc import Iterable

_NEW_VALUES = (
    ast.Constant,
    ast.JoinedStr,
    ast.List,
    ast.Dict,
    ast.Set,
    ast.ListComp,
    ast.DictComp,
    ast.SetComp,
    ast.BinOp,
    ast.Compare,
)
"""Expressions that give a new object, which is no iterator."""


@dataclass(slots=True)
class Known:
    """What the steps so far have made of names."""

    modules: dict[str, str] = field(default_factory=dict)
    """Imported names, with the dotted name of what each stands for."""
    functions: dict[str, ast.FunctionDef] = field(default_factory=dict)
    """Functions that the user defined, undecorated."""
    containers: set[str] = field(default_factory=set)
    """Names of values that are surely no iterators, so that looping over them changes nothing."""
    bound: set[str] = field(default_factory=set)
    """Every name that any step bound."""

    def learn(self, statement: ast.stmt) -> None:
        """Take in a statement at the top level of a cell, which has run."""
        self.forget(cell_names(ast.unparse(statement)).bound)
        for node in ast.walk(statement):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    first = alias.name.partition(".")[0]
                    self.modules[alias.asname or first] = alias.name if alias.asname else first
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    dotted = f"{node.module or ''}.{alias.name}"
                    self.modules[alias.asname or alias.name] = dotted
        match statement:
            case ast.FunctionDef(decorator_list=[]):
                self.functions[statement.name] = statement
            case ast.Assign(targets=[ast.Name(name)]) if self.is_container(statement.value):
                self.containers.add(name)

    def forget(self, names: Iterable[str]) -> None:
        """These names were bound to something that we know nothing of."""
        for name in names:
            self.bound.add(name)
            self.modules.pop(name, None)
            self.functions.pop(name, None)
            self.containers.discard(name)

    def is_container(self, node: ast.expr) -> bool:
        """Is the value surely no iterator, generator or open file?"""
        match node:
            case ast.Name(name):
                return name in self.containers
            case ast.Call(func=ast.Name(name)) if name not in self.modules:
                return name not in self.bound and (
                    name in {"list", "tuple", "dict", "set", "frozenset", "sorted", "range", "str"}
                )
            case ast.Call(func=ast.Name() | ast.Attribute()):
                dotted = self.dotted(node.func)
                if dotted is not None:
                    return dotted.startswith(("pandas.", "numpy.", "pathlib.", "os.path."))
                attr = node.func.attr if isinstance(node.func, ast.Attribute) else ""
                return attr in readers.READING_METHODS - {"iterrows", "itertuples", "glob"}
        return isinstance(
            node,
            (*_NEW_VALUES, ast.Tuple, ast.UnaryOp),
        )

    def dotted(self, node: ast.expr) -> str | None:
        """``np.random.rand`` → ``numpy.random.rand``; None where the root is no import."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self.modules:
            return None
        return ".".join([self.modules[node.id], *reversed(parts)])


def parameters(function: ast.FunctionDef) -> frozenset[str]:
    """The names of the function's parameters."""
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    named += [extra for extra in (arguments.vararg, arguments.kwarg) if extra is not None]
    return frozenset(argument.arg for argument in named)


def local_names(function: ast.FunctionDef) -> frozenset[str]:
    """The names that the function binds."""
    return frozenset(
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )


def fresh_names(code: ast.FunctionDef | ast.Module) -> frozenset[str]:
    """Names that ``code`` binds only to new objects which it made itself."""
    stores: dict[str, int] = {}
    fresh: dict[str, int] = {}
    for node in ast.walk(code):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            stores[node.id] = stores.get(node.id, 0) + 1
        if isinstance(node, ast.Assign) and _is_new(node.value):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    fresh[target.id] = fresh.get(target.id, 0) + 1
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            name = node.target.id  # it changes in place, or binds the result of arithmetic
            fresh[name] = fresh.get(name, 0) + 1
    outer = {
        name
        for node in ast.walk(code)
        if isinstance(node, (ast.Global, ast.Nonlocal))
        for name in node.names
    }
    made = {name for name, count in fresh.items() if count == stores[name]}
    given = parameters(code) if isinstance(code, ast.FunctionDef) else frozenset[str]()
    return frozenset(made - outer - given)


def _is_new(node: ast.expr) -> bool:
    match node:
        case ast.Call(func=ast.Name(name)):
            return name in {"list", "dict", "set", "str", "int", "float", "len", "sorted", "range"}
    return isinstance(
        node,
        _NEW_VALUES,
    )
