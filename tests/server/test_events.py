"""GET events: live changes, from one watcher, for as long as somebody listens."""

import asyncio
import json

import pytest

from ipysession.model import payloads as p
from ipysession.server import events as events_module
from ipysession.server.events import Events


@pytest.fixture
def listen(store, jp_serverapp, http_server_client, jp_base_url, jp_auth_header):
    """Listens to the stream; returns a queue of events, and the request that can be cancelled."""
    tasks = []

    async def listen():
        seen, text, heads = asyncio.Queue(), [""], []

        def take(chunk):
            text[0] += chunk.decode()
            *whole, text[0] = text[0].split("\n\n")
            for block in whole:
                seen.put_nowait(block)

        request = http_server_client.fetch(
            f"{jp_base_url}ipysession/api/events",
            headers=jp_auth_header,
            streaming_callback=take,
            header_callback=heads.append,
            request_timeout=60,
        )
        tasks.append(asyncio.ensure_future(request))
        assert "listening" in await asyncio.wait_for(seen.get(), 20)
        assert any("text/event-stream" in line for line in heads)
        return seen

    yield listen
    for task in tasks:
        task.cancel()


async def the_next(seen, kind):
    """The data of the next event of that kind."""
    while True:
        block = await asyncio.wait_for(seen.get(), 20)
        if block.startswith(f"event: {kind}\n"):
            return json.loads(block.partition("data: ")[2])


async def test_sessions_that_come_change_and_go_are_told(listen, record, store, monkeypatch):
    """To everybody who listens, also of what other processes do."""
    monkeypatch.setattr(events_module, "WATCH_SECONDS", 0.05)
    known = record("known")
    one, two = await listen(), await listen()
    new = record("new")
    for seen in (one, two):
        assert await the_next(seen, "session") == {"change": "created", "id": new}
    writer = store.open_for_append(known)
    writer.append(p.NoteAdded(text="x"))
    writer.close()
    for seen in (one, two):
        told = await the_next(seen, "session")
        while told["id"] == new:  # its summary file may have been written meanwhile
            told = await the_next(seen, "session")
        assert told == {"change": "updated", "id": known}
    store.delete(new)
    told = await the_next(one, "session")
    while told["change"] == "updated":
        told = await the_next(one, "session")
    assert told == {"change": "deleted", "id": new}


async def test_changes_through_the_api_and_settings_are_told_at_once(
    listen, fetch, record, monkeypatch
):
    """Without waiting for the watcher."""
    monkeypatch.setattr(events_module, "WATCH_SECONDS", 1000)
    session_id = record()
    seen = await listen()
    await fetch(f"sessions/{session_id}", method="PATCH", body='{"title": "x"}')
    assert await the_next(seen, "session") == {"change": "updated", "id": session_id}
    await fetch("settings", method="PATCH", body='{"offer_resume": "always"}')
    assert (await the_next(seen, "settings"))["offer_resume"] == "always"
    body = '{"job": "j1", "format": "script"}'
    await fetch(f"sessions/{session_id}/export", method="POST", body=body)
    told = await the_next(seen, "export")
    assert (told["job"], told["session"], told["done"]) == ("j1", session_id, 0)


async def test_a_quiet_stream_says_that_it_lives(listen, monkeypatch):
    """Whatever stands between would cut a silent connection."""
    monkeypatch.setattr(events_module, "HEARTBEAT_SECONDS", 0.05)
    seen = await listen()
    assert await asyncio.wait_for(seen.get(), 20) == ": still there"


class TestTheWatcher:
    @pytest.fixture
    def events(self, store):
        """Of a store, without a server."""
        return Events(store)

    async def test_there_is_one_for_all_and_none_for_nobody(self, events):
        """However many listen."""
        before = asyncio.all_tasks()
        async with events.listening():
            async with events.listening():
                assert len(asyncio.all_tasks() - before) == 1
            assert len(asyncio.all_tasks() - before) == 1
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before

    async def test_a_store_that_fails_for_a_while_is_watched_on(
        self, events, store, record, monkeypatch
    ):
        """The listing says what is wrong; here the next look may go well."""
        monkeypatch.setattr(events_module, "WATCH_SECONDS", 0.01)
        stamps, fails = store.stamps, [False]

        def look():
            if fails[0]:
                raise OSError(5, "Input/output error")
            return stamps()

        monkeypatch.setattr(store, "stamps", look)
        async with events.listening() as queue:
            await asyncio.sleep(0.05)
            fails[0] = True
            session_id = record()
            await asyncio.sleep(0.05)
            assert queue.empty()
            fails[0] = False
            assert session_id in await asyncio.wait_for(queue.get(), 20)

    async def test_who_does_not_keep_up_is_cut_off(self, events, monkeypatch):
        """Memory is not filled for a client that sleeps; it lists anew when it wakes."""
        monkeypatch.setattr(events_module, "_WAITING", 2)
        async with events.listening() as queue:
            for number in range(3):
                events.tell("session", {"id": number})
            waiting = [queue.get_nowait() for _ in range(queue.qsize())]
            assert waiting[-1] is None
