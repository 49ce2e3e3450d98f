"""Where a step's results came from: files, processes, connections, packages, environment."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field


class Frozen(BaseModel):
    """The base of everything recorded: immutable, and unknown fields are passed over.

    Unknown fields come from a newer version of the format; the log itself is never
    rewritten, so passing over them loses nothing.
    """

    # Validators are built at first use: `%load_ext` would wait for forty of them.
    model_config = ConfigDict(
        frozen=True, extra="ignore", ser_json_inf_nan="constants", defer_build=True
    )

    @classmethod
    def trusted(cls, fields: dict[str, Any]) -> Self:
        """An instance from fields that are complete and were validated before.

        What pydantic's ``model_construct`` does, without its walk over the defaults, which
        takes most of the time of opening a session.
        """
        made = cls.__new__(cls)
        object.__setattr__(made, "__dict__", fields)
        object.__setattr__(made, "__pydantic_fields_set__", _names(cls))
        object.__setattr__(made, "__pydantic_extra__", None)
        object.__setattr__(made, "__pydantic_private__", None)
        return made


@cache
def _names(cls: type[Frozen]) -> set[str]:
    """One set for all instances: they are frozen, and copies get copies of it."""
    return set(cls.model_fields)


class GitState(Frozen):
    """The commit that a worktree stood at, and whether it had uncommitted changes."""

    worktree: str
    commit: str | None = None
    branch: str | None = None
    dirty: bool | None = None


class Environment(Frozen):
    """What a run ran in. Values of environment variables are never recorded."""

    python: str
    implementation: str = "CPython"
    executable: str = ""
    platform: str = ""
    host: str = ""
    user: str = ""
    pid: int = 0
    cwd: str = ""
    frontend: str = ""
    """``kernel`` or ``terminal``."""
    ipython: str = ""
    ipykernel: str | None = None
    ipysession: str = ""
    packages: dict[str, str] = Field(default_factory=dict)
    """Versions of the packages that were imported when the run started."""
    git: GitState | None = None


class FileUse(Frozen):
    """A file that a step read or wrote, as it stood when the step ended."""

    path: str
    size: int | None = None
    """Bytes."""
    mtime: float | None = None
    """Seconds since the epoch."""
    digest: str | None = None
    """BLAKE3 of the content, in hex; None where the file was too large or already gone."""
    action: Literal["read", "written", "deleted"] = "read"


class ProcessUse(Frozen):
    """A process that a step started. Its arguments pass the redaction like any text."""

    command: str


class Connection(Frozen):
    """A connection that a step opened: a socket's address or a database's path."""

    kind: str
    address: str


class Lineage(Frozen):
    """What a step read and wrote, to the letter, and which source saw it.

    Things are names, parts of them (``d['a']``), or hidden state with its kind before a colon
    (``random:numpy``, ``file:/data/in.csv``). The sources: ``code`` (the cell's own), ``calls``
    (through functions that it reached), ``value`` (values compared before and after), ``hidden``
    (state that no variable holds), ``effects`` (the audit hook), ``folder`` (files compared),
    ``text`` (a literal that names a file), ``threads`` (what ran beside the cell), ``budget``
    (there was no time to look).
    """

    read: dict[str, str] = Field(default_factory=dict)
    """What it used as it stood before the step."""
    made: dict[str, str] = Field(default_factory=dict)
    """What it made anew or deleted: nothing of what stood there before is left."""
    changed: dict[str, str] = Field(default_factory=dict)
    """What it changed in place, or may have."""
    unsure: list[str] = Field(default_factory=list)
    """Those in ``changed`` that were too large to be compared: what the step's checkpoint calls
    unchanged was not changed."""


class Provenance(Frozen):
    """What a step read and wrote."""

    bound: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    files: tuple[FileUse, ...] = ()
    processes: tuple[ProcessUse, ...] = ()
    connections: tuple[Connection, ...] = ()
    packages: dict[str, str] = Field(default_factory=dict)
    git: GitState | None = None
    cwd: str | None = None
    environ_changed: tuple[str, ...] = ()
    """Names (never values) of environment variables that the step changed."""
    asked_input: bool = False
    imported: bool = False
    """The step came with an imported notebook: it never ran here."""
    exact: bool = False
    """``bound``, ``deleted`` and ``reads`` tell all that it read and wrote, unless ``lineage``
    tells more."""
    lineage: Lineage | None = None

    @property
    def outside(self) -> tuple[str, ...]:
        """In words, what the step did outside the namespace; empty where nothing.

        Reading files does not count: it can be repeated without harm.
        """
        said = [
            f"{'deleted' if use.action == 'deleted' else 'wrote'} {use.path}"
            for use in self.files
            if use.action != "read"
        ]
        said += [f"started {use.command}" for use in self.processes]
        said += [f"connected to {use.address}" for use in self.connections]
        if self.environ_changed:
            said.append("changed the environment variables " + ", ".join(self.environ_changed))
        if self.asked_input:
            said.append("asked for input")
        if self.imported:
            said.append("was imported, and never ran here")
        return tuple(said)


Seconds = Annotated[float, Field(ge=0)]
