"""Many transactions suspended at once: what each takes in memory, and what another request costs meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable

from kamailio_py.bench import link, processes
from kamailio_py.bench.exchange import Requests
from kamailio_py.bench.samples import Held, Samples
from kamailio_py.bench.scenario import Scenario
from kamailio_py.bench.servers import Server
from kamailio_py.bench.traffic import PATIENCE, Driver

BURST = 48
"""Requests that are sent to be suspended before the server has to answer one, to see that it has come so far."""

WENT_ON = "the first ones went on already"

TELL = 5000
"""How many more are suspended when it is told."""

PROBES = 1000
SETTLE = 0.5
"""Seconds after which the transactions of the cfgs that ship (wt_timer 300 ms) are gone."""

KILOBYTES_EACH = 16
"""More than either server needs for one; memory nobody writes to costs nothing."""


def counts(scenario: Scenario, most: int | None) -> list[int]:
    """How many are suspended when things are measured: those of the scenario below `most`, and `most`."""
    if scenario.kind != "suspended":
        return []
    if most is None:
        return scenario.counts
    return [*(count for count in scenario.counts if count < most), most]


def megabytes(scenario: Scenario, most: int | None) -> int:
    """Shared memory the server has to have."""
    return max(counts(scenario, most), default=0) * KILOBYTES_EACH // 1024 + 64


def measure(
    server: Server, scenario: Scenario, most: int | None, samples: Samples, tell: Callable[[str], None]
) -> list[Held]:
    """Suspend more and more, and look at the server each time; stops where the server does not come along.

    The cfg holds them for `holds` seconds. That it takes longer than that to suspend so many is no fault, but noted.
    `tell` hears now and then how many there are.
    """
    wire = link.connect(scenario.transport, server.port)
    try:
        name = f"127.0.0.1:{server.port}"
        suspended = scenario.requests(scenario.message, name, wire.local)
        pace = scenario.requests(scenario.pace, name, wire.local)
        probe = Driver(wire, scenario.requests(scenario.probe, name, wire.local), scenario.delay_ms / 1e3)
        probe.closed(10, server.kind.warm_up)
        time.sleep(SETTLE)
        made: list[Held] = []
        have, memory = 0, processes.memory(server.pid)
        begun = time.monotonic()
        for count in counts(scenario, most):
            before = processes.cpu(server.pid)
            if fault := put_aside(wire, suspended, pace, count - have, tell):
                if fault == WENT_ON and 0 < scenario.holds <= time.monotonic() - begun:
                    samples.note(f"{count:,} could not be suspended within {scenario.holds:g} s")
                else:
                    samples.problem(f"{fault} while {count} were being suspended")
                break
            suspending = processes.cpu(server.pid) - before
            # Read before the probes: what they leave behind is used for the next that are suspended.
            now = processes.memory(server.pid)
            added = count - have
            before = processes.cpu(server.pid)
            outcome = probe.count(PROBES, BURST)
            time.sleep(SETTLE)
            probing = processes.cpu(server.pid) - before
            samples.count(f"while {count} are suspended", outcome)
            made.append(
                Held(
                    count,
                    (now.shared - memory.shared) / added,
                    (now.private - memory.private) / added,
                    suspending.total / added * 1e6,
                    probing.total / max(outcome.answered, 1) * 1e6,
                )
            )
            have, memory = count, now
        return made
    finally:
        wire.close()


def put_aside(wire: link.Link, suspended: Requests, pace: Requests, count: int, tell: Callable[[str], None]) -> str:
    """Have `count` suspended; "" if the server goes on answering others and none of these, else what went wrong."""
    while count > 0:
        for _ in range(min(BURST, count)):
            suspended.begin(suspended.next, wire.send)
            suspended.next += 1
        count -= BURST
        if suspended.next % TELL < BURST:
            tell(f"{suspended.next:,} suspended")
        pace.begin(pace.next, wire.send)
        deadline = time.monotonic() + PATIENCE
        answered = False
        while not answered:
            if time.monotonic() > deadline:
                return "no answer"
            for data in wire.receive(0.5):
                if suspended.number(data) >= 0:
                    return WENT_ON
                answered = answered or pace.react(data, wire.send) == pace.next
        pace.next += 1
    return ""
