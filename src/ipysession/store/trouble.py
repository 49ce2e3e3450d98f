"""What the writer of a session says while the disk refuses its log; nobody else can know.

A full disk has no room for news, so the room is taken when the session is opened, and written
over in place. The file is derived, and goes when the session is closed.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from typing import TYPE_CHECKING

from ipysession.log import files

if TYPE_CHECKING:
    from pathlib import Path

_BYTES = 512

_logger = logging.getLogger(__name__)


class TroubleNote:
    """The writer's side. That it cannot be written is no trouble of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.unlink(missing_ok=True)  # of a writer that was killed
            descriptor = files.create_private(path)
            try:
                files.write_all(descriptor, b" " * _BYTES)
            finally:
                os.close(descriptor)
        except OSError as error:
            _logger.debug("there is no room to tell of trouble: %s", error)

    def say(self, text: str | None) -> None:
        """What is wrong from now on; None where nothing is any more."""
        said = b"" if text is None else json.dumps({"trouble": text[:80]}).encode("ascii")
        try:
            # Opened each time: the user's code may close any descriptor, and reuse its number.
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                os.pwrite(descriptor, said.ljust(_BYTES), 0)
            finally:
                os.close(descriptor)
        except OSError as error:
            _logger.debug("trouble could not be told: %s", error)

    def remove(self) -> None:
        """The session is closed."""
        with contextlib.suppress(OSError):  # what stays is passed over: nobody writes the session
            self._path.unlink()


def read_trouble(path: Path) -> str | None:
    """What the living writer of a session said there, or None."""
    try:
        with files.open_regular(path) as stream:
            return str(json.loads(stream.read(_BYTES))["trouble"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None  # nothing was said, or not by us
