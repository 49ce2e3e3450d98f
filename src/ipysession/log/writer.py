"""Appending to a log: what is acknowledged survives any kill of the process.

A record is written by one ``os.write`` in the caller's thread; a background thread makes
groups of records durable. What the disk refuses stays in memory, in order, is told once,
and is retried; the caller is never disturbed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections import deque
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from ipysession.log import files
from ipysession.log.blobs import is_large
from ipysession.log.line import write_line
from ipysession.log.reader import SEGMENT, Head
from ipysession.model import encoding
from ipysession.model.records import (
    FORMAT_VERSION,
    LAZY_TYPES,
    Record,
    payload_to_value,
    utc_now,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from ipysession.log.blobs import Blobs
    from ipysession.log.line import Line
    from ipysession.model.payloads import Payload

_GROUP_SECONDS = 0.05
"""Records that arrive within this time become durable with one sync."""

_RETRY_SECONDS = 1.0
"""How often a disk that refuses is tried again."""


class SyncPolicy(StrEnum):
    """When records become durable against a power cut. A kill never loses any."""

    BACKGROUND = "background"
    """A background thread syncs groups of records."""
    STRICT = "strict"
    """`Log.acknowledge` waits until the record is durable."""
    OFF = "off"
    """The operating system decides."""


class _Entry(NamedTuple):
    """A record on its way to the disk."""

    line: Line
    record: Record


class Log:
    """The log of one session, open for appending by one process.

    ``head`` is where the chain stands. ``on_durable`` is called in the background thread with
    the records that became durable and returns the seconds after which it wants to be called
    again, or None. ``on_trouble`` is called once when the disk begins to refuse (with the
    error) and once when all has been written after all (with None).
    """

    def __init__(  # noqa: PLR0913 - one long-lived object with all it depends on, named
        self,
        folder: Path,
        *,
        blobs: Blobs,
        key: bytes,
        head: Head,
        session: str = "",
        run: int = 0,
        policy: SyncPolicy = SyncPolicy.BACKGROUND,
        on_durable: Callable[[list[Record]], float | None] = lambda records: None,  # noqa: ARG005
        on_trouble: Callable[[OSError | None], None] = lambda error: None,  # noqa: ARG005
    ) -> None:
        self._folder = folder
        self._blobs = blobs
        self._key = key
        self._session = session
        self.run = run
        self.policy = policy
        self._on_durable = on_durable
        self._on_trouble = on_trouble
        self._started = time.monotonic()
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._written = head
        self._pending: deque[_Entry] = deque()
        self._unsynced: list[_Entry] = []
        self._unsynced_blobs: list[str] = []
        self._descriptor: int | None = None
        self._retired: list[int] = []
        self._size = 0
        self._folder_synced = True
        self._troubled = False
        self._sync_lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self._again: float | None = None
        self._thread: threading.Thread | None = None

    # -- appending ---------------------------------------------------------------------

    def append(self, payload: Payload, *, blobs: Iterable[str] = ()) -> Record:
        """Append a record and return it. Never raises for a disk that refuses.

        ``blobs`` names blobs that the payload rests on and that were put without a sync: they
        become durable with the next group, before the record does. (The system may write the
        record's page earlier; a blob that a power cut took is then found missing when it is
        read, never guessed.)

        Interrupting it at any point (KeyboardInterrupt) leaves the log consistent: the head
        is derived from the queue, and a line that is written twice is read once.
        """
        if os.getpid() != self._process:
            message = "a forked child must not write its parent's log"
            raise RuntimeError(message)
        with self._lock:
            text = self._encode(payload)
            head = self.head
            seq, t, mono = head.seq + 1, utc_now(), time.monotonic() - self._started
            line = write_line(
                seq=seq,
                run=self.run,
                t=t,
                mono=mono,
                kind=payload.type,
                payload=text,
                previous=head.mac,
                key=self._key,
            )
            record = Record.trusted(
                {
                    "v": FORMAT_VERSION,
                    "seq": seq,
                    "run": self.run,
                    "t": t,
                    "mono": mono,
                    "type": payload.type,
                    "payload": payload,
                    "session": self._session,
                }
            )
            self._unsynced_blobs.extend(blobs)
            self._pending.append(_Entry(line, record))
            self._drain()
        self._wake_thread()
        return record

    def _encode(self, payload: Payload) -> str:
        value = payload_to_value(payload)
        if payload.type not in LAZY_TYPES or not is_large(value):
            text = encoding.dumps(value)
            if len(text) <= _LINE_LIMIT:
                return text
        try:
            return encoding.dumps_with_blobs(self._blobs.externalize(value, sync=self._syncs))
        except OSError as error:
            # A blob that the disk refuses must not lose the record: its parts stay in line.
            self._tell(error)
            return encoding.dumps(value)

    @property
    def head(self) -> Head:
        """Where the chain stands, counting records that wait for the disk."""
        with self._lock:
            if not self._pending:
                return self._written
            last = self._pending[-1].line
            return Head(last.seq, last.mac)

    @property
    def waiting(self) -> int:
        """How many records the disk has not taken yet."""
        return len(self._pending)

    @property
    def _syncs(self) -> bool:
        return self.policy is not SyncPolicy.OFF

    def acknowledge(self) -> None:
        """The end of a cell: with the strict policy, wait until all is durable."""
        if self.policy is SyncPolicy.STRICT:
            self.sync()

    # -- writing -----------------------------------------------------------------------

    def _drain(self) -> None:
        while self._pending:
            entry = self._pending[0]
            try:
                self._write(entry.line.raw + b"\n")
            except OSError as error:
                self._tell(error)
                return
            self._written = Head(entry.line.seq, entry.line.mac)
            self._unsynced.append(entry)
            self._pending.popleft()
        if self._troubled:
            self._tell(None)

    def _write(self, data: bytes) -> None:
        descriptor = self._descriptor
        if descriptor is None:
            descriptor = self._open_segment()
        try:
            count = os.write(descriptor, data)
            if count != len(data):
                # A full disk takes a part and raises nothing.
                message = f"the disk took {count} of {len(data)} bytes"
                raise OSError(errno.ENOSPC, message)
        except OSError:
            self._take_back(descriptor)
            raise
        self._size += count

    def _take_back(self, descriptor: int) -> None:
        """Cut off a half-written line; where that fails, go on in a new segment."""
        try:
            if os.fstat(descriptor).st_size != self._size:
                os.ftruncate(descriptor, self._size)
        except OSError:
            self._retire()

    def _retire(self) -> None:
        if self._descriptor is not None:
            self._retired.append(self._descriptor)
            self._descriptor = None

    def _open_segment(self) -> int:
        taken = [path.name for path in self._folder.iterdir() if SEGMENT.fullmatch(path.name)]
        number = max((int(name[:6]) for name in taken), default=0)
        while True:
            number += 1
            try:
                descriptor = files.create_private(
                    self._folder / f"{number:06d}.jsonl", append=True
                )
            except FileExistsError:
                continue
            break
        self._descriptor, self._size, self._folder_synced = descriptor, 0, False
        return descriptor

    def _tell(self, error: OSError | None) -> None:
        troubled = error is not None
        if troubled != self._troubled:
            self._troubled = troubled
            self._on_trouble(error)

    # -- durability --------------------------------------------------------------------

    def sync(self) -> bool:
        """Write what waits and make all of it durable. False where the disk refused."""
        with self._sync_lock:
            with self._lock:
                self._drain()
                descriptor, entries = self._descriptor, list(self._unsynced)
                blobs = list(self._unsynced_blobs)
                folder_synced = self._folder_synced
            if entries and descriptor is not None and self._syncs:
                try:
                    for name in blobs:
                        # One that was deleted meanwhile is reported when it is read.
                        with contextlib.suppress(FileNotFoundError):
                            self._blobs.sync(name)
                    _fdatasync(descriptor)
                    if not folder_synced:
                        files.sync_folder(self._folder)
                except OSError as error:
                    self._distrust(error)
                    return False
            with self._lock:
                self._folder_synced = self._folder_synced or folder_synced or bool(entries)
                del self._unsynced[: len(entries)]
                del self._unsynced_blobs[: len(blobs)]
                waiting = len(self._pending)
            self._again = self._on_durable([entry.record for entry in entries])
            return not waiting

    def _distrust(self, error: OSError) -> None:
        """After a failed sync the kernel may have dropped pages: write all again elsewhere."""
        with self._lock:
            self._retire()
            self._pending.extendleft(reversed(self._unsynced))
            self._unsynced.clear()
            self._tell(error)

    def _wake_thread(self) -> None:
        if self._thread is None and not self._closing:
            thread = threading.Thread(target=self._run, name="ipysession-log", daemon=True)
            self._thread = thread
            thread.start()
        self._wake.set()

    def _run(self) -> None:
        while not self._closing:
            timeout = _RETRY_SECONDS if self._pending or self._unsynced else self._again
            self._wake.wait(timeout)
            self._wake.clear()
            if self._closing:
                return
            if self._wake_soon():
                self.sync()

    def _wake_soon(self) -> bool:
        """Let a group gather; false where the log was closed meanwhile."""
        time.sleep(_GROUP_SECONDS)
        return not self._closing

    def close(self) -> bool:
        """Write and sync what is left and stop the thread. False where records were refused."""
        self._closing = True
        self._wake.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=10)
        done = self.sync()
        with self._lock:
            self._retire()
            for descriptor in self._retired:
                os.close(descriptor)
            self._retired.clear()
        return done and not self._pending


_LINE_LIMIT = 256 * 1024


def _fdatasync(descriptor: int) -> None:
    getattr(os, "fdatasync", os.fsync)(descriptor)
