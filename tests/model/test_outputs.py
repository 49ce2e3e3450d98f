"""Outputs: from events, as they arrived, to what the notebook showed."""

from __future__ import annotations

import copy
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipysession.errors import BlobDamaged, BlobMissing
from ipysession.model.encoding import BlobRef
from ipysession.model.outputs import fold_outputs, merge_streams


def _stream(text: str, name: str = "stdout") -> dict:
    return {"event": "output", "output": {"output_type": "stream", "name": name, "text": text}}


def _display(text: str, display_id: str | None = None) -> dict:
    data = {"output_type": "display_data", "data": {"text/plain": text}, "metadata": {}}
    event = {"event": "output", "output": data}
    return event if display_id is None else {**event, "display_id": display_id}


def _update(text: str, display_id: str) -> dict:
    return {
        "event": "update",
        "display_id": display_id,
        "data": {"text/plain": text},
        "metadata": {"new": True},
    }


def _clear(*, wait: bool = False) -> dict:
    return {"event": "clear", "wait": wait}


def _shown(*events: dict) -> list[str]:
    """What a single step shows, as texts."""
    return [
        output["text"] if output["output_type"] == "stream" else output["data"]["text/plain"]
        for output in fold_outputs({1: events})[1]
    ]


class TestStreams:
    """Chunks of one stream that follow each other are one output."""

    def test_consecutive_chunks_merge(self):
        """As in nbclient and JupyterLab."""
        assert _shown(_stream("a"), _stream("b"), _stream("e", "stderr"), _stream("c")) == [
            "ab",
            "e",
            "c",
        ]

    def test_other_outputs_stand_between(self):
        """A display ends the run of chunks."""
        assert _shown(_stream("a"), _display("d"), _stream("b")) == ["a", "d", "b"]

    def test_what_only_looks_like_a_chunk_stays_alone(self):
        """No text, or not a single one: nothing is lost, nothing fails."""
        odd = {"event": "output", "output": {"output_type": "stream", "text": ["a", "b"]}}
        assert len(fold_outputs({1: [_stream("a"), odd, _stream("b")]})[1]) == 3


class TestClear:
    """clear_output, at once and when the next output comes."""

    def test_at_once(self):
        """All that was shown goes."""
        assert _shown(_stream("a"), _clear(), _stream("b")) == ["b"]

    def test_with_wait(self):
        """It goes when the next output comes, and stays where none comes."""
        assert _shown(_stream("a"), _clear(wait=True), _display("b"), _display("c")) == ["b", "c"]
        assert _shown(_stream("a"), _clear(wait=True)) == ["a"]

    def test_a_clear_at_once_forgets_the_one_that_waits(self):
        """The next output is not cleared again."""
        assert _shown(_stream("a"), _clear(wait=True), _clear(), _stream("b"), _stream("c")) == [
            "bc"
        ]


class TestDisplays:
    """Updates by display id."""

    def test_an_update_reaches_every_output_with_the_id(self):
        """Also those of earlier steps, as in the notebook."""
        folded = fold_outputs(
            {
                1: [_display("a", "x"), _display("b", "x"), _display("c", "y")],
                2: [_update("new", "x")],
            }
        )
        assert [o["data"]["text/plain"] for o in folded[1]] == ["new", "new", "c"]
        assert folded[1][0]["metadata"] == {"new": True}
        assert folded[2] == []

    def test_an_update_of_nothing_shown_does_nothing(self):
        """A cleared display, or one that never was."""
        assert _shown(_update("new", "x")) == []
        assert _shown(_display("a", "x"), _clear(), _update("new", "x")) == []

    def test_events_of_a_newer_version_are_passed_over(self):
        """What is known is shown."""
        assert _shown({"event": "sparkle"}, _stream("a"), {}) == ["a"]


class TestBlobs:
    """Parts that lie in blobs."""

    REF = BlobRef("ab" * 32, 300_000, "text")

    def _resolved(self, resolve=None) -> list[dict]:
        events = [
            {
                "event": "output",
                "output": {"output_type": "stream", "name": "stdout", "text": self.REF},
            },
            {"event": "output", "output": self.REF, "display_id": "x"},
            {"event": "output", "output": {"output_type": "x", "data": [{"deep": [self.REF]}]}},
            {"event": "update", "display_id": "x", "data": self.REF, "metadata": {}},
        ]
        return fold_outputs({1: events}, resolve)[1]

    def test_are_fetched(self):
        """Wherever they stand, at any depth."""
        one, two, three = self._resolved(lambda _: "content")
        assert one["text"] == "content"
        assert two["data"] == {"text/plain": "content"}
        assert three["data"] == [{"deep": ["content"]}]

    def test_a_whole_output_may_lie_in_one(self):
        """Then its content is the output."""
        output = {"output_type": "display_data", "data": {}, "metadata": {}}
        events = [{"event": "output", "output": self.REF}]
        assert fold_outputs({1: events}, lambda _: output)[1] == [output]

    def test_without_a_way_to_fetch_them_a_text_says_so(self):
        """A text with the size stands in their place."""
        one, two, _ = self._resolved()
        assert one["text"] == two["data"]["text/plain"] == f"[300000 bytes in blob {self.REF.hash}]"

    @pytest.mark.parametrize("error", [BlobMissing, BlobDamaged])
    def test_missing_ones_leave_a_text_and_all_else(self, error):
        """One lost picture does not hide the other outputs."""

        def resolve(_: BlobRef) -> str:
            raise error("gone")

        one, two, three = self._resolved(resolve)
        assert one["text"] == two["data"]["text/plain"] == three["data"][0]["deep"][0] == "[gone]"


def test_the_events_themselves_are_never_changed():
    """Folding twice gives the same: the session is immutable."""
    deep: list = []
    for _ in range(5000):
        deep = [deep]
    events = [_stream("a"), _stream("b"), _display("c", "x"), _update("d", "x")]
    before = copy.deepcopy(events)
    first = fold_outputs({1: [*events, {"event": "output", "output": {"data": deep}}]})
    first[1][0]["text"] += "changed"
    first[1][1]["data"]["text/plain"] = "changed"
    assert events == before


_event = st.one_of(
    st.builds(_stream, st.text(max_size=3), st.sampled_from(["stdout", "stderr"])),
    st.builds(_display, st.text(max_size=3), st.sampled_from([None, "x", "y"])),
    st.builds(_update, st.text(max_size=3), st.sampled_from(["x", "y"])),
    st.booleans().map(lambda wait: _clear(wait=wait)),
)


@given(st.lists(_event, max_size=30))
def test_merging_chunks_before_they_are_written_changes_nothing(events):
    """A batch with fewer events folds into the same outputs, and its input stays whole."""
    before = copy.deepcopy(events)
    merged = merge_streams(events)
    assert events == before
    assert fold_outputs({1: merged}) == fold_outputs({1: events})
    names = [(e.get("output") or {}).get("name") for e in merged]
    assert all(a is None or a != b for a, b in pairwise(names))


def test_merging_many_chunks_takes_linear_time():
    """A cell that prints a million times, one character each."""
    (merged,) = merge_streams([_stream("x")] * 100_000)
    assert merged["output"]["text"] == "x" * 100_000
