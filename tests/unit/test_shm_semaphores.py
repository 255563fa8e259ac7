"""Semaphores as PyPy uses them behave as those of posix_ipc, which CPython uses: what one takes the other has."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import posix_ipc
import pytest
from kit.memory import wait

pytest.importorskip("cffi")  # part of PyPy; here it comes with the tests' own packages

from kamailio_py.shm import semaphores, semaphores_pypy
from kamailio_py.shm.semaphores import Semaphore
from kamailio_py.shm.semaphores_pypy import give, take


@pytest.fixture
def direct(monkeypatch: pytest.MonkeyPatch) -> Iterator[Semaphore]:
    """One made by posix_ipc that is taken and given in the C library."""
    monkeypatch.setattr(semaphores, "opened", semaphores_pypy.opened)
    monkeypatch.setattr(semaphores, "closed", semaphores_pypy.closed)
    semaphore = Semaphore(1)
    yield semaphore
    semaphore.close()


def test_it_is_the_same_semaphore(direct: Semaphore) -> None:
    assert direct.value == 1
    assert not take(direct.handle)
    assert direct.value == 0
    with pytest.raises(posix_ipc.BusyError):
        direct.take_within(0)
    give(direct.handle)
    give(direct.handle)
    assert direct.value == 2
    direct.take_within(0)
    assert direct.value == 1


def test_processes_share_it(direct: Semaphore) -> None:
    pid = os.fork()
    if not pid:
        take(direct.handle)
        take(direct.handle)  # waits for the other process
        os._exit(7)
    give(direct.handle)
    assert wait(pid) == 7
    assert direct.value == 0


def test_a_signal_ends_the_wait(direct: Semaphore) -> None:
    take(direct.handle)
    heard: list[Any] = []
    before = signal.signal(signal.SIGALRM, lambda *_: heard.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert take(direct.handle)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert heard == [1]
    assert direct.value == 0


def test_what_this_python_uses_counts() -> None:
    one = Semaphore(3)
    assert one.value == 3
    semaphores.give(one.handle)
    assert one.value == 4
    assert not semaphores.take(one.handle)
    assert one.value == 3
    one.close()
