"""Takes secrets out of texts and outputs before they are written to the log.

What counts as a secret is decided here; where it is called is the recorder's business.
Nothing here imports IPython. What is found, what is spared and what is missed is told in
docs/security.md, and pinned by the tests.

How it stays fast: every kind has a literal in it (``ghp_``, ``password``). A search for one
rare character of that literal runs at memory speed; only where the whole literal stands is the
kind's own rule applied, and only there. How it stays linear on hostile text: a rule starts only
where its run of characters starts, or reads a bounded stretch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from typing import Any, NamedTuple

from ipysession.errors import InvalidRequest

DEFAULT_NAMES: frozenset[str] = frozenset(
    {
        "password",
        "passwd",
        "passphrase",
        "secret",
        "token",
        "api_key",
        "apikey",
        "access_key",
        "accesskey",
        "account_key",
        "accountkey",
        "auth_key",
        "encryption_key",
        "master_key",
        "private_key",
        "secret_key",
        "signing_key",
        "subscription_key",
    }
)
"""What the name of a variable, key or option ends with when its literal value is a secret."""


class _Span(NamedTuple):
    start: int
    end: int
    kind: str


_Spot = Callable[[str, int, list[_Span]], int]
"""Looks at the text around a literal that stands at the given place, adds what it finds, and
returns where the search for that literal goes on."""


class Redactor:
    """Replaces secrets by ``[redacted:kind]``. Immutable; any thread may use it.

    ``extra`` maps a kind of the user's own to a regular expression; what it matches (or only
    its group ``secret``, where it has one) is redacted. ``names`` replaces DEFAULT_NAMES.
    Raises InvalidRequest for an expression that cannot be used.
    """

    def __init__(
        self,
        *,
        enabled: bool = True,
        extra: Mapping[str, str] | None = None,
        names: frozenset[str] | None = None,
    ) -> None:
        self.enabled = enabled
        self._extra = [_extra(kind, pattern) for kind, pattern in (extra or {}).items()]
        self._anchors = _anchors(DEFAULT_NAMES if names is None else names)

    def text(self, text: str) -> tuple[str, dict[str, int]]:
        """The text without its secrets, and how many of each kind were taken out."""
        counts: dict[str, int] = {}
        if not self.enabled:
            return text, counts
        # Taking one secret out can lay open another that stood against it. Each round takes out
        # at least one character that is not part of a marker; the bound is for hostile text.
        for _ in range(_ROUNDS):
            spans = self._find(text)
            if not spans:
                break
            text = _replace(text, spans, counts)
        return text, counts

    def value(self, value: Any) -> tuple[Any, dict[str, int]]:
        """A Jupyter output (dicts, lists, strings) without its secrets, and the counts.

        What does not change is not copied. Payloads of binary media types are passed over.
        """
        counts: dict[str, int] = {}
        if not self.enabled:
            return value, counts
        # A loop and not a recursion: an output may be nested deeper than the stack allows.
        parts: list[tuple[Any, int, Any]] = [([value], -1, None)]
        changes: dict[int, dict[Any, Any]] = {}
        at = 0
        while at < len(parts):
            changed = self._look(parts[at][0], at, parts, counts)
            if changed:
                changes[at] = changed
            at += 1
        for at in range(len(parts) - 1, 0, -1):  # what holds stands before what it holds
            if at in changes:
                part, holder, key = parts[at]
                changes.setdefault(holder, {})[key] = _copied(part, changes[at])
        return changes.get(0, {}).get(0, value), counts

    def _look(
        self, part: Any, at: int, parts: list[tuple[Any, int, Any]], counts: dict[str, int]
    ) -> dict[Any, Any]:
        """What changes directly in ``part``; adds the dicts and lists in it to ``parts``."""
        changed: dict[Any, Any] = {}
        if isinstance(part, dict):
            items: Iterable[tuple[Any, Any]] = part.items()
            named = True
        else:
            lines = _lines(part)
            if lines is not None:
                text, found = self.text(lines)
                if found:
                    _add(counts, found)
                    return {_WHOLE: text.splitlines(keepends=True)}
                return changed
            items = enumerate(part)
            named = False
        for key, held in items:
            kind = held.__class__
            if kind is str:
                if named and key.__class__ is str and _BINARY(key):
                    continue
                new, found = self.text(held)
                if named and not found and key.__class__ is str:
                    new, found = self._named(key, held)
                if found:
                    changed[key] = new
                    _add(counts, found)
            elif kind is dict or kind is list or kind is tuple:
                if not (named and key.__class__ is str and _BINARY(key)):
                    parts.append((held, at, key))
        return changed

    def _named(self, key: str, held: str) -> tuple[str, dict[str, int]]:
        """A value in a dict whose key says that it is a secret, as ``key="held"`` would be."""
        if not held or len(held) > _LONGEST_NAMED or len(key) > _LONGEST_NAME:
            return held, {}
        spans = self._find(f"{key}=")
        head = f'{key}="'
        quoted = held.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        spans = [span for span in self._find(f'{head}{quoted}"') if span.start == len(head)]
        if not spans:
            return held, {}
        return f"[redacted:{spans[0].kind}]", {spans[0].kind: 1}

    def _find(self, text: str) -> list[_Span]:
        spans: list[_Span] = []
        for anchor, spots in self._anchors:
            found = anchor.search(text)
            while found is not None:
                back, spot = spots[found.lastindex or 0]
                on = spot(text, found.start() - back, spans)
                found = anchor.search(text, max(on, found.end()))
        for kind, pattern in self._extra:
            _spot_extra(kind, pattern, text, spans)
        return spans


_ROUNDS = 20
_LONGEST_NAME = 200
_LONGEST_NAMED = 10_000
_WHOLE = object()
_BINARY = re.compile(
    r"(?:image/(?!svg\+xml)|audio/|video/|font/|application/(?:pdf|octet-stream)\b)"
).match
_MARKER = re.compile(r"\[redacted:[A-Za-z0-9_.-]{1,64}\]")


def _add(counts: dict[str, int], found: dict[str, int]) -> None:
    for kind, count in found.items():
        counts[kind] = counts.get(kind, 0) + count


def _lines(part: Any) -> str | None:
    """The text that nbformat holds as a list of its lines; None for any other list."""
    if len(part) > 1 and all(item.__class__ is str and item[-1:] == "\n" for item in part[:-1]):
        return "".join(part) if part[-1].__class__ is str else None
    return None


def _copied(part: Any, changed: dict[Any, Any]) -> Any:
    if _WHOLE in changed:
        return changed[_WHOLE]
    if isinstance(part, dict):
        return {**part, **changed}
    return part.__class__(changed.get(at, held) for at, held in enumerate(part))


def _replace(text: str, spans: list[_Span], counts: dict[str, int]) -> str:
    """The text with each span replaced; spans that overlap become one, named by the earliest.

    ``sorted`` is stable, so of two that start together the one found first gives the kind:
    kinds with a form of their own come before assignments.
    """
    pieces: list[str] = []
    done = 0
    end = -1
    kind = ""
    start = 0
    for span in [*sorted(spans, key=lambda span: span.start), None]:
        if span is not None and span.start < end:
            end = max(end, span.end)
            continue
        if end >= 0:
            pieces += (text[done:start], "[redacted:", kind, "]")
            counts[kind] = counts.get(kind, 0) + 1
            done = end
        if span is not None:
            start, end, kind = span
    pieces.append(text[done:])
    return "".join(pieces)


# --- The user's own -------------------------------------------------------------------------


def _extra(kind: str, pattern: str) -> tuple[str, re.Pattern[str]]:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", kind):
        message = (
            f"{kind!r} cannot name a kind of secret: use letters, digits, '-', '_' and '.', "
            "64 at most"
        )
        raise InvalidRequest(message)
    try:
        compiled = re.compile(pattern)
    except (re.error, TypeError, OverflowError, RecursionError) as error:
        message = f"the redaction pattern {kind!r} is not a regular expression: {error}"
        raise InvalidRequest(message) from error
    if compiled.match("") is not None:
        message = f"the redaction pattern {kind!r} matches the empty text; make it match something"
        raise InvalidRequest(message)
    return kind, compiled


def _spot_extra(kind: str, pattern: re.Pattern[str], text: str, spans: list[_Span]) -> None:
    group: str | int = "secret" if "secret" in pattern.groupindex else 0
    markers = [found.span() for found in _MARKER.finditer(text)]
    for found in pattern.finditer(text):
        start, end = found.span(group)
        if start >= end:
            continue
        # A marker may be swallowed by something larger, but is never redacted itself.
        inside = any(first <= start and end <= last for first, last in markers)
        torn = any(first < start < last or first < end < last for first, last in markers)
        if not inside and not torn:
            spans.append(_Span(start, end, kind))


# --- Where a form may begin -----------------------------------------------------------------

_COLOUR = r"\x1b\[[0-9;]{0,24}m"
_COLOUR_BEFORE = re.compile(_COLOUR + r"\Z")
_COLOURS = re.compile(f"(?:{_COLOUR})+")
_WORD = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_WORD_DASH = _WORD | frozenset("_-")


def _begins(text: str, at: int, glue: frozenset[str]) -> bool:
    """Does a run of ``glue`` characters begin at ``at``?

    The ``m`` of a colour code, the ``n`` of a backslash-n and a percent escape do not belong to
    the run, though they are letters.
    """
    if at <= 0:
        return at == 0
    before = text[at - 1]
    if before not in glue:
        return True
    if before in "nrt" and text[at - 2 : at - 1] == "\\":
        return True
    if at >= 3 and text[at - 3] == "%" and before in "0123456789ABCDEFabcdef":
        return True
    return before == "m" and _COLOUR_BEFORE.search(text, max(0, at - 28), at) is not None


# --- Kinds with a form of their own ---------------------------------------------------------


def _form(
    kind: str,
    pattern: re.Pattern[str],
    glue: frozenset[str],
    text: str,
    at: int,
    spans: list[_Span],
) -> int:
    if _begins(text, at, glue) and (found := pattern.match(text, at)) is not None:
        spans.append(_Span(*found.span(found.lastindex or 0), kind))
        return found.end()
    return at + 1


_AWS_KEY = re.compile(r"A[KS]IA[A-Z0-9]{16}(?![A-Za-z0-9])")
_AWS_SECRET = re.compile(r"(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")
_AWS_NEAR = 200


def _aws(text: str, at: int, spans: list[_Span]) -> int:
    """An access key id, and a secret that stands near it, as in the console's CSV file."""
    if not _begins(text, at, _WORD) or (found := _AWS_KEY.match(text, at)) is None:
        return at + 1
    spans.append(_Span(at, found.end(), "aws-access-key"))
    near = _AWS_SECRET.finditer(text, max(0, at - _AWS_NEAR), found.end() + _AWS_NEAR)
    spans += [_Span(*it.span(), "aws-secret-key") for it in near if _is_aws_secret(it.group())]
    return found.end()


def _is_aws_secret(value: str) -> bool:
    """Forty characters of base64; a git commit has forty too, but hex ones."""
    return _AWS_SECRET.fullmatch(value) is not None and bool(
        re.search("[A-Z]", value) and re.search("[a-z]", value) and re.search("[0-9]", value)
    )


_SK = re.compile(r"sk-([A-Za-z0-9_-]{20,})")
_SK_KNOWN = re.compile(r"(?:proj|svcacct|admin)-")
_SK_RANDOM = re.compile(r"(?=[A-Za-z]*[0-9])[A-Za-z0-9]{16}")


def _sk(text: str, at: int, spans: list[_Span]) -> int:
    """OpenAI's, Anthropic's and their likes. scikit-learn's CSS classes begin with sk- too."""
    if not _begins(text, at, _WORD_DASH) or (found := _SK.match(text, at)) is None:
        return at + 1
    rest = found.group(1)
    if rest.startswith("ant-"):
        spans.append(_Span(*found.span(), "anthropic-key"))
    elif _SK_KNOWN.match(rest) or any(map(_SK_RANDOM.match, re.split("[_-]", rest))):
        spans.append(_Span(*found.span(), "openai-key"))
    return found.end()


_PEM_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_PEM_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_PEM_GAP = rf"(?:\\+[nr]|[\s\"'+,#]|{_COLOUR})"
_PEM_BODY = re.compile(
    rf"{_PEM_GAP}*+(?:(?:Proc-Type|DEK-Info|Version|Comment)[^\n\\]{{1,200}}{_PEM_GAP}++)*+"
    rf"[A-Za-z0-9+/=]{{16,}}+(?:{_PEM_GAP}++[A-Za-z0-9+/=]{{16,}}+)*+"
)
_PEM_LONGEST = 20_000


def _pem(text: str, at: int, spans: list[_Span]) -> int:
    """A private key block; without its end, as far as it looks like one."""
    start = text.rfind("-----BEGIN ", max(0, at - 52), at)
    if start < 0 or (begin := _PEM_BEGIN.match(text, start)) is None or begin.end() < at:
        return at + 1
    body = _PEM_BODY.match(text, begin.end(), begin.end() + _PEM_LONGEST)
    if body is None:
        return begin.end()
    end = _PEM_END.search(text, begin.end(), begin.end() + _PEM_LONGEST)
    until = body.end() if end is None else end.end()
    spans.append(_Span(start, until, "private-key"))
    return until


_AUTHORIZATION = re.compile(
    rf"(?i:authorization)(?:\\*[\"']|&quot;|&\#3[49];|\]|[ \t]|{_COLOUR}){{0,12}}+"
    rf"[:=,](?:[ \t]|{_COLOUR}){{0,12}}+f?(?:\\*[\"']|&quot;|&\#3[49];)?(?:{_COLOUR}){{0,4}}+"
    rf"(?P<scheme>(?i:bearer|basic|token|apikey|api-key|key|digest)[ \t]+)?"
    rf"(?P<secret>[A-Za-z0-9._~+/=:-]{{6,}})"
)
_BEARER = re.compile(r"(?i:bearer)[ \t]+([A-Za-z0-9._~+/=-]{16,})")


def _authorization(text: str, at: int, spans: list[_Span]) -> int:
    """The value of an Authorization header, with its scheme, or quoted without one."""
    found = _AUTHORIZATION.match(text, at)
    if found is None:
        return at + 1
    value = found["secret"]
    quoted = text[found.start("secret") - 1] in "\"';m"
    if _is_placeholder(value) or not (
        _is_random(value) if found["scheme"] else quoted and _is_random(value) and len(value) >= 16
    ):
        return found.end()
    spans.append(_Span(*found.span("secret"), "authorization"))
    return found.end()


def _bearer(text: str, at: int, spans: list[_Span]) -> int:
    found = _BEARER.match(text, at)
    if found is None:
        return at + 1
    if _is_random(found[1]):
        spans.append(_Span(*found.span(1), "authorization"))
    return found.end()


_LOGIN = re.compile(
    r"://[^\s:/?#@\"'<>\[\]()|\\^`]{0,256}:"
    r"(?!\d{1,5}(?:[/?#]|$))"  # a port
    r"([^\s/\"'<>`\\]{1,256})@(?=[\w.$%{\[-])"
)
_LOGIN_SLASH = re.compile(
    r"://[^\s:/?#@\"'<>\[\]()|\\^`]{0,256}:(?!\d{1,5}(?:[/?#]|$))([^\s\"'<>`\\@]{1,256})@"
)
_DATABASE = re.compile(
    r"(?i:postgres|postgresql|mysql|mariadb|mongodb|redis|rediss|amqps?|mssql|oracle|clickhouse|"
    r"snowflake|cockroachdb|trino|presto|sqlserver)(?:\+[a-z0-9_]{1,20})?\Z"
)
_WEBHOOK = re.compile(r"://hooks\.slack\.com/services/([A-Za-z0-9/_-]{20,200})")


def _login(text: str, at: int, spans: list[_Span]) -> int:
    """The password of ``scheme://user:password@host``."""
    if (found := _WEBHOOK.match(text, at)) is not None:
        spans.append(_Span(*found.span(1), "slack-webhook"))
        return found.end()
    found = _LOGIN.match(text, at)
    if found is None and _DATABASE.search(text, max(0, at - 32), at):
        found = _LOGIN_SLASH.match(text, at)  # SQLAlchemy lets a slash stand in the password
    if found is None:
        return at + 3
    if not _is_placeholder(found[1]) and "[^" not in found[1]:
        spans.append(_Span(*found.span(1), "connection-password"))
    return found.end(1)


# --- Names with a literal value -------------------------------------------------------------

_QUOTE = r"\\{0,3}[\"']|&quot;|&\#3[49];|&\#x2[27];"
_SPACE = rf"(?:[ \t]|{_COLOUR}){{0,40}}+"
_ASSIGNED = re.compile(
    rf"(?:_?(?:base|value|prod|production|dev|staging|stage|test|live)(?![A-Za-z]))?[0-9]{{0,2}}"
    rf"(?:{_COLOUR}){{0,4}}+(?P<closed>{_QUOTE})?(?:{_SPACE}\])?{_SPACE}"
    rf"(?P<sign>=>|:=|[=!]=|=|:(?!//|:)|,|>)?{_SPACE}"
    rf"(?:(?P<type>[A-Za-z_][\w.\[\]| ,]{{0,60}}?{_SPACE}=){_SPACE}(?=[rbfuRBFU]{{0,2}}[\"']))?"
    rf"\(?(?:{_COLOUR}){{0,4}}+(?:(?P<prefix>[rbfuRBFU]{{0,2}})(?P<open>\"\"\"|'''|{_QUOTE}))?",
    re.IGNORECASE,
)
_BARE = re.compile(r"[^\s\"'`,;&<>|\x1b\[{][^\s\"'`,;&<>|\x1b]{0,511}")
_EXPRESSION = re.compile(r"-?[A-Za-z_][\w.]*(?:[(\[].*)?\Z|-?[\d._]+[jJeE]?\d*\Z|[(\[{@*~]")
_NAME_CHARACTERS = _WORD | frozenset("_-.")
_SETTERS = re.compile(r"(?:setdefault|putenv|setenv|set_key)\(\\*[\"'][\w-]{0,64}\Z")
_COMMAND = re.compile(r"(?:^|[;|&!(]|%\w+|\$)[ \t]*(?:export|set|setx|env|declare -x)?[ \t]*\Z")
_ITEM = re.compile(r"[ \t]*(?:-[ \t]+)?\Z")
_COMMENT = re.compile(r"[ \t]*(?:#.*)?\r?(?:\n|\Z)")
_TYPE_NAMES = frozenset(
    "str string bytes int integer float number bool boolean object any none optional secretstr "
    "text varchar category yes no on off true false null nil ~ undefined required invalid "
    "incorrect missing wrong ok masked empty".split()
)
_PLACEHOLDER = re.compile(
    r"(?:\.{2,}|…+|[xX]{3,}|[*•#?_-]+|<[^>]*>|\$\{[^}]*\}|\$\(?\w+\)?|%\(\w+\)[sr]|%[sr]|%\w+%"
    r"|\{[^}]*\}+|\[[^\]]*\])++\Z"
    r"|(?i:none|null|nil|true|false|undefined|redacted|hidden|masked|placeholder"
    r"|your[-_ ].*|(?:insert|enter|put|replace)[-_ ](?:your|here|me|with|the)\b.*)\Z"
)


def _is_placeholder(value: str) -> bool:
    value = value.strip()
    return not value or (len(value) <= _LONGEST_NAME and _PLACEHOLDER.match(value) is not None)


def _is_random(value: str) -> bool:
    """Does it look made by a machine rather than written by a person?"""
    if any(character.isspace() for character in value):
        return False
    digits = any(character.isdigit() for character in value)
    letters = any(character.isalpha() for character in value)
    return (digits and letters and len(value) >= 6) or (
        len(value) >= 16 and _EXPRESSION.match(value) is None
    )


class _Family(NamedTuple):
    """Names that end with the same word: what may stand before it, and the kind they give."""

    heads: tuple[str, ...]
    kind: str
    strict: bool
    """Any literal is a secret; otherwise only one that looks made by a machine."""


def _assigned(
    families: Mapping[str, _Family], length: int, text: str, at: int, spans: list[_Span]
) -> int:
    """The literal that is assigned to a name which ends with a word of ``families``."""
    word = text[at : at + length].lower()
    found = _ASSIGNED.match(text, at + length)
    if found is None or not (
        found["sign"] or text[at - 1 : at] == "-" or found.end() > at + length
    ):
        return at + length
    family = families[word]
    start = at
    while start > 0 and at - start < 64 and text[start - 1] in _NAME_CHARACTERS:
        if text[start - 1] == "m" and _COLOUR_BEFORE.search(text, max(0, start - 28), start):
            break
        start -= 1
    name = text[start : at + length].lower()
    before = name[:-length].replace("_", "").replace("-", "").replace(".", "")
    if family.heads and not before.endswith(family.heads):
        return at + length
    if found["open"] is not None:
        span = _quoted(text, start, found)
    elif found["sign"] in {"=", ":", ">", None} and found["type"] is None:
        span = _bare(text, start, text[start : at + length], found, strict=family.strict)
    else:
        span = None
    if span is None:
        return at + length
    value = text[span[0] : span[1]]
    if _is_placeholder(value):
        return at + length
    if found["open"] is not None:
        if value.lower() in _TYPE_NAMES:
            return at + length
        if not family.strict and not _is_random(value):
            return at + length
    kind = family.kind
    if _is_aws_secret(value) and ("aws" in name or "secret" in name):
        kind = "aws-secret-key"
    elif "accountkey" in name.replace("_", "") and len(value) > 40:
        kind = "azure-storage-key"
    spans.append(_Span(*span, kind))
    return span[1]


def _quoted(text: str, start: int, found: re.Match[str]) -> tuple[int, int] | None:
    """Where the content of the quotes stands; None where the quotes are something else."""
    sign, quote = found["sign"], found["open"]
    if sign is None or sign == ">":
        return None
    if sign == "," and not (
        found["closed"] and _SETTERS.search(text, max(0, start - 80), start + 1)
    ):
        return None
    if "f" in (found["prefix"] or "").lower() and "{" in text[found.end() : found.end() + 200]:
        return None
    first = found.end()
    if quote in {'"""', "'''"}:
        last = text.find(quote, first)
    elif quote in {'"', "'"}:
        last = _closing(quote).match(text, first).end()  # type: ignore[union-attr]
    else:
        line = text.find("\n", first)
        last = text.find(quote, first, line if line >= 0 else len(text))
        if last < 0:
            last = line
    if last < 0:
        last = len(text)
    if (
        found["closed"] is None
        and _inside(text, start, quote)
        and (first == last or text[first] in ")],;:}+.% \t\n")
    ):
        return None  # input("Password: ") and print("token=", x): the quote closes a text
    while (colour := _COLOURS.match(text, first, last)) is not None:
        first = colour.end()
    while (colour := _COLOUR_BEFORE.search(text, max(first, last - 28), last)) is not None:
        last = colour.start()
    return (first, last) if last > first else None


@lru_cache
def _closing(quote: str) -> re.Pattern[str]:
    return re.compile(rf"(?:[^\\\n{quote}]|\\(?s:.))*+")


def _inside(text: str, at: int, quote: str) -> bool:
    """Is a quote of this kind open before ``at``, on its line?"""
    line = text.rfind("\n", max(0, at - 400), at) + 1
    return text.count(quote, max(line, at - 400), at) % 2 == 1


def _bare(
    text: str, start: int, name: str, found: re.Match[str], *, strict: bool
) -> tuple[int, int] | None:
    """Where a literal without quotes stands: a shell's, a URL's, a YAML file's."""
    first = found.end()
    value = _BARE.match(text, first)
    if value is None or found["closed"] is not None:
        return None
    sign = found["sign"]
    last = value.end()
    said = value.group()
    for opens, closes in ("()", "[]", "{}"):
        while said.endswith(closes) and said.count(closes) > said.count(opens):
            said = said[:-1]
            last -= 1
    if not said or _is_placeholder(said) or said.lower() in _TYPE_NAMES or said[0] in "/~$%":
        return None
    before = text[start - 1 : start]
    tight = found.end() - found.start() == 1
    expression = _EXPRESSION.match(said) is not None
    call = expression and "(" in said
    fits = False
    if sign == "=" and before and before in "?&" and tight:
        fits = True
    elif sign == ">":
        fits = before == "<" and text.startswith("</", last)
    elif name.startswith("-"):
        fits = not call and (sign == "=" or (sign is None and any(map(str.isdigit, said))))
    elif sign == ":":
        line = text.rfind("\n", max(0, start - 200), start) + 1
        fits = (
            first > found.end("sign")
            and _ITEM.match(text, max(line, start - 200), start) is not None
            and _COMMENT.match(text, last) is not None
            and not call
            and said == value.group()
            and (strict or _is_random(said))
            and (not expression or said.islower() or any(map(str.isdigit, said)))
        )
    elif sign == "=":
        line = text.rfind("\n", max(0, start - 200), start) + 1
        shell = (
            tight
            and name.upper() == name
            and said.upper() != said
            and _COMMAND.match(text, max(line, start - 200), start) is not None
        )
        fits = not call and (shell or not expression or _is_long_random(said))
        if strict and said.isdigit() and len(said) >= 4:
            fits = True
        if not strict and not _is_random(said):
            fits = False
    return (first, last) if fits else None


def _is_long_random(value: str) -> bool:
    return (
        len(value) >= 12
        and "_" not in value
        and "." not in value
        and sum(map(str.isdigit, value)) >= 2
        and any(map(str.isalpha, value))
    )


# --- From literals to searches --------------------------------------------------------------

_RARITY = "ZQXJzqjVKxWYUkBHGFvPNLwDMREyTOSCIA29bgfpmh:/udclrsnioate -_."
"""Characters from the rarest to the most frequent in code and prose, roughly."""
_COMMON = {character: rank for rank, character in enumerate(_RARITY)}


def _forms() -> Iterable[tuple[str, _Spot]]:
    """Literals and the rule of each, in the order of precedence."""

    def form(
        kind: str, literals: str, pattern: str, glue: frozenset[str]
    ) -> list[tuple[str, _Spot]]:
        rule = partial(_form, kind, re.compile(pattern), glue)
        return [(literal, rule) for literal in literals.split()]

    yield "PRIVATE KEY", _pem
    yield from [("AKIA", _aws), ("ASIA", _aws)]
    yield from form("github-token", "ghp_ gho_ ghu_ ghs_ ghr_", r"gh[pousr]_\w{30,}+", _WORD)
    yield from form("github-token", "github_pat_", r"github_pat_\w{22,}+", _WORD)
    yield from form(
        "gitlab-token", "glpat-", r"glpat-[\w-]{20,}+(?:\.[0-9a-z]{2}\.[0-9a-z]{7,}+)?", _WORD_DASH
    )
    yield from form("google-api-key", "AIza", r"AIza[\w-]{35}(?![\w-])", _WORD_DASH)
    yield from form("google-oauth", "GOCSPX-", r"GOCSPX-[\w-]{20,}+", _WORD_DASH)
    yield from form("google-oauth", "ya29.", r"ya29\.[\w-]{20,}+", _WORD_DASH)
    yield from form(
        "slack-token",
        "xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs- xoxe. xapp-",
        r"x(?:ox[abeoprs]|app)[-.](?:xox[bp]-)?[A-Za-z0-9-]{10,}+",
        _WORD_DASH,
    )
    yield from form("stripe-key", "sk_live_ rk_live_", r"[sr]k_live_[A-Za-z0-9]{16,}+", _WORD)
    yield "sk-", _sk
    yield from form("huggingface-token", "hf_", r"hf_[A-Za-z0-9]{30,}+(?!_)", _WORD)
    yield from form("npm-token", "npm_", r"npm_[A-Za-z0-9]{36,}+(?!_)", _WORD)
    yield from form("pypi-token", "pypi-", r"pypi-[\w-]{50,}+", _WORD_DASH)
    yield from form("jwt", "eyJ", r"eyJ[\w-]{8,}+\.eyJ[\w-]{4,}+\.[\w-]*+", _WORD_DASH)
    for literal in ("authorization", "Authorization", "AUTHORIZATION"):
        yield literal, _authorization
    for literal in ("bearer", "Bearer", "BEARER"):
        yield literal, _bearer
    yield "://", _login


_Anchors = list[tuple[re.Pattern[str], dict[int, tuple[int, _Spot]]]]


@lru_cache(maxsize=16)
def _anchors(names: frozenset[str]) -> _Anchors:
    """One search for each of a few rare characters, which together stand in every literal."""
    rules = list(_forms())
    families: dict[str, _Family] = {}
    for name in sorted(names):
        *head, word = re.split("[_-]", name.lower())
        for known in ("key",):
            if not head and word.endswith(known) and word != known:
                head, word = [word.removesuffix(known)], known
        if not word:
            message = f"{name!r} cannot be the end of a secret's name; it has no letters"
            raise InvalidRequest(message)
        old = families.get(word)
        heads = ("".join(head),) if head else ()
        if old is not None:
            heads = (*old.heads, *heads) if old.heads and heads else ()
        kind = "api-key" if word == "key" else word
        if word in {"passwd", "passphrase"}:
            kind = "password"
        families[word] = _Family(heads, kind, strict=word != "token")
    for word in families:
        rule = partial(_assigned, families, len(word))
        rules += [(literal, rule) for literal in (word, word.capitalize(), word.upper())]
    chosen = _cover([literal for literal, _ in rules])
    anchors: _Anchors = []
    for character in chosen:
        branches: list[str] = []
        spots: dict[int, tuple[int, _Spot]] = {}
        for literal, rule in rules:
            if (back := literal.find(character)) >= 0 and _first(literal, chosen) == character:
                head, rest = re.escape(literal[: back + 1]), re.escape(literal[back + 1 :])
                branches.append(f"(?<={head}){rest}()")
                spots[len(branches)] = (back, rule)
        anchors.append((re.compile(f"{re.escape(character)}(?:{'|'.join(branches)})"), spots))
    return anchors


def _first(literal: str, chosen: list[str]) -> str:
    return next(character for character in chosen if character in literal)


def _cover(literals: list[str]) -> list[str]:
    """A few characters, rare ones, such that each literal holds one of them (greedy)."""
    left = set(literals)
    chosen: list[str] = []
    while left:
        best = max(
            {character for literal in left for character in literal},
            key=lambda character: (
                sum(character in literal for literal in left) / (10 + _COMMON.get(character, 30)),
                character,
            ),
        )
        chosen.append(best)
        left = {literal for literal in left if best not in literal}
    return chosen
