"""Appending to a log: what is acknowledged survives any kill of the process.

A record is written by one ``os.write`` in the caller's thread, together with those that came
before it ``later``; a background thread makes groups of records durable. What the disk refuses
stays in memory, in order, is told once, and is retried; the caller is never disturbed.

An interrupt (KeyboardInterrupt) may strike between any two instructions of the caller's
thread. So every step is committed by a single assignment or a single ``append``, and all
else is derived: the head from the queue, what still waits from ``_written``. And the caller's
thread uses no locks but those written in C: an interrupt inside `threading.Event.set` leaves
the event locked for ever.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
import time
from collections import deque
from enum import StrEnum
from itertools import islice
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from ipysession.log import files
from ipysession.log.blobs import PART_LIMIT, rests_on_blobs
from ipysession.log.entries import Entry, as_refused, batches, write_at_once
from ipysession.log.line import write_line
from ipysession.log.reader import SEGMENT, Head
from ipysession.model import encoding
from ipysession.model.records import LAZY_TYPES, Record, payload_to_value, utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from ipysession.log.blobs import Blobs
    from ipysession.model.payloads import Payload

_GROUP_SECONDS = 0.05
"""Records that arrive within this time become durable with one sync."""

_RETRY_SECONDS = 1.0
"""After which time a disk that refuses is tried again."""

_LONGEST_PAUSE_SECONDS = 60.0
"""The pause doubles up to this for a disk that writes but does not sync."""

_logger = logging.getLogger(__name__)


class SyncPolicy(StrEnum):
    """When records become durable against a power cut. A kill never loses any."""

    BACKGROUND = "background"
    """A background thread syncs groups of records."""
    STRICT = "strict"
    """`Log.acknowledge` waits until the record is durable."""
    OFF = "off"
    """The operating system decides."""


class Log:
    """The log of one session, open for appending by one process.

    ``head`` is where the chain stands. ``on_durable`` is called with the records that became
    durable, in the thread that made them so, and returns the seconds after which it wants to
    be called again, or None. ``on_trouble`` is called once when the disk begins to refuse
    (with the error) and once when all has been written after all (with None): in the
    background thread or in `acknowledge`, whichever comes first, and never while a lock is
    held, so it may append. What either of them raises is logged and harms nothing.
    """

    def __init__(
        self,
        folder: Path,
        *,
        blobs: Blobs,
        key: bytes,
        head: Head,
        session: str = "",
        run: int = 0,
        policy: SyncPolicy = SyncPolicy.BACKGROUND,
        on_durable: Callable[[list[Record]], float | None] = lambda _: None,
        on_trouble: Callable[[OSError | None], None] = lambda _: None,
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

        # Guarded by _lock, which is held for microseconds.
        self._lock = threading.RLock()
        self._queue: deque[Entry] = deque()
        self._durable = head
        self._written = head.seq
        self._descriptor: int | None = None
        self._opened: dict[int, os.stat_result] = {}
        self._newest_segment = 0
        self._troubled = False

        # Guarded by _sync_lock, which is held while the disk works. Taken before _lock.
        self._sync_lock = threading.RLock()
        self._synced_segment = 0
        self._pause = _RETRY_SECONDS
        self._call_again: float | None = None

        self._news_lock = threading.RLock()
        self._news: deque[OSError | None] = deque()
        self._closing = False
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._stop: SimpleQueue[None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    # -- appending ---------------------------------------------------------------------

    def append(self, payload: Payload, *, blobs: Iterable[str] = (), later: bool = False) -> Record:
        """Append a record and return it. Never raises for a disk that refuses.

        ``later`` leaves the writing to the next append, or to `flush`, which follow at once: one
        call of the system for several records. Should neither come, the background thread writes.

        ``blobs`` names blobs that the payload rests on and that were put without a sync: they
        become durable with the next group, before the record does. (The system may write the
        record's page earlier; a blob that a power cut took is then found missing when it is
        read, never guessed.)

        Raises TypeError for a payload that JSON cannot hold, and RuntimeError in a forked
        child and after `close`. Interrupting it at any point leaves the log consistent: the
        record is in it, or it is not, and a line that was written twice is read once.
        """
        if self._is_in_forked_child:
            message = "a forked child must not write its parent's log"
            raise RuntimeError(message)
        with self._lock:
            if self._closing:
                message = "the log is closed; open the session again to append to it"
                raise RuntimeError(message)
            text = self._encode(payload)
            head = self.head
            seq, kind, t = head.seq + 1, payload.type, utc_now()
            mono = round(time.monotonic() - self._started, 6)
            data, mac = write_line(
                seq=seq,
                run=self.run,
                t=t,
                mono=mono,
                kind=kind,
                payload=text,
                previous=head.mac,
                key=self._key,
            )
            record = Record(seq, self.run, t, mono, kind, payload, session=self._session)
            self._queue.append(Entry(record, data, mac, tuple(blobs)))
            if not later:
                self.flush()
            self._wake_thread()
        return record

    def flush(self) -> None:
        """Write what was to be written later."""
        with self._lock:
            if not self._troubled:  # else the background thread tries again, once a second
                self._drain()

    def _encode(self, payload: Payload) -> str:
        value = payload_to_value(payload)
        if payload.type not in LAZY_TYPES or not rests_on_blobs(value):
            text = encoding.dumps(value)
            if len(text) <= PART_LIMIT:
                return text
        with contextlib.suppress(OSError):
            return encoding.dumps_with_blobs(self._blobs.externalize(value, sync=self._syncs))
        # A blob that the disk refuses must not lose the record: its parts stay in line.
        return encoding.dumps_with_blobs(value)

    @property
    def head(self) -> Head:
        """Where the chain stands, counting records that wait for the disk."""
        with self._lock:
            if not self._queue:
                return self._durable
            last = self._queue[-1]
            return Head(last.record.seq, last.mac)

    @property
    def waiting(self) -> int:
        """How many records the disk has not taken yet."""
        with self._lock:
            return self.head.seq - self._written

    def not_durable(self) -> list[Record]:
        """The newest records: those that are not known to be durable."""
        with self._lock:
            return [entry.record for entry in self._queue]

    @property
    def _syncs(self) -> bool:
        return self.policy is not SyncPolicy.OFF

    def acknowledge(self) -> None:
        """The end of a cell: with the strict policy, wait until all is durable. Trouble that
        was not told yet is told.
        """
        if self.policy is SyncPolicy.STRICT:
            self.sync()
        self._tell_news()

    # -- writing -----------------------------------------------------------------------

    def _drain(self) -> None:
        """Write what waits, in order, until the disk refuses."""
        queue = self._queue
        waiting = queue[-1].record.seq - self._written if queue else 0
        if waiting <= 0:
            return
        newest_first = islice(reversed(queue), waiting)
        for entries in [[queue[-1]]] if waiting == 1 else batches(reversed([*newest_first])):
            try:
                self._write(b"".join(entry.data for entry in entries))
            except Exception as error:  # noqa: BLE001 - a cell may have put a write of its own into os
                self._note_trouble(as_refused(error))
                return
            self._written = entries[-1].record.seq

    def _write(self, data: bytes) -> None:
        descriptor = self._descriptor
        if descriptor is None:
            descriptor = self._open_segment()
        # Unless all goes well, the next record goes to a new segment, whatever strikes here.
        self._descriptor = None
        status = os.fstat(descriptor)
        if not status.st_nlink or not os.path.samestat(status, self._opened[descriptor]):
            # Deleted, or the user's code closed it and the number is another file's by now.
            self._write_again()
            raise OSError(errno.ENOENT, "the log's file was taken away")
        try:
            write_at_once(descriptor, data)
        except OSError:
            with contextlib.suppress(OSError):
                if os.fstat(descriptor).st_size != status.st_size:
                    os.ftruncate(descriptor, status.st_size)
                self._descriptor = descriptor
            raise
        self._descriptor = descriptor

    def _open_segment(self) -> int:
        taken = [path.name for path in self._folder.iterdir() if SEGMENT.fullmatch(path.name)]
        number = max((int(name[:6]) for name in taken), default=0) + 1
        descriptor = files.create_private(self._folder / f"{number:06d}.jsonl", append=True)
        self._newest_segment = number
        self._opened[descriptor] = os.fstat(descriptor)
        return descriptor

    def _write_again(self) -> None:
        """Nothing that is not durable counts as written any more."""
        self._descriptor = None
        self._written = self._durable.seq

    # -- durability --------------------------------------------------------------------

    def sync(self) -> bool:
        """Write what waits and make all of it durable. False where the disk refused."""
        if self._is_in_forked_child:
            return True
        with self._sync_lock:
            # After a failed sync nothing of that file is trusted: try a new one at once.
            done = self._sync_once() or self._sync_once()
        self._tell_news()
        return done

    def _sync_once(self) -> bool:
        with self._lock:
            self._drain()
            done, newest, current = not self.waiting, self._newest_segment, self._descriptor
            opened = list(self._opened)
            group = [entry for entry in self._queue if entry.record.seq <= self._written]
        if group and self._syncs:
            try:
                self._make_durable(group, opened, newest)
            except Exception as error:  # noqa: BLE001 - as in `_drain`
                # The system may have dropped the pages and count them as written.
                with self._lock:
                    self._write_again()
                    self._note_trouble(as_refused(error))
                    self._close_files(opened)
                # Each try costs a segment.
                self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
                return False
        with self._lock:
            for entry in group:
                self._durable = Head(entry.record.seq, entry.mac)
                self._queue.popleft()
            if done and not self.waiting:  # the disk may have refused a newer one meanwhile
                self._note_trouble(None)
                self._pause = _RETRY_SECONDS
            self._close_files(descriptor for descriptor in opened if descriptor != current)
        self._call_again = self._say_durable([entry.record for entry in group])
        return done

    def _make_durable(self, group: list[Entry], opened: list[int], newest: int) -> None:
        for name in dict.fromkeys(name for entry in group for name in entry.blobs):
            self._blobs.sync(name)
        for descriptor in opened:
            files.sync_data(descriptor)
        if newest > self._synced_segment:
            files.sync_folder(self._folder)
            self._synced_segment = newest

    def _close_files(self, descriptors: Iterable[int]) -> None:
        for descriptor in descriptors:
            opened = self._opened.pop(descriptor)
            with contextlib.suppress(OSError):
                # The user's code may have closed it, and opened a file with the same number.
                if os.path.samestat(os.fstat(descriptor), opened):
                    os.close(descriptor)

    def _wake_thread(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            thread = threading.Thread(target=self._run, name="ipysession-log", daemon=True)
            try:
                thread.start()
                self._thread = thread
            except RuntimeError as error:  # no threads to be had, or Python exits
                if isinstance(error.__context__, KeyboardInterrupt):
                    raise error.__context__ from None  # `threading`'s locks, interrupted, hide it
        if self._wake.empty():
            self._wake.put(None)

    def _run(self) -> None:
        while True:
            if not self._troubled:
                _wait(self._wake, self._call_again)
            if _wait(self._stop, self._pause if self._troubled else _GROUP_SECONDS):
                self._tell_to_stop()  # an interrupted start may have left another thread
                return
            _wait(self._wake, 0)  # what woke us stands in the log by now
            self.sync()

    def close(self) -> bool:
        """Write and sync what is left and stop the thread. False where records were refused."""
        if self._is_in_forked_child:
            return True
        with self._lock:
            self._closing = True
        self._tell_to_stop()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        done = self.sync()
        with self._lock:
            self._descriptor = None
            self._close_files(list(self._opened))
        return done

    def _tell_to_stop(self) -> None:
        self._stop.put(None)
        self._wake.put(None)

    @property
    def _is_in_forked_child(self) -> bool:
        return os.getpid() != self._process

    # -- telling -----------------------------------------------------------------------

    def _note_trouble(self, error: OSError | None) -> None:
        if self._troubled != (error is not None):
            self._troubled = error is not None
            self._news.append(error)

    def _tell_news(self) -> None:
        with self._news_lock:
            while self._news:
                try:
                    self._on_trouble(self._news.popleft())
                except Exception:  # it is another room's code: the log goes on whatever it does
                    _logger.exception("telling of trouble with the log failed")

    def _say_durable(self, records: list[Record]) -> float | None:
        try:
            return self._on_durable(records)
        except Exception:  # as in _tell_news
            _logger.exception("what follows a sync of the log failed")
            return None


def _wait(queue: SimpleQueue[None], seconds: float | None) -> bool:
    """Wait for something in the queue, and take it. False where the time was over."""
    try:
        queue.get(timeout=seconds)
    except Empty:
        return False
    return True
