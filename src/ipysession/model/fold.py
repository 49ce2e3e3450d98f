"""From records to a session. The only place that knows what a record does to a session."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ipysession.errors import InvalidTransition
from ipysession.model import payloads as p
from ipysession.model.provenance import Provenance
from ipysession.model.session import Note, Run, Session, Step, Summary, Transition
from ipysession.model.state import Outcome, SessionState, advance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ipysession.model.records import Record

_TARGETS: dict[type[Any], SessionState] = {
    p.RunStarted: SessionState.RUNNING,
    p.SessionPaused: SessionState.PAUSED,
    p.SessionResumed: SessionState.RUNNING,
    p.SessionCompleted: SessionState.COMPLETED,
    p.SessionFailed: SessionState.FAILED,
}

_REMARKS = frozenset(
    {p.SessionTitled, p.SessionTagged, p.SessionUntagged, p.NoteAdded, p.CheckpointsDropped}
)
"""What may be said of a session, or tidied away in it, long after it was worked in."""


class SummaryFold:
    """Folds records into a `Summary`, in constant memory and time per record.

    The writer of a session keeps one beside its log: `check` says whether a record may be
    appended, `apply` takes it in.
    """

    def __init__(self) -> None:
        self.state: SessionState = SessionState.CREATED
        self.problems: list[str] = []
        self.last_step = 0
        self.last_run = 0
        self.records = 0
        self._first_time = ""
        self._last_time = ""
        self._open: set[int] = set()
        self._replays: set[int] = set()
        self._fields: dict[str, Any] = {}
        self._tags: dict[str, None] = {}
        self._cell_seconds = 0.0
        self._steps = 0
        self._failures = 0
        self._handlers: dict[type[Any], Callable[[Record, Any], None]] = {
            p.SessionCreated: self._session_created,
            p.RunStarted: self._run_started,
            p.StepStarted: self._step_started,
            p.StepFinished: self._step_finished,
            p.SessionPaused: self._transition,
            p.SessionResumed: self._transition,
            p.SessionCompleted: self._transition,
            p.SessionFailed: self._transition,
            p.SessionImported: self._imported,
            p.SessionTitled: self._titled,
            p.SessionTagged: self._tagged,
            p.SessionUntagged: self._untagged,
        }

    def check(self, payload: p.Payload) -> None:
        """Raise InvalidTransition if ``payload`` may not follow; change nothing."""
        target = _TARGETS.get(type(payload))
        if target is None:
            return
        # The first run starts the session; each later one follows a `session.resumed`.
        if self.state is SessionState.RUNNING and isinstance(payload, p.RunStarted):
            return
        if self.state is SessionState.PAUSED and isinstance(payload, p.RunStarted):
            message = "a run cannot start in a paused session: resume it first"
            raise InvalidTransition(message)
        advance(self.state, target)

    def apply(self, record: Record) -> None:
        """Take in one record. A contradiction is noted in ``problems``, never guessed over."""
        self.records += 1
        time, payload = record.t, record.payload
        if time > self._last_time and type(payload) not in _REMARKS:
            self._last_time = time
            self._first_time = self._first_time or time
        handler = self._handlers.get(type(payload))
        if handler is not None:
            handler(record, payload)

    def _transition(self, record: Record, payload: p.Payload) -> None:
        try:
            self.check(payload)
        except InvalidTransition as error:
            self.problems.append(f"record {record.seq}: {error}")
        target = _TARGETS[type(payload)]
        if target is not self.state:
            self.state = target
            self._fields["reason"] = getattr(payload, "reason", "")

    def _session_created(self, _: Record, payload: p.SessionCreated) -> None:
        self._fields.update(
            id=payload.session,
            title=payload.title,
            notebook=payload.notebook,
            parent=payload.parent,
            user=payload.user,
            host=payload.host,
        )

    def _run_started(self, record: Record, payload: p.RunStarted) -> None:
        self._transition(record, payload)
        self._open.clear()
        self.last_run = max(self.last_run, payload.number)
        self._fields["kernel_id"] = payload.kernel_id
        self._fields["cwd"] = payload.environment.cwd
        if payload.notebook:
            self._fields["notebook"] = payload.notebook

    def _step_started(self, _: Record, payload: p.StepStarted) -> None:
        step = payload.step
        self.last_step = max(self.last_step, step)
        self._open.add(step)
        if payload.replay_of is None:
            self._steps += 1
        else:
            self._replays.add(step)
        if payload.notebook:
            self._fields["notebook"] = payload.notebook

    def _step_finished(self, _: Record, payload: p.StepFinished) -> None:
        step = payload.step
        self._open.discard(step)
        self._cell_seconds += payload.duration
        if step in self._replays:
            self._replays.discard(step)
        elif payload.outcome is not Outcome.OK:
            self._failures += 1

    def _imported(self, _: Record, payload: p.SessionImported) -> None:
        self._fields["imported"] = payload.origin

    def _titled(self, _: Record, payload: p.SessionTitled) -> None:
        self._fields["title"] = payload.title

    def _tagged(self, _: Record, payload: p.SessionTagged) -> None:
        self._tags[payload.tag] = None

    def _untagged(self, _: Record, payload: p.SessionUntagged) -> None:
        self._tags.pop(payload.tag, None)

    def summary(self, *, alive: bool, fallback_id: str = "") -> Summary:
        """The summary so far. ``alive``: does a living process write the session?

        ``fallback_id`` names the session where its first record is damaged.
        """
        state = self.state
        if state is SessionState.RUNNING and not alive:
            state = SessionState.INTERRUPTED
        fields = {"id": fallback_id, "title": fallback_id, **self._fields}
        times = (self._first_time or _EPOCH, self._last_time or _EPOCH)
        first, last = (datetime.fromisoformat(time) for time in times)
        return Summary(
            **fields,
            state=state,
            tags=tuple(self._tags),
            created=first,
            updated=last,
            steps=self._steps,
            failures=self._failures,
            runs=self.last_run,
            busy=max(self._open, default=None),
            cell_seconds=self._cell_seconds,
            records=self.records,
        )


_EPOCH = "1970-01-01T00:00:00Z"
"""The time of a session without a single record."""


class _StepDraft:
    """What is known of a step while the fold is under way."""

    __slots__ = ("effects", "events", "finished", "finished_at", "run", "started", "started_at")

    def __init__(self, started: p.StepStarted, record: Record) -> None:
        self.started = started
        self.started_at = record.t
        self.run = record.run
        self.events: list[dict[str, Any]] = []
        self.effects: list[p.StepEffects] = []
        self.finished: p.StepFinished | None = None
        self.finished_at = ""


class _SessionFold(SummaryFold):
    """Folds records into all parts of a `Session`."""

    def __init__(self) -> None:
        super().__init__()
        self.drafts: dict[int, _StepDraft] = {}
        self.runs: list[Run] = []
        self.notes: list[Note] = []
        self.transitions: list[Transition] = []
        self.checkpoints: list[p.CheckpointSaved] = []
        self.dropped: set[int] = set()
        self.unknown: list[str] = []
        self.head: int | None = None
        self._handlers |= {
            p.StepOutput: self._step_output,
            p.StepEffects: self._step_effects,
            p.CheckpointSaved: self._checkpoint_saved,
            p.CheckpointsDropped: self._checkpoints_dropped,
            p.RunEnded: self._run_ended,
            p.NoteAdded: self._note_added,
            p.SessionMoved: self._moved,
            p.UnknownPayload: self._unknown,
        }

    def _step_started(self, record: Record, payload: p.StepStarted) -> None:
        super()._step_started(record, payload)
        if payload.step in self.drafts:
            self.problems.append(f"record {record.seq}: step {payload.step} starts twice")
        else:
            self.drafts[payload.step] = _StepDraft(payload, record)
            if payload.replay_of is None:
                self.head = payload.step

    def _draft(self, record: Record, step: int) -> _StepDraft | None:
        draft = self.drafts.get(step)
        if draft is None:
            self.problems.append(f"record {record.seq}: step {step} has no start")
        return draft

    def _step_output(self, record: Record, payload: p.StepOutput) -> None:
        draft = self._draft(record, payload.step)
        if draft is not None:
            draft.events.extend(payload.events)

    def _step_effects(self, record: Record, payload: p.StepEffects) -> None:
        draft = self._draft(record, payload.step)
        if draft is not None:
            draft.effects.append(payload)
        if payload.git is not None and self.runs and self.runs[-1].environment.git is None:
            # Git is asked in the background, so its first answer comes with a step.
            environment = self.runs[-1].environment.model_copy(update={"git": payload.git})
            self.runs[-1] = self.runs[-1].model_copy(update={"environment": environment})

    def _step_finished(self, record: Record, payload: p.StepFinished) -> None:
        super()._step_finished(record, payload)
        draft = self._draft(record, payload.step)
        if draft is not None:
            draft.finished, draft.finished_at = payload, record.t

    def _checkpoint_saved(self, _: Record, payload: p.CheckpointSaved) -> None:
        self.checkpoints.append(payload)

    def _checkpoints_dropped(self, _: Record, payload: p.CheckpointsDropped) -> None:
        self.dropped.update(payload.steps)

    def _run_started(self, record: Record, payload: p.RunStarted) -> None:
        super()._run_started(record, payload)
        self.runs.append(
            Run(
                number=payload.number,
                started=record.time,
                kernel_id=payload.kernel_id,
                notebook=payload.notebook,
                environment=payload.environment,
            )
        )

    def _run_ended(self, record: Record, payload: p.RunEnded) -> None:
        # A damaged log may lack the run's start.
        if self.runs and self.runs[-1].number == record.run:
            update = {"ended": record.time, "end_reason": payload.reason}
            self.runs[-1] = self.runs[-1].model_copy(update=update)

    def _note_added(self, record: Record, payload: p.NoteAdded) -> None:
        self.notes.append(Note(text=payload.text, step=payload.step, time=record.time))

    def _moved(self, record: Record, payload: p.SessionMoved) -> None:
        if payload.step and payload.step not in self.drafts:
            self.problems.append(f"record {record.seq}: there is no step {payload.step} to go to")
        else:
            self.head = payload.step

    def _transition(self, record: Record, payload: p.Payload) -> None:
        before = self.state
        super()._transition(record, payload)
        if self.state is not before:
            reason = getattr(payload, "reason", "")
            taken = Transition(state=self.state, reason=reason, time=record.time)
            self.transitions.append(taken)

    def _unknown(self, _: Record, payload: p.UnknownPayload) -> None:
        self.unknown.append(payload.type_name)


def fold(records: Iterable[Record], *, alive: bool = False, fallback_id: str = "") -> Session:
    """Fold ``records`` (ordered by ``seq``) into a Session.

    ``alive`` says whether a living process writes the session: only then is an unfinished
    step running; otherwise its kernel died in it. ``fallback_id`` names the session where
    its first record is damaged.
    """
    parts = _SessionFold()
    for record in records:
        parts.apply(record)
    living_run = parts.last_run if alive else None
    return Session(
        summary=parts.summary(alive=alive, fallback_id=fallback_id),
        steps=tuple(_step(draft, living_run) for draft in parts.drafts.values()),
        runs=tuple(parts.runs),
        notes=tuple(parts.notes),
        transitions=tuple(parts.transitions),
        checkpoints=tuple(parts.checkpoints),
        dropped=frozenset(parts.dropped),
        unknown=tuple(parts.unknown),
        problems=tuple(parts.problems),
        head=parts.head,
    )


_NOTHING = Provenance()
_NAMES_OF_NOTHING: tuple[list[str], ...] = ([], [], [])


def _provenance(draft: _StepDraft) -> Provenance:
    finished, effects, imported = draft.finished, draft.effects, draft.started.imported
    bound, deleted, reads = _NAMES_OF_NOTHING
    exact = False
    if finished is not None:
        bound, deleted, reads = finished.bound, finished.deleted, finished.reads
        exact = finished.exact
    if not effects:
        if not (bound or deleted or reads or exact or imported):
            return _NOTHING
        names = {
            "bound": tuple(bound), "deleted": tuple(deleted), "reads": tuple(reads),
            "exact": exact, "imported": imported,
        }  # fmt: skip
        return Provenance.trusted(_NOTHING.__dict__ | names)
    return Provenance(
        bound=tuple(bound),
        deleted=tuple(deleted),
        reads=tuple(reads),
        files=tuple(use for effect in effects for use in effect.files),
        processes=tuple(use for effect in effects for use in effect.processes),
        connections=tuple(use for effect in effects for use in effect.connections),
        packages={name: v for effect in effects for name, v in effect.packages.items()},
        git=next((effect.git for effect in reversed(effects) if effect.git), None),
        cwd=next((effect.cwd for effect in reversed(effects) if effect.cwd), None),
        environ_changed=tuple(name for effect in effects for name in effect.environ_changed),
        asked_input=any(effect.asked_input for effect in effects),
        imported=imported,
        exact=exact,
        lineage=next((effect.lineage for effect in reversed(effects) if effect.lineage), None),
    )


def _step(draft: _StepDraft, living_run: int | None) -> Step:
    started, finished = draft.started, draft.finished
    fields: dict[str, Any] = {
        "number": started.step,
        "run": draft.run,
        "parent": started.parent,
        "source": started.source,
        "transformed": started.transformed,
        "cell_id": started.cell_id,
        "notebook": started.notebook,
        "execution_count": started.execution_count,
        "store_history": started.store_history,
        "replay_of": started.replay_of,
        "rerun_of": started.rerun_of,
        "started": datetime.fromisoformat(draft.started_at),
        "finished": None,
        "duration": None,
        "outcome": Outcome.RUNNING if draft.run == living_run else Outcome.DIED,
        "error": None,
        "events": tuple(draft.events),
        "provenance": _provenance(draft),
        "redacted": started.redacted,
    }
    if finished is not None:
        fields["finished"] = datetime.fromisoformat(draft.finished_at)
        fields["duration"] = finished.duration
        fields["outcome"] = finished.outcome
        fields["error"] = finished.error
        if finished.execution_count is not None:
            fields["execution_count"] = finished.execution_count
        if finished.redacted:
            fields["redacted"] = dict(Counter(started.redacted) + Counter(finished.redacted))
    return Step.trusted(fields)
