"""The picture of the tree, and a session read without a kernel."""

from __future__ import annotations

import base64
import pickle

import pytest

from ipysession.checkpoint.growing import grow
from ipysession.checkpoint.trust import trust_in
from ipysession.errors import BlobDamaged, InvalidRequest, LogDamaged, NotSaved, StepNotFound
from ipysession.model import payloads as p
from ipysession.model import tree
from ipysession.model.provenance import Environment
from ipysession.sessions import Sessions
from ipysession.sessions.opened import opened
from ipysession.store import Store

KEY = b"k" * 32


@pytest.fixture
def store(tmp_path):
    """An empty store."""
    return Store(tmp_path / "store", key=KEY)


def pickled(values):
    """The bytes of a group."""
    return pickle.dumps(values, 5)


def record(store, parents, *, moved=(), saved=()):
    """A session whose steps have these parents; ``saved`` are values by step."""
    writer = store.create(p.SessionCreated(session="", title="t"))
    writer.append(p.RunStarted(number=1, environment=Environment(python="3.11")))
    for number, parent in enumerate(parents, start=1):
        writer.append(p.StepStarted(step=number, parent=parent, source=f"cell {number}"))
        writer.append(p.StepFinished(step=number, outcome="ok", duration=0.1, bound=["x"]))
        for step, group in saved:
            if step == number:
                writer.append(p.CheckpointSaved(step=step, groups=[group(writer)]))
    for step in moved:
        writer.append(p.SessionMoved(step=step))
    writer.append(p.SessionPaused())
    writer.close()
    return writer.id


def inline(value):
    """A group ``x`` whose pickle stands in the record."""
    data = base64.b64encode(pickled({"x": value})).decode()
    preview = p.Preview(type="list", size=64, shape=[len(value)], text=repr(value))
    return lambda _: p.SavedGroup(names=["x"], size=1, inline=data, previews={"x": preview})


def in_blob(value):
    """A group ``x`` in a blob."""
    return lambda writer: p.SavedGroup(
        names=["x"], size=1, blob=writer.blobs.put(pickled({"x": value}))
    )


def drawn(store, session):
    """The column of the picture."""
    [table] = Sessions(store).tree(session).tables
    return [row[0] for row in table.rows]


def test_a_session_that_never_went_back_is_one_line(store):
    """And where it stands is told."""
    assert drawn(store, record(store, [0, 1, 2])) == ["● 1", "● 2", "● 3  ← here"]


def test_branches_stand_aside_of_the_way_to_where_the_session_stands(store):
    """Whichever was made first."""
    session = record(store, [0, 1, 2, 1, 4, 4], moved=[5])
    assert drawn(store, session) == ["● 1", "├─● 2", "│ ● 3", "● 4", "├─● 6", "● 5  ← here"]
    assert drawn(store, record(store, [0, 0, 1])) == ["├─● 2", "● 1", "● 3  ← here"]


def test_of_a_long_way_the_middle_is_left_out(store):
    """The document has it all."""
    session = record(store, range(40))
    rows = drawn(store, session)
    assert rows == [*(f"● {n}" for n in range(1, 7)), "⋮", *(f"● {n}" for n in range(35, 40)),
                    "● 40  ← here"]  # fmt: skip
    assert len(Sessions(store).tree(session).data["steps"]) == 40


def test_nothing_was_run(store):
    """There is no picture of nothing."""
    report = Sessions(store).tree(record(store, []))
    assert report.data["head"] is None
    assert report.tables[0].rows == ()


def test_variables_are_told_from_the_records(store):
    """At any step, nothing is unpickled."""
    session = record(store, [0, 1], saved=[(1, inline([1])), (2, inline([1, 2]))])
    found = opened(store.folder(session).read(), KEY)
    assert found.variables["x"].text == "[1, 2]"
    assert found.at(1).variables["x"].shape == (1,)
    assert found.at(0).variables == {}
    assert found.load("x") == [1, 2]
    assert found.at(1).load("x") == [1]
    report = Sessions(store).variables(session, step=1)
    assert report.data["variables"][0]["text"] == "[1]"
    with pytest.raises(StepNotFound):
        found.at(9)
    with pytest.raises(InvalidRequest):
        Sessions(store).variables(session, step=9)


def test_what_was_not_saved_says_so(store):
    """With the reason."""
    found = opened(store.folder(record(store, [0])).read(), KEY)
    assert not found.variables["x"].saved
    with pytest.raises(NotSaved, match="nothing was saved"):
        found.load("x")


def test_a_value_is_loaded_only_after_all_of_its_way_was_verified(store):
    """The record's signature, then the blob's hash; without a key nothing."""
    session = record(store, [0], saved=[(1, in_blob(list(range(9))))])
    folder = store.folder(session)
    assert opened(folder.read(), KEY).load("x") == list(range(9))
    for key in (None, b"j" * 32):
        with pytest.raises(LogDamaged):
            opened(folder.read(), key).load("x")
    [blob] = [path for path in folder.blobs.folder.rglob("*") if path.is_file()]
    blob.write_bytes(b"x" + blob.read_bytes()[1:])
    with pytest.raises(BlobDamaged):
        opened(folder.read(), KEY).load("x")


def test_a_session_grows_from_a_step_with_all_that_it_needs(store):
    """The path, its values, and nothing of the other branch; it stands alone."""
    saved = [(1, in_blob([1])), (2, in_blob([2])), (3, in_blob([3]))]
    session = record(store, [0, 1, 1], saved=saved)
    new = grow(store, store.folder(session).read(KEY), 2)
    assert [step.number for step in store.folder(new).read().session.steps] == [1, 2]
    assert Sessions(store).tree(session).data["head"] == 3
    store.delete(session)
    reading = store.folder(new).read(KEY)
    assert not reading.damage
    assert reading.session.summary.parent == p.ParentStep(session=session, step=2)
    assert str(reading.session.summary.state) == "paused"
    assert tree.head(reading.session) == 2
    assert opened(reading, KEY).load("x") == [2]
    assert opened(reading, KEY).at(1).load("x") == [1]


def test_whose_session_it_is(store):
    """One's own, somebody else's, and one's own that was changed; a tag of ours changes nothing."""
    session = record(store, [0, 1], saved=[(1, inline([1]))])
    folder = store.folder(session)
    assert trust_in(folder.read(KEY)).untrusted == frozenset()
    assert not trust_in(folder.read(KEY)).foreign
    for reading in (folder.read(), folder.read(b"j" * 32)):
        assert trust_in(reading).foreign
        assert trust_in(reading).untrusted == {1}
        assert trust_in(reading).unproven == {1, 2}
    other = Store(store.path, key=b"j" * 32)
    Sessions(other).tag("theirs", session)
    assert trust_in(folder.read(b"j" * 32)).foreign
