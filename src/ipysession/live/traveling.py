"""Going to another step of the session inside a living kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipysession.checkpoint.course import Course
from ipysession.documents import counted
from ipysession.errors import InvalidRequest
from ipysession.live.branching import Branching, step_of, travel_report
from ipysession.model import Outcome, tree
from ipysession.report import first_line
from ipysession.sessions.reading import replay_policy

if TYPE_CHECKING:
    from ipysession.report import Report
    from ipysession.store import Reading


class Traveling(Branching):
    """Checkout and undo."""

    def checkout(self, step: int, *, replay: str = "safe") -> Report:
        """Bring the variables as they stood after ``step`` (0: the beginning); the next step grows
        from there. What is left stays in the session, saved first.
        """
        replay_policy(replay)
        self.recorder.recording()
        self.recorder.save_waiting()
        reading = self.read(None, verify=True)
        return self._go_to(reading, step_of(reading.session, step), replay)

    def undo(self, count: int = 1, *, replay: str = "safe") -> Report:
        """Go back to before the last ``count`` steps of this branch."""
        replay_policy(replay)
        self.recorder.recording()
        if count < 1:
            message = f"undo takes a number of steps from 1 on, not {count}"
            raise InvalidRequest(message)
        self.recorder.save_waiting()
        reading = self.read(None, verify=True)
        path = [tree.ROOT] + [
            step.number
            for step in tree.branch(reading.session)
            if step.outcome not in (Outcome.DIED, Outcome.RUNNING)
        ]
        if count >= len(path):
            message = f"there are only {counted(len(path) - 1, 'step')} to undo"
            raise InvalidRequest(message)
        return self._go_to(reading, path[-1 - count], replay)

    def _go_to(self, reading: Reading, step: int, replay: str) -> Report:
        session = reading.session
        left = tree.head(session) or tree.ROOT
        current = Course(session)
        self.recorder.stand_on(step)
        plan, result = self._restore(reading, replay, current=current, head=step)
        said = f"On step {step}" if step else "At the beginning"
        if step:
            said += f" ({first_line(session.step(step).source)})"
        return travel_report(session, plan, result, said, f"%session checkout {left}")
