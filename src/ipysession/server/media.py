"""The media types of exported files."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MEDIA_TYPES = {
    ".ipynb": "application/x-ipynb+json",
    ".py": "text/x-python",
    ".md": "text/markdown",
    ".html": "text/html",
    ".zip": "application/zip",
    ".json": "application/prov+json",
}
"""By the end of the file's name."""

ANY_FILE = "application/octet-stream"


def media_type(path: Path) -> str:
    """What a browser is told that the file is."""
    return MEDIA_TYPES.get(path.suffix, ANY_FILE)
