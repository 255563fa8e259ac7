"""A whole server in the test's own process: no sockets, no forks, a clock that jumps.

    with Local('''loadmodule "sl" ... request_route { sl_send_reply("200", "OK"); }''') as server:
        [reply] = server.inject(OPTIONS)
        server.advance(4.0)

Messages handed to the transport are in `sent`, as (text, Destination). Timers and queued tasks run when time is
advanced or `settle()` is called, in the order in which the processes of a server would find them.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
from pathlib import Path
from typing import Any

from kamailio_py import log
from kamailio_py.clock import VirtualClock
from kamailio_py.engine.boot import boot
from kamailio_py.engine.core import Core
from kamailio_py.engine.engine import Engine
from kamailio_py.module import Rank
from kamailio_py.options import Options
from kamailio_py.shm.memory import SharedMemory
from kamailio_py.shm.queue import Queue
from kamailio_py.sip.endpoint import Destination, ListenSocket

_numbers = itertools.count()
MEGABYTE = 1 << 20


class Local:
    """See the head of the file."""

    def __init__(self, cfg: str, tmp_path: Path | None = None, *, shm: int = 16 * MEGABYTE, **options: Any) -> None:
        self.path = (tmp_path or Path("/tmp")) / f"local-{os.getpid()}-{next(_numbers)}.cfg"
        self.path.write_text(cfg if "listen" in cfg else f"listen=udp:127.0.0.1:5060\n{cfg}")
        self.clock = VirtualClock()
        self.core = core = Core(self.clock, random.Random(1))
        self.sent: list[tuple[str, Destination]] = []
        core.instance = self.path.stem
        core.sender = self._send
        log.settings.index = 0
        try:
            self.config = boot(core, str(self.path), Options(config=str(self.path), **options))
            core.shm = SharedMemory.create(core.instance, shm, processes=32)
            core.tasks.create()
            core.mod_init()
            self.engine = core.engine = Engine(core)
            core.addresses.own = self.socket
            core.child_init(Rank.INIT)
            core.child_init(1)
        except BaseException:
            self.close()
            raise
        self._due = {id(timer): self.clock.ms() + timer.seconds * 1000 for timer in core.timers}

    def _send(self, data: bytes, destination: Destination) -> bool:
        self.sent.append((data.decode("latin-1"), destination))
        return True

    # what a network and a scheduler do

    @property
    def socket(self) -> ListenSocket:
        return self.core.sockets[0]

    def inject(self, text: str, host: str = "127.0.0.1", port: int = 40000) -> list[str]:
        """Receive a message, let queued tasks run, and give the texts that were sent because of it."""
        before = len(self.sent)
        self.receive(text, host, port)
        self.settle()
        return [sent for sent, _ in self.sent[before:]]

    def receive(self, text: str, host: str = "127.0.0.1", port: int = 40000) -> None:
        """Receive a message, and nothing else."""
        if "\r\n" not in text:
            text = text.strip("\n").replace("\n", "\r\n") + "\r\n\r\n"
        self.engine.receive(text, host, port, self.socket)

    def settle(self) -> None:
        """Run tasks until every queue is empty."""
        queues = self.core.shm.queues
        while any(queue.depth for queue in queues.values()):
            for spec in [*self.core.tasks.processes(), *self.core.processes]:
                self._drain(spec.run)

    @staticmethod
    def _drain(run: Any) -> None:
        """Let a worker's loop run until it would wait."""
        waiting = Queue.get
        Queue.get = _get  # type: ignore[method-assign]
        try:
            run(_Process())
        except _WouldWait:
            pass
        finally:
            Queue.get = waiting  # type: ignore[method-assign]

    def advance(self, seconds: float, step: float = 0.005) -> list[str]:
        """Let time pass; what was sent meanwhile."""
        before = len(self.sent)
        end = self.clock.ms() + round(seconds * 1000)
        while self.clock.ms() < end:
            self.clock.advance(min(step, (end - self.clock.ms()) / 1000))
            self.core.shm.wheel.run(self.clock.ms())
            for timer in self.core.timers:
                if self.clock.ms() >= self._due[id(timer)]:
                    self._due[id(timer)] += timer.seconds * 1000
                    timer.callback()
            self.settle()
        return [sent for sent, _ in self.sent[before:]]

    def close(self) -> None:
        self.path.unlink(missing_ok=True)
        if self.core.shm is not None:
            self.core.shm.close()
            self.core.shm.unlink()

    def __enter__(self) -> Local:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _WouldWait(BaseException):
    """A worker has nothing left to do."""


_waiting_get = Queue.get


def _get(queue: Queue, timeout: float | None = None) -> tuple[int, int, int, int] | None:
    """Queue.get for a worker that must not wait."""
    if not queue.depth:
        raise _WouldWait
    return _waiting_get(queue, timeout)


class _Process:
    """Stands for the process of a worker, or of a timer."""

    stopping = False
    idle = contextlib.nullcontext()

    @staticmethod
    def every(seconds: float) -> bool:
        raise _WouldWait
