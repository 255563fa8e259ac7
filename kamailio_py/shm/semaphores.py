"""Semaphores shared with the processes that will be forked: what locks and queues wait in.

`take(handle)` and `give(handle)` are what the hot path calls, on a semaphore's `handle`: functions of this module, so
that PyPy's compiler knows them where they are called, instead of methods of each of a thousand semaphores. To take says
something true, or raises SignalError, if a signal came meanwhile and nothing was taken.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import posix_ipc

if sys.implementation.name == "pypy":
    from kamailio_py.shm.semaphores_pypy import closed, give, opened, take
else:
    take, give = posix_ipc.Semaphore.acquire, posix_ipc.Semaphore.release

    def opened(made: posix_ipc.Semaphore, name: str) -> Any:
        """The handle of a semaphore that has its name still: the semaphore itself."""
        return made

    def closed(handle: Any) -> None:
        """There is nothing else to close than the semaphore."""


class Semaphore:
    """A semaphore without a name, made before forking."""

    __slots__ = ("_made", "handle")

    def __init__(self, value: int) -> None:
        number = 0
        while True:
            name = f"/kamailio_py.{os.getpid()}.{number}"
            try:
                self._made = posix_ipc.Semaphore(name, posix_ipc.O_CREX, mode=0o600, initial_value=value)
                break
            except posix_ipc.ExistentialError:
                number += 1
        try:
            self.handle = opened(self._made, name)
        finally:
            self._made.unlink()

    def take_within(self, seconds: float) -> None:
        """BusyError if the time passed, SignalError if a signal came meanwhile."""
        self._made.acquire(seconds)

    @property
    def value(self) -> int:
        """How often it can be taken now."""
        return self._made.value

    def close(self) -> None:
        self._made.close()
        closed(self.handle)
