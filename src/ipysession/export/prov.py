"""A session's provenance as PROV-JSON (W3C Member Submission, 24 April 2013).

Each step is an activity; its code, the versions of variables, and the files are entities; the
user and ipysession are agents. PROV-DM (W3C Recommendation) says what each relation means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ipysession.export.plain import Plain
from ipysession.lineage.things import thing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipysession.model import Session, Step
    from ipysession.model.provenance import Provenance

_NAMESPACE = "https://ipysession.invalid/session/{}/"
"""Identifies, and leads nowhere: RFC 2606 reserves the name."""


def prov_document(session: Session, kept: Sequence[Step]) -> dict[str, Any]:
    """The provenance of the steps in ``kept``, as JSON data."""
    made = _Document(session)
    for step in kept:
        made.take(step)
    return made.document()


class _Document:
    def __init__(self, session: Session) -> None:
        self._plain = Plain()
        self._session = session
        self._latest: dict[str, tuple[str, str]] = {}
        """For each variable and file: its newest entity and the activity that made it."""
        self._parts: dict[str, dict[str, Any]] = {}
        self._told: set[tuple[str, ...]] = set()
        """The relations, each of which is told once."""
        user = session.summary.user or "unknown"
        self._user = self._add("agent", f"user/{_word(user)}", {
            "prov:type": {"$": "prov:Person", "type": "prov:QUALIFIED_NAME"},
            "prov:label": self._plain.text(user),
        })  # fmt: skip
        self._runs: dict[int, str] = {}
        for run in session.runs:
            name = f"{run.environment.implementation} {run.environment.python}"
            self._runs[run.number] = self._add("agent", f"run/{run.number}", {
                "prov:type": {"$": "prov:SoftwareAgent", "type": "prov:QUALIFIED_NAME"},
                "prov:label": self._plain.text(f"{name} on {run.environment.platform}"),
            })  # fmt: skip

    def _add(self, kind: str, name: str, fields: dict[str, Any]) -> str:
        identifier = f"s:{name}"
        self._parts.setdefault(kind, {})[identifier] = fields
        return identifier

    def _relate(self, kind: str, **fields: str) -> None:
        relations = self._parts.setdefault(kind, {})
        if (kind, *fields.values()) in self._told:
            return
        self._told.add((kind, *fields.values()))
        named = {f"prov:{role}": value for role, value in fields.items()}
        relations[f"_:{kind}{len(relations) + 1}"] = named

    def take(self, step: Step) -> None:
        """One step, after all before it."""
        number = step.number
        times = {"prov:startTime": step.started.isoformat()}
        if step.finished is not None:
            times["prov:endTime"] = step.finished.isoformat()
        more: dict[str, Any] = {}
        if step.rerun_of is not None:
            more["s:runsAgain"] = step.rerun_of
        parent = self._session.summary.parent
        if parent is not None and number <= parent.step:
            more["s:recordedIn"] = parent.session  # this session grew from that one after it
        activity = self._add(
            "activity",
            f"step/{number}",
            {**times, "prov:label": f"step {number}", "s:outcome": str(step.outcome), **more},
        )
        code = self._add(
            "entity",
            f"step/{number}/code",
            {"prov:label": f"the code of step {number}",
             "prov:value": self._plain.text(step.source)},
        )  # fmt: skip
        self._relate("used", activity=activity, entity=code)
        self._relate("wasAttributedTo", entity=code, agent=self._user)
        self._relate("wasAssociatedWith", activity=activity, agent=self._user)
        if step.run in self._runs:
            self._relate("wasAssociatedWith", activity=activity, agent=self._runs[step.run])
        did = step.provenance
        for name in did.reads:
            self._use(activity, f"variable {name}")
        for use in did.files:
            if use.action == "read" and not self._use(activity, f"file {use.path}"):
                self._file(use.path, use.digest, number)
                self._use(activity, f"file {use.path}")
        for name in _written(did):
            entity = self._add(
                "entity",
                f"variable/{_word(name)}/{number}",
                {"prov:label": self._plain.text(name), "s:step": number},
            )
            self._generate(activity, entity, f"variable {name}")
        for use in did.files:
            if use.action == "written":
                self._generate(
                    activity, self._file(use.path, use.digest, number), f"file {use.path}"
                )

    def _file(self, path: str, digest: str | None, number: int) -> str:
        fields: dict[str, Any] = {"prov:label": self._plain.text(path)}
        if digest is not None:
            fields["s:blake3"] = digest
        entity = self._add("entity", f"file/{_word(path)}/{number}", fields)
        self._latest[f"file {path}"] = (entity, "")
        return entity

    def _use(self, activity: str, what: str) -> bool:
        if what not in self._latest:
            return False
        entity, maker = self._latest[what]
        self._relate("used", activity=activity, entity=entity)
        if maker and maker != activity:
            self._relate("wasInformedBy", informed=activity, informant=maker)
        return True

    def _generate(self, activity: str, entity: str, what: str) -> None:
        before = self._latest.get(what)
        self._relate("wasGeneratedBy", entity=entity, activity=activity)
        if before is not None and before[0] != entity:
            self._relate("wasRevisionOf", newer=entity, older=before[0])
        self._latest[what] = (entity, activity)

    def document(self) -> dict[str, Any]:
        """All of it, as JSON data."""
        revisions = self._parts.pop("wasRevisionOf", {})
        for name, fields in revisions.items():
            self._parts.setdefault("wasDerivedFrom", {})[name.replace("Revision", "Derived")] = {
                "prov:generatedEntity": fields["prov:newer"],
                "prov:usedEntity": fields["prov:older"],
                "prov:type": {"$": "prov:Revision", "type": "prov:QUALIFIED_NAME"},
            }
        prefix = {"s": _NAMESPACE.format(_word(self._session.id))}
        return {"prefix": prefix, **self._parts}


def _written(did: Provenance) -> list[str]:
    """The variables that a step bound or changed in place: each has a new version after it."""
    changed = () if did.lineage is None else (thing(text).root for text in did.lineage.changed)
    return [name for name in dict.fromkeys((*did.bound, *changed)) if ":" not in name]


def _word(text: str) -> str:
    """``text`` as the local part of a qualified name."""
    return quote(text.encode("utf-8", "surrogatepass"), safe="").replace("~", "%7E")
