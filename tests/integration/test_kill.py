"""kill -9 at random moments of random sessions: nothing acknowledged is lost, nothing invented.

A session of 30 cells is carried through by a chain of real kernels. Each is killed by SIGKILL,
half of them after a random time, half at a random line of ipysession's own code; the next one
resumes the session, runs the cell again in which the kernel died, and goes on. So each kill is
followed by a real resume, whose namespace is compared with that of a session that was never
killed.

``IPYSESSION_KILLS`` says how many kills there are in all, ``make kill-test`` runs 200, and
``IPYSESSION_KILL_SEED`` chooses other moments. What happened in each is written to
``test-results/kills/``.
"""

from __future__ import annotations

import functools
import json
import os
import random
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from integration.kernels import Answer, Home, Kernel, KernelDied, command
from integration.random_sessions import LOOK, Cell, random_session

import ipysession
from ipysession.model import Outcome
from ipysession.model import payloads as p
from ipysession.sessions import Sessions
from ipysession.store import Store

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(300)]

KILLS = int(os.environ.get("IPYSESSION_KILLS", "40"))
SEED = os.environ.get("IPYSESSION_KILL_SEED", "")
KILLS_PER_SESSION = 10
PROGRAMS = 2
RESULTS = Path(__file__).parents[2] / "test-results" / "kills"
PACKAGE = Path(ipysession.__file__).parent

LOAD = "%load_ext ipysession"
RESUME = "%session resume --json"


# -- a session that is never killed ------------------------------------------------------------


@dataclass
class Reference:
    """What a session shows and holds when nobody kills its kernel."""

    cells: list[Cell]
    events: list[list[Any]] = field(default_factory=list)
    """What each cell shows, see `told`."""
    looks: list[dict[str, Any]] = field(default_factory=list)
    """What the names hold after each cell."""
    seconds: list[float] = field(default_factory=list)
    lines: Counter[str] = field(default_factory=Counter)
    """How often each line of ipysession runs in the whole session, as ``file:line``."""
    resume_lines: Counter[str] = field(default_factory=Counter)
    """The same for loading the extension and resuming the session."""


@functools.cache
def reference(seed: int) -> Reference:
    """Run the session once without ipysession, and once with it, line by line."""
    found = Reference(random_session(seed))
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        with Kernel(home) as kernel:
            for cell in found.cells:
                started = time.perf_counter()
                answer = kernel.run(cell.source)
                found.seconds.append(time.perf_counter() - started)
                found.events.append(told(answer))
                found.looks.append(kernel.evaluate(LOOK))
        with Kernel(home) as kernel:
            kernel.evaluate(_tracer())
            for source in [LOAD, *(cell.source for cell in found.cells)]:
                kernel.run(source)
            found.lines = Counter(kernel.evaluate("dict(__import__('sys').seen_lines)"))
            kernel.kill()
            kernel.restart()
            kernel.evaluate(_tracer())
            kernel.ok(LOAD)
            kernel.ok(RESUME)
            found.resume_lines = Counter(kernel.evaluate("dict(__import__('sys').seen_lines)"))
    return found


_TRACER = '''
def trace(folder, line, hit, where):
    """Count the lines of ipysession that run, and end the process when one has run so often."""
    import collections, os, signal, sys, threading
    seen = sys.seen_lines = collections.Counter()

    def in_ours(frame, event, argument):
        if event == "line":
            name = f"{frame.f_code.co_filename[len(folder) + 1:]}:{frame.f_lineno}"
            seen[name] += 1
            if name == line and seen[name] == hit:
                with open(where, "w") as file:
                    file.write(f"{name} {frame.f_code.co_name}")
                os.kill(os.getpid(), signal.SIGKILL)
        return in_ours

    def anywhere(frame, event, argument):
        code = frame.f_code
        # Functions only: the lines of modules and classes run once, when they are imported.
        return in_ours if code.co_flags & 1 and code.co_filename.startswith(folder) else None

    threading.settrace(anywhere)
    sys.settrace(anywhere)
'''


def _tracer(line: str = "", hit: int = 0, where: Path = Path()) -> str:
    """An expression that makes a kernel watch its lines; see `trace`."""
    arguments = (str(PACKAGE), line, hit, str(where))
    return f"(lambda m: exec({_TRACER!r}, m) or m['trace'](*{arguments!r}))({{}})"


# -- what a cell shows, as a frontend hears it and as the log tells it ----------------------------


def told(answer: Answer) -> list[Any]:
    """The events of a cell that arrived at the frontend."""
    events: list[Any] = []
    for message in answer.messages:
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            _stream(events, content["name"], content["text"])
        elif kind in {"display_data", "execute_result", "update_display_data"}:
            shown = content.get("transient", {}).get("display_id")
            events.append((kind, content["data"], content["metadata"], shown))
        elif kind == "error":
            events.append((kind, content["ename"], content["evalue"], content["traceback"]))
        elif kind == "clear_output":
            events.append((kind, content["wait"]))
    return events


def logged(events: list[dict[str, Any]]) -> list[Any]:
    """The same events as the log has them."""
    found: list[Any] = []
    for event in events:
        output = event.get("output", {})
        kind = output.get("output_type")
        if event["event"] == "clear":
            found.append(("clear_output", event["wait"]))
        elif event["event"] == "update":
            shown = event["display_id"]
            found.append(("update_display_data", event["data"], event["metadata"], shown))
        elif kind == "stream":
            _stream(found, output["name"], output["text"])
        elif kind == "error":
            found.append((kind, output["ename"], output["evalue"], output["traceback"]))
        else:
            found.append((kind, output["data"], output["metadata"], event.get("display_id")))
    return found


def _stream(events: list[Any], name: str, text: str) -> None:
    if events and events[-1][:2] == ("stream", name):
        text = events.pop()[2] + text
    events.append(("stream", name, text))


def comparable(events: list[Any]) -> list[Any]:
    """Without what differs from run to run: a traceback tells the cell's number."""
    return [event[:3] if event[0] == "error" else event for event in events]


def by_stream(events: list[Any]) -> dict[str, Any]:
    """The text of each stream, and the rest in order: the two streams are flushed apart."""
    found: dict[str, Any] = {"rest": []}
    for event in events:
        if event[0] == "stream":
            found[event[1]] = found.get(event[1], "") + event[2]
        else:
            found["rest"].append(event)
    return found


def is_beginning(part: list[Any], whole: list[Any]) -> bool:
    """Is ``part`` what the cell had shown at some moment?"""
    mine, all_of_it = by_stream(comparable(part)), by_stream(comparable(whole))
    rest = mine.pop("rest")
    return rest == all_of_it["rest"][: len(rest)] and all(
        all_of_it.get(name, "").startswith(text) for name, text in mine.items()
    )


# -- one session, many kernels -----------------------------------------------------------------


@dataclass
class Sent:
    """A cell that was sent to a kernel."""

    index: int
    cell_id: str
    pid: int
    answer: Answer

    @property
    def acknowledged(self) -> bool:
        """Its end was told to the frontend."""
        return self.answer.reply is not None


@dataclass(frozen=True)
class Moment:
    """When to strike: during ``stage`` (a cell's index; -2 the loading, -1 the resume), after a
    ``share`` of the time that it takes; or, where ``line`` is given, at its ``hit``-th run, and
    after the stage at the latest.
    """

    stage: int
    share: float = 0.0
    line: str = ""
    hit: int = 0


class Journey:
    """The session, and what its user saw of it."""

    def __init__(self, home: Home, number: int) -> None:
        self.home = home
        self.reference = reference(number % PROGRAMS)
        self.sent: list[Sent] = []
        self.next_cell = 0
        self.begun = False
        """There is a session with steps."""
        self.again: set[int] = set()
        """Cells that had to be run again although their end was recorded."""
        self.missing: set[str] = set()
        """Names that waited for the kernel to be idle when it was killed, and that no later cell
        uses."""
        self.happened: list[str] = []

    # -- a kernel's life ---------------------------------------------------------------

    def live(self, kernel: Kernel, moment: Moment | None) -> None:
        """Load, resume, compare, and run cells until the kernel is struck or all have run."""
        kernel.wait()
        where = self.home.root / "where"
        where.unlink(missing_ok=True)
        if moment is not None and moment.line:
            kernel.evaluate(_tracer(moment.line, moment.hit, where))
        try:
            self._go_through(kernel, moment)
        except KernelDied as died:
            if moment is None or not moment.line:
                raise
            self.happened.append(where.read_text())
            # What the kernel had sent before it died still arrives.
            kernel.receive(died.answer, 0.05)

    def _go_through(self, kernel: Kernel, moment: Moment | None) -> None:
        def strike(stage: int, seconds: float) -> float | None:
            """After how long to strike in ``stage``, if at all."""
            if moment is None or moment.line or stage < moment.stage:
                return None
            return moment.share * seconds

        self._run(kernel, LOAD, strike(-2, 0.15))
        if not kernel.alive:
            return
        if self.begun:
            answer = self._run(kernel, RESUME, strike(-1, 0.05))
            if not kernel.alive:
                return
            assert answer.status == "ok", answer.text
            self._compare(kernel, json.loads(answer.stdout))
        for index in range(self.next_cell, len(self.reference.cells)):
            self._run_cell(kernel, index, strike(index, self.reference.seconds[index] * 1.3))
            if not kernel.alive:
                return
            if moment is not None and moment.line and index >= moment.stage:
                break  # the line did not come so often
        if moment is not None:
            self._strike(kernel, "idle")

    def _run_cell(self, kernel: Kernel, index: int, strike: float | None) -> None:
        cell_id = f"cell-{index}-attempt-{len(self.sent)}"
        answer = kernel.send(self.reference.cells[index].source, cell_id=cell_id)
        self.sent.append(Sent(index, cell_id, kernel.pid, answer))
        self._finish(kernel, answer, strike)
        if answer.reply is not None:
            self.next_cell = index + 1

    def _run(self, kernel: Kernel, code: str, strike: float | None) -> Answer:
        answer = kernel.send(code)
        self._finish(kernel, answer, strike)
        return answer

    def _finish(self, kernel: Kernel, answer: Answer, strike: float | None) -> None:
        if strike is None:
            while not (answer.idle and answer.reply is not None):
                kernel.receive(answer, 0.25)
                if not kernel.alive:
                    kernel.receive(answer, 0.05)
                    raise KernelDied(answer)
            return
        kernel.strike_after(answer, strike)
        kernel.kill()
        kernel.receive(answer, 0.05)
        self.happened.append(f"{strike * 1000:.1f} ms into {answer.code[:30]!r}")

    def _strike(self, kernel: Kernel, when: str) -> None:
        kernel.kill()
        self.happened.append(when)

    # -- after a kill ------------------------------------------------------------------

    def examine(self) -> None:
        """The log of a session whose kernel has just been killed."""
        store = Store(self.home.store)
        sessions = Sessions(store)
        sessions.list_sessions()
        begun = []
        for session_id in store.ids():
            verified = sessions.verify_log(session_id).data
            assert [item for item in verified["damage"] if "torn" not in item] == []
            assert len(verified["damage"]) <= 1
            assert verified["contradictions"] == []
            assert verified["unknown_types"] == []
            assert verified["authentic"] or not verified["records"]
            if sessions.read(session_id).session.steps:
                begun.append(session_id)
        assert len(begun) <= 1, "the session was not taken up, another was begun"
        acknowledged = [sent for sent in self.sent if sent.acknowledged]
        if not begun:
            assert not acknowledged
            self.happened[-1] += " | before the first step"
            return
        self.begun = True
        self.session = begun[0]
        reading = sessions.read(self.session)
        self._examine_steps(reading)
        plan = sessions.resume_plan(self.session).data
        assert plan is not None

    def _examine_steps(self, reading: Any) -> None:
        steps = [step for step in reading.session.steps if step.replay_of is None]
        by_id = {step.cell_id: step for step in steps}
        # Nothing invented: each step was sent, once, in this order, with this source.
        assert len(by_id) == len(steps)
        order = [sent.cell_id for sent in self.sent if sent.cell_id in by_id]
        assert [step.cell_id for step in steps] == order
        for sent in self.sent:
            if sent.cell_id not in by_id:
                assert not sent.acknowledged, f"{sent.cell_id} was acknowledged and is lost"
                continue
            self._examine_step(reading, sent, by_id[sent.cell_id])
        # The next cell is the one after the last that is known to have ended.
        ended = [s for s in steps if s.outcome is not Outcome.DIED]
        last = {sent.cell_id: sent.index for sent in self.sent}
        self.next_cell = last[ended[-1].cell_id] + 1 if ended else 0
        kinds = [type(record.payload) for record in reading.contents.records]
        self.happened[-1] += f" | {_state(steps, kinds, self.sent)}"

    def _examine_step(self, reading: Any, sent: Sent, step: Any) -> None:
        cell, whole = self.reference.cells[sent.index], self.reference.events[sent.index]
        assert step.source == cell.source
        shown = logged([_resolved(event, reading.blobs) for event in step.events])
        if sent.acknowledged:
            reply = sent.answer.reply
            assert reply is not None
            assert str(step.outcome) == reply["status"]
            assert step.execution_count == reply["execution_count"]
            assert by_stream(shown) == by_stream(told(sent.answer)), sent.cell_id
        if step.outcome is Outcome.DIED:
            assert is_beginning(shown, whole), sent.cell_id
        else:
            assert by_stream(comparable(shown)) == by_stream(comparable(whole)), sent.cell_id

    # -- after a resume ----------------------------------------------------------------

    def _compare(self, kernel: Kernel, told: dict[str, Any]) -> None:
        """The names are those that the session had, and what is lost is told with a reason."""
        found = kernel.evaluate(LOOK)
        lost: dict[str, str] = told["lost"]
        if self.next_cell == 0:
            assert found["names"] == {}
            assert not lost
            return
        expected = dict(self.reference.looks[self.next_cell - 1])
        if lost:
            self._account_for(lost)
            for name in lost:
                assert name not in found["names"]
        names = expected.pop("names")
        assert found.pop("names") == {
            n: v for n, v in names.items() if n not in self.missing | lost.keys()
        }
        if self.again:
            expected.pop("results")
            found.pop("results")
        assert found == expected

    def _account_for(self, lost: dict[str, str]) -> None:
        """Lost is only what was not saved yet when the kernel was killed, and is made by a cell
        that must not be run again unasked. Its user runs it again, or does without.
        """
        session = Sessions(Store(self.home.store)).read(self.session).session
        steps = [s for s in session.steps if s.outcome is not Outcome.DIED and s.replay_of is None]
        index = {sent.cell_id: sent.index for sent in self.sent}
        saved = {saved.step for saved in session.checkpoints}
        for name, reason in lost.items():
            step = next(s for s in reversed(steps) if name in s.provenance.bound)
            assert self.reference.cells[index[step.cell_id]].reaches_out, (name, reason)
            if step is steps[-1] and step.number not in saved:
                # Killed between its end and the saving of its values.
                self.next_cell = index[step.cell_id]
                self.again.add(self.next_cell)
            else:
                newest = next(
                    said
                    for said in reversed(session.checkpoints)
                    if any(name in group.names for group in (*said.groups, *said.skipped))
                )
                assert any(name in skipped.names for skipped in newest.skipped), (name, reason)
                self.missing.add(name)


def _resolved(value: Any, blobs: Any) -> Any:
    """``value`` with its parts that lie in blobs."""
    if hasattr(value, "hash") and hasattr(value, "media"):
        return blobs.resolve(value)
    if isinstance(value, dict):
        return {name: _resolved(item, blobs) for name, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item, blobs) for item in value]
    return value


def _state(steps: list[Any], kinds: list[type], sent: list[Sent]) -> str:
    """Where the kill struck, as far as the log can tell."""
    last = sent[-1] if sent else None
    if last is not None and steps and steps[-1].cell_id == last.cell_id:
        if last.acknowledged:
            return "after the reply"
        if steps[-1].outcome is Outcome.DIED:
            return "inside the cell"
        saved = p.CheckpointSaved in kinds[-2:]
        return "saved, before the reply" if saved else "ended, values not saved"
    return "before the step began"


# -- the test ----------------------------------------------------------------------------------


def moments(dice: random.Random, journey: Journey, count: int) -> list[Moment]:
    """Moments at which to strike, in the order of the session; every second one in a hook."""
    found = []
    cells = len(journey.reference.cells)
    before = 0
    for number, stage in enumerate(sorted(dice.randrange(cells) for _ in range(count))):
        if number % 2:
            found.append(_moment_in_hook(dice, journey.reference, before, stage))
        else:
            # Some before the first cell, while the session is resumed; some long after a cell.
            where = dice.choices([-2, -1, stage], [1, 2, 9])[0]
            share = dice.random() if dice.random() < 0.9 else dice.uniform(1, 9)
            found.append(Moment(where, share))
        before = stage
    return found


def _moment_in_hook(dice: random.Random, known: Reference, before: int, stage: int) -> Moment:
    """A line of ours, each as likely as any other, between the cells ``before`` and ``stage``."""
    resuming = dice.random() < 0.25
    lines = known.resume_lines if resuming else known.lines
    line = dice.choice(sorted(lines))
    share = 1.0 if resuming else (stage - before + 1) / len(known.cells)
    return Moment(stage, line=line, hit=dice.randint(1, max(1, round(lines[line] * share))))


def _sizes() -> list[int]:
    """How many kills each session gets."""
    whole, rest = divmod(KILLS, KILLS_PER_SESSION)
    return [KILLS_PER_SESSION] * whole + [rest] * (rest > 0)


@pytest.mark.parametrize(("number", "count"), list(enumerate(_sizes())))
def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path, monkeypatch, number, count):
    """After each kill the log is readable and complete, and the session resumes as it was."""
    home = Home(tmp_path)
    monkeypatch.setenv("IPYSESSION_KEY", str(home.key))
    dice = random.Random(f"kills {SEED}{number}")
    journey = Journey(home, number)
    plan = moments(dice, journey, count)
    started = time.perf_counter()
    upcoming = Kernel(home, forked=False, wait=False)
    try:
        for moment in [*plan, None]:
            # The next kernel starts while this one works, as far as the machine can do both.
            kernel, upcoming = upcoming, Kernel(home, forked=False, wait=False)
            with kernel:
                journey.live(kernel, moment)
                if not kernel.alive:
                    journey.examine()
    finally:
        upcoming.close()
        RESULTS.mkdir(parents=True, exist_ok=True)
        report = {
            "kills": journey.happened,
            "seconds": time.perf_counter() - started,
            "wanted": len(plan),
        }
        (RESULTS / f"session-{number:02d}.json").write_text(json.dumps(report, indent=1))
    assert len(journey.happened) == count
    _examine_end(journey)


def _examine_end(journey: Journey) -> None:
    """The whole session has run, in many kernels, and its end is as orderly as any."""
    sessions = Sessions(Store(journey.home.store))
    session = sessions.read(journey.session).session
    assert str(session.summary.state) == "paused"
    assert {sent.index for sent in journey.sent} == set(range(len(journey.reference.cells)))
    # No resume did again by itself what reaches beyond the kernel.
    audit = (journey.home.work / "audit.txt").read_text().split("\n")
    noted = Counter(tuple(map(int, line.split())) for line in audit if line)
    asked = Counter((sent.index, sent.pid) for sent in journey.sent)
    for which, times in noted.items():
        assert times <= asked[which], f"cell {which[0]} was run again unasked"
    shell = subprocess.run(
        command("resume-plan", journey.session, "--json"),
        env=journey.home.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(shell.stdout)
