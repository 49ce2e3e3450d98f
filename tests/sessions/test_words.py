"""How verbs are typed: what stands alone, and what takes a value."""

from __future__ import annotations

import pytest

from ipysession.verbs import UsageError, parse, verb_named


def typed(name, *words):
    """The arguments of a verb as they are typed."""
    return parse(verb_named(name, kernel=True), list(words), "%session")


def test_verify_takes_no_word_that_was_not_meant_for_it():
    """``--verify clean.ipynb``: the file is the file, and all that reaches outside is asked for."""
    arguments = typed("export", "--verify", "clean.ipynb")
    assert (arguments.verify, arguments.session) == ("safe", "clean.ipynb")
    assert typed("export", "--verify=all").verify == "all"
    assert typed("export", "clean.ipynb").verify is None
    with pytest.raises(UsageError, match="invalid choice: 'everything'"):
        typed("export", "--verify=everything")


def test_two_words_are_compared_and_one_is_not():
    """Sessions or steps; the session of steps has its own option."""
    arguments = typed("diff", "3", "5", "--session", "latest")
    assert (arguments.one, arguments.other, arguments.of) == ("3", "5", "latest")
    with pytest.raises(UsageError, match="required: B"):
        typed("diff", "3")
