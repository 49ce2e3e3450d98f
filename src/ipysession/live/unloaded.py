"""A cell asks for a value that could not be loaded: its own NameError says so, and the way out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class Unloaded:
    """Adds to the NameErrors of one cell why a name is not there. The note (PEP 678) is added
    before IPython shows the error; what is shown and recorded is otherwise IPython's.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._failed: Mapping[str, str] = {}
        self._explained: set[str] = set()
        self._asked_for: tuple[type[BaseException], ...] = ()

    def cell_begins(self, failed: Mapping[str, str]) -> None:
        """The cell that is about to run may ask for these names; each with why it is not there.

        IPython has one place for who wants to show an error, and it is the user's first.
        """
        self._failed, self._explained = failed, set()
        if failed and not self._shell.custom_exceptions:
            self._asked_for = (NameError,)
            self._shell.set_custom_exc(self._asked_for, self._show)

    def cell_ended(self) -> set[str]:
        """The names whose absence the cell's error explained."""
        if self._asked_for and self._shell.custom_exceptions is self._asked_for:
            self._shell.set_custom_exc((), None)
        self._asked_for, self._failed = (), {}
        return self._explained

    def _show(
        self, shell: Any, etype: Any, error: NameError, tb: Any, tb_offset: int | None = None
    ) -> list[str]:
        name = error.name or ""
        if name in self._failed:
            note = explanation(name, self._failed[name])
            if note not in getattr(error, "__notes__", ()):
                error.add_note(note)
            self._explained.add(name)
        shell.showtraceback((etype, error, tb), tb_offset=tb_offset, running_compiled_code=True)
        return []


def explanation(name: str, why: str) -> str:
    """What a user is told who asks for a value that could not be loaded."""
    remedy = "Make it again from its steps"
    if why.startswith(ModuleNotFoundError.__name__):
        remedy = "Install what is missing and ask again, or make it again from its steps"
    return (
        f"{name} could not be loaded ({why}), so this cell does not have it. "
        f"{remedy}: %session restore {name}"
    )
