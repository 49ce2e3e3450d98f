"""What a cell reads and writes, from its code and from the namespace.

First version: names only. The graph, slices by effect and staleness build on it.
"""

from ipysession.lineage.identity import identity
from ipysession.lineage.names import CellNames, cell_names, is_internal, is_output
from ipysession.lineage.reach import reachable_names

__all__ = ["CellNames", "cell_names", "identity", "is_internal", "is_output", "reachable_names"]
