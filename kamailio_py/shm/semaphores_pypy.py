"""Semaphores as PyPy uses them: it reaches posix_ipc, as all extensions, through a layer that costs several times what
the system's functions do, so the two that are called for every lock are called in the C library, on the same semaphore.
"""

from __future__ import annotations

from typing import Any

import posix_ipc

from kamailio_py.libc import sem_close, sem_open, sem_post, sem_wait


class Direct:
    """A semaphore of posix_ipc; it must have its name still."""

    __slots__ = ("_made", "_opened", "acquire", "release")

    def __init__(self, made: posix_ipc.Semaphore, name: str) -> None:
        self._made = made
        # a name opened twice in one process is one address, which counts how often it was opened
        self._opened: Any = sem_open(name.encode(), 0)
        opened, take, interrupted = self._opened, made.acquire, posix_ipc.SignalError

        def acquire(timeout: float | None = None) -> None:
            """SignalError if a signal came meanwhile, BusyError if the time passed."""
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
        sem_close(self._opened)
        self._made.close()
