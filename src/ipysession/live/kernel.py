"""What all verbs of a recording kernel build on: the recorder and its session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipysession.live.arriving import Arrivals
from ipysession.offers import resumable
from ipysession.sessions import Sessions

if TYPE_CHECKING:
    from ipysession.model import Summary
    from ipysession.record.recorder import Recorder
    from ipysession.store import SessionWriter


class KernelSessions(Sessions):
    """The verbs of `Sessions`, whose default is the session that this kernel records."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder.store)
        self.recorder = recorder
        self.arrivals = Arrivals(recorder)

    @property
    def live(self) -> SessionWriter | None:
        """The session that this kernel is recording."""
        return self.recorder.writer

    def resumable(self) -> Summary | None:
        """The session that a resume takes where it is told none; see `offers`."""
        own = self.live.id if self.live is not None else None
        return resumable(self.store, self.recorder.shell.user_ns, own)
