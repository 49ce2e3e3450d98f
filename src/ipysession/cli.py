"""``jupyter session VERB …``: the shell's face. Thin: parses, calls the verb, prints.

Exit codes: 0 done, 1 failed, 2 usage. Tables are rich ones on a terminal and plain text in
a pipe; ``--json`` prints the answer for programs.
"""

from __future__ import annotations

import argparse
import logging
import sys
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar

from jupyter_core.application import JupyterApp
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

import ipysession
from ipysession.errors import SessionError
from ipysession.report import Report, Table, clean, to_json, to_text, tone
from ipysession.sessions import Sessions
from ipysession.settings import SessionStore
from ipysession.verbs import VERBS, HelpShown, UsageError, Verb, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PROGRAM = "jupyter session"
_DONE, _FAILED, _USAGE = 0, 1, 2
_COLOURS = {"good": "green", "bad": "red"}


def _enable(_sessions: Sessions, _arguments: argparse.Namespace) -> Report:
    from ipysession.startup import enable

    return enable()


def _disable(_sessions: Sessions, _arguments: argparse.Namespace) -> Report:
    from ipysession.startup import disable

    return disable()


def _demo(_sessions: Sessions, arguments: argparse.Namespace) -> Report:
    from ipysession.demo import run_demo

    def echo(line: str = "") -> None:
        print(line, file=sys.stderr if arguments.json else sys.stdout, flush=True)

    code = run_demo(echo=echo)
    return Report({"demo": "ok" if code == 0 else "failed"}, failed=code != 0)


SHELL_VERBS: tuple[Verb, ...] = (
    *(verb for verb in VERBS if not verb.kernel),
    Verb("enable", "make every kernel of this environment record without %load_ext", _enable),
    Verb("disable", "take that back", _disable),
    Verb("demo", "record, kill, resume and export a real notebook, and check it", _demo),
)
"""All verbs of the shell: those that need no kernel, and those about the environment."""


class _VerbApp(JupyterApp):
    """One verb as a subcommand."""

    verb: ClassVar[Verb]
    version = ipysession.__version__

    def _log_level_default(self) -> int:
        return logging.WARNING  # libraries that we use (nbclient) tell through our log what they do

    def parse_command_line(self, argv: list[str] | None = None) -> None:
        """Parse by the verb's own declaration; ``--Class.trait=value`` goes to traitlets."""
        words = list(sys.argv[1:] if argv is None else argv)
        traits = [word for word in words if word.startswith(("--SessionStore.", "--Recording."))]
        super().parse_command_line(traits)
        self.arguments = parse(self.verb, [w for w in words if w not in traits], _PROGRAM)

    def start(self) -> None:
        """Run the verb and end the process with its code."""
        super().start()
        sessions = Sessions(SessionStore(parent=self).open())
        with nullcontext(self.arguments.progress) if self.arguments.json else _progress() as tell:
            self.arguments.progress = tell
            report = self.verb.run(sessions, self.arguments)
        if self.arguments.json:
            print(to_json(report.data))  # noqa: T201 - the answer
        else:
            print_report(report)
        self.exit(_FAILED if report.failed else _DONE)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Takes what is going on: one line that changes and goes on a terminal, else a line each."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal or console.is_dumb_terminal:
        told = [""]

        def tell_new(said: str) -> None:
            if said != told[0]:  # a verb tells again and again that it is still at it
                told[0] = said
                print(f"{clean(said)} …", file=sys.stderr, flush=True)  # noqa: T201

        yield tell_new
        return
    status = console.status("")

    def tell(said: str) -> None:
        status.update(Text(f"{clean(said)} …"))
        status.start()  # not before there is something to tell: most verbs are quicker

    try:
        yield tell
    finally:
        status.stop()


def _app_for(verb: Verb) -> type[_VerbApp]:
    name = f"Session{verb.name.title().replace('-', '')}App"
    fields = {
        "verb": verb,
        "__doc__": verb.help,
        "name": f"{_PROGRAM} {verb.name}",
        "description": verb.help,
    }
    return type(name, (_VerbApp,), fields)


class SessionApp(JupyterApp):
    """Every cell that you run is recorded; a dead kernel comes back with its variables."""

    name = "jupyter session"
    version = ipysession.__version__
    description = __doc__ or ""
    subcommands = {verb.name: (_app_for(verb), verb.help) for verb in SHELL_VERBS}  # noqa: RUF012 - traitlets' way to declare them

    def parse_command_line(self, argv: list[str] | None = None) -> None:
        """Without a known verb, say which there are."""
        words = list(sys.argv[1:] if argv is None else argv)
        if words and words[0] in {"-h", "--help", "help"}:
            raise HelpShown(overview())
        if words and words[0] == "--version":
            raise HelpShown(self.version)
        if not words or words[0] not in self.subcommands:
            said = _not_a_verb(words[0]) if words else "say what to do"
            message = f"{said}\n\n{overview()}"
            raise UsageError(message)
        super().parse_command_line(argv)


def _not_a_verb(word: str) -> str:
    if any(verb.name == word for verb in VERBS):
        return (
            f"{word!r} works on the variables of a kernel that records: say %session {word} in "
            "its notebook"
        )
    return f"there is no verb {word!r}"


def overview() -> str:
    """All verbs, a line each."""
    width = max(len(verb.name) for verb in SHELL_VERBS)
    lines = [f"  {_PROGRAM} {verb.name:<{width}}  {verb.help}" for verb in SHELL_VERBS]
    return "\n".join([*lines, "", f"{_PROGRAM} VERB --help tells the arguments of a verb."])


def print_report(report: Report) -> None:
    """Rich tables on a terminal, plain text into a pipe."""
    if not sys.stdout.isatty():
        text = to_text(report)
        if text:
            print(text.encode("utf-8", "replace").decode("utf-8"))  # noqa: T201 - the answer
        return
    console = Console(highlight=False)
    parts: list[Text | RichTable] = [Text(clean(report.headline))] if report.headline else []
    parts += [_rich_table(table) for table in report.tables if table.rows]
    if report.text:
        parts.append(Text(clean(report.text)))
    if report.hint:
        parts.append(Text(clean(report.hint), style="dim"))
    for number, part in enumerate(parts):
        if number:
            console.print()
        console.print(part)


def _rich_table(table: Table) -> RichTable:
    shown = RichTable(
        title=table.title or None,
        title_justify="left",
        box=None,
        pad_edge=False,
        show_header=any(name.strip() for name in table.columns),
    )
    for name in table.columns:
        justify: Any = "right" if name in table.right else "left"
        shown.add_column(name, justify=justify, header_style="bold", overflow="fold")
    for row in table.rows:
        cells = []
        for name, text in zip(table.columns, row, strict=True):
            style = _COLOURS.get(tone(text), "") if name == table.state else ""
            cells.append(Text(clean(text), style=style))
        shown.add_row(*cells)
    return shown


def main(argv: list[str] | None = None) -> None:
    """Run ``jupyter session``; ends the process with 0, 1 or 2."""
    run: Callable[..., Any] = SessionApp.launch_instance
    try:
        run(argv)
    except HelpShown as shown:
        print(shown)  # noqa: T201 - asked for
        code = _DONE
    except UsageError as error:
        print(f"{_PROGRAM}: {error}", file=sys.stderr)  # noqa: T201
        code = _USAGE
    except SessionError as error:
        print(f"{_PROGRAM}: {error}", file=sys.stderr)  # noqa: T201
        code = _FAILED
    except BrokenPipeError:
        code = _DONE  # the reader of the pipe has seen enough, as with `| head`
    else:
        code = _DONE
    sys.exit(code)


if __name__ == "__main__":
    main()
