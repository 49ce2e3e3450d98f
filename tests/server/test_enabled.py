"""Installing is enabling: the server finds the extension, and the store that kernels use."""

import json
import shutil
from pathlib import Path

import pytest
from jupyter_core.paths import jupyter_data_dir
from jupyter_server.extension.serverextension import ExtensionManager
from traitlets.config import Config

import ipysession
from ipysession.store import STORE_VARIABLE, Store

CONFIG = Path(__file__).parents[2] / "jupyter-config" / "jupyter_server_config.d"


@pytest.fixture
def installed(jp_environ, jp_env_config_path):
    """The file that the wheel puts below the environment's etc/jupyter."""
    shutil.copytree(CONFIG, jp_env_config_path / CONFIG.name)


class TestByTheFileAlone:
    @pytest.fixture
    def jp_server_config(self, installed):
        """Nothing here names the extension."""
        return Config({"ServerApp": {"allow_unauthenticated_access": False}})

    async def test_the_routes_are_there(self, fetch, record):
        """What `pip install` puts in place is enough."""
        session_id = record()
        assert (await fetch("sessions")).ids == [session_id]


class TestDisabled:
    @pytest.fixture
    def jp_server_config(self, installed):
        """The user's word against the file's."""
        return Config({"ServerApp": {"jpserver_extensions": {"ipysession": False}}})

    async def test_the_routes_are_not_there(self, fetch):
        """A user's own configuration can take the routes away."""
        assert (await fetch("sessions")).status == 404


def test_the_extension_is_one_that_jupyter_accepts(jp_environ):
    """As `jupyter server extension list` checks it."""
    manager = ExtensionManager()
    assert manager.add_extension("ipysession", enabled=True)
    (point,) = manager.extensions["ipysession"].extension_points.values()
    assert point.validate()
    assert json.loads((CONFIG / "ipysession.json").read_text())["ServerApp"] == {
        "jpserver_extensions": {"ipysession": True}
    }
    assert ipysession._jupyter_server_extension_points() == [{"module": "ipysession.server"}]


class TestWhichStore:
    """Kernels and the shell ask the same two: the variable, else Jupyter's data directory."""

    async def test_the_variable(self, fetch, record):
        """IPYSESSION_STORE names the store."""
        session_id = record()
        assert (await fetch("sessions")).ids == [session_id]

    async def test_the_default(self, without_variable, fetch):
        """Without it, all take the folder under Jupyter's data directory."""
        store = Store()
        assert store.path == Path(jupyter_data_dir()) / "ipysession" / "store"
        session_id = recorded_in(store)
        assert (await fetch("sessions")).ids == [session_id]

    @pytest.fixture
    def without_variable(self, store, monkeypatch):
        """As most users have it."""
        monkeypatch.delenv(STORE_VARIABLE)


class TestTheTraitWins:
    @pytest.fixture
    def jp_server_config(self, tmp_path):
        """Another store than the variable's."""
        server = {"jpserver_extensions": {"ipysession": True}}
        return Config({"ServerApp": server, "SessionStore": {"url": str(tmp_path / "other")}})

    async def test_over_the_variable(self, fetch, record, tmp_path):
        """An explicit trait is the server's alone."""
        record()
        assert (await fetch("sessions")).ids == []
        session_id = recorded_in(Store(tmp_path / "other"))
        assert (await fetch("sessions")).ids == [session_id]


def recorded_in(store):
    """The id of a session recorded in ``store``."""
    writer = store.create()
    writer.close()
    return writer.id
