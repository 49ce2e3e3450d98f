"""ipysession: no one who works in a notebook ever loses work again.

In a notebook: ``%load_ext ipysession``, then ``%session``. In a shell: ``jupyter session``.
In a program::

    import ipysession

    reading = ipysession.open("latest")
    for step in reading.session.steps:
        print(step.number, step.outcome, step.source)
    print(reading.variables["df"].shape)  # from the records: nothing is unpickled
    df = reading.load("df")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from ipysession.sessions.opened import OpenedSession
    from ipysession.store import Store

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "load_ipython_extension",
    "open",
    "open_store",
    "unload_ipython_extension",
]


def open_store(path: Path | str | None = None) -> Store:
    """The store at ``path``; by default the one that kernels, server and shell use."""
    from ipysession.store import Store

    return Store(path)


def open(reference: str = "latest", *, store: Path | str | None = None) -> OpenedSession:
    """Read a session without a kernel: an id, a prefix, a title, ``latest``, or a folder. Its
    ``variables`` tell types, sizes and previews; ``load(name)`` gives one value.

    Raises SessionNotFound or AmbiguousSession.
    """
    from ipysession.sessions import Sessions
    from ipysession.sessions.opened import opened

    place = open_store(store)
    return opened(Sessions(place).read(reference), place.key())


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext ipysession``: begin to record."""
    import gc

    # Imports make many objects and no garbage; Python's collector would go over all that the
    # kernel holds, again and again: a tenth of the time.
    enabled = gc.isenabled()
    gc.disable()
    try:
        from ipysession.extension import load

        load(shell)
    finally:
        if enabled:
            gc.enable()


def unload_ipython_extension(shell: Any) -> None:
    """``%unload_ext ipysession``: stop recording and leave no trace."""
    from ipysession.extension import unload

    unload(shell)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "ipysession.server"}]
