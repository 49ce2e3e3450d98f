"""Running a recorded cell again, quietly: no output, no history, no counters, no hooks.

``shell.run_cell`` inside a running cell would skew the counters and fails for a cell with
``await`` ("This event loop is already running"), so the cell is compiled and run here; one
with ``await`` runs in an event loop of its own, on another thread.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from IPython.utils.capture import capture_output

from ipysession.model import Outcome
from ipysession.model.payloads import StepError

if TYPE_CHECKING:
    from types import CodeType


@dataclass(frozen=True, slots=True)
class Replayed:
    """How the replay of a step went. ``value`` is that of its last expression."""

    outcome: Outcome
    seconds: float
    value: Any = None
    error: StepError | None = None


def replay_cell(shell: Any, source: str, execution_count: int | None) -> Replayed:
    """Run ``source`` (as typed, magics included) in the shell's namespace.

    Whatever the cell raises is returned, not raised, except a KeyboardInterrupt: that is the
    user stopping the resume.
    """
    started = time.perf_counter()
    value: Any = None
    try:
        with capture_output(), shell.builtin_trap:
            shell.events.trigger("pre_execute")
            try:
                value = _run(shell, source, execution_count)
            finally:
                # The inline backend closes a cell's figures here; left open, they would be shown
                # below the cell that resumes.
                shell.events.trigger("post_execute")
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - also SystemExit: the cell's own business
        said = StepError(ename=type(error).__name__, evalue=str(error)[:2000])
        return Replayed(Outcome.ERROR, time.perf_counter() - started, error=said)
    return Replayed(Outcome.OK, time.perf_counter() - started, value)


def _run(shell: Any, source: str, execution_count: int | None) -> Any:
    python = shell.transform_cell(source)
    name = shell.compile.cache(python, execution_count or 0, raw_code=source)
    tree = shell.transform_ast(shell.compile.ast_parse(python, filename=name))
    last: ast.expr | None = None
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        last = tree.body.pop().value
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | shell.compile.flags
    value: Any = None
    if tree.body:
        _execute(shell, compile(tree, name, "exec", flags, dont_inherit=True))
    if last is not None:
        value = _execute(
            shell, compile(ast.Expression(last), name, "eval", flags, dont_inherit=True)
        )
    return value


def _execute(shell: Any, code: CodeType) -> Any:
    result = eval(code, shell.user_global_ns, shell.user_ns)  # noqa: S307 - running the user's cell is the purpose
    if code.co_flags & inspect.CO_COROUTINE:
        return _await_elsewhere(result)
    return result


def _await_elsewhere(coroutine: Any) -> Any:
    done: dict[str, Any] = {}

    def run() -> None:
        try:
            done["value"] = asyncio.run(coroutine)
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            done["error"] = error

    thread = threading.Thread(target=run, name="ipysession-replay", daemon=True)
    thread.start()
    thread.join()
    if "error" in done:
        raise done["error"]
    return done["value"]
