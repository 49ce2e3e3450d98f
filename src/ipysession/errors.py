"""Every error that ipysession raises on purpose, as one tree.

    SessionError
    ├── InvalidSessionId        (ValueError)    an id that must not touch a path
    ├── SessionNotFound         (LookupError)   nothing matches the reference
    ├── AmbiguousSession        (LookupError)   more than one session matches
    ├── StepNotFound            (LookupError)   the session has no such step
    ├── KernelNotFound          (LookupError)   the server runs no such kernel
    ├── KernelBusy              (RuntimeError)  the kernel did not answer, or runs a cell
    ├── ConfirmationNeeded      (RuntimeError)  what cannot be undone was asked for once
    ├── InvalidTransition       (RuntimeError)  the state machine has no such arrow
    ├── SessionBusy             (RuntimeError)  a living kernel writes the session
    ├── NotRecording            (RuntimeError)  the verb needs a recording kernel
    ├── StoreUnsafe             (PermissionError) others can write the store, or own it
    ├── StoreUnusable           (OSError)       the store cannot be created or read
    ├── LogDamaged              (RuntimeError)  the log cannot be trusted for this
    ├── NotSaved                (LookupError)   a variable's value was not saved
    ├── BlobMissing             (LookupError)   a blob that a record names is not there
    ├── BlobDamaged             (RuntimeError)  a blob does not hash to its name
    ├── ExportRefused           (RuntimeError)  the export would overwrite, or has no steps
    ├── ExportCancelled         (RuntimeError)  somebody thought better of an export
    ├── ImportRefused           (RuntimeError)  the file is no bundle or notebook, or not a safe one
    ├── ResumeRefused           (RuntimeError)  the session cannot be resumed here
    └── InvalidRequest          (ValueError)    a verb was given arguments that make no sense

Each subclasses the builtin that a caller would already catch. The message says
what happened, to what, and what to do next. Nothing else lives here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class SessionError(Exception):
    """The root of the tree; catching it catches every deliberate error of ipysession."""


class InvalidSessionId(SessionError, ValueError):
    """The text is not a session id; it was refused before it touched a path."""


class SessionNotFound(SessionError, LookupError):
    """No session matches the reference."""


class AmbiguousSession(SessionError, LookupError):
    """More than one session matches the reference."""


class StepNotFound(SessionError, LookupError):
    """The session has no step of that number."""


class KernelNotFound(SessionError, LookupError):
    """The Jupyter server runs no kernel of that id."""


class KernelBusy(SessionError, RuntimeError):
    """The kernel runs a cell, or did not answer in time."""


class ConfirmationNeeded(SessionError, RuntimeError):
    """What cannot be undone must be asked for a second time.

    ``members`` are what a program needs for that, JSON data.
    """

    def __init__(self, message: str, members: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.members = dict(members or {})


class InvalidTransition(SessionError, RuntimeError):
    """The session's state machine has no such arrow; nothing was changed."""


class SessionBusy(SessionError, RuntimeError):
    """A living kernel writes the session, so nobody else may."""


class NotRecording(SessionError, RuntimeError):
    """The verb needs a kernel that is recording a session."""


class StoreUnsafe(SessionError, PermissionError):
    """The store can be written by others, or belongs to somebody else."""


class StoreUnusable(SessionError, OSError):
    """The store's folder cannot be created or read."""


class LogDamaged(SessionError, RuntimeError):
    """The log is damaged in a way that rules out what was asked."""


class NotSaved(SessionError, LookupError):
    """There is no saved value of the variable; the message says why."""


class BlobMissing(SessionError, LookupError):
    """A blob that a record names does not exist."""


class BlobDamaged(SessionError, RuntimeError):
    """A blob's bytes do not hash to its name."""


class ExportRefused(SessionError, RuntimeError):
    """The export would overwrite a file, or there is nothing to export."""


class ExportCancelled(SessionError, RuntimeError):
    """An export was stopped before its end; nothing was written."""


class ImportRefused(SessionError, RuntimeError):
    """The file cannot be imported: it is not what it should be, or the session is here already."""


class ResumeRefused(SessionError, RuntimeError):
    """The session cannot be resumed here; the message says the way out."""


class InvalidRequest(SessionError, ValueError):
    """A verb was given arguments that make no sense together."""
