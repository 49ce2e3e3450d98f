"""What is heard in which thread: the step that a thread runs, and what is passed over."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipysession.record.effects.heard import Heard


class _Quiet:
    """While inside, what this thread does is not heard. May be nested and shared."""

    def __enter__(self) -> None:
        here.silent = (here.silent or 0) + 1

    def __exit__(self, *_: object) -> None:
        here.silent = max(0, (here.silent or 0) - 1)


_QUIET = _Quiet()


def quiet() -> _Quiet:
    """A context in which what this thread does is not heard: for the recorder's own doings."""
    if here.silent is None:
        is_silent()
    return _QUIET


class _Here(threading.local):
    """Of each thread."""

    silent: int | None = None
    """Not heard when above 0; None until it is known whether the thread is one of the user's."""
    step: Heard | None = None
    """The step that this thread runs itself."""
    host: tuple[str, str] | None = None
    """The name and port that this thread looked up last."""


here = _Here()

_SILENT_THREADS = (
    "ipysession",
    "IPythonHistorySavingThread",
    "IOPub",
    "Heartbeat",
    "Control",
    "Shell channel",
)
"""What the names of our own threads, IPython's and ipykernel's begin with."""


def is_silent() -> bool:
    """Is this thread one whose doings are not the user's? Asked once per thread."""
    # Not current_thread(): it makes a lasting object for threads that Python did not start.
    thread = threading._active.get(threading.get_ident())  # type: ignore[attr-defined]  # noqa: SLF001
    silent = thread is not None and str(thread.name).startswith(_SILENT_THREADS)
    here.silent = int(silent)
    return silent
