"""A session opened for appending: its lock, its log, its state, its summary file."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from ipysession.log import Head, Log, SyncPolicy
from ipysession.model import SessionState, SummaryFold
from ipysession.model.payloads import SessionPaused

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

    def __init__(  # noqa: PLR0913 - assembled by the store alone
        self,
        folder: SessionFolder,
        lock: SessionLock,
        *,
        key: bytes,
        records: Iterable[Record] = (),
        head: Head = Head(),  # noqa: B008 - frozen
        policy: SyncPolicy = SyncPolicy.BACKGROUND,
        on_trouble: Callable[[OSError | None], None] = lambda error: None,  # noqa: ARG005
        publish: Callable[[list[Record]], None] = lambda records: None,  # noqa: ARG005
    ) -> None:
        self.folder = folder
        self.blobs = folder.blobs
        self._lock = lock
        self._key = key
        self._publish = publish
        self._fold = SummaryFold()
        self._fold_lock = threading.Lock()
        for record in records:
            self._fold.apply(record)
        self.log = Log(
            folder.log_folder,
            blobs=folder.blobs,
            key=key,
            head=head,
            session=folder.id,
            policy=policy,
            on_durable=self._on_durable,
            on_trouble=on_trouble,
        )
        self._summary_due: float | None = None
        self._summary_written = 0.0
        self.closed = False

    @property
    def id(self) -> str:
        """The session's id."""
        return self.folder.id

    @property
    def state(self) -> SessionState:
        """Where the session stands in its state machine."""
        return self._fold.state

    @property
    def last_step(self) -> int:
        """The number of the newest step, 0 where there is none."""
        return self._fold.last_step

    @property
    def last_run(self) -> int:
        """The number of the newest run, 0 where there is none."""
        return self._fold.last_run

    def summary(self) -> Summary:
        """The session's summary as of now."""
        with self._fold_lock:
            return self._fold.summary(alive=not self.closed, fallback_id=self.id)

    def append(self, payload: Payload, *, blobs: Iterable[str] = ()) -> Record:
        """Append one record. Raises InvalidTransition where the state machine forbids it.

        ``blobs`` names blobs that must become durable with it (see `Log.append`).
        """
        with self._fold_lock:
            self._fold.check(payload)
            record = self.log.append(payload, blobs=blobs)
            self._fold.apply(record)
        return record

    def note_death(self) -> None:
        """Where the log says running although its writer died, say so in the log."""
        if self.state is SessionState.RUNNING:
            self.append(SessionPaused(reason="kernel died"))

    def close(self) -> bool:
        """Sync, write the summary, give the lock up. False where the disk refused records."""
        if self.closed:
            return True
        done = self.log.close()
        self.closed = True
        self._write_summary()
        self._lock.release()
        return done

    def _on_durable(self, records: list[Record]) -> float | None:
        """Called by the log's thread; returns when it wants to be called again, in seconds."""
        if records:
            self._publish(records)
        now = time.monotonic()
        if records and self._summary_due is None:
            self._summary_due = max(now, self._summary_written + _SUMMARY_SECONDS)
        if self._summary_due is None:
            return None
        if now < self._summary_due:
            return self._summary_due - now
        self._write_summary()
        return None

    def _write_summary(self) -> None:
        self._summary_due = None
        self._summary_written = time.monotonic()
        try:
            self.folder.write_summary(self.summary(), self.log.head, self._key)
        except OSError as error:
            # Derived: the log holds everything, and the next reader makes it anew.
            _logger.debug("session.json of %s was not written: %s", self.id, error)
