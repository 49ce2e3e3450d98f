"""docs/log-format.md is enough for a stranger: this reader uses nothing of ours to read."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path

from blake3 import blake3

from ipysession.model import payloads as p
from ipysession.model.outputs import fold_outputs
from ipysession.model.provenance import Environment
from ipysession.store import Store

DOCS = Path(__file__).parents[2] / "docs"
KEY = bytes(range(32))


class StrangersReader:
    """What somebody would write who has read the page, and only the page."""

    def __init__(self, folder: Path, key: bytes) -> None:
        self.folder, self.key = folder, key
        self.problems: list[str] = []

    def records(self) -> list[dict]:
        """All records, ordered, decoded."""
        lines: dict[int, bytes] = {}
        for segment in sorted((self.folder / "log").glob("[0-9]*.jsonl")):
            for raw in segment.read_bytes().split(b"\n"):
                if not raw:
                    continue
                if not self.holds(raw):
                    self.problems.append("damaged")
                    continue
                lines.setdefault(json.loads(raw)["seq"], raw)
        previous, found = "0" * 40, []
        for seq in sorted(lines):
            body, mac = re.fullmatch(rb'(.*),"mac":"([0-9a-f]{40})"\}', lines[seq]).groups()
            keyed = blake3(previous.encode() + body, key=self.key).hexdigest(16)
            if keyed != mac[:32].decode():
                self.problems.append(f"forged {seq}")
            previous = mac.decode()
            record = json.loads(lines[seq])
            record["payload"] = self.unwrap(record["payload"])
            found.append(record)
        return found

    @staticmethod
    def holds(raw: bytes) -> bool:
        """Is the checksum, the last 8 digits, that of all before it?"""
        match = re.fullmatch(rb'(.*,"mac":"[0-9a-f]{32})([0-9a-f]{8})"\}', raw)
        return match is not None and int(match[2], 16) == zlib.crc32(match[1])

    def unwrap(self, value):
        """The table of wrappers."""
        if isinstance(value, list):
            return [self.unwrap(item) for item in value]
        if not isinstance(value, dict):
            return value
        if set(value) == {"$blob", "size", "media"}:
            name = value["$blob"]
            data = (self.folder / "blobs" / name[:2] / name).read_bytes()
            assert blake3(data).hexdigest() == name
            text = data.decode("utf-8", "surrogatepass")
            return text if value["media"] == "text" else self.unwrap(json.loads(text))
        if len(value) == 1:
            [(key, inner)] = value.items()
            if key == "$float":
                return float(inner)
            if key == "$int":
                return int(inner, 16)
            if key == "$esc":
                return {name: self.unwrap(item) for name, item in inner.items()}
            if key == "$flat":
                built = []
                for item in inner:
                    pairs = item.items() if isinstance(item, dict) else enumerate(item)
                    made = {
                        k: built[v["$at"]] if isinstance(v, dict) and "$at" in v else self.unwrap(v)
                        for k, v in pairs
                    }
                    built.append(made if isinstance(item, dict) else list(made.values()))
                return built[-1]
        return {name: self.unwrap(item) for name, item in value.items()}


def write_session(root: Path) -> Path:
    """A session with all that makes reading hard."""
    deep: list = []
    for _ in range(100):
        deep = [deep, {"$esc": 1}]
    odd = {"nan": float("inf"), "big": 10**700, "wrapper": {"$float": "no"}, "deep": deep}
    store = Store(root / "store", key=KEY)
    writer = store.create(p.SessionCreated(session="", title="Ünïcode \ud800 \u2028"))
    writer.append(p.RunStarted(number=1, environment=Environment(python="3.11.7")))
    writer.append(p.StepStarted(step=1, source="print('y' * 300_000)"))
    stream = {"output_type": "stream", "name": "stdout", "text": "y" * 300_000}
    shown = {"output_type": "display_data", "data": {"application/json": odd}, "metadata": {}}
    events = [{"event": "output", "output": output} for output in (stream, shown)]
    writer.append(p.StepOutput(step=1, events=events))
    writer.append(p.StepFinished(step=1, outcome="ok", duration=0.5, bound=["x"]))
    folder = writer.folder.path
    writer.close()
    again = store.open_for_append(folder.name)
    again.note_death()
    again.append(p.SessionResumed(reason="later"))
    again.close()
    return folder


def test_a_reader_written_from_the_page_reads_what_ours_reads(tmp_path):
    """Records, order, authenticity, wrapped values and blobs."""
    folder = write_session(tmp_path)
    stranger = StrangersReader(folder, KEY)
    theirs = stranger.records()
    ours = Store(tmp_path / "store", key=KEY).folder(folder.name).read(KEY)
    assert stranger.problems == []
    assert not ours.damage
    assert [(r["seq"], r["type"], r["t"], r["run"]) for r in theirs] == [
        (r.seq, r.type, r.t, r.run) for r in ours.contents.records
    ]
    assert theirs[0]["payload"]["title"] == ours.session.summary.title == "Ünïcode \ud800 \u2028"
    outputs = fold_outputs({1: ours.session.steps[0].events}, ours.blobs.resolve)[1]
    assert [event["output"] for event in theirs[3]["payload"]["events"]] == outputs
    assert len(list((folder / "log").iterdir())) == 2, "two writers, two segments"


def test_the_stranger_sees_tampering_and_damage_too(tmp_path):
    """With the key a changed record shows; without it, a flipped bit."""
    folder = write_session(tmp_path)
    segment = folder / "log" / "000001.jsonl"
    lines = segment.read_bytes().split(b"\n")
    changed = lines[2].replace(b"print", b"drop_")
    start = changed[:-10]
    lines[2] = start + b'%08x"}' % zlib.crc32(start)
    segment.write_bytes(b"\n".join(lines))
    stranger = StrangersReader(folder, KEY)
    stranger.records()
    assert "forged 3" in stranger.problems
    lines[2] = b"x" + lines[2][1:]
    segment.write_bytes(b"\n".join(lines))
    stranger = StrangersReader(folder, KEY)
    stranger.records()
    assert stranger.problems[0] == "damaged"


def test_the_page_names_every_record_type_and_field():
    """A new type or field must be told."""
    page = (DOCS / "log-format.md").read_text("utf-8")
    missing = [name for name in p.PAYLOADS if f"`{name}`" not in page]
    missing += [
        f"{name}.{field}"
        for name, cls in p.PAYLOADS.items()
        for field in cls.model_fields
        if f"`{field}`" not in page
    ]
    assert missing == []
