"""While values wait in the store: IPython's events and questions, so that no one meets a gap.

Before a cell runs, what it can reach is brought; completion, inspection and expressions bring
what they ask for, and so do those who ask the module ``__main__`` (pickle, for a class). All
hooks are taken away again when nothing waits any more and nothing failed to come.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from ipysession.live.unloaded import Unloaded, explanation
from ipysession.record import cells

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipysession.checkpoint.course import GroupKey
    from ipysession.checkpoint.waiting import Waiting
    from ipysession.record.recorder import Recorder

_LOOKED_INTO = re.compile(r"([^\W\d]\w*)\s*[.\[(]")
"""A name whose attributes, items or parameters are asked for."""

_MAIN_HOOK = "__getattr__"
"""What Python calls for an attribute that a module does not have. (Globals that code does not
find are not asked for there.)"""

_ASKING = ("object_inspect", "object_inspect_mime", "user_expressions")
"""Methods of the shell that look names up outside of cells. IPython has no event for them."""


class Arrivals:
    """The values that wait in one kernel, and the hooks that bring them."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._shell = recorder.shell
        self._waiting: Waiting | None = None
        self._hooked = False
        self._unloaded = Unloaded(self._shell)
        self._missed: dict[str, str] = {}
        """What the cell's text names and could not be loaded, and why."""

    @property
    def names(self) -> list[str]:
        """The names that wait."""
        return [] if self._waiting is None else self._waiting.names

    @property
    def failed(self) -> dict[str, str]:
        """The names that could not be loaded, and why."""
        return {} if self._waiting is None else self._waiting.failed

    @property
    def broken(self) -> set[GroupKey]:
        """The groups that could not be loaded."""
        return set() if self._waiting is None else self._waiting.broken

    def begin(self, waiting: Waiting) -> None:
        """Bring what ``waiting`` holds, from the end of this cell on."""
        self.end()
        self._waiting = waiting
        if self._is_needed(waiting):
            self._hook()

    def end(self) -> None:
        """Wait for nothing any more."""
        if self._waiting is not None:
            self._waiting.close()
        self._waiting = None
        self._unhook()

    def bring_all(self) -> None:
        """Bring everything that waits."""
        if self._waiting is not None:
            self._waiting.bring(self._waiting.names)

    def bring(self, names: list[str]) -> None:
        """Bring these of the names that wait."""
        if self._waiting is not None:
            self._waiting.bring(names)

    def forget(self, names: list[str]) -> None:
        """These names were made by other means."""
        if self._waiting is not None:
            self._waiting.forget(names)

    @staticmethod
    def _is_needed(waiting: Waiting) -> bool:
        """Is there anything to bring, or to explain?"""
        return waiting.anything or bool(waiting.failed)

    # -- hooks -------------------------------------------------------------------------

    def _hook(self) -> None:
        self._hooked = True
        events = self._shell.events
        # Before the recorder's own, which then sees what came as not the cell's doing.
        events.callbacks["pre_execute"].insert(0, self.pre_execute)
        events.register("post_execute", self.post_execute)
        self._shell.Completer.custom_matchers.insert(0, self.matcher)
        self._shell.input_transformers_cleanup.insert(0, self.lines_typed)
        for name in _ASKING:
            vars(self._shell)[name] = self._bringing(getattr(self._shell, name))
        self._shell.user_ns.setdefault(_MAIN_HOOK, self.attribute_of_main)

    def _unhook(self) -> None:
        if not self._hooked:
            return
        self._hooked = False
        self._unloaded.cell_ended()  # in the middle of one
        for event in ("pre_execute", "post_execute"):
            callbacks = self._shell.events.callbacks[event]
            callback = getattr(self, event)
            if callback in callbacks:
                callbacks.remove(callback)
        if self.matcher in self._shell.Completer.custom_matchers:
            self._shell.Completer.custom_matchers.remove(self.matcher)
        if self.lines_typed in self._shell.input_transformers_cleanup:
            self._shell.input_transformers_cleanup.remove(self.lines_typed)
        for name in _ASKING:
            vars(self._shell).pop(name, None)
        self._leave_main()

    def _leave_main(self) -> None:
        if self._shell.user_ns.get(_MAIN_HOOK) == self.attribute_of_main:
            del self._shell.user_ns[_MAIN_HOOK]

    def pre_execute(self) -> None:
        """A cell is about to run, perhaps a silent one, of which there is no other event."""
        waiting = self._waiting
        if waiting is None:
            return
        waiting.cell_begins()
        self._missed = {}
        try:
            for frame in cells.enclosing_cells()[:1]:
                self._bring_for(waiting, frame.f_locals["info"])
            self._unloaded.cell_begins(waiting.failed)
        except KeyboardInterrupt:
            self._recorder.notices.tell_at_end(
                "ipysession: loading was interrupted; what this cell needed may be missing in it."
            )
        except Exception:  # noqa: BLE001 - a fault of ours must not keep the cell from running
            self._recorder.notices.internal_error()
        if not self._is_needed(waiting):
            self._leave_main()

    def attribute_of_main(self, name: str) -> Any:
        """Somebody asks the module ``__main__`` for something that it does not have: a pickle for
        a class, a thread for a value. May be called in any thread, also while a cell runs.
        """
        waiting = self._waiting
        namespace = self._shell.user_ns
        why = ""
        # In a process that was forked off, nothing arrives any more.
        if waiting is not None and os.getpid() == self._recorder.process:
            if waiting.can_bring(name):
                came = set(waiting.names)
                waiting.bring([name])
                came.difference_update(waiting.names)
                self._recorder.names_came(came)
            if name in namespace:
                return namespace[name]
            if name in waiting.failed:
                why = f" ({explanation(name, waiting.failed[name])})"
        message = f"module '__main__' has no attribute {name!r}{why}"
        raise AttributeError(message, name=name, obj=self._shell.user_module)

    def _bring_for(self, waiting: Waiting, info: Any) -> None:
        python = cells.transformed_source(self._shell, info)
        if python is None:
            return
        if cells.is_about_sessions(python):
            if not cells.only_asks(python):
                waiting.wait_for_import()  # it may load, apart from what waits
            return
        self._bring_text(waiting, python)

    def bring_for(self, python: str) -> None:
        """Bring what this code can reach."""
        if self._waiting is not None:
            self._bring_text(self._waiting, python)

    def _bring_text(self, waiting: Waiting, python: str) -> None:
        self._missed |= waiting.bring_for(python)

    def lines_typed(self, lines: list[str]) -> list[str]:
        """IPython takes a line that begins with the name of a magic (``alias``, ``time``) for a
        call of that, unless a variable has the name.
        """
        if self._waiting is not None:
            first = {word for line in lines for word in line.split()[:1]}
            magics = self._shell.magics_manager.magics["line"]
            self._waiting.bring(first.intersection(magics, self.names))
        return lines

    def post_execute(self) -> None:
        """A cell ended."""
        explained = self._unloaded.cell_ended()
        for name, why in self._missed.items():
            if name not in explained:  # the cell caught the error, or did not come so far
                self._recorder.notices.tell_at_end(f"ipysession: {explanation(name, why)}")
        self._missed = {}
        if self._waiting is not None:
            self._waiting.cell_ended()
            if not self._is_needed(self._waiting):
                self._unhook()

    def matcher(self, context: Any) -> dict[str, Any]:
        """Completion: names that wait are offered, and brought where their inside is asked for."""
        from IPython.core.completer import SimpleCompletion

        found: list[SimpleCompletion] = []
        if self._waiting is not None:
            line = context.line_with_cursor[: context.cursor_position]
            self._waiting.bring(set(_LOOKED_INTO.findall(line)).intersection(self.names))
            token = context.token
            if token.isidentifier():
                names = [name for name in self.names if name.startswith(token)]
                found = [SimpleCompletion(text=name, type="waiting") for name in names]
        return {"completions": found}

    matcher.matcher_api_version = 2  # type: ignore[attr-defined] # IPython's way to mark it
    matcher.matcher_identifier = "ipysession.waiting"  # type: ignore[attr-defined]

    def _bringing(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """``method`` of the shell, which first brings the waiting names in its first argument."""

        def asked(what: Any, *args: Any, **kwargs: Any) -> Any:
            if self._waiting is not None:
                self._waiting.bring_for(str(what))
            return method(what, *args, **kwargs)

        return asked
