"""The fixtures of the tests of the verbs."""

from recordings import new_recording, recording

__all__ = ["new_recording", "recording"]
