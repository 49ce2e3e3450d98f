"""The formats of an export: their names and suffixes, and what a file's name means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipysession.errors import InvalidRequest

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Format:
    """``name`` is what ``--format`` takes, ``suffix`` ends the file's name, ``what`` says in
    words what the file is.
    """

    name: str
    suffix: str
    what: str


NOTEBOOK = Format("notebook", ".ipynb", "a notebook")
SCRIPT = Format("script", ".py", "a script in percent format")
MARKDOWN = Format("markdown", ".md", "a page of text")
HTML = Format("html", ".html", "a web page")
BUNDLE = Format("bundle", ".zip", "a bundle to import elsewhere")
PROV = Format("prov", ".prov.json", "W3C PROV-JSON")
CRATE = Format("ro-crate", ".crate.zip", "an RO-Crate")

FORMATS = {made.suffix: made for made in (NOTEBOOK, SCRIPT, MARKDOWN, HTML, BUNDLE, PROV, CRATE)}
"""All formats, by their suffix."""


def format_named(name: str) -> Format:
    """The format that ``--format NAME`` means: its name, or its suffix with or without the dot.

    Raises InvalidRequest.
    """
    for made in FORMATS.values():
        if name.casefold() in {made.name, made.suffix, made.suffix[1:]}:
            return made
    known = ", ".join(made.name for made in FORMATS.values())
    message = f"there is no format {name!r}; possible: {known}"
    raise InvalidRequest(message)


def format_of(path: Path) -> Format:
    """The format that the end of a file's name means; the longest suffix counts.

    Raises InvalidRequest.
    """
    name = path.name.casefold()
    fitting = [made for suffix, made in FORMATS.items() if name.endswith(suffix)]
    if fitting:
        return max(fitting, key=lambda made: len(made.suffix))
    known = ", ".join(f"{suffix} ({made.what})" for suffix, made in FORMATS.items())
    message = f"{path.name}: cannot export to {path.suffix!r}; possible: {known}, or say --format"
    raise InvalidRequest(message)
