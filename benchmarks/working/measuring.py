"""The two hours as figures, and what was not as it should be in words."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, beyond, byte_size
from benchmarks.working.journey import Journey, Plan, work

if TYPE_CHECKING:
    from benchmarks.workplace import Workplace


def working(workplace: Workplace) -> list[Figure]:
    """1,000 cells, five kills; raises where a resume came out otherwise and did not say so."""
    plan = Plan(cells=workplace.runs(1000, 60), kills=workplace.runs(5, 2))
    journey = work(workplace, plan)
    _tell(journey)
    if journey.wrong:
        message = f"{len(journey.wrong)} things are not as in a kernel that was never killed"
        raise RuntimeError(message)
    told = f"pauses {plan.faster:g} × shorter; {byte_size(journey.state)} on disk at the end"
    figures = [Figure("a cell, beyond plain", beyond(journey.seconds, journey.plain), remark=told)]
    names = sum(back.names for back in journey.returns)
    how = sum((back.how for back in journey.returns), Counter[str]())
    lost = sum(len(back.lost) for back in journey.returns)
    came = f"{names} names: {_counted(how)}, {lost} said to be lost; none wrong"
    resumed = tuple(back.seconds for back in journey.returns)
    figures.append(Figure("after a kill, until every name was there", resumed, remark=came))
    return figures


def _tell(journey: Journey) -> None:
    for back in journey.returns:
        print(
            f"killed at cell {back.cell} ({back.state}): {back.names} names back in "
            f"{back.seconds:.2f} s: {_counted(back.how)}, {len(back.lost)} lost",
            file=sys.stderr,
        )
        for name, why in back.lost.items():
            print(f"    lost: {name}: {why}", file=sys.stderr)
    for said in journey.wrong:
        print(f"    WRONG: {said}", file=sys.stderr)


def _counted(how: Counter[str]) -> str:
    return ", ".join(f"{count} {word}" for word, count in how.items() if count)
