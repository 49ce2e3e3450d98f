"""From a saved group in the log back to values: the only way in, so that what is verified before
anything is unpickled is verified in one place. Imports no IPython.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from ipysession.checkpoint import pickling
from ipysession.errors import SessionError

if TYPE_CHECKING:
    from types import CodeType

    from ipysession.log import Blobs
    from ipysession.model.payloads import SavedGroup


def load_group(
    group: SavedGroup,
    blobs: Blobs,
    namespace: dict[str, Any],
    *,
    codes: list[CodeType] | None = None,
) -> dict[str, Any]:
    """The values of ``group`` by name; functions of the notebook get ``namespace`` as globals,
    and their code is added to ``codes``: it tells which names they will ask for. Safe in any
    thread, as far as the values' own code is.

    Unpickling runs code: the caller has verified the record that ``group`` stands in. Blobs are
    checked against their names here. Raises SessionError where the data is gone or damaged, and
    whatever the values' own code raises.
    """
    if group.inline is not None:
        data = base64.b64decode(group.inline)
    elif group.blob is not None:
        data = blobs.get(group.blob)
    else:
        message = "its record names no data"
        raise SessionError(message)
    return pickling.loads(data, namespace, codes)
