"""What counts as the same output, and what does not."""

from __future__ import annotations

import pytest

from ipysession.export.compare import difference, readable, tolerant


def stream(text, name="stdout"):
    """An output event's output: text that was printed."""
    return {"output_type": "stream", "name": name, "text": text}


def result(data):
    """The value of a cell, by mime type."""
    return {"output_type": "execute_result", "data": data, "metadata": {}, "execution_count": 1}


def same(recorded, rerun):
    """Do the two lists of outputs count as the same?"""
    return difference(readable(recorded), readable(rerun)) is None


@pytest.mark.parametrize(
    ("recorded", "rerun"),
    [
        ("<object at 0x7f00dead>", "<object at 0x1234>"),
        ("Wall time: 3.21 ms", "Wall time: 12 µs"),
        ("12.3 ns ± 0.5 ns per loop", "9 ns ± 1.5 ns per loop"),
        ("/tmp/ipykernel_1/2.py:1: UserWarning: x", "/tmp/ipykernel_33/4.py:1: UserWarning: x"),
        ("1/9\r9/9 [00:01<00:00, 9.8it/s]", "9/9 [00:03<00:00, 3.2it/s]"),
        ("id 123e4567-e89b-12d3-a456-426614174000", "id 00000000-e89b-12d3-a456-426614174000"),
        ("\x1b[31mred\x1b[0m", "red"),
    ],
)  # fmt: skip
def test_what_no_two_runs_share_does_not_count(recorded, rerun):
    """Addresses, durations, temporary files, random ids, colours."""
    assert tolerant(recorded) == tolerant(rerun)
    assert same([stream(recorded)], [stream(rerun)])


@pytest.mark.parametrize(
    ("recorded", "rerun"), [("1.0000000001", "1.0"), ("a", "b"), ("3 rows", "4 rows"), ("x ", "y")]
)
def test_numbers_and_words_count_as_they_are(recorded, rerun):
    """A result that differs in the last digit differs."""
    assert not same([result({"text/plain": recorded})], [result({"text/plain": rerun})])
    assert not same([stream(recorded)], [stream(rerun)])


def test_how_a_stream_came_in_pieces_does_not_count():
    """Nor which of two streams came first, nor where a display stood between them."""
    shown = result({"text/plain": "3"})
    recorded = [stream("a"), stream("!", "stderr"), stream("b\n"), shown]
    assert same(recorded, [stream("!", "stderr"), shown, stream("ab\n")])
    assert not same(recorded, [stream("ab\n"), shown])


def test_a_picture_counts_by_its_type():
    """Two renderings of one figure are rarely equal, byte by byte."""
    figure = {"image/png": "aaaa", "text/plain": "<Figure size 640x480 with 1 Axes>"}
    assert same([result(figure)], [result({**figure, "image/png": "bbbb"})])
    assert not same([result(figure)], [result({"text/plain": figure["text/plain"]})])


def test_an_error_counts_by_its_name_and_message():
    """Its traceback names lines of files that differ."""

    def error(evalue, traceback):
        return {
            "output_type": "error",
            "ename": "ValueError",
            "evalue": evalue,
            "traceback": traceback,
        }

    assert same([error("no", ["here"])], [error("no", ["there"])])
    assert not same([error("no", [])], [error("yes", [])])


def test_the_folders_of_the_two_runs_do_not_count():
    """A file was read here, and its copy there."""
    then = readable([stream("read /home/me/study/a.csv")], ["/home/me/study"])
    now = readable([stream("read /tmp/scratch/run/a.csv")], ["/tmp/scratch/run"])
    assert difference(then, now) is None


def test_a_diff_is_short():
    """It goes into a notebook's metadata and onto a terminal."""
    diff = difference([str(i) * 500 for i in range(100)], ["x"])
    assert diff is not None
    assert len(diff.splitlines()) == 21
    assert max(map(len, diff.splitlines())) < 250
    assert diff.splitlines()[-1].startswith("… ")
