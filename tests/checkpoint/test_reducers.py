"""Objects that Python's own rules cannot pickle, or would restore as something else: each comes
back right, or is refused with a reason.
"""

import concurrent.futures
import io
import queue
import re
import subprocess
import sys
import tempfile
import threading
import weakref

import numpy as np
import pytest

from ipysession.checkpoint import pickling
from ipysession.checkpoint.groups import co_variable_groups
from ipysession.checkpoint.pieces import Packing


def back(**values):
    """These variables, saved as one group and loaded in a kernel that knows nothing."""
    packing = Packing(lambda: None)
    pickling.dump(values, values, packing)
    return pickling.loads(packing.stream(), {})


@pytest.fixture
def file(tmp_path):
    """A small file of text."""
    path = tmp_path / "lines.txt"
    path.write_text("one\ntwo\nthree\n")
    return path


def test_a_file_open_for_reading_goes_on_where_it_stood(file):
    """Text and bytes."""
    with file.open() as text, file.open("rb") as binary, file.open("rb", buffering=0) as raw:
        text.readline()
        binary.read(5)
        raw.read(2)
        found = back(text=text, binary=binary, raw=raw)
    assert found["text"].readline() == "two\n"
    assert (found["text"].name, found["text"].encoding) == (str(file), text.encoding)
    assert found["binary"].read(3) == b"wo\n"
    assert isinstance(found["raw"], io.FileIO)
    assert found["raw"].read(2) == b"e\n"
    for opened in found.values():
        opened.close()


def test_a_file_open_for_writing_is_refused_with_the_way_on(file):
    """To open it again would cut it or write twice."""
    for mode in ("w", "a", "r+", "x"):
        path = file if mode != "x" else file.with_name("new")
        with path.open(mode) as opened, pytest.raises(TypeError, match="open it again"):
            back(f=opened)


def test_a_file_whose_line_ends_may_be_translated_is_refused(tmp_path):
    """Python does not tell how it was opened."""
    path = tmp_path / "dos.txt"
    path.write_bytes(b"one\r\ntwo\r\n")
    with path.open() as opened:
        opened.readline()
        with pytest.raises(TypeError, match="line ends"):
            back(f=opened)


def test_a_file_that_is_gone_or_empty_fails_to_load(file):
    """So its step is replayed, and says so; never another file's content."""
    with file.open() as opened:
        opened.readline()
        packing = Packing(lambda: None)
        pickling.dump({"f": opened}, {}, packing)
    file.write_text("")
    with pytest.raises(ValueError, match="empty now"):
        pickling.loads(packing.stream(), {})
    file.unlink()
    with pytest.raises(FileNotFoundError):
        pickling.loads(packing.stream(), {})


def test_a_closed_file_and_the_standard_streams(file):
    """Closed stays closed; ``sys.stdout`` is whatever it is then."""
    with file.open() as opened:
        pass
    found = back(f=opened, out=sys.stdout)
    assert found["f"].closed
    assert found["f"].name == str(file)
    assert found["out"] is sys.stdout


def test_matches_say_what_they_said():
    """Also the second one of an iteration."""
    first = re.search(r"(?P<k>\w)=(\d+)", "a=1, b=22")
    second = list(re.finditer(r"\w=\d+", "a=1, b=22"))[1]
    found = back(first=first, second=second)
    assert found["first"].groupdict() == {"k": "a"}
    assert found["first"].groups() == ("a", "1")
    assert found["second"].span() == second.span()
    assert found["second"].group() == "b=22"


def test_locks_come_back_as_new_ones_and_what_rests_on_them_works():
    """A lock that is held does not."""
    event, waiting = threading.Event(), queue.Queue()
    event.set()
    waiting.put("item")
    found = back(lock=threading.Lock(), again=threading.RLock(), event=event, waiting=waiting)
    assert found["lock"].acquire(blocking=False)
    assert found["again"].acquire(blocking=False)
    assert found["event"].is_set()
    assert found["waiting"].get_nowait() == "item"
    with pytest.raises(TypeError, match="held"):
        back(lock=found["lock"])


def test_what_belongs_to_a_process_is_refused_although_its_locks_could_be_pickled():
    """A thread that is restored would never have run."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool, tempfile.TemporaryFile("w+") as unnamed:
        process = subprocess.Popen([sys.executable, "-c", "pass"])
        process.wait()
        mine = [
            threading.Thread(target=print),
            threading.Timer(1, print),
            pool,
            pool.submit(int),
            process,
            threading.local(),
            unnamed,
            (i for i in range(3)),
        ]
        for value in mine:
            with pytest.raises(TypeError):
                back(value=value)


def test_weak_references_mean_what_they_meant():
    """What they refer to is in their group; a dead one stays dead."""
    source = "import weakref\nclass Node: pass\nnode = Node()\nref = weakref.ref(node)\n"
    space = {"__name__": "__main__"}
    exec(source, space)
    cache = weakref.WeakValueDictionary(k=space["node"])
    values = {"node": space["node"], "ref": space["ref"], "cache": cache}
    assert co_variable_groups(sorted(values), values) == [frozenset(values)]
    found = back(**values)
    assert found["ref"]() is found["node"]
    assert found["cache"]["k"] is found["node"]
    dead = weakref.ref(space["Node"]())
    assert back(dead=dead)["dead"]() is None
    with pytest.raises(TypeError, match="callback"):
        back(ref=weakref.ref(space["node"], print))


def test_memory_maps_show_their_file_again(tmp_path):
    """One for reading only while the file is as it was; one with changes in memory is refused."""
    path = tmp_path / "map.bin"
    written = np.memmap(path, dtype="i4", mode="w+", shape=(4, 5))
    written[:] = np.arange(20).reshape(4, 5)
    written.flush()
    found = back(m=written)["m"]
    assert isinstance(found, np.memmap)
    found[0, 0] = 99
    assert written[0, 0] == 99
    packing = Packing(lambda: None)
    pickling.dump({"m": np.memmap(path, dtype="i4", mode="r")}, {}, packing)
    assert pickling.loads(packing.stream(), {})["m"][0] == 99
    path.write_bytes(bytes(80))
    with pytest.raises(ValueError, match="not the file any more"):
        pickling.loads(packing.stream(), {})
    for refused in (written[1:], np.memmap(path, dtype="i4", mode="c")):
        with pytest.raises(TypeError):
            back(m=refused)


def test_a_view_of_memory_is_a_view_again():
    """Of the whole of something that is restored with it; cloudpickle would give bytes."""
    owner = bytearray(b"abc")
    found = back(owner=owner, view=memoryview(owner))
    found["view"][0] = ord("x")
    assert found["owner"] == b"xbc"
    with pytest.raises(TypeError, match="part of a memory"):
        back(view=memoryview(b"abc")[1:])
