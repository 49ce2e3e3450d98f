"""The verbs, once, for all faces and for ``import ipysession``.

Each verb takes plain arguments and answers with a `Report`: data for programs, a headline
and tables for people. The faces (magics, shell, server) translate and hold no logic.
Verbs that need a recording kernel are in `ipysession.live`.
"""

from __future__ import annotations

from ipysession.sessions.changing import ChangingVerbs
from ipysession.sessions.comparing import ComparingVerbs
from ipysession.sessions.exporting import ExportingVerbs
from ipysession.sessions.finding import MAX_PAGE, Page, Sort
from ipysession.sessions.importing import ImportingVerbs
from ipysession.sessions.lineage import LineageVerbs
from ipysession.sessions.picturing import PicturingVerbs
from ipysession.sessions.reading import ReadingVerbs
from ipysession.sessions.settling import SettlingVerbs
from ipysession.sessions.tidying import TidyingVerbs

__all__ = ["MAX_PAGE", "Page", "Sessions", "Sort"]


class Sessions(
    ReadingVerbs,
    PicturingVerbs,
    LineageVerbs,
    TidyingVerbs,
    ComparingVerbs,
    ExportingVerbs,
    ImportingVerbs,
    ChangingVerbs,
    SettlingVerbs,
):
    """The verbs over one store. ``live`` is the session that this process records, if any:
    the default of every verb is then that one, else ``latest``.
    """
