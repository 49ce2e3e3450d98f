"""Every executed cell once, as it runs, in real kernels."""

from __future__ import annotations

import math
import subprocess

import pytest
from integration.kernels import Home, Kernel

import ipysession
from ipysession.documents import step_outputs
from ipysession.model import Outcome
from ipysession.model.payloads import StepFinished

pytestmark = pytest.mark.integration

LOAD = "%load_ext ipysession"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The folders of one imaginary user."""
    return Home(tmp_path_factory.mktemp("recorder"))


@pytest.fixture(scope="module")
def shared(home):
    """A kernel that records; each test completes the session before it."""
    with Kernel(home) as kernel:
        kernel.ok("import sys, os, time, threading\nfrom IPython.display import display")
        kernel.ok(LOAD)
        yield kernel


@pytest.fixture
def kernel(shared):
    """The shared kernel, with a session of the test's own."""
    yield shared
    shared.ok("%reset_selective -f ^zz_")
    shared.run("%session continue")
    shared.ok("%session complete")


def read(home):
    """The latest session, without a kernel."""
    return ipysession.open(str(newest(home)))


def newest(home):
    """The folder of the latest kernel's session."""
    folders = sorted((home.store / "sessions").iterdir(), key=lambda f: f.stat().st_mtime)
    current = home.store / "current"
    return current.resolve() if current.exists() else folders[-1]


def steps(home):
    """The steps of the latest session."""
    return read(home).session.steps


def outputs(home, number):
    """The outputs of a step."""
    return step_outputs(read(home))[number]


def text_of(found):
    """The text of all streams."""
    return "".join(o["text"] for o in found if o["output_type"] == "stream")


class TestWhatAStepHolds:
    """Source, outputs, outcome, timing and provenance."""

    def test_a_plain_cell(self, kernel, home):
        """Source as typed, cell id, notebook, count, times, names bound."""
        answer = kernel.ok("x = 6 * 7\nx", cell_id="cell-a")
        step = steps(home)[-1]
        assert step.source == "x = 6 * 7\nx"
        assert step.cell_id == "cell-a"
        assert step.notebook == str(home.notebook)
        assert step.execution_count == answer.execution_count
        assert step.outcome is Outcome.OK
        assert step.finished >= step.started
        assert 0 < step.duration < 10
        assert "x" in step.provenance.bound
        [result] = outputs(home, step.number)
        assert result["output_type"] == "execute_result"
        assert result["data"]["text/plain"] == "42"
        assert result["execution_count"] == answer.execution_count

    def test_magics_and_shell_commands_as_typed_and_as_transformed(self, kernel, home):
        """%%time, !echo and x = !ls, with what they printed."""
        kernel.ok("%%time\nq = 3")
        kernel.ok("!echo from the shell")
        kernel.ok("lines = !echo a line\nlines")
        timed, shell, lines = steps(home)[-3:]
        assert timed.source.startswith("%%time")
        assert "run_cell_magic('time'" in timed.transformed
        assert "Wall time" in text_of(outputs(home, timed.number))
        assert "q" in timed.provenance.bound
        assert "from the shell" in text_of(outputs(home, shell.number))
        assert any("echo from the shell" in use.command for use in shell.provenance.processes)
        assert "a line" in outputs(home, lines.number)[0]["data"]["text/plain"]

    def test_top_level_await(self, kernel, home):
        """A cell with await runs in the kernel's loop; its outputs and names are its own."""
        kernel.ok(
            "import asyncio\nprint('before')\nawait asyncio.sleep(0.05)\nprint('after')\nw = 1"
        )
        step = steps(home)[-1]
        assert text_of(outputs(home, step.number)) == "before\nafter\n"
        assert {"w", "asyncio"} <= set(step.provenance.bound)

    def test_errors_with_their_full_traceback(self, kernel, home):
        """The exception as shown, and in the step."""
        kernel.run("def deep():\n    return 1 / 0\ndeep()")
        step = steps(home)[-1]
        assert step.outcome is Outcome.ERROR
        assert step.error.ename == "ZeroDivisionError"
        assert "deep" in "".join(step.error.traceback)
        [error] = outputs(home, step.number)
        assert error["output_type"] == "error"

    @pytest.mark.parametrize("source", ["x = = 1", "  y = 1\n z = 2", "%nosuchmagic", "for"])
    def test_cells_that_cannot_run(self, kernel, home, source):
        """A syntax error is a failed step, with its source."""
        kernel.run(source)
        step = steps(home)[-1]
        assert step.source == source
        assert step.outcome is Outcome.ERROR

    def test_a_repr_that_raises_is_an_error(self, kernel, home):
        """IPython calls that a success; the user saw a traceback."""
        kernel.run("class R:\n    def __repr__(self): raise ValueError('bad repr')\nR()")
        assert steps(home)[-1].outcome is Outcome.ERROR
        assert steps(home)[-1].error.evalue == "bad repr"

    def test_an_interrupted_cell(self, kernel, home):
        """KeyboardInterrupt is an outcome of its own, and keeps what was printed."""
        answer = kernel.send("print('started', flush=True)\ntime.sleep(60)")
        kernel.receive(answer, 1.5)
        kernel.interrupt()
        kernel.receive(answer, 20)
        assert answer.status == "error"
        step = steps(home)[-1]
        assert step.outcome is Outcome.INTERRUPTED
        assert "started" in text_of(outputs(home, step.number))
        kernel.ok("1")
        assert steps(home)[-1].outcome is Outcome.OK, "recording goes on"

    def test_names_deleted(self, kernel, home):
        """``del`` and what it deleted."""
        kernel.ok("doomed = 1")
        kernel.ok("del doomed")
        assert "doomed" in steps(home)[-1].provenance.deleted

    def test_files_processes_and_packages(self, kernel, home):
        """What the cell did outside the namespace."""
        kernel.ok("open('made.txt', 'w').write('some text')\nprint(open('made.txt').read())")
        uses = {use.path: use for use in steps(home)[-1].provenance.files}
        assert uses[str(home.work / "made.txt")].action == "written"
        assert uses[str(home.work / "made.txt")].size == 9
        kernel.ok("import subprocess\nsubprocess.run(['true'])")
        assert any("true" in use.command for use in steps(home)[-1].provenance.processes)
        kernel.ok("import nbformat")
        kernel.ok("import socket\ns = socket.socket()\ns.connect_ex(('127.0.0.1', 9))\ns.close()")
        assert steps(home)[-1].provenance.connections[0].address.startswith("127.0.0.1")
        run = read(home).session.runs[-1]
        assert run.environment.python
        assert run.environment.cwd == str(home.work)
        assert "IPython" in run.environment.packages or "ipykernel" in run.environment.packages

    def test_the_git_commit_at_the_start_and_when_head_moves(self, tmp_path):
        """With branch and dirtiness, without making the cell wait for git."""
        home = Home(tmp_path)
        git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(home.work)]

        def run_git(*words):
            subprocess.run([*git, *words], check=True, capture_output=True)

        run_git("init", "-b", "trunk")
        (home.work / "a.txt").write_text("1")
        run_git("add", "a.txt")
        run_git("commit", "-m", "first")
        (home.work / "a.txt").write_text("2")
        with Kernel(home) as kernel:
            kernel.ok(LOAD)
            kernel.ok("import time; time.sleep(1.5)")
            started = read(home).session.runs[0].environment.git
            assert started.branch == "trunk"
            assert started.dirty
            assert started.worktree == str(home.work)
            kernel.ok("!git -c user.name=a -c user.email=a@b commit -am second; sleep 1")
            kernel.ok("time.sleep(1.5)")
            states = [step.provenance.git for step in steps(home) if step.provenance.git]
        assert states[-1].commit != started.commit
        assert not states[-1].dirty
        assert read(home).session.runs[0].environment.git == started

    def test_input_counts_as_an_effect(self, kernel, home):
        """A cell that asked cannot be replayed silently."""
        answer = kernel.ok("name = input('who? ')\nname", typed=["Ada"])
        assert answer.result == "'Ada'"
        assert steps(home)[-1].provenance.asked_input


class TestOutputs:
    """All of them, as nbformat, whatever they came through."""

    def test_displays_updates_and_clear_output(self, kernel, home):
        """As nbclient does it: an update changes the display where it stands."""
        kernel.ok("handle = display('first', display_id=True)")
        kernel.ok("handle.update('second')")
        shown = outputs(home, steps(home)[-2].number)
        assert shown[0]["data"]["text/plain"] == "'second'"
        kernel.ok(
            "from IPython.display import clear_output\n"
            "print('gone')\nclear_output(wait=True)\nprint('stays')"
        )
        assert text_of(outputs(home, steps(home)[-1].number)) == "stays\n"

    def test_both_streams_and_rich_displays(self, kernel, home):
        """Order as it arrived."""
        kernel.ok(
            "from IPython.display import HTML\n"
            "print('out'); print('err', file=sys.stderr); display(HTML('<b>x</b>'))"
        )
        shown = outputs(home, steps(home)[-1].number)
        assert [o.get("name") for o in shown[:2]] == ["stdout", "stderr"]
        assert shown[2]["data"]["text/html"] == "<b>x</b>"

    def test_threads_and_subprocesses(self, kernel, home):
        """What reaches the kernel's streams from elsewhere."""
        kernel.ok(
            "t = threading.Thread(target=print, args=('from a thread',)); t.start(); t.join()\n"
            "os.system('echo from a subprocess'); time.sleep(0.5)"
        )
        text = text_of(outputs(home, steps(home)[-1].number))
        assert "from a thread" in text
        assert "from a subprocess" in text

    def test_late_output_goes_to_the_cell_that_caused_it(self, kernel, home):
        """A thread that prints after its cell ended."""
        kernel.ok(
            "def late():\n    time.sleep(0.4)\n    print('late')\n"
            "thread = threading.Thread(target=late); thread.start()"
        )
        kernel.ok("thread.join(); time.sleep(0.5)")
        both = "".join(text_of(outputs(home, s.number)) for s in steps(home)[-2:])
        assert both.count("late") == 1

    def test_captured_output_is_not_shown_and_not_recorded(self, kernel, home):
        """%%capture keeps it from the user, so it is no output of the cell."""
        kernel.ok("%%capture kept\nprint('captured')")
        assert outputs(home, steps(home)[-1].number) == []
        assert "kept" in steps(home)[-1].provenance.bound

    def test_a_million_prints(self, kernel, home):
        """All of them arrive, and the cell is not disturbed."""
        kernel.ok("for i in range(1_000_000): print(i)", seconds=110)
        text = text_of(outputs(home, steps(home)[-1].number))
        lines = text.splitlines()
        assert len(lines) == 1_000_000
        assert lines[-1] == "999999"

    def test_a_hundred_megabytes(self, kernel, home):
        """A huge output goes to a blob and comes back whole."""
        kernel.ok("print('y' * 100_000_000)", seconds=110)
        text = text_of(outputs(home, steps(home)[-1].number))
        assert len(text) == 100_000_001
        blobs = [f for f in (newest(home) / "blobs").rglob("*") if f.is_file()]
        assert max(f.stat().st_size for f in blobs) > 90_000_000

    def test_widget_traffic_is_passed_over(self, kernel, home):
        """Comm messages are no outputs and do no harm."""
        kernel.ok(
            "from comm import create_comm\nc = create_comm(target_name='t')\nc.send({'a': 1})"
        )
        step = steps(home)[-1]
        assert step.outcome is Outcome.OK
        assert outputs(home, step.number) == []

    def test_odd_values_in_displays(self, kernel, home):
        """NaN, huge numbers and U+2028 survive. (Jupyter itself warns of NaN on stderr.)"""
        kernel.ok(
            "display({'application/json': {'v': [float('nan'), 1e400, 2**70], 's': '\\u2028'},"
            " 'text/plain': 'odd'}, raw=True)"
        )
        found = outputs(home, steps(home)[-1].number)
        [shown] = [o for o in found if o["output_type"] == "display_data"]
        data = shown["data"]["application/json"]
        assert math.isnan(data["v"][0])
        assert math.isinf(data["v"][1])
        assert data["v"][2] == 2**70
        assert data["s"] == "\u2028"


class TestEachCellOnce:
    """Nothing twice, nothing missing."""

    def test_blank_cells_and_session_cells_are_no_steps(self, kernel, home):
        """They run nothing of the user's."""
        kernel.ok("1")
        before = len(steps(home))
        for code in (
            "",
            "   \n",
            "%session",
            "%session status --json",
            "%session list\n%session show",
        ):
            kernel.ok(code)
        assert len(steps(home)) == before
        kernel.ok("mixed = 1\n%session note with a note")
        assert len(steps(home)) == before + 1

    def test_cells_inside_cells(self, kernel, home):
        """A cell that runs cells is one step, with all their output."""
        before = kernel.ok("0") and len(steps(home))
        kernel.ok("get_ipython().run_cell('print(\"inner\")\\ninner = 1'); print('outer')")
        assert len(steps(home)) == before + 1
        assert text_of(outputs(home, steps(home)[-1].number)) == "inner\nouter\n"
        kernel.ok("plain = 1")
        assert len(steps(home)) == before + 2, "the next cell does not look nested"

    def test_executions_without_history(self, kernel, home):
        """Programs that run code with store_history off are recorded, and marked."""
        kernel.run("hidden = 1", store_history=False)
        assert steps(home)[-1].source == "hidden = 1"
        assert not steps(home)[-1].store_history

    def test_reset_and_autoreload(self, kernel, home):
        """IPython's own housekeeping is just another cell."""
        kernel.ok("a_name = 1")
        kernel.ok("%reset -f")
        assert "a_name" in steps(home)[-1].provenance.deleted
        kernel.ok("%load_ext autoreload\n%autoreload 2")
        kernel.ok("import sys, os, time, threading\nfrom IPython.display import display")
        assert steps(home)[-1].outcome is Outcome.OK
        kernel.ok("%autoreload 0")

    def test_paused_means_not_recorded(self, kernel, home):
        """Until continue."""
        kernel.ok("1")
        kernel.ok("%session pause")
        before = len(steps(home))
        kernel.ok("secretly = 1")
        assert len(steps(home)) == before
        kernel.ok("%session continue")
        kernel.ok("openly = 1")
        assert len(steps(home)) == before + 1

    def test_secrets_never_reach_the_disk(self, kernel, home):
        """Neither in the source, nor in outputs, tracebacks, or bound values' previews."""
        secret = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6"
        kernel.run(f"token = '{secret}'\nprint(token)\nraise ValueError(token)")
        log = b"".join(f.read_bytes() for f in (newest(home) / "log").iterdir())
        assert secret.encode() not in log
        step = steps(home)[-1]
        assert "[redacted:" in step.source
        assert sum(step.redacted.values()) >= 1


class TestLoading:
    """Beginning and ending."""

    def test_the_cell_that_loads_the_extension(self, home):
        """It is a step when it does anything else."""
        with Kernel(home) as kernel:
            kernel.ok(f"early = 1\n{LOAD}\nlate = 2\nprint('shown')")
            kernel.ok("early + late")
            first, second = steps(home)
            assert "late = 2" in first.source
            assert {"late"} <= set(first.provenance.bound)
            assert "shown" in text_of(outputs(home, first.number))
            assert outputs(home, second.number)[0]["data"]["text/plain"] == "3"

    def test_loading_leaves_nothing_behind(self, tmp_path):
        """Sessions are created lazily, with the first step."""
        home = Home(tmp_path)
        with Kernel(home) as kernel:
            assert "Recording" in kernel.ok(LOAD).text
            kernel.ok("%session")
            kernel.ok("%session list")
        assert not home.store.exists()

    def test_unloading_leaves_ipython_as_it_was(self, tmp_path):
        """Events, magics, hooks, threads, Session.send, completer."""
        probe = (
            "import threading as _t, sys as _s\n"
            "ip = get_ipython()\n"
            "def fingerprint():\n"
            "    return {\n"
            "        'events': {k: list(v) for k, v in ip.events.callbacks.items()},\n"
            "        'send': 'send' in vars(ip.kernel.session),\n"
            "        'line': sorted(ip.magics_manager.magics['line']),\n"
            "        'cell': sorted(ip.magics_manager.magics['cell']),\n"
            "        'registry': 'SessionMagics' in list(ip.magics_manager.registry),\n"
            "        'threads': sorted(t.name for t in _t.enumerate() if 'ipysession' in t.name),\n"
            "        'hooks': {k: len([*v]) for k, v in ip.hooks.items()\n"
            "                  if hasattr(v, '__iter__')},\n"
            "        'complete': sorted(ip.strdispatchers['complete_command'].strs),\n"
            "        'stdout': type(_s.stdout).__name__,\n"
            "        'hidden': '_session' in ip.user_ns,\n"
            "    }\n"
        )
        with Kernel(Home(tmp_path)) as kernel:
            # Modules that loading imports stay imported, and register what they need.
            kernel.ok(LOAD)
            kernel.ok("%unload_ext ipysession")
            kernel.ok(probe)
            kernel.ok("before = fingerprint()")
            kernel.ok(LOAD)
            kernel.ok("x = 1; print(x)")
            kernel.ok("x")
            during = kernel.ok("sorted(k for k in before if fingerprint()[k] != before[k])").result
            assert "events" in during
            assert "send" in during
            kernel.ok("%unload_ext ipysession")
            after = kernel.ok("[k for k in before if fingerprint()[k] != before[k]]").result
            told = "{k: set(map(str, before[k])) ^ set(map(str, fingerprint()[k])) for k in %s}"
            assert after == "[]", kernel.ok(told % after).result

    def test_loading_again_after_unloading(self, tmp_path):
        """A second session of the same kernel."""
        home = Home(tmp_path)
        with Kernel(home) as kernel:
            kernel.ok(LOAD)
            kernel.ok("1")
            kernel.ok("%unload_ext ipysession")
            kernel.ok("not_recorded = 1")
            kernel.ok(LOAD)
            kernel.ok("2")
        assert len(list((home.store / "sessions").iterdir())) == 2

    def test_an_orderly_end_leaves_the_session_paused(self, tmp_path):
        """With the reason, and the run's end."""
        home = Home(tmp_path)
        with Kernel(home) as kernel:
            kernel.ok(LOAD)
            kernel.ok("x = 1")
        session = read(home).session
        assert session.summary.state == "paused"
        assert session.summary.reason == "kernel shutdown"
        assert session.runs[-1].ended is not None

    def test_exit_in_a_cell(self, tmp_path):
        """``exit`` ends the kernel in an orderly way."""
        home = Home(tmp_path)
        with Kernel(home) as kernel:
            kernel.ok(LOAD)
            kernel.ok("x = 1")
            kernel.run("exit")
        session = read(home).session
        assert session.summary.state == "paused"
        assert session.steps[-1].source == "exit"

    def test_the_record_of_a_step_ends_before_its_reply(self, kernel, home):
        """What is acknowledged is in the log already."""
        kernel.ok("acknowledged = 1")
        records = read(home).contents.records
        finished = [r.payload for r in records if isinstance(r.payload, StepFinished)]
        assert finished[-1].step == steps(home)[-1].number

    def test_disabled_by_the_environment(self, tmp_path):
        """Kernels that verify an export must not record themselves."""
        home = Home(tmp_path)
        with Kernel(home, env={"IPYSESSION_DISABLE": "1"}) as kernel:
            kernel.ok(LOAD)
            kernel.ok("x = 1")
        assert not home.store.exists()

    def test_strict_and_other_settings(self, tmp_path):
        """Configured by traits on the kernel's command line."""
        home = Home(tmp_path)
        settings = ["--Recording.sync=strict", "--Recording.redact=False"]
        with Kernel(home, arguments=settings) as kernel:
            kernel.ok(LOAD)
            kernel.ok("password = 'correct-horse-battery-9'")
            assert "correct-horse" in steps(home)[-1].source

    def test_a_store_that_cannot_be_written_never_stops_the_user(self, tmp_path):
        """Told, and the cells run as ever."""
        home = Home(tmp_path)
        home.store.write_text("a file where the store should be")
        with Kernel(home) as kernel:
            kernel.ok(LOAD)
            first = kernel.ok("x = 1\nx")
            assert first.result == "1"
            assert kernel.ok("x + 1").result == "2"

    def test_forked_children_do_not_write_the_log(self, kernel, home):
        """Children of multiprocessing share our hooks, not our session."""
        kernel.ok(
            "import multiprocessing\n"
            "def work(n): print('child', n); return n * n\n"
            "with multiprocessing.get_context('fork').Pool(2) as pool:\n"
            "    squares = pool.map(work, range(4))\nsquares"
        )
        reading = read(home)
        assert not reading.damage
        assert "[0, 1, 4, 9]" in str(outputs(home, steps(home)[-1].number))


REFUSING_DISK = """
import os, errno
_write, refusing = os.write, True
def refuse(descriptor, data):
    if refusing and b'"seq"' in bytes(data[:40]):
        raise OSError(errno.ENOSPC, 'No space left on device')
    return _write(descriptor, data)
os.write = refuse
"""


class TestTrouble:
    """A fault of ours, or of the disk, is told and never disturbs a cell."""

    def test_a_full_disk_is_told_once_and_nothing_is_lost(self, tmp_path):
        """Records wait in memory and are written when the disk takes them again."""
        home = Home(tmp_path)
        with Kernel(home) as kernel:
            kernel.ok(LOAD)
            kernel.ok("before = 1")
            first = kernel.ok(REFUSING_DISK)
            second = kernel.ok("print('still runs')\n1 + 1")
            assert second.result == "2"
            told = (first.stderr + second.stderr).count("CANNOT BE WRITTEN")
            assert told == 1
            assert "Waiting for the disk" in kernel.ok("%session").text
            assert "CANNOT BE WRITTEN" not in kernel.ok("x = 5").stderr
            recovered = kernel.ok("refusing = False").stderr
            recovered += kernel.ok("import time; time.sleep(1.5)").stderr
            recovered += kernel.ok("y = 6").stderr
            assert recovered.count("takes records again") == 1
        reading = read(home)
        sources = [step.source for step in reading.session.steps]
        assert sources[0] == "before = 1"
        assert sources[2:5] == ["print('still runs')\n1 + 1", "x = 5", "refusing = False"]
        assert sources[-1] == "y = 6"
        assert not reading.damage
        assert all(step.outcome is Outcome.OK for step in reading.session.steps)
        shown = text_of(step_outputs(reading)[3])
        assert shown == "still runs\n", "the notice is no output of the cell"

    @pytest.mark.parametrize(
        "part",
        [
            "_names.end",
            "_names.begin",
            "_effects.begin",
            "_effects.end",
            "_tap.end",
            "_checkpointer.after_step",
            "_packages.new",
            "_git.poll",
        ],
    )
    def test_a_fault_in_a_part_costs_that_part(self, tmp_path, part):
        """The cell, its outputs and its outcome are recorded all the same; it is told once."""
        home = Home(tmp_path)
        holder, method = part.split(".")
        with Kernel(home) as kernel:
            kernel.ok(LOAD)
            kernel.ok("x = 1")
            first = kernel.ok(
                "from ipysession.extension import recorder_of\n"
                "recorder = recorder_of(get_ipython())\n"
                f"def broken(*a, **k): raise RuntimeError('broken {part}')\n"
                f"setattr(recorder.{holder}, '{method}', broken)"
            )
            told = kernel.ok("print('shown')\n6 * 7")
            assert told.result == "42"
            again = kernel.ok("y = 2")
        found = steps(home)
        assert [step.source for step in found[-2:]] == ["print('shown')\n6 * 7", "y = 2"]
        assert all(step.outcome is Outcome.OK for step in found)
        assert text_of(outputs(home, found[-2].number)) == "shown\n"
        text = first.stderr + told.stderr + again.stderr
        assert text.count("ipysession: an internal error") == 1

    def test_an_interrupt_inside_our_hooks(self, tmp_path):
        """It was meant for the cell, which has ended: the step is whole all the same."""
        home = Home(tmp_path)
        with Kernel(home) as kernel:
            kernel.ok(LOAD)
            kernel.ok(
                "from ipysession.extension import recorder_of\n"
                "recorder = recorder_of(get_ipython())\n"
                "original, calls = recorder._changes, []\n"
                "def interrupted(step, result):\n"
                "    if not calls:\n"
                "        calls.append(1)\n"
                "        raise KeyboardInterrupt\n"
                "    return original(step, result)\n"
                "recorder._changes = interrupted"
            )
            kernel.ok("print('shown')\nx = 1")
            kernel.ok("y = 2")
        found = steps(home)
        assert [str(step.outcome) for step in found] == ["ok"] * 3
        assert "x" in found[1].provenance.bound or "x" in found[2].provenance.bound
        assert read(home).session.problems == ()
