"""What a resume loads at once, and what waits although it is small."""

import sys

import pytest

from ipysession.checkpoint.restore import _is_small
from ipysession.checkpoint.saver import Checkpointer
from ipysession.log import Blobs


def saved(folder, **values):
    """The saved group of these variables."""
    return Checkpointer(Blobs(folder)).pack(values, {}, lambda: None).group


@pytest.mark.parametrize("where", ["itself", "in a list", "an object", "its module", "in a dict"])
def test_what_would_import_a_library_waits(tmp_path, monkeypatch, where):
    """``from sklearn.svm import SVC`` is a few bytes, and takes seconds to come back."""
    import wave

    value = {
        "itself": wave.Wave_read,
        "in a list": [1, wave.Wave_read],
        "an object": wave.Error("x"),
        "its module": wave,
        "in a dict": {"k": [(wave.Error("x"), wave.Error("y"))]},
    }[where]
    group = saved(tmp_path, value=value, Wave_read=wave.Wave_read)
    assert _is_small(group) is (where != "its module"), "it is imported already"
    monkeypatch.delitem(sys.modules, "wave")
    assert not _is_small(group)


def test_small_values_come_at_once(tmp_path):
    """Also texts that look like names."""
    assert _is_small(saved(tmp_path, n=1, s="sklearn", names=["sklearn.svm", "SVC"]))
    assert _is_small(saved(tmp_path, f=lambda: 1, k=len, t=dict, p=ValueError("x")))
    assert not _is_small(saved(tmp_path, b="x" * 10**6))
