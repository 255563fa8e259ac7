"""One child process: its identity, its signals, and how it is told to stop.

Signal handlers only take note. A process that waits is woken by an exception raised out of its wait; one that works
finishes what it has in hand first, so no lock is ever held when it ends.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from types import FrameType
from typing import TYPE_CHECKING

from kamailio_py import log
from kamailio_py.process.arrivals import Arrivals
from kamailio_py.process.exits import Exit
from kamailio_py.process.interpreter import settle
from kamailio_py.shm.errors import Orphaned

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.engine.plan import ProcessSpec

logger = log.get_logger()

PR_SET_PDEATHSIG = 1


class Shutdown(BaseException):
    """Raised out of a wait when the process is to stop."""


class _Idle:
    """`with process.idle:` around a blocking wait, the only place where a signal may interrupt.

    What cfg.set* changed meanwhile is taken over before the process goes on.
    """

    __slots__ = ("process",)

    def __init__(self, process: Process) -> None:
        self.process = process

    def __enter__(self) -> None:
        self.process.waiting = True
        if self.process.stopping:
            raise Shutdown

    def __exit__(self, *error: object) -> None:
        self.process.waiting = False
        self.process.core.variables.look()


class Process:
    """What a process's loop gets: `stopping`, `idle`, and its place in the process table."""

    def __init__(self, core: Core, index: int, spec: ProcessSpec) -> None:
        self.core = core
        self.index = index
        self.spec = spec
        self.stopping = False
        self.waiting = False
        self.idle = _Idle(self)

    def main(self, ready: int) -> Exit:
        """The child's whole life after forking; writes one byte to `ready` when it is initialised."""
        self._signals()
        log.settings.index = self.index
        core = self.core
        core.random.seed()
        core.shm.processes.slot = self.index
        core.shm.processes.enter(self.spec.rank, self.spec.description, core.clock.ms())
        core.show_place()
        core.shm.give_back(self.index)
        settle()
        try:
            core.child_init(self.spec.rank)
            if self.spec.rank == 1:
                ctx = core.run_event("core:worker-one-init")
                if ctx is not None and ctx.dropped:
                    logger.err("worker-one-init event route dropped")
                    return Exit.CHILD_INIT
        except Exception as error:
            logger.crit(f"child_init failed in {self.spec.description}: {error}")
            return Exit.CHILD_INIT
        os.write(ready, b"+")
        os.close(ready)
        try:
            self.spec.run(self)
        except (Shutdown, Orphaned):
            pass
        except Exception as error:
            logger.crit(f"{self.spec.description} ends: {type(error).__name__}: {error}")
            self._traceback(error)
            return Exit.CRASHED
        return Exit.OK

    def every(self, seconds: float) -> bool:
        """Sleep until the next multiple of `seconds`; False when the process is to stop."""
        now = time.monotonic()
        with self.idle:
            time.sleep(seconds - now % seconds)
        return not self.stopping

    @staticmethod
    def _traceback(error: Exception) -> None:
        import traceback

        for line in "".join(traceback.format_exception(error)).splitlines():
            logger.crit(line)

    def _signals(self) -> None:
        Arrivals.leave()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        for number in (signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGUSR1, self._note)
        signal.signal(signal.SIGUSR2, self._note)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if not self.stopping:
            logger.info(f"signal {number} received")
        self.stopping = True
        if self.waiting:
            raise Shutdown

    @staticmethod
    def _note(number: int, frame: FrameType | None) -> None:
        logger.info(f"signal {number} received")
