"""Semaphores shared with the processes that will be forked: what locks and queues wait in."""

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
        try:
            if sys.implementation.name != "pypy":
                return made
            from kamailio_py.shm.semaphores_pypy import Direct

            return Direct(made, name)
        finally:
            made.unlink()
