"""A notebook as the bytes of a file: itself, a script in percent format, Markdown, HTML."""

from __future__ import annotations

import copy
import re
import warnings
from typing import TYPE_CHECKING

from ipysession.errors import ExportRefused
from ipysession.export import formats, nb
from ipysession.export.script import percent_script

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbconvert.exporters import Exporter
    from nbformat import NotebookNode

    from ipysession.export.formats import Format


def render(notebook: NotebookNode, made: Format) -> bytes:
    """``notebook`` in one of the formats of text. ``notebook`` itself is not changed.

    Raises ExportRefused where the package that writes the format is not installed, with what
    to install.
    """
    try:
        if made is formats.NOTEBOOK:
            text = nb.write(notebook) + "\n"
        elif made is formats.SCRIPT:
            text = _script(notebook)
        elif made is formats.MARKDOWN:
            text = _markdown(notebook)
        else:
            text = _html(notebook)
    except ImportError as error:
        package = (error.name or "nbconvert").partition(".")[0]
        message = f"{made.what} needs {package}, which is not installed: pip install {package}"
        raise ExportRefused(message) from error
    return text.encode("utf-8", "replace")


def _script(notebook: NotebookNode) -> str:
    bare = copy.deepcopy(notebook)
    for cell in bare.cells:
        cell.metadata.pop("ipysession", None)  # one line of JSON above each cell says nothing
        cell.pop("id", None)
    about = bare.metadata.pop("ipysession")
    bare.cells.insert(0, _text_cell(_said(about).partition(" Outputs")[0]))
    return percent_script(bare)


def _text_cell(text: str) -> NotebookNode:
    return nb.node({"cell_type": "markdown", "metadata": {}, "source": text})


def _said(about: NotebookNode) -> str:
    """Where it comes from and whether it was checked, in a sentence."""
    verified = about.verified
    checked = "verified" if verified.verified else f"not verified ({verified.why})"
    return (
        f"Exported by ipysession from session {about.session}, {checked}. "
        "Outputs are shown as they were recorded."
    )


# fmt: off
_TAGS = frozenset({
    "a", "abbr", "b", "blockquote", "br", "caption", "code", "col", "colgroup", "dd", "del",
    "div", "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "ins", "kbd",
    "li", "ol", "p", "pre", "s", "span", "strong", "sub", "sup", "table", "tbody", "td", "tfoot",
    "th", "thead", "tr", "u", "ul",
})
# fmt: on
_ATTRIBUTES = {
    "*": ["class", "id", "title"],
    "a": ["href"],
    "img": ["src", "alt", "width", "height"],
    "td": ["colspan", "rowspan"],
    "th": ["colspan", "rowspan", "scope"],
}
_PROTOCOLS = frozenset({"http", "https", "mailto", "data"})
_UNSHOWN = re.compile(r"(?is)<(style|script)\b.*?(?:</\1\s*>|\Z)")


def _markdown(notebook: NotebookNode) -> str:
    from nbconvert.exporters import MarkdownExporter
    from traitlets.config import Config

    page = copy.deepcopy(notebook)
    for output in _rich_outputs(page):
        # A page of text shows text and pictures; recorded markup stays out of it.
        for mime in [m for m in output.data if m != "text/plain" and m not in _PICTURES]:
            if "text/plain" in output.data:
                del output.data[mime]
    config = Config()
    # Pictures stay in the page, so that it is one file.
    config.ExtractOutputPreprocessor.enabled = False
    config.ExtractAttachmentsPreprocessor.enabled = False
    return _converted(MarkdownExporter(config=config), page)  # type: ignore[no-untyped-call]


_PICTURES = frozenset({"image/png", "image/jpeg"})


def _html(notebook: NotebookNode) -> str:
    import bleach  # type: ignore[import-untyped]
    from nbconvert.exporters import HTMLExporter
    from traitlets.config import Config

    def harmless(markup: object) -> str:
        text: str = bleach.clean(
            _UNSHOWN.sub("", str(markup)),
            tags=_TAGS,
            attributes=_ATTRIBUTES,
            protocols=_PROTOCOLS,
            strip=True,
        )
        return text

    page = copy.deepcopy(notebook)
    for output in _rich_outputs(page):
        for mime in [m for m in output.data if m not in _SHOWN]:
            if len(output.data) > 1:
                del output.data[mime]
    config = Config()
    # What was recorded may hold markup that runs: only what is known to be harmless is shown.
    config.HTMLExporter.sanitize_html = True
    config.HTMLExporter.require_js_url = ""
    exporter = HTMLExporter(config=config)  # type: ignore[no-untyped-call]
    exporter.register_filter("clean_html", harmless)  # type: ignore[no-untyped-call]
    return _converted(exporter, page)


_SHOWN = _PICTURES | {"image/svg+xml", "text/html", "text/latex", "text/markdown", "text/plain"}


def _rich_outputs(page: NotebookNode) -> Iterator[NotebookNode]:
    for cell in page.cells:
        for output in cell.get("outputs", ()):
            if "data" in output:
                yield output


def _converted(exporter: Exporter, page: NotebookNode) -> str:
    about = page.metadata.ipysession
    page.cells.append(_text_cell(f"*{_said(about)}*"))
    resources = {"metadata": {"name": about.title}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nbconvert's own, about its dependencies
        text, _ = exporter.from_notebook_node(page, resources)
    return str(text)
