"""What all tests share: no test sees the user's own store, key or Jupyter folders."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest

BROWSER = Path(__file__).parent / "browser"

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """``make browser`` collects one folder: a test of its kind elsewhere would never run there."""
    for item in items:
        inside = item.path.is_relative_to(BROWSER)
        if inside != (item.get_closest_marker("browser") is not None):
            message = f"{item.nodeid}: tests marked `browser`, and no others, live in {BROWSER}"
            raise pytest.UsageError(message)
