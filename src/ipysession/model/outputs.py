"""From output events, in the order in which they arrived, to a cell's nbformat outputs.

The semantics are those of nbclient and JupyterLab: consecutive chunks of a stream merge,
``clear_output(wait=True)`` clears when the next output comes, and an update by display id
changes every output that carries it, also in cells that ran earlier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipysession.errors import BlobDamaged, BlobMissing
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

    A part whose blob is missing or damaged, or that ``resolve`` is lacking for, is replaced
    by a text that says so.
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
                    shown["data"] = _bundle(_plain(event.get("data"), resolve))
                    shown["metadata"] = _plain(event.get("metadata", {}), resolve)
            elif kind == "output":
                if clear_pending:
                    outputs.clear()
                    clear_pending = False
                output = _plain(event.get("output"), resolve)
                if not isinstance(output, dict):
                    data = _bundle(output)
                    output = {"output_type": "display_data", "data": data, "metadata": {}}
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
    return _stream(event.get("output")) if event.get("event") == "output" else None


def _stream(output: Any) -> str | None:
    """The name of the stream that the output is a chunk of, if it is."""
    is_chunk = (
        isinstance(output, dict)
        and output.get("output_type") == "stream"
        and isinstance(output.get("text"), str)
    )
    return str(output.get("name")) if is_chunk else None


def _append(outputs: list[dict[str, Any]], output: dict[str, Any]) -> None:
    stream = _stream(output)
    if stream is not None and outputs and _stream(outputs[-1]) == stream:
        outputs[-1]["text"] += output["text"]
    else:
        outputs.append(output)


def _bundle(data: Any) -> dict[str, Any]:
    """A display's data, also where all of it lies in a blob that is gone."""
    return data if isinstance(data, dict) else {"text/plain": str(data)}


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
    try:
        return resolve(ref)
    except (BlobMissing, BlobDamaged) as error:
        return f"[{error}]"
