"""The async module: processing of a request goes on later, or in another process.

A sleeping request is a suspended transaction of tm and one record here, with a timer of the wheel in it. When it is due
the timer process puts (index, label, block) on a queue and frees the record; one of the "ASYNC MOD TIMER" processes
takes it out and has tm resume the transaction. async_ms_*() go to the workers of the core instead, as they do in
Kamailio, and async_task_*() are put there at once. What is asked for and cannot be queued is undone: the suspension
is taken back and the function is false, so no transaction waits for what will never come.

No lock of its own: a record belongs to who made it, then to the wheel, then to the timer process.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from kamailio_py.config.arguments import CONTINUATION, INT, ROUTE, STR
from kamailio_py.config.host import RouteType
from kamailio_py.config.nodes import RouteKind
from kamailio_py.engine.core import FAKED_REQUEST
from kamailio_py.log import get_logger
from kamailio_py.module import Module, ModuleError, Param, Rank, function, pvar
from kamailio_py.points import point
from kamailio_py.script.context import Context
from kamailio_py.script.pvars import inline
from kamailio_py.shm.records import Record, embedded, u32, u64
from kamailio_py.shm.trace import What
from kamailio_py.shm.wheel import TimerNode

if TYPE_CHECKING:
    from kamailio_py.config.program import Entry
    from kamailio_py.engine.tasks import TaskGroup
    from kamailio_py.script.pvars import Getter, Inner

log = get_logger("async")

MAX_SECONDS = 100
MAX_MS = 30000
CAPACITY = 65536
"""Due requests waiting for a worker; more of them stay on the wheel."""
RETRY_MS = 20
SUSPENDING = RouteType.REQUEST | RouteType.FAILURE
GROUP_SHIFT = 32


class Sleeper(Record):
    """A sleeping request."""

    timer = embedded(TimerNode, "when it is due")
    index = u32("index of its transaction")
    label = u32("label of its transaction")
    entry = u32("number of the route that will run")


class Due(Record):
    """A request whose turn it is, in a queue."""

    index = u64("index of its transaction")
    label = u64("label of its transaction")
    entry = u32("number of the route that will run")
    group = u32("number of the worker group")


class Data(Record):
    """Data for a route, in a queue."""

    block = u64("where the data is")
    unused = u64("nothing")
    entry = u32("number of the route that will run")
    group = u32("number of the worker group")


_fill = struct.Struct(f"<{TimerNode.SIZE}x3I4x").pack
_read = struct.Struct("<3I").unpack_from


class Async(Module):
    """async_route(), async_sleep(), async_task_route() and their relatives."""

    name = "async"
    requires = ("tm",)

    workers = Param(int, 1)
    ms_timer = Param(int, 0)
    result = Param(int, 0, name="return")

    def mod_init(self) -> None:
        core = self.core
        tm = core.module("tm")
        loaded = list(core.modules)
        if tm is None or loaded.index("tm") > loaded.index("async"):
            raise ModuleError("cannot load the TM-functions. Missing TM module?")
        self._tm = tm.api
        self._trace = core.shm.trace.add
        self._groups = list(core.tasks.groups.values())
        self._check_tasks()
        self._task = core.tasks.kind("async", self._run_task, Due)
        self._data_task = core.tasks.kind("async data", self._run_data, Data)
        self._data_owner = core.shm.arena.owner("async", "data")
        if self.workers <= 0:
            return
        self._owner = core.shm.arena.owner("async", "sleeper", Sleeper)
        self._second_kind = core.shm.wheel.kind("async", self._due)
        self._queue = core.shm.queue("async", CAPACITY, Due)
        core.register_process("ASYNC MOD TIMER", Rank.TIMER, self._work, self.workers)
        if self.ms_timer == 0:
            log.info("ms_timer is set to 0. Disabling async_ms_sleep and async_ms_route functions")
            return
        self._ms_kind = core.shm.wheel.kind("async ms", self._due_ms)
        self._ms_queue = core.shm.queue("async ms", CAPACITY, Due)
        core.register_process("ASYNC MOD MILLI TIMER", Rank.TIMER, self._work_ms)
        log.info(f"Enabled async_ms_sleep and async_ms_route functions with resolution of {self.ms_timer}ms")

    def _check_tasks(self) -> None:
        """Whoever calls async_task_*() needs workers of the core."""
        if self._groups:
            return
        tasks = {Async.task_route, Async.task_group_route, Async.task_data, Async.task_group_data}
        if any(getattr(value, "__func__", None) in tasks for value in self.core.program.namespace.values()):
            raise ModuleError("async task framework was not initialized - set async_workers parameter in core")

    # script functions: later

    @function("async_route", ROUTE, INT, routes=SUSPENDING)
    def route(self, ctx: Context, route: str, seconds: int) -> int:
        """Go on with route[route] after that many seconds."""
        if self.workers <= 0:
            log.err("no async mod timer workers")
            return -1
        entry = self._entry(ctx, route)
        return self._sleep(ctx, seconds, entry.number) if entry is not None else -1

    @function("async_ms_route", ROUTE, INT, routes=SUSPENDING)
    def ms_route(self, ctx: Context, route: str, milliseconds: int) -> int:
        if self.workers <= 0:
            log.err("no async mod timer workers")
            return -1
        entry = self._entry(ctx, route)
        return self._ms_sleep(ctx, milliseconds, entry.number) if entry is not None else -1

    @function("async_sleep", INT, CONTINUATION, routes=SUSPENDING)
    def sleep(self, ctx: Context, seconds: int, following: int) -> int:
        """Go on after that many seconds with what follows in this block of actions."""
        return self._sleep(ctx, seconds, following) if self._may_sleep(ctx, following) else -1

    @function("async_ms_sleep", INT, CONTINUATION, routes=SUSPENDING)
    def ms_sleep(self, ctx: Context, milliseconds: int, following: int) -> int:
        return self._ms_sleep(ctx, milliseconds, following) if self._may_sleep(ctx, following) else -1

    # script functions: elsewhere

    @function("async_task_route", ROUTE, routes=SUSPENDING)
    def task_route(self, ctx: Context, route: str) -> int:
        """Go on with route[route] in a worker of the core, at once."""
        return self._send_task(ctx, route, "")

    @function("async_task_group_route", ROUTE, STR, routes=SUSPENDING)
    def task_group_route(self, ctx: Context, route: str, group: str) -> int:
        return self._send_task(ctx, route, group)

    @function("async_task_data", ROUTE, STR)
    def task_data(self, ctx: Context, route: str, data: str) -> int:
        """Run route[route] in a worker of the core, without this message, with `data` as $async(data)."""
        return self._send_data(route, "", data)

    @function("async_task_group_data", ROUTE, STR, STR)
    def task_group_data(self, ctx: Context, route: str, group: str, data: str) -> int:
        return self._send_data(route, group, data)

    # pseudo-variables

    @pvar("async", type="str")
    def variable(self, inner: Inner) -> Getter:
        """$async(data), $async(gname)."""
        if inner.text == "data":
            return inline("ctx.task_data")
        if inner.text == "gname":
            return inline("ctx.task_group")
        log.err(f"unknown PV async name {inner.text}")
        raise ValueError(f'pvar "async" has an invalid name param [{inner.text}]')

    # suspending

    def _may_sleep(self, ctx: Context, following: int) -> bool:
        if ctx.msg.text is FAKED_REQUEST:
            log.err("invalid usage for faked message")
        elif self.workers <= 0:
            log.err("no async mod timer workers (modparam missing?)")
        elif not following:
            log.err("cannot be executed as last action in a route block")
        else:
            return True
        return False

    def _entry(self, ctx: Context | None, route: str) -> Entry | None:
        """The block of that name; with a context also a look at whether its message can be suspended."""
        if ctx is not None and ctx.msg.text is FAKED_REQUEST:
            log.err("invalid usage for faked message")
            return None
        entry = self.core.program.find(RouteKind.REQUEST, route)
        if entry is None:
            log.err(f"route block not found: {route}")
        return entry

    def _sleep(self, ctx: Context, seconds: int, entry: int) -> int:
        if seconds <= 0:
            log.err(f"negative or zero sleep time ({seconds})")
            return -1
        if seconds >= MAX_SECONDS:
            log.err(f"max sleep time is {MAX_SECONDS} sec ({seconds})")
            return -1
        return self._add(ctx, seconds * 1000, entry, self._second_kind)

    def _ms_sleep(self, ctx: Context, milliseconds: int, entry: int) -> int:
        if self.ms_timer == 0:
            log.err("async timer list not initialized - check modparams")
            return -1
        if milliseconds <= 0:
            log.err(f"negative or zero sleep time ({milliseconds})")
            return -1
        if milliseconds >= MAX_MS:
            log.err(f"max sleep time is {MAX_MS} msec")
            return -1
        return self._add(ctx, milliseconds, entry, self._ms_kind)

    def _add(self, ctx: Context, milliseconds: int, entry: int, kind: int) -> int:
        """Suspend the transaction and let it be resumed with that block when the time has passed."""
        shm = self.core.shm
        sleeper = shm.arena.alloc(Sleeper.SIZE, self._owner)
        if not sleeper:
            log.err("no more shm memory")
            return -1
        ident = self._suspend(ctx)
        if not isinstance(ident, tuple):
            shm.arena.free(sleeper)
            return ident
        shm.memory[sleeper : sleeper + Sleeper.SIZE] = _fill(*ident, entry)
        point("async.sleep.suspended")
        shm.trace.add(What.WAITING, *ident, milliseconds)
        shm.wheel.add(sleeper, self.core.clock.ms() + milliseconds, kind)
        return self.result

    def _suspend(self, ctx: Context) -> tuple[int, int] | int:
        """(index, label) of the transaction, which was made if need be; the function's result where it cannot be."""
        tm = self._tm
        if ctx.t is None:
            made = tm.newtran(ctx)
            if made < 0:
                log.err("cannot create the transaction")
                return -1
            if ctx.t is None:
                if made == 0:
                    return 0  # a retransmission, which tm has dealt with
                log.err("cannot lookup the transaction")
                return -1
        ident = tm.suspend(ctx)
        if isinstance(ident, tuple):
            return ident
        if ident < 0:
            log.err("failed to suspend the processing")
            return -1
        return self.result  # cancelled meanwhile: it is answered and nothing will resume it

    # due

    def _due(self, sleeper: int) -> None:
        """In the timer process: over to a worker, or try again soon if too many wait."""
        self._hand_over(sleeper, self._queue.put, 0, 0, self._second_kind)

    def _due_ms(self, sleeper: int) -> None:
        group = self.core.tasks.group()
        if group is not None:
            self._hand_over(sleeper, group.put, self._task, group.number, self._ms_kind)
        else:
            self._hand_over(sleeper, self._ms_queue.put, 0, 0, self._ms_kind)

    def _hand_over(self, sleeper: int, put: Any, task: int, group: int, kind: int) -> None:
        shm = self.core.shm
        index, label, entry = _read(shm.memory, sleeper + Sleeper.index)
        shm.trace.add(What.QUEUED, index, label)
        if put(task, index, label, entry | group << GROUP_SHIFT):
            shm.arena.free(sleeper)
        else:
            shm.wheel.add(sleeper, self.core.clock.ms() + RETRY_MS, kind)

    def _work(self, process: Any) -> None:
        self._take(process, self._queue)

    def _work_ms(self, process: Any) -> None:
        self._take(process, self._ms_queue)

    def _take(self, process: Any, queue: Any) -> None:
        """A worker's loop: take a due request and resume it."""
        entries, resume, trace = self.core.program.entries, self._tm.resume, self._trace
        processes = self.core.shm.processes
        while not process.stopping:
            with process.idle:
                item = queue.get()
            if item is not None:
                _, index, label, entry = item
                processes.resume()
                trace(What.TAKEN, index, label)
                resume(index, label, entries[entry])
                queue.done()
                processes.finish()

    # tasks of the core's workers

    def _group(self, name: str) -> TaskGroup | None:
        """The worker group of that name, the first one for an empty name."""
        group = self.core.tasks.group(name) if name else next(iter(self._groups), None)
        if group is None:
            log.err(f"group [{name}] not found" if name else "async task pushed, but no async workers")
        return group

    def _send_task(self, ctx: Context, route: str, group_name: str) -> int:
        entry = self._entry(ctx, route)
        group = self._group(group_name)
        if entry is None or group is None:
            return -1
        ident = self._suspend(ctx)
        if not isinstance(ident, tuple):
            return ident
        point("async.task.suspended")
        index, label = ident
        self._trace(What.QUEUED, index, label)
        if group.put(self._task, index, label, entry.number | group.number << GROUP_SHIFT):
            return self.result
        log.err(f"too many tasks wait in group [{group.name}]")
        self._tm.cancel_suspend(ctx, index, label)
        return -1

    def _run_task(self, index: int, label: int, what: int) -> None:
        """In a worker: resume the transaction, with $async(gname)."""
        self._trace(What.TAKEN, index, label)
        name = self._groups[what >> GROUP_SHIFT].name

        def prepare(ctx: Context) -> None:
            ctx.task_group = name

        self._tm.resume(index, label, self.core.program.entries[what & 0xFFFFFFFF], prepare)

    def _send_data(self, route: str, group_name: str, data: str) -> int:
        entry = self._entry(None, route)
        group = self._group(group_name)
        if entry is None or group is None:
            return -1
        arena = self.core.shm.arena
        block = arena.store(data.encode("latin-1"), self._data_owner)
        if not block:
            log.err("no more shm memory")
            return -1
        if group.put(self._data_task, block, 0, entry.number | group.number << GROUP_SHIFT):
            return 1
        log.err(f"too many tasks wait in group [{group.name}]")
        arena.free(block)
        return -1

    def _run_data(self, block: int, _: int, what: int) -> None:
        """In a worker: run the route on a message of our own, with $async(data)."""
        core = self.core
        ctx = core.faked_context()
        ctx.task_data = core.shm.arena.load(block).decode("latin-1")
        ctx.task_group = self._groups[what >> GROUP_SHIFT].name
        core.run(core.program.entries[what & 0xFFFFFFFF], ctx, RouteType.REQUEST)
        core.shm.arena.free(block)
