"""From records to a session. The only place that knows what a record does to a session."""

from __future__ import annotations

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

_TARGETS: dict[type[p.Payload], SessionState] = {
    p.SessionPaused: SessionState.PAUSED,
    p.SessionResumed: SessionState.RUNNING,
    p.SessionCompleted: SessionState.COMPLETED,
    p.SessionFailed: SessionState.FAILED,
}


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
        self._open: dict[int, str] = {}
        self._replays: set[int] = set()
        self._fields: dict[str, Any] = {}
        self._tags: dict[str, None] = {}
        self._cell_seconds = 0.0
        self._steps = 0
        self._failures = 0
        self._times = ("", "")

    def check(self, payload: p.Payload) -> None:
        """Raise InvalidTransition if ``payload`` may not follow; change nothing."""
        target = self._target(payload)
        if target is not None:
            advance(self.state, target)

    def _target(self, payload: p.Payload | p.UnknownPayload) -> SessionState | None:
        if isinstance(payload, p.RunStarted):
            # The first run starts the session; later ones follow a `session.resumed`.
            return SessionState.RUNNING if self.state is SessionState.CREATED else None
        return _TARGETS.get(type(payload))  # type: ignore[arg-type]

    def apply(self, record: Record) -> None:
        """Take in one record. A contradiction is noted in ``problems``, never guessed over."""
        payload = record.payload
        target = self._target(payload)
        if target is not None:
            try:
                advance(self.state, target)
            except InvalidTransition as error:
                self.problems.append(f"record {record.seq}: {error}")
            self.state = target
            self._fields["reason"] = getattr(payload, "reason", "")
        self.records += 1
        first, last = self._times
        self._times = (first or record.t, max(last, record.t))
        handler = _SUMMARY_HANDLERS.get(type(payload))
        if handler is not None:
            handler(self, payload)

    def _session_created(self, payload: p.SessionCreated) -> None:
        self._fields.update(
            id=payload.session,
            title=payload.title,
            notebook=payload.notebook,
            parent=payload.parent,
            user=payload.user,
            host=payload.host,
        )

    def _run_started(self, payload: p.RunStarted) -> None:
        self._open.clear()
        self.last_run = max(self.last_run, payload.number)
        self._fields["kernel_id"] = payload.kernel_id
        self._fields["cwd"] = payload.environment.cwd
        if payload.notebook:
            self._fields["notebook"] = payload.notebook

    def _step_started(self, payload: p.StepStarted) -> None:
        self.last_step = max(self.last_step, payload.step)
        self._open[payload.step] = payload.source
        if payload.replay_of is None:
            self._steps += 1
        if payload.notebook:
            self._fields["notebook"] = payload.notebook

    def _step_finished(self, payload: p.StepFinished) -> None:
        self._open.pop(payload.step, None)
        self._cell_seconds += payload.duration
        if payload.outcome is not Outcome.OK:
            self._failures += 1

    def _titled(self, payload: p.SessionTitled) -> None:
        self._fields["title"] = payload.title

    def _tagged(self, payload: p.SessionTagged) -> None:
        self._tags[payload.tag] = None

    def _untagged(self, payload: p.SessionUntagged) -> None:
        self._tags.pop(payload.tag, None)

    def summary(self, *, alive: bool, fallback_id: str = "") -> Summary:
        """The summary so far. ``alive``: does a living process write the session?

        ``fallback_id`` names the session where its first record is damaged.
        """
        state = self.state
        if state is SessionState.RUNNING and not alive:
            state = SessionState.INTERRUPTED
        fields = {"id": fallback_id, "title": fallback_id, **self._fields}
        first, last = (datetime.fromisoformat(t or "1970-01-01T00:00:00Z") for t in self._times)
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


_SUMMARY_HANDLERS: dict[type[Any], Callable[[SummaryFold, Any], None]] = {
    p.SessionCreated: SummaryFold._session_created,  # noqa: SLF001 - a table of own methods
    p.RunStarted: SummaryFold._run_started,  # noqa: SLF001
    p.StepStarted: SummaryFold._step_started,  # noqa: SLF001
    p.StepFinished: SummaryFold._step_finished,  # noqa: SLF001
    p.SessionTitled: SummaryFold._titled,  # noqa: SLF001
    p.SessionTagged: SummaryFold._tagged,  # noqa: SLF001
    p.SessionUntagged: SummaryFold._untagged,  # noqa: SLF001
}


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
        self.finished_at: str | None = None


def fold(records: Iterable[Record], *, alive: bool = False, fallback_id: str = "") -> Session:
    """Fold ``records`` (ordered by ``seq``) into a Session.

    ``alive`` says whether a living process writes the session: only then is an unfinished
    step running; otherwise its kernel died in it.
    """
    totals = SummaryFold()
    drafts: dict[int, _StepDraft] = {}
    runs: list[Run] = []
    notes: list[Note] = []
    transitions: list[Transition] = []
    checkpoints: list[p.CheckpointSaved] = []
    unknown: list[str] = []
    problems = totals.problems
    before = totals.state
    for record in records:
        totals.apply(record)
        payload = record.payload
        if totals.state is not before:
            before = totals.state
            reason = getattr(payload, "reason", "")
            transitions.append(Transition(state=before, reason=reason, time=record.time))
        match payload:
            case p.StepStarted():
                if payload.step in drafts:
                    problems.append(f"record {record.seq}: step {payload.step} starts twice")
                    continue
                drafts[payload.step] = _StepDraft(payload, record)
            case p.StepOutput() | p.StepFinished() | p.StepEffects():
                draft = drafts.get(payload.step)
                if draft is None:
                    problems.append(f"record {record.seq}: step {payload.step} has no start")
                elif isinstance(payload, p.StepOutput):
                    draft.events.extend(payload.events)
                elif isinstance(payload, p.StepEffects):
                    draft.effects.append(payload)
                else:
                    draft.finished, draft.finished_at = payload, record.t
            case p.CheckpointSaved():
                checkpoints.append(payload)
            case p.RunStarted():
                runs.append(
                    Run(
                        number=payload.number,
                        started=record.time,
                        kernel_id=payload.kernel_id,
                        notebook=payload.notebook,
                        environment=payload.environment,
                    )
                )
            case p.RunEnded():
                if runs:
                    runs[-1] = runs[-1].model_copy(
                        update={"ended": record.time, "end_reason": payload.reason}
                    )
            case p.NoteAdded():
                notes.append(Note(text=payload.text, step=payload.step, time=record.time))
            case p.UnknownPayload():
                unknown.append(payload.type_name)
    living_run = totals.last_run if alive else None
    return Session(
        summary=totals.summary(alive=alive, fallback_id=fallback_id),
        steps=tuple(_step(draft, living_run) for draft in drafts.values()),
        runs=tuple(runs),
        notes=tuple(notes),
        transitions=tuple(transitions),
        checkpoints=tuple(checkpoints),
        unknown=tuple(unknown),
        problems=tuple(problems),
    )


_NOTHING = Provenance()


def _provenance(draft: _StepDraft) -> Provenance:
    finished, effects = draft.finished, draft.effects
    if not effects and (finished is None or not (finished.bound or finished.deleted or finished.reads)):
        return _NOTHING
    fields: dict[str, Any] = {
        "bound": tuple(finished.bound) if finished else (),
        "deleted": tuple(finished.deleted) if finished else (),
        "reads": tuple(finished.reads) if finished else (),
    }
    if not effects:
        return Provenance.trusted({**_NOTHING.__dict__, **fields})
    return Provenance(
        **fields,
        files=tuple(use for effect in effects for use in effect.files),
        processes=tuple(use for effect in effects for use in effect.processes),
        connections=tuple(use for effect in effects for use in effect.connections),
        packages={name: v for effect in effects for name, v in effect.packages.items()},
        git=next((effect.git for effect in reversed(effects) if effect.git), None),
        cwd=next((effect.cwd for effect in reversed(effects) if effect.cwd), None),
        environ_changed=tuple(name for effect in effects for name in effect.environ_changed),
        asked_input=any(effect.asked_input for effect in effects),
    )


def _step(draft: _StepDraft, living_run: int | None) -> Step:
    started, finished = draft.started, draft.finished
    if finished is not None:
        outcome = finished.outcome
    else:
        outcome = Outcome.RUNNING if draft.run == living_run else Outcome.DIED
    redacted = dict(started.redacted)
    if finished is not None:
        for kind, count in finished.redacted.items():
            redacted[kind] = redacted.get(kind, 0) + count
    count = started.execution_count
    if finished is not None and finished.execution_count is not None:
        count = finished.execution_count
    return Step.trusted(
        {
            "number": started.step,
            "run": draft.run,
            "parent": started.parent,
            "source": started.source,
            "transformed": started.transformed,
            "cell_id": started.cell_id,
            "notebook": started.notebook,
            "execution_count": count,
            "store_history": started.store_history,
            "replay_of": started.replay_of,
            "started": datetime.fromisoformat(draft.started_at),
            "finished": datetime.fromisoformat(draft.finished_at) if draft.finished_at else None,
            "duration": finished.duration if finished else None,
            "outcome": outcome,
            "error": finished.error if finished else None,
            "events": tuple(draft.events),
            "provenance": _provenance(draft),
            "redacted": redacted,
        }
    )
