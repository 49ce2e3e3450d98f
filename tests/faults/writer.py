"""Writes sessions for test_syscalls.py: a process that is made to fail, and to die.

Reads an order, a line of JSON, from stdin, forks a child for it, and tells how the child ended;
and so on until stdin ends. All is imported before the fork, so a child costs next to nothing,
and what strace counts in it is the session's work and nothing else. The child says its pid and
waits for a second line: by then strace watches it. It does so at its beginning, or before the
step that the order names as ``watch``. It reports by `os.writev`, a call that
nobody injects into.
"""

from __future__ import annotations

import ctypes
import errno
import json
import logging
import os
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

from ipysession.errors import SessionError
from ipysession.log import SyncPolicy
from ipysession.model import payloads as p
from ipysession.store import Store

if TYPE_CHECKING:
    from ipysession.model.payloads import Payload
    from ipysession.store import SessionWriter

STEPS = 15
BIG_STEP = 8
REFUSED = 3
"""The exit code where the session could not be created, and a SessionError said so."""

_PR_SET_PTRACER = 0x59616D61
_GROUP = 0.08
"""Seconds in which the background thread gets to sync what was appended."""


def created() -> Payload:
    """The first record, which the store completes."""
    return p.SessionCreated(session="", title="struck", user="me", host="here")


def payloads() -> list[Payload]:
    """All records after the first, the same in each process."""
    said: list[Payload] = []
    for step in range(1, STEPS + 1):
        text = f"{step}: " + ("blob " * 60_000 if step == BIG_STEP else "é\u2028 out") + "\n"
        said += [
            p.StepStarted(step=step, source=f"print({step})"),
            p.StepOutput(step=step, events=[{"kind": "stream", "name": "stdout", "text": text}]),
            p.StepFinished(step=step, outcome="ok", duration=0.25, bound=[f"name_{step}"]),
        ]
    return said


def _say(**what: Any) -> None:
    os.writev(1, [json.dumps(what).encode() + b"\n"])


class _Tells(logging.Handler):
    """What our code logs as an error is a failure of the test."""

    def emit(self, record: logging.LogRecord) -> None:
        _say(fault=self.format(record))


def _write(order: dict[str, Any]) -> int:
    os.environ["IPYSESSION_KEY"] = order["key"]
    logging.getLogger().addHandler(_Tells(logging.ERROR))
    threading.excepthook = lambda args: _say(fault=f"in a thread: {args.exc_value!r}")
    strict = order["policy"] == "strict"

    def tell(error: OSError | None) -> None:
        _say(told=None if error is None else errno.errorcode[error.errno or 0])

    try:
        writer = Store(order["store"]).create(
            created(), policy=SyncPolicy(order["policy"]), on_trouble=tell
        )
    except SessionError as error:
        _say(refused=type(error).__name__, message=str(error))
        return REFUSED
    _append_all(writer, order["watch"], strict=strict)
    _say(synced=writer.log.sync())
    _say(closed=writer.close())
    return 0


def _append_all(writer: SessionWriter, watch: int, *, strict: bool) -> None:
    for payload in payloads():
        if watch and isinstance(payload, p.StepStarted) and payload.step == watch:
            writer.log.sync()  # what strikes from here on strikes nothing that came before
            _wait_for_tracer()
        record = writer.append(payload)
        if not strict:
            _say(acknowledged=record.seq)
        if isinstance(payload, p.StepFinished):
            writer.log.acknowledge()
            if strict:
                _say(acknowledged=record.seq)
            if payload.step in {5, 10}:
                time.sleep(_GROUP)


def _wait_for_tracer() -> None:
    # Linux may let only parents trace, unless one says that others may.
    ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(-1), 0, 0, 0)
    _say(pid=os.getpid())
    os.read(0, 100)


def _child(order: dict[str, Any]) -> int:
    try:
        if not order["watch"]:
            _wait_for_tracer()
        return _write(order)
    except BaseException:  # noqa: BLE001 - whatever it is, the test must hear of it
        _say(fault=traceback.format_exc())
        return 1


def main() -> None:
    """Carry out orders until there are no more."""
    while order := os.read(0, 65536):
        pid = os.fork()
        if not pid:
            os._exit(_child(json.loads(order)))
        _, status = os.waitpid(pid, 0)
        _say(ended=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
    sys.exit()
