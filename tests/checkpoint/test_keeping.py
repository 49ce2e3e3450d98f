"""What no session needs is removed, in two phases; what one needs never is."""

import os
import time

import numpy as np
import pytest

from ipysession.checkpoint.course import Course
from ipysession.checkpoint.keeping import steps_to_drop
from ipysession.checkpoint.load import load_group
from ipysession.checkpoint.packed import Limits
from ipysession.checkpoint.saver import Checkpointer
from ipysession.errors import BlobMissing, InvalidRequest
from ipysession.model import payloads as p
from ipysession.model.provenance import Environment
from ipysession.sessions import Sessions
from ipysession.store import Store


class Life:
    """A session with steps, each of which leaves one array that fills some blobs."""

    def __init__(self, store):
        self.store = store
        self.writer = store.create()
        self.writer.append(p.RunStarted(number=1, environment=Environment(python="3.11")))
        self.id = self.writer.id
        self.space = {}
        self.saver = Checkpointer(self.writer.blobs, Limits(seconds=5))
        self.number = 0

    def step(self, parent=None, **values):
        """A step that binds these values, and saves them."""
        self.number += 1
        self.space |= values
        self.writer.append(p.StepStarted(step=self.number, parent=parent, source="…"))
        self.writer.append(
            p.StepFinished(
                step=self.number, outcome="ok", duration=0.1, bound=sorted(values), reads=[]
            )
        )
        groups = [
            self.saver.pack({name: values[name]}, self.space, lambda: None) for name in values
        ]
        self.writer.append(
            p.CheckpointSaved(step=self.number, groups=[packed.group for packed in groups]),
            blobs=[name for packed in groups for name in packed.blobs],
        )
        return self.number

    def value(self, name, step):
        """What the log holds of a name after a step."""
        reading = self.store.folder(self.id).read()
        status = Course(reading.session, head=step).latest[name]
        if status.group is None:
            raise BlobMissing(status.reason)
        return load_group(status.group, reading.blobs, {})[name]


@pytest.fixture
def life(tmp_path):
    """A session of five steps: ``a`` is made anew in each, ``b`` in the first only."""
    life = Life(Store(tmp_path / "store", key=bytes(32)))
    life.step(a=noise(0), b=noise(100))
    for number in range(1, 5):
        life.step(a=noise(number))
    yield life
    life.writer.close()


def noise(seed):
    """300 KB that nothing else holds."""
    return np.random.default_rng(seed).random(40_000)


def stored(life):
    """The bytes of the session's blobs."""
    return sum(f.stat().st_size for f in life.writer.blobs.folder.rglob("??/*"))


def test_a_blob_that_nothing_names_is_noted_first_and_removed_later(life):
    """It may be about to be named; what is named stays."""
    life.writer.close()
    sessions = Sessions(life.store)
    before = stored(life)
    orphan, _ = life.writer.blobs.put_packed(noise(7).tobytes())
    [first] = sessions.collect().data
    assert (first["removed_bytes"], first["unneeded_bytes"]) == (0, 320_000)
    later = time.time() - 7200
    [path] = life.writer.blobs.folder.rglob(orphan + "*")
    os.utime(path, (later, later))
    [second] = sessions.collect().data
    assert second["removed_bytes"] == 0, "it was noted a moment ago"
    noted = life.writer.blobs.folder / "doomed.json"
    noted.write_text(f'{{"{orphan}": {later}}}')
    [third] = sessions.collect().data
    assert third["removed_files"] >= 1
    assert stored(life) == before
    assert life.value("b", 5)[0] == noise(100)[0]


def test_a_dry_run_changes_nothing(life):
    """Not even the note of what is not needed."""
    life.writer.close()
    life.writer.blobs.put_packed(noise(7).tobytes())
    before = {f: f.read_bytes() for f in life.store.path.rglob("*") if f.is_file()}
    [told] = Sessions(life.store).collect(keep=1, now=True, dry_run=True).data
    assert told["unneeded_bytes"] > 300_000
    assert told["dropped"] == [2, 3, 4]
    for path, content in before.items():
        if path.name not in {"lock", "lock.guard", "session.json"}:
            assert path.read_bytes() == content


def test_keep_drops_older_checkpoints_but_nothing_that_the_newest_state_needs(life):
    """``b`` was saved in the first step and is still there; the log says what is gone."""
    life.writer.close()
    sessions = Sessions(life.store)
    before = stored(life)
    [told] = sessions.collect(keep=1, now=True).data
    assert told["dropped"] == [2, 3, 4]
    assert told["removed_bytes"] >= 3 * 300_000
    assert stored(life) < before - 900_000
    assert (life.value("a", 5) == noise(4)).all()
    assert (life.value("b", 5) == noise(100)).all()
    with pytest.raises(BlobMissing, match="no longer kept"):
        life.value("a", 3)
    assert life.store.folder(life.id).read().session.dropped == {2, 3, 4}
    [again] = sessions.collect(keep=1, now=True).data
    assert (again["dropped"], again["removed_bytes"]) == ([], 0)


def test_a_step_with_a_note_and_the_ends_of_branches_are_kept(life):
    """Whatever ``keep`` says."""
    life.writer.append(p.NoteAdded(text="good here", step=3))
    life.step(parent=2, a=noise(50))
    session = life.store.folder(life.id).read().session
    assert steps_to_drop(session, 1) == [2, 4]


def test_a_session_that_another_process_writes_is_passed_over(life):
    """Its kernel may be about to name what looks unneeded."""
    other = Sessions(Store(life.store.path, key=bytes(32)))
    [told] = other.collect(keep=1, now=True).data
    assert "being written" in told["passed_over"]
    assert (life.value("a", 3) == noise(2)).all()


def test_a_damaged_log_keeps_everything(life):
    """What it named is not known any more."""
    life.writer.close()
    [segment] = life.store.folder(life.id).log_folder.glob("*.jsonl")
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join([*lines[:4], b"garbage\n", *lines[5:]]))
    before = stored(life)
    [told] = Sessions(life.store).collect(keep=1, now=True).data
    assert "damaged" in told["passed_over"]
    assert stored(life) == before


def test_to_keep_nothing_is_refused(life):
    """The newest state is always kept."""
    with pytest.raises(InvalidRequest, match="at least 1"):
        Sessions(life.store).collect(keep=0)


def test_what_a_kernel_wrote_is_looked_for_again_after_blobs_were_removed(life):
    """It does not take a removed piece for written."""
    pieces = life.saver.pieces
    name = pieces.put(noise(9).tobytes())[1]
    [path] = life.writer.blobs.folder.rglob(name + "*")
    path.unlink()
    pieces.forget()
    assert pieces.put(noise(9).tobytes())[2] > 0
    assert path.exists()
