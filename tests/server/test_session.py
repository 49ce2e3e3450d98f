"""GET sessions/{id}: one whole session, by its exact id."""

import math
import stat
from urllib.parse import quote

import pytest

from ipysession import errors
from ipysession.documents import session_document
from ipysession.model import payloads as p
from ipysession.model.provenance import Environment, FileUse
from ipysession.sessions import Sessions
from ipysession.store import SessionFolder, Store


async def test_the_document_says_what_a_listing_says_and_the_details(fetch, record, store):
    """The same summary; runs with their environment, notes, files, damage."""
    session_id = record(cells=[("1 + 1", "2"), ("print('x')", "x\n")], tag="paper")
    Sessions(store).note("looks good", session_id)
    answer = await fetch(f"sessions/{session_id}")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    listed = (await fetch("sessions")).document["sessions"][0]
    details = answer.document.pop("details")
    assert answer.document == listed
    assert listed["steps"] == 2
    assert [run["environment"]["python"] for run in details["runs"]] == ["3.13.1"]
    assert [(note["text"], note["step"]) for note in details["notes"]] == [("looks good", 2)]
    assert details["head"] == 2
    assert [item["state"] for item in details["transitions"]][-1] == "paused"
    assert (details["damage"], details["contradictions"]) == ([], [])


async def test_files_are_told_once_with_the_steps_that_used_them(fetch, store):
    """As their last use left them."""
    writer = store.create(p.SessionCreated(session="", title="files"))
    writer.append(p.RunStarted(number=1, environment=Environment(python="3.13.1")))
    for step, action in enumerate(("read", "written"), start=1):
        writer.append(p.StepStarted(step=step, source="…"))
        use = FileUse(path="/data/a.csv", size=step, action=action)
        writer.append(p.StepEffects(step=step, files=[use]))
        writer.append(p.StepFinished(step=step, outcome="ok", duration=0.1))
    writer.close()
    (file,) = (await fetch(f"sessions/{writer.id}")).document["details"]["files"]
    assert (file["path"], file["size"], file["action"]) == ("/data/a.csv", 2, "written")
    assert file["steps"] == [1, 2]


async def test_steps_come_in_pages_with_or_without_outputs(fetch, record):
    """The panel scrolls through thousands and loads outputs when they are seen."""
    session_id = record(cells=[(f"print({n})", f"{n}\n") for n in range(1, 6)])
    page = (await fetch(f"sessions/{session_id}/steps?limit=2")).document
    assert [step["number"] for step in page["steps"]] == [1, 2]
    assert (page["next"], page["total"]) == (2, 5)
    assert [(step["outputs"], step["output_count"]) for step in page["steps"]] == [(None, 1)] * 2
    page = (await fetch(f"sessions/{session_id}/steps?after=3&outputs=true")).document
    assert [step["outputs"][0]["text"] for step in page["steps"]] == ["4\n", "5\n"]
    assert page["next"] is None
    step = (await fetch(f"sessions/{session_id}/steps/4")).document
    assert step == page["steps"][0]
    for missing in ("6", "0", "x", "-1", "9" * 400):
        answer = await fetch(f"sessions/{session_id}/steps/{missing}")
        assert answer.document["type"] == "urn:ipysession:problem:step-not-found", missing


async def test_steps_are_those_of_show(fetch, record, store):
    """The same documents as in a shell, and where they stand in the tree."""
    session_id = record(cells=[("1 + 1", "2"), ("print('x')", "x\n")])
    page = (await fetch(f"sessions/{session_id}/steps?outputs=true")).document
    for step in page["steps"]:
        assert (step.pop("on_branch"), step.pop("output_count")) == (True, 1)
    shown = session_document(Sessions(store).read_id(session_id))["steps"]
    assert page["steps"] == jsonable(shown)


async def test_steps_that_are_recorded_meanwhile_are_there_the_next_time(fetch, store):
    """What was read once is not believed for ever."""
    writer = store.create(p.SessionCreated(session="", title="live"))
    writer.append(p.RunStarted(number=1, environment=Environment(python="3.13.1")))
    for step in range(1, 4):
        writer.append(p.StepStarted(step=step, source="…"))
        assert (await fetch(f"sessions/{writer.id}/steps")).document["total"] == step
    writer.close()


async def test_variables_after_a_step_with_previews_and_without_unpickling(fetch, store):
    """The newest values, or those after an earlier step; why something is not there."""
    writer = store.create(p.SessionCreated(session="", title="values"))
    writer.append(p.RunStarted(number=1, environment=Environment(python="3.13.1")))
    for step in (1, 2):
        writer.append(p.StepStarted(step=step, source="…"))
        writer.append(
            p.StepFinished(step=step, outcome="ok", duration=0.1, bound=["table", f"only_{step}"])
        )
        preview = p.Preview(type="pandas.DataFrame", size=800, shape=[10, step], text="a  b")
        group = p.SavedGroup(
            names=["table"], size=5, inline="bm90IGEgcGlja2xl", previews={"table": preview}
        )
        skipped = p.SkippedGroup(names=[f"only_{step}"], reason="a socket cannot be saved")
        writer.append(p.CheckpointSaved(step=step, groups=[group], skipped=[skipped]))
    writer.close()
    for query, step in (("", 2), ("?step=1", 1)):
        said = (await fetch(f"sessions/{writer.id}/variables{query}")).document
        assert said["step"] == step
        found = {item["name"]: item for item in said["variables"]}
        assert set(found) == {"table", *(f"only_{n}" for n in range(1, step + 1))}
        table = found["table"]
        assert (table["type"], table["bytes"]) == ("pandas.DataFrame", 800)
        assert (table["shape"], table["preview"], table["saved"]) == ([10, step], "a  b", True)
        assert found["only_1"]["saved"] is False
        assert found["only_1"]["reason"] == "a socket cannot be saved"
    assert (await fetch(f"sessions/{writer.id}/variables?step=9")).status == 404


async def test_outputs_that_json_cannot_say_are_still_sent(fetch, store):
    """NaN becomes null; lone surrogates stay escaped."""
    writer = store.create(p.SessionCreated(session="", title="numbers"))
    writer.append(p.RunStarted(number=1, environment=Environment(python="3.13.1")))
    writer.append(p.StepStarted(step=1, source="'\udce9'"))
    data = {"application/json": {"value": math.nan}}
    output = {"output_type": "display_data", "data": data, "metadata": {}}
    writer.append(p.StepOutput(step=1, events=[{"event": "output", "output": output}]))
    writer.close()
    step = (await fetch(f"sessions/{writer.id}/steps/1")).document
    assert step["source"] == "'\udce9'"
    assert step["outputs"][0]["data"] == {"application/json": {"value": None}}


async def test_a_damaged_log_is_read_as_far_as_it_goes_and_says_so(fetch, record, store):
    """Damage is part of the answer, not an error."""
    session_id = record(cells=[("a = 1", ""), ("b = 2", "")])
    (segment,) = store.folder(session_id).log_folder.iterdir()
    segment.write_bytes(segment.read_bytes().replace(b"a = 1", b"a = 9"))
    document = (await fetch(f"sessions/{session_id}")).document
    assert any("checksum" in line for line in document["details"]["damage"])
    steps = (await fetch(f"sessions/{session_id}/steps")).document["steps"]
    assert [step["source"] for step in steps] == ["b = 2"]


async def test_an_id_that_nothing_has(fetch, record, store):
    """The problem's text is the error's own."""
    record()
    answer = await fetch("sessions/20200101-000000-aaaaaa")
    assert answer.status == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    with pytest.raises(errors.SessionNotFound) as caught:
        Sessions(store).read_id("20200101-000000-aaaaaa")
    assert answer.document == {
        "type": "urn:ipysession:problem:session-not-found",
        "title": "Session not found",
        "status": 404,
        "detail": str(caught.value),
    }


async def test_only_whole_ids_are_taken(fetch, record):
    """In a shell a prefix, a title and `latest` mean a session; a program must be exact."""
    session_id = record("Flights")
    for reference in ("latest", "Flights", session_id[:-1], session_id.upper(), session_id + "x"):
        answer = await fetch(f"sessions/{reference}")
        assert answer.status == 400, reference
        assert answer.document["type"] == "urn:ipysession:problem:invalid-session-id"


@pytest.mark.parametrize("reading", ["empty", "broken"])
async def test_a_session_that_is_deleted_while_it_is_read_is_not_found(
    fetch, record, store, monkeypatch, reading
):
    """Neither an empty session nor an unexpected error: it is gone."""
    session_id = record()

    def read(self, key=None, read=SessionFolder.read):
        store.delete(session_id)
        if reading == "broken":
            raise FileNotFoundError(2, "No such file or directory", str(self.path))
        return read(self, key)

    monkeypatch.setattr(SessionFolder, "read", read)
    answer = await fetch(f"sessions/{session_id}")
    assert answer.document["type"] == "urn:ipysession:problem:session-not-found"


async def test_a_title_that_looks_like_an_id_is_not_taken_for_one(fetch, record):
    """Only the folder's name is the id."""
    record("20200101-000000-aaaaaa")
    assert (await fetch("sessions/20200101-000000-aaaaaa")).status == 404


HOSTILE = [
    "..",
    "%2e%2e",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2Fetc%2Fpasswd",
    "~",
    ".",
    "%00",
    "20200101-000000-aaaaaa%00",
    "20200101-000000-aaaaaa%0a",
    "20200101-000000-aaaaaa%2f..",
    "20200101-000000-aaaaaa%2Flog",
    "\uff12\uff10200101-000000-aaaaaa",  # full-width digits
    "%20",
    "%252e%252e",
    "%ff",
    "a" * 20_000,
    "' OR 1=1",
    "<script>alert(1)</script>",
]


class Untouchable:
    """Stands for a path; whoever uses it has gone too far."""

    def refuse(self, *args):
        """Fail the request."""
        raise AssertionError(f"a bad id reached the file system: {args}")

    __getattr__ = __truediv__ = __fspath__ = __str__ = refuse


@pytest.mark.parametrize("where", ["sessions/{}", "sessions?after={}"])
async def test_a_bad_id_never_touches_the_file_system(fetch, record, monkeypatch, where):
    """The one function that validates ids stands before every path."""
    record()
    for reference in HOSTILE:
        seen = []
        with monkeypatch.context() as patched:

            def folder(self, session_id, folder=Store.folder, seen=seen, patched=patched):
                seen.append(session_id)
                patched.setattr(self, "path", Untouchable())
                patched.setattr(self, "sessions_folder", Untouchable())
                return folder(self, session_id)

            patched.setattr(Store, "folder", folder)
            escaped = reference if "%" in reference else quote(reference, safe="")
            answer = await fetch(where.format(escaped))
        assert answer.status == 400, reference
        assert answer.headers["Content-Type"] == "application/problem+json", reference
        assert len(answer.document["detail"]) < 1000, reference
        if answer.document["type"] == "about:blank":
            assert not seen, reference  # tornado refused it: it was not even text
        else:
            assert answer.document["type"] == "urn:ipysession:problem:invalid-session-id"
            assert len(seen) == 1, reference


async def test_no_route_leads_out_of_the_listing(fetch, record):
    """There is no way to a file below or above a session."""
    session_id = record()
    for path in (f"sessions/{session_id}/log/000001.jsonl", f"sessions/{session_id}/../../x"):
        assert (await fetch(path)).status == 404


async def test_a_session_folder_that_is_a_link_is_no_session(fetch, record, store, tmp_path):
    """A link could lead to another user's files."""
    session_id = record()
    folder = store.folder(session_id).path
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    assert (await fetch(f"sessions/{session_id}")).status == 404


@pytest.mark.parametrize("path", ["sessions", "sessions/{}", "sessions/{}/steps", "storage"])
async def test_a_store_that_others_can_write_is_refused(fetch, record, store, path):
    """Neither route shows what somebody else may have put there."""
    session_id = record()
    store.path.chmod(0o770)
    answer = await fetch(path.format(session_id))
    assert answer.status == 500
    assert answer.document["type"] == "urn:ipysession:problem:store-unsafe"
    assert (
        answer.document["detail"] == f"others can write {store.path}; run: chmod 700 {store.path}"
    )


async def test_what_nobody_foresaw_stays_in_the_log(fetch, record, monkeypatch, caplog):
    """An unexpected error tells the browser nothing, and the log everything."""

    def read_id(self, session_id):
        raise OSError(5, "Input/output error", "/secret/path")

    monkeypatch.setattr(Sessions, "read_id", read_id)
    answer = await fetch(f"sessions/{record()}")
    assert answer.status == 500
    assert answer.document == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "Internal Server Error; the server's log says more",
    }
    assert "/secret/path" in caplog.text


@pytest.mark.parametrize(
    "path",
    [
        *("sessions", "sessions?limit=1&text=w", "storage", "settings"),
        *(f"sessions/{{}}{part}" for part in ("", "/steps", "/steps/1", "/variables")),
        *(f"sessions/{{}}{part}" for part in ("/graph", "/plan")),
        *("notebook?path=a.ipynb", "restore?path=a.ipynb"),
    ],
)
async def test_reading_changes_nothing_on_disk(fetch, record, store, jp_data_dir, path):
    """Not a byte, not a time of change, in the store and beside it."""
    session_id = record()
    record(state="running")
    record(state="completed")
    before = tree(store.path), tree(jp_data_dir)
    assert (await fetch(path.format(session_id))).status == 200
    assert (tree(store.path), tree(jp_data_dir)) == before


async def test_reading_may_renew_the_summary_file_and_nothing_else(fetch, record, store):
    """``session.json`` is derived: a listing makes a stale one anew, as every reader does."""
    session_id = record()
    summary_file = store.folder(session_id).summary_path
    summary_file.unlink()
    before = tree(store.path, without=summary_file)
    assert (await fetch("sessions")).ids == [session_id]
    assert tree(store.path, without=summary_file) == before
    assert summary_file.exists()


def jsonable(value):
    """``value`` as JSON gives it back."""
    if isinstance(value, dict):
        return {name: jsonable(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    return value


def tree(root, without=None):
    """Every entry below ``root``: its mode, when it changed and what it holds. Without the
    index, which is derived, and without one file; their folders may have changed then.
    """
    found = {}
    for path in sorted(root.rglob("*")):
        if path == without or path.name.startswith("index.sqlite"):
            continue
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else None
        changed = None if without is not None and path == without.parent else status.st_mtime_ns
        found[path] = (status.st_mode, changed, content)
    return found
