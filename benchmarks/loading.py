"""``%load_ext ipysession``: what it adds to a kernel that has just started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.figures import Aim, Figure
from benchmarks.kernels import PLAIN, running

if TYPE_CHECKING:
    from benchmarks.workplace import Workplace

_CELL = """\
import time
_started = time.perf_counter()
get_ipython().run_line_magic("load_ext", "ipysession")
print("\\nTOOK", time.perf_counter() - _started)
"""


def loading(workplace: Workplace) -> list[Figure]:
    """The magic's time, in fresh kernels; ipykernel's own imports are not in it."""
    samples = []
    for number in range(workplace.runs(11, 4)):
        with running(workplace, PLAIN) as (kernel,):
            taken = float(kernel.ask(_CELL).rpartition("TOOK")[2])
        if number:  # the first one reads files that the system has not cached yet
            samples.append(taken)
    return [Figure("%load_ext ipysession", tuple(samples), aim=Aim(seconds=0.150))]
