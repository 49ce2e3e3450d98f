"""What the tools go through: small cells, large data that is edited and read, fits, loops."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell and what it stands for in the table."""

    what: str
    source: str


_LOOP = "for i in range({n}): pass"
_CALL = "STEP = 2\ndef run():\n    for i in range({n}): i * STEP\nrun()"
_DATA = "{'x': np.arange(N) % 997, 'y': rng.random(N), 's': [f's{i % 5000}' for i in range(N)]}"


def workload(*, quick: bool) -> list[Cell]:
    """The cells, in order. ``quick`` makes everything a hundredth."""
    small = 100 if quick else 1
    rows, items = 1_000_000 // small, 500_000 // small
    tiny = 200 if not quick else 10
    beside = 30 if not quick else 5
    loop = 1_000_000 // small
    cells = [Cell("set-up", "import numpy as np, pandas as pd\nrng = np.random.default_rng(1)")]
    cells += [Cell("tiny", f"x = {n}") for n in range(tiny)]
    cells += [Cell("large value made", f"arr = rng.random({12_500_000 // small})")]
    cells += [Cell("large value made", f"N = {rows}\ndf = pd.DataFrame({_DATA})")]
    for n in range(5):
        cells.append(Cell("one element of 100 MB", f"arr[{n * 1000}] = {n}"))
        cells.append(Cell("one cell of the frame", f"df.loc[{n * 7}, 'x'] = {n}"))
    reads = ("df.x.sum()", "df.y.mean()", "df.groupby('x').y.mean().head(2)", "len(df)", "df.shape")
    cells += [Cell("frame read", f"r = {read}") for read in reads * 2]
    item = "{'id': i, 'name': f'n{i}', 'v': i * 0.5, 'ok': True}"
    make = f"rows = [{item} for i in range({items})]"
    cells.append(Cell("large value made", make))
    cells += [Cell("one of 500,000 dicts", f"rows[{n * 999}]['v'] = {n}") for n in range(5)]
    fit = (
        "from sklearn.linear_model import LogisticRegression\n"
        "from sklearn.ensemble import RandomForestClassifier\n"
        "X = rng.random((5000, 10)); target = X[:, 0] > 0.5\n"
    )
    cells.append(Cell("scikit-learn fit", fit + "m = LogisticRegression().fit(X, target)"))
    forest = "RandomForestClassifier(20, random_state={n}).fit(X, target)"
    cells += [Cell("scikit-learn fit", f"m = {forest.format(n=n)}") for n in range(3)]
    cells += [Cell("tiny, beside 150 MB", f"y = {n}") for n in range(beside)]
    cells += [Cell("a loop at top level", _LOOP.format(n=loop)) for _ in range(3)]
    cells += [Cell("a loop in a function", _CALL.format(n=loop)) for _ in range(3)]
    return cells
