"""A child of growth.py: one IPython shell, plain or recorded, that runs steps when told to.

Reads a number of steps from each line of its input and answers with their seconds.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

_VARIABLES = 50
"""The user's namespace does not grow: that a longer one costs more would be no surprise."""


def main(kind: str) -> None:
    """Serve until the input ends."""
    # IPython's history stays in memory. Its thread commits to SQLite under a lock that the next
    # cell waits for; in a loop this tight, both shells would mostly measure that.
    config = Config({"HistoryManager": {"enabled": False}})
    shell = InteractiveShell.instance(config=config)
    if kind == "recorded":
        with contextlib.redirect_stdout(io.StringIO()):
            shell.run_line_magic("load_ext", "ipysession")
    step = 0
    for line in sys.stdin:
        taken = []
        for _ in range(int(line)):
            code = f"v{step % _VARIABLES} = {step}"
            started = time.perf_counter()
            shell.run_cell(code, store_history=True)  # type: ignore[no-untyped-call]
            taken.append(time.perf_counter() - started)
            step += 1
        print(json.dumps(taken), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
