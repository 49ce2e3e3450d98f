"""Recorded sessions for tests: written through the store, as a kernel would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ipysession.model import Outcome
from ipysession.model import payloads as p
from ipysession.model.provenance import Environment, Lineage
from ipysession.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from ipysession.store import Reading

KEY = bytes(range(32))


class Recording:
    """A session under way. `step` records what it is told."""

    def __init__(self, store: Path, work: Path, **created: Any) -> None:
        self.work = work
        self.store = Store(store, key=KEY)
        self.writer = self.store.create(
            p.SessionCreated(session="?", **{"title": "Test", **created})
        )
        self._run = 0
        self._number = 0
        self.new_run()

    def new_run(self, **environment: Any) -> None:
        """Another kernel takes the session up."""
        if self._run:
            self.writer.append(p.SessionPaused(reason="kernel shutdown"))
            self.writer.append(p.SessionResumed())
        self._run += 1
        self.writer.log.run = self._run
        known = {"python": "3.11.7", "cwd": str(self.work), "packages": {"numpy": "2.0"}}
        self.writer.append(
            p.RunStarted(number=self._run, environment=Environment(**{**known, **environment}))
        )

    def append(self, payload: p.Payload) -> None:
        """Any record."""
        self.writer.append(payload)

    def step(
        self,
        source: str,
        bound: Iterable[str] = (),
        reads: Iterable[str] = (),
        *,
        outputs: Iterable[dict[str, Any]] = (),
        outcome: Outcome | None = Outcome.OK,
        error: tuple[str, str] | None = None,
        effects: dict[str, Any] | None = None,
        duration: float = 0.25,
        deleted: Iterable[str] = (),
        changed: Iterable[str] = (),
        exact: bool = True,
        **started: Any,
    ) -> int:
        """One step. ``outcome=None``: it has not ended. ``outputs`` are outputs or events.
        ``changed`` are the names (or other things) that it changed in place. ``exact``: what
        it read and wrote is recorded to the letter, that of files and processes too.
        """
        self._number += 1
        number = self._number
        started.setdefault("execution_count", number)
        self.writer.append(p.StepStarted(step=number, source=source, **started))
        events = [o if "event" in o else {"event": "output", "output": o} for o in outputs]
        if events:
            self.writer.append(p.StepOutput(step=number, events=events))
        if outcome is not None:
            failure = None
            if error is not None:
                failure = p.StepError(ename=error[0], evalue=error[1])
                outcome = Outcome.ERROR if outcome is Outcome.OK else outcome
            finished = p.StepFinished(
                step=number,
                outcome=outcome,
                duration=duration,
                error=failure,
                bound=list(bound),
                reads=list(reads),
                deleted=list(deleted),
                exact=exact,
            )
            self.writer.append(finished)
        effects = effects or {}
        if exact and (effects or changed):
            effects["lineage"] = _lineage(effects, bound, reads, deleted, changed)
        if effects:
            self.writer.append(p.StepEffects(step=number, **effects))
        return number

    def note(self, text: str, step: int | None = None) -> None:
        """A remark of the user's."""
        self.writer.append(p.NoteAdded(text=text, step=step))

    def close(self) -> None:
        """The kernel is gone."""
        self.writer.close()

    def read(self) -> Reading:
        """The session as any process reads it, also while it is written."""
        if not self.writer.closed:
            self.writer.log.sync()
        return self.store.folder(self.writer.id).read(KEY)


def _lineage(
    effects: dict[str, Any],
    bound: Iterable[str],
    reads: Iterable[str],
    deleted: Iterable[str],
    changed: Iterable[str],
) -> Lineage:
    """What the recorder would say of a step that did this."""
    read = dict.fromkeys((*reads, *changed, *deleted), "code")
    written = dict.fromkeys(changed, "value")
    for use in effects.get("files", ()):
        written_to = use.get("action", "read") != "read"
        (written if written_to else read)[f"file:{use['path']}"] = "effects"
    if effects.get("processes"):
        read["file:*"] = written["file:*"] = "effects"
    return Lineage(read=read, made=dict.fromkeys((*bound, *deleted), "code"), changed=written)


@pytest.fixture
def new_recording(tmp_path: Path) -> Iterable[Callable[..., Recording]]:
    """Makes recordings; the folder that their kernels work in is ``tmp_path / 'work'``."""
    work = tmp_path / "work"
    work.mkdir()
    made: list[Recording] = []

    def new(**created: Any) -> Recording:
        made.append(Recording(tmp_path / "store", work, **created))
        return made[-1]

    yield new
    for recording in made:
        recording.close()


@pytest.fixture
def recording(new_recording: Callable[..., Recording]) -> Recording:
    """A session of which one run has begun."""
    return new_recording()
