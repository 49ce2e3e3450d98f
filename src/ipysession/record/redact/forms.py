"""Kinds of secrets with a form of their own, which their literal begins or holds."""

from __future__ import annotations

import re
from typing import NamedTuple

from ipysession.record.redact.spans import COLOUR, WORD, WORD_DASH, Rule, Span, begins, cases
from ipysession.record.redact.values import AWS_SECRET, is_aws_secret, is_placeholder, is_random


class _Form(NamedTuple):
    """A kind that one expression tells: the group in it, or all of it, is the secret."""

    kind: str
    pattern: re.Pattern[str]
    glue: frozenset[str]

    def spot(self, text: str, at: int, spans: list[Span]) -> int:
        """Looks at a place where the form's literal stands."""
        found = self.pattern.match(text, at) if begins(text, at, self.glue) else None
        if found is None:
            return at
        spans.append(Span(*found.span(), self.kind))
        return found.end()


_AWS_KEY = re.compile(r"A[KS]IA[A-Z0-9]{16}(?![A-Za-z0-9])")


_AWS_NEAR = 200


def _aws(text: str, at: int, spans: list[Span]) -> int:
    """An access key id, and a secret that stands near it, as in the console's CSV file."""
    if not begins(text, at, WORD) or (found := _AWS_KEY.match(text, at)) is None:
        return at
    spans.append(Span(at, found.end(), "aws-access-key"))
    near = AWS_SECRET.finditer(text, max(0, at - _AWS_NEAR), found.end() + _AWS_NEAR)
    spans += [Span(*it.span(), "aws-secret-key") for it in near if is_aws_secret(it.group())]
    return found.end()


_SK = re.compile(r"sk-([A-Za-z0-9_-]{20,})")
_SK_KNOWN = re.compile(r"(?:proj|svcacct|admin)-")
_SK_RANDOM = re.compile(r"(?=[A-Za-z]*[0-9])[A-Za-z0-9]{16}")


def _sk(text: str, at: int, spans: list[Span]) -> int:
    """OpenAI's, Anthropic's and their likes. The CSS classes of scikit-learn have sk- too."""
    found = _SK.match(text, at) if begins(text, at, WORD_DASH) else None
    if found is None:
        return at
    rest = found[1]
    if rest.startswith("ant-"):
        spans.append(Span(*found.span(), "anthropic-key"))
    elif _SK_KNOWN.match(rest) or any(map(_SK_RANDOM.match, re.split("[_-]", rest))):
        spans.append(Span(*found.span(), "openai-key"))
    return found.end()


_PEM_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_PEM_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_PEM_GAP = rf"(?:\\+[nr]|[\s\"'+,#]|{COLOUR})"
_PEM_BODY = re.compile(
    rf"{_PEM_GAP}*+(?:(?:Proc-Type|DEK-Info|Version|Comment)[^\n\\]{{1,200}}{_PEM_GAP}++)*+"
    rf"[A-Za-z0-9+/=]{{16,}}+(?:{_PEM_GAP}++[A-Za-z0-9+/=]{{16,}}+)*+"
)
_PEM_LONGEST = 20_000


def _pem(text: str, at: int, spans: list[Span]) -> int:
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
    spans.append(Span(start, until, "private-key"))
    return until


_AUTHORIZATION = re.compile(
    rf"(?i:authorization)(?:\\*[\"']|&quot;|&\#3[49];|\]|[ \t]|{COLOUR}){{0,12}}+"
    rf"[:=,](?:[ \t]|{COLOUR}){{0,12}}+"
    rf"f?(?P<quote>\\*[\"']|&quot;|&\#3[49];)?(?:{COLOUR}){{0,4}}+"
    rf"(?P<scheme>(?i:bearer|basic|token|apikey|api-key|key|digest)[ \t]+)?"
    rf"(?P<secret>[A-Za-z0-9._~+/=:-]{{6,}})"
)
_BEARER = re.compile(r"(?i:bearer)[ \t]+([A-Za-z0-9._~+/=-]{16,})")


def _authorization(text: str, at: int, spans: list[Span]) -> int:
    """The value of an Authorization header: with its scheme, or quoted without one."""
    found = _AUTHORIZATION.match(text, at)
    if found is None:
        return at
    value = found["secret"]
    told = found["scheme"] or (found["quote"] and len(value) >= 16)
    if told and is_random(value):
        spans.append(Span(*found.span("secret"), "authorization"))
    return found.end()


def _bearer(text: str, at: int, spans: list[Span]) -> int:
    """A bearer token outside a header; sixteen letters may be a word, so a digit is demanded."""
    found = _BEARER.match(text, at) if begins(text, at, WORD) else None
    if found is None:
        return at
    if any(map(str.isdigit, found[1])):
        spans.append(Span(*found.span(1), "authorization"))
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


def _login(text: str, at: int, spans: list[Span]) -> int:
    """The password of ``scheme://user:password@host``."""
    user = _USER.match(text, at)
    if user is None:
        if (found := _WEBHOOK.match(text, at)) is not None:
            spans.append(Span(*found.span(1), "slack-webhook"))
        return at
    found = _PASSWORD.match(text, user.end())
    if found is None and _DATABASE.search(text, max(0, at - 32), at):
        found = _PASSWORD_SLASH.match(text, user.end())  # SQLAlchemy allows a slash in it
    if found is None:
        return user.end()
    if not is_placeholder(found[1]) and "[^" not in found[1]:
        spans.append(Span(*found.span(1), "connection-password"))
    return found.end(1)


def forms() -> list[Rule]:
    """The kinds with a form of their own."""

    def form(
        kind: str, literals: str, pattern: str, glue: frozenset[str] = WORD_DASH
    ) -> list[Rule]:
        spot = _Form(kind, re.compile(pattern), glue).spot
        return [Rule(literal, "", spot) for literal in literals.split()]

    return [
        Rule("PRIVATE KEY", "(?=-| BLOCK)", _pem),
        Rule("AKIA", "", _aws),
        Rule("ASIA", "", _aws),
        *form("github-token", "ghp_ gho_ ghu_ ghs_ ghr_", r"gh[pousr]_\w{30,}+", WORD),
        *form("github-token", "github_pat_", r"github_pat_\w{22,}+", WORD),
        *form("gitlab-token", "glpat-", r"glpat-[\w-]{20,}+(?:\.[0-9a-z]{2}\.[0-9a-z]{7,}+)?"),
        *form("google-api-key", "AIza", r"AIza[\w-]{35}(?![\w-])"),
        *form("google-oauth", "GOCSPX-", r"GOCSPX-[\w-]{20,}+"),
        *form("google-oauth", "ya29.", r"ya29\.[\w-]{20,}+"),
        *form("slack-token", "xox xapp-", r"x(?:ox[a-z]|app)[.-](?:xox[a-z]-)?[A-Za-z0-9-]{10,}+"),
        *form("stripe-key", "sk_live_ rk_live_", r"[sr]k_live_[A-Za-z0-9]{16,}+", WORD),
        Rule("sk-", r"(?=[\w-]{20})", _sk),
        *form("huggingface-token", "hf_", r"hf_[A-Za-z0-9]{30,}+(?!_)", WORD),
        *form("npm-token", "npm_", r"npm_[A-Za-z0-9]{36,}+(?!_)", WORD),
        *form("pypi-token", "pypi-", r"pypi-[\w-]{50,}+"),
        *form("jwt", "eyJ", r"eyJ[\w-]{8,}+\.eyJ[\w-]{4,}+\.[\w-]*+"),
        *(Rule(word, "", _authorization) for word in cases("authorization")),
        *(Rule(word, r"(?=[ \t])", _bearer) for word in cases("bearer")),
        Rule("://", rf"(?=[^{_NO_USER}]{{0,256}}+:|hooks\.slack)", _login),
    ]
