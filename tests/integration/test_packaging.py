"""Installing is all: the sdist and the wheel carry the panel, and no node is needed for it."""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACE = "share/jupyter/labextensions/ipysession"

pytestmark = pytest.mark.integration


def run(*command, **environment):
    """What a command of this Python printed."""
    done = subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_wheel_made_of_the_sdist_without_node_holds_the_panel(tmp_path):
    """What PyPI serves is enough, on a machine that has Python only."""
    run("build", "--sdist", "--outdir", tmp_path, ROOT)
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        carried = {name.partition("/")[2] for name in archive.getnames()}
    assert "src/ipysession/labextension/package.json" in carried
    assert not any("node_modules" in name or name.startswith("ui/lib") for name in carried)

    nothing = tmp_path / "nothing"
    nothing.mkdir()
    run("pip", "wheel", "--no-deps", "--wheel-dir", tmp_path, sdist, PATH=str(nothing))
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (described,) = (name for name in names if name.endswith(f"{PLACE}/package.json"))
        panel = json.loads(archive.read(described))
    folder = described.removesuffix("package.json")
    assert {
        f"{folder}install.json",
        f"{folder}schemas/ipysession/panel.json",
        f"{folder}{panel['jupyterlab']['_build']['load']}",
    } <= set(names)
    # Once, and not its sources.
    assert not any(name.startswith(("ipysession/labextension", "ui/")) for name in names)


def test_jupyterlab_has_it_enabled():
    """As the user sees it, with nothing done after the installation."""
    (line,) = (
        line
        for line in run("jupyter", "labextension", "list").splitlines()
        if " ipysession" in line
    )
    assert "enabled" in line
    assert "OK" in line
