"""``In``, ``Out``, Up-arrow and the execution count, as if the kernel had never ended."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ipysession.model import Session, Step

_OUTPUT_NAME = re.compile(r"_(\d+)")
_NEWEST = ("_", "__", "___")

_LEAVES = re.compile("exit|quit")
"""How a cell begins that IPython may keep out of its history."""

_NAMED_INPUTS = 4
"""IPython shifts so many along: ``_i``, ``_ii``, ``_iii`` and what the next cell makes ``_i``."""


def restore_history(shell: Any, session: Session, execution_count: int) -> None:
    """``In`` and Up-arrow hold the cells of ``session``; the next one will be
    ``execution_count``.
    """
    history = shell.history_manager
    sources: dict[int, Step] = {}
    for step in session.steps:
        if step.store_history and step.execution_count and step.replay_of is None:
            sources[step.execution_count] = step
    if history is None:
        return
    history.reset(new_session=True)
    newest = sorted(sources)[-_NAMED_INPUTS:]
    earlier: dict[str, str] = {}
    for count in range(1, execution_count):
        found = sources.get(count)
        if found is not None:
            if count in newest or _LEAVES.match(found.source.strip()):
                history.store_inputs(count, found.python, found.source)
            else:
                _store_earlier(history, count, found)
                earlier[f"_i{count}"] = found.source.rstrip("\n")
        # A cell that was no step (%session itself), or that IPython keeps out of its history
        # (exit): its line stays empty, so that In[n] stays the n-th.
        for lines in (history.input_hist_parsed, history.input_hist_raw):
            lines.extend([""] * (count + 1 - len(lines)))
    shell.push(earlier, interactive=False)
    application = getattr(shell, "pt_app", None)
    if application is not None:
        for step in sources.values():
            application.history.append_string(step.source.rstrip("\n"))


def _store_earlier(history: Any, count: int, step: Step) -> None:
    """What `store_inputs` does, but for the names in the namespace, which take most of its time:
    those of all steps are set in one go, and ``_i``, ``_ii`` and ``_iii`` by the newest.
    """
    lines = step.python.rstrip("\n"), step.source.rstrip("\n")
    history.input_hist_parsed.append(lines[0])
    history.input_hist_raw.append(lines[1])
    with history.db_input_cache_lock:
        history.db_input_cache.append((count, *lines))


class Outputs:
    """``Out`` and ``_``, ``__``, ``___`` of one shell, kept in step with the names ``_3`` …"""

    def __init__(self, shell: Any) -> None:
        self._shell = shell

    def state(self) -> tuple[dict[int, Any], list[Any]]:
        """What `restore` takes."""
        namespace = self._shell.user_ns
        return dict(namespace["_oh"]), [namespace.get(name, "") for name in _NEWEST]

    def restore(self, state: tuple[dict[int, Any], list[Any]]) -> None:
        """``Out`` and the newest outputs are again as they were at `state`."""
        held = self._shell.user_ns["_oh"]
        held.clear()
        held.update(state[0])
        self.set_newest(state[1])

    def set_newest(self, values: Iterable[Any]) -> None:
        """The newest outputs, ``_`` first, are these; of fewer than three the others stay."""
        for name, value in zip(_NEWEST, values, strict=False):
            self._set(name, value)

    def reset(self, names: Iterable[str]) -> None:
        """``Out`` holds the outputs among ``names``, and nothing else."""
        self._shell.user_ns["_oh"].clear()
        for name in _NEWEST:
            self._set(name, "")
        self.came(list(names))

    def came(self, names: Collection[str]) -> None:
        """These names, or some of them, are in the namespace now."""
        namespace = self._shell.user_ns
        held: dict[int, Any] = namespace["_oh"]
        before = dict(zip(_NEWEST, self._newest(held), strict=True))
        came = {
            int(match[1]): namespace[name]
            for name in names
            if name in namespace and (match := _OUTPUT_NAME.fullmatch(name)) is not None
        }
        if not came:
            return
        outputs = sorted({**held, **came}.items())
        held.clear()
        held.update(outputs)
        for name, value in zip(_NEWEST, self._newest(held), strict=True):
            if namespace.get(name, "") is before[name]:  # else the user has bound it
                self._set(name, value)

    @staticmethod
    def _newest(held: dict[int, Any]) -> list[Any]:
        newest = [held[count] for count in sorted(held, reverse=True)[:3]]
        return newest + [""] * (3 - len(newest))

    def _set(self, name: str, value: Any) -> None:
        setattr(self._shell.displayhook, name, value)
        self._shell.user_ns[name] = value
