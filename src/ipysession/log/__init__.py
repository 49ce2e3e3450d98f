"""The log: append, sync, recover, verify. The append-only truth of a session.

`writer.Log` appends, `reader` reads and reports damage, `line` is the format of one line,
`blobs` holds what is too large for a line, `files` knows how to be private and durable,
`key` is the user's secret. See docs/log-format.md.
"""

from ipysession.log.blobs import Blobs
from ipysession.log.key import load_key
from ipysession.log.reader import Damage, Head, LogContents, read_last, read_log, read_only
from ipysession.log.writer import Log, SyncPolicy

__all__ = [
    "Blobs",
    "Damage",
    "Head",
    "Log",
    "LogContents",
    "SyncPolicy",
    "load_key",
    "read_last",
    "read_log",
    "read_only",
]
