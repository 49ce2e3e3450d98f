"""The fold: from records to a session, and the state machine that lives in it."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model.strategies import payloads

from ipysession.errors import InvalidTransition
from ipysession.model import Outcome, Record, Session, SessionState, SummaryFold, fold
from ipysession.model import payloads as p
from ipysession.model.provenance import (
    Connection,
    Environment,
    FileUse,
    GitState,
    ProcessUse,
    Provenance,
)
from ipysession.model.state import ARROWS, advance

ENVIRONMENT = Environment(python="3.11", cwd="/home/me")


def _records(*written: p.Payload | p.UnknownPayload, run: int = 1) -> list[Record]:
    """The payloads as records, a second apart; those after a ``run.started`` have its run."""
    made = []
    for seq, payload in enumerate(written, start=1):
        if isinstance(payload, p.RunStarted):
            run = payload.number
        kind = getattr(payload, "type", "unknown")
        made.append(
            Record(seq, run, f"2026-11-21T09:48:{seq:02}.000000Z", float(seq), kind, payload)
        )
    return made


def _at(second: int) -> datetime:
    return datetime(2026, 11, 21, 9, 48, second, tzinfo=UTC)


CREATED = p.SessionCreated(session="s", title="T", user="me", host="here")
RUN = p.RunStarted(number=1, environment=ENVIRONMENT, kernel_id="k1", notebook="a.ipynb")


def _started(step: int, **fields: object) -> p.StepStarted:
    return p.StepStarted(**{"step": step, "source": f"cell {step}", **fields})


def _finished(step: int, **fields: object) -> p.StepFinished:
    return p.StepFinished(**{"step": step, "outcome": "ok", "duration": 0.5, **fields})


class Oracle:
    """The drawing in ARCHITECTURE, as a table of its own."""

    ALLOWED: ClassVar = {
        ("created", "run"): "running",
        ("running", "run"): "running",
        ("running", "pause"): "paused",
        ("running", "complete"): "completed",
        ("running", "fail"): "failed",
        ("created", "resume"): "running",  # its kernel died before it ran anything
        ("paused", "resume"): "running",
    }
    PAYLOADS: ClassVar = {
        "run": RUN,
        "pause": p.SessionPaused(reason="a"),
        "resume": p.SessionResumed(reason="b"),
        "complete": p.SessionCompleted(reason="c"),
        "fail": p.SessionFailed(reason="d"),
    }


class TestStateMachine:
    """Only the arrows that are drawn exist."""

    @given(st.lists(st.sampled_from(list(Oracle.PAYLOADS)), max_size=12))
    def test_possible_transitions_are_taken_and_impossible_ones_change_nothing(self, wishes):
        """Random wishes, judged by a table that knows nothing of the code."""
        state, totals, taken = "created", SummaryFold(), []
        for wish in wishes:
            payload = Oracle.PAYLOADS[wish]
            target = Oracle.ALLOWED.get((state, wish))
            before = totals.summary(alive=True)
            if target is None:
                with pytest.raises(InvalidTransition):
                    totals.check(payload)
                assert totals.summary(alive=True) == before
                continue
            totals.check(payload)
            taken.append(payload)
            totals.apply(_records(*taken)[-1])
            if target != state:
                assert totals.summary(alive=True).reason == getattr(payload, "reason", "")
            state = target
            assert totals.state == state
        session = fold(_records(*taken), alive=True)
        assert session.summary.state == state
        assert session.problems == ()
        states = [SessionState.CREATED, *(step.state for step in session.transitions)]
        assert all(after in ARROWS[before] for before, after in pairwise(states))

    @given(st.lists(payloads(), max_size=6))
    def test_other_records_never_change_the_state(self, written):
        """Titles, notes, steps: they may stand in any state, also after the end."""
        others = [
            w for w in written if not isinstance(w, tuple(map(type, Oracle.PAYLOADS.values())))
        ]
        for last in (p.SessionCompleted(), p.SessionPaused()):
            totals = SummaryFold()
            for record in _records(CREATED, RUN, last):
                totals.apply(record)
            state = totals.state
            for payload in others:
                totals.check(payload)
                totals.apply(_records(payload)[0])
            assert totals.state is state

    def test_a_contradiction_in_the_log_is_reported_and_followed(self):
        """A forged or damaged log: readers say what is wrong and show the newest state."""
        session = fold(_records(CREATED, RUN, p.SessionCompleted(), p.SessionResumed()), alive=True)
        assert session.summary.state == "running"
        (problem,) = session.problems
        assert problem.startswith("record 4: a completed session cannot become running")

    @pytest.mark.parametrize(
        "state", [s for s in SessionState if s is not SessionState.INTERRUPTED]
    )
    def test_the_message_says_the_way_out(self, state):
        """What happened, to what, and what to do next."""
        with pytest.raises(InvalidTransition, match=f"a {state} session cannot become created: .+"):
            advance(state, SessionState.CREATED)

    def test_no_session_is_ever_recorded_as_interrupted(self):
        """That word is for readers; no arrow leads to it or away."""
        assert SessionState.INTERRUPTED not in ARROWS
        assert all(SessionState.INTERRUPTED not in targets for targets in ARROWS.values())

    def test_running_without_a_living_writer_is_interrupted(self):
        """A killed kernel leaves "running" in the log."""
        log = _records(CREATED, RUN)
        assert fold(log, alive=True).summary.state is SessionState.RUNNING
        assert fold(log, alive=False).summary.state is SessionState.INTERRUPTED
        paused = _records(CREATED, RUN, p.SessionPaused())
        assert fold(paused, alive=False).summary.state is SessionState.PAUSED


class TestSteps:
    """A step gathers all that its records say."""

    def test_a_whole_step(self):
        """Source, outputs, outcome, timing, provenance, redactions."""
        session = fold(
            _records(
                CREATED,
                RUN,
                _started(
                    1, cell_id="c", notebook="a.ipynb", execution_count=7, redacted={"token": 1}
                ),
                p.StepOutput(step=1, events=[{"n": 1}]),
                p.StepOutput(step=1, events=[{"n": 2}, {"n": 3}]),
                p.StepEffects(step=1, packages={"numpy": "2"}, cwd="/tmp", omitted=1),
                _finished(
                    1,
                    outcome="error",
                    execution_count=8,
                    error=p.StepError(ename="E", evalue="v"),
                    bound=["x"],
                    deleted=["y"],
                    reads=["z"],
                    redacted={"token": 2, "password": 1},
                ),
                _started(2, parent=1, transformed="magic()"),
            ),
        )
        first, second = session.steps
        assert (first.number, first.run, first.parent) == (1, 1, None)
        assert first.source == first.python == "cell 1"
        assert (first.cell_id, first.notebook, first.execution_count) == ("c", "a.ipynb", 8)
        assert (first.started, first.finished, first.duration) == (_at(3), _at(7), 0.5)
        assert first.outcome is Outcome.ERROR
        assert first.error == p.StepError(ename="E", evalue="v")
        assert first.events == ({"n": 1}, {"n": 2}, {"n": 3})
        assert first.redacted == {"token": 3, "password": 1}
        assert first.provenance == Provenance(
            bound=("x",), deleted=("y",), reads=("z",), packages={"numpy": "2"}, cwd="/tmp"
        )
        assert (second.parent, second.python) == (1, "magic()")
        assert (second.finished, second.duration, second.error) == (None, None, None)
        assert second.provenance == Provenance()

    def test_names_without_effects(self):
        """The common case."""
        session = fold(_records(_started(1), _finished(1, bound=["x"], reads=["y"])))
        assert session.steps[0].provenance == Provenance(bound=("x",), reads=("y",))

    def test_effects_of_several_records_add_up(self):
        """The newest folder and commit win; lists are joined in order."""
        one = p.StepEffects(
            step=1,
            files=[FileUse(path="a", action="written")],
            processes=[ProcessUse(command="ls")],
            git=GitState(worktree="w", commit="1"),
            cwd="/one",
            environ_changed=["A"],
        )
        two = p.StepEffects(
            step=1,
            files=[FileUse(path="b")],
            connections=[Connection(kind="socket", address="h:1")],
            git=GitState(worktree="w", commit="2"),
            cwd="/two",
            asked_input=True,
        )
        provenance = fold(_records(_started(1), one, two)).steps[0].provenance
        assert [use.path for use in provenance.files] == ["a", "b"]
        assert (provenance.git, provenance.cwd) == (two.git, "/two")
        assert provenance.outside == (
            "wrote a",
            "started ls",
            "connected to h:1",
            "changed the environment variables A",
            "asked for input",
        )

    def test_reading_files_is_nothing_outside(self):
        """It can be repeated without harm; deleting cannot."""
        uses = (FileUse(path="a"), FileUse(path="b", action="deleted"))
        assert Provenance(files=uses).outside == ("deleted b",)
        assert Provenance(files=uses[:1]).outside == ()

    def test_an_unfinished_step_runs_or_died(self):
        """It runs where its kernel lives; else the kernel ended inside it."""
        log = _records(CREATED, RUN, _started(1))
        assert fold(log, alive=True).steps[0].outcome is Outcome.RUNNING
        assert fold(log, alive=False).steps[0].outcome is Outcome.DIED
        later = _records(
            CREATED,
            RUN,
            _started(1),
            p.SessionPaused(),
            p.SessionResumed(),
            p.RunStarted(number=2, environment=ENVIRONMENT),
            _started(2),
        )
        assert [s.outcome for s in fold(later, alive=True).steps] == [Outcome.DIED, Outcome.RUNNING]

    def test_records_of_steps_that_never_started_are_reported(self):
        """A damaged log may lack the start; nothing is made up."""
        session = fold(
            _records(
                p.StepOutput(step=5, events=[{}]),
                p.StepEffects(step=5),
                _finished(5),
            )
        )
        assert session.steps == ()
        assert session.problems == tuple(f"record {n}: step 5 has no start" for n in (1, 2, 3))

    def test_a_step_that_starts_twice_is_reported_and_the_first_counts(self):
        """Only a forged log says so."""
        session = fold(_records(_started(1), _started(1, source="forged")))
        assert [step.source for step in session.steps] == ["cell 1"]
        assert session.problems == ("record 2: step 1 starts twice",)

    def test_a_step_is_found_by_its_number(self):
        """Also where a damaged log lacks some."""
        session = fold(_records(CREATED, _started(1), _started(2), _started(4)))
        assert session.step(2).source == "cell 2"
        assert session.step(4).source == "cell 4"
        for number in (0, 3, -1, 5):
            with pytest.raises(LookupError, match=f"session s has no step {number}"):
                session.step(number)

    def test_steps_are_immutable(self):
        """Like everything that is recorded; copies are copies."""
        (step,) = fold(_records(_started(1), _finished(1))).steps
        with pytest.raises(ValueError):
            step.source = "other"
        copy = step.model_copy(update={"source": "other"})
        assert (copy.source, step.source) == ("other", "cell 1")
        assert type(step).model_validate(step.model_dump()) == step


class TestRunsNotesAndTheRest:
    """What a session has besides steps."""

    def test_runs(self):
        """A run has an end where its kernel said so."""
        second = p.RunStarted(number=2, environment=ENVIRONMENT)
        session = fold(
            _records(
                CREATED,
                RUN,
                p.RunEnded(reason="shutdown"),
                p.SessionPaused(),
                p.SessionResumed(),
                second,
            )
        )
        one, two = session.runs
        assert (one.number, one.started, one.ended, one.end_reason) == (
            1,
            _at(2),
            _at(3),
            "shutdown",
        )
        assert (one.kernel_id, one.notebook, one.environment) == ("k1", "a.ipynb", ENVIRONMENT)
        assert (two.number, two.ended) == (2, None)

    def test_an_end_does_not_count_for_another_run(self):
        """Where a damaged log lacks a run's start, its end says nothing of the run before."""
        end = _records(CREATED, RUN, p.RunEnded())
        assert fold([*end[:2], end[2]._replace(run=2)]).runs[0].ended is None
        assert fold(end[2:]).runs == ()

    def test_notes_checkpoints_and_unknown_records(self):
        """In the order in which they stand."""
        saved = p.CheckpointSaved(step=1)
        session = fold(
            _records(
                CREATED,
                p.NoteAdded(text="n", step=3),
                saved,
                p.UnknownPayload(type_name="mood.changed", raw={}),
                p.BranchCreated(session="t", step=1),
                p.ArtifactSaved(name="a", blob="b", size=1),
            )
        )
        (note,) = session.notes
        assert (note.text, note.step, note.time) == ("n", 3, _at(2))
        assert session.checkpoints == (saved,)
        assert session.unknown == ("mood.changed",)

    def test_transitions_say_why_and_when(self):
        """The history of the session's states."""
        session = fold(_records(CREATED, RUN, p.SessionPaused(reason="lunch")))
        assert [(t.state, t.reason, t.time) for t in session.transitions] == [
            ("running", "", _at(2)),
            ("paused", "lunch", _at(3)),
        ]


class TestSummary:
    """What a listing shows."""

    def test_counts_and_names(self):
        """Steps, failures, runs, times, title, tags, notebook, folder."""
        session = fold(
            _records(
                CREATED,
                RUN,
                _started(1),
                _finished(1, outcome="error"),
                _started(2, notebook="b.ipynb"),
                _finished(2, outcome="interrupted"),
                p.SessionTitled(title="New"),
                p.SessionTagged(tag="x"),
                p.SessionTagged(tag="y"),
                p.SessionTagged(tag="x"),
                p.SessionUntagged(tag="y"),
                p.SessionUntagged(tag="never there"),
                _started(3),
            ),
            alive=True,
        )
        summary = session.summary
        assert (summary.id, session.id, summary.title) == ("s", "s", "New")
        assert (summary.user, summary.host, summary.cwd) == ("me", "here", "/home/me")
        assert (summary.notebook, summary.kernel_id, summary.tags) == ("b.ipynb", "k1", ("x",))
        assert (summary.created, summary.updated) == (_at(1), _at(13))
        assert (summary.steps, summary.failures, summary.runs, summary.records) == (3, 2, 1, 13)
        assert (summary.busy, summary.cell_seconds) == (3, 1.0)
        assert summary.age > datetime.now(UTC) - _at(14)

    def test_replays_count_as_nothing_that_the_user_ran(self):
        """Neither as steps nor as failures."""
        summary = fold(
            _records(
                CREATED, RUN, _started(1, replay_of=9), _finished(1, outcome="error"), _started(2)
            )
        ).summary
        assert (summary.steps, summary.failures, summary.busy) == (1, 0, 2)

    def test_a_branch_names_its_parent(self):
        """The first record says from which step of which session it grows."""
        parent = p.ParentStep(session="other", step=4)
        created = CREATED.model_copy(update={"parent": parent})
        assert fold(_records(created)).summary.parent == parent

    def test_a_new_run_has_nothing_open(self):
        """The cell in which the last kernel died does not keep the next one busy."""
        second = p.RunStarted(number=2, environment=ENVIRONMENT, notebook="c.ipynb")
        log = [CREATED, RUN, _started(1), p.SessionPaused(), p.SessionResumed(), second]
        summary = fold(_records(*log)).summary
        assert (summary.busy, summary.runs, summary.notebook) == (None, 2, "c.ipynb")

    def test_a_log_without_its_first_record_is_named_by_its_folder(self):
        """And one without any record has a beginning all the same."""
        summary = fold(_records(RUN), fallback_id="f").summary
        assert (summary.id, summary.title) == ("f", "f")
        empty = fold([], fallback_id="f").summary
        assert (empty.id, empty.state, empty.records) == ("f", "created", 0)
        assert empty.created == empty.updated == datetime(1970, 1, 1, tzinfo=UTC)

    def test_a_clock_that_goes_backwards_harms_nothing(self):
        """Records are ordered by number; the newest time is the latest one seen."""
        one, two = _records(CREATED, RUN)
        summary = fold([one, two._replace(t="2026-11-20T00:00:00.000000Z")]).summary
        assert summary.created == summary.updated == _at(1)

    @given(st.lists(payloads(), max_size=15))
    def test_the_quick_fold_and_the_whole_one_agree(self, written):
        """A listing and the session itself never contradict each other."""
        totals = SummaryFold()
        log = _records(*written)
        for record in log:
            totals.apply(record)
        assert totals.summary(alive=False) == fold(log).summary


@given(st.lists(payloads(), max_size=15), st.booleans())
def test_any_records_fold_into_some_session(written, alive):
    """Whatever a damaged log holds: it is shown, never an exception. And dumping and loading
    the session, as a server does, changes nothing.
    """
    session = fold(_records(*written), alive=alive)
    assert session.summary.records == len(written)
    assert Session.model_validate(session.model_dump(exclude={"steps"}) | {"steps": session.steps})
