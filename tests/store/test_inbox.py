"""What others ask the writer of a session to append."""

import json
import threading
import time

import pytest
from store.stores import make_session, other_writer

from ipysession.errors import SessionBusy
from ipysession.model import payloads as p
from ipysession.sessions import Sessions
from ipysession.store import Store, inbox


@pytest.fixture
def writer(store):
    """A session that is being written."""
    writer = store.create(p.SessionCreated(session="", title="old"))
    yield writer
    writer.close()


@pytest.fixture
def at_once(monkeypatch):
    """Writers look all the time."""
    monkeypatch.setattr("ipysession.store.writer.LOOK_SECONDS", 0.0)


@pytest.fixture
def impatient(monkeypatch):
    """Whoever asks waits a moment only."""
    monkeypatch.setattr(inbox, "_PATIENCE_SECONDS", 0.1)


def other(store):
    """The verbs as another process has them."""
    return Sessions(Store(store.path, key=store.key()))


def test_another_process_changes_what_a_kernel_writes(store, writer):
    """Title, tags and a note, in the log and in its order; the writer knows them too."""
    writer.append(p.StepStarted(step=1, source="1"))
    sessions = other(store)
    sessions.rename("new", writer.id)
    sessions.retag(["a", "b"], writer.id)
    sessions.retag(["b", "c"], writer.id)
    assert sessions.note("hm", writer.id).data["step"] == 1
    assert (writer.summary().title, writer.summary().tags) == ("new", ("b", "c"))
    writer.append(p.StepStarted(step=2, source="2"))
    reading = sessions.read_id(writer.id)
    assert [record.seq for record in reading.contents.records] == list(range(1, 10))
    assert [(note.text, note.step) for note in reading.session.notes] == [("hm", 1)]
    assert reading.damage == ()
    assert list(writer.folder.inbox_path.iterdir()) == []
    assert writer.folder.inbox_path.stat().st_mode & 0o777 == 0o700


def test_many_ask_at_once(store, writer, at_once):
    """None is lost, none counts twice."""
    sessions = other(store)
    threads = [
        threading.Thread(target=sessions.tag, args=(f"tag {number}", writer.id))
        for number in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(writer.summary().tags) == sorted(f"tag {number}" for number in range(20))


def test_a_writer_that_does_not_look_is_busy_and_the_request_is_taken_back(
    store, writer, impatient, monkeypatch
):
    """Nothing happens later that was refused before."""
    monkeypatch.setattr("ipysession.store.writer.LOOK_SECONDS", 1000.0)
    with pytest.raises(SessionBusy, match="is being written by process"):
        other(store).rename("new", writer.id)
    assert list(writer.folder.inbox_path.iterdir()) == []
    assert writer.summary().title == "old"


def test_a_writer_that_died_meanwhile_leaves_the_way_free(store, impatient, monkeypatch):
    """Then the one who asked appends by itself."""
    sessions = other(store)
    with other_writer() as writer:
        ask = Store.ask

        def ask_the_dead(self, *args):
            writer.kill()
            return ask(self, *args)

        monkeypatch.setattr(Store, "ask", ask_the_dead)
        sessions.rename("new", writer.id)
    assert sessions.read_id(writer.id).session.summary.title == "new"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda said: {**said, "mac": "0" * 32},
        lambda said: {**said, "request": said["request"].replace("new", "evil")},
        lambda said: {},
        lambda said: [],
        lambda said: None,
    ],
)
def test_what_is_not_signed_by_this_user_is_thrown_away(store, writer, spoil):
    """As nothing in the log is believed that is not."""
    box = inbox.Inbox(writer.folder.inbox_path, writer.id, store.key())
    asking = threading.Thread(target=box.ask, args=([p.SessionTitled(title="new")],))
    taken = []
    asking.start()
    while not (found := [*writer.folder.inbox_path.glob("*.json")]):
        time.sleep(0.005)
    found[0].write_text(json.dumps(spoil(json.loads(found[0].read_text()))))
    box.take(taken.append)
    asking.join(30)
    assert taken == []
    assert not found[0].exists()


def test_only_titles_tags_and_notes_can_be_asked_for(store, writer):
    """A request for anything else is none, even if it is signed."""
    box = inbox.Inbox(writer.folder.inbox_path, writer.id, store.key())
    box._folder.mkdir(mode=0o700)
    text = json.dumps([["session.completed", {"reason": "x"}]])
    path = box._folder / "1.json"
    path.write_text(json.dumps({"request": text, "mac": box._mac(text)}))
    taken = []
    box.take(taken.append)
    assert (taken, path.exists()) == ([], False)


def test_what_was_left_behind_long_ago_is_forgotten(store, monkeypatch):
    """Its asker died waiting; nobody expects it any more."""
    session_id = make_session(store, "old")
    box = inbox.Inbox(store.folder(session_id).inbox_path, session_id, store.key())
    box._folder.mkdir(mode=0o700)
    text = json.dumps([["session.titled", {"title": "new"}]])
    path = box._folder / "1.json"
    path.write_text(json.dumps({"request": text, "mac": box._mac(text)}))
    monkeypatch.setattr(inbox, "_FORGOTTEN_SECONDS", -1.0)
    taken = []
    box.take(taken.append)
    assert (taken, path.exists()) == ([], False)
