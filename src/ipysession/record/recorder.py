"""From IPython's events to records: every executed cell once, as it runs.

A hook of ours never breaks, delays or changes a cell: every callback is fenced, an internal
error is told once, and recording goes on.
"""

from __future__ import annotations

import functools
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from jupyter_core.paths import jupyter_runtime_dir

from ipysession.lineage import cell_names, reachable_names
from ipysession.record import cells
from ipysession.record.effects import EffectsSeen, EffectsWatch
from ipysession.record.environment import GitWatch, PackageWatch
from ipysession.record.keeper import SessionKeeper
from ipysession.record.lineage import LineageWatch
from ipysession.record.namespace import NamespaceWatch
from ipysession.record.notices import fenced
from ipysession.record.steps import Changes, OpenStep, effects_record, end_record, start_record

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import FrameType

    from ipysession.model import Step
    from ipysession.settings import Recording
    from ipysession.store import SessionWriter, Store


class Recorder(SessionKeeper):
    """Records one kernel's cells into the session that it keeps. One per shell.

    `attach` begins to listen, `detach` ends it.
    """

    def __init__(self, shell: Any, store: Store, settings: Recording) -> None:
        super().__init__(shell, store, settings)
        self.next_execution_count: int | None = None
        self._running: dict[int, list[OpenStep | None]] = {}
        self._asks = False
        """The cell that runs only asks how the session stands: saving goes on beside it."""
        self._came_meanwhile: set[str] = set()
        """Names that arrived while a cell ran."""
        self._detached = True
        self._effects = EffectsWatch(ignored=self._ignored_folders())
        self._packages = PackageWatch()
        self._git = GitWatch(Path.cwd())
        self._names = NamespaceWatch(shell.user_ns, shell.user_ns_hidden)
        self._lineage = LineageWatch(
            shell.user_ns, expand=shell.transform_cell, others_run=self._others.run
        )

    def _ignored_folders(self) -> tuple[Path, ...]:
        folders = [self.store.path, Path(jupyter_runtime_dir())]
        profile = getattr(self.shell, "profile_dir", None)
        if profile is not None:
            folders.append(Path(profile.location))
        return tuple(folders)

    def adopt_things(self, things: Collection[str]) -> None:
        """After a resume: what the steps wrote on which the session now stands, hidden things and
        files among it; see `Graph.things`. The next steps can depend on them.
        """
        self.notices.guarded(lambda: self._lineage.adopt(things))

    # -- listening ---------------------------------------------------------------------

    def attach(self) -> None:
        """Begin to listen. A cell that loads the extension is recorded from here on, too."""
        self._detached = False
        self._open()
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
        self._warming.wait()
        for name in ("pre_run_cell", "post_run_cell"):
            callback = getattr(self, name)
            if callback in self.shell.events.callbacks[name]:
                self.shell.events.unregister(name, callback)
        self._tap.end()
        self._outbox.write()
        self._tap.remove()
        self._effects.stop()
        self._outbox.close()
        self.close_session(reason)

    # -- the cell's life ---------------------------------------------------------------

    def names_came(self, names: Collection[str]) -> None:
        """Values arrived in the namespace, perhaps while a cell runs: none of its doing."""
        if self._running:
            self._names.came(names)
            self._came_meanwhile.update(names)

    @fenced
    def pre_run_cell(self, info: Any) -> None:
        """IPython is about to run a cell."""
        self._warming.wait()
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
            if depth == 1:
                self._asks = cells.only_asks(python)
            if self._idle is not None and depth == 1 and not self._asks:
                self._idle.cell_begins(functools.partial(self._reach, python))
            if depth > 1 or self.paused or cells.is_about_sessions(python):
                return
            step = OpenStep(info, self._tap.cell_key(), python)
            step.store_history = bool(info.store_history) and not info.silent
            if step.store_history:
                step.execution_count = self._execution_count(frames)
            stack[-1] = step
        with self._outbox.lock:
            self._begin(self._session(), step)
        step.began = time.perf_counter()

    def _reach(self, python: str | None) -> frozenset[str] | None:
        """The names that a cell may change, None for all: asked where values are being saved."""
        if cells.only_asks(python):
            return frozenset()
        from ipysession.checkpoint.modules import keep_state  # here, as in `_make_savers`

        if python is None or cells.is_about_sessions(python):
            return None
        names = cell_names(python)
        reachable, unbounded = reachable_names(names.reads | names.bound, self.shell.user_ns)
        if unbounded or names.unbounded or keep_state(reachable, self.shell.user_ns):
            return None
        return reachable | names.deleted

    def _begin(self, writer: SessionWriter, step: OpenStep) -> None:
        if not step.number:
            step.number = writer.last_step + 1
        if writer.last_step < step.number:
            writer.append(start_record(step, self.head_step, self.shell.user_ns, self.redactor))
        self.head_step = step.number
        self._outbox.expect(step)
        # From here on the cell is recorded; what fails below costs a detail, not the step.
        guarded = self.notices.guarded
        came = (guarded(self._names.begin, set[str]()) or set()) | self._came_meanwhile
        self._came_meanwhile = set()
        step.before = self._names.names
        guarded(lambda: self._lineage.begin(step.python or "", step.before, came))
        guarded(self._tap.begin)
        guarded(self._effects.begin)

    @property
    def in_step(self) -> bool:
        """Is the cell that runs on this thread a step?"""
        return any(self._running.get(threading.get_ident(), ()))

    def run_again(self, old: Step, run: Callable[[Any], Any]) -> int:
        """Run the cell of ``old`` again as a step of its own, inside a cell that is none. ``run``
        gets what IPython tells of a cell, runs it, and returns IPython's result. Returns the
        number of the new step.
        """
        info = SimpleNamespace(raw_cell=old.source, cell_id=old.cell_id)
        python = cells.transformed_source(self.shell, info)
        step = OpenStep(info, self._tap.cell_key(), python)
        step.execution_count, step.store_history = old.execution_count, old.store_history
        step.rerun_of = old.number
        with self._outbox.lock:
            self._begin(self.recording(), step)
        step.began = time.perf_counter()
        result = None
        try:
            result = run(info)
        finally:
            self._finish(step, result)
            self._outbox.forget(step)
        step.forget()
        return step.number

    def _execution_count(self, frames: list[FrameType]) -> int:
        """The count of the cell that runs in ``frames``. IPython ≥ 9.18 has advanced its own
        already, older ones do at the cell's end.
        """
        for frame in frames[:1]:
            known = frame.f_locals
            if "execution_count" in known:
                return int(known["execution_count"])
        return int(self.shell.execution_count)

    @fenced
    def post_run_cell(self, result: Any) -> None:
        """IPython has run a cell. ``result`` is None where it was cancelled."""
        stack = self._running.get(threading.get_ident())
        if not stack:
            return  # a blank cell, or the one that loaded us
        step = stack[-1]
        if step is not None:
            try:
                self._finish(step, result)
            except Exception:  # a fault of ours must not make the next cell look nested
                stack.pop()
                raise
            step.forget()
        stack.pop()
        if not stack:
            del self._running[threading.get_ident()]
            if self._idle is not None and not self._running and not self._asks:
                self._idle.cell_ended()
            if self.next_execution_count is not None:
                # Set by a resume; only now has IPython stopped counting the cell that resumed.
                self.shell.execution_count = self.next_execution_count
                self.next_execution_count = None
        self.notices.say_waiting()

    def _finish(self, step: OpenStep, result: Any) -> None:
        """Write the end of a step. Repeatable: an interrupted call is made again."""
        guarded = self.notices.guarded
        if step.duration is None:
            step.duration = time.perf_counter() - step.began
        guarded(self._tap.end)
        if step.seen is None:
            step.seen = guarded(self._effects.end, EffectsSeen())
        writer = self.writer
        if writer is None:
            return
        # What is written here is written at once, in one go, unless saving its values may take time
        # or crash: then what the cell did is in the log first.
        guarded(lambda: self._outbox.write(later=True))
        if step.changes is None:
            step.changes = guarded(lambda: self._changes(step, result), Changes())
        changes = step.changes or Changes()
        if not step.finished:
            # First what it did outside: a kernel that is killed after the end is written must not
            # leave a step that looks as if it could be run again without harm.
            guarded(lambda: self._write_effects(writer, step, step.seen or EffectsSeen()))
            writer.append(end_record(step, result, changes, self.redactor), later=True)
            step.finished = True
            # What another thread was just about to hand over when we wrote the outputs, and
            # that `hear` left to us because the step had not finished.
            guarded(self._outbox.write)
        guarded(
            lambda: self._save_values(
                writer,
                step.number,
                changes,
                duration=step.duration or 0.0,
                execution_count=getattr(result, "execution_count", None),
            )
        )
        writer.log.flush()
        writer.log.acknowledge()

    def _changes(self, step: OpenStep, result: Any) -> Changes:
        """What the cell did to names and to what lies behind them."""
        bound, deleted = self._names.end()
        ok = step.error is None and bool(getattr(result, "success", False))
        found = self.notices.guarded(
            lambda: self._lineage.end(
                bound=bound,
                deleted=deleted,
                users=self._names.names,
                seen=step.seen or EffectsSeen(),
                ok=ok,
                count=step.execution_count,
            )
        )
        if found is None:
            return self._by_code(step, bound, deleted)
        return Changes(
            found.bound,
            found.deleted,
            found.reads,
            found.reachable,
            found.lineage,
            exact=True,
            inert=found.inert,
            still=found.still and (step.seen is None or step.seen.cwd is None),
        )

    def _by_code(self, step: OpenStep, bound: set[str], deleted: set[str]) -> Changes:
        """The same from its code alone, more rather than less: where nothing better is known."""
        names = cell_names(step.python or "")
        users = self._names.names
        reachable, unbounded = reachable_names(names.reads | names.bound, self.shell.user_ns)
        reachable = users if unbounded or names.unbounded else reachable & users
        # What it bound without reading it was not there to be read.
        reads = (reachable & step.before) | (names.reads & users)
        return Changes(
            frozenset(bound | (names.bound & users)),
            frozenset(deleted),
            reads - (names.bound - names.reads),
            reachable,
        )

    def _write_effects(self, writer: SessionWriter, step: OpenStep, seen: EffectsSeen) -> None:
        self._git.check_moved(likely=bool(seen.processes or seen.writes or seen.deleted))
        record = effects_record(
            step,
            seen,
            self.redactor,
            git=self._git.poll(),
            packages=self._packages.new(),
            digest_seconds=self.settings.digest_seconds,
            lineage=None if step.changes is None else step.changes.lineage,
        )
        if record is not None:
            writer.append(record, later=True)
