"""Scripts in percent format: always Python, and the same cells again for jupytext."""

from __future__ import annotations

import ast

import jupytext
import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipysession.export.script import percent_script

CELLS = [
    "x = 1\n\n\ndef f():\n    return 2",
    "%time y = x\ny",
    "!ls",
    "files = !ls\n%matplotlib inline",
    "plt.plot?",
    "?plt",
    "%cd a \\\n  b",
    "for i in x:\n    %time f(i)\n    g(i)",
    "%%time\nx = 1\n%cd a",
    "%%bash\nls -l\necho 'x'",
    "%%script sh --out x\nls\n\nls",
    "# %time x\n# !ls\n# cat x\n# plt?\nx = 1",
    "def f():\n    # # %time x\n    return 1",
    's = """\n%time x\n# !ls\n"""',
    's = """\n%time x\n"""\n%time s',
    's = f"""\n%time {x}\n"""\n%time s',
    "rows = [line for line in open(f) if line != '?']",
    "await x",
    "",
]


def script(*cells):
    """The script of these cells, without its head, and what jupytext reads from it."""
    text = percent_script(nbformat.v4.new_notebook(cells=list(cells)))
    ast.parse(text)
    return text.partition("# ---\n\n")[2], jupytext.reads(text, fmt="py:percent").cells


@pytest.mark.parametrize("source", CELLS)
def test_a_cell_is_python_and_the_same_cell_again(source):
    """Whatever stands before it and after it."""
    cells = [nbformat.v4.new_code_cell(text) for text in ("before = 1", source, "after = 2")]
    _, again = script(*cells)
    assert [cell.source for cell in again] == ["before = 1", source, "after = 2"]


@pytest.mark.parametrize(
    "source", ["x = = 1", "%%sql\nselect 1", "x[0] = !ls", "%%writefile a\nb c"]
)
def test_what_is_no_python_is_a_comment(source):
    """The script can still be run."""
    text, _ = script(nbformat.v4.new_code_cell(source))
    assert source in text.replace("# ", "")


@given(st.lists(st.sampled_from([cell for cell in CELLS if "%%" not in cell]), max_size=5))
def test_lines_of_several_cells_in_one_are_python(sources):
    """Magics and strings may stand in any order."""
    script(nbformat.v4.new_code_cell("\n".join(sources)))


def test_text_and_metadata_come_back():
    """Tags say which cells raise; names that are no identifiers are written as JSON."""
    text = nbformat.v4.new_markdown_cell("# Title\n\ntext")
    raises = nbformat.v4.new_code_cell("1 / 0", metadata={"tags": ["raises-exception"]})
    odd = nbformat.v4.new_code_cell("2", metadata={"a-b": {"c": 1}})
    raw = nbformat.v4.new_raw_cell("raw")
    written, again = script(text, raises, odd, raw)
    assert '# %% tags=["raises-exception"]\n1 / 0' in written
    assert [(c.cell_type, c.source, c.metadata) for c in again] == [
        (c.cell_type, c.source, c.metadata) for c in (text, raises, odd, raw)
    ]
