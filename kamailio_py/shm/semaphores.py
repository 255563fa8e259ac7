"""Semaphores shared with the processes that will be forked; what locks and queues wait in.

CPython calls posix_ipc. PyPy reaches extensions like it through a layer that costs several times what the system's
functions do, so there those two that are called for every lock go through its cffi, on the same semaphore.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import posix_ipc


def semaphore(value: int) -> Any:
    """A semaphore without a name that behaves as posix_ipc's, made before forking."""
    number = 0
    while True:
        name = f"/kamailio_py.{os.getpid()}.{number}"
        try:
            made = posix_ipc.Semaphore(name, posix_ipc.O_CREX, mode=0o600, initial_value=value)
        except posix_ipc.ExistentialError:
            number += 1
            continue
        shared = made if sys.implementation.name != "pypy" else Direct(made, name)
        made.unlink()
        return shared


class Direct:
    """A semaphore of posix_ipc, and the functions of the C library that take it and give it back."""

    __slots__ = ("_made", "_opened", "acquire", "release")

    def __init__(self, made: posix_ipc.Semaphore, name: str) -> None:
        from kamailio_py.libc import libc

        self._made = made
        # a name opened twice in one process is one address, which counts how often it was opened
        self._opened = opened = libc.sem_open(name.encode(), 0)
        sem_wait, sem_post, take = libc.sem_wait, libc.sem_post, made.acquire
        interrupted = posix_ipc.SignalError

        def acquire(timeout: float | None = None) -> None:
            """posix_ipc.SignalError if a signal came meanwhile, posix_ipc.BusyError if the time passed."""
            if timeout is not None:
                take(timeout)
            elif sem_wait(opened):
                raise interrupted("The wait was interrupted by a signal")

        def release() -> None:
            sem_post(opened)

        self.acquire = acquire
        self.release = release

    @property
    def value(self) -> int:
        return self._made.value

    def close(self) -> None:
        from kamailio_py.libc import libc

        libc.sem_close(self._opened)
        self._made.close()
