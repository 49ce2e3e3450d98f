"""Hearing what a cell shows, without changing it.

In a kernel everything passes `Session.send`, from every thread, in ``await`` cells and
subshells. (The other hooks do not do: `OutStream.register_hook` is per thread,
`display_pub.register_hook` misses other threads, errors have none.) In terminal IPython
the streams and the display hooks are teed while a cell runs.
"""

from __future__ import annotations

import base64
import contextlib
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Sink = Callable[[str | None, dict[str, Any]], None]

_HEARD = frozenset(
    {
        "stream",
        "display_data",
        "update_display_data",
        "execute_result",
        "clear_output",
        "error",
        "input_request",
    }
)


class Tap(Protocol):
    """Where outputs are heard. ``sink(key, event)`` gets each with the key of its cell."""

    def install(self) -> None:
        """Begin to hear."""

    def remove(self) -> None:
        """Leave everything as it was before `install`."""

    def cell_key(self) -> str | None:
        """The key under which the outputs of the cell that now begins will arrive."""

    def begin(self) -> None:
        """A cell begins."""

    def end(self) -> None:
        """A cell ended: deliver what is still buffered."""

    def say(self, text: str) -> None:
        """Tell the user something that is not an output of the cell."""


def event_from_message(kind: str, content: dict[str, Any]) -> dict[str, Any] | None:
    """The output event (see `StepOutput`) of an iopub message, or None for other messages."""
    if kind == "stream":
        output = {"output_type": "stream", "name": content["name"], "text": content["text"]}
        return {"event": "output", "output": output}
    if kind == "input_request":
        return {"event": "input"}
    if kind == "clear_output":
        return {"event": "clear", "wait": bool(content.get("wait"))}
    display_id = (content.get("transient") or {}).get("display_id")
    if kind == "update_display_data":
        return {
            "event": "update",
            "display_id": str(display_id),
            "data": dict(content["data"]),
            "metadata": dict(content.get("metadata") or {}),
        }
    if kind == "error":
        output = {
            "output_type": "error",
            "ename": str(content["ename"]),
            "evalue": str(content["evalue"]),
            "traceback": [str(line) for line in content["traceback"]],
        }
        return {"event": "output", "output": output}
    if kind not in {"display_data", "execute_result"}:
        return None
    output = {
        "output_type": kind,
        "data": dict(content["data"]),
        "metadata": dict(content.get("metadata") or {}),
    }
    if kind == "execute_result":
        output["execution_count"] = content.get("execution_count")
    event: dict[str, Any] = {"event": "output", "output": output}
    if display_id is not None:
        event["display_id"] = str(display_id)
    return event


class KernelTap:
    """Hears the messages that an ipykernel sends."""

    def __init__(self, kernel: Any, sink: Sink) -> None:
        self._kernel = kernel
        self._session = kernel.session
        self._sink = sink
        self._process = os.getpid()
        self._own = threading.local()
        self._send: Callable[..., Any] | None = None
        self._wrapper: Callable[..., Any] | None = None

    def install(self) -> None:
        """Put a wrapper on this one session object's ``send``."""
        original = self._session.send

        def send(stream: Any, msg_or_type: Any, *args: Any, **kwargs: Any) -> Any:
            sent = original(stream, msg_or_type, *args, **kwargs)
            if self._wrapper is not None and os.getpid() == self._process:
                self._hear(msg_or_type, args, kwargs)
            return sent

        self._send, self._wrapper = original, send
        self._session.send = send

    def remove(self) -> None:
        """Take the wrapper off; where somebody wrapped it in turn, it only passes through."""
        if self._session.__dict__.get("send") is self._wrapper:
            del self._session.send
        self._wrapper = None

    def _hear(self, msg_or_type: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            if isinstance(msg_or_type, dict):
                kind = msg_or_type["header"]["msg_type"]
                if kind not in _HEARD:
                    return
                content, parent = msg_or_type["content"], msg_or_type.get("parent_header")
            else:
                kind = msg_or_type
                if kind not in _HEARD:
                    return
                content = args[0] if args else kwargs.get("content")
                parent = args[1] if len(args) > 1 else kwargs.get("parent")
            if getattr(self._own, "speaking", False):
                return
            event = event_from_message(kind, content)
            if event is not None:
                self._sink(_message_id(parent), event)
        except Exception as error:  # noqa: BLE001 - the message was sent: hearing it must not break that
            self._sink(None, {"event": "unheard", "error": error})

    def cell_key(self) -> str | None:
        """The id of the execute request that runs now."""
        return _message_id(self._kernel.get_parent("shell"))

    def begin(self) -> None:
        """Nothing to do: messages carry their cell's id."""

    def end(self) -> None:
        """Flush the streams, which hold text back for up to 0.2 s.

        A flush waits for ipykernel's IOPub thread, so a stream that says it is empty is left
        alone. Text that this thread is sending just then arrives a moment later, and still
        before the reply: ipykernel flushes once more.
        """
        for stream in (sys.stdout, sys.stderr):
            if getattr(stream, "_buffers", True):
                with contextlib.suppress(ValueError, AttributeError):  # closed, or the user's own
                    stream.flush()

    def say(self, text: str) -> None:
        """Show ``text`` below the running cell, as stderr, unheard by the recorder."""
        self._own.speaking = True
        try:
            self._session.send(
                self._kernel.iopub_socket,
                "stream",
                {"name": "stderr", "text": text.rstrip() + "\n"},
                parent=self._kernel.get_parent("shell"),
                ident=b"stream.stderr",
            )
        finally:
            self._own.speaking = False


def _message_id(parent: Any) -> str | None:
    """The id of a parent, which is a whole message in some calls and a header in others."""
    if not parent:
        return None
    header = parent.get("header", parent)
    found = header.get("msg_id")
    return None if found is None else str(found)


class _Tee:
    """A stream that passes everything on and lets the tap hear it."""

    def __init__(self, stream: Any, name: str, tap: TerminalTap) -> None:
        self._stream = stream
        self._name = name
        self._tap = tap

    def write(self, text: str) -> Any:
        written = self._stream.write(text)
        self._tap.hear_stream(self._name, text)
        return written

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._stream)


class TerminalTap:
    """Hears the streams and displays of a terminal IPython while a cell runs."""

    _KEY = "terminal"

    def __init__(self, shell: Any, sink: Sink) -> None:
        self._shell = shell
        self._sink = sink
        self._silent = 0
        self._cell = 0
        self._tees: list[tuple[str, Any, _Tee]] = []
        self._patched: list[tuple[Any, str]] = []

    def install(self) -> None:
        """Put hearing versions of the display hooks on the instances (never the classes)."""
        shell = self._shell
        self._patch(shell.displayhook, "write_format_data", self._result)
        self._patch(shell.displayhook, "write_output_prompt", self._quietly)
        self._patch(shell.display_pub, "publish", self._publish)
        self._patch(shell.display_pub, "clear_output", self._clear)
        self._patch(shell, "_showtraceback", self._error)

    def remove(self) -> None:
        """Take them off again."""
        self.end()
        for target, name in self._patched:
            target.__dict__.pop(name, None)
        self._patched.clear()

    def _patch(self, target: Any, name: str, hearing: Callable[..., Any]) -> None:
        original = getattr(target, name)

        def patched(*args: Any, **kwargs: Any) -> Any:
            return hearing(original, *args, **kwargs)

        setattr(target, name, patched)
        self._patched.append((target, name))

    def cell_key(self) -> str | None:
        """A new key for each cell."""
        self._cell += 1
        return f"{self._KEY}-{self._cell}"

    def begin(self) -> None:
        """Tee the streams, unless a cell inside a cell begins."""
        if not self._tees:
            for name in ("stdout", "stderr"):
                stream = getattr(sys, name)
                tee = _Tee(stream, name, self)
                setattr(sys, name, tee)
                self._tees.append((name, stream, tee))

    def end(self) -> None:
        """Put the streams back, unless the user has put others there meanwhile."""
        for name, stream, tee in self._tees:
            if getattr(sys, name) is tee:
                setattr(sys, name, stream)
        self._tees.clear()

    def say(self, text: str) -> None:
        """Print to stderr, unheard."""
        with self._silence():
            print(text, file=sys.stderr)  # noqa: T201 - the terminal is where the user looks

    def hear_stream(self, name: str, text: str) -> None:
        """Text was written to a teed stream."""
        if not self._silent and text:
            output = {"output_type": "stream", "name": name, "text": str(text)}
            self._send({"event": "output", "output": output})

    def _send(self, event: dict[str, Any]) -> None:
        self._sink(f"{self._KEY}-{self._cell}", event)

    @contextlib.contextmanager
    def _silence(self) -> Iterator[None]:
        self._silent += 1
        try:
            yield
        finally:
            self._silent -= 1

    def _quietly(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with self._silence():
            return original(*args, **kwargs)

    def _result(
        self, original: Callable[..., Any], format_dict: Any, md_dict: Any = None, **kwargs: Any
    ) -> Any:
        with self._silence():
            shown = original(format_dict, md_dict, **kwargs)
        content = {
            "data": _text_only(format_dict),
            "metadata": md_dict or {},
            "execution_count": self._shell.displayhook.prompt_count,
        }
        event = event_from_message("execute_result", content)
        if event is not None:
            self._send(event)
        return shown

    def _publish(
        self,
        original: Callable[..., Any],
        data: Any,
        metadata: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        with self._silence():
            shown = original(data, metadata, *args, **kwargs)
        kind = "update_display_data" if kwargs.get("update") else "display_data"
        content = {
            "data": _text_only(data),
            "metadata": metadata or {},
            "transient": kwargs.get("transient") or {},
        }
        event = event_from_message(kind, content)
        if event is not None:
            self._send(event)
        return shown

    def _clear(self, original: Callable[..., Any], wait: bool = False) -> Any:  # noqa: FBT001, FBT002 - IPython's signature
        with self._silence():
            done = original(wait)
        self._send({"event": "clear", "wait": wait})
        return done

    def _error(self, original: Callable[..., Any], etype: Any, evalue: Any, stb: Any) -> Any:
        with self._silence():
            shown = original(etype, evalue, stb)
        content = {
            "ename": getattr(etype, "__name__", str(etype)),
            "evalue": str(evalue),
            "traceback": list(stb),
        }
        event = event_from_message("error", content)
        if event is not None:
            self._send(event)
        return shown


def _text_only(data: dict[str, Any]) -> dict[str, Any]:
    """Images are bytes in a terminal and base64 text in a notebook; the log holds text."""
    return {
        mime: base64.b64encode(item).decode("ascii") if isinstance(item, bytes) else item
        for mime, item in data.items()
    }
