"""Makes tests/kit importable as `kit`, and the pair of servers that differential tests run on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from kit.room import Pairs


@pytest.fixture(scope="session")
def pairs() -> Iterator[Pairs]:
    servers = Pairs()
    yield servers
    servers.close()
