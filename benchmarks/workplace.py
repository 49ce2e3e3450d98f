"""Where and how much is measured: a folder of its own, and the numbers of runs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Workplace:
    """A temporary folder for everything that is written; ``quick`` asks for fewer runs."""

    folder: Path
    quick: bool = False

    def runs(self, full: int, quick: int) -> int:
        """How often to measure."""
        return quick if self.quick else full

    def environment(self, store: Path) -> dict[str, str]:
        """The environment of a measured process: nothing of the user's IPython or Jupyter, so
        that no startup hook makes a plain kernel record, and its sessions in ``store``.
        """
        own = {
            "IPYTHONDIR": self.folder / "ipython",
            "JUPYTER_CONFIG_DIR": self.folder / "config",
            "JUPYTER_DATA_DIR": self.folder / "data",
            "JUPYTER_RUNTIME_DIR": self.folder / "runtime",
            "IPYSESSION_STORE": store,
        }
        for folder in (self.folder / "ipython", self.folder / "runtime"):
            folder.mkdir(exist_ok=True, mode=0o700)
        return {**os.environ, **{name: str(path) for name, path in own.items()}}


def bytes_below(folder: Path) -> int:
    """Bytes of all files below ``folder``."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
