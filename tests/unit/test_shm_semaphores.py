"""Semaphores as PyPy uses them behave as those of posix_ipc, which CPython uses: what one takes the other has."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from kit.memory import wait

pytest.importorskip("cffi")  # part of PyPy; here it comes with the tests' own packages
import posix_ipc

from kamailio_py.shm.semaphores import semaphore
from kamailio_py.shm.semaphores_pypy import Direct


@pytest.fixture
def made() -> Iterator[Direct]:
    name = f"/kamailio_py.test.{os.getpid()}"
    plain = posix_ipc.Semaphore(name, posix_ipc.O_CREX, mode=0o600, initial_value=1)
    direct = Direct(plain, name)
    plain.unlink()
    yield direct
    direct.close()


def test_both_are_the_same_semaphore(made: Direct) -> None:
    assert made.value == 1
    made.acquire()
    assert made.value == 0
    with pytest.raises(posix_ipc.BusyError):
        made.acquire(0)
    made.release()
    made.release()
    assert made.value == 2
    made.acquire(0)
    assert made.value == 1


def test_processes_share_it(made: Direct) -> None:
    pid = os.fork()
    if not pid:
        made.acquire()
        made.acquire()  # waits for the other process
        os._exit(7)
    made.release()
    assert wait(pid) == 7
    assert made.value == 0


def test_a_signal_ends_the_wait(made: Direct) -> None:
    made.acquire()
    heard = []
    before = signal.signal(signal.SIGALRM, lambda *_: heard.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(posix_ipc.SignalError):
            made.acquire()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert heard == [1]


def test_what_this_python_uses_counts() -> None:
    one: Any = semaphore(3)
    assert one.value == 3
    one.release()
    assert one.value == 4
    one.close()
