"""The index: what makes listings fast is never believed against the sessions themselves."""

import os
import shutil
import stat
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store.stores import listed, make_session, other_writer, run_cells, titled

from ipysession.model import payloads as p
from ipysession.store import SessionFolder, Store
from ipysession.store import index as index_module


def again(store):
    """The same store as another process sees it: it knows what the file knows."""
    return Store(store.path, key=store.key())


def settle(store):
    """As if all that was written had been written a while ago, and was looked at since."""
    past = time.time() - 60
    for folder in (*store.sessions_folder.iterdir(), store.sessions_folder):
        os.utime(folder, (past, past))
    store.index._folder_changed = None
    return listed(store)


@pytest.fixture
def reads(monkeypatch):
    """The ids of the sessions whose summaries were read."""
    seen = []

    def summary(self, key=None, summary=SessionFolder.summary):
        seen.append(self.id)
        return summary(self, key)

    monkeypatch.setattr(SessionFolder, "summary", summary)
    return seen


class TestFast:
    def test_what_did_not_change_is_not_read_again(self, store, reads):
        """Neither by this process nor by the next one."""
        made = {make_session(store, str(number)) for number in range(5)}
        expected = settle(store)
        assert set(expected) == made
        reads.clear()
        assert listed(store) == expected
        assert listed(again(store)) == expected
        assert reads == []

    def test_nor_are_the_folders_looked_at_for_a_while(self, store, monkeypatch):
        """One look at the folder of all sessions is enough."""
        make_session(store)
        expected = settle(store)
        monkeypatch.setattr(index_module.os, "scandir", None)
        assert listed(store) == expected

    def test_what_changed_is_read_and_nothing_else(self, store, reads):
        """Also after a search."""
        first, second = make_session(store, "first"), make_session(store, "second")
        settle(store)
        reads.clear()
        writer = again(store).open_for_append(first)
        writer.append(p.SessionTitled(title="new"))
        writer.close()
        assert listed(store)[first].title == "new"
        assert store.with_source("cell 1") == {first, second}
        assert set(reads) == {first}

    def test_a_second_search_reads_no_log(self, store, monkeypatch):
        """What the first one read is kept, for the next process too."""
        session_id = make_session(store)
        settle(store)
        assert store.with_source("cell 1") == {session_id}
        monkeypatch.setattr(index_module, "read_only", None)
        assert store.with_source("cell 2") == {session_id}
        assert again(store).with_source("cell 1") == {session_id}
        assert again(store).with_source("cell 9") == set()


class TestNeverWrong:
    """Whatever other processes do, the next listing says so."""

    def test_sessions_come_grow_and_go(self, store):
        """One after the other."""
        known = make_session(store)
        settle(store)
        other = again(store)
        new = make_session(other, "new")
        assert set(listed(store)) == {known, new}
        writer = other.open_for_append(known)
        assert listed(store)[known].state == "paused"
        writer.append(p.SessionResumed(reason="on"))
        run_cells(writer, 3)
        assert (listed(store)[known].state, listed(store)[known].steps) == ("running", 3)
        run_cells(writer, 4)
        assert listed(store)[known].steps == 4
        writer.close()
        other.delete(new)
        assert set(listed(store)) == {known}
        assert store.listed_id(known).summary.steps == 4

    def test_a_kernel_that_is_killed_is_seen_to_be_dead(self, store):
        """Although nobody wrote that down."""
        make_session(store)
        settle(store)
        with other_writer() as other:
            assert listed(store)[other.id].state == "running"
            other.kill()
        assert listed(store)[other.id].state == "interrupted"

    def test_files_that_are_copied_into_a_session_are_found_after_a_while(
        self, store, tmp_path, monkeypatch
    ):
        """Nobody touched the folder of all sessions; but it is not believed for ever."""
        session_id = make_session(store)
        path = store.folder(session_id).path
        shutil.copytree(path, tmp_path / "old")
        writer = store.open_for_append(session_id)
        writer.append(p.SessionTitled(title="newer"))
        writer.close()
        assert settle(store)[session_id].title == "newer"
        shutil.rmtree(path / "log")
        for name in ("log", "session.json"):
            (tmp_path / "old" / name).rename(path / name)
        monkeypatch.setattr(index_module, "_WHOLE_SECONDS", 0.0)
        assert listed(store)[session_id].title == "T"

    @given(
        actions=st.lists(
            st.tuples(
                st.sampled_from(["create", "open", "append", "close", "delete", "settle", "list"]),
                st.integers(0, 3),
            ),
            max_size=25,
        )
    )
    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    def test_after_any_course_of_events_it_says_what_the_folders_say(
        self, tmp_path_factory, actions
    ):
        """Two readers, one that looks all the time and one that looks at the end."""
        path = tmp_path_factory.mktemp("index") / "store"
        store = Store(path, key=b"k" * 32)
        reader = again(store)
        writers, closed = [], []
        for action, which in actions:
            if action == "create":
                writers.append(store.create(titled(f"title {which}")))
            elif action == "open" and closed:
                writers.append(store.open_for_append(closed.pop(which % len(closed))))
            elif action == "append" and writers:
                writers[which % len(writers)].append(p.SessionTitled(title=f"new {which}"))
            elif action == "close" and writers:
                writer = writers.pop(which % len(writers))
                writer.close()
                closed.append(writer.id)
            elif action == "delete" and closed:
                store.delete(closed.pop(which % len(closed)))
            elif action == "settle" and store.ids() and not writers:
                settle(reader)
            folders = [SessionFolder(store.sessions_folder / name) for name in store.ids()]
            assert reader.summaries() == [folder.summary() for folder in folders]
            assert set(reader.stamps()) == {folder.id for folder in folders}
        assert again(store).summaries() == reader.summaries()
        for writer in writers:
            writer.close()


class TestDerived:
    def test_it_is_private(self, store):
        """It holds sources."""
        make_session(store)
        settle(store)
        assert stat.S_IMODE(store.index.path.stat().st_mode) == 0o600

    @pytest.mark.parametrize(
        "content", [None, b"", b"no database", b"SQLite format 3\0" + b"x" * 99]
    )
    def test_deleted_or_damaged(self, store, content):
        """Nothing is lost, and the file is whole again."""
        session_id = make_session(store)
        expected = settle(store)
        assert store.with_source("cell 1") == {session_id}
        if content is None:
            store.index.path.unlink()
        else:
            store.index.path.write_bytes(content)
        for each in (store, again(store), again(store)):
            assert listed(each) == expected
            assert each.with_source("CELL 1") == {session_id}
            assert each.with_source("cell 9") == set()
        assert store.index.path.read_bytes().startswith(b"SQLite")

    def test_a_store_that_cannot_be_written_is_listed_all_the_same(self, store, monkeypatch):
        """Only more slowly."""
        session_id = make_session(store)
        monkeypatch.setattr(index_module.files, "create_private", _refuse)
        expected = settle(store)
        assert set(expected) == {session_id}
        assert store.with_source("cell 1") == {session_id}
        assert not store.index.path.exists()

    def test_looking_at_a_store_that_does_not_exist_makes_none(self, store):
        """Neither a folder nor a file."""
        assert (store.summaries(), store.stamps(), store.with_source("x")) == ([], {}, set())
        assert not store.path.exists()


def _refuse(*args, **kwargs):
    raise PermissionError(13, "Permission denied")


class TestSources:
    def test_found_whatever_the_case_in_what_was_typed_and_nowhere_else(self, store):
        """Not in outputs; with signs that no encoding knows."""
        writer = store.create(titled("x"))
        writer.append(p.StepStarted(step=1, source="ß = 'İ' + '\udce9'"))
        output = {"output_type": "stream", "name": "stdout", "text": "shown"}
        writer.append(p.StepOutput(step=1, events=[{"event": "output", "output": output}]))
        for closed in (False, True):
            assert store.with_source("SS = 'i̇") == {writer.id}, closed
            assert store.with_source("shown") == set()
            writer.close()
            settle(store)

    def test_a_source_that_lies_in_a_blob_is_found_too(self, store):
        """It was too long for a line."""
        writer = store.create(titled("x"))
        writer.append(p.StepStarted(step=1, source="# filling\n" * 200_000 + "needle = 1"))
        writer.close()
        assert store.with_source("needle") == {writer.id}
