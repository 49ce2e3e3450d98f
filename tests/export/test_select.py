"""Which steps an export keeps: what the targets rest on, and nothing else."""

from __future__ import annotations

import json
import os
import time

import pytest

from ipysession.errors import InvalidRequest
from ipysession.export import ExportOptions, build_notebook, export_session, select_steps
from ipysession.export.select import widened
from ipysession.model import Outcome


def selection(recording, *, removed=(), **options):
    """What an export of the recording selects."""
    return select_steps(recording.read().session, ExportOptions(**options), removed)


def kept(recording, **options):
    """The numbers of the steps that an export keeps."""
    return [step.number for step in selection(recording, **options).kept]


def reasons(recording, **options):
    """Why each of the others is dropped."""
    return {item.step: item.reason for item in selection(recording, **options).dropped}


def shows(text="shown"):
    """Outputs of a step that shows something."""
    return [{"output_type": "stream", "name": "stdout", "text": text}]


# -- the default: final values and visible results ----------------------------------------


def test_a_superseded_version_goes(recording):
    """And the reason names the step that took its place."""
    recording.step("x = 1", ["x"], cell_id="a", outputs=shows())
    recording.step("x = 2", ["x"], cell_id="a", outputs=shows())
    assert kept(recording) == [2]
    said = "step 2 ran the same cell again, and nothing that stays needs what it did"
    assert reasons(recording) == {1: said}


def test_a_rerun_whose_earlier_effect_survives_keeps_both(recording):
    """Two appends are two appends."""
    recording.step("x = []", ["x"], cell_id="a")
    for _ in range(2):
        recording.step("x.append(1)", [], ["x"], changed=["x"], cell_id="b")
    assert kept(recording) == [1, 2, 3]


def test_an_old_version_on_which_something_rests_stays(recording):
    """The value came from the cell as it was."""
    recording.step("x = 1", ["x"], cell_id="a")
    recording.step("y = x", ["y"], ["x"], cell_id="b")
    recording.step("x = 2", ["x"], cell_id="a")
    assert kept(recording) == [1, 2, 3]


def test_a_failure_that_changed_something_stays_and_may_raise(recording):
    """Another one that left nothing goes."""
    recording.step("x = [1]", ["x"], cell_id="a")
    recording.step(
        "x.append(2); 1 / 0", [], ["x"], changed=["x"], cell_id="b",
        error=("ZeroDivisionError", "division by zero"),
    )  # fmt: skip
    recording.step("prnt(x)", [], ["x"], cell_id="c", error=("NameError", "prnt"))
    recording.step("z = x", ["z"], ["x"], cell_id="d", outcome=Outcome.INTERRUPTED)
    assert kept(recording) == [1, 2, 4]
    assert reasons(recording) == {
        3: "it ended with an error, and nothing that stays needs what it did"
    }
    cells = build_notebook(recording.read(), ExportOptions()).cells
    assert [cell.metadata.get("tags") for cell in cells] == [
        None,
        ["raises-exception"],
        ["raises-exception"],
    ]


def test_what_died_with_its_kernel_goes(recording):
    """A resume brought back the values from before it."""
    recording.step("rng = make()", ["rng"], cell_id="a")
    recording.step("rng.draw()", [], ["rng"], cell_id="b", outcome=Outcome.DIED)
    recording.step("y = rng.draw()", ["y"], ["rng"], changed=["rng"], cell_id="b")
    assert kept(recording) == [1, 3]
    said = "the kernel died in it, step 3 ran the same cell again, and nothing"
    assert reasons(recording)[2].startswith(said)


def test_what_shows_nothing_and_left_nothing_goes(recording):
    """A value that was overwritten or deleted is not a final one."""
    recording.step("t = 1", ["t"], cell_id="a")
    recording.step("t", [], ["t"], outputs=shows(), cell_id="b")
    recording.step("u = 1", ["u"], cell_id="c")
    recording.step("del u", deleted=["u"], cell_id="d")
    recording.step("t = 2", ["t"], cell_id="e")
    assert kept(recording) == [1, 2, 5]
    assert selection(recording).names == ("t",)


def test_in_a_terminal_equal_text_is_the_same_cell(recording):
    """There are no cells there: what was shown is visible, the same text only once."""
    for source in ("x", "x", "x + 1"):
        recording.step(source, outputs=shows())
    assert kept(recording) == [2, 3]


def test_files_as_they_were_left_are_results(recording):
    """Who wrote the last version stays, whatever the notebook shows of it."""
    recording.step("x = 1", ["x"], cell_id="a")
    for source in ("one", "two"):
        written = {"files": [{"path": "out", "action": "written"}]}
        recording.step(source, [], ["x"], effects=written, cell_id=source)
    recording.step("x = 2", ["x"], cell_id="a")
    assert kept(recording) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "effects",
    [
        {"processes": [{"command": "make"}]},
        {"connections": [{"kind": "socket", "address": "example.org:443"}]},
    ],
)
def test_what_a_cell_did_to_the_world_stays(recording, effects):
    """Though it shows nothing and binds nothing."""
    recording.step("x = 1", ["x"], cell_id="a")
    recording.step("f(x)", [], ["x"], effects=effects, cell_id="b")
    recording.step("x = 2", ["x"], cell_id="a")
    assert kept(recording) == [1, 2, 3]


def test_an_update_of_what_is_shown_stays(recording):
    """A progress bar of one cell that another moved on; of one that went, it goes too."""
    made = {
        "event": "output",
        "display_id": "bar",
        "output": {"output_type": "display_data", "data": {"text/plain": "0"}, "metadata": {}},
    }
    moved = {"event": "update", "display_id": "bar", "data": {"text/plain": "1"}, "metadata": {}}
    recording.step("bar = show()", outputs=[made], cell_id="a")
    recording.step("k = 1", ["k"], cell_id="b")
    recording.step("bar.update(k)", [], ["k"], outputs=[moved], cell_id="c")
    recording.step("bar.update(9)", outputs=shows(), cell_id="c")
    recording.step("k = 2", ["k"], cell_id="b")
    assert kept(recording) == [1, 2, 3, 4, 5]


def test_cells_that_the_notebook_no_longer_has_show_nothing(recording):
    """What they made may still be a final value."""
    recording.step("x = 1", ["x"], cell_id="a", outputs=shows())
    recording.step("print('trial')", cell_id="b", outputs=shows())
    recording.step("print('kept')", cell_id="c", outputs=shows())
    assert kept(recording, removed={"a", "b"}) == [1, 3]
    said = "the notebook no longer has its cell, and nothing that stays needs what it did"
    assert reasons(recording, removed={"a", "b"}) == {2: said}


@pytest.mark.parametrize(("saved", "expected"), [(+60, [1]), (-60, [1, 2])])
def test_only_a_file_saved_later_tells_which_cells_are_gone(recording, tmp_path, saved, expected):
    """A cell that ran after the last save is not in the file, and not removed."""
    recording.step("print(1)", cell_id="a", outputs=shows())
    recording.step("print(2)", cell_id="b", outputs=shows())
    cell = {"cell_type": "code", "id": "a", "source": "print(1)", "metadata": {}, "outputs": []}
    document = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {},
        "cells": [{**cell, "execution_count": None}],
    }
    path = tmp_path / "now.ipynb"
    path.write_text(json.dumps(document))
    os.utime(path, (time.time() + saved,) * 2)
    assert list(export_session(recording.read(), tmp_path / "x", notebook=path).kept) == expected


def test_of_logs_that_tell_less_the_safe_side_is_taken(recording):
    """What a step could reach, it may have changed."""
    recording.step("x = []", ["x"], cell_id="a", exact=False)
    recording.step("f(x)", [], ["x"], cell_id="b", exact=False)
    recording.step("f(x)", [], ["x"], cell_id="b", exact=False)
    recording.step("set_option('wide', 1)", cell_id="c", exact=False)
    assert kept(recording) == [1, 2, 3, 4]


# -- branches, replays, background, own lines ------------------------------------------------


def test_only_the_branch_that_the_session_stands_on_is_exported(recording):
    """What was undone is not part of the notebook; a step of it can be asked for."""
    recording.step("x = 1", ["x"], cell_id="a")
    recording.step("y = x + 1", ["y"], ["x"], cell_id="b", parent=1)
    recording.step("z = x", ["z"], ["x"], cell_id="c", parent=1)
    for options in ({}, {"all": True}):
        assert kept(recording, **options) == [1, 3]
        assert reasons(recording, **options) == {2: "it is on another branch of the session"}
    assert kept(recording, steps=(2,)) == [1, 2]
    with pytest.raises(InvalidRequest, match="steps 2, 3 stand on different branches"):
        kept(recording, steps=(2, 3))


@pytest.mark.parametrize("options", [{}, {"all": True}])
def test_replays_are_never_exported(recording, options):
    """A resume ran them only to bring values back; the steps themselves are there."""
    recording.step("x = 1", ["x"])
    recording.new_run()
    recording.step("x = 1", ["x"], replay_of=1)
    recording.step("y = x", ["y"], ["x"])
    assert kept(recording, **options) == [1, 3]
    assert reasons(recording, **options) == {2: "it repeats step 1 to bring values back"}


def test_background_executions_stay_only_if_something_rests_on_them(recording):
    """A debugger's or a widget's questions are not the user's work."""
    recording.step("__inspect__()", store_history=False, outputs=shows())
    recording.step("helper = 1", ["helper"], store_history=False)
    assert kept(recording) == [2]
    assert "a program ran it in the background" in reasons(recording)[1]
    assert kept(recording, all=True) == [1, 2]


def test_cells_of_our_own_lines_go(recording):
    """``%load_ext ipysession`` has no place in a notebook that others run."""
    recording.step(
        "%load_ext ipysession", transformed="get_ipython().run_line_magic('load_ext', 'ipysession')"
    )
    recording.step("x = 1", ["x"])
    assert kept(recording) == [2]
    assert kept(recording, all=True) == [2]


# -- options ---------------------------------------------------------------------------


@pytest.fixture
def longer(recording):
    """A superseded step, a change in place, something unrelated."""
    recording.step("x = 0", ["x"], cell_id="a")
    recording.step("x = []", ["x"], cell_id="a")
    recording.step("x.append(1)", [], ["x"], changed=["x"], cell_id="b")
    recording.step("print(x)", [], ["x"], cell_id="c", outputs=shows())
    recording.step("y = 1", ["y"], cell_id="d")
    return recording


def test_all_is_the_full_diary(longer):
    """Superseded versions and failures too."""
    longer.step("1 / 0", error=("ZeroDivisionError", "division by zero"))
    assert kept(longer, all=True) == [1, 2, 3, 4, 5, 6]
    assert reasons(longer, all=True) == {}


def test_targets_keep_what_their_last_values_rest_on(longer):
    """And nothing else."""
    assert kept(longer, targets=("x",)) == [2, 3]
    assert kept(longer, targets=("x", "y")) == [2, 3, 5]
    assert reasons(longer, targets=("x",))[5] == "x can do without it"
    assert selection(longer, targets=("x",)).names == ("x",)


def test_steps_keep_what_they_rest_on(longer):
    """A step alone would not run."""
    assert kept(longer, steps=(4,)) == [2, 3, 4]
    assert kept(longer, steps=(5, 1)) == [1, 5]
    assert reasons(longer, steps=(5,))[4] == "step 5 can do without it"


def test_an_unknown_step_is_named(recording):
    """So that a typing mistake shows."""
    recording.step("x = 1", ["x"])
    with pytest.raises(InvalidRequest, match="no step 7; its steps are 1 to 1"):
        kept(recording, steps=(7,))
    recording.step("x = 1", ["x"], replay_of=1)
    with pytest.raises(InvalidRequest, match="only repeats step 1"):
        kept(recording, steps=(2,))


def test_an_unknown_target_is_answered_with_the_known_names(longer):
    """So that the user can choose one."""
    with pytest.raises(InvalidRequest, match=r"no name 'z'.*x, y"):
        kept(longer, targets=("z",))


@pytest.mark.parametrize(
    "options",
    [
        {"all": True, "steps": (1,)},
        {"all": True, "targets": ("x",)},
        {"steps": (1,), "targets": ("x",)},
    ],
)
def test_contradictory_options_are_refused(options):
    """All of it and only some of it cannot both be meant."""
    with pytest.raises(InvalidRequest, match="give one"):
        ExportOptions(**options)


# -- widening ----------------------------------------------------------------------------


def test_widening_takes_the_likely_first_and_then_everything(longer):
    """Writers of what a kept step touches, and what reached outside; then the full journal."""
    longer.step("make()", effects={"connections": [{"kind": "socket", "address": "h:1"}]})
    longer.step("boom", cell_id="z", outcome=None)
    longer.close()
    session = longer.read().session
    first = select_steps(session, ExportOptions(targets=("x",)))
    wider = widened(session, first)
    assert [[step.number for step in item.kept] for item in wider] == [
        [1, 2, 3, 6],
        [1, 2, 3, 4, 5, 6],
    ]
    assert [item.step for item in wider[-1].dropped] == [7]
    assert all(item.names == ("x",) for item in wider)


def test_what_is_all_there_is_cannot_be_widened(longer):
    """Then the verdict stands."""
    session = longer.read().session
    everything = select_steps(session, ExportOptions(all=True))
    assert widened(session, everything) == ()
