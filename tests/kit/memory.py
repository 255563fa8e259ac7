"""Shared memory for tests, and processes that use it, which may be killed at any step.

`killed_at(memory, slot, step, action)` forks an actor and kills it as if by kill -9 before the `step`-th bytecode that
it executes inside the shared-memory room, so that a test can go through all moments at which a process may die.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kamailio_py.shm.memory import SharedMemory

_numbers = itertools.count()
_ROOM = f"{os.sep}kamailio_py{os.sep}shm{os.sep}"


@contextmanager
def segment(size: int = 8 << 20, processes: int = 16) -> Iterator[SharedMemory]:
    """A segment of its own, gone afterwards."""
    made = SharedMemory.create(f"test.{os.getpid()}.{next(_numbers)}", size, processes=processes)
    try:
        yield made
    finally:
        made.unlink()
        made.close()


def fork(memory: SharedMemory, slot: int, action: Callable[[], Any]) -> int:
    """Run `action` in a process with this slot; its pid. It exits with 0, or with 1 and a traceback."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        memory.processes.slot = slot
        memory.processes.enter(slot, f"actor {slot}", 0)
        action()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def wait(pid: int) -> int:
    """The exit code of a child, negative if a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def all_of(memory: SharedMemory, actions: list[Callable[[], Any]]) -> None:
    """Run actions at the same time, in slots 1, 2, ...; all must succeed."""
    pids = [fork(memory, slot, action) for slot, action in enumerate(actions, 1)]
    assert [wait(pid) for pid in pids] == [0] * len(pids)


def killed_at(memory: SharedMemory, slot: int, step: int, action: Callable[[], Any], also: str = "") -> bool:
    """Whether the actor came to that step, and died there; steps in files with `also` in their path count, too."""

    def count_down() -> None:
        left = step

        def local(frame: Any, event: str, _: Any) -> Any:
            nonlocal left
            if event == "opcode":
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return local

        def trace(frame: Any, event: str, _: Any) -> Any:
            path = frame.f_code.co_filename
            if _ROOM not in path and not (also and also in path):
                return None
            frame.f_trace_opcodes = True
            return local

        sys.settrace(trace)
        action()

    code = wait(fork(memory, slot, count_down))
    assert code in (0, -signal.SIGKILL)
    return code != 0
