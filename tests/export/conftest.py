"""The fixtures of the tests of the export."""

from recordings import new_recording, recording

__all__ = ["new_recording", "recording"]
