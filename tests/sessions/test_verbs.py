"""What the verbs understand of a command line, in both faces."""

from ipysession.verbs import parse, verb_named


def test_an_option_that_may_be_repeated_adds_up():
    """``--target m --target by`` is as good as ``--target m by``: none is silently left out."""
    export = verb_named("export", kernel=False)
    words = ["--target", "m", "--target", "by", "c", "--step", "1", "--step", "2", "-o", "f.ipynb"]
    for _ in range(2):  # what one call adds is not there in the next one
        args = parse(export, words, "jupyter session export")
        assert (args.target, args.step) == (["m", "by", "c"], [1, 2])
    assert parse(export, [], "jupyter session export").target == []
