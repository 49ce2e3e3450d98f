"""Going on in a session of its own that grows from a step of another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipysession
from ipysession.checkpoint.course import Course
from ipysession.checkpoint.growing import grow
from ipysession.checkpoint.restore import How
from ipysession.checkpoint.trust import trust_in
from ipysession.errors import InvalidRequest, ResumeRefused
from ipysession.live.restoring import Restoring, came_tables, foreign_message
from ipysession.model import payloads as p
from ipysession.model import tree
from ipysession.report import Report, byte_size, duration
from ipysession.sessions.reading import replay_policy

if TYPE_CHECKING:
    from ipysession.checkpoint.plan import Plan
    from ipysession.checkpoint.restore import ResumeResult
    from ipysession.model import Session


class Branching(Restoring):
    """Branches."""

    def branch(
        self,
        step: int | None = None,
        reference: str | None = None,
        *,
        title: str | None = None,
        replay: str = "safe",
        trust: bool = False,
    ) -> Report:
        """Go on in a new session that grows from ``step`` (default: where it stands) of this
        session, or of the one that ``reference`` means: a completed one, one that a living kernel
        writes, or, with ``trust``, one of somebody else's.
        """
        replay_policy(replay)
        own = reference is None or (
            self.live is not None and self.resolve(reference) == self.live.id
        )
        if own:
            self.recorder.recording()
            self.recorder.save_waiting()
        reading = self.read(None if own else reference, verify=True)
        session = reading.session
        believed = trust_in(reading)
        if believed.foreign and not trust:
            raise ResumeRefused(
                foreign_message(session.id, f"%session branch --session {session.id}")
            )
        if not believed.foreign and (believed.unproven or believed.untrusted):
            told = sorted(believed.unproven | believed.untrusted)
            message = (
                f"the log of session {session.id} was changed after it was written (steps "
                f"{', '.join(map(str, told[:8]))}): what is not proven is not taken over. "
                "%session verify-log tells more; %session resume leaves it out"
            )
            raise ResumeRefused(message)
        head = step_of(session, tree.head(session) or tree.ROOT if step is None else step)
        current = Course(session) if own else None
        made_by = f"ipysession {ipysession.__version__}"
        new = grow(self.store, reading, head, title=title, created_by=made_by)
        if own:
            self.recorder.recording().append(p.BranchCreated(session=new, step=head))
        self.recorder.resume_into(new, head)
        grown = self.read(new, verify=True)
        plan, result = self._restore(grown, replay, current=current)
        said = f"Recording {new}, which grows from step {head} of {session.id}"
        return travel_report(grown.session, plan, result, said, f"%session resume {session.id}")


def step_of(session: Session, number: int) -> int:
    """A step to stand on. Raises InvalidRequest where there is none of that number."""
    if number == tree.ROOT:
        return number
    try:
        step = session.step(number)
    except LookupError as error:
        raise InvalidRequest(str(error)) from error
    if step.replay_of is not None:
        message = f"step {number} is a replay of step {step.replay_of}: go to that one"
        raise InvalidRequest(message)
    return number


def travel_report(
    session: Session, plan: Plan, result: ResumeResult, said: str, way_back: str
) -> Report:
    """How it went to bring the state after another step. ``said`` begins the headline."""
    count = {how: sum(item.how is how for item in result.names) for how in How}
    headline = (
        f"{said}: {count[How.KEPT]} kept, {count[How.RESTORED]} loaded, "
        f"{count[How.WAITING]} waiting ({byte_size(result.waiting_bytes)}), "
        f"{count[How.REPLAYED]} replayed, {count[How.LOST]} lost, {len(result.removed)} removed, "
        f"in {duration(result.seconds)}. Back: {way_back}"
    )
    data = {
        "session": session.id,
        "step": plan.head,
        **{str(how): [i.name for i in result.names if i.how is how] for how in How},
        "lost": {item.name: item.note for item in result.names if item.how is How.LOST},
        "removed": sorted(result.removed),
        "notes": result.notes,
        "seconds": result.seconds,
    }
    tables = came_tables(session, plan, result)
    return Report(data, headline, tables, text="\n".join(result.notes))
