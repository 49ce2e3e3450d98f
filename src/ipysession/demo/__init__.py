"""The demo behind ``jupyter session demo`` and ``make demo``: a kernel dies and comes back.

It works from outside, as a user does: through a kernel's sockets and the command line. No
recording, resuming or exporting is done here.
"""

from ipysession.demo.story import run_demo, tour_notebook

__all__ = ["run_demo", "tour_notebook"]
