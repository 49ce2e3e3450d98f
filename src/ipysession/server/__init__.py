"""The Jupyter server's face: routes under ``/ipysession/api/``, described in docs/server.md.

`handlers` holds the routes, `kernels` joins sessions to the kernels and notebooks of this
server, `problems` says errors. What a verb does is not decided here but in
`ipysession.sessions`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp


def _load_jupyter_server_extension(serverapp: ServerApp) -> None:
    """Called by the Jupyter server when it starts, once for each server."""
    from ipysession.server.handlers import routes
    from ipysession.server.kernels import Kernels
    from ipysession.sessions import Sessions
    from ipysession.settings import SessionStore

    sessions = Sessions(SessionStore(parent=serverapp).open())
    handlers = routes(serverapp.base_url, sessions, Kernels(serverapp))
    serverapp.web_app.add_handlers(".*$", handlers)  # type: ignore[no-untyped-call]
    serverapp.log.info("ipysession serves the sessions in %s", sessions.store.path)
