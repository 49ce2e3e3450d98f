"""An RO-Crate 1.1: the notebook, its requirements and input files, and a document that tells
archives what each is and which steps made it (https://w3id.org/ro/crate/1.1).
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote

from ipysession.export.inputs import copy_inputs
from ipysession.export.prov import prov_document

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ipysession.model import Step
    from ipysession.store import Reading

_SPECIFICATION = "https://w3id.org/ro/crate/1.1"
_NOTEBOOK = "notebook.ipynb"
_PROV = "provenance.prov.json"
_REQUIREMENTS = "requirements.txt"


def write_crate(
    stream: BinaryIO,
    reading: Reading,
    kept: Sequence[Step],
    notebook: bytes,
    requirements: Iterable[str],
) -> None:
    """Write the crate as a zip file. ``notebook`` is the clean notebook's text."""
    session = reading.session
    prov = json.dumps(prov_document(session, kept), indent=1).encode()
    files = {
        _NOTEBOOK: notebook,
        _PROV: prov,
        _REQUIREMENTS: "".join(f"{line}\n" for line in requirements).encode(),
    }
    with (
        tempfile.TemporaryDirectory(prefix="ipysession-crate-") as scratch,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as crate,
    ):
        found = copy_inputs(session, kept, Path(scratch), reading.blobs)
        for position, (path, copy) in enumerate(sorted(found.copied.items()), 1):
            files[f"inputs/{position}-{_file_name(path)}"] = copy.read_bytes()
        for name, data in files.items():
            crate.writestr(name, data)
        document = _metadata(reading, kept, {name: len(data) for name, data in files.items()})
        crate.writestr("ro-crate-metadata.json", json.dumps(document, indent=1))


def _file_name(path: str) -> str:
    name = path.replace("\\", "/").rpartition("/")[2]
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)
    return kept[:100] or "file"


def _metadata(reading: Reading, kept: Sequence[Step], sizes: dict[str, int]) -> dict[str, Any]:
    from ipysession import __version__

    session = reading.session
    summary = session.summary
    title = summary.title.encode("utf-8", "replace").decode()
    user = summary.user.encode("utf-8", "replace").decode() or "unknown"
    finished = [step.finished for step in kept if step.finished is not None]
    run = session.runs[-1].environment if session.runs else None
    inputs = [name for name in sizes if name.startswith("inputs/")]
    person = f"#user-{quote(user, safe='')}"
    graph: list[dict[str, Any]] = [
        {
            "@id": "ro-crate-metadata.json",
            "@type": "CreativeWork",
            "conformsTo": {"@id": _SPECIFICATION},
            "about": {"@id": "./"},
        },
        {
            "@id": "./",
            "@type": "Dataset",
            "name": title,
            "description": f"The session {session.id}, recorded by ipysession, as a notebook.",
            "datePublished": summary.updated.isoformat(),
            "license": "No license is given; ask the author.",
            "identifier": session.id,
            "author": {"@id": person},
            "hasPart": [{"@id": name} for name in sizes],
            "mainEntity": {"@id": _NOTEBOOK},
            "mentions": {"@id": "#session"},
        },
        {"@id": person, "@type": "Person", "name": user},
        {
            "@id": "#ipysession",
            "@type": "SoftwareApplication",
            "name": "ipysession",
            "softwareVersion": __version__,
        },
        {
            "@id": "#python",
            "@type": ["ComputerLanguage", "SoftwareApplication"],
            "name": "Python" if run is None else run.implementation,
            "softwareVersion": "" if run is None else run.python,
        },
        {
            "@id": _NOTEBOOK,
            "@type": ["File", "SoftwareSourceCode"],
            "name": f"{title}: the clean notebook",
            "encodingFormat": "application/x-ipynb+json",
            "contentSize": str(sizes[_NOTEBOOK]),
            "programmingLanguage": {"@id": "#python"},
            "softwareRequirements": {"@id": _REQUIREMENTS},
        },
        {
            "@id": _PROV,
            "@type": "File",
            "name": "Provenance of each step, as W3C PROV-JSON",
            "encodingFormat": "application/json",
            "contentSize": str(sizes[_PROV]),
        },
        {
            "@id": _REQUIREMENTS,
            "@type": "File",
            "name": "Packages to install",
            "encodingFormat": "text/plain",
            "contentSize": str(sizes[_REQUIREMENTS]),
        },
        *(
            {
                "@id": name,
                "@type": "File",
                "name": name.partition("-")[2],
                "contentSize": str(sizes[name]),
            }
            for name in inputs
        ),
        {
            "@id": "#session",
            "@type": "CreateAction",
            "name": f"{len(kept)} steps of the session {session.id}",
            "startTime": kept[0].started.isoformat(),
            "endTime": (max(finished) if finished else kept[-1].started).isoformat(),
            "agent": {"@id": person},
            "instrument": [{"@id": _NOTEBOOK}, {"@id": "#ipysession"}],
            "object": [{"@id": name} for name in inputs],
            "result": {"@id": _PROV},
        },
    ]
    return {"@context": f"{_SPECIFICATION}/context", "@graph": graph}
