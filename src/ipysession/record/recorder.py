"""From IPython's events to records: every executed cell once, as it runs.

A hook of ours never breaks, delays or changes a cell: every callback is fenced, an internal
error is told once, and recording goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import getpass
import json
import logging
import os
import socket
import sys
import threading
import time
import traceback
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar

import IPython
from jupyter_core.paths import jupyter_runtime_dir

import ipysession
from ipysession.checkpoint.idle import IdleSaver
from ipysession.checkpoint.saver import Checkpointer
from ipysession.errors import InvalidTransition, NotRecording
from ipysession.lineage import cell_names, reachable_names
from ipysession.log import SyncPolicy
from ipysession.model import Outcome, SessionState
from ipysession.model import payloads as p
from ipysession.model.outputs import merge_streams
from ipysession.model.provenance import Connection, Environment, ProcessUse
from ipysession.record import cells
from ipysession.record.effects import EffectsSeen, EffectsWatch, describe_files
from ipysession.record.environment import GitWatch, PackageWatch, describe_environment
from ipysession.record.namespace import NamespaceWatch
from ipysession.record.outputs import KernelTap, TerminalTap
from ipysession.record.redact import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import FrameType

    from ipysession.record.outputs import Tap
    from ipysession.settings import Recording
    from ipysession.store import SessionWriter, Store

_BATCH_SECONDS = 0.5
"""Outputs of a running cell are written at least this often."""

_REMEMBERED_CELLS = 10_000
"""Late outputs (a thread that prints) find the step of so many cells back."""

_logger = logging.getLogger(__name__)
# Without a handler Python would print our tracebacks to the user's stderr; a kernel that
# configures logging still gets them.
logging.getLogger("ipysession").addHandler(logging.NullHandler())

_Params = ParamSpec("_Params")
_Part = TypeVar("_Part")


class _Changes(NamedTuple):
    """What a cell did to names, and which it could reach."""

    bound: frozenset[str] = frozenset()
    deleted: frozenset[str] = frozenset()
    reads: frozenset[str] = frozenset()
    reachable: frozenset[str] = frozenset()


@dataclass(slots=True)
class _OpenStep:
    """A step that is running: what was known before it, and what is known of its end."""

    info: Any
    key: str | None
    python: str | None
    number: int = 0
    began: float = field(default_factory=time.perf_counter)
    before: frozenset[str] = frozenset()
    execution_count: int | None = None
    store_history: bool = True
    asked_input: bool = False
    error: dict[str, Any] | None = None
    duration: float | None = None
    seen: EffectsSeen | None = None
    changes: _Changes | None = None
    finished: bool = False

    def forget(self) -> None:
        """Its record is written: of thousands of steps only what late outputs need is kept."""
        self.info = self.python = self.seen = None
        self.before, self.changes = frozenset(), _Changes()


def _fenced(
    method: Callable[_Params, None],
) -> Callable[_Params, None]:
    """Whatever goes wrong inside stays inside. An interrupt that hits our own code was meant
    for the cell that has just ended, so the method runs once more: each is repeatable.
    """

    @functools.wraps(method)
    def fence(*args: _Params.args, **kwargs: _Params.kwargs) -> None:
        recorder: Any = args[0]
        if os.getpid() != recorder.process:
            return  # a forked child shares our hooks, not our session
        for attempt in (1, 2):
            try:
                method(*args, **kwargs)
            except KeyboardInterrupt:
                if attempt == 1:
                    continue
                recorder.tell_once("interrupted", "ipysession: recording a step was interrupted.")
            except Exception:  # noqa: BLE001 - see the docstring; it is told and logged
                recorder.internal_error()
            return

    return fence


class Recorder:
    """Records one kernel's cells into a session. One per shell.

    `attach` begins to listen; the session is created lazily, with its first step.
    """

    def __init__(self, shell: Any, store: Store, settings: Recording) -> None:
        self.shell = shell
        self.store = store
        self.settings = settings
        self.process = os.getpid()
        self.writer: SessionWriter | None = None
        self.paused = False
        self.head_step: int | None = None
        self.next_execution_count: int | None = None
        self._lock = threading.RLock()
        self._running: dict[int, list[_OpenStep | None]] = {}
        self._step_of: OrderedDict[str, _OpenStep] = OrderedDict()
        self._pending: list[tuple[int, dict[str, Any]]] = []
        self._pump: threading.Thread | None = None
        self._pump_wake = threading.Event()
        self._detached = True
        self._told: set[str] = set()
        self._notices: list[str] = []
        self.redactor = Redactor(enabled=settings.redact, extra=dict(settings.redact_patterns))
        kernel = getattr(shell, "kernel", None)
        self.frontend = "terminal" if kernel is None else "kernel"
        self._tap: Tap = (
            TerminalTap(shell, self.hear) if kernel is None else KernelTap(kernel, self.hear)
        )
        self._effects = EffectsWatch(ignored=self._ignored_folders())
        self._packages = PackageWatch()
        self._git = GitWatch(Path.cwd())
        self._names = NamespaceWatch(shell.user_ns, shell.user_ns_hidden)
        self._checkpointer: Checkpointer | None = None
        self._idle: IdleSaver | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads = set(threading.enumerate())
        """Those that run before any of the user's."""

    def _ignored_folders(self) -> tuple[Path, ...]:
        folders = [self.store.path, Path(jupyter_runtime_dir())]
        profile = getattr(self.shell, "profile_dir", None)
        if profile is not None:
            folders.append(Path(profile.location))
        return tuple(folders)

    # -- listening ---------------------------------------------------------------------

    def attach(self) -> None:
        """Begin to listen. A cell that loads the extension is recorded from here on, too."""
        self._detached = False
        with contextlib.suppress(RuntimeError):  # a terminal runs no event loop
            self._loop = asyncio.get_running_loop()
        self._tap.install()
        self._effects.start()
        self._git.start()
        self.shell.events.register("pre_run_cell", self.pre_run_cell)
        self.shell.events.register("post_run_cell", self.post_run_cell)
        for frame in cells.enclosing_cells()[:1]:
            self.pre_run_cell(frame.f_locals["info"])

    def detach(self, reason: str) -> None:
        """Stop listening and leave no trace; the session is paused with ``reason``."""
        if self._detached:
            return
        self._detached = True
        for name in ("pre_run_cell", "post_run_cell"):
            callback = getattr(self, name)
            if callback in self.shell.events.callbacks[name]:
                self.shell.events.unregister(name, callback)
        self._tap.end()
        self._write_pending()
        self._tap.remove()
        self._effects.stop()
        self._pump_wake.set()
        pump, self._pump = self._pump, None
        if pump is not None:
            pump.join(timeout=5)
        self.close_session(reason)

    def close_session(self, reason: str) -> None:
        """End this kernel's run of the session, if there is one."""
        writer, self.writer = self.writer, None
        idle, self._idle = self._idle, None
        self._checkpointer = None
        if writer is None or os.getpid() != self.process:
            return
        self._write_pending(writer)
        if idle is not None:
            if writer.state is not SessionState.COMPLETED:
                self._guarded(lambda: idle.finish(self.settings.save_at_end_seconds))
            idle.close()
        writer.append(p.RunEnded(reason=reason))
        if writer.state is SessionState.RUNNING:
            writer.append(p.SessionPaused(reason=reason))
        writer.close()

    # -- the cell's life ---------------------------------------------------------------

    @_fenced
    def pre_run_cell(self, info: Any) -> None:
        """IPython is about to run a cell."""
        stack = self._running.setdefault(threading.get_ident(), [])
        # As many cells are open on this thread as there are frames; more on our side are left
        # over from a call of ours that failed.
        frames = cells.enclosing_cells()
        depth = len(frames)
        if depth == len(stack) and stack[-1] is not None and stack[-1].info is info:
            step = stack[-1]  # begun by a call that was interrupted
        else:
            del stack[max(depth - 1, 0) :]
            python = cells.transformed_source(self.shell, info)
            stack.append(None)
            if self._idle is not None and depth == 1:
                self._idle.cell_begins()
            if depth > 1 or self.paused or cells.is_about_sessions(python):
                return
            step = _OpenStep(info, self._tap.cell_key(), python)
            step.store_history = bool(info.store_history) and not info.silent
            if step.store_history:
                step.execution_count = self._execution_count(frames)
            stack[-1] = step
        with self._lock:
            self._begin(self._session(), step)
        step.began = time.perf_counter()

    def _begin(self, writer: SessionWriter, step: _OpenStep) -> None:
        if not step.number:
            step.number = writer.last_step + 1
        if writer.last_step < step.number:
            self._write_start(writer, step)
        self.head_step = step.number
        if step.key is not None:
            self._step_of[step.key] = step
            while len(self._step_of) > _REMEMBERED_CELLS:
                self._step_of.popitem(last=False)
        # From here on the cell is recorded; what fails below costs a detail, not the step.
        self._guarded(self._names.begin)
        step.before = self._names.names
        self._guarded(self._tap.begin)
        self._guarded(self._effects.begin)

    def _write_start(self, writer: SessionWriter, step: _OpenStep) -> None:
        info = step.info
        source, redacted = self.redactor.text(info.raw_cell)
        transformed = None
        if step.python is not None and step.python.rstrip("\n") != info.raw_cell.rstrip("\n"):
            transformed, _ = self.redactor.text(step.python)
            transformed = None if transformed.rstrip("\n") == source.rstrip("\n") else transformed
        writer.append(
            p.StepStarted(
                step=step.number,
                parent=self.head_step,
                source=source,
                transformed=transformed,
                cell_id=getattr(info, "cell_id", None),
                notebook=cells.notebook_path(self.shell.user_ns),
                execution_count=step.execution_count,
                store_history=step.store_history,
                redacted=redacted,
            )
        )

    def _guarded(self, part: Callable[[], _Part], default: _Part | None = None) -> _Part | None:
        """A part of a step's record: where it fails, the rest of the record is written."""
        try:
            return part()
        except Exception:  # noqa: BLE001 - told and logged
            self.internal_error()
            return default

    def _execution_count(self, frames: list[FrameType]) -> int:
        """The count of the cell that runs in ``frames``. IPython ≥ 9.18 has advanced its own
        already, older ones do at the cell's end.
        """
        for frame in frames[:1]:
            known = frame.f_locals
            if "execution_count" in known:
                return int(known["execution_count"])
        return int(self.shell.execution_count)

    @_fenced
    def post_run_cell(self, result: Any) -> None:
        """IPython has run a cell. ``result`` is None where it was cancelled."""
        stack = self._running.get(threading.get_ident())
        if not stack:
            return  # a blank cell, or the one that loaded us
        step = stack[-1]
        if step is not None:
            try:
                self._finish(step, result)
            except Exception:
                stack.pop()  # a fault of ours must not make the next cell look nested
                raise
            step.forget()
        stack.pop()
        if not stack:
            del self._running[threading.get_ident()]
            if self._idle is not None and not self._running:
                self._idle.cell_ended()
            if self.next_execution_count is not None:
                # Set by a resume; only now has IPython stopped counting the cell that resumed.
                self.shell.execution_count = self.next_execution_count
                self.next_execution_count = None
        self._say_notices()

    def _finish(self, step: _OpenStep, result: Any) -> None:
        """Write the end of a step. Repeatable: an interrupted call is made again."""
        if step.duration is None:
            step.duration = time.perf_counter() - step.began
        self._guarded(self._tap.end)
        if step.seen is None:
            step.seen = self._guarded(self._effects.end, EffectsSeen())
        writer = self.writer
        if writer is None:
            return
        self._guarded(self._write_pending)
        if step.changes is None:
            step.changes = self._guarded(lambda: self._changes(step), _Changes())
        changes = step.changes or _Changes()
        count = getattr(result, "execution_count", None)
        if not step.finished:
            # First what it did outside: a kernel that is killed after the end is written must not
            # leave a step that looks as if it could be run again without harm.
            self._guarded(lambda: self._write_effects(writer, step, step.seen or EffectsSeen()))
            outcome, error = self._outcome(step, result)
            writer.append(
                p.StepFinished(
                    step=step.number,
                    outcome=outcome,
                    duration=step.duration,
                    execution_count=count if step.store_history and count else step.execution_count,
                    error=error,
                    bound=sorted(changes.bound),
                    deleted=sorted(changes.deleted),
                    reads=sorted(changes.reads),
                )
            )
            step.finished = True
            # What another thread was just about to hand over when we wrote the outputs, and
            # that `hear` left to us because the step had not finished.
            self._guarded(self._write_pending)
        self._guarded(lambda: self._save_values(writer, step, changes, count))
        writer.log.acknowledge()

    def _changes(self, step: _OpenStep) -> _Changes:
        """What the cell did to names, from its code and from the namespace."""
        names = cell_names(step.python or "")
        bound, deleted = self._names.end()
        users = self._names.names
        bound |= names.bound & users
        reachable, unbounded = reachable_names(names.reads | names.bound, self.shell.user_ns)
        reachable = users if unbounded or names.unbounded else reachable & users
        # What it bound without reading it was not there to be read.
        reads = (reachable & step.before) | (names.reads & users)
        return _Changes(
            frozenset(bound), frozenset(deleted), reads - (names.bound - names.reads), reachable
        )

    def _save_values(
        self, writer: SessionWriter, step: _OpenStep, changes: _Changes, count: int | None
    ) -> None:
        checkpointer = self._checkpointer
        if checkpointer is None or not self.settings.save_values:
            return
        record, blobs = checkpointer.after_step(
            step.number,
            self.shell.user_ns,
            bound=changes.bound,
            reachable=changes.reachable,
            deleted=changes.deleted,
            duration=step.duration or 0.0,
            execution_count=count,
        )
        if record is not None:
            writer.append(record, blobs=blobs)
            checkpointer.appended()
        if self._idle is not None:
            self._idle.step_saved(step.number, checkpointer.touched, checkpointer.left_over)

    def _outcome(self, step: _OpenStep, result: Any) -> tuple[Outcome, p.StepError | None]:
        """From the result and from the ``error`` that was shown: a repr that raises shows an
        error while the result says success, and a cancelled cell has no result.
        """
        raised = None
        if result is not None:
            raised = result.error_before_exec or result.error_in_exec
        if isinstance(raised, KeyboardInterrupt) or (result is None and step.error is None):
            return Outcome.INTERRUPTED, self._step_error(step, raised)
        if raised is None and step.error is None:
            return Outcome.OK, None
        if raised is None and step.error is not None and step.error["ename"] == "KeyboardInterrupt":
            return Outcome.INTERRUPTED, self._step_error(step, raised)
        return Outcome.ERROR, self._step_error(step, raised)

    def _step_error(self, step: _OpenStep, raised: BaseException | None) -> p.StepError | None:
        shown = step.error
        if shown is not None:
            lines, _ = self.redactor.value(shown["traceback"])
            value, _ = self.redactor.text(shown["evalue"])
            return p.StepError(ename=shown["ename"], evalue=value, traceback=lines)
        if raised is None:
            return None
        value, _ = self.redactor.text(str(raised))
        lines, _ = self.redactor.value(
            traceback.format_exception(type(raised), raised, raised.__traceback__)
        )
        return p.StepError(ename=type(raised).__name__, evalue=value, traceback=lines)

    def _write_effects(self, writer: SessionWriter, step: _OpenStep, seen: EffectsSeen) -> None:
        self._git.check_moved()
        git = self._git.poll()
        packages = self._packages.new()
        happened = (
            seen.reads or seen.writes or seen.deleted or seen.processes or seen.connections
            or seen.environ_changed or seen.cwd or git or packages or step.asked_input
        )  # fmt: skip
        if not happened:
            return
        files = describe_files(
            seen.reads, seen.writes, seen.deleted, budget_seconds=self.settings.digest_seconds
        )
        writer.append(
            p.StepEffects(
                step=step.number,
                files=files,
                processes=[
                    ProcessUse(command=self.redactor.text(command)[0]) for command in seen.processes
                ],
                connections=[
                    Connection(kind=kind, address=self.redactor.text(address)[0])
                    for kind, address in seen.connections
                ],
                packages=packages,
                git=git,
                cwd=seen.cwd,
                environ_changed=list(seen.environ_changed),
                asked_input=step.asked_input,
                omitted=seen.omitted,
            )
        )

    # -- outputs -----------------------------------------------------------------------

    def hear(self, key: str | None, event: dict[str, Any]) -> None:
        """An output arrived, from whatever thread. Only noted here; `_write_pending` writes."""
        if event["event"] == "unheard":
            _logger.error("an output could not be recorded", exc_info=event["error"])
            return
        step = self._step_of.get(key) if key is not None else None
        if step is None or self._detached:
            return  # not a step's: a cell with nothing but %session, or before we listened
        if event["event"] == "input":
            step.asked_input = True
            return
        output = event.get("output")
        if output is not None and output["output_type"] == "error":
            step.error = output
        with self._lock:
            self._pending.append((step.number, event))
        if step.finished:
            self._write_pending()  # a late output: nobody else will wait for it
            return
        if self._pump is None:
            self._pump = threading.Thread(
                target=self._pump_outputs, name="ipysession-outputs", daemon=True
            )
            self._pump.start()
        self._pump_wake.set()

    def _pump_outputs(self) -> None:
        while not self._detached:
            self._pump_wake.wait()
            self._pump_wake.clear()
            time.sleep(_BATCH_SECONDS)
            try:
                self._write_pending()
            except Exception:  # noqa: BLE001 - told and logged; the next batch may do
                self.internal_error()

    def _write_pending(self, writer: SessionWriter | None = None) -> None:
        writer = writer or self.writer
        with self._lock:
            pending, self._pending = self._pending, []
            if writer is None or not pending:
                return
            batches: dict[int, list[dict[str, Any]]] = {}
            for step, event in pending:
                batches.setdefault(step, []).append(event)
            for step, events in batches.items():
                clean, redacted = self.redactor.value(merge_streams(events))
                self._append_outputs(writer, step, clean, redacted)

    def _append_outputs(
        self,
        writer: SessionWriter,
        step: int,
        events: list[dict[str, Any]],
        redacted: dict[str, int],
    ) -> None:
        try:
            writer.append(p.StepOutput(step=step, events=events, redacted=redacted))
        except TypeError:
            # A library put something into a display that JSON does not know; Jupyter would
            # have turned it into text on the way, so we do too.
            plain = json.loads(json.dumps(events, default=str))
            writer.append(p.StepOutput(step=step, events=plain, redacted=redacted))

    # -- the session -------------------------------------------------------------------

    def _session(self) -> SessionWriter:
        """The session that steps go to; the first step creates it."""
        if self.writer is None:
            notebook = cells.notebook_path(self.shell.user_ns)
            title = Path(notebook).stem if notebook else f"{self.frontend} session"
            created = p.SessionCreated(
                session="",
                title=title,
                notebook=notebook,
                user=_user(),
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
        self._checkpointer = Checkpointer(
            writer.blobs,
            seconds=self.settings.save_seconds,
            share=self.settings.save_share,
            max_bytes=self.settings.save_max_bytes,
        )
        if self.settings.save_when_idle:
            self._idle = IdleSaver(
                self._checkpointer, self.shell.user_ns, writer.append, self._others_run
            )
        self.writer = writer

    def _others_run(self) -> bool:
        """Do threads of the user's, or tasks made in cells, go on while the kernel is idle?"""
        threads = (
            thread
            for thread in threading.enumerate()
            if thread not in self._threads and not thread.name.startswith("ipysession")
        )
        return any(threads) or any(
            getattr(getattr(task.get_coro(), "cr_frame", None), "f_globals", None)
            is self.shell.user_ns
            for task in _tasks(self._loop)
        )

    def environment(self) -> Environment:
        """The environment as it is now."""
        kernel = sys.modules.get("ipykernel")
        return describe_environment(
            frontend=self.frontend,
            ipython=IPython.__version__,
            ipykernel=getattr(kernel, "__version__", None),
            version=ipysession.__version__,
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
        self.head_step = head_step or None
        self.paused = False
        self._take(writer)
        return writer

    @property
    def waiting_to_be_saved(self) -> list[str]:
        """Variables that did not fit into a step's budget and wait for the kernel to be idle."""
        return [] if self._idle is None else self._idle.waiting

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

    def save_replayed(self, names: Collection[str], seconds: float) -> None:
        """After a resume: save what was replayed, ``seconds`` of cells' time. It counts as the
        last replay's, or is left as it was where that fails.
        """
        changes = _Changes(bound=frozenset(names), reachable=frozenset(names))
        step = _OpenStep(None, None, None, number=self.recording().last_step, duration=seconds)
        self._guarded(lambda: self._save_values(self.recording(), step, changes, None))

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
        self._write_pending()
        writer.append(p.SessionCompleted(reason=reason))
        self.close_session("completed")
        self.head_step = None
        self.paused = False
        return writer.id

    # -- telling -----------------------------------------------------------------------

    def _on_trouble(self, error: OSError | None) -> None:
        """The disk refuses, or takes again. Told at the end of the cell, in the notebook."""
        if error is None:
            self._notices.append("ipysession: the disk takes records again; nothing was lost.")
        else:
            self._notices.append(
                f"ipysession: THE SESSION LOG CANNOT BE WRITTEN: {error.strerror or error}. "
                f"Records are kept in memory and tried again; free some space in "
                f"{self.store.path}. Your cells are not affected."
            )

    def _say_notices(self) -> None:
        while self._notices:
            self._tap.say(self._notices.pop(0))

    def internal_error(self) -> None:
        """An exception of ours is being handled: log it, tell it once."""
        _logger.error("an internal error; recording goes on\n%s", traceback.format_exc())
        last = traceback.format_exc(limit=-1).strip().splitlines()[-1]
        self.tell_once(
            "internal",
            f"ipysession: an internal error ({last}); this step may be incomplete in the log, "
            "recording goes on. Please report it with the kernel's log.",
        )

    def tell_once(self, topic: str, text: str) -> None:
        """Show ``text`` in the notebook, the first time for ``topic``."""
        if topic not in self._told:
            self._told.add(topic)
            try:
                self._tap.say(text)
            except Exception:  # the frontend is gone; the kernel's log has it
                _logger.exception("a notice could not be shown: %s", text)


def _tasks(loop: asyncio.AbstractEventLoop | None) -> set[asyncio.Task[Any]]:
    return set() if loop is None else asyncio.all_tasks(loop)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no such user in the system's tables
        return ""
