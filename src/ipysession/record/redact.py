"""Takes secrets out of texts and outputs before they are written to the log.

What counts as a secret is decided here; where this is called is the recorder's business.
What is found, what is spared and what is missed is told in docs/security.md.

How it stays fast: every kind has a literal in it (``ghp_``, ``password``). A search for one
rare character of that literal runs at memory speed; only where the whole literal stands is the
kind's own rule applied, and only there. How it stays linear on hostile text: a rule starts only
where its run of characters starts, or reads a bounded stretch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
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
        "access_key",
        "account_key",
        "auth_key",
        "encryption_key",
        "master_key",
        "private_key",
        "secret_key",
        "signing_key",
        "subscription_key",
    }
)
"""What the name of a variable, key or option ends with when its literal value is a secret.

Upper and lower case, ``_``, ``-`` and neither are one: ``api_key`` is also ``X-API-Key`` and
``apiKey``."""

_ROUNDS = 20
_PLAIN_ROUNDS = 4
_LONGEST_NAME = 200
_MOST_KEYS = 10_000
_MARKER = re.compile(r"\[redacted:[A-Za-z0-9_.-]{1,64}\]")
_BINARY = re.compile(
    r"(?:image/(?!svg\+xml)|audio/|video/|font/|application/(?:pdf|octet-stream)\b)"
).match


class _Span(NamedTuple):
    """A secret's place in a text."""

    start: int
    end: int
    kind: str
    assigned: bool = False
    """Only the name before it told that it is one."""


_Spot = Callable[[str, int, list[_Span]], int]
"""Looks at the text around a literal that stands at the given place, adds what it finds, and
returns where the search for that literal goes on."""

_Part = tuple[Any, int, Any]
"""A dict or list in an output, the place of what holds it, and the key there."""


class Redactor:
    """Replaces secrets by ``[redacted:kind]``. Any thread may use it.

    ``extra`` maps a kind of the user's own to a regular expression; what it matches (or only
    its group ``secret``, where it has one) is redacted. ``names`` takes the place of
    DEFAULT_NAMES. Raises InvalidRequest for what cannot be used.
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
        self._names = DEFAULT_NAMES if names is None else names
        self._families = _families(self._names)
        self._keys: dict[str, _Family | None] = {}

    def text(self, text: str) -> tuple[str, dict[str, int]]:
        """The text without its secrets, and how many of each kind were taken out."""
        counts: dict[str, int] = {}
        if not self.enabled:
            return text, counts
        # Taking one secret out can lay open another that stood against it. Each round takes out
        # characters that are not part of a marker, so it ends. A text that still is not done
        # after some rounds is made to confuse: then what could be a value counts as one.
        for turn in range(_ROUNDS):
            spans = self._find(text, _anchors(self._names, wary=turn >= _PLAIN_ROUNDS))
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
        parts: list[_Part] = [([value], -1, None)]
        changes: dict[int, dict[Any, Any]] = {}
        for at, (part, _, _) in enumerate(parts):  # grows on the way
            changed = self._changes(part, at, parts, counts)
            if changed:
                changes[at] = changed
        for at in range(len(parts) - 1, 0, -1):  # what holds stands before what it holds
            if at in changes:
                part, holder, key = parts[at]
                changes.setdefault(holder, {})[key] = _copied(part, changes[at])
        return changes.get(0, {}).get(0, value), counts

    def _changes(
        self, part: Any, at: int, parts: list[_Part], counts: dict[str, int]
    ) -> dict[Any, Any]:
        """What changes directly in ``part``; adds the dicts and lists in it to ``parts``."""
        changed: dict[Any, Any] = {}
        named = isinstance(part, dict)
        if not named and (text := _joined(part)) is not None:
            new, found = self.text(text)
            _add(counts, found)
            return dict(enumerate(_split(new, len(part)))) if found else changed
        items: Iterable[tuple[Any, Any]] = part.items() if named else enumerate(part)
        for key, held in items:
            if named and isinstance(key, str) and _BINARY(key):
                continue
            if isinstance(held, str):
                new, found = self._held(key, held) if named else self.text(held)
                if found:
                    changed[key] = new
                    _add(counts, found)
            elif isinstance(held, (dict, list, tuple)):
                parts.append((held, at, key))
        return changed

    def _held(self, key: Any, held: str) -> tuple[str, dict[str, int]]:
        """The text that a dict holds: its key may say that it is a secret, as a name would."""
        new, found = self.text(held)
        family = self._family(key) if isinstance(key, str) else None
        if family is None or (found and _MARKER.fullmatch(new)):
            return new, found
        kind = family.judge(key, held)
        return (new, found) if kind is None else (f"[redacted:{kind}]", {kind: 1})

    def _family(self, key: str) -> _Family | None:
        with suppress(KeyError):
            return self._keys[key]
        lowered = key.lower() if len(key) <= _LONGEST_NAME else ""
        family = next(
            (
                family
                for word, family in self._families.items()
                if lowered.endswith(word) and family.names(lowered.removesuffix(word))
            ),
            None,
        )
        if len(self._keys) < _MOST_KEYS:
            self._keys[key] = family
        return family

    def _find(self, text: str, anchors: _Anchors) -> list[_Span]:
        spans: list[_Span] = []
        for anchor, spots in anchors:
            found = anchor.search(text)
            while found is not None:
                back, spot = spots[found.lastindex or 0]
                on = spot(text, found.start() - back, spans)
                found = anchor.search(text, max(on, found.end()))
        for kind, pattern in self._extra:
            _spot_extra(kind, pattern, text, spans)
        return spans


def _add(counts: dict[str, int], found: dict[str, int]) -> None:
    for kind, count in found.items():
        counts[kind] = counts.get(kind, 0) + count


def _joined(part: list[Any] | tuple[Any, ...]) -> str | None:
    """The text that nbformat keeps as a list of lines, as a secret may span some of them."""
    whole = all(isinstance(line, str) and line.endswith("\n") for line in part[:-1])
    if whole and len(part) > 1 and isinstance(part[-1], str):
        return "".join(part)
    return None


def _split(text: str, count: int) -> list[str]:
    """The text in as many lines as it was kept in, with empty ones at the end if need be."""
    lines = text.splitlines(keepends=True)
    if len(lines) > count:  # it was split at "\n" only
        lines = [*lines[: count - 1], "".join(lines[count - 1 :])]
    return lines + [""] * (count - len(lines))


def _copied(part: Any, changed: dict[Any, Any]) -> Any:
    if isinstance(part, dict):
        return {**part, **changed}
    copy = [changed.get(at, held) for at, held in enumerate(part)]
    return tuple(copy) if isinstance(part, tuple) else copy


def _replace(text: str, spans: list[_Span], counts: dict[str, int]) -> str:
    """The text with each span replaced. Spans that overlap become one.

    Of those, one that is a secret by its own form gives the kind, rather than a name before it.
    """
    pieces: list[str] = []
    done = 0
    spans.sort()
    at = 0
    while at < len(spans):
        start, end, kind, assigned = spans[at]
        at += 1
        while at < len(spans) and spans[at].start < end:
            end = max(end, spans[at].end)
            if assigned and not spans[at].assigned:
                kind, assigned = spans[at].kind, False
            at += 1
        pieces += (text[done:start], "[redacted:", kind, "]")
        counts[kind] = counts.get(kind, 0) + 1
        done = end
    pieces.append(text[done:])
    return "".join(pieces)


# --- The user's own -------------------------------------------------------------------------


def _extra(kind: str, pattern: str) -> tuple[str, re.Pattern[str]]:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", kind):
        message = (
            f"{kind!r} cannot name a kind of secret: use up to 64 letters, digits, '-', '_', '.'"
        )
        raise InvalidRequest(message)
    try:
        compiled = re.compile(pattern)
    except (re.error, TypeError, OverflowError, RecursionError) as error:
        message = f"the redaction pattern {kind!r} is not a regular expression: {error}"
        raise InvalidRequest(message) from error
    if compiled.match("") is not None:
        message = (
            f"the redaction pattern {kind!r} ({pattern}) matches where there is nothing; "
            "make it demand at least one character"
        )
        raise InvalidRequest(message)
    return kind, compiled


def _spot_extra(kind: str, pattern: re.Pattern[str], text: str, spans: list[_Span]) -> None:
    group: str | int = "secret" if "secret" in pattern.groupindex else 0
    markers = [found.span() for found in _MARKER.finditer(text)]
    for found in pattern.finditer(text):
        start, end = found.span(group)
        # A marker may be swallowed by something larger, but is never redacted itself.
        kept = [mark for mark in markers if mark[0] < end and start < mark[1]] if markers else []
        if start < end and all(start <= mark[0] and mark[1] <= end for mark in kept):
            outside = end - start - sum(last - first for first, last in kept)
            if outside > 0:
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


class _Form(NamedTuple):
    """A kind that one expression tells: the group in it, or all of it, is the secret."""

    kind: str
    pattern: re.Pattern[str]
    glue: frozenset[str]

    def spot(self, text: str, at: int, spans: list[_Span]) -> int:
        """Looks at a place where the form's literal stands."""
        found = self.pattern.match(text, at) if _begins(text, at, self.glue) else None
        if found is None:
            return at
        spans.append(_Span(*found.span(), self.kind))
        return found.end()


_AWS_KEY = re.compile(r"A[KS]IA[A-Z0-9]{16}(?![A-Za-z0-9])")
_AWS_SECRET = re.compile(r"(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")
_AWS_NEAR = 200


def _aws(text: str, at: int, spans: list[_Span]) -> int:
    """An access key id, and a secret that stands near it, as in the console's CSV file."""
    if not _begins(text, at, _WORD) or (found := _AWS_KEY.match(text, at)) is None:
        return at
    spans.append(_Span(at, found.end(), "aws-access-key"))
    near = _AWS_SECRET.finditer(text, max(0, at - _AWS_NEAR), found.end() + _AWS_NEAR)
    spans += [_Span(*it.span(), "aws-secret-key") for it in near if _is_aws_secret(it.group())]
    return found.end()


def _is_aws_secret(value: str) -> bool:
    """Forty characters of base64. A git commit has forty too, but of hex."""
    mixed = all(re.search(kind, value) for kind in ("[A-Z]", "[a-z]", "[0-9/+]"))
    return mixed and _AWS_SECRET.fullmatch(value) is not None


_SK = re.compile(r"sk-([A-Za-z0-9_-]{20,})")
_SK_KNOWN = re.compile(r"(?:proj|svcacct|admin)-")
_SK_RANDOM = re.compile(r"(?=[A-Za-z]*[0-9])[A-Za-z0-9]{16}")


def _sk(text: str, at: int, spans: list[_Span]) -> int:
    """OpenAI's, Anthropic's and their likes. The CSS classes of scikit-learn have sk- too."""
    found = _SK.match(text, at) if _begins(text, at, _WORD_DASH) else None
    if found is None:
        return at
    rest = found[1]
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
    begin = _PEM_BEGIN.match(text, start) if start >= 0 else None
    if begin is None or begin.end() < at:
        return at
    body = _PEM_BODY.match(text, begin.end(), begin.end() + _PEM_LONGEST)
    if body is None:
        return begin.end()  # the header alone is in every program that reads such files
    end = _PEM_END.search(text, body.end(), begin.end() + _PEM_LONGEST)
    until = body.end() if end is None else end.end()
    spans.append(_Span(start, until, "private-key"))
    return until


_AUTHORIZATION = re.compile(
    rf"(?i:authorization)(?:\\*[\"']|&quot;|&\#3[49];|\]|[ \t]|{_COLOUR}){{0,12}}+"
    rf"[:=,](?:[ \t]|{_COLOUR}){{0,12}}+"
    rf"f?(?P<quote>\\*[\"']|&quot;|&\#3[49];)?(?:{_COLOUR}){{0,4}}+"
    rf"(?P<scheme>(?i:bearer|basic|token|apikey|api-key|key|digest)[ \t]+)?"
    rf"(?P<secret>[A-Za-z0-9._~+/=:-]{{6,}})"
)
_BEARER = re.compile(r"(?i:bearer)[ \t]+([A-Za-z0-9._~+/=-]{16,})")


def _authorization(text: str, at: int, spans: list[_Span]) -> int:
    """The value of an Authorization header: with its scheme, or quoted without one."""
    found = _AUTHORIZATION.match(text, at)
    if found is None:
        return at
    value = found["secret"]
    told = found["scheme"] or (found["quote"] and len(value) >= 16)
    if told and _is_random(value):
        spans.append(_Span(*found.span("secret"), "authorization"))
    return found.end()


def _bearer(text: str, at: int, spans: list[_Span]) -> int:
    """A bearer token outside a header; sixteen letters may be a word, so a digit is demanded."""
    found = _BEARER.match(text, at) if _begins(text, at, _WORD) else None
    if found is None:
        return at
    if any(map(str.isdigit, found[1])):
        spans.append(_Span(*found.span(1), "authorization"))
    return found.end()


_NO_USER = r"\s:/?#@\"'<>\[\]()|\\^`"
_USER = re.compile(rf"://[^{_NO_USER}]{{0,256}}+:(?!\d{{1,5}}(?:[/?#\s\"']|\Z))")
_PASSWORD = re.compile(r"([^\s/\"'<>`\\]{1,256})@(?=[\w.$%{\[-])")
_PASSWORD_SLASH = re.compile(r"([^\s\"'<>`\\@]{1,256})@")
_DATABASE = re.compile(
    r"(?i:postgres|postgresql|mysql|mariadb|mongodb|redis|rediss|amqps?|mssql|oracle|clickhouse|"
    r"snowflake|cockroachdb|trino|presto|sqlserver)(?:\+[a-z0-9_]{1,20})?\Z"
)
_WEBHOOK = re.compile(r"://hooks\.slack\.com/services/([A-Za-z0-9/_-]{20,200})")


def _login(text: str, at: int, spans: list[_Span]) -> int:
    """The password of ``scheme://user:password@host``."""
    user = _USER.match(text, at)
    if user is None:
        if (found := _WEBHOOK.match(text, at)) is not None:
            spans.append(_Span(*found.span(1), "slack-webhook"))
        return at
    found = _PASSWORD.match(text, user.end())
    if found is None and _DATABASE.search(text, max(0, at - 32), at):
        found = _PASSWORD_SLASH.match(text, user.end())  # SQLAlchemy allows a slash in it
    if found is None:
        return user.end()
    if not _is_placeholder(found[1]) and "[^" not in found[1]:
        spans.append(_Span(*found.span(1), "connection-password"))
    return found.end(1)


# --- Names with a literal value -------------------------------------------------------------

_QUOTE = r"\\{0,3}[\"']|&quot;|&\#3[49];|&\#x2[27];"
_SPACE = rf"(?:[ \t]|{_COLOUR}){{0,40}}+"
_ASSIGNED = re.compile(
    rf"(?:_?(?i:base|value|prod|production|dev|staging|stage|test|live)(?![A-Za-z]))?[0-9]{{0,2}}"
    rf"(?:{_COLOUR}){{0,4}}+(?P<closed>{_QUOTE})?(?:{_SPACE}\])?{_SPACE}"
    rf"(?P<sign>=>|:=|[=!]=|=|:(?!//|:)|,|>)?{_SPACE}"
    rf"(?:[A-Za-z_][\w.\[\]| ,]{{0,60}}?{_SPACE}={_SPACE}(?=[rbfuRBFU]{{0,2}}[\"'\x1b]))?"
    rf"(?:\(?(?:{_COLOUR}){{0,4}}+(?P<prefix>[rbfuRBFU]{{0,2}})(?:{_COLOUR}){{0,4}}+(?P<open>\"\"\"|\'\'\'|{_QUOTE}))?",
)
_FOLLOWS = r"(?=[\t\"'\\=:,>&\]!_\x1b0-9]|[ ](?:[ \t\"'\\=:>&\]!\x1b]|\S{0,64}\d))"
"""What must follow a word, so that it can be a name with a value: a first, cheap look."""
_NAME_CHARACTERS = _WORD | frozenset("_-.")
_HEAD_LENGTH = 16


class _Family(NamedTuple):
    """Names that end with one word: what must stand before it, and what their value must be."""

    word: str
    heads: tuple[str, ...]
    """Empty: anything may stand before the word."""
    kind: str
    strict: bool
    """Any literal is a secret; otherwise only one that looks made by a machine."""

    def names(self, before: str) -> bool:
        """Does a name belong to the family, of which ``before`` stands before the word?"""
        if not self.heads:
            return True
        squashed = before[-_HEAD_LENGTH:].lower().replace("_", "").replace("-", "")
        return squashed.replace(".", "").endswith(self.heads)

    def judge(self, name: str, value: str) -> str | None:
        """The kind of secret that the quoted value of that name is; None for none."""
        if _is_placeholder(value) or value.lower() in _TYPE_NAMES:
            return None
        if not self.strict and not _is_random(value):
            return None
        if self.word == "key" and _PATH.match(value):
            return None
        return self.kind_of(name, value)

    def kind_of(self, name: str, value: str) -> str:
        """The kind of a value that is a secret."""
        name = name.lower()
        if ("aws" in name or "secret_access" in name) and _is_aws_secret(value):
            return "aws-secret-key"
        if "account" in name and self.word == "key":
            return "azure-storage-key"
        return self.kind


def _assigned(family: _Family, text: str, at: int, spans: list[_Span], *, wary: bool) -> int:
    """The literal that is assigned to a name which ends with the word of ``family``."""
    end = at + len(family.word)
    if not family.names(text[max(0, at - _HEAD_LENGTH) : at]):
        return end
    found = _ASSIGNED.match(text, end)
    if found is None:
        return end
    start = _name_start(text, at)
    name = text[start:end]
    if found["open"] is not None:
        span = _quoted(text, start, found, wary=wary)
        kind = None if span is None else family.judge(name, text[span[0] : span[1]])
    else:
        span = _bare(text, start, end, found, strict=family.strict)
        kind = None if span is None else family.kind_of(name, text[span[0] : span[1]])
    if span is not None and kind is not None:
        spans.append(_Span(*span, kind, assigned=True))
    return end  # a form in the value may have a better name for it


def _name_start(text: str, at: int) -> int:
    start = at
    while start > 0 and at - start < 64 and text[start - 1] in _NAME_CHARACTERS:
        if text[start - 1] == "m" and _COLOUR_BEFORE.search(text, max(0, start - 28), start):
            break
        if text[start - 1] in "nrt" and text[start - 2 : start - 1] == "\\":
            break
        start -= 1
    return start


# In quotes

_SETTER = re.compile(r"(?:setdefault|putenv|setenv|set_key)\([^\S\n]*\\?[\"']\Z")
_SQL = re.compile(r"(?i:password) '[^'\s]+'")
_CODE_AFTER_QUOTE = re.compile(r"[)\],;:}+.%]|\s|\Z")
_JOINED = re.compile(r"[\"']\s*[+.,%)]")


def _quoted(text: str, start: int, found: re.Match[str], *, wary: bool) -> tuple[int, int] | None:
    """Where the content of the quotes stands; None where they hold something else."""
    sign = found["sign"]
    if sign == ">" or (sign is None and not _SQL.match(text, start)):
        return None
    if sign == "," and not (found["closed"] and _SETTER.search(text, max(0, start - 80), start)):
        return None
    first = found.end()
    last = _closing(text, first, found["open"])
    if "f" in found["prefix"].lower() and "{" in text[first:last]:
        return None
    if (
        found["closed"] is None
        and not wary
        and (
            # input("Password: ") and print("token=" + x): the quote ends a text instead.
            (_CODE_AFTER_QUOTE.match(text, first) and _is_open(text, start, found["open"]))
            or _JOINED.match(text, first)
        )
    ):
        return None
    while (colour := _COLOURS.match(text, first, last)) is not None:
        first = colour.end()
    while (colour := _COLOUR_BEFORE.search(text, max(first, last - 28), last)) is not None:
        last = colour.start()
    return (first, last) if last > first else None


_CLOSING = {quote: re.compile(rf"(?:[^\\\n{quote}]|\\(?s:.))*+") for quote in ('"', "'")}


def _closing(text: str, first: int, quote: str) -> int:
    """Where the quote closes, or else the line, or else the text."""
    if quote in _CLOSING:
        found = _CLOSING[quote].match(text, first)
        return first if found is None else found.end()
    line = len(text) if quote in {'"""', "'''"} else text.find("\n", first)
    line = len(text) if line < 0 else line
    last = text.find(quote, first, line)
    return line if last < 0 else last


def _is_open(text: str, at: int, quote: str) -> bool:
    """Is a quote of this kind open before ``at``, on its line?"""
    return text.count(quote, _line_start(text, at), at) % 2 == 1


def _line_start(text: str, at: int) -> int:
    """Where the line of ``at`` starts; lines are looked at for 400 characters back."""
    nearest = max(0, at - 400)
    return max(nearest, text.rfind("\n", nearest, at) + 1)


# Without quotes: a shell's, a URL's, a YAML file's

_BARE = re.compile(r"[^\s\"'`,;&<>|\x1b\[{][^\s\"'`,;&<>|\x1b]{0,511}")
_BARE_IN_URL = re.compile(r"[^\s\"'`&#<>;)\]}\x1b\[{]{1,512}")
_IN_FORM = re.compile(r"[^\s\"'`&=]{1,512}&[\w.-]{1,64}=")
_ENV_MAGIC = re.compile(r"[ \t]*%(?:set_)?env[ \t]+\Z")
_EXPRESSION = re.compile(
    r"-?[A-Za-z_][\w.]*(?:[(\[].*)?\Z"  # a name, an attribute, a call
    r"|-?[\d._]+(?:[eE][+-]?\d+)?[jJ]?\Z"  # a number
    r"|[(\[{@*~-]"
    r"|[^\d!@#$%^*?=]*\Z"  # names joined by operators; nothing in it says otherwise
)
_COMMAND = re.compile(
    r"[ \t]*(?:.*[;|&(][ \t]*|.*\$ |!|%\w+[ \t]+)?(?:(?:export|set|setx|env|declare -x)[ \t]+)?\Z"
)
_ITEM = re.compile(r"[ \t]*(?:-[ \t]+)?\Z")
_COMMENT = re.compile(r"[ \t]*(?:#.*)?\r?(?:\n|\Z)")


def _bare(
    text: str, start: int, end: int, found: re.Match[str], *, strict: bool
) -> tuple[int, int] | None:
    """Where a literal without quotes stands. In Python code, only what cannot be an expression."""
    first, sign = found.end(), found["sign"]
    option = text.startswith("--", start) or (
        sign is None and _ENV_MAGIC.match(text, _line_start(text, start), start) is not None
    )
    if found["closed"] is not None or not (sign in {"=", ":", ">"} or (sign is None and option)):
        return None
    tight = first == end + 1
    before = text[start - 1 : start]
    in_url = sign == "=" and tight and (before in {"?", "&", ";"} or _IN_FORM.match(text, first))
    value = (_BARE_IN_URL if in_url else _BARE).match(text, first)
    if value is None:
        return None
    said = _without_closing_brackets(value.group())
    last = first + len(said)
    if _is_placeholder(said) or said.lower() in _TYPE_NAMES or said[:1] in {"/", "~", "$", "%"}:
        return None
    if in_url:
        fits = True
    elif sign == ">":
        fits = before == "<" and text.startswith("</", last)
    elif "(" in said and _EXPRESSION.match(said):
        fits = False
    elif option:
        fits = sign == "=" or (sign is None and any(map(str.isdigit, said)))
    elif sign == ":":
        fits = (
            first > found.end("sign")
            and _ITEM.match(text, _line_start(text, start), start) is not None
            and _COMMENT.match(text, last) is not None
            and (said.islower() or any(map(str.isdigit, said)))
            and (strict or _is_random(said))
        )
    else:
        shell = tight and text[start:end].isupper() and not said.isupper()
        shell = shell and _COMMAND.match(text, _line_start(text, start), start) is not None
        fits = (
            shell
            or not _EXPRESSION.match(said)
            or _is_long_random(said)
            or (strict and said.isdigit() and len(said) >= 4)
        ) and (strict or (_is_random(said) and _TOKEN.match(said) is not None))
    return (first, last) if fits else None


def _without_closing_brackets(value: str) -> str:
    for opening, closing in ("()", "[]", "{}"):
        while value.endswith(closing) and value.count(closing) > value.count(opening):
            value = value[:-1]
    return value


# What a value looks like

_TYPE_NAMES = frozenset(
    # Of Python, JSON schemas, databases and YAML; and what forms and logs say about a password.
    re.split(
        " ",
        "str string bytes int integer float number bool boolean object any none optional "
        "secretstr text varchar category yes no on off true false null nil ~ undefined required "
        "invalid incorrect missing wrong ok masked empty",
    )
)
_PATH = re.compile(r"[~.]{0,2}/\S*\Z|\S+\.(?:pem|key|json|txt|p12|pfx|crt|yaml|yml|toml)\Z")
_TOKEN = re.compile(r"[\w.+/=-]{10,}\Z")
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
    if any(map(str.isspace, value)):
        return False
    if any(map(str.isdigit, value)) and any(map(str.isalpha, value)):
        return len(value) >= 6
    return len(value) >= 16


def _is_long_random(value: str) -> bool:
    """The same of a value that could also be a variable's name."""
    return len(value) >= 12 and value.isalnum() and sum(map(str.isdigit, value)) >= 2


# --- From literals to searches --------------------------------------------------------------


class _Rule(NamedTuple):
    """A literal, what must follow it (as an expression), and who looks at the places then."""

    literal: str
    guard: str
    spot: _Spot


def _forms() -> list[_Rule]:
    """The kinds with a form of their own."""

    def form(
        kind: str, literals: str, pattern: str, glue: frozenset[str] = _WORD_DASH
    ) -> list[_Rule]:
        spot = _Form(kind, re.compile(pattern), glue).spot
        return [_Rule(literal, "", spot) for literal in literals.split()]

    return [
        _Rule("PRIVATE KEY", "(?=-| BLOCK)", _pem),
        _Rule("AKIA", "", _aws),
        _Rule("ASIA", "", _aws),
        *form("github-token", "ghp_ gho_ ghu_ ghs_ ghr_", r"gh[pousr]_\w{30,}+", _WORD),
        *form("github-token", "github_pat_", r"github_pat_\w{22,}+", _WORD),
        *form("gitlab-token", "glpat-", r"glpat-[\w-]{20,}+(?:\.[0-9a-z]{2}\.[0-9a-z]{7,}+)?"),
        *form("google-api-key", "AIza", r"AIza[\w-]{35}(?![\w-])"),
        *form("google-oauth", "GOCSPX-", r"GOCSPX-[\w-]{20,}+"),
        *form("google-oauth", "ya29.", r"ya29\.[\w-]{20,}+"),
        *form("slack-token", "xox xapp-", r"x(?:ox[a-z]|app)[.-](?:xox[a-z]-)?[A-Za-z0-9-]{10,}+"),
        *form("stripe-key", "sk_live_ rk_live_", r"[sr]k_live_[A-Za-z0-9]{16,}+", _WORD),
        _Rule("sk-", r"(?=[\w-]{20})", _sk),
        *form("huggingface-token", "hf_", r"hf_[A-Za-z0-9]{30,}+(?!_)", _WORD),
        *form("npm-token", "npm_", r"npm_[A-Za-z0-9]{36,}+(?!_)", _WORD),
        *form("pypi-token", "pypi-", r"pypi-[\w-]{50,}+"),
        *form("jwt", "eyJ", r"eyJ[\w-]{8,}+\.eyJ[\w-]{4,}+\.[\w-]*+"),
        *(_Rule(word, "", _authorization) for word in _cases("authorization")),
        *(_Rule(word, r"(?=[ \t])", _bearer) for word in _cases("bearer")),
        _Rule("://", rf"(?=[^{_NO_USER}]{{0,256}}+:|hooks\.slack)", _login),
    ]


def _assignments(names: frozenset[str], *, wary: bool) -> Iterable[_Rule]:
    for word, family in _families(names).items():
        spot = partial(_assigned, family, wary=wary)
        for literal in _cases(word):
            # "key": … is frequent; a name that goes on before it is not.
            goes_on = rf"(?<=[\w.-]{literal})" if family.heads else ""
            yield _Rule(literal, goes_on + _FOLLOWS, spot)


def _cases(word: str) -> tuple[str, str, str]:
    """The ways in which people write a word; a search that ignores case is too slow."""
    return word, word.capitalize(), word.upper()


@lru_cache(maxsize=16)
def _families(names: frozenset[str]) -> dict[str, _Family]:
    """The names by their last word, which is what is searched for."""
    heads: dict[str, set[str]] = {}
    for name in names:
        *head, word = re.split("[_-]", name.lower())
        if not word.isalpha():
            message = (
                f"{name!r} cannot be what a secret's name ends with: its last word needs letters"
            )
            raise InvalidRequest(message)
        heads.setdefault(word, set()).add("".join(head)[-_HEAD_LENGTH:])
    return {
        word: _Family(
            word=word,
            heads=() if "" in before else tuple(sorted(before)),
            kind={"key": "api-key", "passwd": "password", "passphrase": "password"}.get(word, word),
            strict=word != "token",
        )
        for word, before in sorted(heads.items())
    }


_Anchors = list[tuple[re.Pattern[str], dict[int, tuple[int, _Spot]]]]
"""Searches, and for each of their branches how far back the literal starts, and who looks."""

_RARITY = "ZQXJzqjVKxWYUkBHGFvPNLwDMREyTOSCIA29bgfpmh:/udclrsnioate -_."
"""Characters from the rarest to the most frequent in code and prose, roughly."""


@lru_cache(maxsize=16)
def _anchors(names: frozenset[str], *, wary: bool) -> _Anchors:
    """One search for each of a few rare characters, which together stand in every literal."""
    rules = [*_forms(), *_assignments(names, wary=wary)]
    anchors: _Anchors = []
    for character in _cover([rule.literal for rule in rules]):
        branches: list[str] = []
        spots: dict[int, tuple[int, _Spot]] = {}
        for literal, guard, spot in (rule for rule in rules if character in rule.literal):
            back = literal.index(character)
            # The rest first: a branch that begins with a letter is passed over quickly.
            rest, whole = re.escape(literal[back + 1 :]), re.escape(literal)
            branches.append(f"{rest}(?<={whole}){guard}()")
            spots[len(branches)] = (back, spot)
        rules = [rule for rule in rules if character not in rule.literal]
        anchors.append((re.compile(f"{re.escape(character)}(?:{'|'.join(branches)})"), spots))
    return anchors


def _cover(literals: list[str]) -> list[str]:
    """A few characters, rare ones, such that each literal holds one of them (greedy)."""
    left = set(literals)
    chosen: list[str] = []

    def worth(character: str) -> tuple[float, str]:
        rank = _RARITY.find(character) % (len(_RARITY) + 1)
        return sum(character in literal for literal in left) / (10 + rank), character

    while left:
        best = max({character for literal in left for character in literal}, key=worth)
        chosen.append(best)
        left = {literal for literal in left if best not in literal}
    return chosen
