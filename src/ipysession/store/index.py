"""What makes listing and searching fast: the summaries of all sessions, derived from their
folders and kept in ``index.sqlite``. Deleting that file loses nothing.

A session's folder tells by its own time of change whether its summary is still the one that
is known: ``session.json`` is replaced in it, and whoever opens a session for appending
touches it, and then the folder of all sessions. So a listing reads only what changed, and for
a while does not even look at the other folders. A session that is being written is looked at
each time.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sqlite3
import stat
import threading
import time
from typing import TYPE_CHECKING

from ipysession.log import files, read_only
from ipysession.model import Summary
from ipysession.model.payloads import StepStarted
from ipysession.store.folder import SessionFolder
from ipysession.store.ids import is_id
from ipysession.store.rows import (
    SETTLED_SECONDS,
    Closely,
    Listed,
    Row,
    bytes_in,
    changed_at,
    look_closely,
    settled,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

_VERSION = 1
"""Of the tables; a file of another version is made anew."""

_WHOLE_SECONDS = 10.0
"""For so long the folder of all sessions is believed to tell of every change: whoever makes,
deletes or opens a session touches it. Somebody who copies files into a session does not."""

_SIZE_SECONDS = 10.0
"""At most so often is the size of a session taken while it is being written."""

_TABLES = """
create table sessions (
    id text primary key, changed integer not null, bytes integer not null, summary text not null
) without rowid;
create table sources (
    id text primary key, changed integer not null, source blob not null
) without rowid;
"""

_logger = logging.getLogger(__name__)


class Index:
    """The summaries of the sessions in ``folder``. Any thread and any process may use it."""

    def __init__(self, path: Path, folder: Path, key: Callable[[], bytes | None]) -> None:
        self.path = path
        self._folder = folder
        self._key = key
        self._rows: dict[str, Row] = {}
        self._unsettled: set[str] = set()
        """Those whose rows are not settled."""
        self._in_order: list[Listed] | None = None
        self._loaded = False
        self._whole_look = float("-inf")
        """When all folders were looked at last, by the monotonic clock."""
        self._folder_changed: int | None = None
        """The time of change of the folder of all sessions then; None where it was too recent to
        tell of a later change."""
        self._sourced: dict[str, int] | None = None
        """As of when the file knows the sources of a session."""
        self._lock = threading.RLock()

    def listed(self) -> list[Listed]:
        """All sessions as they are now, oldest first."""
        with self._lock:
            self._refresh(read=True)
            if self._in_order is None:
                self._in_order = [self._rows[name].listed for name in sorted(self._rows)]
            return list(self._in_order)

    def one(self, session_id: str) -> Listed | None:
        """One session as it is now; None where it is gone."""
        with self._lock:
            self._load()
            path = self._folder / session_id
            before = self._rows.get(session_id)
            try:
                changed = path.stat().st_mtime_ns
            except FileNotFoundError:
                return None
            if before is not None and before.stamp in {changed, look_closely(path, changed)}:
                return before.listed
            row = self._read(session_id, before)
            if row is None:
                return None
            self._put(session_id, row)
            self._keep([session_id] if row.settled else [], [])
            return row.listed

    def stamps(self) -> dict[str, object]:
        """What each session's folder looks like: another value after every change. A session
        that is being written is not read for it.
        """
        with self._lock:
            seen = self._refresh(read=False)
            found: dict[str, object] = {name: row.stamp for name, row in self._rows.items()}
            for name in self._unsettled:
                stamp = seen.get(name, self._rows[name].stamp)
                found[name] = stamp if isinstance(stamp, int) or stamp.alive else stamp.changed
            return found

    def with_source(self, text: str) -> set[str]:
        """The ids of the sessions with ``text`` in a step's source; case does not matter."""
        wanted = _folded(text)
        with self._lock:
            self._refresh(read=True)
            matches = self._search(wanted)
            known = {} if self._sourced is None else self._sourced
            found: set[str] = set()
            news: list[tuple[str, int, bytes]] = []
            for name, row in self._rows.items():
                if isinstance(row.stamp, int) and known.get(name) == row.stamp:
                    if matches.get(name) == row.stamp:
                        found.add(name)
                    continue
                source = self._source(name)
                if wanted in source:
                    found.add(name)
                if isinstance(row.stamp, int):
                    news.append((name, row.stamp, source))
            with self._database() as database:
                if news and database is not None:
                    database.executemany("replace into sources values (?, ?, ?)", news)
                    known.update((name, changed) for name, changed, _ in news)
            return found

    def _search(self, wanted: bytes) -> dict[str, int]:
        """The sessions whose sources the file knows and that hold the text, and as of when."""
        found: dict[str, int] | None = None
        with self._database() as database:
            if database is not None:
                if self._sourced is None:
                    self._sourced = dict(database.execute("select id, changed from sources"))
                query = "select id, changed from sources where instr(source, ?)"
                found = dict(database.execute(query, (wanted,)))
        if found is None:  # the file cannot be used
            self._sourced = None
            return {}
        return found

    # -- bringing the rows up to date --------------------------------------------------

    def _refresh(self, *, read: bool) -> dict[str, int | Closely]:
        """Bring the rows up to date; returns what the folders look like that were looked at.

        Without ``read`` a session that is being written keeps the summary that it had.
        """
        self._load()
        changed = changed_at(self._folder)
        is_quiet = (
            changed is not None
            and changed == self._folder_changed
            and time.monotonic() - self._whole_look < _WHOLE_SECONDS
        )
        if not is_quiet:
            recent = changed is None or time.time() - changed / 1e9 < SETTLED_SECONDS
            self._folder_changed = None if recent else changed
            self._whole_look = time.monotonic()
        seen = dict(self._look_again() if is_quiet else self._look())
        news: list[str] = []
        for name, stamp in seen.items():
            before = self._rows.get(name)
            if before is None or before.stamp != stamp:
                if before is not None and not before.settled and not read:
                    continue
                row = self._read(name, before)
            elif before.settled:
                continue
            else:
                row = settled(before)
            if row is None:
                continue  # it was deleted just now: the next look misses it
            self._put(name, row)
            if row.settled:
                news.append(name)
        gone = [name for name in (self._unsettled if is_quiet else self._rows) if name not in seen]
        for name in gone:
            del self._rows[name]
            self._unsettled.discard(name)
            self._in_order = None
        self._keep(news, gone)
        return seen

    def _put(self, name: str, row: Row) -> None:
        before = self._rows.get(name)
        if before is None or before.listed != row.listed:
            self._in_order = None
        self._rows[name] = row
        (self._unsettled.discard if row.settled else self._unsettled.add)(name)

    def _look_again(self) -> Iterator[tuple[str, int | Closely]]:
        """The same as `_look`, of those that are not settled: the others are as they were."""
        for name in self._unsettled:
            changed = changed_at(self._folder / name)
            if changed is not None:
                yield name, look_closely(self._folder / name, changed)

    # -- looking at folders ------------------------------------------------------------

    def _look(self) -> Iterator[tuple[str, int | Closely]]:
        """Each session's id and what its folder looks like."""
        try:
            entries = os.scandir(self._folder)
        except FileNotFoundError:
            return
        with entries:
            for entry in entries:
                if not is_id(entry.name):
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # it was deleted just now
                if not stat.S_ISDIR(status.st_mode):
                    continue
                row = self._rows.get(entry.name)
                if row is not None and row.settled and row.stamp == status.st_mtime_ns:
                    yield entry.name, status.st_mtime_ns
                else:
                    yield entry.name, look_closely(self._folder / entry.name, status.st_mtime_ns)

    def _read(self, name: str, before: Row | None) -> Row | None:
        folder = SessionFolder(self._folder / name)
        try:
            stamp = look_closely(folder.path, folder.path.stat().st_mtime_ns)
            summary = folder.summary(self._key())
            size, sized = 0, time.monotonic()
            if before is not None and stamp.alive and sized - before.sized < _SIZE_SECONDS:
                size, sized = before.listed.bytes, before.sized
            else:
                size = bytes_in(folder.path)
            if not folder.path.is_dir():
                return None
        except FileNotFoundError:
            return None
        # Where the summary was just written to session.json, the next look finds that change.
        return settled(Row(stamp, False, Listed(summary, size), sized))

    def _source(self, name: str) -> bytes:
        folder = SessionFolder(self._folder / name)
        records = read_only(folder.log_folder, folder.blobs, StepStarted.type, session=name)
        texts = (r.payload.source for r in records if isinstance(r.payload, StepStarted))
        return _folded("\n".join(texts))

    # -- the file ----------------------------------------------------------------------

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        with self._database() as database:
            if database is None:
                return
            for name, changed, size, text in database.execute("select * from sessions"):
                with contextlib.suppress(ValueError):  # of another version: it is read anew
                    summary = Summary.model_validate(json.loads(text))
                    self._rows[name] = Row(changed, True, Listed(summary, size), 0.0)

    def _keep(self, news: Iterable[str], gone: Iterable[str]) -> None:
        rows = [
            (
                name,
                row.stamp,
                row.listed.bytes,
                json.dumps(row.listed.summary.model_dump(mode="json")),
            )
            for name, row in ((name, self._rows[name]) for name in news)
        ]
        names = [(name,) for name in gone]
        if not rows and not names:
            return
        with self._database() as database:
            if database is not None:
                database.executemany("replace into sessions values (?, ?, ?, ?)", rows)
                database.executemany("delete from sessions where id = ?", names)
                database.executemany("delete from sources where id = ?", names)

    @contextlib.contextmanager
    def _database(self) -> Iterator[sqlite3.Connection | None]:
        """The open file, in a transaction; None where it cannot be used: then all is read anew."""
        database = None
        try:
            database = self._open()
        except (sqlite3.Error, OSError) as error:
            _logger.debug("the index %s cannot be used: %s", self.path, error)
        if database is None:
            yield None
            return
        with contextlib.closing(database):
            try:
                with database:
                    yield database
            except sqlite3.DatabaseError as error:
                # Damaged, or locked for long. What was asked for is answered without it.
                _logger.debug("the index %s failed: %s", self.path, error)
                if not isinstance(error, sqlite3.OperationalError):
                    self.path.unlink(missing_ok=True)

    def _open(self) -> sqlite3.Connection | None:
        if not self._folder.is_dir():
            return None  # looking at a store that does not exist makes none
        with contextlib.suppress(FileExistsError):
            os.close(files.create_private(self.path))
        database = sqlite3.connect(self.path, timeout=5.0)
        try:
            # Derived: a power cut may take it.
            database.execute("pragma synchronous = off")
            (version,) = database.execute("pragma user_version").fetchone()
            if version != _VERSION:
                self._make(database)
        except sqlite3.DatabaseError as error:
            database.close()
            if not isinstance(error, sqlite3.OperationalError):
                self.path.unlink(missing_ok=True)
            raise
        return database

    def _make(self, database: sqlite3.Connection) -> None:
        self._sourced = None
        database.executescript(
            "begin exclusive; drop table if exists sessions; drop table if exists sources;"
            f"{_TABLES} pragma user_version = {_VERSION}; commit;"
        )


def _folded(text: str) -> bytes:
    """Text in which case does not matter; bytes, because sources may hold lone surrogates."""
    return text.casefold().encode("utf-8", "surrogatepass")
