"""Whatever a namespace holds comes back equal, with what is shared still shared, from pages and
pieces; and an edit writes little.
"""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipysession.checkpoint import pages, pickling, pieces
from ipysession.checkpoint.load import blobs_of, load_group, parts_of
from ipysession.checkpoint.pieces import Packing, Pieces
from ipysession.checkpoint.unpickler import Pace
from ipysession.errors import BlobDamaged, BlobMissing
from ipysession.log import Blobs
from ipysession.model.payloads import SavedGroup


class World:
    """A namespace and the blobs that it is saved to."""

    def __init__(self, folder):
        self.blobs = Blobs(folder)
        self.pieces = Pieces(self.blobs)
        self.space = {}

    def save(self, *names):
        """Save these names of the namespace as one group; the group and its packing."""
        packing = Packing(lambda: None, self.pieces)
        pickling.dump({name: self.space[name] for name in names}, self.space, packing)
        fields = packing.fields()
        return SavedGroup(names=sorted(names), **fields), packing

    def back(self, group):
        """The values of a group in a kernel that knows nothing."""
        return load_group(group, self.blobs, {})


@pytest.fixture
def world(tmp_path):
    """An empty one."""
    return World(tmp_path / "blobs")


atoms = st.one_of(
    st.integers(), st.text(max_size=5), st.booleans(), st.none(), st.floats(allow_nan=False)
)


@st.composite
def graphs(draw):
    """Values with containers that are shared among them, some of them larger than a page."""
    pool = [draw(st.lists(atoms, max_size=3)) for _ in range(3)]
    pool += [draw(st.dictionaries(st.text(max_size=3), atoms, max_size=3)) for _ in range(3)]
    for _ in range(draw(st.integers(0, 4))):
        held = draw(st.lists(st.sampled_from(pool), max_size=3))
        pool.append(draw(st.sampled_from([list, tuple]))(held))
    size = draw(st.sampled_from([0, 3, 9, 20]))
    shared = draw(st.lists(st.sampled_from(pool), max_size=3))
    private = [[number, str(number), {"k": number}] for number in range(size)]
    for item in shared:
        private.insert(draw(st.integers(0, len(private))), item)
    values = {"pool": pool, "rows": private, "table": dict(enumerate(private[::-1]))}
    if draw(st.booleans()):
        values["table"] = {number: (number, [number]) for number in range(size)}
    if draw(st.booleans()):
        inner = draw(st.sampled_from([values["rows"], [[n] for n in range(size)]]))
        values["holder"] = {"inner": inner, "more": draw(st.sampled_from(pool))}
        del inner
    if draw(st.booleans()):
        values["rows"].append(values["rows"])
    if draw(st.booleans()):
        values["alias"] = values["rows"]
    return values


def shape_of(value):
    """A text that says which objects are one and the same, and what they hold."""
    seen = {}

    def walk(item):
        if type(item) not in (list, dict, tuple, set):
            return repr(item)
        # Python makes one object of all empty tuples, and the marshalling of equal ones is its own
        # business: what cannot change may be shared or not.
        if type(item) is not tuple:
            if id(item) in seen:
                return f"#{seen[id(item)]}"
            seen[id(item)] = len(seen)
        parts = (
            [f"{walk(k)}:{walk(v)}" for k, v in item.items()]
            if type(item) is dict
            else ([walk(part) for part in item])
        )
        return f"{type(item).__name__}({','.join(parts)})"

    return walk(value)


@settings(max_examples=150, deadline=None)
@given(values=graphs())
def test_object_graphs_come_back_as_they_were(tmp_path_factory, values):
    """Equal, and every list and dict that two places share is shared again. Pages of four elements
    make the smallest graph span several.
    """
    before, pages.PAGE_ITEMS = pages.PAGE_ITEMS, 4
    try:
        world = World(tmp_path_factory.mktemp("blobs"))
        world.space = values
        group, _ = world.save(*values)
        assert shape_of(world.back(group)) == shape_of(values)
    finally:
        pages.PAGE_ITEMS = before


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 999), st.integers()), max_size=4),
    st.sampled_from(["<i8", "<f4", "M8[ns]", "bool", "S3"]),
    st.sampled_from(["C", "F"]),
)
def test_arrays_come_back_from_pieces_after_any_edits(tmp_path_factory, edits, dtype, order):
    """As owners of their memory, in their order, after each edit."""
    small, pieces.PIECE = pieces.PIECE, 1000
    least, pickling.PART_BYTES = pickling.PART_BYTES, 500
    try:
        world = World(tmp_path_factory.mktemp("blobs"))
        array = np.arange(1000).reshape(50, 20).astype(dtype, order=order)
        world.space = {"a": array}
        for place, value in [(0, 0), *edits]:
            array[place // 20, place % 20] = value % 100
            group, _ = world.save("a")
            found = world.back(group)["a"]
            np.testing.assert_array_equal(found, array)
            assert found.dtype == array.dtype
            assert found.flags.owndata
            assert found.flags.f_contiguous == array.flags.f_contiguous
            found[0, 0] = found[1, 1]
    finally:
        pieces.PIECE, pickling.PART_BYTES = small, least


def test_an_edit_of_a_large_array_writes_one_piece(world):
    """And an unchanged one nothing."""
    world.space["a"] = np.random.default_rng(1).random(1_000_000)
    _, first = world.save("a")
    assert first.written > 7_000_000
    _, again = world.save("a")
    assert again.written == 0
    assert again.fingerprint() == first.fingerprint()
    world.space["a"][123] = 0
    group, edited = world.save("a")
    assert 0 < edited.written <= 300_000
    assert edited.fingerprint() != first.fingerprint()
    assert world.back(group)["a"][123] == 0


def test_an_edit_of_one_dict_in_a_long_list_writes_one_page(world):
    """Of a list that only its name refers to."""
    world.space["rows"] = [{"id": i, "name": f"n{i}", "tags": [i]} for i in range(40_000)]
    _, first = world.save("rows")
    assert len(first.numbered) == 20
    world.space["rows"][777]["tags"].append(1)
    group, edited = world.save("rows")
    assert 0 < edited.written <= 64 * 1024
    assert world.back(group) == {"rows": world.space["rows"]}


def test_large_containers_in_small_dicts_and_objects_are_paged_too(world):
    """Also two levels down; what refers to the dict still means the same one."""
    source = "class Model: pass\nmodel = Model(); model.rows = [[i] for i in range(9_000)]\n"
    exec("__name__ = '__main__'\n" + source, world.space)
    world.space["data"] = {"rows": {f"k{i}": [i] for i in range(9_000)}, "n": 1}
    world.space["same"] = world.space["data"]
    group, packing = world.save("model", "data", "same")
    assert len(packing.numbered) == 10
    found = world.back(group)
    assert found["same"] is found["data"] == world.space["data"]
    assert found["model"].rows == world.space["model"].rows
    world.space["model"].rows[7].append(1)
    _, edited = world.save("model", "data", "same")
    assert 0 < edited.written < 64 * 1024


def test_what_stands_in_slots_is_not_lost_for_the_sake_of_pages(world):
    """Beside a large attribute in the object's dict."""
    source = (
        "class Base: __slots__ = ('kept',)\nclass Model(Base): pass\n"
        "model = Model(); model.kept = 5; model.rows = [[i] for i in range(9_000)]\n"
    )
    exec("__name__ = '__main__'\n" + source, world.space)
    group, _ = world.save("model")
    found = world.back(group)["model"]
    assert (found.kept, len(found.rows)) == (5, 9_000)


def test_a_page_that_shares_an_element_stays_in_the_groups_pickle(world):
    """So the element is still the one that the other name means."""
    world.space["rows"] = [[i] for i in range(20_000)]
    world.space["last"] = world.space["rows"][-1]
    group, packing = world.save("rows", "last")
    assert len(packing.numbered) == 9
    found = world.back(group)
    assert found["rows"][-1] is found["last"]
    assert found["rows"] == world.space["rows"]


def test_objects_of_a_notebooks_class_are_paged_with_one_class(world):
    """`type` is the same in all pages."""
    exec("class P:\n    def __init__(self, x): self.x = [x]", world.space)
    world.space["__name__"] = "__main__"
    world.space["P"].__module__ = "__main__"
    world.space["points"] = [world.space["P"](i) for i in range(10_000)]
    group, packing = world.save("points")
    assert len(packing.numbered) == 5
    found = world.back(group)["points"]
    assert len({type(point) for point in found}) == 1
    assert [point.x for point in found] == [[i] for i in range(10_000)]


def test_sets_and_dicts_come_back_from_pages(world):
    """Keys in their order; elements as they were."""
    world.space |= {"d": {f"k{i}": [i] for i in range(9_000)}, "s": set(range(9_000))}
    group, packing = world.save("d", "s")
    assert len(packing.numbered) == 10
    found = world.back(group)
    assert found == {"d": world.space["d"], "s": world.space["s"]}
    assert list(found["d"]) == list(world.space["d"])


def test_a_frame_that_was_only_read_is_known_again_without_pickling_its_texts(world, monkeypatch):
    """Its texts are the same objects as before; an edited one costs one page."""
    frame = pd.DataFrame({"n": range(20_000), "t": pd.Series([f"t{i}" for i in range(20_000)])})
    frame["o"] = frame["t"].astype(object)
    frame.loc[2, "o"] = "its own memory from here on"
    world.space["df"] = frame
    _, first = world.save("df")
    made = []
    whole = pickle.dumps

    def dumps(value, *args):
        made.append(len(value))
        return whole(value, *args)

    monkeypatch.setattr(pages.pickle, "dumps", dumps)
    _, again = world.save("df")
    assert (again.written, made) == (0, [])
    assert again.fingerprint() == first.fingerprint()
    frame.loc[3, "o"] = "changed"
    group, _ = world.save("df")
    assert made == [pages.PAGE_ITEMS]
    pd.testing.assert_frame_equal(world.back(group)["df"], frame)


def test_a_missing_or_damaged_piece_is_told_when_the_value_is_asked_for(world):
    """Never a value with a hole in it."""
    world.space["a"] = np.arange(100_000)
    group, _ = world.save("a")
    name = group.parts[0].pieces[1]
    [path] = world.blobs.folder.rglob(f"{name}*")
    path.write_bytes(b"x" + path.read_bytes()[1:])
    with pytest.raises(BlobDamaged):
        world.back(group)
    path.unlink()
    with pytest.raises(BlobMissing):
        world.back(group)


@pytest.mark.parametrize("number", [0, 5, 30])
def test_many_pieces_are_read_at_once_and_verified_each(world, number):
    """Several threads read a large value; each piece counts, wherever it stands."""
    world.space["a"] = np.random.default_rng(0).random(1_000_000)
    group, _ = world.save("a")
    assert (world.back(group)["a"] == world.space["a"]).all()
    [part] = parts_of(group, world.blobs)
    assert len(part.pieces) == 31
    path = world.blobs.folder / part.pieces[number][:2] / part.pieces[number]
    path.write_bytes(b"x" + path.read_bytes()[1:])
    with pytest.raises(BlobDamaged):
        world.back(group)


@pytest.mark.parametrize(
    "changed",
    [
        {"size": 799_999},
        {"size": 800_001},
        {"size": 0},
        {"pieces": []},
        {"pieces": [0, 1, 2]},
        {"pieces": [0, 1, 2, 3, 3]},
        {"pieces": [3, 1, 2, 0]},
        {"pieces": [0, 3, 2, 1]},
        {"pieces": [4], "size": 1},
        {"pieces": [4, 0, 1, 2, 3]},
    ],
)
def test_pieces_that_do_not_make_up_the_value_are_refused(world, changed):
    """Whole blobs in a wrong order or number, or for another size."""
    world.space["a"] = np.random.default_rng(0).random(100_000)
    group, _ = world.save("a")
    [part] = group.parts
    there = [*part.pieces, world.blobs.put(b"")]
    pieces = [there[number] for number in changed.get("pieces", range(4))]
    other = part.model_copy(update={"size": changed.get("size", part.size), "pieces": pieces})
    with pytest.raises(BlobDamaged):
        world.back(group.model_copy(update={"parts": [other]}))


def test_a_load_can_be_held_up_in_the_middle_of_a_large_value(world):
    """What is brought in idle time pauses for a cell, and can be given up."""
    world.space["a"] = np.random.default_rng(0).random(4_000_000)
    group, _ = world.save("a")
    looks = []

    def gate():
        looks.append(None)
        if len(looks) == 3:
            raise RuntimeError("given up")

    with pytest.raises(RuntimeError, match="given up"):
        load_group(group, world.blobs, {}, pace=Pace(gate))


def test_a_group_tells_all_blobs_that_it_rests_on(world):
    """Also where their list is a blob of its own."""
    world.space["rows"] = [[i] for i in range(40_000)]
    group, _ = world.save("rows")
    assert group.table is not None
    stored = {path.name.removesuffix(".zst") for path in world.blobs.folder.rglob("*.*")}
    assert blobs_of(group, world.blobs) >= stored
    assert len(blobs_of(group, world.blobs)) == 21


def test_a_full_disk_is_an_error_before_it_is_full(tmp_path):
    """Some room is left to others."""
    small = Pieces(Blobs(tmp_path / "blobs"), min_free=1 << 60)
    with pytest.raises(OSError, match="too little free space"):
        small.put(b"x" * 100)


def test_what_is_compressed_reads_as_what_it_was(tmp_path):
    """Only where a probe says that it pays; a damaged frame is told."""
    blobs = Blobs(tmp_path / "blobs")
    name, written = blobs.put_packed(b"ab" * 50_000)
    assert written < 1000
    assert blobs.get(name) == b"ab" * 50_000
    assert blobs.put_packed(b"ab" * 50_000) == (name, 0)
    noise = np.random.default_rng(1).bytes(50_000)
    assert blobs.put_packed(noise)[1] == 50_000
    [path] = blobs.folder.rglob("*.zst")
    path.write_bytes(b"\x28\xb5\x2f\xfd" + b"junk" * 10)
    with pytest.raises(BlobDamaged):
        blobs.get(name)
    assert blobs.put_packed(b"ab" * 50_000)[1] > 0
    list(blobs.sync_all([name]))
    assert blobs.get(name) == b"ab" * 50_000


def test_a_pickle_that_would_fill_the_memory_is_given_up(world, monkeypatch):
    """The pickler remembers every object that is not in a page; the user's cells need room, too."""
    monkeypatch.setattr(pieces, "_LEAST_MEMORY", 1 << 62)
    world.space["deep"] = {"down": {"here": {"rows": [f"text {i}" * 10 for i in range(300_000)]}}}
    with pytest.raises(MemoryError, match="too little memory"):
        world.save("deep")
