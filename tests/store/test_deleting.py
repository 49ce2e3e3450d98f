"""Deleting: for good, never under a writer, and never half."""

from __future__ import annotations

import pytest
from store.stores import make_session, titled

from ipysession.errors import SessionBusy, SessionNotFound


def test_nothing_is_left(store):
    """No folder, no leftover; the other sessions stay."""
    doomed, kept = make_session(store), make_session(store)
    store.delete(doomed)
    assert [path.name for path in store.sessions_folder.iterdir()] == [kept]
    with pytest.raises(SessionNotFound):
        store.delete(doomed)


def test_it_tells_the_bytes_freed(store):
    """Log, blobs, summary: all files of the session."""
    name = make_session(store)
    folder = store.folder(name)
    folder.blobs.put(b"x" * 10_000)
    sizes = [path.stat().st_size for path in folder.path.rglob("*") if path.is_file()]
    freed = store.delete(name)
    assert freed >= sum(sizes) > 10_000
    assert freed - sum(sizes) < 500


def test_not_while_it_is_written(store):
    """The recording goes on unharmed."""
    writer = store.create(titled("T"))
    with pytest.raises(SessionBusy):
        store.delete(writer.id)
    assert store.ids() == [writer.id]
    assert writer.close()
    store.delete(writer.id)
    assert store.ids() == []


def test_what_a_killed_deletion_left_goes_with_the_next(store):
    """And is never listed meanwhile."""
    one, two = make_session(store), make_session(store)
    (store.sessions_folder / one).rename(store.sessions_folder / f".deleted-{one}")
    assert store.ids() == [two]
    store.delete(two)
    assert list(store.sessions_folder.iterdir()) == []
