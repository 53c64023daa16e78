"""Fixtures of the flow tests: one stock of keys and one running lab for the whole session."""

from __future__ import annotations

import pytest
from forge.keys import KeyPool


@pytest.fixture(scope="session")
def key_pool() -> KeyPool:
    return KeyPool()
