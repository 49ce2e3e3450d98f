"""``%session VERB …``: the notebook's face. Thin: parses, calls the verb, shows the report."""

from __future__ import annotations

import json
import shlex
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError as IPythonUsageError
from IPython.core.magic import Magics, line_magic, magics_class
from IPython.display import display

from ipysession.errors import SessionError
from ipysession.report import Report, to_html, to_json, to_text
from ipysession.verbs import VERBS, HelpShown, parse, verb_named

if TYPE_CHECKING:
    from ipysession.live import LiveSessions
    from ipysession.record.recorder import Recorder

_PROGRAM = "%session"
_PROGRESS_SECONDS = 0.5
"""So long stays what is shown of a verb's progress, at least: each change is an output."""


class Shown:
    """A report as an output: HTML for notebooks, aligned text for terminals and programs."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:  # noqa: ARG002 - IPython's protocol
        return {"text/plain": to_text(self.report), "text/html": to_html(self.report)}

    def __repr__(self) -> str:
        return to_text(self.report)


class Answer:
    """A report for a program that ran the magic: the Jupyter server does, on a panel's behalf."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:  # noqa: ARG002 - IPython's protocol
        said = {"headline": self.report.headline, "data": json.loads(to_json(self.report.data))}
        return {"text/plain": self.report.headline, ANSWER_MIME: said}


ANSWER_MIME = "application/vnd.ipysession.answer+json"

_last: list[Report] = []
"""The report of the newest verb that went well."""


def last_answer() -> Answer | None:
    """What the newest ``%session`` said; None where it failed or there was none."""
    return Answer(_last[0]) if _last else None


class _Progress:
    """What a verb that takes long is doing, in one output that changes and then goes."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._told = 0.0

    def __call__(self, said: str) -> None:
        now = time.monotonic()
        if now - self._told < _PROGRESS_SECONDS:
            return
        self._told = now
        data = {"text/plain": f"{said} …"}
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)  # type: ignore[no-untyped-call] # IPython 8 has no types for it
        else:
            self._handle.update(data, raw=True)

    def close(self) -> None:
        """Take the output away."""
        if self._handle is not None:
            self._handle.update({"text/plain": ""}, raw=True)


@magics_class
class SessionMagics(Magics):
    """The ``%session`` magic."""

    def __init__(self, shell: Any, recorder: Recorder) -> None:
        super().__init__(shell)
        self._recorder = recorder

    @cached_property
    def sessions(self) -> LiveSessions:
        """The verbs. Imported when one is asked for: ``%load_ext`` need not wait for them."""
        from ipysession.live import LiveSessions

        return LiveSessions(self._recorder)

    @line_magic
    def session(self, line: str) -> None:
        """Record, resume, export: ``%session VERB …``; ``%session VERB --help`` tells more.

        Without a verb: what is being recorded.
        """
        try:
            words = shlex.split(line)
        except ValueError as error:
            message = f"{_PROGRAM}: {error}; quote words that hold a quotation mark"
            raise IPythonUsageError(message) from error
        if words and words[0] in {"-h", "--help", "help"}:
            print(overview())  # noqa: T201 - help is text for the reader
            return
        if words and words[0] == "--json":
            words = ["status", *words]
        name, *rest = words or ["status"]
        _last.clear()
        try:
            verb = verb_named(name, kernel=True)
            arguments = parse(verb, rest, _PROGRAM)
            arguments.announce = self._show
            progress = _Progress()
            if not arguments.json:
                arguments.progress = progress
            try:
                report = verb.run(self.sessions, arguments)
            finally:
                progress.close()
        except HelpShown as shown:
            print(shown)  # noqa: T201
            return
        except SessionError as error:
            # UsageError is shown as one line without a traceback: the message is the answer.
            raise IPythonUsageError(str(error)) from error
        _last.append(report)
        if arguments.json:
            print(to_json(report.data))  # noqa: T201 - for programs, which read the stream
        else:
            self._show(report)

    @staticmethod
    def _show(report: Report) -> None:
        display(Shown(report))  # type: ignore[no-untyped-call] # IPython 8 has no types for it


def overview() -> str:
    """All verbs, a line each."""
    width = max(len(verb.name) for verb in VERBS)
    lines = [f"  {_PROGRAM} {verb.name:<{width}}  {verb.help}" for verb in VERBS]
    return "\n".join([*lines, "", f"{_PROGRAM} VERB --help tells the arguments of a verb."])


def complete_session(shell: Any, event: Any) -> list[str]:
    """Tab completion after ``%session``: verbs, then options, ids and variable names."""
    words = event.line[: len(event.line)].split()
    typed = event.symbol
    before = words[1:] if event.line.endswith(" ") else words[1:-1]
    if not before:
        return [verb.name for verb in VERBS if verb.name.startswith(typed)]
    verb = next((verb for verb in VERBS if verb.name == before[0]), None)
    if verb is None:
        return []
    options = [name for argument in verb.arguments for name in argument.names if name[0] == "-"]
    found = [*options, "--json", "--help"]
    if before[-1] == "--target":
        found = [name for name in shell.user_ns if not name.startswith("_")]
    elif verb.takes_session:
        magics = shell.magics_manager.registry.get("SessionMagics")
        if magics is not None:
            found += ["latest", *magics.sessions.store.ids()]
    return [name for name in found if name.startswith(typed)]
