"""From output events, in the order in which they arrived, to a cell's nbformat outputs.

The semantics are those of nbclient and JupyterLab: consecutive chunks of a stream merge,
``clear_output(wait=True)`` clears when the next output comes, and an update by display id
changes every output that carries it, also in cells that ran earlier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipysession.model.encoding import BlobRef

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Resolve = Callable[[BlobRef], Any]
    Event = Mapping[str, Any]


def fold_outputs(
    events_by_step: Mapping[int, Iterable[Event]], resolve: Resolve | None = None
) -> dict[int, list[dict[str, Any]]]:
    """Outputs of each step. ``events_by_step`` holds each step's events, steps in order;
    ``resolve`` fetches parts that lie in blobs. An update by display id that was sent by a
    later step reaches the earlier step's output, as it does in the notebook.
    """
    folded: dict[int, list[dict[str, Any]]] = {}
    displays: dict[str, list[dict[str, Any]]] = {}
    for step, events in events_by_step.items():
        outputs = folded.setdefault(step, [])
        clear_pending = False
        for event in events:
            kind = event.get("event")
            if kind == "clear":
                clear_pending = bool(event.get("wait"))
                if not clear_pending:
                    outputs.clear()
            elif kind == "update":
                for shown in displays.get(str(event.get("display_id")), []):
                    shown["data"] = _plain(event.get("data", {}), resolve)
                    shown["metadata"] = _plain(event.get("metadata", {}), resolve)
            elif kind == "output":
                if clear_pending:
                    outputs.clear()
                    clear_pending = False
                output = _plain(event["output"], resolve)
                _append(outputs, output)
                display_id = event.get("display_id")
                if display_id is not None:
                    displays.setdefault(str(display_id), []).append(output)
    return folded


def merge_streams(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join consecutive chunks of one stream, so that a batch becomes fewer events."""
    merged: list[dict[str, Any]] = []
    chunks: list[str] = []
    for event in events:
        stream = _stream_name(event)
        if stream is not None and merged and _stream_name(merged[-1]) == stream:
            if not chunks:
                chunks.append(merged[-1]["output"]["text"])
            chunks.append(event["output"]["text"])
            continue
        _close_stream(merged, chunks)
        merged.append(event)
    _close_stream(merged, chunks)
    return merged


def _close_stream(merged: list[dict[str, Any]], chunks: list[str]) -> None:
    if chunks:
        output = {**merged[-1]["output"], "text": "".join(chunks)}
        merged[-1] = {**merged[-1], "output": output}
        chunks.clear()


def _stream_name(event: Mapping[str, Any]) -> str | None:
    output = event.get("output")
    if event.get("event") == "output" and output and output.get("output_type") == "stream":
        return str(output["name"])
    return None


def _append(outputs: list[dict[str, Any]], output: dict[str, Any]) -> None:
    last = outputs[-1] if outputs else None
    if (
        last is not None
        and output.get("output_type") == last.get("output_type") == "stream"
        and output["name"] == last["name"]
    ):
        last["text"] += output["text"]
    else:
        outputs.append(output)


def _plain(value: Any, resolve: Resolve | None) -> Any:
    """A copy of ``value`` in which every blob reference has become its content.

    Iterative: a display's JSON may be nested deeper than the stack.
    """
    holder: list[Any] = [value]
    todo: list[Any] = [holder]
    while todo:
        container = todo.pop()
        keys = list(container) if isinstance(container, dict) else range(len(container))
        for key in keys:
            item = container[key]
            if isinstance(item, BlobRef):
                container[key] = _content(item, resolve)
            elif isinstance(item, (dict, list)):
                container[key] = item.copy()
                todo.append(container[key])
    return holder[0]


def _content(ref: BlobRef, resolve: Resolve | None) -> Any:
    if resolve is None:
        return f"[{ref.size} bytes in blob {ref.hash}]"
    return resolve(ref)
