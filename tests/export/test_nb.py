"""What importing nbformat costs users, and what it must not change for them."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import json, sys
from ipysession.export import nb

told = {"imported at once": "nbformat" in sys.modules}
nb.check(nb.node({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
told["parsers built"] = "rfc3987_syntax" in sys.modules

from jsonschema import FormatChecker

def holds(address, name):
    return FormatChecker([name]).conforms(address, name)

told["addresses"] = [
    holds("http://müller.example/ä", "iri"),
    holds("http://a b", "iri"),
    holds("ä/ö?x", "iri-reference"),
    holds("not one", "iri-reference"),
]
import rfc3987_syntax

told["file"] = rfc3987_syntax.__file__
print(json.dumps(told))
"""


def test_nbformat_is_imported_late_and_without_parsers_that_no_notebook_needs():
    """They take seconds; who asks jsonschema about an address gets the answer as ever."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout)
    assert told.pop("file").endswith("__init__.py")
    assert told == {
        "imported at once": False,
        "parsers built": False,
        "addresses": [True, False, True, False],
    }
