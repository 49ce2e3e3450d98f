"""The place that holds sessions: finding, creating, opening, deleting them."""

from __future__ import annotations

import logging
import os
import queue
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ipysession.errors import (
    AmbiguousSession,
    InvalidRequest,
    SessionNotFound,
    StoreUnusable,
)
from ipysession.log import SyncPolicy, files, load_key
from ipysession.log.key import user_folder
from ipysession.model.payloads import SessionCreated
from ipysession.store.folder import SessionFolder
from ipysession.store.ids import is_id, new_id, validate_id
from ipysession.store.lock import SessionLock
from ipysession.store.writer import SessionWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipysession.model import Record, Summary

STORE_VARIABLE = "IPYSESSION_STORE"
LATEST = "latest"

_logger = logging.getLogger(__name__)


def default_store_path() -> Path:
    """``IPYSESSION_STORE``, else ``ipysession/store`` under Jupyter's data directory.

    Kernel, server and shell read different configuration files; this makes them agree.
    """
    named = os.environ.get(STORE_VARIABLE)
    return Path(named).expanduser().absolute() if named else user_folder() / "store"


class Store:
    """A folder of sessions. Making one touches nothing; folders appear with the first session.

    ``key`` signs and checks; by default the user's own (`ipysession.log.load_key`).
    """

    def __init__(self, path: Path | str | None = None, *, key: bytes | None = None) -> None:
        self.path = default_store_path() if path is None else Path(path).expanduser().absolute()
        self.sessions_folder = self.path / "sessions"
        self._key = key
        self._observers: list[Callable[[Record], None]] = []
        self._published: queue.SimpleQueue[list[Record] | None] = queue.SimpleQueue()
        self._publisher: threading.Thread | None = None

    def key(self, *, create: bool = False) -> bytes | None:
        """The key of this user, or None where there is none yet."""
        if self._key is None:
            self._key = load_key(create=create)
        return self._key

    # -- finding -----------------------------------------------------------------------

    def ids(self) -> list[str]:
        """The ids of all sessions, oldest first. Empty where there is no store yet."""
        if not self.sessions_folder.is_dir():
            return []
        files.check_private_folder(self.path)
        return sorted(name for name in os.listdir(self.sessions_folder) if is_id(name))

    def folder(self, session_id: str) -> SessionFolder:
        """The folder of the session with exactly this id. Raises SessionNotFound."""
        path = self.sessions_folder / validate_id(session_id)
        if path.is_symlink() or not path.is_dir():
            message = f"there is no session {session_id} in {self.path}"
            raise SessionNotFound(message)
        files.check_private_folder(self.path)
        return SessionFolder(path)

    def resolve(self, reference: str) -> str:
        """The id that ``reference`` means: an id, a unique prefix of one, ``latest`` (the one
        recorded to last) or a title (case does not matter).

        Raises SessionNotFound or AmbiguousSession.
        """
        reference = reference.strip()
        ids = self.ids()
        if reference in ids:
            return reference
        if not ids:
            message = f"there are no sessions in {self.path} yet; %load_ext ipysession records one"
            raise SessionNotFound(message)
        if reference == LATEST:
            return max(self.summaries(), key=lambda summary: (summary.updated, summary.id)).id
        matches = [name for name in ids if reference and name.startswith(reference)]
        if not matches:
            wanted = reference.casefold()
            matches = [s.id for s in self.summaries() if s.title.casefold() == wanted]
        if len(matches) == 1:
            return matches[0]
        if matches:
            shown = ", ".join(matches[-5:])
            message = f"{reference!r} matches {len(matches)} sessions ({shown}); give more of the id"
            raise AmbiguousSession(message)
        message = (
            f"no session has the id, prefix or title {reference[:80]!r}. "
            "List them with: jupyter session list"
        )
        raise SessionNotFound(message)

    def summaries(self) -> list[Summary]:
        """The summaries of all sessions, oldest first."""
        key = self.key()
        return [SessionFolder(self.sessions_folder / name).summary(key) for name in self.ids()]

    # -- writing -----------------------------------------------------------------------

    def create(
        self,
        created: SessionCreated | None = None,
        *,
        policy: SyncPolicy = SyncPolicy.BACKGROUND,
        on_trouble: Callable[[OSError | None], None] = lambda error: None,  # noqa: ARG005
    ) -> SessionWriter:
        """Create a session and open it for appending. ``created`` gives its title and so on;
        its ``session`` is filled in here. Raises StoreUnusable or StoreUnsafe.
        """
        for folder in (self.path, self.sessions_folder):
            files.make_private_folder(folder)
        while True:
            session_id = new_id()
            path = self.sessions_folder / session_id
            try:
                path.mkdir(mode=0o700)
            except FileExistsError:
                continue
            except OSError as error:
                message = f"the session folder {path} cannot be created: {error.strerror or error}"
                raise StoreUnusable(message) from error
            break
        path.chmod(0o700)
        folder = SessionFolder(path)
        files.make_private_folder(folder.log_folder)
        writer = self._writer(folder, SessionLock.acquire(folder.lock_path), policy, on_trouble)
        fields = {} if created is None else created.model_dump(exclude={"session"})
        writer.append(SessionCreated(**{"title": session_id, **fields, "session": session_id}))
        return writer

    def open_for_append(
        self,
        session_id: str,
        *,
        policy: SyncPolicy = SyncPolicy.BACKGROUND,
        on_trouble: Callable[[OSError | None], None] = lambda error: None,  # noqa: ARG005
    ) -> SessionWriter:
        """Open an existing session for appending, in a new segment.

        Raises SessionNotFound, or SessionBusy where a living process writes it.
        """
        folder = self.folder(session_id)
        files.check_private_folder(folder.path)
        lock = SessionLock.acquire(folder.lock_path)
        try:
            return self._writer(folder, lock, policy, on_trouble)
        except BaseException:
            lock.release()
            raise

    def _writer(
        self,
        folder: SessionFolder,
        lock: SessionLock,
        policy: SyncPolicy,
        on_trouble: Callable[[OSError | None], None],
    ) -> SessionWriter:
        key = self.key(create=True)
        assert key is not None  # noqa: S101 - load_key(create=True) returns one or raises
        contents = folder.read().contents
        return SessionWriter(
            folder,
            lock,
            key=key,
            records=contents.records,
            head=contents.head,
            policy=policy,
            on_trouble=on_trouble,
            publish=self._publish,
        )

    def make_current(self, session_id: str) -> None:
        """Point the ``current`` link at the session of the latest kernel."""
        link = self.path / "current"
        temporary = self.path / f".current-{os.getpid()}.tmp"
        try:
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(Path("sessions") / validate_id(session_id))
            temporary.replace(link)
        except OSError as error:
            # A convenience for people in a shell; file systems without links do without.
            _logger.debug("the link %s was not made: %s", link, error)

    def delete(self, session_id: str) -> int:
        """Delete a session for good and return the bytes freed.

        Raises SessionBusy where a living process writes it. The folder is renamed first, so
        that a half-deleted session is never listed.
        """
        folder = self.folder(session_id)
        lock = SessionLock.acquire(folder.lock_path)
        freed = sum(path.lstat().st_size for path in folder.path.rglob("*") if path.is_file())
        doomed = folder.path.with_name(f".deleted-{session_id}")
        try:
            folder.path.rename(doomed)
        finally:
            lock.release()
        shutil.rmtree(doomed)
        return freed

    # -- observing ---------------------------------------------------------------------

    def observe(self, callback: Callable[[Record], None]) -> Callable[[], None]:
        """Call ``callback`` with every record that this process appends, after it is durable,
        on another thread. Returns a function that ends it. What a callback raises is logged
        and harms nothing.
        """
        if not callable(callback):
            message = f"an observer must be callable, not {type(callback).__name__}"
            raise InvalidRequest(message)
        self._observers.append(callback)
        if self._publisher is None:
            self._publisher = threading.Thread(
                target=self._deliver, name="ipysession-observers", daemon=True
            )
            self._publisher.start()

        def stop() -> None:
            if callback in self._observers:
                self._observers.remove(callback)

        return stop

    def _publish(self, records: list[Record]) -> None:
        if self._observers:
            self._published.put(records)

    def _deliver(self) -> None:
        while (records := self._published.get()) is not None:
            for record in records:
                for observer in tuple(self._observers):
                    try:
                        observer(record)
                    except Exception:  # an observer's fault is the observer's
                        _logger.exception("an observer of the store raised")
