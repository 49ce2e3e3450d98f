"""What a user settles once for kernels, server and shell alike: a small file beside the key.

`ipysession.settings` has what is configured by traits; those files differ from program to
program, this one does not.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from ipysession.errors import StoreUnusable
from ipysession.log import files
from ipysession.log.key import user_folder

if TYPE_CHECKING:
    from pathlib import Path


class OfferResume(StrEnum):
    """What happens where a notebook has a session that can be resumed."""

    ASK = "ask"
    ALWAYS = "always"
    """It is resumed without asking."""
    NEVER = "never"


class Preferences(BaseModel):
    """The preferences; members that a newer version wrote are kept."""

    model_config = ConfigDict(frozen=True, extra="allow")

    offer_resume: OfferResume = OfferResume.ASK


def preferences_path() -> Path:
    """Where they lie: beside the user's key."""
    return user_folder() / "preferences.json"


def load_preferences() -> Preferences:
    """The user's preferences; the defaults where there are none, or none that can be read."""
    try:
        return Preferences.model_validate_json(preferences_path().read_bytes())
    except (OSError, ValidationError):
        return Preferences()


def save_preferences(preferences: Preferences) -> None:
    """Write them, whole or not at all. Raises StoreUnusable."""
    path = preferences_path()
    text = json.dumps(preferences.model_dump(mode="json"), indent=1) + "\n"
    try:
        files.make_private_folder(path.parent)
        files.replace(path, text.encode("ascii"))
    except OSError as error:
        message = f"the preferences {path} cannot be written: {error.strerror or error}"
        raise StoreUnusable(message) from error
