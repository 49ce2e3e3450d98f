"""Recorded output events as outputs of a notebook: always valid, whatever was recorded.

The semantics of streams, updates and clearing live in `ipysession.model.outputs`.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

from ipysession.errors import BlobDamaged, BlobMissing
from ipysession.export.plain import Plain
from ipysession.model.encoding import BlobRef
from ipysession.model.outputs import fold_outputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ipysession.log import Blobs
    from ipysession.model import Step

    Resolve = Callable[[BlobRef], Any]

_JSON_MIME = re.compile(r"application/(.*\+)?json")


class _Missing(str):
    """Stands in an output for a blob that cannot be read; it says so."""

    __slots__ = ()


def recorded_outputs(
    kept: Iterable[Step], steps: Iterable[Step], blobs: Blobs, plain: Plain
) -> tuple[dict[int, list[dict[str, Any]]], set[int]]:
    """The outputs of each kept step, by number, and the steps whose outputs have gaps.

    ``steps`` are all steps, in order: one that was dropped may have updated a display of one
    that is kept. A blob that is missing or damaged leaves an output that says so.
    """
    numbers = {step.number for step in kept}
    incomplete: set[int] = set()
    folding = 0

    def resolve(ref: BlobRef) -> Any:
        try:
            return blobs.resolve(ref)
        except (BlobMissing, BlobDamaged, ValueError) as error:
            incomplete.add(folding)
            state = "damaged" if isinstance(error, BlobDamaged) else "missing"
            return _Missing(
                f"[ipysession: {ref.size} bytes of this output are {state} (blob {ref.hash})]"
            )

    def events_of(step: Step) -> Iterator[dict[str, Any]]:
        nonlocal folding
        for event in step.events:
            if step.number in numbers or event.get("event") == "update":
                folding = step.number
                yield from _sound_event(event, resolve)

    # Lazily, so that `resolve` knows whose events are folded.
    folded = fold_outputs({step.number: events_of(step) for step in steps}, resolve)
    outputs: dict[int, list[dict[str, Any]]] = {}
    for number in sorted(numbers & folded.keys()):
        outputs[number] = [_valid(output, plain) for output in folded[number]]
        if any(_has_gap(output) for output in folded[number]):
            incomplete.add(number)
    return outputs, incomplete & numbers


def _sound_event(event: Mapping[str, Any], resolve: Resolve) -> Iterator[dict[str, Any]]:
    """The event with its outer shape put right, so that it folds; none where it is unknown."""
    kind = event.get("event")
    if kind == "output":
        output = event.get("output")
        if isinstance(output, BlobRef):
            output = resolve(output)
        yield {**event, "output": _sound_output(output, resolve)}
    elif kind == "update":
        parts = {name: event.get(name) or {} for name in ("data", "metadata")}
        for name, part in parts.items():
            found = resolve(part) if isinstance(part, BlobRef) else part
            if isinstance(found, _Missing):
                found = {"text/plain": found} if name == "data" else {}
            parts[name] = found if isinstance(found, dict) else {}
        yield {**event, **parts}
    elif kind == "clear":
        yield dict(event)


def _sound_output(output: Any, resolve: Resolve) -> dict[str, Any]:
    """An output whose kind is known and whose parts have the right types, blobs aside."""
    if isinstance(output, _Missing):
        return {"output_type": "stream", "name": "stderr", "text": f"{output}\n"}
    kind = output.get("output_type") if isinstance(output, dict) else None
    if kind == "stream":
        text = output.get("text", "")
        if isinstance(text, BlobRef):
            text = resolve(text)
        name = output.get("name")
        return {
            "output_type": kind,
            "name": name if isinstance(name, str) else "stdout",
            "text": _as_text(text),
        }
    if isinstance(kind, str) and kind in {"display_data", "execute_result", "error"}:
        return {str(key): value for key, value in output.items()}
    said = f"[ipysession: an output of the unknown kind {str(kind)[:80]!r} was left out]\n"
    return {"output_type": "stream", "name": "stderr", "text": said}


def _has_gap(output: dict[str, Any]) -> bool:
    data = output.get("data")
    return isinstance(data, dict) and any(isinstance(v, _Missing) for v in data.values())


def _valid(output: dict[str, Any], plain: Plain) -> dict[str, Any]:
    """``output`` with the fields that nbformat wants and no others."""
    kind = output["output_type"]
    if kind == "stream":
        return {
            "output_type": kind,
            "name": plain.text(output["name"]),
            "text": plain.text(output["text"]),
        }
    if kind == "error":
        traceback = output.get("traceback")
        lines = traceback if isinstance(traceback, (list, tuple)) else [traceback or ""]
        return {
            "output_type": kind,
            "ename": plain.text(_as_text(output.get("ename", ""))),
            "evalue": plain.text(_as_text(output.get("evalue", ""))),
            "traceback": [plain.text(_as_text(line)) for line in lines],
        }
    metadata = output.get("metadata")
    made = {
        "output_type": kind,
        "data": mime_bundle(output.get("data"), plain),
        "metadata": plain.value(metadata) if isinstance(metadata, dict) else {},
    }
    if kind == "execute_result":
        made["execution_count"] = valid_count(output.get("execution_count"))
    return made


def valid_count(count: Any) -> int | None:
    """An execution count as nbformat wants it."""
    counts = isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 2**63
    return count if counts else None


def mime_bundle(data: Any, plain: Plain) -> dict[str, Any]:
    """A mime bundle in which JSON types hold JSON and all others text."""
    if isinstance(data, _Missing):
        data = {"text/plain": data}
    if not isinstance(data, dict):
        data = {} if data is None else {"text/plain": data}
    bundle: dict[str, Any] = {}
    missing: list[str] = []
    for mime, value in data.items():
        if isinstance(value, _Missing):
            # Text in the place of a picture would show as a broken picture.
            missing.append(f"{value} ({mime})")
        elif _JSON_MIME.fullmatch(mime):
            bundle[plain.text(mime)] = plain.value(value)
        else:
            bundle[plain.text(mime)] = plain.text(_as_text(value))
    if missing:
        said = [bundle["text/plain"]] if "text/plain" in bundle else []
        bundle["text/plain"] = plain.text("\n".join(said + missing))
    return bundle


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, (list, tuple)) and all(isinstance(line, str) for line in value):
        return "".join(value)
    return str(Plain().value(value))
