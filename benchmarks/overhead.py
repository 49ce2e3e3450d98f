"""What recording adds to a cell, beside plain IPython and ipyflow: cells of many kinds, each in
all kernels in turn.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmarks.environments import python_of
from benchmarks.figures import Aim, Figure
from benchmarks.kernels import PLAIN, RECORDED, Kind, interleaved, running

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.workplace import Workplace

_SETUP = """\
import pandas as pd, numpy as np
rng = np.random.default_rng(1)
L = []
wide = pd.DataFrame({'x': np.arange(100_000), 'y': rng.random(100_000)})
"""
_LOOP = "total = 0\nfor i in range(1_000_000): total += i"
_LITERAL = f"numbers = [{', '.join(map(str, range(5_000)))}]"
_CREATE = "df = pd.DataFrame({'k': np.arange(10_000) % 97, 'v': rng.random(10_000)})"
_CHAIN = "top = df.assign(w=df.v * 2).query('w > 0.5').sort_values('w').head(100)"


_TINY = 1.3
_SAME = 1.05
"""As long as without recording: a twentieth is what such a ratio varies by."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of cell, and how often it runs in a row, and how many such rows there are."""

    what: str
    cell: Callable[[int], str]
    rounds: int
    aim: float = _SAME
    block: int = 1


def _same(code: str) -> Callable[[int], str]:
    return lambda _: code


_KINDS = (
    _Kind("x = i", "x = {}".format, 15, _TINY, block=20),
    _Kind("L.append(i)", "L.append({})".format, 10, _TINY, block=20),
    _Kind("loop of 1,000,000", _same(_LOOP), 10),
    _Kind("literal of 5,000", _same(_LITERAL), 3),
    _Kind("pandas, create", _same(_CREATE), 20),
    _Kind("pandas, group", _same("means = df.groupby('k').v.mean()"), 20),
    _Kind("pandas, chain", _same(_CHAIN), 20),
    _Kind("pandas, in place", "df.loc[{}, 'v'] = 1.0".format, 20),
    _Kind("apply(lambda) on 100,000 rows", _same("s = wide.x.apply(lambda v: v + 1)"), 10),
)


def overhead(workplace: Workplace) -> list[Figure]:
    """Each kind of cell: plain, recorded with the settings that users have, and with ipyflow."""
    peers = _ipyflow()
    figures = []
    with running(workplace, PLAIN, RECORDED, *peers) as kernels:
        for kernel in kernels:
            kernel.run(_SETUP)
        for kind in _KINDS:
            interleaved(kernels, kind.cell, rounds=1)
            times = interleaved(
                kernels, kind.cell, rounds=workplace.runs(kind.rounds, 2), block=kind.block
            )
            taken = {
                name: Figure(f"{kind.what}: {name}", tuple(samples))
                for name, samples in times.items()
            }
            plain = taken[PLAIN.name]
            ours = replace(taken[RECORDED.name], baseline=plain, aim=Aim(times=kind.aim))
            figures += [plain, ours]
            if peers:
                theirs, against = (taken[peer.name] for peer in peers)
                figures += [against, replace(theirs, baseline=against)]
    return figures


def _ipyflow() -> list[Kind]:
    """ipyflow, and what its ratio is to: a plain kernel of the same environment."""
    try:
        python = python_of("ipyflow")
    except subprocess.CalledProcessError as error:
        print(f"ipyflow could not be installed: {error}", file=sys.stderr)
        return []
    return [
        Kind("ipyflow", python=python, module="ipyflow.kernel"),
        Kind("plain kernel in ipyflow's environment", python=python),
    ]
