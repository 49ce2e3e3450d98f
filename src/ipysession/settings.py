"""What can be configured, as traits: ``c.SessionStore.url``, ``c.Recording.redact`` …

One way in for kernels, the server and the shell. `SessionStore` finds the store;
`Recording` tunes what a kernel records.
"""

from __future__ import annotations

from traitlets import Bool, CaselessStrEnum, Dict, Float, Int, Unicode
from traitlets.config import Configurable

from ipysession.log import SyncPolicy
from ipysession.store import Store


class SessionStore(Configurable):
    """Where sessions are kept."""

    url = Unicode(
        "",
        help="""The store's folder. Empty: the environment variable IPYSESSION_STORE, else a
        folder under Jupyter's data directory.""",
    ).tag(config=True)

    def open(self) -> Store:
        """The store that the configuration names."""
        return Store(self.url.removeprefix("file://") or None)


class Recording(Configurable):
    """What is recorded, and at what price."""

    sync = CaselessStrEnum(
        [str(policy) for policy in SyncPolicy],
        default_value=str(SyncPolicy.BACKGROUND),
        help="""When records become durable against a power cut: 'background' (a moment later),
        'strict' (a cell's end waits for it) or 'off'. A kill of the kernel never loses any.""",
    ).tag(config=True)
    redact = Bool(
        True, help="Take secrets out of sources and outputs before they are written."
    ).tag(config=True)
    redact_patterns = Dict(
        value_trait=Unicode(),
        key_trait=Unicode(),
        help="Further kinds of secrets: name → regular expression.",
    ).tag(config=True)
    save_values = Bool(True, help="Save the values of variables after each step.").tag(config=True)
    save_seconds = Float(
        0.003,
        help="Seconds that saving may take in a step's own time; the rest waits for idleness.",
    ).tag(config=True)
    save_share = Float(
        0.05,
        help="""Where the kernel is never idle (Run All, a job): the share of the time that cells
        ran which saving may take.""",
    ).tag(config=True)
    save_when_idle = Bool(
        True, help="What did not fit is saved by a thread while no cell runs."
    ).tag(config=True)
    save_patience_seconds = Float(
        0.02, help="How long a cell that begins waits for that thread to let go, at most."
    ).tag(config=True)
    save_settle_seconds = Float(
        0.1, help="The kernel counts as idle so many seconds after a cell."
    ).tag(config=True)
    save_alone_seconds = Float(
        60.0, help="Seconds of idle time that saving one group may take."
    ).tag(config=True)
    save_at_end_seconds = Float(
        10.0, help="Seconds for saving what is left at an orderly end of the kernel, at most."
    ).tag(config=True)
    save_max_bytes = Int(
        1 << 34, help="A group of values whose pickle is larger is not saved but replayed."
    ).tag(config=True)
    save_min_free_bytes = Int(
        256 << 20, help="Nothing more is saved where less than this is free on the store's disk."
    ).tag(config=True)
    tidy_at_end = Bool(
        True,
        help="""At an orderly end of the kernel, note saved values of its session that nothing
        names, and remove those that were noted an hour or more before.""",
    ).tag(config=True)
    keep_checkpoints = Int(
        0,
        help="""Then keep only the last so many checkpoints, those of steps with a note, the ends
        of branches, and what these rest on; 0 keeps all. The newest state is always kept.""",
    ).tag(config=True)
    digest_seconds = Float(
        0.2, help="Seconds per step for the digests of files that the step read or wrote."
    ).tag(config=True)
    restore_at_once_seconds = Float(
        0.15,
        help="""Seconds that a resume may take for small values; what is large, or does not fit,
        comes before the first cell that can reach it, and the rest while no cell runs.""",
    ).tag(config=True)
    restore_when_idle = Bool(
        True, help="What waits after a resume is brought by a thread while no cell runs."
    ).tag(config=True)
    offer_resume = Bool(
        True, help="Tell of an earlier session of this notebook that can be resumed."
    ).tag(config=True)
