"""The settings that kernels, server and shell share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipysession.errors import InvalidRequest
from ipysession.preferences import OfferResume, load_preferences, save_preferences
from ipysession.report import Report, Table
from ipysession.sessions.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

_ON_OFF = {"on": True, "off": False}


class SettlingVerbs(Finding):
    """The verb that tells and changes the settings."""

    def settings(self, changes: Sequence[str] = ()) -> Report:
        """The settings. ``changes`` are words such as ``offer-resume=never``."""
        for change in changes:
            name, _, value = change.partition("=")
            if name == "offer-resume" and value in list(OfferResume):
                self.change_settings(offer_resume=OfferResume(value))
            elif name == "auto-load" and value in _ON_OFF:
                self.change_settings(auto_load=_ON_OFF[value])
            else:
                message = (
                    f"{change!r} is no setting; there are offer-resume={'|'.join(OfferResume)} "
                    "and auto-load=on|off"
                )
                raise InvalidRequest(message)
        data = self.current_settings()
        rows = (
            ("offer-resume", data["offer_resume"], "where a notebook has a session to resume"),
            ("auto-load", "on" if data["auto_load"] else "off", "record in every new kernel"),
        )
        said = "changed" if changes else "change one with: settings NAME=VALUE"
        return Report(data, f"Settings, {said}", (Table(("Setting", "Value", "For"), rows),))

    def current_settings(self) -> dict[str, Any]:
        """The settings as JSON data."""
        from ipysession.startup import startup_file  # knows IPython

        return {
            "offer_resume": str(load_preferences().offer_resume),
            "auto_load": startup_file().exists(),
        }

    def change_settings(
        self, *, offer_resume: OfferResume | None = None, auto_load: bool | None = None
    ) -> None:
        """Change what is given. Raises StoreUnusable."""
        from ipysession import startup

        if offer_resume is not None:
            changed = load_preferences().model_copy(update={"offer_resume": offer_resume})
            save_preferences(changed)
        if auto_load is not None:
            (startup.enable if auto_load else startup.disable)()
