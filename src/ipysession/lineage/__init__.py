"""What steps read and write, and the graph of what rests on what.

`graph.Graph` answers what a step needs and what uses it; it is not imported here, because
whoever loads the extension does not need it.
"""

from ipysession.lineage.identity import identity, library_of, module_of
from ipysession.lineage.names import CellNames, cell_names, is_internal, is_output
from ipysession.lineage.reach import reachable_names

__all__ = [
    "CellNames",
    "cell_names",
    "identity",
    "is_internal",
    "is_output",
    "library_of",
    "module_of",
    "reachable_names",
]
