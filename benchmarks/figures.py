"""A figure: samples of one thing, their median, p95 and worst, and the aim beside them."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Aim:
    """What a figure's median should stay below: so many seconds, or so many times its baseline;
    and what its worst sample should.
    """

    seconds: float | None = None
    times: float | None = None
    worst: float | None = None

    def __str__(self) -> str:
        if self.seconds is not None:
            worst = "" if self.worst is None else f", worst {duration(self.worst)}"
            return f"≤ {duration(self.seconds)}{worst}"
        return f"≤ {self.times:.2f} ×"


@dataclass(frozen=True, slots=True)
class Figure:
    """Measured seconds of one thing. ``baseline`` is what they are compared with."""

    what: str
    samples: tuple[float, ...]
    baseline: Figure | None = None
    aim: Aim | None = None
    remark: str = ""

    @property
    def median(self) -> float:
        """The middle sample."""
        return statistics.median(self.samples)

    @property
    def p95(self) -> float:
        """The sample that 95 % do not exceed."""
        ordered = sorted(self.samples)
        return ordered[math.ceil(0.95 * len(ordered)) - 1]

    @property
    def worst(self) -> float:
        """The largest sample."""
        return max(self.samples)

    @property
    def times(self) -> float | None:
        """The median as a multiple of the baseline's."""
        return None if self.baseline is None else self.median / self.baseline.median

    @property
    def met(self) -> bool | None:
        """Is the aim met? None where there is no aim."""
        if self.aim is None:
            return None
        if self.aim.worst is not None and self.worst > self.aim.worst:
            return False
        if self.aim.seconds is not None:
            return self.median <= self.aim.seconds
        if self.aim.times is not None and self.times is not None:
            return self.times <= self.aim.times
        return None

    def document(self) -> dict[str, Any]:
        """The figure as plain data; all times in seconds."""
        return {
            "what": self.what,
            "runs": len(self.samples),
            "median": self.median,
            "p95": self.p95,
            "worst": self.worst,
            "times_baseline": self.times,
            "baseline": None if self.baseline is None else self.baseline.what,
            "aim": None if self.aim is None else str(self.aim),
            "met": self.met,
            "remark": self.remark,
        }


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of one thing. ``aim`` says what they should be, and ``met`` whether they are."""

    what: str
    counts: dict[str, int | str]
    aim: str = ""
    met: bool | None = None
    remark: str = ""

    def document(self) -> dict[str, Any]:
        """The tally as plain data."""
        return {
            "what": self.what,
            "counts": self.counts,
            "aim": self.aim or None,
            "met": self.met,
            "remark": self.remark,
        }


@dataclass(frozen=True, slots=True)
class Section:
    """The figures and tallies of one measurement, or why there are none."""

    name: str
    title: str
    figures: tuple[Figure | Tally, ...]
    seconds: float
    failure: str = ""

    def document(self) -> dict[str, Any]:
        """The section as plain data."""
        return {
            "name": self.name,
            "title": self.title,
            "figures": [figure.document() for figure in self.figures],
            "seconds": self.seconds,
            "failure": self.failure,
        }


def beyond(samples: Sequence[float], plain: Sequence[float]) -> tuple[float, ...]:
    """What each sample took beyond the median of the plain ones measured beside it."""
    usual = statistics.median(plain)
    return tuple(sample - usual for sample in samples)


def duration(seconds: float) -> str:
    """``0.0000123`` → ``12.3 µs``: three digits, in the unit that fits."""
    for factor, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if abs(seconds) >= factor or unit == "µs":
            value = seconds / factor
            digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
            return f"{value:.{digits}f} {unit}"
    raise AssertionError  # the last unit takes everything


def byte_size(size: float) -> str:
    """``1_500_000`` → ``1.5 MB``."""
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "KB")):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size:.0f} bytes"
