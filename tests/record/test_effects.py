"""Promises of the effects watch: what of a step's doings is heard, what is not, at what price."""

# The many ways in which people open, make and delete files and start processes are the subject.
# ruff: noqa: PTH102, PTH103, PTH104, PTH106, PTH107, PTH123, PTH207, PTH208, PTH211
# ruff: noqa: SIM115, PLW0108, PLW1510

import contextlib
import glob
import gzip
import importlib.util
import io
import json
import multiprocessing
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import urllib.request
from pathlib import Path

import pexpect
import pytest
from blake3 import blake3

from ipysession.record import effects
from ipysession.record.effects import (
    CAP,
    EffectsSeen,
    EffectsWatch,
    describe_files,
    events,
    files,
    quiet,
)

NOTHING = EffectsSeen()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder without links in its path."""
    folder = tmp_path.resolve() / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def watch(folder):
    """A watch that is ready to hear; what it ignores is the folder `store`."""
    store = folder.parent / "store"
    store.mkdir()
    watch = EffectsWatch(ignored=(store,))
    watch.start()
    yield watch
    watch.stop()


@pytest.fixture
def heard(watch):
    """Runs a function as a step and gives what was heard."""

    def run(step):
        watch.begin()
        try:
            step()
        finally:
            seen = watch.end()
        return seen

    return run


def elsewhere(program, folder, **environment):
    """Run a program in a process of its own; gives the JSON that it prints last."""
    start = (
        "import json, os, sys, dataclasses\n"
        "from ipysession.record.effects import EffectsWatch, quiet\n"
        "sys.dont_write_bytecode = False\n"
        "watch = EffectsWatch(); watch.start(); watch.begin()\n"
        "def tell(seen):\n"
        "    print(json.dumps(dataclasses.asdict(seen), default=sorted), flush=True)\n"
    )
    done = in_python(start + textwrap.dedent(program), folder, **environment)
    return json.loads(done.stdout.splitlines()[-1])


def in_python(program, folder=None, **environment):
    """Run a program in a process of its own, which must succeed."""
    source = Path(effects.__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(source)} | environment,
    )
    assert done.returncode == 0, done.stderr
    return done


class TestReads:
    @pytest.mark.parametrize(
        "read",
        [
            lambda path: path.read_text(),
            lambda path: path.read_bytes(),
            lambda path: open(path).close(),
            lambda path: open(str(path), "rb").close(),
            lambda path: open(os.fsencode(path)).close(),
            lambda path: open(path.name).close(),
            lambda path: open(f"./sub/../{path.name}").close(),
            lambda path: os.close(os.open(path, os.O_RDONLY)),
            lambda path: gzip.open(path).close(),
            lambda path: io.FileIO(path).close(),
        ],
    )
    def test_opened(self, folder, heard, read):
        """A file that is opened for reading is heard, by its absolute path, however it is named."""
        (folder / "sub").mkdir()
        path = folder / "data.csv"
        path.write_text("x")
        assert heard(lambda: read(path)) == EffectsSeen(reads=[str(path)])

    def test_once(self, folder, heard):
        """A file that is read many times is named once."""
        (folder / "a").write_text("x")
        assert heard(lambda: [Path("a").read_text() for _ in range(10)]).reads == [
            str(folder / "a")
        ]

    def test_relative_to_the_folder_of_the_moment(self, folder, heard):
        """A relative path is relative to the working folder when it is opened."""
        for name in ("one", "two"):
            (folder / name).mkdir()
            (folder / name / "a").write_text("x")

        def step():
            for name in ("one", "two"):
                os.chdir(folder / name)
                Path("a").read_text()

        seen = heard(step)
        assert seen.reads == [str(folder / "one/a"), str(folder / "two/a")]
        assert seen.cwd == str(folder / "two")

    def test_libraries(self, folder, heard):
        """What pandas and NumPy read through Python is heard."""
        np, pd = pytest.importorskip("numpy"), pytest.importorskip("pandas")
        pd.DataFrame({"a": [1]}).to_csv("a.csv")
        np.save("b.npy", np.arange(3))
        seen = heard(lambda: (pd.read_csv("a.csv"), np.load("b.npy")))
        assert seen == EffectsSeen(reads=[str(folder / "a.csv"), str(folder / "b.npy")])

    def test_not_read(self, folder, heard):
        """What is not there, folders, devices, and descriptors are not files that were read."""

        def step():
            with contextlib.suppress(FileNotFoundError):
                Path("missing").read_text()
            with contextlib.suppress(IsADirectoryError):
                open(folder).close()
            Path("/proc/self/status").read_text()
            open("/dev/null").close()
            open("/dev/urandom", "rb").close()
            reading, writing = os.pipe()
            open(reading).close()
            open(writing, "w").close()
            os.listdir(folder)
            folder.exists()

        assert heard(step) == NOTHING

    def test_code(self, heard):
        """Installed code that is read, by imports or for tracebacks, is not the user's."""

        def step():
            for name in ("this", "antigravity"):
                sys.modules.pop(name, None)
            with contextlib.redirect_stdout(None):
                import this  # noqa: F401
            Path(os.__file__).read_text()
            Path(pytest.__file__).read_text()
            Path(effects.__file__).read_text()

        assert heard(step) == NOTHING

    def test_imports_of_libraries(self, folder):
        """Importing large libraries, with all that they read and write meanwhile, is nothing."""
        program = """
            import pandas, matplotlib.pyplot, sqlite3, email, xml.dom
            tell(watch.end())
        """
        seen = elsewhere(program, folder, MPLCONFIGDIR=str(folder / "mpl"))
        assert {name: value for name, value in seen.items() if value} == {}

    def test_own_modules(self, folder):
        """A module of the user's that is imported counts as read, also in its compiled form."""
        (folder / "mine.py").write_text("import json\nDATA = open('data.csv').read()\n")
        (folder / "data.csv").write_text("1")
        program = "sys.path.insert(0, os.getcwd()); import mine; tell(watch.end())"
        for _ in ("compiled", "from the cache"):
            assert elsewhere(program, folder)["reads"] == [
                str(folder / "mine.py"),
                str(folder / "data.csv"),
            ]
            assert (folder / "__pycache__").is_dir()

    def test_installed_packages(self, folder):
        """What a package reads while it is imported is not the user's; data read on demand is."""
        site = folder.parent / "site-packages"
        package = site / "pack"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(
            "import os, subprocess\n"
            "here = os.path.dirname(__file__) + '/'\n"
            "open(here + 'VERSION').read()\n"
            "open(here + 'cache', 'w').close()\n"
            "os.environ['PACK'] = '1'\n"
            "subprocess.run(['true'])\n"
            "def load(): return open(here + 'iris.csv').read()\n"
        )
        (package / "VERSION").write_text("1")
        (package / "iris.csv").write_text("1")
        program = f"""
            watch.end()
            sys.path.insert(0, {str(site)!r})
            from ipysession.record.effects import habits
            habits.code_folders.cache_clear()
            watch.begin()
            import pack
            first = watch.end()
            assert not any(dataclasses.asdict(first).values()), first
            watch.begin()
            pack.load()
            tell(watch.end())
        """
        assert elsewhere(program, folder)["reads"] == [str(package / "iris.csv")]

    def test_an_environment_around_the_work(self, folder):
        """The user's own module counts also where the work lies inside the environment's folder."""
        (folder / "mine.py").write_text("")
        program = f"""
            sys.prefix = {str(folder)!r}
            sys.path.insert(0, os.getcwd())
            import mine
            tell(watch.end())
        """
        assert elsewhere(program, folder)["reads"] == [str(folder / "mine.py")]


class TestWrites:
    @pytest.mark.parametrize(
        "write",
        [
            lambda path: path.write_text("x"),
            lambda path: path.write_bytes(b"x"),
            lambda path: open(path.name, "a").close(),
            lambda path: open(path.name, "xb").close(),
            lambda path: open(path.name, "w+").close(),
            lambda path: path.touch(),
            lambda path: os.close(os.open(path, os.O_WRONLY | os.O_CREAT)),
            lambda path: os.symlink("target", path),
            lambda path: os.link("other", path),
            lambda path: os.mkdir(path),
            lambda path: os.makedirs(path, exist_ok=True),
            lambda path: shutil.move("moved", path),
        ],
    )
    def test_made(self, folder, heard, write):
        """A file or folder that a step makes is written."""
        (folder / "other").touch()
        (folder / "moved").touch()
        path = folder / "new"
        assert heard(lambda: write(path)).writes == [str(path)]

    @pytest.mark.parametrize(
        "write",
        [
            lambda path: open(path, "r+").close(),
            lambda path: open(path, "a").close(),
            lambda path: os.truncate(path, 0),
            lambda path: shutil.copy("other", path),
        ],
    )
    def test_changed(self, folder, heard, write):
        """A file that a step changes is written."""
        path = folder / "old"
        path.write_text("x")
        (folder / "other").write_text("y")
        assert heard(lambda: write(path)).writes == [str(path)]

    def test_replaced(self, folder, heard):
        """Of a file that is replaced by way of a temporary one, only the file is told."""

        def step():
            Path("a.tmp").write_text("x")
            Path("a.tmp").replace("a")

        assert heard(step) == EffectsSeen(writes=[str(folder / "a")])

    def test_renamed(self, folder, heard):
        """A renamed file is gone from one place and written to another."""
        Path("a").write_text("x")
        seen = heard(lambda: os.rename("a", "b"))
        assert seen == EffectsSeen(writes=[str(folder / "b")], deleted=[str(folder / "a")])

    def test_deleted(self, folder, heard):
        """What was there before and is gone afterwards was deleted."""
        Path("a").write_text("x")
        Path("d").mkdir()
        seen = heard(lambda: (os.remove("a"), os.rmdir("d")))
        assert seen == EffectsSeen(deleted=[str(folder / "a"), str(folder / "d")])

    def test_deleted_tree(self, folder, heard):
        """Of a deleted tree, the root is told and not each file."""
        for n in range(20):
            path = Path(f"tree/{n}/x")
            path.parent.mkdir(parents=True)
            path.touch()
        assert heard(lambda: shutil.rmtree("tree")) == EffectsSeen(deleted=[str(folder / "tree")])

    def test_deleted_by_descriptor(self, folder, heard):
        """A name relative to an open folder is found."""
        Path("sub").mkdir()
        Path("sub/a").touch()
        descriptor = os.open("sub", os.O_RDONLY)
        try:
            seen = heard(lambda: os.unlink("a", dir_fd=descriptor))
        finally:
            os.close(descriptor)
        assert seen == EffectsSeen(deleted=[str(folder / "sub/a")])

    def test_came_and_went(self, folder, heard):
        """What a step makes and takes away again is nothing."""

        def step():
            with tempfile.NamedTemporaryFile("w") as file:
                file.write("x")
            with tempfile.TemporaryFile() as file:
                file.write(b"x")
            with tempfile.TemporaryDirectory() as name:
                Path(name, "a").write_text("x")
            Path("b").write_text("x")
            Path("b").read_text()
            Path("b").unlink()

        assert heard(step) == NOTHING

    def test_back_again(self, folder, heard):
        """A file that is deleted and made anew is written."""
        Path("a").write_text("x")
        seen = heard(lambda: (os.remove("a"), Path("a").write_text("y")))
        assert seen == EffectsSeen(writes=[str(folder / "a")])

    def test_refused(self, folder, heard):
        """An attempt that fails is no effect, and does not hide a later one that succeeds."""
        Path("a").write_text("x")
        Path("d").mkdir()

        def refused():
            with pytest.raises(FileExistsError):
                open("a", "x")
            with pytest.raises(FileNotFoundError):
                os.remove("missing")
            with pytest.raises(FileExistsError):
                os.mkdir("d")
            with pytest.raises(FileNotFoundError):
                open("missing/a", "w")
            with pytest.raises(FileNotFoundError):
                os.rename("missing", "a")

        assert heard(refused) == NOTHING
        seen = heard(lambda: (refused(), Path("a").write_text("x")))
        assert seen == EffectsSeen(writes=[str(folder / "a")])

    def test_forbidden(self):
        """A file that must not be read or written was not."""
        program = """
            open("secret", "w").close()
            os.chmod("secret", 0)
            watch.end()
            if os.getuid() == 0:
                os.setuid(65534)  # root may do everything
            watch.begin()
            for mode in "rwa":
                try:
                    open("secret", mode)
                except PermissionError:
                    continue
                sys.exit("not forbidden")
            tell(watch.end())
        """
        with tempfile.TemporaryDirectory() as folder:
            Path(folder).chmod(0o755)
            seen = elsewhere(program, folder)
            assert seen.pop("relative")  # it named files, and that is all
            assert not any(seen.values())

    def test_made_anew(self, folder, heard):
        """It is told of which files nothing is left that stood there before."""
        for name in ("emptied", "added to", "patched", "read first"):
            Path(name).write_text("x")

        def step():
            Path("new").write_text("x")
            Path("emptied").write_text("x")
            with Path("added to").open("a") as file:
                file.write("x")
            with Path("patched").open("r+") as file:
                file.write("x")
            Path("read first").write_text(Path("read first").read_text() + "x")

        seen = heard(step)
        assert len(seen.writes) == 5
        assert seen.anew == {str(folder / "new"), str(folder / "emptied")}

    def test_relative(self, folder, heard):
        """It is told whether files were named from the working folder, and where it went."""
        Path("there").mkdir()
        Path("here").write_text("x")
        assert not heard(lambda: (folder / "here").read_text()).relative
        assert heard(lambda: Path("here").read_text()).relative
        seen = heard(lambda: (os.chdir("there"), os.chdir(folder)))
        assert seen.folders == {str(folder / "there"), str(folder)}

    def test_folders_that_were_listed(self, folder, heard):
        """In whichever way, but the search for modules, which lists all of ``sys.path``."""
        (folder / "sub").mkdir()
        sub, work = {str(folder / "sub")}, {str(folder)}
        assert heard(lambda: os.listdir("sub")).listed == sub
        assert heard(os.listdir).listed == work
        assert heard(lambda: list(os.scandir(Path("sub")))).listed == sub
        assert heard(lambda: list(Path("sub").iterdir())).listed == sub
        assert heard(lambda: list(os.walk("."))).listed == sub | work
        assert heard(lambda: glob.glob("sub/*")).listed == sub
        descriptor = os.open("sub", os.O_RDONLY)
        assert heard(lambda: os.listdir(descriptor)).listed == sub
        os.close(descriptor)
        sys.path_importer_cache.pop(str(folder), None)
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(folder)
            found = heard(lambda: importlib.util.find_spec("there_is_no_such_module"))
        assert found.listed == set()

    def test_written_and_read(self, folder, heard):
        """A file both written and read counts as written."""
        seen = heard(lambda: (Path("a").write_text("x"), Path("a").read_text()))
        assert seen == EffectsSeen(writes=[str(folder / "a")])
        seen = heard(lambda: (Path("a").read_text(), Path("a").write_text("x")))
        assert seen == EffectsSeen(writes=[str(folder / "a")])

    def test_ignored_folders(self, folder, heard):
        """What happens in the store, or is compiled code, is not the user's doing."""
        store = folder.parent / "store"
        (folder.parent / "link").symlink_to(store)

        def step():
            (store / "log").write_text("x")
            (store / "log").read_text()
            (store / "log").unlink()
            sqlite3.connect(store / "index.sqlite").close()
            Path("__pycache__").mkdir()
            Path("__pycache__/x.pyc").write_text("")

        seen = heard(step)
        assert seen == EffectsSeen(writes=[])


class TestCap:
    def test_cap(self, folder, heard):
        """A step keeps a thousand effects; the rest are counted."""

        def step():
            for n in range(CAP + 50):
                Path(f"{n}").touch()

        seen = heard(step)
        assert len(seen.writes) == CAP
        assert seen.omitted >= 50

    def test_known_beyond_the_cap(self, folder, heard):
        """Doing more with what is kept, or what is not the user's, omits nothing."""

        def step():
            for _ in range(3):
                for n in range(CAP):
                    Path(f"{n}").write_text("x")
            Path(os.__file__).read_text()
            Path("/proc/self/status").read_text()
            open("/dev/null", "w").close()

        seen = heard(step)
        assert len(seen.writes) == CAP
        assert seen.omitted == 0


class TestProcesses:
    @pytest.mark.parametrize(
        ("start", "command"),
        [
            (lambda: subprocess.run(["echo", "a b"], stdout=subprocess.DEVNULL), "echo 'a b'"),
            (lambda: subprocess.run([Path("/bin/echo")], stdout=subprocess.DEVNULL), "/bin/echo"),
            (lambda: subprocess.run("exit 0; # x", shell=True), "exit 0; # x"),
            (lambda: os.system("exit 0"), "exit 0"),
            (lambda: os.popen("exit 0").close(), "exit 0"),
            (lambda: os.waitpid(os.posix_spawn("/bin/true", ["true", "x"], {}), 0), "true x"),
            (lambda: os.waitpid(os.spawnv(os.P_NOWAIT, "/bin/true", ["true"]), 0), "(fork)"),
            (lambda: pexpect.run("/bin/echo hello"), "/bin/echo hello"),
            (lambda: pexpect.spawn("/bin/sh", ["-c", "ls | wc"]).wait(), "ls | wc"),
        ],
    )
    def test_started(self, heard, start, command):
        """A process that a step starts is told by its command."""
        assert command in heard(start).processes

    def test_left_in_the_folder(self, folder, heard):
        """What differs in the working folder since a process was started is told."""
        for name in ("changed", "gone", "kept"):
            Path(name).write_text("x")
        seen = heard(lambda: subprocess.run("echo y >> changed; echo > new; rm gone", shell=True))
        assert sorted(seen.writes) == [str(folder / "changed"), str(folder / "new")]
        assert seen.deleted == [str(folder / "gone")]
        assert seen.by_processes == {*seen.writes, *seen.deleted}
        assert seen.anew == {str(folder / "new")}

    def test_shell_commands_of_ipython(self, folder):
        """What `!command` runs is told as the user wrote it."""
        program = """
            watch.end()
            from IPython.core.interactiveshell import InteractiveShell
            shell = InteractiveShell.instance()
            watch.begin()
            shell.system_piped("echo hello > a")
            shell.getoutput("echo bye")
            tell(watch.end())
        """
        processes = elsewhere(program, folder)["processes"]
        assert any("echo hello > a" in command for command in processes)
        assert any("echo bye" in command for command in processes)

    @pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
    def test_multiprocessing(self, folder, method):
        """Processes of multiprocessing are noticed, whichever way they are started."""
        (folder / "job.py").write_text("def double(x): return 2 * x\n")
        program = f"""
            import multiprocessing
            sys.path.insert(0, os.getcwd())
            import job
            if __name__ == "__main__":
                with multiprocessing.get_context({method!r}).Pool(1) as pool:
                    assert pool.map(job.double, [1]) == [2]
                tell(watch.end())
        """
        assert "(multiprocessing)" in elsewhere(program, folder)["processes"]

    def test_multiprocessing_imported(self, folder):
        """Importing multiprocessing starts nothing."""
        program = """
            watch.end()
            assert "multiprocessing.process" not in sys.modules, "the test proves nothing"
            watch.begin()
            import multiprocessing
            tell(watch.end())
        """
        assert elsewhere(program, folder)["processes"] == []

    def test_joblib(self, folder):
        """So are joblib's."""
        pytest.importorskip("joblib")
        program = """
            import joblib, math
            joblib.Parallel(2)(joblib.delayed(math.sqrt)(x) for x in range(4))
            tell(watch.end())
        """
        assert elsewhere(program, folder)["processes"]

    def test_long_command(self, heard):
        """Of a command that is very long, the beginning is kept."""
        seen = heard(lambda: subprocess.run(["true", "x" * 50_000]))
        assert seen.processes[0].startswith("true xxx")
        assert len(seen.processes[0]) < 3_000


@pytest.fixture
def server():
    """Something that listens, and its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


class TestConnections:
    def test_socket(self, heard, server):
        """A connection is told by address, and by the name that was looked up for it."""
        seen = heard(lambda: socket.create_connection(("127.0.0.1", server)).close())
        assert seen.connections == [("socket", f"127.0.0.1:{server}")]
        seen = heard(lambda: socket.create_connection(("localhost", server)).close())
        assert ("socket", f"localhost:{server} (127.0.0.1)") in seen.connections

    def test_unix(self, folder, heard):
        """A Unix socket is told by its path."""
        with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as asking:
            listening.bind("s")
            listening.listen()
            assert heard(lambda: asking.connect("s")).connections == [("unix", "s")]

    def test_http(self, heard, server):
        """What urllib asks for is a connection, also when nobody answers."""

        def step():
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{server}/", timeout=0.2)

        assert heard(step).connections == [("socket", f"127.0.0.1:{server}")]

    def test_datagram(self, heard):
        """A datagram that is sent is a connection."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
            seen = heard(lambda: sending.sendto(b"x", ("127.0.0.1", 9)))
        assert seen.connections == [("socket", "127.0.0.1:9")]

    def test_sqlite(self, folder, heard):
        """A database is told by its path; one in memory is none."""

        def step():
            sqlite3.connect("a.db").close()
            sqlite3.connect("file:b.db?mode=rwc", uri=True).close()
            sqlite3.connect(":memory:").close()
            sqlite3.connect("").close()
            sqlite3.connect("file:x?mode=memory&cache=shared", uri=True).close()

        assert heard(step).connections == [
            ("sqlite", str(folder / "a.db")),
            ("sqlite", str(folder / "b.db")),
        ]


class TestEnvironment:
    def test_changed(self, heard, monkeypatch):
        """Variables that were set, changed or deleted are told by name, and never by value."""
        monkeypatch.setenv("EFFECTS_OLD", "old-value")
        monkeypatch.setenv("EFFECTS_GONE", "gone-value")

        def step():
            os.environ["EFFECTS_NEW"] = "new-value"
            os.environ["EFFECTS_OLD"] = "other-value"
            del os.environ["EFFECTS_GONE"]

        try:
            seen = heard(step)
        finally:
            os.environ.pop("EFFECTS_NEW", None)
        assert seen == EffectsSeen(environ_changed=["EFFECTS_GONE", "EFFECTS_NEW", "EFFECTS_OLD"])
        assert "value" not in repr(seen)

    def test_as_before(self, heard, monkeypatch):
        """A variable that has its old value again has not changed."""
        monkeypatch.setenv("EFFECTS_OLD", "a")

        def step():
            os.environ["EFFECTS_OLD"] = "b"
            os.environ["EFFECTS_NEW"] = "b"
            os.environ["EFFECTS_OLD"] = "a"
            del os.environ["EFFECTS_NEW"]

        assert heard(step) == NOTHING

    def test_folder(self, folder, heard):
        """The working folder is told where it is another one afterwards."""
        (folder / "sub").mkdir()
        assert heard(lambda: os.chdir("sub")).cwd == str(folder / "sub")
        assert heard(lambda: (os.chdir(".."), os.chdir("sub"))).cwd is None

    def test_deleted_folder(self, folder, heard):
        """A working folder that is gone stops nothing."""
        doomed = folder / "doomed"
        doomed.mkdir()
        os.chdir(doomed)

        def step():
            os.rmdir(doomed)
            with contextlib.suppress(FileNotFoundError):
                open("x", "w")

        seen = heard(step)
        assert seen.deleted == [str(doomed)]
        assert heard(lambda: os.chdir(folder)).cwd == str(folder)

    def test_input(self, heard):
        """A step that asks for input says so."""

        def step():
            with contextlib.suppress(EOFError, OSError):
                input()

        assert heard(step).asked_input
        assert not heard(lambda: None).asked_input

    def test_input_of_a_kernel(self, watch):
        """A kernel asks by a message, so the recorder tells."""
        watch.asked()
        watch.begin()
        watch.asked()
        assert watch.end().asked_input


class TestWhose:
    def test_threads_of_the_user(self, folder, heard):
        """What threads of the user's do counts."""

        def step():
            thread = threading.Thread(target=lambda: Path("a").touch())
            thread.start()
            thread.join()

        assert heard(step).writes == [str(folder / "a")]

    @pytest.mark.parametrize(
        "name", ["ipysession-log", "IPythonHistorySavingThread", "IOPub", "Heartbeat", "Control"]
    )
    def test_threads_of_the_kernel(self, folder, heard, name):
        """What our own threads and the kernel's do does not count."""

        def step():
            thread = threading.Thread(target=lambda: Path("a").touch(), name=name)
            thread.start()
            thread.join()

        assert heard(step) == NOTHING
        assert (folder / "a").exists()

    def test_quiet(self, folder, heard):
        """What happens in `quiet()` is not heard, in this thread, until its outermost end."""

        def step():
            with quiet():
                with quiet():
                    Path("a").touch()
                Path("b").touch()
                thread = threading.Thread(target=lambda: Path("c").touch())
                thread.start()
                thread.join()
            Path("d").touch()

        assert heard(step).writes == [str(folder / "c"), str(folder / "d")]

    def test_quiet_after_an_error(self, folder, heard):
        """An error inside `quiet()` ends it."""

        def step():
            with contextlib.suppress(ValueError), quiet():
                raise ValueError
            Path("a").touch()

        assert heard(step).writes == [str(folder / "a")]


class TestSteps:
    def test_between_steps(self, folder, watch):
        """What happens while no step runs is not heard, nor before a start or after a stop."""
        Path("a").touch()
        watch.begin()
        assert watch.end() == NOTHING
        Path("b").touch()
        watch.begin()
        watch.stop()
        Path("c").touch()
        assert watch.end() == NOTHING
        watch.begin()
        Path("d").touch()
        assert watch.end() == NOTHING
        watch.start()
        watch.begin()
        Path("e").touch()
        assert watch.end().writes == [str(folder / "e")]

    def test_each_by_itself(self, folder, heard):
        """What one step did is not told of the next."""
        assert heard(lambda: Path("a").touch()).writes == [str(folder / "a")]
        assert heard(lambda: Path("b").touch()).writes == [str(folder / "b")]

    def test_inside_another(self, folder, watch):
        """A step inside a step did what it did, and so did the outer one."""
        watch.begin()
        Path("a").touch()
        watch.begin()
        Path("b").touch()
        assert watch.end().writes == [str(folder / "b")]
        Path("c").touch()
        assert watch.end().writes == [str(folder / name) for name in "abc"]

    def test_side_by_side(self, folder, watch):
        """Steps in two threads, as subshells run them, are told apart."""
        both = threading.Barrier(2)
        seen = {}

        def run(name):
            watch.begin()
            both.wait()
            Path(name).touch()
            both.wait()
            seen[name] = watch.end()

        threads = [threading.Thread(target=run, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen["a"].writes == [str(folder / "a")]
        assert seen["b"].writes == [str(folder / "b")]

    def test_the_last_of_two(self, folder, watch):
        """When one of two steps has ended, threads that the other started are still heard."""
        began, ended = threading.Event(), threading.Event()

        def run():
            watch.begin()
            began.set()
            ended.wait(10)
            watch.end()

        other = threading.Thread(target=run)
        watch.begin()
        other.start()
        began.wait(10)
        ended.set()
        other.join()
        worker = threading.Thread(target=lambda: Path("a").touch())
        worker.start()
        worker.join()
        assert watch.end().writes == [str(folder / "a")]

    def test_an_end_too_many(self, watch):
        """An end without a beginning gives nothing."""
        assert watch.end() == NOTHING


class TestHook:
    def test_one_hook(self, folder):
        """However often it is started, a process gets one hook; and none before the first start."""
        program = """
            watch.stop()
            hooks = []
            sys.addaudithook(lambda event, _: hooks.append(event))
            for _ in range(3):
                other = EffectsWatch(); other.start(); other.begin(); other.end(); other.stop()
            print(json.dumps(hooks.count("sys.addaudithook")))
        """
        assert elsewhere(program, folder) == 0
        program = "import sys; import ipysession.record.effects.watch as e; print(e._installed)"
        assert in_python(program).stdout == "False\n"

    def test_fork(self, folder):
        """A forked child hears nothing; what it leaves in the folder is told as any process's."""
        program = """
            child = os.fork()
            if child == 0:
                open("child", "w").close()
                nothing = watch.end()
                watch.begin()
                open("child", "w").close()
                ok = nothing == watch.end() == type(nothing)()
                mine = EffectsWatch(); mine.start(); mine.begin()
                open("child", "w").close()
                ok = ok and len(mine.end().writes) == 1
                os._exit(0 if ok else 1)
            assert os.waitpid(child, 0)[1] == 0
            open("parent", "w").close()
            tell(watch.end())
        """
        seen = elsewhere(program, folder)
        assert sorted(seen["writes"]) == [str(folder / "child"), str(folder / "parent")]
        assert seen["by_processes"] == [str(folder / "child")]
        assert seen["processes"] == ["(fork)"]

    @pytest.mark.parametrize("event", sorted(events.HANDLERS))
    @pytest.mark.parametrize(
        "args",
        [
            (),
            (None, None, None, None),
            (object(), object(), object(), object()),
            ("\0", "\0", 1 << 70, "\0"),
            ("x" * 100_000, "\udcff", -5, {}),
            (b"\xff", b"\xff", 0, []),
            (1, 2, 3, 4),
            ([], {}, (), 1.5),
            (["a", object()], ["a", object(), 1], ["a"], None),
        ],
    )
    def test_never_raises(self, heard, event, args):
        """Whatever an event brings, the user's doing goes on."""
        heard(lambda: sys.audit(event, *args))

    def test_mode_without_flags(self, folder, heard):
        """Where only the mode is told, as by C code, it decides."""
        Path("a").touch()
        Path("b").touch()
        seen = heard(lambda: (sys.audit("open", "a", "w", 0), sys.audit("open", "b", "r", 0)))
        assert seen == EffectsSeen(writes=[str(folder / "a")], reads=[str(folder / "b")])

    def test_objects_with_a_mind_of_their_own(self, heard):
        """No code of the user's is run by the hook."""

        class Path:
            calls = 0

            def __fspath__(self):
                Path.calls += 1
                return "/etc/passwd"

        heard(lambda: sys.audit("open", Path(), "r", 0))
        assert Path.calls == 0

    def test_interrupt(self, folder, heard, monkeypatch):
        """Ctrl-C while the hook runs is the user's, and reaches the cell."""
        monkeypatch.setitem(events.HANDLERS, "open", _interrupt)

        def step():
            with pytest.raises(KeyboardInterrupt):
                open("a", "w")

        heard(step)

    def test_price(self, folder, watch):
        """An event costs about half a microsecond in a step, and far less outside one."""
        Path("a").touch()

        def price(count=20_000):
            began = time.thread_time()
            for _ in range(count):
                sys.audit("open", "a", "r", 0)
            return (time.thread_time() - began) / count

        inert = min(price() for _ in range(5))
        watch.begin()
        recording = min(price() for _ in range(5))
        watch.end()
        assert inert < 2e-6
        assert recording < 5e-6


def _interrupt(*_):
    raise KeyboardInterrupt


class TestDescription:
    def test_file(self, folder):
        """A file is told by size, time and the BLAKE3 of its content."""
        path = folder / "a"
        path.write_bytes(b"content")
        os.utime(path, (1_000_000_000.5, 1_000_000_000.5))
        (use,) = describe_files([str(path)], [], [])
        assert use.model_dump() == {
            "path": str(path),
            "size": 7,
            "mtime": 1_000_000_000.5,
            "digest": blake3(b"content").hexdigest(),
            "action": "read",
        }

    def test_actions(self, folder):
        """Each file is told once; written beats read."""
        for name in "ab":
            (folder / name).touch()
        a, b, c = (str(folder / name) for name in "abc")
        uses = describe_files([a, b], [b], [c])
        assert {use.path: use.action for use in uses} == {a: "read", b: "written", c: "deleted"}
        assert len(uses) == 3

    def test_changed_again(self, folder):
        """A file of the same size that changed a moment later has another digest."""
        path = folder / "a"
        for n in range(200):
            path.write_text(f"{n:05}")
            (use,) = describe_files([], [str(path)], [])
            assert use.digest == blake3(f"{n:05}".encode()).hexdigest()

    def test_remembered(self, folder, monkeypatch):
        """A file that has not changed since is not read again, even when there is no time."""
        path = folder / "a"
        path.write_text("x")
        monkeypatch.setattr(files, "_SETTLED_SECONDS", -1.0)
        (first,) = describe_files([str(path)], [], [])
        (again,) = describe_files([str(path)], [], [], budget_seconds=0)
        assert again.digest == first.digest is not None

    def test_too_large(self, folder):
        """A file above the limit has a size and no digest."""
        path = folder / "a"
        path.write_bytes(b"x" * 101)
        assert describe_files([str(path)], [], [], digest_limit=101)[0].digest is not None
        (use,) = describe_files([str(path)], [], [], digest_limit=100)
        assert (use.size, use.digest) == (101, None)

    def test_no_time(self, folder):
        """Once the time is spent, files get no digest."""
        path = folder / "a"
        with path.open("wb") as file:
            file.truncate(1 << 30)
        began = time.monotonic()
        (use,) = describe_files([str(path)], [], [], digest_limit=1 << 40, budget_seconds=0.05)
        assert use.digest is None
        assert time.monotonic() - began < 5
        assert describe_files([str(path)], [], [], budget_seconds=0)[0].digest is None

    @pytest.mark.timeout(10)
    def test_never_blocks(self, folder):
        """A pipe, a device, a folder and a socket are not opened."""
        os.mkfifo(folder / "fifo")
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(folder / "socket"))
            paths = [
                str(folder / "fifo"),
                str(folder / "socket"),
                str(folder),
                "/dev/tty",
                "/dev/zero",
            ]
            for use in describe_files(paths, paths[:1], []):
                assert (use.size, use.digest) == (None, None)

    def test_gone(self, folder):
        """What is gone, or is no path, is told without size."""
        (use, other) = describe_files([str(folder / "gone"), "\0"], [], [])
        assert (use.size, use.mtime, use.digest) == (None, None, None)
        assert other.size is None

    def test_unreadable(self, folder, monkeypatch):
        """A file that cannot be read has no digest."""
        path = folder / "a"
        path.write_text("x")

        def refuse(*_):
            raise PermissionError

        monkeypatch.setattr(files.os, "open", refuse)
        (use,) = describe_files([str(path)], [], [])
        assert (use.size, use.digest) == (1, None)

    def test_name_that_is_no_text(self, folder, heard):
        """A file whose name is no text is found, and its name told in escapes."""

        def step():
            Path("\udcff").write_text("x")
            subprocess.run(["true", "\udcff"])
            with pytest.raises(UnicodeEncodeError):
                subprocess.run(["true", "\ud800"])

        seen = heard(step)
        (use,) = describe_files([], seen.writes, [])
        assert (use.path, use.size) == (f"{folder}/\\xff", 1)
        assert seen.processes == ["true '\\xff'", "true '\\ud800'"]

    def test_not_heard(self, folder, heard):
        """Describing files is not a step's doing."""
        Path("a").touch()
        assert heard(lambda: describe_files([str(folder / "a")], [], [])) == NOTHING


def test_end_to_end(folder, heard):
    """What was heard is what can be described."""
    Path("in.csv").write_text("1")
    Path("old").write_text("1")

    def step():
        Path("out.csv").write_text(Path("in.csv").read_text())
        Path("old").unlink()

    seen = heard(step)
    uses = describe_files(seen.reads, seen.writes, seen.deleted)
    assert {(Path(use.path).name, use.action, use.size) for use in uses} == {
        ("in.csv", "read", 1),
        ("out.csv", "written", 1),
        ("old", "deleted", None),
    }
    assert multiprocessing.active_children() == []
