"""Verification: a real kernel runs the notebook, in a folder of its own."""

from __future__ import annotations

import base64
import os
import pickle
import signal
import threading
import time

import nbformat
import pytest
from blake3 import blake3

from ipysession.export import (
    ExportOptions,
    build_notebook,
    export_session,
    verify_notebook,
)
from ipysession.export import inputs as inputs_module
from ipysession.model import Outcome
from ipysession.model import payloads as p

pytestmark = pytest.mark.integration


def stream(text, name="stdout"):
    """An output event's output: text that was printed."""
    return {"output_type": "stream", "name": name, "text": text}


def result(text):
    """The value of a cell, as text."""
    return {"output_type": "execute_result", "data": {"text/plain": text}, "metadata": {}}


def verified(recording, *, consent=False, timeout=60):
    """The verdict on all steps of a recording."""
    reading = recording.read()
    notebook = build_notebook(reading, ExportOptions(all=True))
    before = nbformat.from_dict(notebook)
    verdict = verify_notebook(notebook, reading, consent=consent, timeout=timeout)
    assert notebook == before
    return verdict


def read(path, **known):
    """Effects of a step that read the file, as it is now."""
    data = path.read_bytes()
    use = {"path": str(path), "size": len(data), "digest": blake3(data).hexdigest(), **known}
    return {"files": [{"action": "read", **use}]}


def test_the_same_outputs_are_verified(recording):
    """Streams, values, displays and an error that was kept."""
    recording.step(
        "x = [1]\nprint('one'); print('two')", ["x"], outputs=[stream("one\n"), stream("two\n")]
    )
    recording.step("object()", outputs=[result("<object at 0x1234>")])
    error = {
        "output_type": "error",
        "ename": "ZeroDivisionError",
        "evalue": "division by zero",
        "traceback": [],
    }
    recording.step("1 / 0", error=("ZeroDivisionError", "division by zero"), outputs=[error])
    recording.step("x.append(2); x", [], ["x"], outputs=[result("[1, 2]")])
    verdict = verified(recording)
    assert verdict.verdict == "verified", verdict
    assert verdict.ok
    assert verdict.summary == "verified"
    assert verdict.document()["verified"] is True


def test_another_output_differs_and_says_where(recording):
    """The first step that differs, with a diff."""
    recording.step("x = 1", ["x"])
    recording.step("x + 1", [], ["x"], outputs=[result("3")])
    recording.step("x + 2", [], ["x"], outputs=[result("4")])
    verdict = verified(recording)
    assert (verdict.verdict, verdict.step) == ("differs", 2)
    assert "-[text/plain] 3" in verdict.diff
    assert "+[text/plain] 2" in verdict.diff
    assert verdict.summary.startswith("not verified: step 2 showed something else")


def test_a_step_that_fails_now_failed(recording):
    """With its error, in one line."""
    recording.step("print(never_bound)", outputs=[stream("1\n")])
    verdict = verified(recording)
    assert (verdict.verdict, verdict.step) == ("failed", 1)
    assert "NameError: name 'never_bound' is not defined" in verdict.why


def test_a_failure_that_does_not_come_back_is_told(recording):
    """The kept error was part of what happened."""
    recording.step("x = 1", error=("OSError", "disk full"))
    verdict = verified(recording)
    assert (verdict.verdict, verdict.step) == ("failed", 1)
    assert "ended with OSError" in verdict.why


def test_a_kernel_that_dies_is_a_verdict(recording):
    """Not an exception, and no kernel is left."""
    recording.step("import os; os._exit(3)")
    verdict = verified(recording)
    assert (verdict.verdict, verdict.step) == ("failed", 1)
    assert "kernel died" in verdict.why


def test_a_cell_that_does_not_end_is_a_verdict(recording):
    """After the time that it may take."""
    recording.step("import time; time.sleep(60)")
    verdict = verified(recording, timeout=1)
    assert (verdict.verdict, verdict.step) == ("failed", 1)
    assert "did not end in time" in verdict.why


def test_inputs_are_read_from_copies(recording):
    """The scratch folder holds what was read; the user's folder is not written to."""
    (recording.work / "data").mkdir()
    data = recording.work / "data" / "in.txt"
    data.write_text("42")
    text = "open('data/in.txt').read()"
    recording.step(f"v = {text}; print(v)", ["v"], outputs=[stream("42\n")], effects=read(data))
    written = {"files": [{"path": str(recording.work / "out.txt"), "action": "written", "size": 2}]}
    recording.step(
        "open('out.txt', 'w').write(v)", [], ["v"], outputs=[result("2")], effects=written
    )
    recording.step(
        "open('out.txt').read()", outputs=[result("'42'")], effects={"files": [{"path": "out.txt"}]}
    )
    verdict = verified(recording)
    assert verdict.ok, verdict
    assert sorted(path.name for path in recording.work.iterdir()) == ["data"]


def test_inputs_beside_the_folder_are_found(recording):
    """A notebook in ``notebooks/`` reads ``../data/…``."""
    data = recording.work.parent / "beside.txt"
    data.write_text("7")
    recording.step("open('../beside.txt').read()", outputs=[result("'7'")], effects=read(data))
    assert verified(recording).ok


def test_modules_of_the_folder_can_be_imported(recording):
    """They are code that the session used, read where they are."""
    (recording.work / "helper_of_the_test.py").write_text("answer = 42\n")
    recording.step("import helper_of_the_test as h; h.answer", ["h"], outputs=[result("42")])
    assert verified(recording).ok


def test_an_input_that_changed_is_not_used_and_is_told(recording):
    """By its digest, even where its size is the same."""
    data = recording.work / "in.txt"
    data.write_text("42")
    recording.step("open('in.txt').read()", outputs=[result("'42'")], effects=read(data))
    data.write_text("43")
    verdict = verified(recording)
    assert verdict.verdict == "failed"
    assert "in.txt has changed since it was recorded" in verdict.why
    data.unlink()
    assert "in.txt cannot be read any more" in verified(recording).why


def test_large_inputs_are_not_copied(recording, monkeypatch):
    """Above the limit, in all."""
    monkeypatch.setattr(inputs_module, "INPUT_LIMIT", 3)
    for name in ("a.txt", "b.txt"):
        (recording.work / name).write_text("42")
        effects = read(recording.work / name)
        recording.step(f"open('{name}').read()", outputs=[result("'42'")], effects=effects)
    verdict = verified(recording)
    assert (verdict.verdict, verdict.step) == ("failed", 2)
    assert "b.txt was not copied" in verdict.why


@pytest.mark.parametrize(
    ("effects", "said"),
    [
        ({"processes": [{"command": "make all"}]}, "step 2 started a process (make all)"),
        ({"connections": [{"kind": "socket", "address": "host:443"}]}, "connected to host:443"),
        ({"files": [{"path": "/srv/out.csv", "action": "written"}]}, "wrote /srv/out.csv, outside"),
        ({"files": [{"path": "../out.csv", "action": "deleted"}]}, "deleted ../out.csv, outside"),
        ({"cwd": "/srv"}, "changed the folder to /srv"),
        ({"asked_input": True}, "asked for input"),
    ],
)  # fmt: skip
def test_effects_outside_are_not_repeated_without_consent(recording, effects, said):
    """Nothing runs at all then, and the verdict says which step is the reason."""
    recording.step("open('ran', 'w').close()", outputs=[])
    recording.step("pass", effects=effects)
    verdict = verified(recording)
    assert (verdict.verdict, verdict.step) == ("not run", 2)
    assert said in verdict.why
    assert verdict.summary.startswith("not verified: step 2")
    assert verified(recording, consent=True).ok


def test_a_file_named_by_its_absolute_path_needs_consent(recording):
    """In another folder, the second run would still write the user's own file."""
    path = recording.work / "out.txt"
    effects = {"files": [{"path": str(path), "action": "written"}]}
    recording.step(f"OUT = {str(recording.work)!r}", ["OUT"])
    recording.step("open(OUT + '/out.txt', 'w').close()", [], ["OUT"], effects=effects)
    verdict = verified(recording)
    assert (verdict.verdict, verdict.step) == ("not run", 2)
    assert not path.exists()


@pytest.mark.parametrize(
    ("outcome", "said"), [(None, "death of the kernel"), (Outcome.INTERRUPTED, "interrupted")]
)
def test_what_cannot_be_repeated_is_not_run(recording, outcome, said):
    """A cell that killed its kernel would kill this one."""
    recording.step("while True: pass", outcome=outcome)
    recording.close()
    verdict = verified(recording)
    assert verdict.verdict == "not run"
    assert said in verdict.why


def test_outputs_that_cannot_be_compared_are_not(recording):
    """Of a cell that said more when it was recorded, or whose output was redacted."""
    recording.step("%session\nprint(1)", outputs=[stream("2 steps\n1\n")])
    recording.step("print('key')", outputs=[stream("[redacted]\n")], redacted={"key": 1})
    verdict = verified(recording)
    assert verdict.ok
    assert "0 showed the same" in verdict.why


def test_the_kernel_does_not_record_itself(recording):
    """A verification must not fill the store with sessions."""
    recording.step("import os; os.environ['IPYSESSION_DISABLE']", outputs=[result("'1'")])
    assert verified(recording).ok


def test_the_verdict_is_in_the_file(recording, tmp_path):
    """The notebook says verified, or not verified and why."""
    recording.step("print(1)", outputs=[stream("1\n")])
    good = export_session(recording.read(), tmp_path / "good", ExportOptions(verify=True))
    assert good.verification.ok
    said = nbformat.read(good.path, as_version=4).metadata.ipysession.verified
    assert (said.verified, said.verdict) == (True, "verified")
    recording.step("print(2)", outputs=[stream("3\n")])
    bad = export_session(recording.read(), tmp_path / "bad", ExportOptions(verify=True))
    assert not bad.verification.ok
    notebook = nbformat.read(bad.path, as_version=4)
    nbformat.validate(notebook)
    said = notebook.metadata.ipysession.verified
    assert (said.verified, said.verdict, said.step) == (False, "not deterministic", 2)
    assert "+[stdout] 2" in said.diff


def save(recording, step, **values):
    """The checkpoint of a step."""
    pickled = pickle.dumps(values)
    inline = base64.b64encode(pickled).decode()
    group = p.SavedGroup(names=list(values), size=len(pickled), inline=inline)
    recording.append(p.CheckpointSaved(step=step, groups=[group]))


def exported(recording, tmp_path, **options):
    """The result of an export that verifies, and the notebook that it wrote."""
    told = []
    options = ExportOptions(verify=True, force=True, **options)
    result = export_session(recording.read(), tmp_path / "x", options, progress=told.append)
    return result, nbformat.read(result.path, as_version=4), told


def test_values_are_compared_where_outputs_show_nothing(recording, tmp_path):
    """In the kernel that ran it, with those that were saved; and progress is told."""
    recording.step("x = [1.5, {'a': None}]", ["x"], cell_id="a")
    save(recording, 1, x=[1.5, {"a": None}])
    recording.step("f = open", ["f"], cell_id="b")
    result, _, told = exported(recording, tmp_path)
    assert result.verification.ok
    assert "1 of 2 values are the same, 1 could not be compared" in result.verification.why
    assert told[0] == "verifying: starting a kernel"
    # What goes on is told again and again while it does.
    assert list(dict.fromkeys(told))[-3:] == [
        "verifying: running cell 2 of 2 (step 2)",
        "verifying: comparing values",
        "writing the file",
    ]
    save(recording, 1, x=[1.5, {"a": 0}])
    result, notebook, _ = exported(recording, tmp_path, targets=("x",))
    assert result.verification.verdict == "not deterministic"
    assert result.verification.step == 1
    assert "x has another value after it was run again" in result.verification.why
    assert notebook.metadata.ipysession.verified.verified is False


def test_values_of_records_that_are_not_proven_are_not_unpickled(recording, tmp_path):
    """Without the key, the pickle may be anybody's; it would run what they wrote."""

    class Bomb:
        def __reduce__(self):
            return open, (str(tmp_path / "exploded"), "w")

    recording.step("x = 1", ["x"])
    save(recording, 1, x=Bomb())
    recording.writer.log.sync()
    unproven = recording.writer.folder.read()
    result = export_session(unproven, tmp_path / "x", ExportOptions(verify=True))
    assert result.verification.ok
    assert "0 of 1 values" not in result.verification.why
    assert not (tmp_path / "exploded").exists()


def test_a_selection_that_lacks_a_step_is_widened(recording, tmp_path):
    """What the graph did not know is added, and the notebook that is written has it."""
    recording.step("x = [1]", ["x"], cell_id="a")
    recording.step("x.append(2)", [], ["x"], cell_id="b")  # changed x, which nobody noticed
    recording.step("print(x)", [], ["x"], cell_id="c", outputs=[stream("[1, 2]\n")])
    result, notebook, told = exported(recording, tmp_path)
    assert result.verification.ok, result.verification
    assert result.verification.added == (2,)
    assert result.kept == (1, 2, 3)
    assert [cell.source for cell in notebook.cells] == ["x = [1]", "x.append(2)", "print(x)"]
    assert any("with 1 more steps" in said for said in told)


def test_what_even_the_full_journal_does_not_give_is_not_deterministic(recording, tmp_path):
    """It is never called verified; the first step that differs is named."""
    recording.step("k = 1", ["k"], cell_id="a")
    recording.step("import random", ["random"], cell_id="b")
    recording.step("print(random.random())", [], ["random"], outputs=[stream("0.5\n")])
    recording.step("k = 2", ["k"], cell_id="a")
    result, notebook, _ = exported(recording, tmp_path)
    said = notebook.metadata.ipysession.verified
    assert (said.verified, said.verdict, said.step) == (False, "not deterministic", 3)
    assert "all 4 steps of the session, run again, differ from step 3 on" in said.why
    assert result.kept == (2, 3, 4)


def test_wider_selections_need_consent_too(recording, tmp_path):
    """A step that started a process does not run because something else differs."""
    recording.step("make()", [], cell_id="a", effects={"processes": [{"command": "make"}]})
    recording.step("print(1)", cell_id="b", outputs=[stream("2\n")])
    result, _, _ = exported(recording, tmp_path, steps=(2,))
    assert result.verification.verdict == "differs"
    assert "more steps could not be tried: step 1 started a process" in result.verification.why


async def _verify_inside_a_loop(recording):
    return verified(recording)


def test_it_works_inside_a_running_event_loop(recording):
    """As in a kernel, where ``%session export --verify`` runs."""
    import asyncio

    recording.step("print(1)", outputs=[stream("1\n")])
    assert asyncio.run(_verify_inside_a_loop(recording)).ok


@pytest.fixture
def _ctrl_c_interrupts():
    """Ctrl-C raises KeyboardInterrupt, as in every Python; a test before may have changed that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_ctrl_c_interrupts")
def test_ctrl_c_ends_it_and_its_kernel(recording, tmp_path):
    """At once, with nothing written."""
    marker = tmp_path / "pid"
    recording.step(
        f"import os, time; open({str(marker)!r}, 'w').write(str(os.getpid())); time.sleep(60)",
        ["os", "time"],
    )

    def interrupt():
        deadline = time.monotonic() + 30
        while not (marker.exists() and marker.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        export_session(recording.read(), tmp_path / "x", ExportOptions(verify=True))
    thread.join()
    assert time.monotonic() - began < 40
    assert not (tmp_path / "x.ipynb").exists()
    time.sleep(0.2)
    with pytest.raises(ProcessLookupError):
        os.kill(int(marker.read_text()), 0)


def test_outputs_that_are_asked_for_by_number_are_those_of_the_session(recording):
    """Although the cells that loaded and asked us are not exported."""
    recording.step("40 + 2", ["_2"], execution_count=2, outputs=[result("42")])
    recording.step(
        "x = [Out[2]]; x.append(_2); x", ["x", "_5"], ["_2", "numbering:2"], changed=["y"],
        execution_count=5, outputs=[result("[42, 42]")],
    )  # fmt: skip
    verdict = verified(recording)
    assert verdict.ok, verdict
