"""The verbs that need a kernel that records: status, resume, checkout, branch, pause …

`LiveSessions` has all verbs of `ipysession.sessions` besides; its default is the kernel's
own session. Each part is a file of its own.
"""

from ipysession.live.recording import Recording
from ipysession.live.rerunning import Rerunning
from ipysession.live.resuming import Resuming
from ipysession.live.traveling import Traveling
from ipysession.offers import offer

__all__ = ["LiveSessions", "offer"]


class LiveSessions(Recording, Resuming, Traveling, Rerunning):
    """The verbs inside a kernel that records."""
