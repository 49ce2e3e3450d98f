"""Takes secrets out of texts and outputs before they are written to the log.

What counts as a secret is decided here; where this is called is the recorder's business.
What is found, what is spared and what is missed is told in docs/security.md. How it stays linear
on hostile text: a rule starts only where its run of characters starts, or reads a bounded stretch.
"""

from ipysession.record.redact.names import DEFAULT_NAMES
from ipysession.record.redact.redactor import Redactor

__all__ = ["DEFAULT_NAMES", "Redactor"]
