"""The session that a kernel records: created, gone on with, paused, closed. Knows no cells."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import IPython

import ipysession
from ipysession.errors import InvalidTransition, LogDamaged, NotRecording
from ipysession.log import SyncPolicy
from ipysession.model import Outcome, SessionState
from ipysession.model import payloads as p
from ipysession.record import cells
from ipysession.record.environment import describe_environment
from ipysession.record.notices import Notices
from ipysession.record.others import OthersWatch
from ipysession.record.outbox import Outbox
from ipysession.record.outputs import KernelTap, TerminalTap
from ipysession.record.steps import Changes
from ipysession.record.warming import Warming
from ipysession.store.whoami import user_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ipysession.checkpoint.idle import IdleSaver
    from ipysession.checkpoint.saver import Checkpointer
    from ipysession.model.provenance import Environment
    from ipysession.record.outputs import Tap
    from ipysession.record.redact import Redactor
    from ipysession.settings import Recording
    from ipysession.store import SessionWriter, Store


_TIDIED_BYTES = 32 << 20
"""A longer log is not read when the kernel ends; this one takes about half a second."""


class Saved(NamedTuple):
    """What is saved of a session's variables."""

    names: dict[str, int]
    """Names whose newest value is in the log, and the bytes of the group that holds it."""
    waiting: list[str]
    """Names that wait for the kernel to be idle."""
    missing: dict[str, str]
    """Names that cannot be saved, and why: they would be replayed."""
    written: int
    """Bytes of values written in this run."""


class SessionKeeper:
    """Keeps one kernel's session. It is created lazily, with its first step."""

    def __init__(self, shell: Any, store: Store, settings: Recording) -> None:
        self.shell = shell
        self.store = store
        self.settings = settings
        self.process = os.getpid()
        self.writer: SessionWriter | None = None
        self.paused = False
        self.head_step: int | None = None
        kernel = getattr(shell, "kernel", None)
        self.frontend = "terminal" if kernel is None else "kernel"
        self._tap: Tap = (
            TerminalTap(shell, self._hear) if kernel is None else KernelTap(kernel, self._hear)
        )
        self.notices = Notices(self._tap)
        if settings.redact_patterns:
            self.redactor  # noqa: B018 - a pattern that is none is told while loading
        self._outbox = Outbox(lambda: self.redactor, self.notices, lambda: self.writer)
        self._checkpointer: Checkpointer | None = None
        self._idle: IdleSaver | None = None
        self._told_of_no_room = False
        self._warming = Warming(lambda: self.redactor)
        self._others = OthersWatch(shell.user_ns)

    @cached_property
    def redactor(self) -> Redactor:
        """Takes secrets out of what is recorded. Made for the first cell."""
        from ipysession.record.redact import Redactor

        settings = self.settings
        return Redactor(enabled=settings.redact, extra=dict(settings.redact_patterns))

    def _hear(self, key: str | None, event: dict[str, Any]) -> None:
        self._outbox.hear(key, event)

    def warm_up(self) -> None:
        """Loading is over: import what the first cell needs, beside whatever follows."""
        self._warming.start()

    def _open(self) -> None:
        """The kernel is about to be recorded."""
        with contextlib.suppress(RuntimeError):  # a terminal runs no event loop
            self._others.loop = asyncio.get_running_loop()
        self._outbox.open()

    # -- a session's begin and end -----------------------------------------------------

    def _session(self) -> SessionWriter:
        """The session that steps go to; the first step creates it."""
        if self.writer is None:
            notebook = cells.notebook_path(self.shell.user_ns)
            title = Path(notebook).stem if notebook else f"{self.frontend} session"
            created = p.SessionCreated(
                session="",
                title=title,
                notebook=notebook,
                user=user_name(),
                host=socket.gethostname(),
                created_by=f"ipysession {ipysession.__version__}",
            )
            writer = self.store.create(
                created, policy=SyncPolicy(self.settings.sync), on_trouble=self._on_trouble
            )
            self._take(writer)
        assert self.writer is not None  # noqa: S101 - set just above
        return self.writer

    def _take(self, writer: SessionWriter) -> None:
        """Begin a run in ``writer``'s session."""
        number = writer.last_run + 1
        writer.log.run = number
        writer.append(
            p.RunStarted(
                number=number,
                environment=self.environment(),
                kernel_id=cells.kernel_id(),
                notebook=cells.notebook_path(self.shell.user_ns),
            )
        )
        self.store.make_current(writer.id)
        self._make_savers(writer)
        self.writer = writer

    def _make_savers(self, writer: SessionWriter) -> None:
        # Not needed before; `warm_up` has imported them.
        from ipysession.checkpoint.idle import IdleSaver
        from ipysession.checkpoint.packed import Limits
        from ipysession.checkpoint.saver import Checkpointer

        settings = self.settings
        self._checkpointer = Checkpointer(
            writer.blobs,
            Limits(
                seconds=settings.save_seconds,
                share=settings.save_share,
                patience=settings.save_patience_seconds,
                settle=settings.save_settle_seconds,
                alone=settings.save_alone_seconds,
                max_bytes=settings.save_max_bytes,
                min_free=settings.save_min_free_bytes,
            ),
            redact=lambda text: self.redactor.text(text)[0],
        )
        if settings.save_when_idle:
            loop = self._others.loop
            self._idle = IdleSaver(
                self._checkpointer,
                self.shell.user_ns,
                writer.append,
                self._others.run,
                refused=self._refused_to_save,
                call_soon=None if loop is None else loop.call_soon_threadsafe,
            )

    def save_waiting(self) -> None:
        """Save what waits for the kernel to be idle, here and now, as at an orderly end."""
        idle = self._idle
        if idle is not None:
            self.notices.guarded(lambda: idle.finish(self.settings.save_at_end_seconds))

    def stand_on(self, step: int) -> None:
        """The next step grows from ``step``; nothing that was saved counts as the latest."""
        writer = self.recording()
        writer.append(p.SessionMoved(step=step, left=self.head_step))
        self.head_step = step
        idle, self._idle = self._idle, None
        if idle is not None:
            idle.close()
        self._make_savers(writer)

    def environment(self) -> Environment:
        """The environment as it is now."""
        kernel = sys.modules.get("ipykernel")
        return describe_environment(
            frontend=self.frontend,
            ipython=IPython.__version__,
            ipykernel=getattr(kernel, "__version__", None),
            version=ipysession.__version__,
        )

    def _on_trouble(self, error: OSError | None) -> None:
        """The disk refuses, or takes again. Told at the end of the cell, in the notebook."""
        if error is None:
            self.notices.tell_at_end("ipysession: the disk takes records again; nothing was lost.")
        else:
            self.notices.tell_at_end(
                f"ipysession: THE SESSION LOG CANNOT BE WRITTEN: {error.strerror or error}. "
                f"Records are kept in memory and tried again; free some space in "
                f"{self.store.path}. Your cells are not affected."
            )

    def resume_into(self, session_id: str, head_step: int) -> SessionWriter:
        """Go on recording in ``session_id``, after ``head_step``. A session that this kernel
        recorded before is paused. Raises SessionBusy where a living kernel writes it.
        """
        writer = self.store.open_for_append(
            session_id, policy=SyncPolicy(self.settings.sync), on_trouble=self._on_trouble
        )
        try:
            writer.note_death()
            writer.append(p.SessionResumed(reason="resumed in a new kernel"))
        except InvalidTransition:
            writer.close()
            raise
        self.close_session(f"the kernel went on in session {session_id}")
        self.head_step = head_step
        self.paused = False
        self._take(writer)
        return writer

    def close_session(self, reason: str) -> None:
        """End this kernel's run of the session, if there is one."""
        writer, self.writer = self.writer, None
        idle, self._idle = self._idle, None
        self._checkpointer = None
        if writer is None or os.getpid() != self.process:
            return
        self._outbox.write(writer)
        if idle is not None:
            if writer.state is not SessionState.COMPLETED:
                self.notices.guarded(lambda: idle.finish(self.settings.save_at_end_seconds))
            idle.close()
        writer.append(p.RunEnded(reason=reason))
        if writer.state is SessionState.RUNNING:
            writer.append(p.SessionPaused(reason=reason))
        if self.settings.tidy_at_end:
            self.notices.guarded(lambda: self._tidy(writer))
        writer.close()

    def _tidy(self, writer: SessionWriter) -> None:
        """Nothing is being saved any more, and the session's lock is still held. The log is read
        for it: a very long one would keep the kernel from ending, and waits for `gc`.
        """
        from ipysession.checkpoint.tidying import tidy

        logs = writer.folder.log_folder.glob("*.jsonl")
        if sum(path.stat().st_size for path in logs) > _TIDIED_BYTES:
            return
        keep = self.settings.keep_checkpoints
        with contextlib.suppress(LogDamaged):  # `gc` and `verify-log` tell of it
            tidy(writer, self.store.key(), keep=keep if keep > 0 else None)

    # -- what its user says ------------------------------------------------------------

    def recording(self) -> SessionWriter:
        """The session being recorded. Raises NotRecording where there is none yet."""
        if self.writer is None:
            message = "no step has been recorded in this kernel yet; run a cell first"
            raise NotRecording(message)
        return self.writer

    def pause(self, reason: str) -> None:
        """Stop recording until `go_on`. Raises InvalidTransition where it is paused."""
        self.recording().append(p.SessionPaused(reason=reason))
        self.paused = True

    def go_on(self) -> None:
        """Record again. Raises InvalidTransition where it is not paused."""
        self.recording().append(p.SessionResumed(reason="continued by the user"))
        self.paused = False

    def complete(self, reason: str) -> str:
        """Close the session for good and return its id; the next step begins a new one."""
        writer = self.recording()
        self._outbox.write()
        writer.append(p.SessionCompleted(reason=reason))
        self.close_session("completed")
        self.head_step = None
        self.paused = False
        return writer.id

    # -- values ------------------------------------------------------------------------

    @property
    def waiting_to_be_saved(self) -> list[str]:
        """Variables that did not fit into a step's budget and wait for the kernel to be idle."""
        return [] if self._idle is None else self._idle.waiting

    def blobs_removed(self) -> None:
        """Blobs of the session were deleted: none is taken to be there without a look."""
        if self._checkpointer is not None:
            self._checkpointer.pieces.forget()

    def saved(self) -> Saved:
        """What is saved of the session's variables, and what is not."""
        keeper, waiting = self._checkpointer, self.waiting_to_be_saved
        if keeper is None:
            return Saved({}, waiting, {}, 0)
        missing = {name: why for name, why in sorted(keeper.skipped.items()) if name not in waiting}
        return Saved(dict(sorted(keeper.saved_bytes.items())), waiting, missing, keeper.written)

    def adopt_groups(self, groups: list[list[str]]) -> None:
        """After a resume: names that were restored together may share objects."""
        if self._checkpointer is not None:
            self._checkpointer.adopt(groups)

    def record_replay(
        self, replayed: int, source: str, transformed: str | None
    ) -> Callable[[Outcome, float, p.StepError | None], None]:
        """Record that a step is replayed; call what is returned when it ended."""
        writer = self.recording()
        number = writer.last_step + 1
        writer.append(
            p.StepStarted(
                step=number,
                parent=self.head_step,
                source=source,
                transformed=transformed,
                store_history=False,
                replay_of=replayed,
            )
        )

        def finished(outcome: Outcome, duration: float, error: p.StepError | None) -> None:
            writer.append(
                p.StepFinished(step=number, outcome=outcome, duration=duration, error=error)
            )

        return finished

    def save_replayed(
        self, names: Collection[str], inputs: Collection[str], seconds: float
    ) -> None:
        """After a resume: save what was replayed, ``seconds`` of cells' time, together with what
        it may share with the replays' ``inputs``. It counts as the last replay's, or is left as
        it was where that fails.
        """
        writer = self.recording()
        changes = Changes(bound=frozenset(names), reachable=frozenset(names).union(inputs))
        self.notices.guarded(
            lambda: self._save_values(writer, writer.last_step, changes, duration=seconds)
        )

    def _save_values(
        self,
        writer: SessionWriter,
        step: int,
        changes: Changes,
        *,
        duration: float,
        execution_count: int | None = None,
    ) -> None:
        """Save what a step bound or may have changed, as far as its budget allows."""
        checkpointer = self._checkpointer
        if checkpointer is None or not self.settings.save_values:
            return
        if not changes.inert:
            writer.log.flush()
        record, blobs = checkpointer.after_step(
            step,
            self.shell.user_ns,
            bound=changes.bound,
            reachable=changes.reachable,
            deleted=changes.deleted,
            execution_count=execution_count,
            still=changes.still,
        )
        if record is not None:
            writer.append(record, blobs=blobs)
            checkpointer.appended()
        if self._idle is not None:
            self._idle.step_saved(
                step, checkpointer.touched, checkpointer.left_over, changes.bound, duration
            )

    def _refused_to_save(self, what: str) -> None:
        """There is too little room for a value. Told once; recording goes on."""
        if self._told_of_no_room:
            return
        self._told_of_no_room = True
        self.notices.tell_at_end(
            f"ipysession: not saved: {what}. It would be replayed after a restart. Recording goes "
            "on; %session status tells what is saved.",
        )
