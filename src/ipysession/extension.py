"""Loading into and unloading from IPython. Leaves IPython as it was."""

from __future__ import annotations

import atexit
import os
from typing import TYPE_CHECKING, Any

from ipysession.errors import SessionError
from ipysession.magics import SessionMagics, complete_session
from ipysession.offers import offer, resumable
from ipysession.preferences import OfferResume, load_preferences
from ipysession.record.recorder import Recorder
from ipysession.settings import Recording, SessionStore

if TYPE_CHECKING:
    from collections.abc import Callable

DISABLE_VARIABLE = "IPYSESSION_DISABLE"
"""Set to 1 in kernels that must not record, such as those that verify an export."""


class _Loaded:
    """All that loading put into one shell."""

    def __init__(
        self, recorder: Recorder, magics: SessionMagics, at_exit: Callable[[], None]
    ) -> None:
        self.recorder = recorder
        self.magics = magics
        self.at_exit = at_exit


_loaded: dict[int, _Loaded] = {}


def load(shell: Any, *, quiet: bool = False) -> None:
    """Begin to record in ``shell``. Loading twice changes nothing. ``quiet`` says nothing."""
    if id(shell) in _loaded or os.environ.get(DISABLE_VARIABLE) == "1":
        return
    store = SessionStore(parent=shell).open()
    recorder = Recorder(shell, store, Recording(parent=shell))
    magics = SessionMagics(shell, recorder)
    shell.register_magics(magics)
    shell.set_hook("complete_command", complete_session, str_key="%session")
    shell.set_hook("complete_command", complete_session, str_key="session")

    def at_exit() -> None:
        recorder.detach("kernel shutdown")

    atexit.register(at_exit)
    _loaded[id(shell)] = _Loaded(recorder, magics, at_exit)
    recorder.attach()
    if not quiet:
        print(_greeting(recorder))  # noqa: T201 - the extension's one line to the user
    recorder.warm_up()


def _greeting(recorder: Recorder) -> str:
    lines = ["Recording · %session for status"]
    asked = load_preferences().offer_resume is not OfferResume.NEVER
    if asked and recorder.settings.offer_resume:
        try:
            earlier = resumable(recorder.store, recorder.shell.user_ns)
        except SessionError as error:
            lines.append(f"The store cannot be used: {error}")
        else:
            if earlier is not None:
                lines.append(offer(earlier))
    return "\n".join(lines)


def unload(shell: Any) -> None:
    """Stop recording and take back all that `load` put into ``shell``."""
    loaded = _loaded.pop(id(shell), None)
    if loaded is None:
        return
    loaded.recorder.detach("extension unloaded")
    atexit.unregister(loaded.at_exit)
    shell.magics_manager.magics["line"].pop("session", None)
    shell.magics_manager.registry.pop("SessionMagics", None)
    for dispatch in (shell.strdispatchers.get("complete_command"),):
        if dispatch is not None:
            for key in ("%session", "session"):
                dispatch.strs.pop(key, None)


def recorder_of(shell: Any) -> Recorder | None:
    """The recorder of ``shell``, where the extension is loaded."""
    loaded = _loaded.get(id(shell))
    return None if loaded is None else loaded.recorder
