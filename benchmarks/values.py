"""What saving values costs a step that touches large or many of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, beyond, byte_size
from benchmarks.kernels import NO_VALUES, PLAIN, RECORDED, interleaved, running

if TYPE_CHECKING:
    from benchmarks.workplace import Workplace


@dataclass(frozen=True, slots=True)
class _Case:
    what: str
    prepare: str
    step: str
    """``STEP`` stands for its number."""

    def cell(self, number: int) -> str:
        """The code of the step with this number."""
        return self.step.replace("STEP", str(number))


_CASES = (
    _Case(
        "a DataFrame of 1,000,000 rows is read",
        "import numpy as np, pandas as pd\n"
        "df = pd.DataFrame({name: np.arange(1_000_000) * 0.5 for name in 'abcd'})",
        "total = df['a'].sum() + STEP",
    ),
    _Case(
        "one element of a 100 MB array changes",
        "import numpy as np\narray = np.zeros(100_000_000 // 8)",
        "array[STEP] = 1.0",
    ),
    _Case(
        "one of 200 small lists changes",
        "for i in range(200): globals()[f'small_{i}'] = [i]",
        "small_7.append(STEP)",
    ),
    _Case(
        "all of 200 small lists are made anew",
        "",
        "\n".join(f"small_{i} = [STEP, {i}]" for i in range(200)),
    ),
)


def values(workplace: Workplace) -> list[Figure]:
    """What a step takes beyond the plain kernel's, and how much it writes."""
    figures = []
    rounds = workplace.runs(10, 3)
    with running(workplace, PLAIN, RECORDED, NO_VALUES) as kernels:
        for case in _CASES:
            for kernel in kernels:
                kernel.run(case.prepare)
            interleaved(kernels, case.cell, rounds=1)
            before = [kernel.stored_bytes() for kernel in kernels]
            times = interleaved(kernels, case.cell, rounds=rounds)
            written = [
                (kernel.stored_bytes() - size) / rounds
                for kernel, size in zip(kernels, before, strict=True)
            ]
            for kernel, size in zip(kernels[1:], written[1:], strict=True):
                name = kernel.kind.name
                figures.append(
                    Figure(
                        f"{case.what}, {name}",
                        beyond(times[name], times[PLAIN.name]),
                        remark=f"beyond plain; {byte_size(size)} written",
                    )
                )
    return figures
