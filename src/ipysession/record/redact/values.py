"""What a value looks like: made by a machine, a placeholder, the name of a type."""

from __future__ import annotations

import re

AWS_SECRET = re.compile(r"(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")


def is_aws_secret(value: str) -> bool:
    """Forty characters of base64. A git commit has forty too, but of hex."""
    mixed = all(re.search(kind, value) for kind in ("[A-Z]", "[a-z]", "[0-9/+]"))
    return mixed and AWS_SECRET.fullmatch(value) is not None


LONGEST_NAME = 200

TYPE_NAMES = frozenset(
    # Of Python, JSON schemas, databases and YAML; and what forms and logs say about a password.
    re.split(
        " ",
        "str string bytes int integer float number bool boolean object any none optional "
        "secretstr text varchar category yes no on off true false null nil ~ undefined required "
        "invalid incorrect missing wrong ok masked empty",
    )
)
PATH = re.compile(r"[~.]{0,2}/\S*\Z|\S+\.(?:pem|key|json|txt|p12|pfx|crt|yaml|yml|toml)\Z")
TOKEN = re.compile(r"[\w.+/=-]{10,}\Z")
_PLACEHOLDER = re.compile(
    r"(?:\.{2,}|…+|[xX]{3,}|[*•#?_-]+|<[^>]*>|\$\{[^}]*\}|\$\(?\w+\)?|%\(\w+\)[sr]|%[sr]|%\w+%"
    r"|\{[^}]*\}+|\[[^\]]*\])++\Z"
    r"|(?i:none|null|nil|true|false|undefined|redacted|hidden|masked|placeholder"
    r"|your[-_ ].*|(?:insert|enter|put|replace)[-_ ](?:your|here|me|with|the)\b.*)\Z"
)


def is_placeholder(value: str) -> bool:
    """Does it stand for a value that is filled in elsewhere?"""
    value = value.strip()
    return not value or (len(value) <= LONGEST_NAME and _PLACEHOLDER.match(value) is not None)


def is_random(value: str) -> bool:
    """Does it look made by a machine rather than written by a person?"""
    if any(map(str.isspace, value)):
        return False
    if any(map(str.isdigit, value)) and any(map(str.isalpha, value)):
        return len(value) >= 6
    return len(value) >= 16


def is_long_random(value: str) -> bool:
    """The same of a value that could also be a variable's name."""
    return len(value) >= 12 and value.isalnum() and sum(map(str.isdigit, value)) >= 2
