"""What a user may ask of an export."""

from __future__ import annotations

from dataclasses import dataclass

from ipysession.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What to export, and how.

    ``all`` keeps every recorded step, failures and superseded versions too; ``steps`` keeps
    what these rest on; ``targets`` keeps what the last values of these names rest on. At most
    one of the three may be given, else InvalidRequest is raised. ``verify`` re-runs the result
    in a fresh kernel, with ``consent`` also steps that reach beyond their folder; ``force``
    replaces a file that exists. ``format`` is the name of a format (`ipysession.export.formats`)
    for a file whose suffix does not say it.
    """

    all: bool = False
    steps: tuple[int, ...] = ()
    targets: tuple[str, ...] = ()
    verify: bool = False
    consent: bool = False
    force: bool = False
    format: str | None = None

    def __post_init__(self) -> None:
        given = [
            word
            for word, value in (
                ("--all", self.all),
                ("--step", self.steps),
                ("--target", self.targets),
            )
            if value
        ]
        if len(given) > 1:
            message = f"{' and '.join(given)} say different things about what to keep; give one"
            raise InvalidRequest(message)
