"""One session's folder: where its files lie, and how it is read.

A session folder stands alone: copied elsewhere, it is still the session.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from blake3 import blake3
from pydantic import ValidationError

from ipysession.log import Blobs, Damage, Head, LogContents, files, read_last, read_log
from ipysession.log.reader import segments
from ipysession.model import Session, SessionState, Summary, SummaryFold, fold
from ipysession.model.collecting import no_collections
from ipysession.store.lock import living_holder
from ipysession.store.trouble import read_trouble

if TYPE_CHECKING:
    from pathlib import Path

    from ipysession.model import Record
from ipysession.store.lock import Holder

_SUMMARY_FORMAT = 1

_QUICK_BYTES = 4 * 1024 * 1024
"""A log up to this size is folded anew for an exact summary while its kernel writes it."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reading:
    """A session and what was found on the way to it."""

    session: Session
    contents: LogContents
    blobs: Blobs

    @property
    def folder(self) -> Path:
        """The session's folder."""
        return self.blobs.folder.parent

    @property
    def damage(self) -> tuple[Damage, ...]:
        """Damage found in the log."""
        return self.contents.damage


class SessionFolder:
    """The files of one session; nothing is kept open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log_folder = path / "log"
        self.blobs = Blobs(path / "blobs")
        self.lock_path = path / "lock"
        self.summary_path = path / "session.json"
        self.inbox_path = path / "inbox"
        self.trouble_path = path / "trouble"

    @property
    def id(self) -> str:
        """The session's id: the folder's name."""
        return self.path.name

    def writer(self) -> Holder | None:
        """The living process that writes the session, or None."""
        return living_holder(self.lock_path)

    def trouble(self) -> str | None:
        """What keeps the living writer from writing, in the system's words; None where nothing
        does, as far as it could say.
        """
        return read_trouble(self.trouble_path)

    def read(self, key: bytes | None = None) -> Reading:
        """Read and fold the whole log. With ``key`` authenticity is checked too, and whether
        the log still holds all that the signed head in ``session.json`` promises.
        """
        alive = self.writer() is not None
        with no_collections():
            contents = self.read_contents(key)
            if alive:
                contents = _without_growing_end(contents, max(self.segment_sizes(), default=""))
            session = fold(contents.records, alive=alive, fallback_id=self.id)
        return Reading(session, contents, self.blobs)

    def read_contents(self, key: bytes | None = None) -> LogContents:
        """The records as they stand in the log, and its damage; see `read`."""
        # The promise first: a log that is being written has kept it by then.
        document = self._read_summary_file()
        promised = None if key is None else _promised(document, key)
        contents = read_log(
            self.log_folder, self.blobs, key=key, session=self.id, promised=promised
        )
        if key is not None and promised is None and "head" in document:
            detail = "the head in session.json was not signed with this user's key"
            contents = replace(contents, damage=(*contents.damage, Damage("forged", detail)))
        return contents

    def promised(self, key: bytes) -> Head | None:
        """The newest head that the log is known to have had, signed with ``key``."""
        return _promised(self._read_summary_file(), key)

    def read_last(self, steps: int) -> tuple[Record, ...]:
        """The records of the last ``steps`` steps, at a cost that the session's length does
        not touch.
        """
        return read_last(self.log_folder, self.blobs, steps, session=self.id)

    # -- session.json ------------------------------------------------------------------

    def summary(self, key: bytes | None = None) -> Summary:
        """The session's summary: from ``session.json`` where that is up to date, else from
        the log. While a kernel writes a long session, it is what the kernel wrote to
        ``session.json`` about a second ago.

        With ``key``, a stale file is replaced where nobody writes the session.
        """
        document = self._read_summary_file()
        alive = self.writer() is not None
        sizes = self.segment_sizes()
        if document.get("segments") == sizes or (alive and sum(sizes.values()) > _QUICK_BYTES):
            try:
                return _with_liveness(Summary.model_validate(document["summary"]), alive=alive)
            except (ValidationError, KeyError):
                pass  # damaged or of another version: the log knows
        promised = None if key is None else _promised(document, key)
        contents = read_log(self.log_folder, self.blobs, session=self.id, promised=promised)
        totals = SummaryFold()
        for record in contents.records:
            totals.apply(record)
        summary = totals.summary(alive=alive, fallback_id=self.id)
        # A head that is not ours, or that the log does not keep, is evidence: leave it there.
        is_evidence = ("head" in document and promised is None) or any(
            item.kind == "truncated" for item in contents.damage
        )
        if key is not None and not alive and not is_evidence:
            try:
                self.write_summary(summary, contents.head, key, sizes)
            except OSError as error:
                # A store that we can only read: the summary is derived, so nothing is lost.
                _logger.debug("session.json of %s was not written: %s", self.id, error)
        return summary

    def write_summary(
        self, summary: Summary, head: Head, key: bytes, sizes: dict[str, int]
    ) -> None:
        """Replace ``session.json``; the head is signed. ``sizes`` are those of the segments
        when ``summary`` was taken, or before.
        """
        document: dict[str, Any] = {
            "format": _SUMMARY_FORMAT,
            "summary": summary.model_dump(mode="json"),
            "segments": sizes,
            "head": {"seq": head.seq, "mac": head.mac, "signature": _sign(head, key)},
        }
        text = json.dumps(document, indent=1)
        files.replace(self.summary_path, text.encode("ascii"), sync=False)

    def _read_summary_file(self) -> dict[str, Any]:
        try:
            said = json.loads(self.summary_path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        is_ours = isinstance(said, dict) and said.get("format") == _SUMMARY_FORMAT
        return said if is_ours else {}

    def remove_leftovers(self) -> None:
        """Remove what a killed process left between writing a file and giving it its name. For
        who holds the session's lock.
        """
        files.remove_leftovers(self.path)
        for folder in self.blobs.folder.glob("??"):
            files.remove_leftovers(folder)

    def segment_sizes(self) -> dict[str, int]:
        """Bytes of each segment, by its name."""
        return {path.name: path.lstat().st_size for path in segments(self.log_folder)}

    def written_at(self) -> float:
        """When the log was written to, in seconds since the epoch; 0 where there is none."""
        times = (path.lstat().st_mtime for path in segments(self.log_folder))
        return max(times, default=0.0)


def _promised(document: dict[str, Any], key: bytes) -> Head | None:
    """The head in ``session.json``, if the signature is ours."""
    said = document.get("head")
    if not isinstance(said, dict) or not isinstance(said.get("seq"), int):
        return None
    head = Head(said["seq"], str(said.get("mac")))
    return head if said.get("signature") == _sign(head, key) else None


def _sign(head: Head, key: bytes) -> str:
    text = f"head {head.seq} {head.mac}"
    return blake3(text.encode("utf-8", "surrogatepass"), key=key).hexdigest(16)


def _without_growing_end(contents: LogContents, newest: str) -> LogContents:
    """A reader may see half of the record that a living kernel is just writing."""
    damage = contents.damage
    kept = tuple(item for item in damage if item.kind != "torn" or item.segment != newest)
    return contents if len(kept) == len(damage) else replace(contents, damage=kept)


def _with_liveness(summary: Summary, *, alive: bool) -> Summary:
    """The summary as seen now: its writer may have died since the file was written."""
    state = summary.state
    if state is SessionState.RUNNING and not alive:
        state = SessionState.INTERRUPTED
    elif state is SessionState.INTERRUPTED and alive:
        state = SessionState.RUNNING
    return summary if state is summary.state else summary.model_copy(update={"state": state})
