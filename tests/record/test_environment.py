"""Promises of what is told about the environment: machine, packages and git."""

import getpass
import importlib
import importlib.util
import os
import platform
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time
import types
from importlib import metadata
from pathlib import Path

import pytest

from ipysession.record import environment
from ipysession.record.environment import GitWatch, PackageWatch, describe_environment
from ipysession.store.whoami import user_name


def describe():
    """The environment of this process."""
    return describe_environment(frontend="kernel", ipython="9.1", ipykernel="7.0", version="0.1")


class TestDescription:
    def test_machine(self):
        """Python, machine, user, process and folder are told."""
        told = describe()
        assert told.python == platform.python_version()
        assert told.executable == sys.executable
        assert told.host == socket.gethostname()
        assert told.user == getpass.getuser()
        assert told.pid == os.getpid()
        assert told.cwd == str(Path.cwd())
        assert platform.machine() in told.platform
        assert (told.frontend, told.ipython, told.ipykernel, told.ipysession) == (
            "kernel",
            "9.1",
            "7.0",
            "0.1",
        )
        assert told.git is None

    def test_values_of_the_environment(self, monkeypatch):
        """Nothing of what environment variables hold is told."""
        monkeypatch.setenv("ENVIRONMENT_SECRET", "s3cr3t-value")
        assert "s3cr3t-value" not in describe().model_dump_json()

    def test_packages(self):
        """Imported packages are told with the versions that they were installed in."""
        packages = describe().packages
        for name in ("pytest", "pydantic", "typing_extensions"):
            assert packages[name] == metadata.version(name)
        assert not set(packages) & sys.stdlib_module_names
        assert not any("." in name or name.startswith("_") for name in packages)

    def test_not_imported(self):
        """What is installed and was not imported is not told."""
        program = (
            "from ipysession.record.environment import describe_environment as d\n"
            "print(*d(frontend='', ipython='', ipykernel=None, version='').packages)"
        )
        names = in_python(program).split()
        assert "pydantic" in names
        assert not {"pytest", "numpy", "pandas"} & set(names)

    def test_no_name_and_no_folder(self, tmp_path, monkeypatch):
        """A user without a name and a folder that is gone are told as far as they are known."""

        def nobody():
            raise KeyError("uid not found")

        monkeypatch.setattr(getpass, "getuser", nobody)
        doomed = tmp_path / "doomed"
        doomed.mkdir()
        monkeypatch.chdir(doomed)
        doomed.rmdir()
        told = describe()
        assert told.user == user_name() == str(os.getuid())
        assert told.cwd == ""

    def test_folder_that_is_no_text(self, tmp_path, monkeypatch):
        """A folder whose name is no text is told in escapes."""
        folder = tmp_path / "\udcff"
        folder.mkdir()
        monkeypatch.chdir(folder)
        assert describe().cwd.endswith(r"/\xff")

    def test_quick(self):
        """It takes a few milliseconds, and starts no process."""
        program = (
            "import sys, time, pandas\n"
            "from ipysession.record.environment import describe_environment as d\n"
            "started = []\n"
            "sys.addaudithook(lambda e, _: started.append(e) if e.endswith('Popen') else 0)\n"
            "began = time.thread_time()\n"
            "d(frontend='', ipython='', ipykernel=None, version='')\n"
            "print(time.thread_time() - began, len(started))"
        )
        seconds, started = in_python(program).split()
        assert float(seconds) < 0.05
        assert started == "0"


def in_python(program):
    """What a program prints in a Python of its own."""
    source = str(Path(environment.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": source},
    )
    return done.stdout


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Makes a package that can be imported, in one version or another; gives its name."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    name = "environment_test_package"

    def make(version, text=None):
        text = f"__version__ = {version!r}\n" if text is None else text
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        return name

    yield make
    for module in [module for module in sys.modules if module.startswith(name)]:
        del sys.modules[module]


class TestPackageWatch:
    def test_imported(self, package):
        """A package that was imported since the last question is told, once."""
        watch = PackageWatch()
        assert watch.new() == {}
        name = package("1.2.3")
        importlib.import_module(name)
        assert watch.new() == {name: "1.2.3"}
        assert watch.new() == {}

    def test_imported_before(self):
        """What was imported before the watch began is not new."""
        assert "pytest" in describe().packages
        assert PackageWatch().new() == {}

    def test_imported_anew(self, package):
        """A package that was removed, upgraded and imported anew is told with its new version."""
        name = package("1")
        importlib.import_module(name)
        watch = PackageWatch()
        length = len(sys.modules)
        del sys.modules[name]
        package("2")
        importlib.import_module(name)
        assert len(sys.modules) == length, "else the length alone would tell"
        assert watch.new() == {name: "2"}

    def test_one_in_one_out(self, package):
        """An import is noticed also where another module is removed meanwhile."""
        sys.modules["environment_test_other"] = types.ModuleType("environment_test_other")
        watch = PackageWatch()
        del sys.modules["environment_test_other"]
        name = package("1")
        importlib.import_module(name)
        assert watch.new() == {name: "1"}

    def test_installed_version(self, package, tmp_path):
        """A package that does not say its version is told with the one that was installed."""
        watch = PackageWatch()
        name = package("", text="x = 1\n")
        (tmp_path / "environment_test_package-9.data").mkdir()
        (tmp_path / "Environment_Test.Package-4.5.dist-info").mkdir()
        importlib.import_module(name)
        assert watch.new() == {name: "4.5"}
        del sys.modules[name]
        (tmp_path / "Environment_Test.Package-4.5.dist-info").rename(
            tmp_path / "environment_test_package-5.0.dist-info"
        )
        importlib.import_module(name)
        assert watch.new() == {name: "5.0"}

    def test_old_installation(self, package, tmp_path):
        """Installations that only left an egg-info are known, too."""
        watch = PackageWatch()
        name = package("", text="")
        (tmp_path / "environment_test_package-4.5-py3.11.egg-info").mkdir()
        importlib.import_module(name)
        assert watch.new() == {name: "4.5"}

    def test_reloaded(self, package):
        """An upgraded package that is reloaded is noticed at the next import."""
        name = package("1")
        module = importlib.import_module(name)
        watch = PackageWatch()
        package("2.0")
        importlib.reload(module)
        sys.modules["environment_test_other"] = types.ModuleType("environment_test_other")
        try:
            assert watch.new() == {name: "2.0"}
        finally:
            del sys.modules["environment_test_other"]

    def test_put_back(self, package):
        """An import is noticed also where the latest module was put back behind it."""
        watch = PackageWatch()
        latest, module = sys.modules.popitem()
        name = package("1")
        importlib.import_module(name)
        sys.modules[latest] = module
        assert watch.new() == {name: "1"}

    def test_no_version(self, package):
        """The user's own module, which has no version, is not told."""
        watch = PackageWatch()
        importlib.import_module(package("", text="__version__ = (1, 2)\n"))
        assert watch.new() == {}

    def test_lazy_module(self, package):
        """A module that loads when it is touched is not made to load."""
        name = package("1")
        spec = importlib.util.find_spec(name)
        loader = importlib.util.LazyLoader(spec.loader)
        spec.loader = loader
        module = importlib.util.module_from_spec(spec)
        watch = PackageWatch()
        sys.modules[name] = module
        loader.exec_module(module)
        watch.new()
        describe()
        assert type(module) is not types.ModuleType, "it was loaded"
        assert module.__version__ == "1"
        assert type(module) is types.ModuleType

    def test_module_with_a_getattr(self, package):
        """A module's own __getattr__ is not called: it may import, warn or raise."""
        watch = PackageWatch()
        name = package("", text="def __getattr__(name): raise SystemExit(name)\n")
        module = importlib.import_module(name)
        module.__dict__.pop("__version__", None)
        assert watch.new() == {}

    @pytest.mark.parametrize(
        "strange", [None, 1, "x", object(), type("C", (), {"__slots__": ()})()]
    )
    def test_strange_modules(self, strange, monkeypatch):
        """Whatever sits in sys.modules, nothing is raised."""
        watch = PackageWatch()
        with monkeypatch.context() as strangely:
            strangely.setitem(sys.modules, "environment_test_strange", strange)
            told = watch.new(), watch.new()
        assert told == ({}, {})

    def test_hostile_module(self, monkeypatch):
        """Not even a module that raises on everything."""

        class Hostile(types.ModuleType):
            def __getattribute__(self, name):
                raise RuntimeError(name)

            def __eq__(self, other):
                raise RuntimeError

            __hash__ = None

        watch = PackageWatch()
        with monkeypatch.context() as hostile:
            hostile.setitem(sys.modules, "environment_test_hostile", Hostile("x"))
            told = watch.new()
        assert told == {}

    def test_broken_table(self, monkeypatch):
        """Not even when sys.modules is no dictionary any more."""
        watch = PackageWatch()
        with monkeypatch.context() as broken:
            broken.setattr(sys, "modules", None)
            told = watch.new()
        assert told == {}

    def test_keeps_nothing_alive(self, package):
        """A module that is removed can be freed."""
        import gc
        import weakref

        name = package("1")
        importlib.import_module(name)
        watch = PackageWatch()
        gone = weakref.ref(sys.modules.pop(name))
        gc.collect()
        assert gone() is None
        assert watch.new() == {}


# --- Git ------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def plain_git(monkeypatch, tmp_path):
    """Git as on a fresh machine, whatever the developer has configured."""
    home = tmp_path / "home"
    home.mkdir()
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))


def git(folder, *arguments):
    """Run git and give what it says."""
    done = subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    """A repository with one commit on the branch `work`."""
    folder = tmp_path.resolve() / "repository"
    folder.mkdir()
    git(folder, "init", "--initial-branch=work")
    (folder / "a").write_text("1")
    git(folder, "add", "a")
    git(folder, "commit", "-m", "one")
    return folder


def state(folder):
    """The state that a new watch finds."""
    watch = GitWatch(folder)
    watch.start()
    watch.wait()
    return watch.poll()


def after(watch):
    """The state that a watch finds once it was told to look."""
    watch.check_moved()
    watch.wait()
    return watch.poll()


class TestGitState:
    def test_clean(self, repository):
        """Commit, branch and worktree are told; without changes it is not dirty."""
        found = state(repository)
        assert found.worktree == str(repository)
        assert found.commit == git(repository, "rev-parse", "HEAD")
        assert found.branch == "work"
        assert found.dirty is False

    def test_below(self, repository):
        """A folder below the worktree belongs to it."""
        (repository / "sub").mkdir()
        assert state(repository / "sub").worktree == str(repository)

    @pytest.mark.parametrize("change", ["changed", "staged", "untracked", "deleted"])
    def test_dirty(self, repository, change):
        """Any change that is not committed makes it dirty, also a file that git does not know."""
        if change == "untracked":
            (repository / "b").write_text("1")
        elif change == "deleted":
            (repository / "a").unlink()
        else:
            (repository / "a").write_text("2")
        if change == "staged":
            git(repository, "add", "a")
        assert state(repository).dirty is True

    def test_ignored_files(self, repository):
        """What git is told to ignore does not make it dirty."""
        (repository / ".git/info/exclude").write_text("b\n")
        (repository / "b").write_text("1")
        assert state(repository).dirty is False

    def test_detached(self, repository):
        """Without a branch there is a commit."""
        git(repository, "checkout", "--detach")
        found = state(repository)
        assert found.branch is None
        assert found.commit == git(repository, "rev-parse", "HEAD")

    def test_unborn(self, tmp_path):
        """Before the first commit there is a branch."""
        git(tmp_path, "init", "--initial-branch=work", "new")
        found = state(tmp_path / "new")
        assert (found.commit, found.branch, found.dirty) == (None, "work", False)

    def test_other_worktree(self, repository, tmp_path):
        """A linked worktree, whose .git is a file, has a state of its own."""
        git(repository, "worktree", "add", "-b", "side", str(tmp_path / "linked"))
        watch = GitWatch(tmp_path / "linked")
        watch.start()
        watch.wait()
        assert watch.poll().branch == "side"
        git(repository, "commit", "--allow-empty", "-m", "elsewhere")
        assert after(watch) is None
        git(tmp_path / "linked", "commit", "--allow-empty", "-m", "here")
        assert after(watch).commit == git(tmp_path / "linked", "rev-parse", "HEAD")

    def test_strange_name(self, tmp_path):
        """A folder's name may hold what it likes; what is no text is told in escapes."""
        folder = tmp_path.resolve() / "é \udcff"
        folder.mkdir()
        subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
        assert state(folder).worktree == str(folder).replace("\udcff", r"\xff")


class TestGitAbsent:
    def test_no_repository(self, tmp_path):
        """Outside a repository nothing is found, and nothing is looked for."""
        watch = GitWatch(tmp_path)
        watch.start()
        watch.wait()
        assert watch.poll() is None
        assert after(watch) is None

    def test_no_git(self, repository, monkeypatch, capfd):
        """Without git nothing is found and nothing is said."""
        monkeypatch.setenv("PATH", "")
        assert state(repository) is None
        assert capfd.readouterr() == ("", "")

    def test_bare(self, tmp_path):
        """A bare repository has no worktree, so no state."""
        git(tmp_path, "init", "--bare", "bare")
        assert state(tmp_path / "bare") is None

    def test_missing_folder(self, tmp_path, capfd):
        """Nor has a folder that does not exist."""
        assert state(tmp_path / "missing") is None
        assert capfd.readouterr() == ("", "")


class TestGitMoves:
    @pytest.fixture
    def watch(self, repository):
        """A watch that has told of the first state."""
        watch = GitWatch(repository)
        watch.start()
        watch.wait()
        assert watch.poll() is not None
        return watch

    def test_told_once(self, watch):
        """A state is told once, and nothing is read while HEAD stays."""
        assert watch.poll() is None
        assert after(watch) is None

    @pytest.mark.parametrize(
        "move",
        [
            ["commit", "--allow-empty", "-m", "two"],
            ["commit", "--amend", "-m", "other"],
            ["checkout", "-b", "new"],
            ["checkout", "--detach"],
        ],
    )
    def test_moved(self, watch, repository, move):
        """A commit, an amended one, another branch and none are noticed."""
        git(repository, *move)
        found = after(watch)
        assert found.commit == git(repository, "rev-parse", "HEAD")
        assert (found.branch or "") == git(repository, "branch", "--show-current")
        assert after(watch) is None

    def test_moved_while_reading(self, repository, monkeypatch):
        """A commit that comes while the state is read is noticed afterwards."""
        read = environment._git

        def slow(program, folder, *arguments):
            said = read(program, folder, *arguments)
            if arguments[0] == "status" and not moved:
                moved.append(1)
                git(repository, "commit", "--allow-empty", "-m", "meanwhile")
            return said

        moved = []
        monkeypatch.setattr(environment, "_git", slow)
        watch = GitWatch(repository)
        watch.start()
        watch.wait()
        assert moved
        assert watch.poll().commit != git(repository, "rev-parse", "HEAD")
        assert after(watch).commit == git(repository, "rev-parse", "HEAD")

    def test_other_folder(self, watch, repository, tmp_path):
        """Another folder is watched when the watch is told to; changing directory is not enough."""
        other = tmp_path.resolve() / "other"
        git(tmp_path, "init", "--initial-branch=main", "other")
        assert after(watch) is None
        watch.move(other)
        watch.wait()
        assert watch.poll().worktree == str(other)
        git(repository, "commit", "--allow-empty", "-m", "elsewhere")
        assert after(watch) is None

    def test_late_answer(self, watch, repository, tmp_path, monkeypatch):
        """An answer about a folder that is no longer watched is not told."""
        git(tmp_path, "init", "other")
        read = environment._read_git
        gate = threading.Event()

        def slow(program, folder):
            found = read(program, folder)
            if folder == str(repository):
                gate.wait(10)
            return found

        monkeypatch.setattr(environment, "_read_git", slow)
        git(repository, "commit", "--allow-empty", "-m", "two")
        watch.check_moved()
        first = watch._thread
        watch.move(tmp_path / "other")
        watch.wait()
        gate.set()
        first.join(10)
        assert watch.poll().worktree == str(tmp_path.resolve() / "other")
        assert watch.poll() is None

    def test_price(self, watch, monkeypatch):
        """Looking whether HEAD moved costs two calls of os.stat and starts nothing."""
        calls = []
        real = os.stat

        def counted(path, *arguments, **options):
            calls.append(path)
            return real(path, *arguments, **options)

        monkeypatch.setattr(environment.os, "stat", counted)
        before = watch._thread
        watch.check_moved()
        watch.poll()
        assert len(calls) <= 2
        assert watch._thread is before


class TestGitManners:
    def test_in_the_background(self, repository, monkeypatch):
        """Reading happens in a daemon thread whose name tells whose it is."""
        seen = []

        def read(*_):
            seen.append(threading.current_thread())

        monkeypatch.setattr(environment, "_read_git", read)
        watch = GitWatch(repository)
        watch.start()
        watch.wait()
        assert seen[0].daemon
        assert seen[0].name.startswith("ipysession")

    def test_hanging(self, repository, tmp_path, monkeypatch):
        """A git that hangs is given up, and with it what it started."""
        monkeypatch.setattr(environment, "_SECONDS", 0.3)
        marker = tmp_path / "lived"
        fake(tmp_path, f"(sleep 3; touch {marker}) & sleep 30", monkeypatch)
        began = time.monotonic()
        assert state(repository) is None
        assert time.monotonic() - began < 10
        time.sleep(3.5)
        assert not marker.exists()

    def test_slow_status(self, repository, tmp_path, monkeypatch):
        """Where only the search for changes hangs, commit and branch are still told."""
        monkeypatch.setattr(environment, "_SECONDS", 1.0)
        real = shutil.which("git")
        commit = git(repository, "rev-parse", "HEAD")
        script = f'for x in "$@"; do [ "$x" = status ] && sleep 30; done; exec {real} "$@"'
        fake(tmp_path, script, monkeypatch)
        found = state(repository)
        assert (found.commit, found.branch, found.dirty) == (commit, "work", None)

    def test_failing(self, repository, tmp_path, monkeypatch, capfd):
        """A git that fails, and what it says, is passed over."""
        fake(tmp_path, "echo out; echo err >&2; exit 1", monkeypatch)
        assert state(repository) is None
        assert capfd.readouterr() == ("", "")

    def test_nonsense(self, repository, tmp_path, monkeypatch):
        """So is one that talks nonsense."""
        fake(tmp_path, "printf '# branch.oid'", monkeypatch)
        assert state(repository) is None

    def test_surroundings(self, repository, tmp_path, monkeypatch):
        """Git gets no input, pager or prompt, takes no locks, and has a session of its own."""
        told = tmp_path / "told"
        monkeypatch.setenv("GIT_DIR", "/nowhere")
        script = f'(env; readlink /proc/self/fd/0; ps -o sid= -p $$; echo "$@") > {told}'
        fake(tmp_path, script, monkeypatch)
        state(repository)
        lines = told.read_text().splitlines()
        assert "GIT_OPTIONAL_LOCKS=0" in lines
        assert "GIT_TERMINAL_PROMPT=0" in lines
        assert not any(line.startswith("GIT_DIR=") for line in lines)
        assert "/dev/null" in lines
        assert any("--no-pager" in line for line in lines)
        assert str(os.getsid(0)) not in [line.strip() for line in lines]

    def test_untouched(self, repository):
        """Reading the state leaves the repository as it was, index included."""
        os.utime(repository / "a")  # git would refresh its index now
        index = repository / ".git/index"
        before = index.read_bytes(), index.stat().st_mtime_ns
        assert state(repository).dirty is False
        assert (index.read_bytes(), index.stat().st_mtime_ns) == before

    def test_fsmonitor(self, repository, tmp_path):
        """A program that the repository's configuration names is not run."""
        marker = tmp_path / "ran"
        program = tmp_path / "monitor"
        program.write_text(f"#!/bin/sh\ntouch {marker}\n")
        program.chmod(stat.S_IRWXU)
        git(repository, "config", "core.fsmonitor", str(program))
        git(repository, "status")
        assert marker.exists(), "the test proves nothing"
        marker.unlink()
        assert state(repository) is not None
        assert not marker.exists()


def fake(folder, script, monkeypatch):
    """Put a git of our own making before the real one."""
    programs = folder / "programs"
    programs.mkdir()
    program = programs / "git"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
