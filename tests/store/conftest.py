"""A store for each test, where a user's own would be."""

from __future__ import annotations

import pytest

from ipysession.store import Store


@pytest.fixture
def store() -> Store:
    """The store that kernel, server and shell agree about; nothing of it exists yet."""
    return Store()
