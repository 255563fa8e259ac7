"""A bell is heard once it was rung, however often, until it is hushed."""

from __future__ import annotations

import select
from collections.abc import Iterator

import pytest

from kamailio_py.shm.bell import Bell


@pytest.fixture
def bell() -> Iterator[Bell]:
    made = Bell()
    yield made
    made.close()


def rings(bell: Bell) -> bool:
    return bool(select.select([bell.fd], [], [], 0)[0])


def test_it_is_heard_until_it_is_hushed(bell: Bell) -> None:
    assert not rings(bell)
    bell.ring()
    bell.ring()
    assert rings(bell)
    bell.hush()
    assert not rings(bell)
    bell.hush()


def test_nobody_waits_for_being_heard(bell: Bell) -> None:
    for _ in range(70_000):  # more than a pipe takes
        bell.ring()
    bell.hush()
    bell.ring()
    assert rings(bell)
