"""GET sessions: a page of the listing, the newest first."""

import asyncio
import threading
from itertools import chain
from urllib.parse import urlencode

import pytest

from ipysession.model import payloads as p
from ipysession.sessions import MAX_PAGE
from ipysession.store import Store


async def test_before_the_first_session_the_listing_is_empty_and_makes_no_store(fetch, store):
    """Looking leaves nothing behind."""
    answer = await fetch("sessions")
    assert answer.status == 200
    assert answer.document == {"sessions": [], "next": None, "total": 0}
    assert not store.path.exists()


async def test_sessions_come_newest_first_with_what_the_shell_says(fetch, record, store):
    """The same summary as in a shell, and what the server adds."""
    older, newer = record("older"), record("newer", notebook="/home/me/a.ipynb")
    answer = await fetch("sessions")
    assert answer.ids == [newer, older]
    assert answer.document["total"] == 2
    session = answer.document["sessions"][0]
    assert session.pop("kernel") is None
    assert session.pop("current_notebook") == "/home/me/a.ipynb"
    assert session.pop("path") is None
    assert session.pop("resumable") is True
    assert session.pop("bytes") >= store.folder(newer).summary_path.stat().st_size
    summary = store.folder(newer).summary()
    assert session == summary.model_dump(mode="json")


async def test_pages_follow_each_other_without_gap_or_repetition(fetch, record):
    """Each page names the one after it, the last one none."""
    ids = [record(str(number)) for number in range(7)]
    seen, after = [], None
    while True:
        query = {"limit": 3} | ({} if after is None else {"after": after})
        answer = await fetch(f"sessions?{urlencode(query)}")
        assert answer.document["total"] == 7
        seen.append(answer.ids)
        after = answer.document["next"]
        if after is None:
            break
    assert [len(page) for page in seen] == [3, 3, 1]
    assert list(chain(*seen)) == ids[::-1]


async def test_a_page_that_ends_with_the_last_session_has_no_next(fetch, record):
    """No empty page at the end."""
    record()
    record()
    assert (await fetch("sessions?limit=2")).document["next"] is None


async def test_paging_goes_on_behind_a_session_that_the_filter_no_longer_lets_through(
    fetch, record
):
    """The place in the order counts, not the place in the page before."""
    oldest, middle = record("oldest"), record("middle", state="completed")
    record("newest")
    answer = await fetch(f"sessions?state=paused&after={middle}")
    assert answer.ids == [oldest]


async def test_paging_behind_a_deleted_session_says_to_begin_again(fetch, record, store):
    """Nobody can know what came behind it."""
    gone = record()
    record()
    store.delete(gone)
    answer = await fetch(f"sessions?after={gone}")
    assert answer.status == 400
    assert answer.document["detail"] == f"session {gone} is gone; list again from the first page"


async def test_filters_by_states_tag_text_and_notebook(fetch, record):
    """Filters narrow together; several states widen."""
    done = record("Flights", state="completed", notebook="/home/me/flights.ipynb", tag="paper")
    paused = record("Weather", notebook="/home/me/sub/weather.ipynb")
    died = record("Trains", state="running")
    everything = [died, paused, done]
    for query, expected in {
        "state=completed": [done],
        "state=completed&state=interrupted": [died, done],
        "state=created": [],
        "notebook=flights.ipynb": [done],
        "notebook=/home/me/sub/weather.ipynb": [paused],
        "notebook=lights.ipynb": [],
        "notebook=": [],
        "tag=paper": [done],
        "text=WEATHER": [paused],
        "text=none": [],
        f"text={died}": [died],
        "text=": everything,
        "text=t&state=paused": [paused],
        "unknown=1": everything,
    }.items():
        answer = await fetch(f"sessions?{query}")
        assert answer.ids == expected, query
        assert answer.document["total"] == len(expected), query


async def test_sorted_by_anything_that_a_listing_shows(fetch, record):
    """Words from A to Z, the rest from the newest and largest; or as one says."""
    long = record("banana", cells=[("x", "1")] * 3)
    large = record("Apple", cells=[("y = 'aa'", "b" * 5000)])
    newest = record("cherry", cells=(), state="completed")
    for query, expected in {
        "sort=title": [large, long, newest],
        "sort=title&order=desc": [newest, long, large],
        "sort=created": [newest, large, long],
        "sort=created&order=asc": [long, large, newest],
        "sort=steps": [long, large, newest],
        "sort=duration": [long, large, newest],
        "sort=size": [large, long, newest],
        "sort=state": [newest, long, large] if long < large else [newest, large, long],
    }.items():
        assert (await fetch(f"sessions?{query}")).ids == expected, query
        first = await fetch(f"sessions?{query}&limit=1")
        rest = await fetch(f"sessions?{query}&after={first.document['next']}")
        assert first.ids + rest.ids == expected, query


async def test_text_is_found_in_the_sources_of_steps_too(fetch, record, store):
    """As it was typed, whatever the case, and also in a session that is still recorded."""
    older = record(cells=[("import pandas as pd", ""), ("Größe = 'ẞ'", "")])
    record(cells=[("x = 1", "pandas in an output does not count")])
    assert (await fetch("sessions?text=PANDAS%20AS")).ids == [older]
    assert (await fetch("sessions?text=gr%C3%B6%C3%9Fe")).ids == [older]
    writer = store.open_for_append(older)
    writer.append(p.StepStarted(step=3, source="import polars"))
    assert (await fetch("sessions?text=polars")).ids == [older]
    writer.close()


@pytest.mark.parametrize(
    ("limit", "why"),
    [
        ("0", "limit should be greater than or equal to 1"),
        ("-1", "limit should be greater than or equal to 1"),
        ("1001", "limit should be less than or equal to 1000"),
        ("ten", "limit must be a whole number, not 'ten'"),
        *((word, "limit must be a whole number") for word in ("", "1.5", "\uff11", "1e2")),
        ("9" * 5000, "limit must be a whole number"),
    ],
)
async def test_a_bad_limit_is_refused(fetch, record, limit, why):
    """Only whole numbers from 1 to 1000, in ASCII."""
    answer = await fetch(f"sessions?{urlencode({'limit': limit})}")
    assert answer.status == 400
    assert answer.document["type"] == "urn:ipysession:problem:invalid-request"
    assert why in answer.document["detail"]
    assert len(answer.document["detail"]) < 200


async def test_an_unknown_state_is_refused_in_the_words_of_the_magic(fetch):
    """The text is the facade's own."""
    answer = await fetch("sessions?state=asleep")
    assert (answer.status, answer.document["title"]) == (400, "Invalid request")
    assert answer.document["detail"].startswith("a state is one of created, running, paused")
    assert answer.document["detail"].endswith("not 'asleep'")


async def test_text_that_is_not_utf_8_is_a_problem_too(fetch):
    """What tornado refuses leaves as a problem document as well."""
    answer = await fetch("sessions?text=%ff%fe")
    assert (answer.status, answer.document["type"]) == (400, "about:blank")


async def test_a_thousand_sessions(fetch, record):
    """The first page and the longest page of a large store."""
    ids = [record(f"session {number}", cells=()) for number in range(1000)]
    first = await fetch("sessions")
    assert (len(first.ids), first.document["total"]) == (100, 1000)
    assert first.ids == ids[:-101:-1]
    assert first.document["next"] == ids[-100]
    whole = await fetch(f"sessions?limit={MAX_PAGE}")
    assert whole.ids == ids[::-1]
    assert whole.document["next"] is None


async def test_a_browser_that_has_the_listing_gets_nothing_again(fetch, record):
    """An unchanged listing costs no transfer."""
    record()
    first = await fetch("sessions")
    again = await fetch("sessions", headers={"If-None-Match": first.headers["Etag"]})
    assert again.status == 304
    record()
    changed = await fetch("sessions", headers={"If-None-Match": first.headers["Etag"]})
    assert changed.status == 200


async def test_names_that_are_not_unicode_pass_through(fetch, record):
    """A notebook's name may be bytes that no encoding knows."""
    # What a file name of undecodable bytes becomes in Python.
    record("caf\udce9", notebook="/home/me/caf\udce9.ipynb")
    answer = await fetch("sessions")
    assert answer.document["sessions"][0]["title"] == "caf\udce9"


async def test_a_slow_disk_does_not_hold_up_the_server(fetch, jp_fetch, store, monkeypatch):
    """While a store is read, the server answers other requests."""
    asked, answered = threading.Event(), threading.Event()

    def slow(self):
        asked.set()
        assert answered.wait(30), "the server was not free to answer"
        return []

    monkeypatch.setattr(Store, "listed", slow)
    listing = asyncio.create_task(fetch("sessions"))
    assert await asyncio.to_thread(asked.wait, 30)
    assert (await jp_fetch("api", "status")).code == 200
    assert not listing.done()
    answered.set()
    assert (await listing).status == 200


async def test_sessions_that_are_deleted_meanwhile_do_not_break_the_listing(fetch, record, store):
    """Another process may delete what is just being read."""
    kept = record("kept")
    doomed = [record(str(number), cells=()) for number in range(30)]
    deleting = asyncio.create_task(asyncio.to_thread(lambda: [store.delete(i) for i in doomed]))
    listings = 0
    while not deleting.done():
        answer = await fetch("sessions?limit=1000")
        assert answer.status == 200
        assert kept in answer.ids
        assert {*answer.ids} <= {kept, *doomed}
        created = [s for s in answer.document["sessions"] if s["created"].startswith("1970")]
        assert not created, "a session that is gone was listed as an empty one"
        listings += 1
    await deleting
    assert listings
    assert (await fetch("sessions")).ids == [kept]
