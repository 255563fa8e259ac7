"""The measurements: rounds of each kind of work, interleaved between the servers, and suspended transactions by number.

A figure is the median over the rounds of the CPU time all processes of the server used, divided by the requests
answered (by the calls, for a call). The servers are all up during the run and take turns, so that what else happens on
the machine hits each of them alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from .servers import Server
from .traffic import Lost, Traffic

WORKS: dict[str, tuple[str, Callable[[Traffic, int], None], int]] = {
    "options": ("OPTIONS, sl_send_reply", lambda traffic, count: traffic.requests("OPTIONS", count), 1),
    "message": ("MESSAGE, t_newtran + t_reply", lambda traffic, count: traffic.requests("MESSAGE", count), 1),
    "info": ("INFO, async_task_route, t_reply", lambda traffic, count: traffic.requests("INFO", count), 1),
    "call": ("call relayed with record_route", lambda traffic, count: traffic.calls(count), 4),
}
"""Of each kind of work: its title, how to do it, and into how many requests one of it counts when a round is sized."""

SETTLE = 2.6
"""Seconds after which a finished transaction is gone: wt_timer of the cfg and a tick."""


@dataclass
class Cost:
    """What one kind of work cost on one server."""

    microseconds: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    answered: int = 0
    lost: int = 0

    @property
    def per_request(self) -> float:
        return median(self.microseconds)

    @property
    def rate(self) -> float:
        return median(self.rates)


def one_round(server: Server, traffic: Traffic, work: str, count: int, cost: Cost) -> None:
    """One round of a kind of work; the first few requests, which warm things up, are not counted."""
    _, do, weight = WORKS[work]
    count = max(count // weight, 20)
    do(traffic, min(count, 50))
    answered, lost = traffic.answered, traffic.lost
    cpu, start = server.cpu(), time.perf_counter()
    do(traffic, count)
    # What the server still has to do for the last of them is part of the bill.
    traffic.settle(0.05)
    used, elapsed = server.cpu() - cpu, time.perf_counter() - start - 0.05
    done = traffic.answered - answered
    cost.microseconds.append(used / max(done, 1) * 1e6)
    cost.rates.append(done / elapsed)
    cost.answered += done
    cost.lost += traffic.lost - lost


def rounds(
    servers: dict[str, Server], works: list[str], number: int, count: int, say: Callable[[str], None]
) -> dict[str, dict[str, Cost]]:
    """All rounds: costs by kind of work and kind of server."""
    costs = {work: {kind: Cost() for kind in servers} for work in works}
    traffics = {kind: Traffic(server.port) for kind, server in servers.items()}
    try:
        for turn in range(number):
            say(f"round {turn + 1} of {number}")
            for work in works:
                for kind, server in servers.items():
                    try:
                        one_round(server, traffics[kind], work, count, costs[work][kind])
                    except Lost as error:
                        say(f"{server.name}, {work}: {error}")
    finally:
        for traffic in traffics.values():
            traffic.close()
    return costs


@dataclass
class Suspended:
    """What `count` suspended transactions cost on one server."""

    count: int
    bytes_each: float
    put_aside: float
    put_aside_last: float
    request_at_first: float
    request_at_last: float
    lost: int


FEW = 100


def suspended(server: Server, count: int, sample: int, say: Callable[[str], None]) -> Suspended:
    """Suspend `count` requests at once on a fresh server and see what each takes, and what others cost meanwhile.

    Costs are microseconds of CPU: of putting one aside among the first and among the last, and of an INFO (suspended
    and resumed at once) while a hundred and while all are suspended. Memory is what suspending touched, divided.
    """
    sample = max(min(sample, count // 8), 1)
    traffic = Traffic(server.port)
    try:
        traffic.requests("INFO", min(sample, 500))
        traffic.settle(SETTLE)
        traffic.put_aside(FEW)
        at_first = _cost(server, traffic, lambda: traffic.requests("INFO", sample), sample)
        traffic.settle(SETTLE)
        first = _cost(server, traffic, lambda: traffic.put_aside(sample), sample)
        # Now the memory that finished transactions left is in use again, and the next ones take fresh pages.
        traffic.put_aside(sample)
        before, start = server.shared(), time.monotonic()
        middle = count - FEW - 3 * sample
        traffic.put_aside(middle)
        say(f"{server.name}: {middle} put aside in {time.monotonic() - start:.1f} s")
        last = _cost(server, traffic, lambda: traffic.put_aside(sample), sample)
        bytes_each = (server.shared() - before) / (middle + sample)
        at_last = _cost(server, traffic, lambda: traffic.requests("INFO", sample), sample)
        return Suspended(count, bytes_each, first, last, at_first, at_last, traffic.lost)
    finally:
        traffic.close()


def _cost(server: Server, traffic: Traffic, work: Callable[[], None], count: int) -> float:
    before = server.cpu()
    work()
    traffic.settle(0.05)
    return (server.cpu() - before) / count * 1e6
