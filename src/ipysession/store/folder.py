"""One session's folder: where its files lie, and how it is read.

A session folder stands alone: copied elsewhere, it is still the session.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blake3 import blake3
from pydantic import ValidationError

from ipysession.log import Blobs, Damage, Head, LogContents, files, read_last, read_log
from ipysession.log.reader import segments
from ipysession.model import Session, SessionState, Summary, SummaryFold, fold
from ipysession.store.lock import living_holder

if TYPE_CHECKING:
    from pathlib import Path

    from ipysession.model import Record
    from ipysession.store.lock import Holder

_SUMMARY_FORMAT = 1
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reading:
    """A session and what was found on the way to it."""

    session: Session
    contents: LogContents
    blobs: Blobs

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

    @property
    def id(self) -> str:
        """The session's id: the folder's name."""
        return self.path.name

    def writer(self) -> Holder | None:
        """The living process that writes the session, or None."""
        return living_holder(self.lock_path)

    def read(self, key: bytes | None = None) -> Reading:
        """Read and fold the whole log. With ``key`` authenticity is checked too, and whether
        the log still holds all that the signed head in ``session.json`` promises.
        """
        alive = self.writer() is not None
        contents = read_log(self.log_folder, self.blobs, key=key, session=self.id)
        cut = self._truncation(contents, key) if key is not None and not alive else None
        if cut is not None:
            damage = (*contents.damage, cut)
            contents = LogContents(contents.records, damage, contents.head, contents.unproven)
        session = fold(contents.records, alive=alive, fallback_id=self.id)
        return Reading(session, contents, self.blobs)

    def read_last(self, steps: int) -> tuple[Record, ...]:
        """The records of the last ``steps`` steps, at a cost that the session's length does
        not touch.
        """
        return read_last(self.log_folder, self.blobs, steps)

    # -- session.json ------------------------------------------------------------------

    def summary(self, key: bytes | None = None) -> Summary:
        """The session's summary: from ``session.json`` where that is up to date, else from
        the log. A stale file is replaced where nobody writes the session.
        """
        said = self._read_summary_file()
        alive = self.writer() is not None
        if said is not None and said.get("segments") == self._segment_sizes():
            try:
                return _with_liveness(Summary.model_validate(said["summary"]), alive=alive)
            except (ValidationError, KeyError):
                pass  # damaged or of another version: the log knows
        sizes = self._segment_sizes()
        contents = read_log(self.log_folder, self.blobs, session=self.id)
        totals = SummaryFold()
        for record in contents.records:
            totals.apply(record)
        summary = totals.summary(alive=alive, fallback_id=self.id)
        if not alive and self._truncation(contents, key) is None:
            try:
                self.write_summary(summary, contents.head, key, sizes)
            except OSError as error:
                # A store that we can only read: the summary is derived, so nothing is lost.
                _logger.debug("session.json of %s was not written: %s", self.id, error)
        return summary

    def write_summary(
        self,
        summary: Summary,
        head: Head,
        key: bytes | None,
        sizes: dict[str, int] | None = None,
    ) -> None:
        """Replace ``session.json``. With ``key`` the head is signed."""
        document: dict[str, Any] = {
            "format": _SUMMARY_FORMAT,
            "summary": summary.model_dump(mode="json"),
            "segments": self._segment_sizes() if sizes is None else sizes,
            "head": {"seq": head.seq, "mac": head.mac},
        }
        if key is not None:
            document["head"]["signature"] = _sign(head, key)
        text = json.dumps(document, indent=1)
        files.replace(self.summary_path, text.encode("utf-8"), sync=False)

    def _read_summary_file(self) -> dict[str, Any] | None:
        try:
            said = json.loads(self.summary_path.read_bytes())
        except (OSError, ValueError):
            return None
        if not isinstance(said, dict) or said.get("format") != _SUMMARY_FORMAT:
            return None
        return said

    def _segment_sizes(self) -> dict[str, int]:
        return {path.name: path.stat().st_size for path in segments(self.log_folder)}

    def _truncation(self, contents: LogContents, key: bytes | None) -> Damage | None:
        """Does the log lack records that the head in ``session.json`` promises?"""
        head = (self._read_summary_file() or {}).get("head")
        if not isinstance(head, dict) or not isinstance(head.get("seq"), int):
            return None
        promised = Head(head["seq"], str(head.get("mac")))
        if key is not None and head.get("signature") != _sign(promised, key):
            return Damage("forged", "the head in session.json was not signed with this user's key")
        if promised.seq > contents.head.seq:
            missing = promised.seq - contents.head.seq
            return Damage(
                "truncated",
                f"session.json promises {promised.seq} records; the last {missing} are gone",
            )
        return None


def _sign(head: Head, key: bytes) -> str:
    return blake3(f"head {head.seq} {head.mac}".encode("ascii"), key=key).hexdigest(16)


def _with_liveness(summary: Summary, *, alive: bool) -> Summary:
    """The summary as seen now: its writer may have died since the file was written."""
    state = summary.state
    if state is SessionState.RUNNING and not alive:
        state = SessionState.INTERRUPTED
    elif state is SessionState.INTERRUPTED and alive:
        state = SessionState.RUNNING
    return summary if state is summary.state else summary.model_copy(update={"state": state})
