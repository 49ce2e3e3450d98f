"""What an exported cell still says, and what its id is."""

from __future__ import annotations

import io
import tokenize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipysession.export.sources import CellIds, clean_source


@pytest.mark.parametrize(
    ("source", "left"),
    [
        ("%load_ext ipysession", ""),
        ("%load_ext ipysession   # record from here on", ""),
        ("%load_ext 'ipysession'", ""),
        ("%reload_ext ipysession\nx = 1", "x = 1"),
        ("x = 1\n%unload_ext ipysession\n", "x = 1"),
        ("%session", ""),
        ("%session?", ""),
        ("%session note why \\\n  and why not\nx = 1", "x = 1"),
        ("a = 1\n\n%session tag good\n\nb = 2", "a = 1\n\n\nb = 2"),
        ("  %session list\n  x = 1", "  x = 1"),
        ("%session list\r\nx = 1\r\n", "x = 1"),
    ],
)
def test_own_lines_are_removed(source, left):
    """``%session …`` and the loading of the extension are about recording, not about the work."""
    cleaned = clean_source(source)
    assert cleaned.text == left
    assert cleaned.removed


@pytest.mark.parametrize(
    "source",
    [
        "x = 1",
        "%load_ext autoreload",
        "%load_ext ipysession_other",
        "%sessions",
        "text = '''\n%session list\n'''",
        'text = f"""a\n%session\n"""',
        "x = [\n%session\n]",
        "x = 1 + \\\n%session",
        "%%bash\n%session list",
        "%%timeit x = 1\n%load_ext ipysession",
        "if True:\n    %session list",
        "!echo \\\n%session",
        "# it's\nx = '%session'",
    ],
)
def test_nothing_else_is_removed(source):
    """Strings, statements that go on, blocks and cell magics' bodies keep every line."""
    assert clean_source(source).text == source
    assert not clean_source(source).removed


def test_a_line_typed_without_percent_is_recognised():
    """IPython runs ``session list`` as a magic where no variable has that name."""
    assert clean_source("session list", "get_ipython().run_line_magic('session', 'list')").empty
    assert not clean_source("session.list()", "session.list()").empty


@given(
    st.lists(
        st.sampled_from(
            ["x = 1", "'''", '"""', "'", '"', "(", ")", "]", "{", "#", "\\", "'a'", "\t", "f'{x}'"]
        ),
        max_size=8,
    ).map("".join),
    st.lists(st.sampled_from(["y = 2", "'''", '"""', "(", ")", "'", " + 3 \\", "#'"]), max_size=6),
)
def test_what_python_reads_as_one_statement_stays_whole(first, others):
    """A line inside a string or bracket, as Python's tokenizer sees it, is never removed."""
    source = "\n".join([first, *others, "%session list"])
    inside = False
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            last = len(others) + 2
            inside = inside or (token.start[0] < last <= token.end[0] and token.type != 0)
    except (tokenize.TokenError, SyntaxError):
        return  # Python cannot read it either
    if inside and "%session list" in source.splitlines():
        assert clean_source(source).text == source


@given(st.text())
def test_text_without_own_lines_comes_back_as_it_is(source):
    """Whatever the cell holds, nothing of it is lost but our own lines."""
    cleaned = clean_source(source)
    if not cleaned.removed:
        assert cleaned.text == source


def test_ids_are_recorded_ones_where_valid_and_unique():
    """A cell keeps its id; one that a notebook cannot hold, or has twice, gets another."""
    ids = CellIds()
    assert ids.take("abc-1", "step-1") == "abc-1"
    assert ids.take("abc-1", "step-2") == "step-2"
    assert ids.take("vscode#ch0000", "step-3") == "step-3"
    assert ids.take("x" * 65, "step-3") == "step-3-2"
    assert ids.take(None, "step-2") == "step-2-2"
    assert CellIds(frozenset({"step-1"})).take(None, "step-1") == "step-1-2"
    assert CellIds(frozenset({"abc"})).take("abc", "text") == "text"
