"""What a process does at each action while it is traced: a line in the log, and waiting for commands at breakpoints.

A row of shared memory for each process: `set` is its word TRACE, so that switching it on in another process is all
there is to it. Commands come from whoever runs dbg.bp; the process that waits takes them out and leaves an answer. No
lock: each word has one writer at a time, and an answer that comes too late is not waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kamailio_py.config.host import RouteType
from kamailio_py.log import get_logger
from kamailio_py.shm.records import Record, text, u32

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.script.context import Context

log = get_logger("debugger")

TRACED, STOPS = 1, 2
"""Bits of `set`."""
FREE, WAITS, STEPS = 0, 1, 2
"""Values of `state`."""
NOTHING, NEXT, MOVE, SHOW, EVAL, LOG = 0, 3, 4, 5, 6, 7
"""Values of `command`, as dbg.ls shows them."""
SIZE = 512
TICK = 0.002
ROUTES = {
    RouteType.REQUEST: "request_route", RouteType.FAILURE: "failure_route", RouteType.TM_ONREPLY: "onreply_route",
    RouteType.CORE_ONREPLY: "onreply_route", RouteType.BRANCH: "branch_route", RouteType.ONSEND: "onsend_route",
    RouteType.ERROR: "error_route", RouteType.LOCAL: "local_route", RouteType.BRANCH_FAILURE: "branch_failure_route",
    RouteType.EVENT: "event_route",
}  # fmt: skip


class Traced(Record):
    """One process."""

    set = u32("1: its actions are logged, 2: it stops at each")
    state = u32("0: runs, 1: waits at an action, 2: goes to the next one")
    pid = u32("who gave the command")
    command = u32("what it is to do: 0 nothing, 3 next, 4 move, 5 show, 6 eval, 7 log")
    first = u32("number of the last message before $mi began at 1 again")
    reset = u32("1: $mi is to begin at 1 again")
    answered = u32("1: there is an answer")
    argument = text(SIZE, "of the command")
    answer = text(SIZE, "what the process said")


class Stepper:
    """See the head of the file; `write` logs what is traced."""

    def __init__(self, core: Core, write: Callable[[str], None], lines: bool, tick: int, ticks: int) -> None:
        self.core = core
        self.write = write
        self.with_path = lines
        self.patience = tick * ticks / 1e6
        shm = core.shm
        self.shm = shm
        self._rows = shm.reserve("debugger", "records", shm.processes.count * Traced.SIZE, Traced)
        self._words = shm.u32

    def row(self, slot: int) -> int:
        return self._rows + slot * Traced.SIZE

    def get(self, slot: int, field: int) -> int:
        return self._words[(self.row(slot) + field) >> 2]

    def put(self, slot: int, field: int, value: int) -> None:
        self._words[(self.row(slot) + field) >> 2] = value

    def follow(self) -> None:
        """Have the script of this process look at its row."""
        at = (self.row(self.shm.processes.slot) + Traced.set) >> 2
        self.core.program.namespace["TRACE"] = self._words[at : at + 1]
        self.core.program.namespace["trace"] = self.trace

    # in the traced process

    def trace(self, ctx: Context, action: tuple[Any, ...]) -> None:
        path, line, number, name, route = action
        slot = self.shm.processes.slot
        wanted = self.get(slot, Traced.set)
        if wanted & TRACED:
            where = f" c=[{path}]" if self.with_path else ""
            kind = ROUTES.get(ctx.route_type, "unknown_route")
            self.write(f"dbg_cfg_trace(): {kind}=[{route}]{where} l={line} a={number} n={name}")
        if wanted & STOPS:
            self._stop(ctx, slot, f"[{path}:{line}] a={number} n={name}", path, line)

    def _stop(self, ctx: Context, slot: int, place: str, path: str, line: int) -> None:
        """Wait for commands, for as long as the parameters say; then go on as if there were no breakpoints."""
        if self.get(slot, Traced.state) == FREE:
            log.err(f"breakpoint hit: p=[{self.core.shm.processes.row(slot).pid}] c=[{path}] l={line}")
        self.put(slot, Traced.state, WAITS)
        until = time.monotonic() + self.patience
        while self.get(slot, Traced.set) & STOPS and time.monotonic() < until:
            command = self.get(slot, Traced.command)
            if command == NOTHING:
                time.sleep(TICK)
                continue
            self.put(slot, Traced.command, NOTHING)
            if command == SHOW:
                self._answer(slot, f"at bkp {place}")
            elif command in (EVAL, LOG):
                self._evaluate(ctx, slot, command)
            else:
                self.put(slot, Traced.state, STEPS if command == NEXT else FREE)
                if command == NEXT:
                    self._answer(slot, f"exec {place}")
                    return
                self._answer(slot, "")
                break
        self.put(slot, Traced.state, FREE)
        self.put(slot, Traced.set, self.get(slot, Traced.set) & ~STOPS)

    def _evaluate(self, ctx: Context, slot: int, command: int) -> None:
        written = self._text(slot, Traced.argument)
        try:
            value = self.core.registry.pvar(written, True).get(ctx)
        except ValueError as error:
            self._answer(slot, f"{written}: {error}")
            return
        kind = "null" if value is None else "int" if isinstance(value, int) else "str"
        said = f"{written} : t={kind} v={'' if value is None else value}"
        if command == LOG:
            log.err(f"breakpoint eval: {said}")
        self._answer(slot, said)

    # in the process that asks

    def ask(self, slot: int, command: int, argument: str = "") -> str:
        """Give a process a command; what it answers, "" if it does not wait at a breakpoint."""
        self._put_text(slot, Traced.argument, argument)
        self.put(slot, Traced.answered, 0)
        self.put(slot, Traced.pid, self.core.shm.processes.row(self.core.shm.processes.slot).pid)
        if self.get(slot, Traced.state) == FREE:
            return ""
        self.put(slot, Traced.command, command)
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            if self.get(slot, Traced.answered):
                return self._text(slot, Traced.answer)
            time.sleep(TICK)
        return ""

    def _answer(self, slot: int, said: str) -> None:
        self._put_text(slot, Traced.answer, said)
        self.put(slot, Traced.answered, 1)

    def _text(self, slot: int, field: int) -> str:
        at = self.row(slot) + field
        return bytes(self.shm.memory[at : at + SIZE]).partition(b"\0")[0].decode("latin-1")

    def _put_text(self, slot: int, field: int, said: str) -> None:
        at = self.row(slot) + field
        self.shm.memory[at : at + SIZE] = said.encode("latin-1", "replace")[: SIZE - 1].ljust(SIZE, b"\0")
