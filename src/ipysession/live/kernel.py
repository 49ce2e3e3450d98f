"""What all verbs of a recording kernel build on: the recorder and its session."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ipysession.model import SessionState
from ipysession.record import cells
from ipysession.report import ago
from ipysession.sessions import RESUMABLE, Sessions

if TYPE_CHECKING:
    from ipysession.model import Summary
    from ipysession.record.recorder import Recorder
    from ipysession.store import SessionWriter

_LOOK_BACK = 50
"""So many of the newest sessions are looked at for one that can be resumed."""


class KernelSessions(Sessions):
    """The verbs of `Sessions`, whose default is the session that this kernel records."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder.store)
        self.recorder = recorder

    @property
    def live(self) -> SessionWriter | None:
        """The session that this kernel is recording."""
        return self.recorder.writer

    def resumable(self) -> Summary | None:
        """The newest session of this notebook that can be resumed here, or None.

        Where no notebook is known: the newest of the same kind of frontend in this folder.
        """
        notebook = cells.notebook_path(self.recorder.shell.user_ns)
        key = self.store.key()
        own = self.live.id if self.live is not None else None
        for session_id in reversed(self.store.ids()[-_LOOK_BACK:]):
            if session_id == own:
                continue
            summary = self.store.folder(session_id).summary(key)
            if notebook is not None:
                fits = summary.notebook == notebook
            else:
                fits = summary.notebook is None and summary.cwd == os.getcwd()  # noqa: PTH109
            if fits:
                return summary if summary.state in RESUMABLE and summary.steps else None
        return None


def offer(summary: Summary) -> str:
    """The sentence that offers to bring an earlier session back."""
    how = (
        "ended when its kernel died"
        if summary.state is SessionState.INTERRUPTED or "died" in summary.reason
        else "ended"
    )
    steps = f"{summary.steps} step{'' if summary.steps == 1 else 's'}"
    return (
        f"An earlier session of this notebook {how}, {steps}, {ago(summary.age)}. "
        "Bring it back: %session resume"
    )
