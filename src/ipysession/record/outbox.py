"""Outputs on their way into the log: heard from any thread, written in batches."""

from __future__ import annotations

import json
import logging
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from ipysession.model import payloads as p
from ipysession.model.outputs import merge_streams

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipysession.record.notices import Notices
    from ipysession.record.redact import Redactor
    from ipysession.record.steps import OpenStep
    from ipysession.store import SessionWriter

_BATCH_SECONDS = 0.5
"""Outputs of a running cell are written at least this often."""

_REMEMBERED_CELLS = 10_000
"""Late outputs (a thread that prints) find the step of so many cells back."""

_logger = logging.getLogger(__name__)


class Outbox:
    """Outputs that were heard and are not yet written.

    ``writer()`` is the session that they go to, None where there is none yet.
    """

    def __init__(
        self,
        redactor: Callable[[], Redactor],
        notices: Notices,
        writer: Callable[[], SessionWriter | None],
    ) -> None:
        self._redactor = redactor
        self._notices = notices
        self._writer = writer
        self.lock = threading.RLock()
        """Held while outputs are written, and by who must not be written into."""
        self._step_of: OrderedDict[str, OpenStep] = OrderedDict()
        self._pending: list[tuple[int, dict[str, Any]]] = []
        self._pump: threading.Thread | None = None
        self._pump_wake = threading.Event()
        self._end = threading.Event()
        self._closed = True

    def open(self) -> None:
        """From here on what is heard is noted."""
        self._end.clear()
        self._closed = False

    def close(self) -> None:
        """Note nothing any more. What waits is still written by `write`."""
        self._closed = True
        self._end.set()  # nobody who unloads us or ends a kernel waits for a batch to fill
        self._pump_wake.set()
        pump, self._pump = self._pump, None
        if pump is not None:
            pump.join(timeout=5)

    def expect(self, step: OpenStep) -> None:
        """A step runs: what arrives under its cell's key is its output."""
        if step.key is not None:
            self._step_of[step.key] = step
            while len(self._step_of) > _REMEMBERED_CELLS:
                self._step_of.popitem(last=False)

    def forget(self, step: OpenStep) -> None:
        """What arrives under the step's key from here on is not its output."""
        if step.key is not None:
            self._step_of.pop(step.key, None)

    def hear(self, key: str | None, event: dict[str, Any]) -> None:
        """An output arrived, from whatever thread. Only noted here; `write` writes."""
        if event["event"] == "unheard":
            _logger.error("an output could not be recorded", exc_info=event["error"])
            return
        step = self._step_of.get(key) if key is not None else None
        if step is None or self._closed:
            return  # not a step's: a cell with nothing but %session, or before we listened
        if event["event"] == "input":
            step.asked_input = True
            return
        output = event.get("output")
        if output is not None and output["output_type"] == "error":
            step.error = output
        with self.lock:
            self._pending.append((step.number, event))
        if step.finished:
            self.write()  # a late output: nobody else will wait for it
            return
        if self._pump is None:
            self._pump = threading.Thread(
                target=self._pump_outputs, name="ipysession-outputs", daemon=True
            )
            self._pump.start()
        self._pump_wake.set()

    def _pump_outputs(self) -> None:
        while not self._closed:
            self._pump_wake.wait()
            self._pump_wake.clear()
            self._end.wait(_BATCH_SECONDS)
            try:
                self.write()
            except Exception:  # noqa: BLE001 - told and logged; the next batch may do
                self._notices.internal_error()

    def write(self, writer: SessionWriter | None = None, *, later: bool = False) -> None:
        """Write all that was heard until now, in the order in which it arrived; ``later`` as in
        `Log.append`.
        """
        writer = writer or self._writer()
        with self.lock:
            pending, self._pending = self._pending, []
            if writer is None or not pending:
                return
            batches: dict[int, list[dict[str, Any]]] = {}
            for step, event in pending:
                batches.setdefault(step, []).append(event)
            for step, events in batches.items():
                clean, redacted = self._redactor().value(merge_streams(events))
                _append(writer, step, clean, redacted, later=later)


def _append(
    writer: SessionWriter,
    step: int,
    events: list[dict[str, Any]],
    redacted: dict[str, int],
    *,
    later: bool,
) -> None:
    try:
        writer.append(p.StepOutput(step=step, events=events, redacted=redacted), later=later)
    except TypeError:
        # A library put something into a display that JSON does not know; Jupyter would
        # have turned it into text on the way, so we do too.
        plain = json.loads(json.dumps(events, default=str))
        writer.append(p.StepOutput(step=step, events=plain, redacted=redacted), later=later)
