"""Clean export: a recorded session as a notebook that re-runs, with or without proof.

`select` decides which steps stay, `notebook` builds the notebook with its recorded outputs,
`verify` runs it again and compares, `render`, `bundle`, `prov` and `crate` make other formats of
it, `write` makes the file. Nothing here needs a kernel, except verification.
"""

from ipysession.export.formats import FORMATS
from ipysession.export.notebook import build_notebook
from ipysession.export.options import ExportOptions
from ipysession.export.select import Dropped, Selection, select_steps
from ipysession.export.verify import Verification, verify_notebook
from ipysession.export.write import ExportResult, export_session, write_file

__all__ = [
    "FORMATS",
    "Dropped",
    "ExportOptions",
    "ExportResult",
    "Selection",
    "Verification",
    "build_notebook",
    "export_session",
    "select_steps",
    "verify_notebook",
    "write_file",
]
