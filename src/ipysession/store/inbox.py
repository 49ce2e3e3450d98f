"""What others ask a session's writer to append: a title, a tag, a note.

Only one process appends to a log. Whoever wants to change a session that a kernel writes puts a
file into its inbox; the kernel's log thread takes it within about a second, also while a cell
runs. A request is signed with the user's key, like all that the log holds.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from ipysession.log import files
from ipysession.model import payloads as p
from ipysession.model.records import payload_to_value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

LOOK_SECONDS = 1.0
"""So often a writer looks."""

_PATIENCE_SECONDS = 5.0
"""So long is waited for the writer: one that cannot look by then is stopped, or holds Python's
lock in foreign code, or is of an older version."""

_FORGOTTEN_SECONDS = 60.0
"""What still lies there by then was left by somebody who died waiting."""

_ASKABLE: dict[str, type[p.Payload]] = {
    cls.type: cls for cls in (p.SessionTitled, p.SessionTagged, p.SessionUntagged, p.NoteAdded)
}


class Inbox:
    """The requests to the writer of one session."""

    def __init__(self, folder: Path, session: str, key: bytes) -> None:
        self._folder = folder
        self._session = session
        self._key = key

    def ask(self, payloads: Sequence[p.Payload]) -> bool:
        """Ask the writer to append these; False where it did not take them in time."""
        files.make_private_folder(self._folder)
        request = [[payload.type, payload_to_value(payload)] for payload in payloads]
        text = json.dumps(request)
        data = json.dumps({"request": text, "mac": self._mac(text)}).encode("ascii")
        path = self._folder / f"{time.time_ns():020d}-{secrets.token_hex(4)}.json"
        files.replace(path, data, sync=False)
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while path.exists():
            if time.monotonic() > give_up:
                try:
                    path.unlink()
                except FileNotFoundError:
                    return True  # it was taken at the last moment
                return False
            time.sleep(0.02)
        return True

    def take(self, append: Callable[[p.Payload], object]) -> None:
        """Append what is asked for, oldest first. A request is gone once it stands in the log."""
        try:
            names = sorted(name for name in os.listdir(self._folder) if name.endswith(".json"))
        except FileNotFoundError:
            return
        for name in names:
            path = self._folder / name
            with contextlib.suppress(FileNotFoundError):  # it was taken back
                with files.open_regular(path) as stream:
                    age = time.time() - os.fstat(stream.fileno()).st_mtime
                    data = stream.read()
                if age < _FORGOTTEN_SECONDS:
                    for payload in self._read(data):
                        append(payload)
                path.unlink()

    def _read(self, data: bytes) -> list[p.Payload]:
        """The payloads of a request; none where it is not ours."""
        try:
            said: Any = json.loads(data)
            if said["mac"] != self._mac(said["request"]):
                return []
            request = json.loads(said["request"])
            return [_ASKABLE[kind].model_validate(value) for kind, value in request]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return []

    def _mac(self, text: str) -> str:
        asked = f"inbox {self._session} {text}"
        return blake3(asked.encode("utf-8", "surrogatepass"), key=self._key).hexdigest(16)
