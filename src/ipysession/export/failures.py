"""What of a cell ran before it failed, where the error says so beyond doubt."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipysession.model.payloads import StepError

_UNDEFINED = re.compile(r"name '(\w+)' is not defined")
_NO_ATTRIBUTE = re.compile(r"(?:object|module '[\w.]+'|'[\w.]+') has no attribute '(\w+)'")
_SIMPLE = (ast.Expr, ast.Assign, ast.AugAssign, ast.AnnAssign)


def executed(tree: ast.Module, error: StepError | None) -> ast.Module:
    """The part of ``tree`` that may have run before ``error`` ended it.

    A mistyped name or attribute that the cell mentions exactly once, in a plain statement at
    the top level, tells how far it came. Otherwise all of it may have run.
    """
    if error is None:
        return tree
    culprit = _culprit(tree, error)
    if culprit is None:
        return tree
    for index, statement in enumerate(tree.body):
        if not any(node is culprit for node in ast.walk(statement)):
            continue
        if not isinstance(statement, _SIMPLE) or _is_deferred(statement, culprit):
            return tree
        return ast.Module([*tree.body[:index], *_finished_calls(statement, culprit)], [])
    return tree


def _culprit(tree: ast.Module, error: StepError) -> ast.expr | None:
    undefined = _UNDEFINED.search(error.evalue) if error.ename == "NameError" else None
    attribute = _NO_ATTRIBUTE.search(error.evalue) if error.ename == "AttributeError" else None
    found: list[ast.expr] = []
    for node in ast.walk(tree):
        by_name = isinstance(node, ast.Name) and undefined and node.id == undefined[1]
        by_attribute = isinstance(node, ast.Attribute) and attribute and node.attr == attribute[1]
        if by_name or by_attribute:
            assert isinstance(node, ast.expr)  # noqa: S101 - both kinds are expressions
            found.append(node)
    return found[0] if len(found) == 1 else None


def _is_deferred(statement: ast.stmt, culprit: ast.expr) -> bool:
    """Does the culprit stand in a lambda, a branch or a loop, so that it may run late or twice?"""
    holders = (ast.Lambda, ast.comprehension, ast.IfExp, ast.BoolOp)
    scopes = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
    return any(
        isinstance(node, (*holders, *scopes)) and any(inner is culprit for inner in ast.walk(node))
        for node in ast.walk(statement)
    )


def _finished_calls(statement: ast.stmt, culprit: ast.expr) -> list[ast.stmt]:
    """The calls in ``statement`` that had returned when Python came to ``culprit``.

    Python evaluates from left to right, a call after its arguments.
    """
    end = (culprit.end_lineno or 0, culprit.end_col_offset or 0)
    return [
        ast.Expr(node)
        for node in ast.walk(statement)
        if isinstance(node, (ast.Call, ast.Await))
        and (node.end_lineno or 0, node.end_col_offset or 0) <= end
        and not any(inner is culprit for inner in ast.walk(node))
    ]
