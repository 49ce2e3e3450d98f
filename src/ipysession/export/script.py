"""A notebook as a script in percent format, which editors and jupytext read as cells again.

The script is always Python: what is not (magics, shell commands, cells that do not compile)
stands in it as comments.
"""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbformat import NotebookNode

_MAGIC = re.compile(
    r"""\s*(?:
        %{1,2}\w |                 # %time f(), %%time
        !\s*\S | \?{1,2}\s*\S |    # !ls, ?name
        [^#'"=]+=\s*[%!]\s*\w |    # files = !ls, x = %time f()
        [^\s#'"]+\?{1,2}\s*$       # name?
    )""",
    re.VERBOSE,
)
_COMMAND = re.compile(r"(?:cat|cd|cp|echo|ls|mkdir|mv|rm|rmdir)(?:$|\s[^=,])")
"""What runs without a sign before it; IPython calls that automagic."""
_COMMENT = re.compile(r"\s*#+ ?")
_CELL_MAGIC = re.compile(r"%%(\w+)[ \t]*(.*)(?:\n|$)")
_OF_PYTHON = frozenset({"capture", "memit", "prun", "time", "timeit"})
"""Cell magics whose body is Python."""
_LANGUAGES = frozenset(
    {"bash", "html", "javascript", "js", "latex", "markdown", "perl", "ruby", "script", "sh", "svg"}
)
"""Cell magics that stand in a cell's marker, as jupytext writes them."""


def percent_script(notebook: NotebookNode) -> str:
    """The text of the script; the metadata of cells stands in their markers."""
    kernel = notebook.metadata.get("kernelspec", {})
    head = [
        "# ---",
        "# jupyter:",
        "#   jupytext:",
        "#     text_representation:",
        "#       extension: .py",
        "#       format_name: percent",
        *(["#   kernelspec:"] if kernel else []),
        *(f"#     {key}: {json.dumps(value)}" for key, value in sorted(kernel.items())),
        "# ---",
    ]
    return "\n\n".join(["\n".join(head), *map(_cell, notebook.cells)]) + "\n"


def _cell(cell: NotebookNode) -> str:
    about = dict(cell.metadata)
    if cell.cell_type != "code":
        return f"{_marker(f' [{cell.cell_type}]', about)}\n{_commented(cell.source)}"
    source = cell.source
    magic = _CELL_MAGIC.match(source)
    if magic is None:
        return f"{_marker('', about)}\n{_python(source)}"
    name, arguments = magic.groups()
    body = source[magic.end() :]
    if name in _OF_PYTHON:
        first = source[: magic.end()].rstrip("\n")
        return f"{_marker('', about)}\n# {first}\n{_python(body)}"
    if name in _LANGUAGES:
        about |= {"language": name, **({"magic_args": arguments} if arguments else {})}
        return f"{_marker('', about)}\n{_commented(body)}"
    return f"{_marker('', about)}\n{_commented(source)}"


def _marker(kind: str, about: dict[str, Any]) -> str:
    if all(name.isidentifier() for name in about):
        options = "".join(f" {name}={json.dumps(value)}" for name, value in about.items())
    else:
        options = f" {json.dumps(about)}"
    return f"# %%{kind}{options}"


def _commented(text: str) -> str:
    return "\n".join(f"# {line}" if line else "#" for line in text.split("\n"))


def _python(source: str) -> str:
    """The code of a cell, with its magics as comments; comments that would be read as magics
    are comments once more.
    """
    lines = source.split("\n")
    if _is_python(source):
        inside = _rows_inside_strings(source)
        return "\n".join(
            line if row in inside or not _looks_like_hidden_magic(line) else _hidden(line)
            for row, line in enumerate(lines)
        )
    made, goes_on = [], False
    for line in lines:
        if goes_on or _MAGIC.match(line) or _COMMAND.match(line) or _looks_like_hidden_magic(line):
            made.append(f"# {line}" if goes_on else _hidden(line))
            goes_on = line.rstrip().endswith("\\")
        else:
            made.append(line)
    inside = _rows_inside_strings("\n".join(made))
    text = "\n".join(lines[row] if row in inside else line for row, line in enumerate(made))
    return text if _is_python(text) else _commented(source)


def _looks_like_hidden_magic(line: str) -> bool:
    comment = _COMMENT.match(line)
    if comment is None:
        return False
    rest = line[comment.end() :]
    return bool(_MAGIC.match(rest) or _COMMAND.match(rest) or _looks_like_hidden_magic(rest))


def _hidden(line: str) -> str:
    text = line.lstrip()
    return f"{line[: len(line) - len(text)]}# {text}"


def _is_python(source: str) -> bool:
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _rows_inside_strings(source: str) -> set[int]:
    """The rows, from 0, that begin within a string."""
    inside: set[int] = set()
    starts: list[int] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            kind = tokenize.tok_name[token.type]
            if kind == "STRING":
                inside.update(range(token.start[0], token.end[0]))
            elif kind == "FSTRING_START":  # since Python 3.12
                starts.append(token.start[0])
            elif kind == "FSTRING_END":
                inside.update(range(starts.pop(), token.end[0]))
    except (tokenize.TokenError, SyntaxError):
        pass  # not Python: what was found until there is all that there is to find
    return inside
