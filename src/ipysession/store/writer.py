"""A session opened for appending: its lock, its log, its state, its summary file."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING

from ipysession.errors import NotRecording, SessionError
from ipysession.log import Head, Log, SyncPolicy
from ipysession.model import SessionState, SummaryFold
from ipysession.model.payloads import NoteAdded, SessionPaused
from ipysession.store.inbox import LOOK_SECONDS, Inbox
from ipysession.store.trouble import TroubleNote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ipysession.model import Record, Summary
    from ipysession.model.payloads import Payload
    from ipysession.store.folder import SessionFolder
    from ipysession.store.lock import SessionLock

_SUMMARY_SECONDS = 1.0
"""At most so often is ``session.json`` written while a session grows."""

_logger = logging.getLogger(__name__)


class SessionWriter:
    """The one process that may append to a session. Close it to give the lock up.

    ``append`` checks the state machine first: an impossible transition raises
    InvalidTransition and changes nothing.
    """

    def __init__(
        self,
        folder: SessionFolder,
        lock: SessionLock,
        *,
        key: bytes,
        records: Iterable[Record] = (),
        head: Head = Head(),  # noqa: B008 - frozen
        policy: SyncPolicy = SyncPolicy.BACKGROUND,
        on_trouble: Callable[[OSError | None], None] = lambda _: None,
        publish: Callable[[list[Record]], None] = lambda _: None,
    ) -> None:
        self.folder = folder
        self.blobs = folder.blobs
        self.closed = False
        self._lock = lock
        self._key = key
        self._publish = publish
        self._process = os.getpid()
        self._fold_lock = threading.RLock()
        self._fold = _folded(records)
        self._fold_is_whole = True
        self._inbox = Inbox(folder.inbox_path, folder.id, key)
        self._looked = time.monotonic()
        self.trouble: str | None = None
        """Why the disk refuses the log just now, in the system's words."""
        self._trouble_note = TroubleNote(folder.trouble_path)
        self._told_of_trouble = on_trouble
        self._summary_due: float | None = None
        self._summary_written = 0.0
        self.log = Log(
            folder.log_folder,
            blobs=folder.blobs,
            key=key,
            head=head,
            session=folder.id,
            policy=policy,
            on_durable=self._on_durable,
            on_trouble=self._on_trouble,
        )

    @property
    def id(self) -> str:
        """The session's id."""
        return self.folder.id

    @property
    def state(self) -> SessionState:
        """Where the session stands in its state machine."""
        return self._current_fold().state

    @property
    def last_step(self) -> int:
        """The number of the newest step, 0 where there is none."""
        return self._current_fold().last_step

    @property
    def last_run(self) -> int:
        """The number of the newest run, 0 where there is none."""
        return self._current_fold().last_run

    def summary(self) -> Summary:
        """The session's summary as of now."""
        with self._fold_lock:
            return self._current_fold().summary(alive=not self.closed, fallback_id=self.id)

    def append(self, payload: Payload, *, blobs: Iterable[str] = (), later: bool = False) -> Record:
        """Append one record. Raises InvalidTransition where the state machine forbids it, and
        NotRecording after `close`.

        ``blobs`` names blobs that must become durable with it, ``later`` leaves the writing to the
        next append, or to `Log.flush` (see `Log.append`).
        """
        with self._fold_lock:
            if self.closed:
                message = f"session {self.id} was closed; open it again to append to it"
                raise NotRecording(message)
            totals = self._current_fold()
            totals.check(payload)
            # An interrupt may strike after the record is in the log and before it is folded.
            self._fold_is_whole = False
            try:
                record = self.log.append(payload, blobs=blobs, later=later)
            except Exception:  # whatever was wrong with the payload: nothing was appended
                self._fold_is_whole = True
                raise
            totals.apply(record)
            self._fold_is_whole = True
        return record

    def _current_fold(self) -> SummaryFold:
        with self._fold_lock:
            if not self._fold_is_whole:
                newest = {record.seq: record for record in self.log.not_durable()}
                on_disk = self.folder.read_contents().records
                records = {**{record.seq: record for record in on_disk}, **newest}
                self._fold = _folded(records[seq] for seq in sorted(records))
                self._fold_is_whole = True
            return self._fold

    def note_death(self) -> None:
        """Where the log says running although its writer died, say so in the log."""
        if self.state is SessionState.RUNNING:
            self.append(SessionPaused(reason="kernel died"))

    def close(self) -> bool:
        """Sync, write the summary, give the lock up. False where the disk refused records.

        In a forked child this does nothing: the session is its parent's.
        """
        if self.closed or os.getpid() != self._process:
            return True
        with self._fold_lock:
            self.closed = True
        done = self.log.close()
        self._trouble_note.remove()
        self._write_summary()
        self._lock.release()
        return done

    def _on_durable(self, records: list[Record]) -> float | None:
        """Called where the log synced; returns when it wants to be called again, in seconds."""
        if records:
            self._publish(records)
        now = time.monotonic()
        if now >= self._looked + LOOK_SECONDS:
            self._looked = now
            self._take_asked()
        if records and self._summary_due is None:
            self._summary_due = max(now, self._summary_written + _SUMMARY_SECONDS)
        look = self._looked + LOOK_SECONDS - now
        if self._summary_due is None:
            return look
        if now < self._summary_due:
            return min(look, self._summary_due - now)
        self._write_summary()
        return look

    def _on_trouble(self, error: OSError | None) -> None:
        """The disk refuses, or takes again: readers are told, too."""
        self.trouble = None if error is None else error.strerror or str(error)
        self._trouble_note.say(self.trouble)
        self._told_of_trouble(error)

    def _take_asked(self) -> None:
        """Append what others asked for; see `ipysession.store.inbox`."""
        try:
            self._inbox.take(self._append_asked)
        except (OSError, SessionError) as error:
            # Who asked waits in vain and says so.
            _logger.debug("what was asked of %s was not done: %s", self.id, error)

    def _append_asked(self, payload: Payload) -> None:
        if isinstance(payload, NoteAdded) and payload.step is None:
            payload = payload.model_copy(update={"step": self.last_step or None})
        self.append(payload)

    def _write_summary(self) -> None:
        self._summary_due = None
        self._summary_written = time.monotonic()
        try:
            # The sizes first: a record that comes between makes the file stale, never wrong.
            sizes = self.folder.segment_sizes()
            with self._fold_lock:
                summary, head, waiting = self.summary(), self.log.head, self.log.waiting
            if not waiting:
                self.folder.write_summary(summary, head, self._key, sizes)
        except OSError as error:
            # Derived: the log holds everything, and the next reader makes it anew.
            _logger.debug("session.json of %s was not written: %s", self.id, error)


def _folded(records: Iterable[Record]) -> SummaryFold:
    totals = SummaryFold()
    for record in records:
        totals.apply(record)
    return totals
