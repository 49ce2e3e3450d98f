"""The Jupyter server's face: routes under ``/ipysession/api/``, described in docs/server.md.

`operations` says what there is and `openapi` describes it; `routes` names the handlers, which
stand in rooms by what they are about; `kernels` joins sessions to the kernels and notebooks of
this server, `running` runs verbs in kernels, `events` tells of changes, `jobs` knows what can be
cancelled, `problems` says errors. What a verb does is decided in `ipysession.sessions`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp


def _load_jupyter_server_extension(serverapp: ServerApp) -> None:
    """Called by the Jupyter server when it starts, once for each server."""
    from ipysession.server.base import Rooms
    from ipysession.server.events import Events
    from ipysession.server.jobs import Jobs
    from ipysession.server.kernels import Kernels
    from ipysession.server.readings import Readings
    from ipysession.server.routes import routes
    from ipysession.server.running import KernelRunner
    from ipysession.sessions import Sessions
    from ipysession.settings import SessionStore

    sessions = Sessions(SessionStore(parent=serverapp).open())
    rooms = Rooms(
        sessions,
        Readings(sessions),
        Kernels(serverapp),
        KernelRunner(serverapp),
        Events(sessions.store),
        Jobs(),
    )
    handlers = routes(serverapp.base_url, rooms)
    serverapp.web_app.add_handlers(".*$", handlers)  # type: ignore[no-untyped-call]
    serverapp.log.info("ipysession serves the sessions in %s", sessions.store.path)
