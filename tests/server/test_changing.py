"""What changes a session: title, tags, notes, and the end of it in two steps."""

import json

import pytest

from ipysession.model import payloads as p


@pytest.fixture
def send(fetch):
    """Sends JSON."""

    async def send(method, path, body=None):
        sent = {} if body is None else {"body": json.dumps(body)}
        return await fetch(path, method=method, **sent)

    return send


async def test_title_and_tags(send, fetch, record):
    """What is given changes; the answer is the session as it is listed."""
    session_id = record("old", tag="draft")
    path = f"sessions/{session_id}"
    answer = await send("PATCH", path, {"title": " Flights, 2nd try "})
    assert (answer.status, answer.document["title"]) == (200, "Flights, 2nd try")
    assert answer.document["tags"] == ["draft"]
    answer = await send("PATCH", path, {"tags": ["paper", "paper", "2026"]})
    assert answer.document["tags"] == ["paper", "2026"]
    assert (await fetch("sessions")).document["sessions"] == [answer.document]
    assert (await send("PATCH", path, {"tags": []})).document["tags"] == []


async def test_what_is_no_change(send, record):
    """Each is refused in words; nothing is guessed."""
    path = f"sessions/{record('kept')}"
    for body, why in (
        ({"title": ""}, "title should have at least 1 character"),
        ({"title": "  "}, "a title must not be empty"),
        ({"title": 7}, "title should be a valid string"),
        ({"titel": "x"}, "titel is no member of it"),
        ({"tags": "paper"}, "tags should be a valid list"),
        ([], "the body should be"),
        ("x", "the body should be"),
    ):
        answer = await send("PATCH", path, body)
        assert answer.document["type"] == "urn:ipysession:problem:invalid-request", body
        assert why in answer.document["detail"]


@pytest.mark.parametrize("body", ["", "{", "\udce9".encode("utf-8", "surrogatepass"), "[" * 99999])
async def test_a_body_that_is_no_json(fetch, record, body):
    """Nor does a body of nothing but brackets bring anything down."""
    answer = await fetch(f"sessions/{record()}", method="PATCH", body=body)
    assert (answer.status, answer.document["detail"]) == (400, "the body must be a JSON object")


async def test_notes(send, fetch, record):
    """After the newest step, or after the one that is named."""
    session_id = record(cells=[("1", ""), ("2", "")])
    path = f"sessions/{session_id}/notes"
    answer = await send("POST", path, {"text": "a dip in May"})
    assert (answer.status, answer.document["step"]) == (201, 2)
    assert (await send("POST", path, {"text": "first", "step": 1})).document["step"] == 1
    answer = await send("POST", path, {"text": "x", "step": 3})
    assert (answer.status, answer.document["title"]) == (404, "Step not found")
    notes = (await fetch(f"sessions/{session_id}")).document["details"]["notes"]
    assert [(note["text"], note["step"]) for note in notes] == [("a dip in May", 2), ("first", 1)]


async def test_deleting_takes_two_steps(send, fetch, record, store):
    """The first says what would go; only its own token makes the second go through."""
    doomed, kept = record("doomed"), record("kept")
    path = f"sessions/{doomed}"
    first = await send("DELETE", path)
    assert first.status == 409
    assert first.document["type"] == "urn:ipysession:problem:confirmation-needed"
    assert first.document["session"]["title"] == "doomed"
    assert first.document["detail"].startswith(f"{doomed} “doomed” with 1 step (")
    token = first.document["confirm"]
    for wrong in ("x", "", token[:-1], token + "0", "9" * 50, f"9{token}", "1-a", "é"):
        assert (await send("DELETE", f"{path}?confirm={wrong}")).status in {400, 409}, wrong
    assert (await send("DELETE", f"sessions/{kept}?confirm={token}")).status == 409
    assert set(store.ids()) == {doomed, kept}
    done = await send("DELETE", f"{path}?confirm={token}")
    assert done.status == 200
    assert done.document["bytes"] > 0
    assert store.ids() == [kept]
    assert (await send("DELETE", f"{path}?confirm={token}")).status == 404


async def test_a_confirmation_holds_for_the_session_as_it_stood(send, record, store):
    """What was recorded since then was not meant."""
    session_id = record()
    token = (await send("DELETE", f"sessions/{session_id}")).document["confirm"]
    assert (await send("POST", f"sessions/{session_id}/notes", {"text": "wait"})).status == 201
    again = await send("DELETE", f"sessions/{session_id}?confirm={token}")
    assert again.status == 409
    assert store.ids() == [session_id]


async def test_a_session_that_a_kernel_writes_is_not_deleted(send, store):
    """Not even with the token."""
    writer = store.create(p.SessionCreated(session="", title="live"))
    token = (await send("DELETE", f"sessions/{writer.id}")).document["confirm"]
    answer = await send("DELETE", f"sessions/{writer.id}?confirm={token}")
    assert answer.document["type"] == "urn:ipysession:problem:session-busy"
    writer.close()


async def test_settings_are_those_of_kernels_and_shell(send, fetch, jp_environ):
    """Changed here, known there; what is not given stays."""
    from ipysession.preferences import OfferResume, load_preferences, preferences_path

    assert (await fetch("settings")).document["offer_resume"] == "ask"
    answer = await send("PATCH", "settings", {"offer_resume": "never"})
    assert answer.document["offer_resume"] == "never"
    assert load_preferences().offer_resume is OfferResume.NEVER
    assert preferences_path().stat().st_mode & 0o777 == 0o600
    assert (await send("PATCH", "settings", {})).document["offer_resume"] == "never"
    assert (await send("PATCH", "settings", {"offer_resume": "perhaps"})).status == 400
    assert {"name": "notebook", "suffix": ".ipynb", "what": "a notebook"} in answer.document[
        "formats"
    ]


async def test_auto_load_is_what_the_shell_enables(send, monkeypatch, tmp_path):
    """A startup file of IPython's."""
    from ipysession import startup

    file = tmp_path / "startup" / "50-ipysession.py"
    monkeypatch.setattr(startup, "startup_file", lambda: file)
    assert (await send("PATCH", "settings", {"auto_load": True})).document["auto_load"] is True
    assert "load_ipython_extension" in file.read_text("utf-8")
    assert (await send("PATCH", "settings", {"auto_load": False})).document["auto_load"] is False
    assert not file.exists()
