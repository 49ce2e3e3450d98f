"""Hypothesis strategies for what is recorded: JSON values with all their traps, and payloads."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from hypothesis import strategies as st

from ipysession.model import payloads as p
from ipysession.model.provenance import (
    Connection,
    Environment,
    FileUse,
    GitState,
    ProcessUse,
)
from ipysession.model.state import Outcome

_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


def texts(max_size: int = 12) -> st.SearchStrategy[str]:
    """Any text: lone surrogates, NUL and U+2028 too. Two surrogates that stand side by side
    and form a character are left out: in JSON they are that character.
    """
    tricky = st.sampled_from(
        ["\u2028", "\u2029", "\ud800", "\udfff", "\x00", "$", '"', "\\", "é", "🎈"]
    )
    alphabet = st.one_of(st.characters(codec=None, exclude_categories=()), tricky)
    return st.text(alphabet, max_size=max_size).filter(lambda text: not _PAIR.search(text))


def keys() -> st.SearchStrategy[str]:
    """Keys, many of which look like those of our wrappers."""
    reserved = ["$float", "$int", "$flat", "$at", "$esc", "$blob", "$", "size", "media", "v"]
    return st.one_of(st.sampled_from(reserved), texts(5))


def scalars() -> st.SearchStrategy[Any]:
    """Numbers, texts, booleans, None."""
    huge = st.integers(min_value=600, max_value=6000).map(lambda digits: 10**digits)
    return st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        huge,
        huge.map(lambda number: -number),
        st.floats(),
        texts(),
    )


def values(max_leaves: int = 12) -> st.SearchStrategy[Any]:
    """Any JSON value."""
    return st.recursive(
        scalars(),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.dictionaries(keys(), inner, max_size=4),
        ),
        max_leaves=max_leaves,
    )


class Nested(NamedTuple):
    """A JSON value to be put inside many more, up to far beyond what a stack holds.

    Hypothesis would need a deep stack itself to show the whole value.
    """

    core: Any
    levels: int
    shapes: list[str | None]

    def value(self) -> Any:
        """The whole of it."""
        value = self.core
        for level in range(self.levels):
            key = self.shapes[level % len(self.shapes)]
            value = [value] if key is None else {key: value}
        return value


def nested() -> st.SearchStrategy[Nested]:
    """Values of any depth, more often around the depth where the encoding changes."""
    levels = st.one_of(st.integers(0, 140), st.sampled_from([62, 63, 64, 65, 5000]))
    shapes = st.lists(st.one_of(st.none(), keys()), min_size=1, max_size=3)
    return st.builds(Nested, values(6), levels, shapes)


def objects() -> st.SearchStrategy[dict[str, Any]]:
    """Any JSON object."""
    return st.dictionaries(keys(), values(8), max_size=4)


_names = st.lists(texts(8), max_size=3)
_counts = st.dictionaries(keys(), st.integers(0, 9), max_size=2)
_number = st.integers(1, 10_000)
_maybe_text = st.none() | texts()
_seconds = st.floats(min_value=0, allow_nan=False, allow_infinity=False)
_git = st.builds(GitState, worktree=texts(), commit=_maybe_text, dirty=st.none() | st.booleans())
_versions = st.dictionaries(keys(), texts(5), max_size=2)
_environment = st.builds(
    Environment, python=texts(5), packages=_versions, git=st.none() | _git, pid=st.integers(0, 99)
)
_group = st.builds(
    p.SavedGroup,
    names=_names,
    size=st.integers(0, 10**20),
    inline=_maybe_text,
    blob=_maybe_text,
    parts=st.lists(st.builds(p.SavedPart, size=st.integers(0, 10**20), pieces=_names), max_size=2),
    table=_maybe_text,
    types=_versions,
    previews=st.dictionaries(
        texts(5),
        st.builds(
            p.Preview,
            type=texts(),
            size=st.none() | st.integers(0, 10**20),
            shape=st.none() | st.lists(st.integers(0, 10**9), max_size=2),
            text=_maybe_text,
        ),
        max_size=2,
    ),
    seconds=_seconds,
)
events = st.lists(objects(), max_size=3)

_FIELDS: dict[type[p.Payload], dict[str, st.SearchStrategy[Any]]] = {
    p.SessionCreated: {
        "session": texts(),
        "title": texts(),
        "notebook": _maybe_text,
        "parent": st.none() | st.builds(p.ParentStep, session=texts(), step=_number),
    },
    p.RunStarted: {"number": _number, "environment": _environment, "notebook": _maybe_text},
    p.RunEnded: {"reason": texts()},
    p.StepStarted: {
        "step": _number,
        "parent": st.none() | _number,
        "source": texts(),
        "transformed": _maybe_text,
        "store_history": st.booleans(),
        "replay_of": st.none() | _number,
        "redacted": _counts,
    },
    p.StepOutput: {"step": _number, "events": events, "redacted": _counts},
    p.StepFinished: {
        "step": _number,
        "outcome": st.sampled_from([Outcome.OK, Outcome.ERROR, Outcome.INTERRUPTED]),
        "duration": _seconds,
        "error": st.none()
        | st.builds(p.StepError, ename=texts(), evalue=texts(), traceback=_names),
        "bound": _names,
        "deleted": _names,
        "reads": _names,
        "redacted": _counts,
    },
    p.StepEffects: {
        "step": _number,
        "files": st.lists(
            st.builds(
                FileUse,
                path=texts(),
                size=st.none() | st.integers(0, 2**70),
                mtime=st.none() | st.floats(allow_nan=False),
                action=st.sampled_from(["read", "written", "deleted"]),
            ),
            max_size=2,
        ),
        "processes": st.lists(st.builds(ProcessUse, command=texts()), max_size=2),
        "connections": st.lists(st.builds(Connection, kind=texts(5), address=texts(5)), max_size=2),
        "packages": _versions,
        "git": st.none() | _git,
        "cwd": _maybe_text,
        "environ_changed": _names,
        "asked_input": st.booleans(),
        "omitted": st.integers(0, 9),
    },
    p.CheckpointSaved: {
        "step": _number,
        "groups": st.lists(_group, max_size=2),
        "changed": _names,
        "unchanged": _names,
        "skipped": st.lists(st.builds(p.SkippedGroup, names=_names, reason=texts()), max_size=2),
        "state": st.none() | _group,
        "seconds": _seconds,
    },
    p.CheckpointsDropped: {"steps": st.lists(_number, max_size=3), "reason": texts()},
    p.SessionPaused: {"reason": texts()},
    p.SessionResumed: {"reason": texts()},
    p.SessionCompleted: {"reason": texts()},
    p.SessionFailed: {"reason": texts()},
    p.SessionTitled: {"title": texts()},
    p.SessionTagged: {"tag": texts()},
    p.SessionUntagged: {"tag": texts()},
    p.NoteAdded: {"text": texts(), "step": st.none() | _number},
    p.ArtifactSaved: {"name": texts(), "blob": texts(), "size": st.integers(0, 2**70)},
    p.SessionImported: {
        "kind": st.sampled_from(["bundle", "notebook"]),
        "origin": texts(),
        "digest": texts(),
        "inputs": _names,
    },
    p.BranchCreated: {"session": texts(), "step": _number},
    p.SessionMoved: {"step": _number, "left": st.none() | _number},
}


def payload_of(cls: type[p.Payload]) -> st.SearchStrategy[p.Payload]:
    """Any payload of that type."""
    return st.builds(cls, **_FIELDS[cls])


def payloads() -> st.SearchStrategy[p.Payload]:
    """Any payload of any type."""
    return st.sampled_from(list(p.PAYLOADS.values())).flatmap(payload_of)


def same(one: Any, other: Any) -> bool:
    """Are two JSON values equal, type by type, with NaN equal to itself and 0.0 unlike -0.0?

    Iterative: the values may be nested deeper than the stack.
    """
    todo = [(one, other)]
    while todo:
        left, right = todo.pop()
        if type(left) is not type(right):
            return False
        if isinstance(left, dict):
            if list(left) != list(right):
                return False
            todo.extend((left[key], right[key]) for key in left)
        elif isinstance(left, list):
            if len(left) != len(right):
                return False
            todo.extend(zip(left, right, strict=True))
        elif isinstance(left, float):
            if float.__repr__(left) != float.__repr__(right):
                return False
        elif left != right:
            return False
    return True
