"""Coming back after a kill: how soon the first cell runs, and how soon everything is there.

Both with the files in the system's memory, where they are when only the kernel died, and on the
disk, where they are when the machine did.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.figures import Aim, Figure, byte_size
from benchmarks.kernels import RECORDED, Kernel, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.workplace import Workplace

_AIM = Aim(seconds=0.3)
_TWICE = Aim(times=2.0)

_PATIENCE = 600.0
"""Seconds until all must have been saved."""

_MAKE = """
import numpy as np
rng = np.random.default_rng(0)
arrays = [rng.random({rows}) for _ in range(8)]
""", """
table = {{'numbers': rng.random({rows}), 'words': rng.integers(0, 9, {rows})}}
rows = [{{'n': i, 'text': str(i)}} for i in range({dicts})]
small = 7
"""  # fmt: skip

_PEER = Kind("cloudpickle of every variable")
_SAVE = """
import cloudpickle
with open('saved.pickle', 'wb') as _stream:
    cloudpickle.dump({name: globals()[name] for name in ('arrays', 'table', 'rows', 'small')},
                     _stream, protocol=5)
"""
_LOAD = "import pickle\nglobals().update(pickle.load(open('saved.pickle', 'rb')))"
_FORGET = """
import os
for _folder, _, _names in os.walk({folder!r}):
    for _name in _names:
        with open(os.path.join(_folder, _name), 'rb') as _stream:
            os.fsync(_stream.fileno())
            os.posix_fadvise(_stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
"""
_READ = """
import os, time
_began, _bytes = time.perf_counter(), 0
for _folder, _, _names in os.walk({folder!r}):
    for _name in _names:
        with open(os.path.join(_folder, _name), 'rb') as _stream:
            while _block := _stream.read(1 << 20):
                _bytes += len(_block)
print(time.perf_counter() - _began, _bytes)
"""


def resuming(workplace: Workplace) -> list[Figure]:
    """A state of about 1 GB (12 MB where it is to be quick), and one of a few kilobytes."""
    figures: list[Figure] = []
    for name, rows, dicts in _sizes(quick=workplace.quick):
        figures += _ours(workplace, name, rows, dicts)
        figures += _peer(workplace, name, rows, dicts)
    return figures


def _sizes(*, quick: bool) -> Iterator[tuple[str, int, int]]:
    yield "a small state", 10, 10
    if quick:
        yield "12 MB", 150_000, 10_000
    else:
        yield "1 GB", 12_500_000, 300_000


def _ours(workplace: Workplace, size: str, rows: int, dicts: int) -> list[Figure]:
    kernel = Kernel(workplace, RECORDED)
    kernel.start()
    try:
        for cell in _MAKE:
            kernel.run(cell.format(rows=rows, dicts=dicts))
        _wait_until_saved(kernel)
        written = kernel.stored_bytes()
        kernel = _again(workplace, kernel)
        read, everything = {}, {}
        store = str(kernel.store)
        for place, before in (("the disk", _FORGET), ("memory", _READ)):
            kernel.ask(before.format(folder=store))
            read[place] = float(kernel.ask(_READ.format(folder=store)).split()[0])
            kernel.ask(before.format(folder=store))
            began = time.perf_counter()
            resumed = kernel.run("%session resume")
            kernel.run("print(1 + 1)")
            first = time.perf_counter() - began
            kernel.run("print(small)")
            asked = time.perf_counter() - began
            kernel.run("print(len(arrays), len(table), len(rows))")
            everything[place] = time.perf_counter() - began
            _wait_until_saved(kernel)  # what a cell has just read is looked at for changes
            kernel = _again(workplace, kernel)
        began = time.perf_counter()
        kernel.run("%session resume")
        time.sleep(0.5)
        kernel.run("print(1 + 1)")
        idle = time.perf_counter() - began - 0.5
    finally:
        kernel.stop()
    figures = [
        Figure(f"{size}: %session resume", (resumed,)),
        Figure(f"{size}: until the first cell has run", (first,), aim=_AIM),
        Figure(f"{size}: until a cell that needs a small value has", (asked,)),
        Figure(f"{size}: the first cell while large values come", (idle,)),
    ]
    for place, seconds in everything.items():
        reading = Figure(f"{size}: reading {byte_size(written)} from {place}", (read[place],))
        back = Figure(f"{size}: until everything is back from {place}", (seconds,), reading, _TWICE)
        figures += [reading, back]
    return figures


def _peer(workplace: Workplace, size: str, rows: int, dicts: int) -> list[Figure]:
    """Nothing runs before all is loaded: the first cell waits for everything."""
    kernel = Kernel(workplace, _PEER)
    kernel.start()
    try:
        for cell in (*_MAKE, _SAVE):
            kernel.run(cell.format(rows=rows, dicts=dicts) if cell is not _SAVE else cell)
        kernel = _again(workplace, kernel)
        began = time.perf_counter()
        kernel.run(_LOAD)
        kernel.run("print(1 + 1)")
        taken = time.perf_counter() - began
    finally:
        kernel.stop()
    return [Figure(f"{size}: {_PEER.name}, until the first cell has run", (taken,))]


def _again(workplace: Workplace, kernel: Kernel) -> Kernel:
    """Kill the kernel and start another one in its place."""
    kernel.stop()
    successor = Kernel(workplace, kernel.kind, kernel.folder)
    successor.start()
    return successor


def _wait_until_saved(kernel: Kernel) -> None:
    deadline = time.monotonic() + _PATIENCE
    while '"waiting_to_be_saved": []' not in kernel.ask("%session status --json"):
        if time.monotonic() > deadline:
            message = "the state was not saved in time"
            raise RuntimeError(message)
        time.sleep(0.5)
