"""Semaphores as PyPy takes and gives them: it reaches posix_ipc, as all extensions, through a layer that costs several
times what the system's functions do, so these are called in the C library, on the same semaphore.
"""

from __future__ import annotations

from typing import Any

import posix_ipc

from kamailio_py.libc import sem_close, sem_open, sem_post, sem_wait

take, give, closed = sem_wait, sem_post, sem_close


def opened(made: posix_ipc.Semaphore, name: str) -> Any:
    """The handle of a semaphore that has its name still; opened twice it is one address, which counts how often."""
    return sem_open(name.encode(), 0)
