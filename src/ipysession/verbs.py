"""The verbs as they are typed: their names, arguments and help, once for all faces.

``%session VERB …`` in a notebook and ``jupyter session VERB …`` in a shell are parsed by
the same declarations and run the same functions.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from ipysession.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipysession.live import LiveSessions
    from ipysession.report import Report
    from ipysession.sessions import Sessions

    Run = Callable[[Any, argparse.Namespace], Report]

SESSION_HELP = "an id, a unique prefix of one, a title, or 'latest'"


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a verb, in argparse's terms. An option with ``implied`` may be given
    without a value, and means that one; argparse's own way would take the next word for it.
    """

    names: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    implied: str | None = None


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb. ``kernel`` says that it needs a kernel that records; ``takes_session`` that
    its SESSION can be completed.
    """

    name: str
    help: str
    run: Run
    arguments: tuple[Argument, ...] = ()
    kernel: bool = False
    takes_session: bool = True


def _argument(*names: str, implied: str | None = None, **options: Any) -> Argument:
    return Argument(names, options, implied)


_SESSION = _argument("session", nargs="?", metavar="SESSION", help=SESSION_HELP)
_STEPS = _argument(
    "--step", nargs="+", action="extend", type=int, default=[], metavar="N", help="only these steps"
)
_OF_SESSION = _argument("--session", dest="of", metavar="SESSION", help=SESSION_HELP)
_WHAT = _argument("what", metavar="NAME|STEP", help="a variable, or the number of a step")
_REPLAY = _argument(
    "--replay",
    default="safe",
    metavar="safe|all|none",
    help="which steps may run again: safe (default) leaves out those that wrote files, started "
    "processes, connected somewhere or asked for input",
)


_TRUST = _argument(
    "--trust",
    action="store_true",
    help="go on in a copy of a session that was not recorded with your key; that runs its code",
)


def _list(sessions: Sessions, args: argparse.Namespace) -> Report:
    return sessions.list_sessions(
        states=args.state, notebook=args.notebook, tag=args.tag, text=args.text, limit=args.limit
    )


def _export(sessions: Sessions, args: argparse.Namespace) -> Report:
    from ipysession.export import ExportOptions

    session, output = args.session, args.output
    if output is None and session is not None and session.endswith(_SUFFIXES):
        # `%session export clean.ipynb`: the one word is the file.
        session, output = None, session
    options = ExportOptions(
        all=args.all,
        steps=tuple(args.step),
        targets=tuple(args.target),
        verify=args.verify is not None,
        consent=args.verify == "all",
        force=args.force,
        format=args.format,
    )
    return sessions.export(session, output=output, options=options, progress=args.progress)


_SUFFIXES = (".ipynb", ".py", ".md", ".html", ".zip", ".prov.json")


def _resume(sessions: LiveSessions, args: argparse.Namespace) -> Report:
    return sessions.resume(
        args.session,
        replay=args.replay,
        plan_only=args.plan,
        trust=args.trust,
        announce=args.announce,
    )


VERBS: tuple[Verb, ...] = (
    Verb("status", "what is being recorded, and where", lambda s, _: s.status(), kernel=True,
         takes_session=False),
    Verb(
        "list",
        "all sessions, the newest first",
        _list,
        (
            _argument("text", nargs="?", metavar="TEXT",
                      help="in the title, notebook, tags, id or the source of a step"),
            _argument("--state", action="append", default=[], help="only sessions in this state"),
            _argument("--notebook", metavar="PATH", help="only sessions of this notebook"),
            _argument("--tag", help="only sessions with this tag"),
            _argument("--limit", type=int, metavar="N", help="the newest N"),
        ),
        takes_session=False,
    ),
    Verb("show", "a session's steps, notes and damage",
         lambda s, a: s.show(a.session, steps=a.step), (_SESSION, _STEPS)),
    Verb("outputs", "what the steps showed, as recorded",
         lambda s, a: s.outputs(a.session, steps=a.step), (_SESSION, _STEPS)),
    Verb(
        "history",
        "the versions of a cell or a variable, with what changed and their results",
        lambda s, a: s.history(a.what, a.of),
        (
            _argument("what", nargs="?", metavar="CELL|NAME",
                      help="a cell's id, the number of one of its steps, or a variable; without "
                      "it, the cells that ran more than once"),
            _OF_SESSION,
        ),
        takes_session=False,
    ),
    Verb(
        "diff",
        "what differs between two sessions, or between two steps of one",
        lambda s, a: s.diff(a.one, a.other, a.of),
        (
            _argument("one", metavar="A", help="a session, or the number of a step"),
            _argument("other", metavar="B", help="another one"),
            _OF_SESSION,
        ),
    ),
    Verb("needs", "the steps that make a variable what it is, or that a step rests on",
         lambda s, a: s.needs(a.what, a.of, at=a.at),
         (_WHAT, _argument("--at", type=int, metavar="STEP", help="as it stood after this step"),
          _OF_SESSION)),
    Verb("uses", "the steps that rest on a variable or a step",
         lambda s, a: s.uses(a.what, a.of), (_WHAT, _OF_SESSION)),
    Verb("stale", "the steps that rest on a step or a file that changed since",
         lambda s, a: s.stale(a.session), (_SESSION,)),
    Verb(
        "rerun",
        "run steps again, with what they need, as new steps",
        lambda s, a: s.rerun(a.step, stale=a.stale, replay=a.replay, plan_only=a.plan),
        (
            _argument("step", nargs="*", type=int, metavar="STEP", help="the steps to run again"),
            _argument("--stale", action="store_true",
                      help="all that rest on a step or a file that changed since"),
            _REPLAY,
            _argument("--plan", action="store_true", help="only say what would be done"),
        ),
        kernel=True,
        takes_session=False,
    ),
    Verb(
        "graph",
        "which step used what which other step made",
        lambda s, a: s.graph(a.session, names=a.name, form=a.format),
        (
            _SESSION,
            _argument("--name", nargs="+", action="extend", default=[], metavar="NAME",
                      help="mark the steps that these variables need"),
            _argument("--format", metavar="svg|dot|mermaid|json",
                      help="default: a picture in a notebook, a table elsewhere"),
        ),
    ),
    Verb(
        "resume",
        "bring a session's variables back and go on recording in it",
        _resume,
        (
            _SESSION,
            _REPLAY,
            _argument("--plan", action="store_true", help="only say what would be done"),
            _TRUST,
        ),
        kernel=True,
    ),
    Verb("restore", "bring variables that wait, and make those again that could not be loaded",
         lambda s, a: s.restore(a.name, replay=a.replay),
         (_argument("name", nargs="*", metavar="NAME", help="default: all that wait"), _REPLAY),
         kernel=True, takes_session=False),
    Verb("checkout", "go to another step of this session; the next cell grows from there",
         lambda s, a: s.checkout(a.step, replay=a.replay),
         (_argument("step", type=int, metavar="STEP", help="0 is the beginning"), _REPLAY),
         kernel=True, takes_session=False),
    Verb("undo", "go back to before the last N steps",
         lambda s, a: s.undo(a.count, replay=a.replay),
         (_argument("count", nargs="?", type=int, default=1, metavar="N", help="default: 1"),
          _REPLAY),
         kernel=True, takes_session=False),
    Verb(
        "branch",
        "go on in a new session that grows from a step",
        lambda s, a: s.branch(a.step, a.session, title=a.title, replay=a.replay, trust=a.trust),
        (
            _argument("step", nargs="?", type=int, metavar="STEP", help="default: the newest"),
            _argument("--session", metavar="SESSION", help=f"of another session: {SESSION_HELP}"),
            _argument("--title", metavar="TITLE", help="of the new session"),
            _REPLAY,
            _TRUST,
        ),
        kernel=True,
        takes_session=False,
    ),
    Verb("tree", "the tree of a session's steps, and where it stands",
         lambda s, a: s.tree(a.session), (_SESSION,)),
    Verb("variables", "a session's variables as they were recorded, nothing unpickled",
         lambda s, a: s.variables(a.session, step=a.step),
         (_SESSION, _argument("--step", type=int, metavar="N", help="as they stood after step N"))),
    Verb("resume-plan", "what a resume would do, without doing it",
         lambda s, a: s.resume_plan(a.session, replay=a.replay), (_SESSION, _REPLAY)),
    Verb(
        "export",
        "write a session as a clean notebook that re-runs, or as a script, page or bundle",
        _export,
        (
            _SESSION,
            _argument("-o", "--output", metavar="FILE", help="where to (default: its "
                      "title); the suffix says in which format: .ipynb, .py, .md, .html, "
                      ".zip (a bundle), .prov.json, .crate.zip (RO-Crate)"),
            _argument("--format", metavar="NAME", help="a format that the suffix does not say: "
                      "notebook, script, markdown, html, bundle, prov, ro-crate"),
            _argument("--all", action="store_true", help="every step, failures included"),
            _argument("--step", nargs="+", action="extend", type=int, default=[], metavar="N",
                      help="only what these steps need"),
            _argument("--target", nargs="+", action="extend", default=[], metavar="NAME",
                      help="only what these variables need"),
            _argument("--verify", choices=("safe", "all"), metavar="safe|all", implied="safe",
                      help="run it in a fresh kernel and compare; --verify=all also what used "
                      "the network, started processes or wrote elsewhere"),
            _argument("--force", action="store_true", help="overwrite the file"),
        ),
    ),
    Verb("import", "make a session of a bundle or of an executed notebook",
         lambda s, a: s.import_file(a.file),
         (_argument("file", metavar="FILE", help="a bundle (.zip) or a notebook (.ipynb)"),),
         takes_session=False),
    Verb("rename", "give a session a new title",
         lambda s, a: s.rename(" ".join(a.title), a.session),
         (_argument("title", nargs="+", metavar="TITLE"),
          _argument("--session", metavar="SESSION", help=SESSION_HELP))),
    Verb("note", "add a remark after the newest step",
         lambda s, a: s.note(" ".join(a.text), a.session),
         (_argument("text", nargs="+", metavar="TEXT"),
          _argument("--session", metavar="SESSION", help=SESSION_HELP))),
    Verb("tag", "add a tag", lambda s, a: s.tag(a.tag, a.session),
         (_argument("tag", metavar="TAG"), _SESSION)),
    Verb("untag", "remove a tag", lambda s, a: s.untag(a.tag, a.session),
         (_argument("tag", metavar="TAG"), _SESSION)),
    Verb("delete", "delete a session for good",
         lambda s, a: s.delete(a.session, yes=a.yes),
         (_argument("session", metavar="SESSION", help=SESSION_HELP),
          _argument("-y", "--yes", action="store_true", help="also for a prefix or a title"))),
    Verb("pause", "stop recording until 'continue'", lambda s, _: s.pause(), kernel=True,
         takes_session=False),
    Verb("continue", "record again", lambda s, _: s.go_on(), kernel=True, takes_session=False),
    Verb("complete", "close this session for good; the next cell begins a new one",
         lambda s, _: s.complete(), kernel=True, takes_session=False),
    Verb("verify-log", "check every line of a session's log",
         lambda s, a: s.verify_log(a.session), (_SESSION,)),
    Verb("settings", "what happens by itself: offers to resume, recording in new kernels",
         lambda s, a: s.settings(a.change),
         (_argument("change", nargs="*", metavar="NAME=VALUE", help="what to change"),),
         takes_session=False),
    Verb("storage", "what the sessions take on the disk", lambda s, _: s.storage_report(),
         takes_session=False),
    Verb("gc", "remove saved values that no session needs",
         lambda s, a: s.collect(a.session, keep=a.keep, now=a.now, dry_run=a.dry_run),
         (_argument("session", nargs="?", metavar="SESSION", help="only this one, not all"),
          _argument("--keep", type=int, metavar="N",
                    help="drop checkpoints but those of the last N steps, of steps with a note, "
                    "of the ends of branches, and what these rest on"),
          _argument("--now", action="store_true",
                    help="remove at once what is not needed, not after an hour"),
          _argument("--dry-run", action="store_true", help="only tell"))),
    Verb("where", "where a session lies", lambda s, a: s.where(a.session), (_SESSION,)),
)  # fmt: skip


class UsageError(InvalidRequest):
    """The words could not be parsed; the message shows the usage."""


class HelpShown(Exception):
    """The help of a verb, as text."""


class _Parser(argparse.ArgumentParser):
    """A parser that raises instead of ending the process: it runs in users' kernels."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}\n{self.format_usage().strip()}")

    def print_help(self, file: Any = None) -> None:  # noqa: ARG002 - argparse's signature
        raise HelpShown(self.format_help())


def parser_for(verb: Verb, program: str) -> argparse.ArgumentParser:
    """The parser of one verb; ``program`` is ``%session`` or ``jupyter session``."""
    parser = _Parser(prog=f"{program} {verb.name}", description=verb.help)
    for argument in verb.arguments:
        parser.add_argument(*argument.names, **argument.options)
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    return parser


def parse(verb: Verb, words: list[str], program: str) -> argparse.Namespace:
    """Parse a verb's arguments. Raises UsageError, or HelpShown for ``--help``."""
    implied = {
        name: f"{name}={argument.implied}"
        for argument in verb.arguments
        for name in argument.names
        if argument.implied is not None
    }
    arguments = parser_for(verb, program).parse_args([implied.get(word, word) for word in words])
    arguments.progress = lambda _: None  # a face that can show progress replaces it
    return arguments


def verb_named(name: str, *, kernel: bool) -> Verb:
    """The verb called ``name`` among those that work here. Raises UsageError."""
    known = [verb for verb in VERBS if kernel or not verb.kernel]
    for verb in known:
        if verb.name == name:
            return verb
    import difflib

    close = difflib.get_close_matches(name, [verb.name for verb in known], 1)
    meant = f" Did you mean {close[0]!r}?" if close else ""
    message = f"there is no verb {name!r}.{meant} Verbs: {', '.join(v.name for v in known)}"
    raise UsageError(message)
