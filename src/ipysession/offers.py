"""The earlier session that a kernel could resume, and the sentence that offers it. Apart from the
verbs, because ``%load_ext`` waits for it and need not wait for them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ipysession.model import RESUMABLE, SessionState
from ipysession.record import cells
from ipysession.report import ago

if TYPE_CHECKING:
    from ipysession.model import Summary
    from ipysession.store import Store

_LOOK_BACK = 50
"""So many of the sessions that were opened last are looked at for one that can be resumed."""


def resumable(store: Store, user_ns: dict[str, Any], own: str | None = None) -> Summary | None:
    """The session of the notebook that ``user_ns`` belongs to in which a kernel worked last, if it
    can be resumed here, or None. ``own`` is passed over.

    Where no notebook is known: one of the same kind of frontend in this folder.
    """
    notebook = cells.notebook_path(user_ns)
    key = store.key()
    newest: Summary | None = None
    for folder, written in store.last_written(_LOOK_BACK):
        if newest is not None and written < newest.updated.timestamp():
            break  # nobody can have worked in these later
        if folder.id == own:
            continue
        summary = folder.summary(key)
        if notebook is not None:
            fits = summary.notebook == notebook
        else:
            fits = summary.notebook is None and summary.cwd == os.getcwd()  # noqa: PTH109
        if fits and (newest is None or newest.updated < summary.updated):
            newest = summary
    if newest is None or newest.state not in RESUMABLE or not newest.steps:
        return None
    return newest


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
