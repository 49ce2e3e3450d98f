"""Who runs this process, as sessions say it and as it is compared later: one answer for both."""

from __future__ import annotations

import getpass
import os


def user_name() -> str:
    """The user's name; the number where the system knows no name (a container's user may have
    none), and nothing where there is no number either.
    """
    try:
        name = getpass.getuser()
    except (KeyError, OSError, ImportError):
        return str(os.getuid()) if hasattr(os, "getuid") else ""
    # It may hold bytes that are no text: those in escapes.
    return os.fsencode(name).decode(errors="backslashreplace")
