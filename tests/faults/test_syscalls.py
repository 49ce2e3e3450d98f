"""A disk that fails, or a process that dies, at a system call: nothing acknowledged is lost.

A process writes a session (see writer.py) while strace lets one system call fail with ENOSPC or
EIO, or kills the process as it enters the call. A first run, in which nothing fails, tells which
calls touch the place where store and key lie: a system call is meant by its name and by its
number in its thread. Where more calls of a name do so than `SAMPLES`, they are sampled evenly,
others for each kind of failure; how many were struck is printed.

strace joins the process when all is imported, so that it counts the session's calls alone.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from faults import writer as program

from ipysession.log import SyncPolicy
from ipysession.model import encoding
from ipysession.model import payloads as p
from ipysession.model.records import payload_to_value
from ipysession.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipysession.log import Blobs
    from ipysession.model import Record

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(sys.platform != "linux", reason="strace exists on Linux only"),
]

CALLS = {
    "open": ["openat"],
    "write": ["write"],
    "fsync": ["fsync"],
    "fdatasync": ["fdatasync"],
    "rename": ["rename", "renameat", "renameat2"],
    "link": ["link", "linkat"],
    "mkdir": ["mkdir", "mkdirat"],
}
"""System calls that do the same; which of them exist depends on the machine."""
FAILURES = {"ENOSPC": "error=ENOSPC", "EIO": "error=EIO", "SIGKILL": "signal=SIGKILL"}
POLICIES = ["background", "strict"]
SAMPLES = 3
"""How many calls of a name are struck for each failure and each sync policy."""
PATIENCE = 20.0


@dataclass
class Outcome:
    """What a writer reported, and what strace saw."""

    ended: int = 0
    acknowledged: set[int] = field(default_factory=set)
    told: list[str | None] = field(default_factory=list)
    refused: tuple[str, str] | None = None
    synced: bool | None = None
    closed: bool | None = None
    faults: list[str] = field(default_factory=list)
    trace: str = ""

    @property
    def struck(self) -> int:
        """How many calls failed, or killed."""
        return len(re.findall(r"\(INJECTED\)", self.trace)) or "killed by SIGKILL" in self.trace


class Writers:
    """The process whose children write sessions."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._errors = (folder / "stderr").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, program.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
        )
        self._reports = os.fdopen(os.dup(self._process.stdout.fileno()), "rb")
        self._places = 0

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._process.stdout.close()
        self._reports.close()
        self._errors.close()

    def place(self) -> Path:
        """A new folder for a store and its key."""
        self._places += 1
        path = self._folder / f"place-{self._places}"
        path.mkdir()
        return path

    def write(self, place: Path, policy: str, *strace: str, watch: int = 0) -> Outcome:
        """Write a session into ``place`` while strace does what it is told: from the beginning,
        or from step ``watch`` on.
        """
        order = {
            "store": f"{place}/store",
            "key": f"{place}/key/key",
            "policy": policy,
            "watch": watch,
        }
        self._send(json.dumps(order))
        outcome = Outcome()
        while "pid" not in (said := self._report()):
            _take(outcome, said)
        pid = said["pid"]
        trace = place.with_suffix(".trace")
        command = ["strace", "-f", "-y", "-qq", "-o", trace, "-p", str(pid), *strace]
        tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        _wait_for_tracer(pid, tracer)
        self._send("go")
        while "ended" not in (said := self._report()):
            _take(outcome, said)
        outcome.ended = said["ended"]
        tracer.communicate(timeout=PATIENCE)
        outcome.trace = trace.read_text(errors="replace")
        trace.unlink()
        return outcome

    def _send(self, text: str) -> None:
        self._process.stdin.write(text.encode())

    def _report(self) -> dict[str, Any]:
        line = self._reports.readline()
        assert line, f"the writer died: {(self._folder / 'stderr').read_text()}"
        return json.loads(line)


def _take(outcome: Outcome, said: dict[str, Any]) -> None:
    match said:
        case {"acknowledged": seq}:
            outcome.acknowledged.add(seq)
        case {"told": error}:
            outcome.told.append(error)
        case {"refused": name, "message": message}:
            outcome.refused = (name, message)
        case {"synced": done}:
            outcome.synced = done
        case {"closed": done}:
            outcome.closed = done
        case {"fault": text}:
            outcome.faults.append(text)


def _wait_for_tracer(pid: int, tracer: subprocess.Popen[str]) -> None:
    status = Path(f"/proc/{pid}/status")
    give_up = time.monotonic() + PATIENCE
    while "TracerPid:\t0\n" in status.read_text():
        if tracer.poll() is not None or time.monotonic() > give_up:
            tracer.kill()
            pytest.fail(f"strace cannot trace here: {tracer.communicate()[1]}")
        time.sleep(0.002)


@pytest.fixture(scope="module")
def writers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Writers]:
    """The process that all tests here use."""
    if shutil.which("strace") is None:
        pytest.fail("strace is missing; run: scripts/system-packages.sh tests")
    started = Writers(tmp_path_factory.mktemp("writers"))
    yield started
    started.close()


@pytest.fixture(scope="module")
def ordinals(writers: Writers) -> dict[str, dict[str, list[int]]]:
    """For each sync policy and system call: the numbers, in their threads, of those calls
    that touch the place, where nothing fails.
    """
    names = ",".join(f"?{name}" for names in CALLS.values() for name in names)
    found = {}
    for policy in POLICIES:
        place = writers.place()
        outcome = writers.write(place, policy, "-e", f"trace={names}")
        assert (outcome.ended, outcome.closed, outcome.told) == (0, True, [])
        _examine(place, outcome)
        found[policy] = _count(outcome.trace, f"{place}/")
        shutil.rmtree(place)
    return found


def _count(trace: str, place: str) -> dict[str, list[int]]:
    counts: Counter[tuple[str, str]] = Counter()
    found: dict[str, set[int]] = {}
    for thread, name, rest in re.findall(r"^(\d+) +(\w+)\((.*)$", trace, re.MULTILINE):
        counts[thread, name] += 1
        if place in rest:
            found.setdefault(name, set()).add(counts[thread, name])
    return {name: sorted(numbers) for name, numbers in found.items()}


def _sample(numbers: list[int], phase: int) -> list[int]:
    """At most `SAMPLES` of them, evenly; each phase takes others."""
    if len(numbers) <= SAMPLES:
        return numbers
    parts = SAMPLES * len(FAILURES)
    return sorted({numbers[(n + phase) * len(numbers) // parts] for n in range(0, parts, 3)})


def _examine(place: Path, outcome: Outcome, *, lossless: bool = True) -> None:
    """What stands in the place after a failure is all that was acknowledged, and no more."""
    assert outcome.faults == []
    key = place / "key" / "key"
    store = Store(place / "store", key=key.read_bytes() if key.exists() else bytes(32))
    ids = store.ids()
    assert len(ids) <= 1
    if not ids:
        assert outcome.acknowledged == set()
        assert outcome.ended in {program.REFUSED, -9}
        return
    folder = store.folder(ids[0])
    contents = folder.read(store.key()).contents
    found = [record.seq for record in contents.records]
    # Whatever strikes, what stands in the log is the beginning of what was written.
    assert found == list(range(1, len(found) + 1))
    assert contents.damage == ()
    for record in contents.records:
        assert _told(record, folder.blobs) == _expected(record.seq, folder.id)
    if lossless:
        assert len(found) >= max(outcome.acknowledged, default=0)
    if outcome.closed is not None:
        assert outcome.closed == (len(found) == len(program.payloads()) + 1) or not lossless
    _append_again(store, folder.id, contents.records)


def _append_again(store: Store, session_id: str, before: tuple[Record, ...]) -> None:
    with_new = store.open_for_append(session_id, policy=SyncPolicy.STRICT)
    new = with_new.append(p.NoteAdded(text="after"))
    assert with_new.log.sync()
    assert with_new.close()
    contents = store.folder(session_id).read(store.key()).contents
    assert contents.records == (*before, new)
    assert contents.damage == ()


def _told(record: Record, blobs: Blobs) -> tuple[str, Any]:
    value = encoding.dumps_with_blobs(payload_to_value(record.payload))
    return record.type, encoding.loads(value, blobs.resolve)


@cache
def _all_payloads() -> list[tuple[str, Any]]:
    return [(payload.type, payload_to_value(payload)) for payload in program.payloads()]


def _expected(seq: int, session_id: str) -> tuple[str, Any]:
    if seq > 1:
        return _all_payloads()[seq - 2]
    first = program.created().model_copy(update={"session": session_id})
    return first.type, payload_to_value(first)


def _check_end(outcome: Outcome, failure: str) -> None:
    """The process ends as it must, and says what its user must know."""
    if failure == "SIGKILL":
        assert outcome.ended == -9
    elif outcome.refused is not None:
        name, message = outcome.refused
        assert outcome.ended == program.REFUSED
        assert name == "StoreUnusable"
        assert os.strerror(getattr(errno, failure)) in message
    else:
        # The disk failed once in a thread: all is written and synced in the end, and where the
        # user was told of trouble, the end of it was told too.
        assert (outcome.ended, outcome.synced, outcome.closed) == (0, True, True)
        assert outcome.told == [failure, None] * (len(outcome.told) // 2)
        assert len(outcome.told) <= 2 * outcome.struck


def _check_written_again(outcome: Outcome) -> None:
    """After a failed sync a file is not trusted: what stood at its end stands in a later one."""
    for name in re.findall(r"fdatasync\(\d+<(\S+\.jsonl)>\) += -1 ", outcome.trace):
        failed = Path(name)
        later = [path for path in failed.parent.glob("*.jsonl") if path.name > failed.name]
        last = failed.read_bytes().splitlines()[-1]
        assert any(last in path.read_bytes().splitlines() for path in later)


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("call", CALLS)
def test_one_call(writers, ordinals, call, failure):
    """Where one call fails, the session is created and complete in the end, the user having been
    told, or it is refused with a message that says why. Where the process is killed at the
    call, all that was acknowledged is there. Nothing is ever invented, what is there reads
    without damage, and the session can be opened and written again.
    """
    struck: Counter[str] = Counter()
    tried = 0
    for policy in POLICIES:
        for name in set(CALLS[call]) & ordinals[policy].keys():
            for number in _sample(ordinals[policy][name], list(FAILURES).index(failure)):
                place = writers.place()
                outcome = writers.write(
                    place,
                    policy,
                    *("-e", f"trace={name}"),
                    *("-e", f"inject={name}:{FAILURES[failure]}:when={number}"),
                )
                tried += 1
                struck[f"{policy} {name}"] += bool(outcome.struck)
                try:
                    if outcome.struck:
                        _check_end(outcome, failure)
                        _check_written_again(outcome)
                    _examine(place, outcome)
                except BaseException as error:
                    error.add_note(f"{failure} at {name} {number}, policy {policy}: {outcome}")
                    raise
                shutil.rmtree(place)
    print(f"{failure}: {sum(struck.values())} struck of {tried}: {dict(struck)}")
    # How often the background thread works depends on time, so a late call may not come.
    assert sum(struck.values()) * 2 > tried


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    ("name", "failure"),
    [("write", "ENOSPC"), ("fdatasync", "EIO"), ("fsync", "EIO"), ("openat", "EIO")],
)
def test_a_disk_that_fails_for_good(writers, policy, name, failure):
    """A disk that refuses from the middle on: the user is told once, not again and again;
    closing says whether records are missing; what was written before is there, and the session
    goes on afterwards.
    """
    place = writers.place()
    fails = ["-e", f"trace={name}", "-e", f"inject={name}:error={failure}:when=1+"]
    outcome = writers.write(place, policy, *fails, watch=program.BIG_STEP)
    assert outcome.struck
    assert outcome.ended == 0
    # Where no new file is needed, nothing needs to be opened, and no folder to be synced.
    is_told = name in {"write", "fdatasync"}
    assert outcome.told == [failure] * is_told
    assert outcome.closed == outcome.synced == (not is_told)
    _examine(place, outcome, lossless=False)
