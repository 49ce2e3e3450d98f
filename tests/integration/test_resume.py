"""After a kernel's death: variables, Out, history and random states as they would have been."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import time

import pytest
from integration.kernels import Home, Kernel, command, rest

import ipysession
from ipysession.model import Outcome

pytestmark = pytest.mark.integration

LOAD = "%load_ext ipysession"
RESUME = "%session resume"


@pytest.fixture
def home(tmp_path):
    """The folders of one imaginary user."""
    return Home(tmp_path)


@pytest.fixture
def kernel(home):
    """A kernel that records."""
    with Kernel(home) as kernel:
        kernel.ok(LOAD)
        yield kernel


def die_and_resume(kernel, extra=""):
    """SIGKILL, a new kernel, and ``%session resume``; returns what it said as data."""
    kernel.kill()
    kernel.restart()
    kernel.ok(LOAD)
    said = json.loads(kernel.ok(f"{RESUME} --json {extra}").stdout)
    # What waits comes before a cell needs it; which names do depends on what is imported.
    return {**said, "restored": [*said["restored"], *said["waiting"]]}


def session():
    """The latest session."""
    return ipysession.open().session


@pytest.fixture(autouse=True)
def same_user(home, monkeypatch):
    """This process is that user, too."""
    home.enter(monkeypatch)


def test_variables_come_back_after_sigkill(kernel):
    """Values, aliases, functions on live globals, classes, modules."""
    kernel.ok("import numpy as np, pandas as pd\nK = 5")
    kernel.ok("a = np.arange(6); view = a[2:4]; alias = a\nnested = {'a': [a]}")
    kernel.ok("def f(v): return v + K\nclass C:\n    def m(self): return K\nc = C()")
    kernel.ok("df = pd.DataFrame({'x': range(100), 'y': list('ab') * 50})")
    kernel.ok("view[0] = 99; df['z'] = df.x * 2; gone = 1")
    kernel.ok("del gone")
    rest(kernel)
    said = die_and_resume(kernel)
    assert said["lost"] == {}
    assert {"a", "view", "f", "C", "c", "df", "np", "pd", "K"} <= set(said["restored"])
    assert kernel.ok("int(a[2]), alias is a, nested['a'][0] is a").result == "(99, True, True)"
    kernel.ok("view[1] = 77")
    assert kernel.ok("int(a[3])").result == "77", "a view still shows its array's memory"
    assert kernel.ok("df.z.sum(), df.shape").result in {
        "(np.int64(9900), (100, 3))",
        "(9900, (100, 3))",
    }
    assert kernel.ok("K = 1000\nf(1), c.m(), type(c) is C").result == "(1001, 1000, True)"
    assert kernel.run("gone").error.startswith("NameError")


def test_out_in_history_and_the_execution_count(kernel):
    """``Out[2]``, ``_``, ``In[2]``, Up-arrow, and the next cell's number."""
    assert kernel.ok("x = 40").execution_count == 2
    assert kernel.ok("x + 2").execution_count == 3
    assert kernel.ok("'text'").execution_count == 4
    die_and_resume(kernel)
    answer = kernel.ok("Out[3], _4, _, In[3]")
    assert answer.execution_count == 5
    assert answer.result == "(42, 'text', 'text', 'x + 2')"
    tail = kernel.history()
    assert [source for source in tail if source in {"x = 40", "x + 2", "'text'"}][-3:] == [
        "x = 40",
        "x + 2",
        "'text'",
    ]


def test_inputs_of_a_long_session_keep_their_names(kernel):
    """``In``, ``_i2``, ``_i``, and %history, of more cells than IPython shifts along."""
    for number in range(8):
        kernel.ok(f"exit_{number} = {number}" if number % 3 else f"n{number} = {number}")
    asked = kernel.ok("In[2:], _i2, _i3, _i9, _i, _ii, _iii").result
    die_and_resume(kernel)
    again = ast.literal_eval(kernel.ok("In[2:-1], _i2, _i3, _i9, _ii, _iii").result)
    before = ast.literal_eval(asked)
    assert again == (*before[:4], *before[4:6])
    assert "exit_1 = 1\nexit_2 = 2\n" in kernel.ok("%history").stdout
    assert [source for source in kernel.history() if "exit_5" in source][-1] == "exit_5 = 5"


def test_random_states_and_the_working_directory(kernel, home):
    """The next random number is what it would have been."""
    kernel.ok("import random, os, numpy as np\nrandom.seed(7); np.random.seed(7)")
    kernel.ok("first = random.random(), np.random.rand()")
    kernel.ok("os.makedirs('inner', exist_ok=True); os.chdir('inner')")
    die_and_resume(kernel)
    following = kernel.ok("random.random(), float(np.random.rand())").result
    assert kernel.ok("os.path.basename(os.getcwd())").result == "'inner'"
    kernel.ok("random.seed(7); np.random.seed(7); random.random(), np.random.rand()")
    assert kernel.ok("random.random(), float(np.random.rand())").result == following


def test_settings_of_libraries_and_the_import_path(kernel, home):
    """As they were set, before anything asks for them; a frontend's own are left to it."""
    (home.work / "more").mkdir()
    (home.work / "more" / "beside.py").write_text("value = 5\n")
    kernel.ok("import sys, matplotlib, pandas as pd\nsys.path.append('more')\nimport beside")
    kernel.ok("matplotlib.rcParams['lines.linewidth'] = 7; pd.set_option('display.max_rows', 11)")
    said = die_and_resume(kernel)
    assert said["lost"] == {}
    assert kernel.ok("beside.value").result == "5"
    assert kernel.ok("pd.get_option('display.max_rows')").result == "11"
    assert kernel.ok("matplotlib.rcParams['lines.linewidth']").result == "7.0"
    die_and_resume(kernel)
    assert kernel.ok("import matplotlib as m; m.rcParams['lines.linewidth']").result == "7.0"


def test_what_cannot_be_saved_is_replayed(kernel):
    """Generators by their cell, with await and magics, in order, and marked as replays."""
    kernel.ok("import asyncio\nn = 3")
    kernel.ok("g = (i * n for i in range(10)); next(g)")
    kernel.ok("await asyncio.sleep(0.01)\nh = (i for i in range(n))")
    kernel.ok("%%time\nk = (i for i in range(n + 1))")
    kernel.ok("second = next(g)")
    rest(kernel)
    said = die_and_resume(kernel)
    assert set(said["replayed"]) == {"g", "h", "k"}
    assert said["lost"] == {}
    assert (
        kernel.ok("next(g), list(h), list(k), second").result == "(6, [0, 1, 2], [0, 1, 2, 3], 3)"
    )
    replays = [step for step in session().steps if step.replay_of is not None]
    assert len(replays) >= 4
    assert all(step.outcome is Outcome.OK for step in replays)


def test_steps_with_effects_are_listed_with_the_cell_and_not_replayed(kernel, home):
    """Replaying must not append to a file twice, unless the user asks for all."""
    kernel.ok("log = home = None")
    kernel.ok("handle = open('log.txt', 'a'); handle.write('line\\n'); handle.flush()")
    said = die_and_resume(kernel)
    assert "handle" in said["lost"]
    assert "log.txt" in said["lost"]["handle"]
    assert (home.work / "log.txt").read_text() == "line\n"
    [blocked] = said["blocked"]
    assert blocked["source"].startswith("handle = open")
    again = die_and_resume(kernel, "--replay=all")
    assert "handle" in again["replayed"]
    kernel.ok("handle.close()")
    assert (home.work / "log.txt").read_text() == "line\nline\n"


def test_the_step_that_the_kernel_died_in_is_told(kernel):
    """With its cell; what it printed before is kept."""
    kernel.ok("x = 1")
    answer = kernel.send("import time\nprint('half way', flush=True)\nx = 2\ntime.sleep(60)")
    kernel.receive(answer, 2)
    said = die_and_resume(kernel)
    assert said["died_in"] == 2
    assert "half way" in said["notes"][0]
    assert kernel.ok("x").result == "1", "the state is that before the cell"
    died = session().step(2)
    assert died.outcome is Outcome.DIED


def test_recording_goes_on_in_the_same_session(kernel):
    """Runs, parents, states: one session across kernels."""
    kernel.ok("x = 1")
    die_and_resume(kernel)
    kernel.ok("y = x + 1")
    found = session()
    assert found.summary.runs == 2
    assert [str(t.state) for t in found.transitions] == ["running", "paused", "running"]
    assert found.transitions[1].reason == "kernel died"
    assert found.steps[-1].source == "y = x + 1"
    assert found.steps[-1].parent == 1
    rest(kernel)
    said = die_and_resume(kernel)
    assert {"x", "y"} <= set(said["restored"])
    assert len(list((ipysession.open_store().path / "sessions").iterdir())) == 1


def test_the_offer(kernel):
    """Loading tells of the earlier session of this notebook, and how it ended."""
    kernel.ok("x = 1")
    kernel.kill()
    kernel.restart()
    text = kernel.ok(LOAD).text
    assert "An earlier session of this notebook ended when its kernel died, 1 step" in text
    assert "%session resume" in text


def test_values_made_before_resuming_are_replaced_and_told(kernel):
    """They are recorded in the session that they were made in."""
    kernel.ok("x = 'old'")
    rest(kernel)
    kernel.kill()
    kernel.restart()
    kernel.ok(LOAD)
    kernel.ok("x = 'new'; own = 1")
    said = json.loads(kernel.ok(f"{RESUME} --json").stdout)
    assert "x" in said["restored"]
    assert kernel.ok("x, own").result == "('old', 1)"
    assert len(ipysession.open_store().ids()) == 2


def test_a_session_that_a_living_kernel_writes_is_refused_with_the_way_out(kernel, home):
    """No two writers, and no steal."""
    kernel.ok("x = 1")
    [session_id] = ipysession.open_store().ids()
    with Kernel(home) as second:
        second.ok(LOAD)
        answer = second.run(f"{RESUME} {session_id}")
        assert "is being recorded by another kernel" in answer.stderr
        assert f"%session branch --session {session_id}" in answer.stderr


def test_a_completed_session_is_refused_with_the_way_out(kernel):
    """It is closed for good."""
    kernel.ok("x = 1")
    kernel.ok("%session complete")
    [session_id] = ipysession.open_store().ids()
    assert "completed for good" in kernel.run(f"{RESUME} {session_id}").stderr


def test_a_tampered_log_is_not_unpickled(kernel, home):
    """Nothing that this user's key did not sign is unpickled or run."""
    kernel.ok("x = [1, 2, 3]")
    kernel.ok("y = 5")
    kernel.kill()
    (home.key).write_bytes(b"another user's 32 byte long key!!")
    home.key.write_bytes(b"k" * 32)
    kernel.restart()
    kernel.ok(LOAD)
    answer = kernel.run(RESUME)
    assert "not recorded with your key" in answer.stderr
    assert "--trust" in answer.stderr
    assert kernel.run("x").error.startswith("NameError")


def test_a_damaged_blob_costs_only_its_own_names(kernel, home):
    """One value that will not load never stops the rest, and is made again."""
    kernel.ok("big = list(range(20_000))")
    kernel.ok("small = 1")
    rest(kernel)
    kernel.kill()
    blobs = [f for f in home.store.rglob("blobs/*/*") if f.is_file()]
    assert blobs
    for blob in blobs:
        blob.chmod(0o600)
        blob.write_bytes(b"x" + blob.read_bytes()[1:])
    kernel.restart()
    kernel.ok(LOAD)
    said = json.loads(kernel.ok(f"{RESUME} --json").stdout)
    assert said["restored"] == ["small"]
    assert said["waiting"] == ["big"]
    assert kernel.ok("small").result == "1", "a cell that does not need it is not troubled"
    assert kernel.run("len(big)").error == "NameError: name 'big' is not defined"
    assert json.loads(kernel.ok("%session restore big --json").stdout)["replayed"] == ["big"]
    assert kernel.ok("len(big), big[-1]").result == "(20000, 19999)"


def test_a_replay_that_raises_costs_only_what_needs_it(kernel, home):
    """It is reported with its error."""
    (home.work / "in.txt").write_text("7")
    kernel.ok("base = int(open('in.txt').read())")
    kernel.ok("g = (i for i in range(int(open('in.txt').read())))")
    kernel.ok("h = (i for i in range(3))")
    rest(kernel)
    kernel.kill()
    (home.work / "in.txt").unlink()
    kernel.restart()
    kernel.ok(LOAD)
    said = json.loads(kernel.ok(f"{RESUME} --json").stdout)
    assert "FileNotFoundError" in said["lost"]["g"]
    assert "base" in said["restored"]
    assert "h" in said["replayed"]
    assert any(d["what"].endswith("in.txt") and d["now"] == "missing" for d in said["differences"])
    assert any("%session rerun --stale" in note for note in said["notes"])


def test_a_value_over_the_budget_is_replayed(home, kernel):
    """A time budget per step; what is not saved comes back by its cell."""
    kernel.shutdown()
    settings = [
        "--Recording.save_seconds=0.0",
        "--Recording.save_share=0.0",
        "--Recording.save_when_idle=False",
    ]
    with Kernel(home, arguments=settings) as slow:
        slow.ok(LOAD)
        slow.ok("n = 4")
        slow.ok("items = [str(i) for i in range(100_000)]")
        said = die_and_resume(slow)
        assert "items" in said["replayed"]
        assert slow.ok("len(items)").result == "100000"


def test_what_did_not_fit_is_saved_while_the_kernel_is_idle(home, kernel):
    """A pause after the cell is enough; what a later cell touches is that cell's business."""
    kernel.shutdown()
    settings = ["--Recording.save_seconds=0.0", "--Recording.save_share=0.0"]
    with Kernel(home, arguments=settings) as slow:
        slow.ok(LOAD)
        slow.ok("items = [str(i) for i in range(100_000)]; alias = items")
        slow.ok("other = {i: [i] for i in range(50_000)}")
        rest(slow)
        slow.ok("items.append('last')")
        rest(slow)
        said = die_and_resume(slow)
        assert {"items", "alias", "other"} <= set(said["restored"])
        assert slow.ok("len(items), alias is items, items[-1], len(other)").result == (
            "(100001, True, 'last', 50000)"
        )


def test_what_is_left_at_an_orderly_end_is_saved_then(home, kernel):
    """A restart through the menu loses nothing, however soon it comes."""
    kernel.shutdown()
    settings = ["--Recording.save_seconds=0.0", "--Recording.save_share=0.0"]
    with Kernel(home, arguments=settings) as slow:
        slow.ok(LOAD)
        slow.ok("items = [str(i) for i in range(100_000)]")
        slow.restart()
        slow.ok(LOAD)
        said = json.loads(slow.ok(f"{RESUME} --json").stdout)
        assert said["waiting"] == ["items"]
        assert slow.ok("len(items)").result == "100000"


def test_the_plan_does_nothing(kernel):
    """``--plan``, and resume-plan in a shell, say the same without doing it."""
    kernel.ok("x = 1\ng = (i for i in range(3))")
    rest(kernel)  # on a busy machine the cell's own time may not do for x
    kernel.kill()
    kernel.restart()
    kernel.ok(LOAD)
    plan = json.loads(kernel.ok(f"{RESUME} --plan --json").stdout)
    assert {n["name"]: n["action"] for n in plan["names"]} == {"x": "load", "g": "replay"}
    shell = subprocess.run(
        command("resume-plan", "--json"), capture_output=True, text=True, check=True
    )
    assert json.loads(shell.stdout) == plan
    assert kernel.run("x").error.startswith("NameError")


def test_a_second_death_after_a_resume_keeps_everything(kernel):
    """Restored values need not be saved again to survive."""
    kernel.ok("a = list(range(5000)); b = a")
    for _ in range(2):
        die_and_resume(kernel)
        assert kernel.ok("len(a), a is b").result == "(5000, True)"
    kernel.ok("a.append(1)")
    die_and_resume(kernel)
    assert kernel.ok("len(b), a is b").result == "(5001, True)"


def test_names_that_wait_are_never_shown_as_missing(kernel, home):
    """Cells, silent ones, magics, completion, inspection, expressions: all find what they ask."""
    kernel.ok("import collections as co\nbig = [1, 2]; alias = big\n7")
    kernel.ok("def total(): return len(more)\nmore = {'a': 1}; silent = [1]; shown = [[2]]")
    kernel.ok("from types import SimpleNamespace as S\nthing = S(inner=1); other = S(deep=2)")
    kernel.ok("unread = [3]; asked = [4]; text = [5]; doomed = [6]")
    rest(kernel)
    kernel.kill()
    held_back = ["--Recording.restore_when_idle=False", "--Recording.restore_at_once_seconds=0"]
    with Kernel(home, arguments=held_back) as late:
        late.ok(LOAD)
        said = json.loads(late.ok(f"{RESUME} --json").stdout)
        assert said["restored"] == []
        assert {"co", "big", "alias", "more", "total", "thing", "_2"} <= set(said["waiting"])

        def waits(*names):
            status = json.loads(late.ok("%session status --json").stdout)
            return set(names) <= set(status["waiting_to_be_loaded"])

        assert waits(*said["waiting"]), "looking at the session brings nothing"
        assert late.ok("1 + 1").result == "2"
        assert waits(*said["waiting"]), "nor does a cell that needs nothing"
        assert late.ok("alias is big").result == "True"
        assert not waits("big")
        assert late.ok("total()").result == "1", "what a function reads comes with it"
        assert late.ok("Out[2], co.__name__").result == "(7, 'collections')"
        assert "unread" in late.complete("unr")
        assert waits("unread"), "to offer its name takes no value"
        assert "inner" in late.complete("thing.in")
        assert "[[2]]" in late.inspect("shown")
        assert late.evaluate("asked[0]") == 4
        late.run("kept = silent[0]", silent=True)
        assert late.ok("kept").result == "1"
        late.ok("del doomed")
        assert late.run("doomed").error.startswith("NameError")
        late.ok("text = 'mine'")
        assert late.ok("text").result == "'mine'"
        assert waits("unread", "other")
        late.kill()
    with Kernel(home) as again:
        # The kernel died while names waited: they are where they were.
        again.ok(LOAD)
        assert json.loads(again.ok(f"{RESUME} --json").stdout)["lost"] == {}
        assert again.ok("unread, other.deep, text, big is alias").result == "([3], 2, 'mine', True)"
        assert again.run("doomed").error.startswith("NameError")
        listed = again.ok("%who").stdout.split()
        assert {"unread", "other", "total", "co"} <= set(listed)
        assert again.ok("get_ipython().object_inspect_mime.__self__ is get_ipython()").result == (
            "True"
        ), "no hook of ours is left when nothing waits"


def test_what_could_not_be_loaded_once_is_there_the_next_time(kernel, home):
    """A resume that failed for want of a module, and all that was saved after it, replaces
    nothing that was good.
    """
    module = home.work / "their_model.py"
    module.write_text("class Model:\n    def __init__(self, n): self.n = n\n")
    kernel.ok("import their_model, random")
    kernel.ok("model = their_model.Model(random.random()); pair = [model]")
    n = kernel.ok("model.n").result
    rest(kernel)
    kernel.kill()
    module.rename(home.work / "hidden_away.py")
    kernel.restart()
    kernel.ok(LOAD)
    kernel.ok(RESUME)
    assert kernel.run("model.n").error == "NameError: name 'model' is not defined"
    kernel.ok("other = 1; pairs = 2")
    assert kernel.run("pair[0]").error.startswith("NameError")
    assert "model" in json.loads(kernel.ok("%session status --json").stdout)["not_loaded"]
    kernel.kill()
    (home.work / "hidden_away.py").rename(module)
    kernel.restart()
    kernel.ok(LOAD)
    assert json.loads(kernel.ok(f"{RESUME} --json").stdout)["lost"] == {}
    assert kernel.ok("model.n, pair[0] is model, other").result == f"({n}, True, 1)"


def test_notebook_classes_across_groups(kernel, home):
    """Identity, enum members by ``is``, what a class became since, and no model is fitted anew."""
    kernel.ok(
        "import enum\nclass Colour(enum.Enum):\n    RED = 1\n    BLUE = 2\n"
        "class Model:\n    fits = 0\n    def fit(self):\n        Model.fits += 1\n"
        "        self.mean = SCALE\n        return self\n"
        "    def scaled(self): return SCALE * self.mean\n"
        "SCALE = 3"
    )
    kernel.ok("model = Model().fit()")
    kernel.ok("others = [Model() for _ in range(3)]; chosen = [Colour.RED]; red = Colour.RED")
    kernel.ok("Model.fits += 10; Model.label = 'later'")
    rest(kernel)
    kernel.kill()
    held_back = ["--Recording.restore_when_idle=False", "--Recording.restore_at_once_seconds=0"]
    with Kernel(home, arguments=held_back) as late:
        late.ok(LOAD)
        said = json.loads(late.ok(f"{RESUME} --json").stdout)
        assert said["replayed"] == []
        assert late.ok("Model.fits, Model.label").result == "(11, 'later')"
        assert late.ok("type(model) is Model, type(others[2]) is Model").result == "(True, True)"
        assert late.ok("Model.fits, Model.label").result == "(11, 'later')", "not turned back"
        assert late.ok("chosen[0] is Colour.RED is red").result == "True"
        late.ok("SCALE = 100")
        assert late.ok("model.scaled(), model.mean").result == "(300, 3)"


def test_what_is_loaded_and_what_is_replayed_are_of_one_world(kernel):
    """A replay changes ``p``, whose class and whose other names were saved before: they are the
    same objects afterwards, after a second death, too.
    """
    kernel.ok("class Point:\n    def __init__(self, x):\n        self.x = x\np = Point(1)\np")
    rest(kernel)
    # With a generator in it the group cannot be saved any more.
    kernel.ok("p.x += 5\np.rest = (i for i in range(3))\npoints = [p, Point(7)]")
    kernel.ok("apart = [len(points)]")
    look = "type(p) is Point, type(points[1]) is Point, Out[2] is p, points[0] is p, p.x, apart"
    expected = "(True, True, True, True, 6, [2])"
    assert kernel.ok(look).result == expected
    for _ in range(2):
        said = die_and_resume(kernel)
        assert set(said["replayed"]) >= {"p", "points"}, said["lost"]
        assert kernel.ok(look).result == expected


def test_a_later_step_can_rest_on_what_an_earlier_kernel_set(kernel, home):
    """Random states, files and outputs of steps before the death are part of later slices."""
    kernel.ok("import random\nrandom.seed(3)")
    kernel.ok("open('seen.txt', 'w').write('5')")
    kernel.ok("40 + 2")
    rest(kernel)
    die_and_resume(kernel)
    kernel.ok("drawn = random.random()")
    kernel.ok("read = open('seen.txt').read()")
    kernel.ok("answer = Out[4] + 1")
    needs = {
        name: [
            step["step"]
            for step in json.loads(kernel.ok(f"%session needs {name} --json").stdout)["steps"]
        ]
        for name in ("drawn", "read", "answer")
    }
    # Out[4] is what it is because three cells were counted before.
    assert needs == {"drawn": [1, 4], "read": [2, 5], "answer": [1, 2, 3, 6]}


def test_lazily_made_lambda_and_closures_keep_their_state(kernel):
    """A counter counts on."""
    kernel.ok(
        "def make():\n    n = 0\n    def inc():\n        nonlocal n\n        n += 1\n"
        "        return n\n    return inc\ninc = make()"
    )
    kernel.ok("inc(); inc()")
    die_and_resume(kernel)
    assert kernel.ok("inc()").result == "3"


def test_terminal_ipython_records_and_resumes(home):
    """The same in a terminal: outputs, displays, errors, and back after SIGKILL."""
    import pexpect

    def start():
        shell = pexpect.spawn(
            sys.executable,
            ["-m", "IPython", "--simple-prompt", "--no-banner", "--colors=NoColor"],
            env={**home.environment({"JPY_SESSION_NAME": ""}), "TERM": "dumb"},
            cwd=str(home.work),
            encoding="utf-8",
            timeout=30,
        )
        shell.expect(r"In \[1\]: ")
        return shell

    def run(shell, line, expected):
        shell.sendline(line)
        shell.expect(expected)
        shell.expect(r"In \[\d+\]: ")

    shell = start()
    run(shell, LOAD, "Recording")
    run(shell, "x = 21", "")
    run(shell, "print('shown', x * 2)", "shown 42")
    run(shell, "x * 3", "63")
    run(shell, "1/0", "ZeroDivisionError")
    run(shell, "g = (i for i in range(3))", "")
    shell.kill(9)
    shell.close(force=True)
    found = ipysession.open()
    steps = found.session.steps
    assert [str(s.outcome) for s in steps] == ["ok", "ok", "ok", "error", "ok"]
    from ipysession.documents import step_outputs

    outputs = step_outputs(found)
    assert outputs[2][0]["text"] == "shown 42\n"
    assert outputs[3] == [
        {
            "output_type": "execute_result",
            "data": {"text/plain": "63"},
            "metadata": {},
            "execution_count": steps[2].execution_count,
        }
    ]
    assert outputs[4][0]["ename"] == "ZeroDivisionError"
    shell = start()
    shell.sendline(LOAD)
    shell.expect("An earlier session")
    shell.expect(r"In \[\d+\]: ")
    run(shell, RESUME, "Resumed")
    run(shell, "x + 1", "22")
    run(shell, "Out[4]", "63")
    shell.sendline("exit")
    shell.expect(pexpect.EOF)
    assert ipysession.open().session.summary.reason == "kernel shutdown"


def test_a_kernel_gives_back_room_and_loses_nothing(kernel):
    """Old states of a large array go, also while it is being recorded; what is saved, what is not
    and why is told; and after a kill all is there.
    """
    kernel.ok("import numpy as np; big = np.random.default_rng(1).random(200_000)")
    kernel.ok("g = (i for i in range(3)); lock = __import__('threading').Lock(); lock.acquire()")
    for number in range(3):
        kernel.ok(f"big[{number * 50_000}] = {number}")
        rest(kernel)
    said = json.loads(kernel.ok("%session status --json").stdout)
    assert said["saved"]["big"] > 1_600_000
    assert 1_600_000 < said["saved_bytes_written"] < 4_000_000
    assert "generator" in said["not_saved"]["g"]
    assert "held" in said["not_saved"]["lock"]
    [collected] = json.loads(kernel.ok("%session gc --keep 1 --now --json").stdout)
    assert collected["removed_bytes"] >= 200_000
    kernel.ok("big[1] = 7; total = big.sum()")
    rest(kernel)
    total = kernel.ok("total").result
    said = die_and_resume(kernel)
    assert "big" in said["restored"]
    assert kernel.ok("big.sum()").result == total


def test_at_an_orderly_end_a_kernel_keeps_the_checkpoints_that_it_was_told_to(home):
    """In two phases: what is not needed is noted, and removed at an end an hour later."""
    keeping = ["--Recording.keep_checkpoints=1"]
    with Kernel(home, arguments=keeping) as kernel:
        kernel.ok(LOAD)
        # The random states are saved with the first step, and needed as long.
        kernel.ok("import numpy as np; np.random.seed(1)")
        kernel.ok("big = np.random.default_rng(1).random(200_000)")
        rest(kernel)
        kernel.ok("big = big + 1")
        rest(kernel)
        kernel.restart()
        reading = ipysession.open()
        assert reading.session.dropped == {2}
        blobs = reading.blobs.folder
        before = {path for path in blobs.glob("??/*") if path.stat().st_size > 100_000}
        assert len(before) > 8, "nothing is removed yet"
        noted = blobs / "doomed.json"
        long_ago = {name: since - 7200 for name, since in json.loads(noted.read_text()).items()}
        noted.write_text(json.dumps(long_ago))
        for path in before:
            os.utime(path, (1, 1))
        kernel.ok(LOAD)
        kernel.ok(RESUME)
        kernel.restart()
        left = {path for path in before if path.exists()}
        assert 0 < len(left) < len(before)
        kernel.ok(LOAD)
        kernel.ok(RESUME)
        assert kernel.ok("len(big), bool((big >= 1).all())").result == "(200000, True)"


def test_a_kernel_that_dies_again_is_resumed_where_it_stood(kernel):
    """Also where the kernel in between had run a cell before it resumed, which made a session."""
    kernel.ok("x = [1]")
    kernel.kill()
    kernel.restart()
    kernel.ok(LOAD)
    kernel.ok("beside = 1")
    kernel.ok(RESUME)
    kernel.ok("x.append(2)")
    rest(kernel)
    said = die_and_resume(kernel)
    assert "x" in said["restored"]
    assert kernel.ok("x").result == "[1, 2]"


def test_a_cell_that_comes_while_libraries_are_imported_again(kernel, home):
    """Neither its own import nor the values that it needs meet a library that is half there."""
    library = home.work / "slow_library"
    library.mkdir()
    (library / "__init__.py").write_text(
        "import time\ntime.sleep(1)\nfrom slow_library.inner import Thing\n"
    )
    (library / "inner.py").write_text("import slow_library\nclass Thing:\n    number = 7\n")
    kernel.ok("import slow_library as s\nfirst, second = ([s.Thing(), *range(50)] for _ in 'ab')")
    for cell in (
        "second[0].number, first[0].number, s.Thing.number",
        "from slow_library import inner; inner.Thing.number, first[0].number, second[0].number",
    ):
        rest(kernel)
        said = die_and_resume(kernel)
        assert {"first", "second", "s"} <= set(said["restored"])
        time.sleep(0.4)  # the thread of idle time has begun the import
        assert kernel.ok("1 + 1").result == "2"
        assert kernel.ok(cell).result == "(7, 7, 7)"
