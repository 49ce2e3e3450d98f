"""What a namespace holds, in a form by which two kernels can be compared.

How the digests are taken within a kernel, see ``namespace.py``.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field

from ipysession.demo import namespace


@dataclass(frozen=True)
class Fingerprints:
    """A digest of everything that a resume has to bring back."""

    variables: dict[str, str]
    """A digest of each of the user's variables."""
    inputs: dict[str, str]
    """The same for ``In``, by number."""
    results: dict[str, str]
    """The same for ``Out``, by number."""
    state: dict[str, str] = field(default_factory=dict)
    """Random states and the working directory."""
    next_number: int = 1
    """The number that the next cell gets."""

    def differences(self, later: Fingerprints) -> list[str]:
        """What ``later`` lacks or holds differently, in words. It may hold more."""
        found = []
        for title, mine, theirs in [
            ("variable {}", self.variables, later.variables),
            ("In[{}]", self.inputs, later.inputs),
            ("Out[{}]", self.results, later.results),
            ("{}", self.state, later.state),
        ]:
            for name, digest in mine.items():
                if name not in theirs:
                    found.append(f"{title.format(name)} is missing")
                elif theirs[name] != digest:
                    found.append(f"{title.format(name)} is not what it was before the kill")
        if later.next_number < self.next_number:
            found.append(
                f"the next cell would get the number {later.next_number} again, "
                f"after {self.next_number - 1} was used"
            )
        return found


def expression() -> str:
    """One Python expression that gives the `Fingerprints` of the globals of its evaluator."""
    source = inspect.getsource(namespace)
    scratch = {"__name__": namespace.__name__}
    return f"(lambda m: exec({source!r}, m) or m['read_namespace'](globals()))({scratch!r})"
