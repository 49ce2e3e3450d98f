"""Running a recorded cell again, aloud: its outputs, errors and results are shown, below the cell
that runs now, and its ``Out[n]`` is set anew.

``shell.run_cell`` inside a running cell would skew the counters, so what it does is done here.
A cell with ``await`` runs in an event loop of its own, on another thread.
"""

from __future__ import annotations

import ast
import asyncio
import contextvars
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from IPython.core.interactiveshell import ExecutionResult

if TYPE_CHECKING:
    from collections.abc import Iterator


def run_aloud(shell: Any, info: Any, count: int | None) -> ExecutionResult:
    """Run the cell that ``info`` describes; its result counts as that of execution ``count``.

    Nothing that the cell raises is raised: it is shown, and stands in what is returned.
    """
    result = ExecutionResult(info)  # type: ignore[no-untyped-call] # IPython has no types for it
    result.execution_count = count
    with shell.builtin_trap, shell.display_trap, _counting_as(shell, count, result):
        try:
            python = shell.transform_cell(info.raw_cell)
            name = shell.compile.cache(python, count or 0, raw_code=info.raw_cell)
            tree = shell.transform_ast(shell.compile.ast_parse(python, filename=name))
        except Exception as error:  # noqa: BLE001 - a cell that is no Python, or the user's transformer
            shell.showsyntaxerror() if isinstance(error, SyntaxError) else shell.showtraceback()
            result.error_before_exec = error
            return result
        shell.events.trigger("pre_execute")
        try:
            _run(shell, tree, name, result)
        finally:
            # The inline backend shows a cell's figures here.
            shell.events.trigger("post_execute")
    return result


@contextmanager
def _counting_as(shell: Any, count: int | None, result: ExecutionResult) -> Iterator[None]:
    """Results are shown and kept as those of execution ``count``, where there is one."""
    hook = shell.displayhook
    before, held = shell.execution_count, hook.exec_result
    hook.exec_result = result
    if count is not None:
        # IPython ≥ 9.18 has advanced its count already while a cell runs, older ones have not.
        shell.execution_count = count + before - hook.prompt_count
    try:
        yield
    finally:
        shell.execution_count, hook.exec_result = before, held


def _run(shell: Any, tree: ast.Module, name: str, result: ExecutionResult) -> None:
    def running() -> Any:
        return shell.run_ast_nodes(
            tree.body,
            name,
            interactivity=shell.ast_node_interactivity,
            compiler=shell.compile,
            result=result,
        )

    if not _awaits(tree):
        try:
            running().send(None)
        except StopIteration:
            return
        message = "a cell without await waited for something"
        raise RuntimeError(message)
    context = contextvars.copy_context()  # says which cell outputs belong to
    thread = threading.Thread(
        target=context.run, args=(asyncio.run, running()), name="ipysession-rerun", daemon=True
    )
    thread.start()
    thread.join()


def _awaits(tree: ast.Module) -> bool:
    """Is there an ``await`` at the cell's top level, outside of its functions?"""
    todo: list[ast.AST] = list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.Await, ast.AsyncFor, ast.AsyncWith)):
            return True
        if isinstance(node, ast.comprehension) and node.is_async:
            return True
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            todo.extend(ast.iter_child_nodes(node))
    return False
