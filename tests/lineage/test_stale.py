"""Which steps are stale, and which input files changed."""

import os

import pytest
from blake3 import blake3
from lineage.scripts import Script, lineage

from ipysession.lineage.stale import changed_inputs, stale_steps
from ipysession.model.provenance import FileUse


def stale(script, changed=None):
    """The stale steps with their reasons."""
    return stale_steps(script.graph(), changed)


def test_nothing_is_stale_where_nothing_ran_again():
    """However much rests on one another."""
    script = Script().step(["x"]).step(["y"], ["x"]).changes("y").step([], ["y"])
    assert stale(script) == {}


def test_a_step_is_stale_where_the_cell_that_made_its_input_ran_again_after_it():
    """And whoever rests on it; not who ran after it."""
    script = (
        Script()
        .step(["x"], cell="a").step(["y"], ["x"], cell="b").step([], ["y"], cell="c")
        .step(["x"], cell="a").step([], ["x"], cell="d")
    )  # fmt: skip
    assert stale(script) == {
        2: ("step 1 made x, and ran again as step 4",),
        3: ("it rests on step 2, which is stale",),
    }


def test_of_a_cell_only_its_newest_run_counts():
    """Run again after its input, it is stale no more; its old run is history."""
    script = (
        Script()
        .step(["x"], cell="a").step(["y"], ["x"], cell="b")
        .step(["x"], cell="a").step(["y"], ["x"], cell="b")
    )  # fmt: skip
    assert stale(script) == {}


def test_without_ids_a_cell_is_its_text():
    """As in a console."""
    script = (
        Script()
        .step(["x"], source="x = f()").step(["y"], ["x"], source="y = x")
        .step(["x"], source="x = f()")
    )  # fmt: skip
    assert list(stale(script)) == [2]


def test_another_cell_that_makes_the_name_anew_makes_nothing_stale():
    """What it rested on did not change: the name has another meaning now."""
    script = Script().step(["x"], cell="a").step(["y"], ["x"], cell="b").step(["x"], cell="c")
    assert stale(script) == {}


def test_parts_are_told_apart():
    """A column that was made again is nothing to who read another one."""
    script = Script().step(["d"], cell="d")
    script.step(cell="a", lineage=lineage([], (), ["d['a']"]))
    script.step(cell="b", lineage=lineage([], (), ["d['b']"]))
    script.step(cell="ra", lineage=lineage(["d['a']"]))
    script.step(cell="rb", lineage=lineage(["d['b']"]))
    script.step(cell="a", lineage=lineage([], (), ["d['a']"]))
    assert list(stale(script)) == [4]


def test_a_changed_file_is_a_reason_of_its_own():
    """Beside the others."""
    script = Script().step(["x"]).step(["y"], ["x"])
    assert stale(script, {1: ["in.csv"], 2: ["other.csv"]}) == {
        1: ("in.csv changed since",),
        2: ("other.csv changed since", "it rests on step 1, which is stale"),
    }


@pytest.fixture
def file(tmp_path):
    """An input file, and how a step that read it described it."""
    path = tmp_path / "in.csv"
    path.write_bytes(b"1,2\n")
    known = path.stat()
    use = FileUse(
        path=str(path),
        size=known.st_size,
        mtime=known.st_mtime,
        digest=blake3(b"1,2\n").hexdigest(),
    )
    return path, use


def changed(*uses, script=None):
    """The files that changed, by step."""
    script = script or Script()
    for use in uses:
        script.step(files=[use])
    return changed_inputs(script.session().steps)


def test_a_file_that_is_as_it_was_has_not_changed(file):
    """Nor has one that was only touched: its content counts."""
    path, use = file
    assert changed(use) == {}
    os.utime(path, (1, 1))
    assert changed(use) == {}


def test_a_file_of_the_same_size_with_another_content_has(file):
    """The digest tells, where the time differs."""
    path, use = file
    path.write_bytes(b"3,4\n")
    os.utime(path, (1, 1))
    assert changed(use, use) == {1: (use.path,), 2: (use.path,)}


def test_a_file_that_is_gone_or_longer_has(file):
    """No digest is needed for that."""
    path, use = file
    path.write_bytes(b"1,2\n3,4\n")
    assert changed(use) == {1: (use.path,)}
    path.unlink()
    assert changed(use) == {1: (use.path,)}


def test_without_a_digest_the_time_must_do(file):
    """It was too large for one: then touched is changed, rather than not."""
    path, use = file
    use = use.model_copy(update={"digest": None})
    assert changed(use) == {}
    os.utime(path, (1, 1))
    assert changed(use) == {1: (use.path,)}


def test_what_a_later_step_wrote_is_as_it_should_be(file):
    """But who reads it after that is told when it changes again."""
    path, use = file
    path.write_bytes(b"written by a step")
    written = use.model_copy(update={"action": "written"})
    assert changed(use, written) == {}
    assert changed(written, use) == {2: (use.path,)}
    by_process = Script().step(files=[use]).step(lineage=lineage((), [f"file:{path}"]))
    assert changed(script=by_process) == {}


def test_a_path_that_is_none_has_changed():
    """Nothing crashes."""
    assert changed(FileUse(path="a\0b", size=1)) == {1: ("a\0b",)}
