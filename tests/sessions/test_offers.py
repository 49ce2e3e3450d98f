"""Which session ``%session resume`` takes when it is told none: the one that was worked in last."""

from __future__ import annotations

import os

import pytest

from ipysession.model import payloads as p
from ipysession.model.provenance import Environment
from ipysession.offers import resumable
from ipysession.store import Store


@pytest.fixture
def store(tmp_path, monkeypatch):
    """An empty store, in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    return Store(tmp_path / "store", key=b"k" * 32)


def run(writer, number, source="x = 1", reason="kernel shutdown"):
    """One kernel's share of a session, to its end."""
    environment = Environment(python="3.11", cwd=os.getcwd())  # noqa: PTH109 - as it is recorded
    writer.append(p.RunStarted(number=number, environment=environment))
    writer.append(p.StepStarted(step=number, source=source))
    writer.append(p.StepFinished(step=number, outcome="ok", duration=0.1))
    writer.append(p.RunEnded(reason=reason))
    writer.append(p.SessionPaused(reason=reason))


def new(store, **how):
    """A session of one kernel; its id."""
    writer = store.create(p.SessionCreated(session="", title="work"))
    run(writer, 1, **how)
    writer.close()
    return writer.id


def again(store, session_id, number):
    """Another kernel goes on in a session."""
    writer = store.open_for_append(session_id)
    writer.append(p.SessionResumed(reason="resumed in a new kernel"))
    run(writer, number)
    writer.close()


def remark(store, session_id):
    """Somebody gives an old session a title, a tag and a note."""
    writer = store.open_for_append(session_id)
    for payload in (p.SessionTitled(title="old"), p.SessionTagged(tag="a"), p.NoteAdded(text="b")):
        writer.append(payload)
    writer.close()


def test_the_newest_one_is_offered(store):
    """Each kernel begins a session of its own."""
    new(store)
    newest = new(store)
    assert resumable(store, {}).id == newest


def test_one_that_was_resumed_counts_from_its_last_kernel(store):
    """Not from its beginning: a kernel that died after a resume is resumed where it stood."""
    first = new(store)
    new(store, reason=f"the kernel went on in session {first}")
    again(store, first, 2)
    assert resumable(store, {}).id == first


def test_remarks_are_no_work(store):
    """Who tidies up old sessions is not offered one of them."""
    old = new(store)
    newest = new(store)
    remark(store, old)
    assert resumable(store, {}).id == newest
    assert store.resolve("latest") == newest
    summary = store.listed_id(old).summary
    assert summary.title == "old"
    assert summary.updated < store.listed_id(newest).summary.updated


def test_a_kernels_own_session_and_those_of_other_folders_are_passed_over(store, tmp_path):
    """They are not what came before."""
    mine = new(store)
    own = new(store)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    os.chdir(elsewhere)
    new(store)
    os.chdir(tmp_path)
    assert resumable(store, {}, own).id == mine
