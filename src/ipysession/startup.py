"""``jupyter session enable``: every kernel of this environment records without ``%load_ext``.

A startup file of IPython's default profile is what every kernel and terminal of the user
runs; it loads the extension only in the environment that enabled it (by ``sys.prefix``), and
says nothing where ipysession is gone.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

from IPython.paths import get_ipython_dir

from ipysession.log import files
from ipysession.report import Report

_TEMPLATE = """\
# Written by `jupyter session enable`; `jupyter session disable` takes it back.
import sys

if sys.prefix == {prefix!r}:
    try:
        import ipysession
    except ImportError:
        pass
    else:
        ipysession.load_ipython_extension(get_ipython())
"""


def startup_file() -> Path:
    """The startup file of this environment, in IPython's default profile."""
    mark = hashlib.blake2b(sys.prefix.encode(), digest_size=4).hexdigest()
    return Path(get_ipython_dir()) / "profile_default" / "startup" / f"50-ipysession-{mark}.py"


def enable() -> Report:
    """Make every kernel of this environment record. Doing it twice changes nothing."""
    path = startup_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    text = _TEMPLATE.format(prefix=sys.prefix)
    already = path.exists() and path.read_text("utf-8") == text
    if not already:
        files.replace(path, text.encode("utf-8"))
    said = "already enabled" if already else "enabled: every new kernel of this environment records"
    return Report(_data(path, enabled=True), said, hint=f"The startup file is {path}")


def disable() -> Report:
    """Take it back. Kernels that run go on recording."""
    path = startup_file()
    existed = path.exists()
    path.unlink(missing_ok=True)
    said = "disabled: new kernels record only after %load_ext ipysession"
    return Report(_data(path, enabled=False), said if existed else "it was not enabled")


def _data(path: Path, *, enabled: bool) -> dict[str, Any]:
    return {"enabled": enabled, "startup_file": str(path), "environment": sys.prefix}
