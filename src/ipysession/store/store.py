"""The place that holds sessions: finding, creating, opening, deleting them."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import secrets
import shutil
import threading
from heapq import nlargest
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from ipysession.errors import (
    AmbiguousSession,
    ImportRefused,
    InvalidRequest,
    SessionNotFound,
    StoreUnsafe,
    StoreUnusable,
)
from ipysession.log import SyncPolicy, files, load_key
from ipysession.log.key import user_folder
from ipysession.model.payloads import SessionCreated
from ipysession.store.folder import SessionFolder
from ipysession.store.ids import is_id, new_id, validate_id
from ipysession.store.inbox import Inbox
from ipysession.store.lock import SessionLock
from ipysession.store.writer import SessionWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ipysession.model import Record, Summary
    from ipysession.model.payloads import Payload
    from ipysession.store.index import Index
    from ipysession.store.rows import Listed

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
        self._index: Index | None = None
        self._observers: list[Callable[[Record], None]] = []
        self._published: queue.SimpleQueue[list[Record]] = queue.SimpleQueue()
        self._publisher: threading.Thread | None = None

    def key(self, *, create: bool = False) -> bytes | None:
        """The key of this user, or None where there is none yet."""
        if self._key is None:
            self._key = load_key(create=create)
        return self._key

    # -- finding -----------------------------------------------------------------------

    def ids(self) -> list[str]:
        """The ids of all sessions, oldest first. Empty where there is no store yet.

        Raises StoreUnsafe where others can write the store.
        """
        with self._entries() as entries:
            return sorted(entry.name for entry in entries)

    def last_written(self, count: int) -> list[tuple[SessionFolder, float]]:
        """Those ``count`` sessions that somebody opened last to write to them, and when each was
        written to (seconds since the epoch), the latest first. Nothing is read for it.
        """
        opened = []
        with self._entries() as entries:
            for entry in entries:
                try:
                    opened.append((entry.stat(follow_symlinks=False).st_mtime_ns, entry.name))
                except FileNotFoundError:  # deleted just now
                    continue
        found = []
        for _, name in nlargest(count, opened):
            with contextlib.suppress(SessionNotFound, FileNotFoundError):  # as above
                folder = self.folder(name)
                found.append((folder, folder.written_at()))
        return sorted(found, key=itemgetter(1), reverse=True)

    @contextlib.contextmanager
    def _entries(self) -> Iterator[Iterator[os.DirEntry[str]]]:
        """The folders of all sessions. None where there is no store yet; StoreUnsafe where others
        can write it.
        """
        if not self._check():
            yield iter(())
            return
        with os.scandir(self.sessions_folder) as entries:
            yield (e for e in entries if is_id(e.name) and _is_real_folder(e))

    def _check(self) -> bool:
        """Is there a store? Raises StoreUnsafe where others can write it."""
        for folder in (self.path, self.sessions_folder):
            if not folder.is_dir():
                return False
            files.check_private_folder(folder)
        return True

    def folder(self, session_id: str) -> SessionFolder:
        """The folder of the session with exactly this id. Raises SessionNotFound, or
        StoreUnsafe where it was tampered with.
        """
        path = self.sessions_folder / validate_id(session_id)
        if not self._check() or path.is_symlink() or not path.is_dir():
            message = f"there is no session {session_id} in {self.path}"
            raise SessionNotFound(message)
        folder = SessionFolder(path)
        for inner in (folder.log_folder, folder.blobs.folder):
            if inner.is_symlink():
                message = f"{inner} is a link, which ipysession never makes; look who did"
                raise StoreUnsafe(message)
        return folder

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
        if reference and not matches:
            wanted = reference.casefold()
            matches = [s.id for s in self.summaries() if s.title.casefold() == wanted]
        if len(matches) == 1:
            return matches[0]
        if matches:
            shown = ", ".join(matches[-5:])
            message = (
                f"{reference!r} matches {len(matches)} sessions ({shown}); give more of the id"
            )
            raise AmbiguousSession(message)
        message = (
            f"no session has the id, prefix or title {reference[:80]!r}. "
            "List them with: jupyter session list"
        )
        raise SessionNotFound(message)

    def summaries(self) -> list[Summary]:
        """The summaries of all sessions, oldest first."""
        return [item.summary for item in self.listed()]

    def listed(self) -> list[Listed]:
        """The same, with what each takes on the disk."""
        return self.index.listed() if self._check() else []

    def listed_id(self, session_id: str) -> Listed:
        """The same of the session with exactly this id. Raises SessionNotFound."""
        item = self.index.one(self.folder(session_id).id)
        if item is None:
            message = f"session {session_id} was deleted just now"
            raise SessionNotFound(message)
        return item

    def with_source(self, text: str) -> set[str]:
        """The ids of the sessions with ``text`` in a step's source; case does not matter."""
        return self.index.with_source(text) if self._check() else set()

    def stamps(self) -> dict[str, object]:
        """What each session looks like: another value after every change. Costs little, so that
        it may be asked for again and again.
        """
        return self.index.stamps() if self._check() else {}

    @property
    def index(self) -> Index:
        """What makes listing fast."""
        if self._index is None:
            from ipysession.store.index import Index

            self._index = Index(self.path / "index.sqlite", self.sessions_folder, self.key)
        return self._index

    # -- writing -----------------------------------------------------------------------

    def create(
        self,
        created: SessionCreated | None = None,
        *,
        policy: SyncPolicy = SyncPolicy.BACKGROUND,
        on_trouble: Callable[[OSError | None], None] = lambda _: None,
    ) -> SessionWriter:
        """Create a session and open it for appending. ``created`` gives its title and so on;
        its ``session`` is filled in here. Raises StoreUnusable or StoreUnsafe.
        """
        for needed in (self.path, self.sessions_folder):
            files.make_private_folder(needed)
        key = self._own_key()
        session_id = new_id()
        folder = SessionFolder(self.sessions_folder / session_id)
        try:
            files.make_folder(folder.path, exist_ok=False)
            files.make_folder(folder.log_folder)
        except OSError as error:
            message = f"the session {folder.path} cannot be created: {error.strerror or error}"
            raise StoreUnusable(message) from error
        writer = SessionWriter(
            folder,
            SessionLock.acquire(folder.lock_path),
            key=key,
            policy=policy,
            on_trouble=on_trouble,
            publish=self._publish,
        )
        fields = {} if created is None else created.model_dump(exclude={"session"})
        writer.append(SessionCreated(**{"title": session_id, **fields, "session": session_id}))
        return writer

    def adopt(self, session_id: str, fill: Callable[[Path], None]) -> SessionFolder:
        """Take in a session that was recorded elsewhere. ``fill`` writes log and blobs into the
        empty private folder that it is given; the session appears when it is whole, or not at
        all. Raises ImportRefused where the store has it already, or what ``fill`` raises.
        """
        for needed in (self.path, self.sessions_folder):
            files.make_private_folder(needed)
        target = self.sessions_folder / validate_id(session_id)
        taken = ImportRefused(
            f"session {session_id} is in {self.path} already; to have the other one too, import "
            "it into another store (IPYSESSION_STORE)"
        )
        if target.exists():
            raise taken
        place = self.sessions_folder / f".importing-{session_id}-{secrets.token_hex(4)}"
        try:
            files.make_folder(place, exist_ok=False)
            fill(place)
            files.sync_folder(place)
            try:
                place.rename(target)
            except FileExistsError:
                raise taken from None
            except OSError as error:
                raise (taken if target.exists() else error) from error
            files.sync_folder(self.sessions_folder)
        except OSError as error:
            message = f"{session_id} cannot be imported into {self.path}: {error.strerror or error}"
            raise StoreUnusable(message) from error
        finally:
            shutil.rmtree(place, ignore_errors=True)  # also after Ctrl-C; gone where it succeeded
        return SessionFolder(target)

    def open_for_append(
        self,
        session_id: str,
        *,
        policy: SyncPolicy = SyncPolicy.BACKGROUND,
        on_trouble: Callable[[OSError | None], None] = lambda _: None,
    ) -> SessionWriter:
        """Open an existing session for appending, in a new segment.

        Raises SessionNotFound, or SessionBusy where a living process writes it.
        """
        folder = self.folder(session_id)
        for needed in (folder.path, folder.log_folder):
            files.make_private_folder(needed)
        key = self._own_key()
        lock = SessionLock.acquire(folder.lock_path)
        try:
            folder.remove_leftovers()
            for touched in (folder.path, self.sessions_folder):
                os.utime(touched)  # what a listing knows of it may no longer hold
            contents = folder.read_contents()
            # Where records are gone from the end, their numbers are not given out again: the
            # gap stays visible.
            promised = folder.promised(key)
            head = contents.head
            return SessionWriter(
                folder,
                lock,
                key=key,
                records=contents.records,
                head=promised if promised is not None and promised.seq > head.seq else head,
                policy=policy,
                on_trouble=on_trouble,
                publish=self._publish,
            )
        except BaseException:  # also after Ctrl-C: nobody could open the session any more
            lock.release()
            raise

    def ask(self, session_id: str, payloads: Sequence[Payload]) -> bool:
        """Ask the living process that writes a session to append these: titles, tags, notes.
        False where it did not do so in time. Raises SessionNotFound.
        """
        folder = self.folder(session_id)
        return Inbox(folder.inbox_path, folder.id, self._own_key()).ask(payloads)

    def _own_key(self) -> bytes:
        key = self.key(create=True)
        assert key is not None  # noqa: S101 - load_key(create=True) returns one or raises
        return key

    def make_current(self, session_id: str) -> None:
        """Point the ``current`` link at the session of the latest kernel."""
        link = self.path / "current"
        temporary = files.temporary_for(link)
        files.remove_leftovers(self.path)
        try:
            temporary.symlink_to(Path("sessions") / validate_id(session_id))
            temporary.replace(link)
        except OSError as error:
            # A convenience for people in a shell; file systems without links do without.
            _logger.debug("the link %s was not made: %s", link, error)
            with contextlib.suppress(OSError):
                temporary.unlink()

    def delete(self, session_id: str) -> int:
        """Delete a session for good and return the bytes freed.

        Raises SessionBusy where a living process writes it. The folder is renamed first, so
        that a half-deleted session is never listed; the next call finishes what a killed one
        left.
        """
        folder = self.folder(session_id)
        lock = SessionLock.acquire(folder.lock_path)
        try:
            freed = sum(path.lstat().st_size for path in folder.path.rglob("*") if path.is_file())
            folder.path.rename(folder.path.with_name(f".deleted-{session_id}"))
        finally:
            lock.release()
        for doomed in self.sessions_folder.glob(".deleted-*"):
            shutil.rmtree(doomed)
        return freed

    # -- observing ---------------------------------------------------------------------

    def observe(self, callback: Callable[[Record], None]) -> Callable[[], None]:
        """Call ``callback`` with every record that this process appends, after it is durable,
        on another thread. Returns a function that ends it. What a callback raises is logged
        and harms nothing.
        """
        if not callable(callback):
            # People call this in a notebook, without a type checker.
            message = f"no observer: {callback!r}"  # type: ignore[unreachable]
            raise InvalidRequest(message)
        self._observers.append(callback)
        if self._publisher is None or not self._publisher.is_alive():  # dead in a forked child
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
        while True:
            for record in self._published.get():
                for observer in tuple(self._observers):
                    try:
                        observer(record)
                    except Exception:  # an observer's fault is the observer's
                        _logger.exception("an observer of the store raised")


def _is_real_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)
