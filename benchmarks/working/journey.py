"""One session of mixed cells, in kernels that are killed now and then, beside one that never is."""

from __future__ import annotations

import itertools
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.kernels import PLAIN, RECORDED
from benchmarks.working.cells import RANDOM, session
from benchmarks.working.kernels import Look, Worker

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.workplace import Workplace

_MEAN_PAUSE = 7.2
"""Seconds of a person between two cells: 1,000 of them take two hours."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done. ``faster`` is how many times shorter the pauses are than a person's."""

    cells: int
    kills: int
    seed: int = 1
    faster: float = 48.0
    rows: int = 20_000


@dataclass(frozen=True, slots=True)
class Kill:
    """A kill, ``after`` seconds from the moment at which the cell was sent."""

    cell: int
    after: float


@dataclass(slots=True)
class Return:
    """What a resume after a kill brought back."""

    cell: int
    state: str
    """Where the kill struck: ``inside the cell``, ``after it``, ``before it began``."""
    seconds: float
    """That the resume took, until every value was there."""
    names: int
    how: Counter[str]
    lost: dict[str, str]
    """Names that the table gave up, and why."""
    wrong: list[str]
    """What is not as it is in the kernel that was never killed, and was not told as lost."""


@dataclass(slots=True)
class Journey:
    """The whole of it."""

    seconds: list[float] = field(default_factory=list)
    """Of each cell in the recorded kernels."""
    plain: list[float] = field(default_factory=list)
    returns: list[Return] = field(default_factory=list)
    other_outcomes: list[str] = field(default_factory=list)
    """Cells that failed in one kernel and not in the other."""
    end: list[str] = field(default_factory=list)
    """What is wrong when all cells have run."""
    unasked: list[int] = field(default_factory=list)
    """Cells that appended to a file more often than they were sent."""
    state: int = 0
    """Bytes in the store at the end."""

    @property
    def wrong(self) -> list[str]:
        """All that should not be."""
        return [
            *(said for back in self.returns for said in back.wrong),
            *self.other_outcomes,
            *self.end,
            *(f"cell {number} was run again unasked" for number in self.unasked),
        ]


def work(workplace: Workplace, plan: Plan) -> Journey:
    """Carry the plan out."""
    return _Traveler(workplace, plan).travel()


class _Traveler:
    def __init__(self, workplace: Workplace, plan: Plan) -> None:
        self._workplace = workplace
        self._plan = plan
        self._dice = random.Random(f"work {plan.seed}")
        self._cells = session(plan.seed, plan.cells, plan.rows)
        self._kills = self._choose_kills()
        self._found = Journey()
        self._looks: dict[int, Look] = {}
        """What the names hold after a cell, in the kernel that is never killed."""
        self._outcomes: list[str] = []
        self._tainted: set[str] = set()
        """Names that cannot be compared any more: given up, or made of what was."""
        self._sent: Counter[int] = Counter()

    def _choose_kills(self) -> list[Kill]:
        """Within a cell, just after one, or in the pause that follows."""
        chosen = sorted(self._dice.sample(range(3, self._plan.cells), self._plan.kills))
        after = (0.004, 0.03, 0.3)
        return [Kill(cell, self._dice.uniform(0, self._dice.choice(after))) for cell in chosen]

    def _pause(self) -> float:
        """Many short ones, some long: a log-normal distribution with the mean of a person's."""
        return self._dice.lognormvariate(-0.5, 1.0) * _MEAN_PAUSE / self._plan.faster

    # -- the kernel that is never killed ----------------------------------------------

    def travel(self) -> Journey:
        self._go_undisturbed()
        kernel = Worker(self._workplace, RECORDED)
        kernel.start()
        kills = {kill.cell: kill for kill in self._kills}
        at = 0
        try:
            while at < len(self._cells):
                kill = kills.pop(at, None)
                if kill is None:
                    self._run(kernel, at)
                    time.sleep(self._pause())
                    at += 1
                    continue
                kernel, at = self._strike(kernel, kill)
            self._found.end = self._compared(kernel.look(), self._looks[len(self._cells) - 1], {})
            self._found.state = kernel.stored_bytes()
            self._found.unasked = self._ran_unasked(kernel)
        finally:
            kernel.stop()
        return self._found

    def _go_undisturbed(self) -> None:
        wanted = {kill.cell - ago for kill in self._kills for ago in (0, 1)}
        wanted.add(len(self._cells) - 1)
        kernel = Worker(self._workplace, PLAIN)
        kernel.start()
        try:
            for number, cell in enumerate(self._cells):
                began = time.perf_counter()
                outcome = kernel.answer(kernel.send(cell.source, str(number)))
                self._found.plain.append(time.perf_counter() - began)
                self._outcomes.append(str(outcome))
                if number in wanted:
                    self._looks[number] = kernel.look()
        finally:
            kernel.stop()

    # -- the recorded ones -------------------------------------------------------------

    def _run(self, kernel: Worker, number: int) -> None:
        cell = self._cells[number]
        self._sent[number] += 1
        began = time.perf_counter()
        outcome = kernel.answer(kernel.send(cell.source, f"{number}-{self._sent[number]}"))
        self._found.seconds.append(time.perf_counter() - began)
        if cell.uses & self._tainted:
            self._tainted |= cell.makes
            return
        if outcome != self._outcomes[number]:
            said = f"cell {number} ended with {outcome}, not {self._outcomes[number]}"
            self._found.other_outcomes.append(f"{said}: {cell.source}")
        self._tainted -= cell.makes - cell.uses

    def _strike(self, kernel: Worker, kill: Kill) -> tuple[Worker, int]:
        """Send a cell, kill the kernel, resume in another. Returns it, and the next cell."""
        self._sent[kill.cell] += 1
        sent = f"{kill.cell}-{self._sent[kill.cell]}"
        began = time.perf_counter()
        kernel.send(self._cells[kill.cell].source, sent)
        time.sleep(max(0.0, kill.after - (time.perf_counter() - began)))
        kernel.kill()
        state = _where_it_struck(kernel, sent)
        at = kill.cell + (state == "after it")
        successor = Worker(self._workplace, RECORDED, kernel.folder)
        successor.start()
        began = time.perf_counter()
        told = json.loads(successor.ask("%session resume --json"))
        look = successor.look()
        taken = time.perf_counter() - began
        expected = self._looks[at - 1]
        cell = self._cells[kill.cell]
        if state == "after it" and cell.uses & self._tainted:
            self._tainted |= cell.makes
        lost: dict[str, str] = told["lost"]
        self._give_up(lost, expected)
        wrong = self._compared(look, expected, lost, files=at > kill.cell)
        how = Counter({key: len(told[key]) for key in ("restored", "waiting", "replayed")})
        back = Return(kill.cell, state, taken, len(expected.names), how, lost, wrong)
        self._found.returns.append(back)
        return successor, at

    def _give_up(self, lost: Iterable[str], expected: Look) -> None:
        """What shares an object with something that is lost cannot be compared either."""
        self._tainted.update(lost)
        for group in expected.shared:
            if self._tainted.intersection(group):
                self._tainted.update(group)

    def _compared(
        self, look: Look, expected: Look, lost: dict[str, str], *, files: bool = True
    ) -> list[str]:
        """What differs although nobody said so."""
        wrong = [
            f"{name} is {_where_they_part(look.names.get(name), expected.names.get(name))}"
            for name in sorted(expected.names.keys() | look.names.keys())
            if name not in self._tainted and look.names.get(name) != expected.names.get(name)
        ]
        wrong += [f"{name} was said to be lost and is there" for name in lost if name in look.names]
        mine, theirs = self._clean(look.shared), self._clean(expected.shared)
        wrong += [f"{', '.join(group)} share something they did not" for group in mine - theirs]
        wrong += [f"{', '.join(group)} no longer share what they did" for group in theirs - mine]
        if RANDOM not in self._tainted and look.random != expected.random:
            wrong.append("random numbers would come out otherwise")
        if files:
            wrong += [
                f"the file {name} is another"
                for name, content in expected.files.items()
                if name != _DIARY
                and name.partition(".")[0] not in self._tainted
                and look.files.get(name) != content
            ]
        return wrong

    def _clean(self, groups: Iterable[tuple[str, ...]]) -> set[tuple[str, ...]]:
        return {group for group in groups if self._tainted.isdisjoint(group)}

    def _ran_unasked(self, kernel: Worker) -> list[int]:
        diary = kernel.work / _DIARY
        lines = diary.read_text().split() if diary.exists() else []
        noted = Counter(map(int, lines))
        return [number for number, times in noted.items() if times > self._sent[number]]


def _where_they_part(found: str | None, expected: str | None) -> str:
    if found is None or expected is None:
        return "not there" if found is None else "there, and was not"
    pairs = zip(found, expected, strict=False)
    same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    begin = max(0, same - 40)
    return f"…{found[begin : same + 60]}…, not …{expected[begin : same + 60]}…"


_DIARY = "diary.txt"
"""What cells append to. A cell that was killed may have done so, and is run again."""


def _where_it_struck(kernel: Worker, sent: str) -> str:
    from ipysession.model import Outcome
    from ipysession.sessions import Sessions
    from ipysession.store import Store

    store = Store(kernel.store)
    step: Any = Sessions(store).read(store.ids()[0]).session.steps[-1]
    if step.cell_id != sent:
        return "before it began"
    return "inside the cell" if step.outcome is Outcome.DIED else "after it"
