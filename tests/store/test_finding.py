"""Finding sessions: by id, prefix, title, or as the latest."""

from __future__ import annotations

import gc
import shutil
from pathlib import Path

import pytest
from store.stores import listed, make_session, run_cells, titled

from ipysession.errors import AmbiguousSession, InvalidSessionId, SessionNotFound
from ipysession.store import SessionFolder, Store, default_store_path
from ipysession.store import store as store_module


@pytest.fixture
def ids(store, monkeypatch):
    """Three sessions of known ids, oldest first, with the titles One, Two and two."""
    names = ["20261120-080000-aaaaaa", "20261121-080000-bbbbbb", "20261121-090000-cccccc"]
    for name, title in zip(names, ["One", "Two", "two"], strict=True):
        monkeypatch.setattr(store_module, "new_id", lambda name=name: name)
        make_session(store, title)
    return names


class TestPlace:
    """Where the store lies."""

    def test_the_variable_names_it(self, monkeypatch, home):
        """With a tilde, as people write it; always absolute."""
        assert default_store_path() == Store().path == home / "store"
        monkeypatch.setenv("IPYSESSION_STORE", "~/s")
        assert default_store_path() == Path.home() / "s"
        monkeypatch.setenv("IPYSESSION_STORE", "s")
        assert default_store_path() == Path.cwd() / "s"

    def test_by_default_it_lies_in_jupyters_data_folder(self, monkeypatch, home):
        """Kernel, server and shell agree about that."""
        monkeypatch.delenv("IPYSESSION_STORE")
        assert default_store_path() == home / "jupyter" / "data" / "ipysession" / "store"

    def test_a_path_of_ones_own(self, tmp_path):
        """As text or path."""
        assert Store(str(tmp_path)).path == Store(tmp_path).path == tmp_path


class TestResolve:
    """One reference, one session, or an error that says how to go on."""

    def test_by_id(self, store, ids):
        """Exactly; blanks around it do not matter."""
        for name in ids:
            assert store.resolve(name) == store.resolve(f" {name}\n") == name

    def test_by_a_unique_prefix(self, store, ids):
        """As with git's commits."""
        assert store.resolve("20261120") == ids[0]
        assert store.resolve("20261121-09") == ids[2]

    def test_an_ambiguous_prefix(self, store, ids):
        """The message names the candidates."""
        with pytest.raises(AmbiguousSession, match="matches 2 sessions") as caught:
            store.resolve("20261121")
        assert all(name in str(caught.value) for name in ids[1:])

    def test_by_title(self, store, ids):
        """Case does not matter."""
        assert store.resolve("one") == store.resolve("ONE") == ids[0]
        with pytest.raises(AmbiguousSession):
            store.resolve("TWO")

    def test_the_latest_is_the_one_recorded_to_last(self, store, ids):
        """Not the one begun last: an old session that was resumed is where the user works."""
        assert store.resolve("latest") == ids[2]
        writer = store.open_for_append(ids[0])
        run_cells(writer, 3)
        writer.close()
        assert store.resolve("latest") == ids[0]

    @pytest.mark.parametrize("reference", ["", " ", "none", "2027", "../sessions", "LATEST"])
    def test_nothing_matches(self, store, ids, reference):
        """The message says how to see what there is; an empty text is no prefix."""
        with pytest.raises(SessionNotFound, match="jupyter session list"):
            store.resolve(reference)

    @pytest.mark.parametrize("reference", ["latest", "", "20261120-080000-aaaaaa"])
    def test_an_empty_store(self, store, reference):
        """The message says how to record a first one."""
        with pytest.raises(SessionNotFound, match="%load_ext ipysession"):
            store.resolve(reference)


class TestFolder:
    """The folder of exactly one id."""

    def test_one_that_is_there(self, store, ids):
        """Its name is the id."""
        assert store.folder(ids[0]).id == ids[0]

    def test_one_that_is_not_there(self, store, ids):
        """Well formed, but unknown."""
        with pytest.raises(SessionNotFound, match="there is no session"):
            store.folder("20200101-000000-aaaaaa")

    @pytest.mark.parametrize("bad", ["..", "../..", "/etc", "x", ""])
    def test_what_is_no_id_never_touches_a_path(self, store, ids, bad):
        """Neither to read, nor to write, nor to delete."""
        for verb in (store.folder, store.open_for_append, store.delete):
            with pytest.raises(InvalidSessionId):
                verb(bad)
        assert store.ids() == ids


class TestReading:
    """A whole session."""

    @pytest.mark.parametrize("collects", [True, False])
    def test_the_users_garbage_collection_is_as_it_was(self, store, ids, monkeypatch, collects):
        """It rests while a session is read, also where reading fails."""
        try:
            if not collects:
                gc.disable()
            store.folder(ids[0]).read()
            assert gc.isenabled() is collects
            monkeypatch.setattr("ipysession.store.folder.fold", None)
            with pytest.raises(TypeError):
                store.folder(ids[0]).read()
            assert gc.isenabled() is collects
        finally:
            gc.enable()


class TestListing:
    """What is listed is a session, and all of them are listed."""

    def test_nothing_is_made_by_looking(self, store, home):
        """Folders appear with the first session, not before."""
        assert store.ids() == []
        assert store.summaries() == []
        assert store.key() is None
        assert list(home.iterdir()) == []

    def test_oldest_first(self, store, ids):
        """By their ids."""
        assert store.ids() == ids
        assert list(listed(store)) == ids

    def test_other_things_in_the_folder_are_no_sessions(self, store, ids, tmp_path):
        """Files, links, half-deleted sessions."""
        (store.sessions_folder / "20261122-080000-dddddd").touch()
        (store.sessions_folder / "20261122-080000-eeeeee").symlink_to(tmp_path)
        (store.sessions_folder / ".deleted-20261122-080000-ffffff").mkdir()
        (store.sessions_folder / "notes").mkdir()
        assert store.ids() == ids

    def test_a_session_without_a_record_is_listed_by_its_id(self, store, ids):
        """Its kernel died at once; it can be looked at and deleted."""
        name = "20261122-080000-dddddd"
        (store.sessions_folder / name).mkdir()
        summary = listed(store)[name]
        assert (summary.title, summary.records) == (name, 0)

    @pytest.mark.parametrize("raises", [True, False])
    def test_one_that_is_deleted_meanwhile_is_left_out(self, store, ids, monkeypatch, raises):
        """Whether its files went before they were read or after."""
        real = SessionFolder.summary

        def summary(folder, key):
            if folder.id != ids[1]:
                return real(folder, key)
            found = real(folder, key)
            shutil.rmtree(folder.path)
            if raises:
                raise FileNotFoundError
            return found

        monkeypatch.setattr(SessionFolder, "summary", summary)
        assert list(listed(store)) == [ids[0], ids[2]]

    def test_a_copied_folder_is_still_the_session(self, store, ids, tmp_path):
        """A session folder stands alone."""
        copy = tmp_path / ids[0]
        shutil.copytree(store.sessions_folder / ids[0], copy)
        assert SessionFolder(copy).read().session == store.folder(ids[0]).read().session


def test_a_session_without_a_title_is_called_by_its_id(store):
    """So that a listing never shows an empty name; a title that is given is kept."""
    with_title, without = store.create(titled("mine")), store.create()
    assert with_title.summary().title == "mine"
    assert without.summary().title == without.id
    for writer in (with_title, without):
        assert writer.summary().id == writer.id
        writer.close()
