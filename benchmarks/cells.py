"""Cells through real kernels: a tiny one, one that prints, and long loops."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from benchmarks.figures import Aim, Figure
from benchmarks.kernels import LOGSTART, NO_VALUES, PLAIN, RECORDED, interleaved, running

if TYPE_CHECKING:
    from benchmarks.workplace import Workplace

_BLOCK = 50
"""Tiny cells in a row: longer than the log's thread waits before it syncs a group."""

_PRINTING = "for line in range(10_000): print('line', line)"
_TOP_LOOP = "total = 0\nfor i in range(1_000_000): total += i"
_FUNCTIONS = """\
def loop():
    total = 0
    for i in range(1_000_000): total += i
def identities():
    for i in range(1_000_000): id(i)
"""


def tiny_cell(workplace: Workplace) -> list[Figure]:
    """``x = i``, 1,000 times."""
    with running(workplace, PLAIN, RECORDED, NO_VALUES, LOGSTART) as kernels:
        interleaved(kernels, "x = {}".format, rounds=1, block=_BLOCK)
        rounds = workplace.runs(20, 5)
        times = interleaved(kernels, "x = {}".format, rounds=rounds, block=_BLOCK)
    return _compared(times, {RECORDED.name: Aim(times=1.25), NO_VALUES.name: Aim(times=1.25)})


def printing_cell(workplace: Workplace) -> list[Figure]:
    """A cell that prints 10,000 lines."""
    with running(workplace, PLAIN, RECORDED, LOGSTART) as kernels:
        printing = partial(_always, _PRINTING)
        interleaved(kernels, printing, rounds=2)
        times = interleaved(kernels, printing, rounds=workplace.runs(30, 8))
    return _compared(times, {})


def loops(workplace: Workplace) -> list[Figure]:
    """A loop of 1,000,000 iterations: at top level, in a function, and one that calls `id`,
    which raises an audit event each time, and audit events are what the recorder listens to.
    """
    figures = []
    same = Aim(times=1.05)
    cases = (
        ("at top level", _TOP_LOOP, same),
        ("in a function", "loop()", same),
        ("that calls id()", "identities()", None),
    )
    with running(workplace, PLAIN, RECORDED) as kernels:
        for kernel in kernels:
            kernel.run(_FUNCTIONS)
        for what, code, aim in cases:
            rounds = workplace.runs(30, 8)
            times = interleaved(kernels, partial(_always, code), rounds=rounds)
            named = {f"{what}, {kind}": samples for kind, samples in times.items()}
            figures += _compared(named, {} if aim is None else {f"{what}, {RECORDED.name}": aim})
    return figures


def _always(code: str, _number: int) -> str:
    return code


def _compared(times: dict[str, list[float]], aims: dict[str, Aim]) -> list[Figure]:
    """A figure for each kind; the first kind is the baseline of the others."""
    (first, samples), *others = times.items()
    baseline = Figure(first, tuple(samples))
    return [
        baseline,
        *(Figure(name, tuple(taken), baseline, aims.get(name)) for name, taken in others),
    ]
