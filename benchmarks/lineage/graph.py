"""The graph of a long session: how long it takes to make, and to ask."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from benchmarks.figures import Aim, Figure
from ipysession.lineage.graph import Graph
from ipysession.model import Outcome
from ipysession.model import payloads as p
from ipysession.model.fold import fold
from ipysession.model.provenance import Environment, Lineage
from ipysession.model.records import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.workplace import Workplace

_NAMES = 300
_TIME = "2026-11-21T09:48:12.012345Z"


def graphs(workplace: Workplace) -> list[Figure]:
    """Made of a session of 100,000 steps, and asked for what its steps need and who uses them."""
    steps = workplace.runs(100_000, 5_000)
    session = fold(_records(steps))
    made = []
    for _ in range(workplace.runs(3, 1)):
        began = time.perf_counter()
        graph = Graph.of(session)
        made.append(time.perf_counter() - began)
    places = random.Random(1).sample(range(1, steps + 1), 20)
    asked: dict[str, list[Callable[[], object]]] = {
        "what a step needs": [lambda at=at: graph.needs_step(at) for at in places],
        "who uses a step": [lambda at=at: graph.uses(at) for at in places],
        "what a name needs": [lambda at=at: graph.needs([f"v{at % _NAMES}"]) for at in places],
        "who uses a name": [lambda at=at: graph.uses_of(f"v{at % _NAMES}") for at in places],
    }
    return [
        Figure(f"the graph of {steps:,} steps", tuple(made), aim=Aim(seconds=2.0)),
        *(
            Figure(f"… {what}", tuple(map(_seconds, questions)), aim=Aim(seconds=10e-3))
            for what, questions in asked.items()
        ),
    ]


def _seconds(question: Callable[[], object]) -> float:
    began = time.perf_counter()
    question()
    return time.perf_counter() - began


def _records(steps: int) -> Iterator[Record]:
    """Names are made of others, or of nothing, and made anew; in every tenth step a list grows, in
    another a part of a dict is set, and now and then a file is written and read.
    """
    started = p.RunStarted(number=1, environment=Environment(python="3", cwd="/"))
    yield Record(1, 1, _TIME, 0.0, "session.created", p.SessionCreated(session="s", title="t"))
    yield Record(2, 1, _TIME, 0.0, "run.started", started)
    seq = 2
    for number in range(1, steps + 1):
        for payload in _step(number):
            seq += 1
            yield Record(seq, 1, _TIME, 0.0, payload.type, payload)


def _step(number: int) -> Iterator[p.Payload]:
    name, other = f"v{number % _NAMES}", f"v{(number - 7) % _NAMES}"
    yield p.StepStarted(
        step=number, parent=number - 1 or None, source=f"{name} = {other}", execution_count=number
    )
    bound, reads, lineage = [name], [other] if number % 4 else [], None
    if number % 10 == 0:
        bound, reads = [], ["total", name]
        read = {"total": "code", name: "code"}
        lineage = Lineage(read=read, changed={"total": "value"})
    elif number % 10 == 5:
        part = f"table[{number % 40}]"
        lineage = Lineage(read={other: "code"}, changed={part: "value"})
    elif number % 100 == 51:
        lineage = Lineage(read={other: "code"}, made={f"file:/data/{number % 9}.csv": "effects"})
    elif number % 100 == 91:
        lineage = Lineage(read={f"file:/data/{number % 9}.csv": "effects"}, made={name: "code"})
    if lineage is not None:
        yield p.StepEffects(step=number, lineage=lineage)
    yield p.StepFinished(
        step=number, outcome=Outcome.OK, duration=0.01, exact=True,
        bound=["total", "table"] if number == 1 else bound, reads=[] if number == 1 else reads,
    )  # fmt: skip
