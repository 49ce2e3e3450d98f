"""The place that holds sessions: folders, locks, ids, summaries.

`Store` finds, creates, opens and deletes sessions; `SessionFolder` reads one;
`SessionWriter` appends to one.
"""

from ipysession.store.folder import Reading, SessionFolder
from ipysession.store.ids import is_id, new_id, validate_id
from ipysession.store.store import LATEST, STORE_VARIABLE, Store, default_store_path
from ipysession.store.writer import SessionWriter

__all__ = [
    "LATEST",
    "STORE_VARIABLE",
    "Reading",
    "SessionFolder",
    "SessionWriter",
    "Store",
    "default_store_path",
    "is_id",
    "new_id",
    "validate_id",
]
