"""The main process: makes shared memory, initialises the modules, forks everybody and looks after them.

After forking it keeps its hands off shared memory: it takes no lock, so a child that died holding one can never
hang it. What it does for a dead child, such as freeing its lock, only ever writes words that child owned.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import time
from functools import partial

from kamailio_py import log
from kamailio_py.engine.core import Core
from kamailio_py.engine.engine import Engine
from kamailio_py.engine.plan import ProcessSpec
from kamailio_py.module import ModuleError, Rank
from kamailio_py.options import Options
from kamailio_py.process import timers
from kamailio_py.process.arrivals import Arrivals
from kamailio_py.process.exits import describe
from kamailio_py.process.interpreter import freeze
from kamailio_py.process.process import Process
from kamailio_py.process.realtime import ALL, lock_pages, take_priority
from kamailio_py.shm import instances
from kamailio_py.shm.errors import SharedMemoryError
from kamailio_py.shm.memory import SharedMemory
from kamailio_py.transport.tcp import Tcp
from kamailio_py.transport.udp import BindError, Udp

logger = log.get_logger()

MEGABYTE = 1024 * 1024
MICROSECONDS = 1_000_000
DEFAULT_SHM_MEGABYTES = 64
RESPAWN_PAUSE = 0.2
"""Seconds before a child that died is started again, so that one which dies at once does not eat a processor."""


class StartError(Exception):
    """The server cannot start; the text was logged or says why."""


class Master:
    """Starts, supervises and stops one instance."""

    def __init__(self, core: Core, options: Options) -> None:
        self.core = core
        self.tcp = Tcp(core)
        self.udp = Udp(self.tcp.send)
        self.shm_bytes = (options.shm_megabytes or core.cfg.shm or DEFAULT_SHM_MEGABYTES) * MEGABYTE
        self.respawn = options.respawn
        self.keep_crashed = options.keep_crashed
        self.plan: list[ProcessSpec] = []
        self.pids: dict[int, int] = {}  # pid -> index
        self.exit_code = 0
        self.arrivals = Arrivals()

    # start

    def initialise(self) -> None:
        """Everything before forking: sockets, shared memory, modules, the plan of processes."""
        core = self.core
        if core.tls is None and any(listening.proto == "tls" for listening in core.sockets):
            logger.warn("tls support enabled, but no tls engine  available (forgot to load the tls module?)")
            logger.warn("disabling tls...")
        for listening in core.sockets:
            try:
                if listening.proto == "udp":
                    self.udp.bind(listening, core.cfg)
                elif listening.proto == "tcp" or core.tls is not None:
                    self.tcp.bind(listening)
            except BindError as error:
                logger.err(str(error))
                if listening.family == socket.AF_INET6:
                    logger.err("might be caused by using a link local address, is 'bind_ipv6_link_local' set?")
                raise StartError(str(error)) from None
        core.sender = self.udp.send
        try:
            core.shm = SharedMemory.create(core.instance, self.shm_bytes)
        except (OSError, SharedMemoryError) as error:
            raise StartError(f"could not make {self.shm_bytes} bytes of shared memory: {error}") from None
        try:
            core.tasks.create()
            if not core.cfg.disable_tcp:
                self.tcp.create()
                core.tcp = self.tcp
            core.mod_init()
        except ModuleError as error:
            logger.crit(str(error))
            raise StartError(str(error)) from None
        core.engine = Engine(core)
        self._restarts = core.statistic("core", "restarted_processes")
        core.shm.publish("program", core.program.describe())
        core.child_init(Rank.INIT)
        if core.cfg.mlock_pages:
            lock_pages()
        take_priority(core.cfg, ALL)
        self.plan = self._plan()
        core.shm.processes.used = len(self.plan)
        core.shm.processes.enter(Rank.MAIN, self.plan[0].description, core.clock.ms())

    def _plan(self) -> list[ProcessSpec]:
        """All processes in Kamailio's order; index 0 is this one."""
        core = self.core
        plan = [ProcessSpec("main process - attendant", Rank.MAIN, lambda process: None)]
        rank = 0
        for listening in core.sockets:
            if listening.proto == "udp":
                where = f"{listening.host_text}:{listening.port}"
                if listening.advertise_host:
                    where += f" ({listening.sent_by_host}:{listening.sent_by_port})"
                for child in range(listening.workers or core.cfg.children):
                    rank += 1
                    plan.append(
                        ProcessSpec(
                            f"udp receiver child={child} sock={where}",
                            rank,
                            partial(self.udp.receive_loop, core.engine, listening),
                        )
                    )
        plan += timers.specs(core) + core.tasks.processes() + core.processes
        if core.tcp is None:
            return plan
        for child in range(len(self.tcp.inboxes)):
            receive = partial(self.tcp.receive_loop, child)
            plan.append(ProcessSpec(f"tcp receiver (generic) child={child}", rank + 1 + child, receive))
        return [*plan, ProcessSpec("tcp main process", Rank.TCP_MAIN, self.tcp.accept_loop)]

    def fork_all(self) -> None:
        """Fork every process of the plan and wait until all are initialised."""
        logger.info(f"processes (at least): {len(self.plan)} - shm size: {self.shm_bytes}")
        self.arrivals.listen()
        freeze()
        readers = []
        for index in range(1, len(self.plan)):
            time.sleep(self.core.cfg.fork_delay / MICROSECONDS)
            readers.append(self._fork(index))
            if self.core.cfg.wait_worker1_mode and self.plan[index].rank == 1:
                self._wait_for_first(readers[-1])
        for reader, index in zip(readers, range(1, len(self.plan)), strict=True):
            ready = os.read(reader, 1)
            os.close(reader)
            if ready != b"+":
                logger.crit(f"process {index} ({self.plan[index].description}) failed to start")
                self.exit_code = 255
                self.stop()
                raise StartError("a process failed to start")
        self.core.child_init(Rank.MAIN)
        self.core.shm.all_forked()
        gc.enable()

    def _wait_for_first(self, reader: int) -> None:
        """Let the first worker be ready before others are forked; StartError where it takes too long."""
        patience = self.core.cfg.wait_worker1_time
        if not select.select([reader], [], [], patience / MICROSECONDS)[0]:
            logger.err(f"waiting for child one too long - wait time: {patience}")
            self.exit_code = 255
            self.stop()
            raise StartError("the first worker failed to start")

    def _fork(self, index: int) -> int:
        """Fork process `index`; gives the descriptor on which it says that it is ready."""
        reader, writer = os.pipe()
        with self.arrivals.blocked():
            pid = os.fork()
            if pid == 0:
                os.close(reader)
                code = Process(self.core, index, self.plan[index]).main(writer)
                os._exit(code)
        os.close(writer)
        self.pids[pid] = index
        return reader

    # supervise

    def supervise(self) -> int:
        """Wait for signals until told to stop; the exit code of the server."""
        processes = self.core.shm.processes
        while True:
            number = self.arrivals.wait(1.0)
            processes.beat(self.core.clock.ms())
            if number in (signal.SIGTERM, signal.SIGINT):
                logger.notice("Thank you for flying kamailio!!!")
                self.stop()
                return self.exit_code
            if number == signal.SIGCHLD:
                if not self._children_died():
                    self.stop()
                    return self.exit_code
            elif number == signal.SIGUSR2:
                logger.crit(f"unhandled signal {number}")

    def _children_died(self) -> bool:
        """Reap what ended; False when the instance is to stop because of it."""
        died = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            index = self.pids.pop(pid, None)
            if index is None:
                continue
            logger.alert(describe(pid, status))
            if os.WIFSIGNALED(status):
                logger.alert(f"core was {'' if os.WCOREDUMP(status) else 'not '}generated")
            self.exit_code = 1 if os.WIFSIGNALED(status) else 0
            died.append(index)
        if not died:
            return True
        if not self.respawn:
            logger.info("terminating due to SIGCHLD")
            if self.keep_crashed:
                self._keep_copy()
            return False
        if self.keep_crashed:
            self._keep_copy()
        time.sleep(RESPAWN_PAUSE)
        for index in died:
            self._restart(index)
        self.exit_code = 0
        return True

    def _restart(self, index: int) -> None:
        for name in self.core.shm.release_dead(index):
            logger.alert(f"lock {name} was held by the dead process {index}: freed")
        self.core.count(self._restarts)
        reader = self._fork(index)
        if os.read(reader, 1) == b"+":
            logger.notice(f"process {index} ({self.plan[index].description}) was started again")
        os.close(reader)

    def _keep_copy(self) -> None:
        path = instances.keep(self.core.instance, f"{self.core.instance}.crash.{int(self.core.clock.now())}")
        logger.alert(f"a copy of the shared memory was kept as {path}")

    # stop

    def stop(self) -> None:
        """End all children, let the modules clean up, and leave nothing behind."""
        for pid in self.pids:
            _kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + min(self.core.cfg.exit_timeout or 60, 60)
        while self.pids and time.monotonic() < deadline:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                self.arrivals.wait(0.05)
                continue
            self.pids.pop(pid, None)
        for pid in self.pids:
            _kill(pid, signal.SIGKILL)
        for module in self.core.modules.values():
            module.destroy()
        self.close()

    def close(self) -> None:
        self.udp.close()
        self.tcp.close()
        if self.core.shm is not None:
            self.core.shm.unlink()


def _kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
