"""What is recorded: records, steps, sessions, provenance; the fold and its state machine.

Nothing here touches a file, IPython or tornado.
"""

from ipysession.model.fold import SummaryFold, fold
from ipysession.model.records import FORMAT_VERSION, Record
from ipysession.model.session import Note, Run, Session, Step, Summary, Transition
from ipysession.model.state import RESUMABLE, Outcome, SessionState

__all__ = [
    "FORMAT_VERSION",
    "RESUMABLE",
    "Note",
    "Outcome",
    "Record",
    "Run",
    "Session",
    "SessionState",
    "Step",
    "Summary",
    "SummaryFold",
    "Transition",
    "fold",
]
