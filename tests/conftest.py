"""What all tests share: no test sees the user's own store, key or Jupyter folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from pathlib import Path

# The machines that run this are busy at times: a slow example is no failure.
hypothesis.settings.register_profile("ipysession", deadline=None)
hypothesis.settings.load_profile("ipysession")


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, outside ``tmp_path``; processes that the test starts get it too."""
    folder = tmp_path_factory.mktemp("home")
    for name, value in {
        "IPYSESSION_STORE": "store",
        "IPYSESSION_KEY": "key/key",
        "IPYTHONDIR": "ipython",
        "JUPYTER_CONFIG_DIR": "jupyter/config",
        "JUPYTER_DATA_DIR": "jupyter/data",
        "JUPYTER_RUNTIME_DIR": "jupyter/runtime",
    }.items():
        monkeypatch.setenv(name, str(folder / value))
    return folder
