"""From literals to searches.

How it stays fast: every kind has a literal in it (``ghp_``, ``password``). A search for one
rare character of that literal runs at memory speed; only where the whole literal stands is the
kind's own rule applied, and only there.
"""

from __future__ import annotations

import re
from functools import lru_cache

from ipysession.record.redact.forms import forms
from ipysession.record.redact.names import assignments
from ipysession.record.redact.spans import Spot

Anchors = list[tuple[re.Pattern[str], dict[int, tuple[int, Spot]]]]
"""Searches, and for each of their branches how far back the literal starts, and who looks."""

_RARITY = "ZQXJzqjVKxWYUkBHGFvPNLwDMREyTOSCIA29bgfpmh:/udclrsnioate -_."
"""Characters from the rarest to the most frequent in code and prose, roughly."""


@lru_cache(maxsize=16)
def anchors(names: frozenset[str], *, wary: bool) -> Anchors:
    """One search for each of a few rare characters, which together stand in every literal."""
    rules = [*forms(), *assignments(names, wary=wary)]
    anchors: Anchors = []
    for character in _cover([rule.literal for rule in rules]):
        branches: list[str] = []
        spots: dict[int, tuple[int, Spot]] = {}
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
