"""The measurements: each round starts every server in turn on the same cfg and port, drives the same traffic, stops it.

So what else happens on the machine hits all of them alike. CPU time is that of all processes of the server divided by
the exchanges answered, with the window full; what it does afterwards for them (freeing transactions) is part of it.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kamailio_py.bench import answers, capacity, processes
from kamailio_py.bench.capacity import SETTLE
from kamailio_py.bench.figures import saturation
from kamailio_py.bench.samples import Load, Measured, Samples, Scaled, Step
from kamailio_py.bench.scenario import HALF, Scenario
from kamailio_py.bench.servers import Kind, Server, StartFailed, free_port
from kamailio_py.bench.talk import Drives, Talk
from kamailio_py.bench.traffic import Outcome

STEP_UP, STEP_DOWN, MOST_STEPS = 1.1, 0.88, 6
"""The ladder: rates climb by a tenth while the server holds them, or fall until it does, at most so many steps."""

LOWEST, SPARE = 500.0, 0.7
"""Where the search begins for the most that a server holds whose cfg delays answers; the part that is full load."""

AFTER_START = 1.0
"""Seconds after its first answer a server is taken for idle."""

TRIES = 3
"""A stretch in which answers were lost is repeated: a machine that is busy otherwise may keep a server from its socket
for so long that datagrams are lost. What is lost every time is the server's own."""

ALONE = ("suspended", "scaling", "idle")
"""Kinds of scenarios that share no server: what others leave behind would be measured with them."""

Say = Callable[[int, Kind, Scenario, str], None]
"""Hears that a server's turn in a round comes to a scenario (""), and how far it has come with it."""


@dataclass(frozen=True)
class Plan:
    """What the command line asks for."""

    kinds: list[Kind]
    scenarios: list[Scenario]
    rounds: int = 3
    seconds: float = 1.0
    cfg: Path | None = None
    rates: tuple[float, ...] = ()
    most_suspended: int | None = None
    memory: int = 256
    settle: float = SETTLE

    def groups(self) -> list[list[Scenario]]:
        """Scenarios that can share a server once it is started."""
        made: dict[tuple[object, ...], list[Scenario]] = {}
        for one in self.scenarios:
            own = one.name if one.kind in ALONE else ""
            made.setdefault((self.cfg_of(one), one.transport, own), []).append(one)
        return list(made.values())

    def cfg_of(self, scenario: Scenario) -> Path:
        return self.cfg or scenario.cfg_path

    @property
    def turns(self) -> int:
        """How many turns a run has."""
        starts = sum(len(one.receivers) if one.kind == "scaling" else 1 for one in self.scenarios)
        return self.rounds * len(self.kinds) * starts


def run(plan: Plan, say: Say) -> dict[str, Measured]:
    """All rounds; `say` hears what is done next."""
    measured = {
        one.name: Measured(
            one.name, one.title, one.unit, one.kind, one.delay_ms, {kind.name: Samples() for kind in plan.kinds}
        )
        for one in plan.scenarios
    }
    port = free_port()
    # A collection in the midst of a stretch would be taken for the server's lateness.
    gc.collect()
    gc.disable()
    try:
        for turn in range(plan.rounds):
            for group in plan.groups():
                for kind in plan.kinds:
                    for receivers in group[0].receivers if group[0].kind == "scaling" else [None]:
                        visit(plan, kind, group, port, measured, partial(say, turn, kind), receivers)
                        gc.collect()
    finally:
        gc.enable()
    for one in measured.values():
        one.differences = differences(one.servers)
    return measured


def differences(servers: dict[str, Samples]) -> list[str]:
    """Servers that do not answer as the others do; what the last one (real Kamailio, if it is here) says counts."""
    told = {name: samples.answers for name, samples in servers.items() if samples.answers}
    if len(told) < 2:
        return []
    last = list(told)[-1]
    found = []
    for name, lines in told.items():
        if lines != told[last]:
            found.append(f"answers differ, - {name}, + {last}: {answers.difference(lines, told[last])}")
    return found


def visit(
    plan: Plan,
    kind: Kind,
    group: list[Scenario],
    port: int,
    measured: dict[str, Measured],
    say: Callable[[Scenario, str], None],
    receivers: int | None = None,
) -> None:
    """One server once: start, every scenario of the group, stop."""
    own = [measured[one.name].servers[kind.name] for one in group]
    memory = max(plan.memory, *(capacity.megabytes(one, plan.most_suspended) for one in group))
    server = Server(kind, plan.cfg_of(group[0]), group[0].transport, port, memory, receivers)
    try:
        with ExitStack() as open_talks:
            talks = {one.name: open_talks.enter_context(Talk(one, port)) for one in group}
            server.start(talks[min(group, key=lambda one: one.delay_ms).name].answered)
            for samples in own:
                samples.started.append(server.started)
                samples.started_cpu.append(server.started_cpu)
            for scenario, samples in zip(group, own, strict=True):
                tell = partial(say, scenario)
                tell("")
                if not samples.problems:
                    one_scenario(plan, server, scenario, talks[scenario.name], samples, receivers, tell)
    except (StartFailed, ConnectionError) as error:
        for samples in own:
            samples.problem(str(error))
    finally:
        server.stop()


def one_scenario(
    plan: Plan,
    server: Server,
    scenario: Scenario,
    talk: Talk,
    samples: Samples,
    receivers: int | None,
    tell: Callable[[str], None],
) -> None:
    if not samples.answers and scenario.kind != "idle":
        samples.answers = talk.transcript()
    if scenario.kind == "suspended":
        samples.held.append(capacity.measure(server, scenario, plan.most_suspended, samples, tell))
    elif scenario.kind == "idle":
        samples.idle.append(idle(server, scenario.watch))
    elif receivers is not None:
        if receivers == scenario.receivers[0]:
            samples.scaled.append([])
        samples.scaled[-1].append(scaled(plan, server, scenario, talk.driver, receivers, samples))
    else:
        under_load(plan, server, scenario, talk.driver, samples)
    used = processes.memory(server.pid)
    samples.shared.append(used.shared)
    samples.private.append(used.private)
    samples.largest_private.append(used.largest_private)
    samples.median_private.append(used.median_private)
    samples.processes.append(used.processes)


def warm(driver: Drives, scenario: Scenario, seconds: float) -> None:
    """Load that nobody looks at, in short stretches: what they are made of goes by how fast the last one was.

    Full load, or where the cfg holds requests back, so that a window of them makes few a second, rates about what the
    server holds.
    """
    end, rate = time.monotonic() + seconds, LOWEST
    while (left := end - time.monotonic()) > 0:
        if scenario.delay_ms:
            rate *= 0.5 if driver.paced(rate, min(left, 1.0)).lost else 2.0
        else:
            driver.closed(scenario.window, min(left, 1.0))


def idle(server: Server, seconds: float) -> float:
    """CPU seconds a second of a server that has nothing to do."""
    time.sleep(AFTER_START)
    before, begun = processes.cpu(server.pid), time.perf_counter()
    time.sleep(seconds)
    used = processes.cpu(server.pid) - before
    return used.total / (time.perf_counter() - begun)


def scaled(plan: Plan, server: Server, scenario: Scenario, driver: Drives, receivers: int, samples: Samples) -> Scaled:
    """What so many receivers manage. The window is large enough to keep all of them busy."""
    warm(driver, scenario, server.kind.warm_up)
    time.sleep(plan.settle)
    before = processes.waited(os.getpid())
    load = loaded(plan, server, samples, lambda: driver.closed(scenario.window, plan.seconds * 2))
    waiting = (processes.waited(os.getpid()) - before) / load.seconds
    return Scaled(receivers, load.rate, load.cpu_us, load.cpu_us * load.rate / 1e6, waiting, load.generator_busy)


def under_load(plan: Plan, server: Server, scenario: Scenario, driver: Drives, samples: Samples) -> None:
    """Full load, fixed rates, the ladder; no more than the first if that cannot be used."""
    found: list[Step] = []
    warm(driver, scenario, server.kind.warm_up)
    if scenario.delay_ms:
        # A window wide enough for what the cfg itself holds back would come in bursts that no socket takes.
        found = ladder(driver, LOWEST, plan.seconds / 2, 2.0)
        most = saturation(found)
        if most:
            # the way to this rate was through others, to which a server that compiles may have settled
            driver.paced(most * SPARE, server.kind.warm_up / 2)
            samples.load.append(loaded(plan, server, samples, lambda: driver.paced(most * SPARE, plan.seconds)))
        else:
            samples.problem(f"holds not even {found[-1].offered:.0f} a second")
        above = most * STEP_UP
    else:
        time.sleep(plan.settle)
        samples.load.append(loaded(plan, server, samples, lambda: driver.closed(scenario.window, plan.seconds)))
        most = above = samples.load[-1].rate
    if not samples.problems:
        samples.rates.append(at_rates(plan, scenario, driver, most, samples))
        samples.ladder.append(found + ladder(driver, above, plan.seconds / 2))


def loaded(plan: Plan, server: Server, samples: Samples, drive: Callable[[], Outcome]) -> Load:
    """What the server uses for a stretch in which nothing may be lost."""
    for again in range(TRIES):
        before = processes.cpu(server.pid)
        outcome = drive()
        time.sleep(plan.settle)
        used = processes.cpu(server.pid) - before
        if not outcome.lost or outcome.wrong:
            break
        samples.repeated += again < TRIES - 1
    samples.count("full load", outcome)
    each = 1e6 / max(outcome.answered, 1)
    return Load(outcome.answered, outcome.elapsed, used.total * each, used.system * each, outcome.rate, outcome.busy)


def at_rates(plan: Plan, scenario: Scenario, driver: Drives, most: float, samples: Samples) -> list[Step]:
    """Latency at the fixed rates of the scenario or the command line; those the server cannot reach are not tried."""
    made = []
    for wanted in plan.rates or scenario.rates:
        rate = most / 2 if wanted == HALF else float(wanted)
        if rate > most * 0.8:
            continue
        for again in range(TRIES):
            before = processes.waited(os.getpid())  # the generator's and, being its children, the server's
            step, outcome = one_step(driver, rate, plan.seconds, str(wanted))
            step.waited = (processes.waited(os.getpid()) - before) / max(step.sent, 1)
            if step.complete or outcome.wrong:
                break
            samples.repeated += again < TRIES - 1
        if outcome.wrong:
            samples.count(f"{rate:.0f} a second", outcome)
        made.append(step)
    return made


def ladder(driver: Drives, start: float, seconds: float, up: float = STEP_UP) -> list[Step]:
    """Rates from `start` on until the highest that is held is known to a step. Here losing answers is no fault.

    Latencies are not kept: beyond what the server holds they say only for how long it was asked.
    """
    made: list[Step] = []
    rate = max(start, 1.0)
    while len(made) < MOST_STEPS:
        step, _ = one_step(driver, rate, seconds)
        step.latency = []
        made.append(step)
        if len(made) > 1 and step.held != made[-2].held:
            break
        rate *= up if step.held else STEP_DOWN
    return made


def one_step(driver: Drives, rate: float, seconds: float, wanted: str = "") -> tuple[Step, Outcome]:
    outcome = driver.paced(rate, seconds)
    # With a backlog that grows the last answers come late; a fixed part of it is the machine's own hiccups.
    in_time = outcome.elapsed - driver.delay <= seconds * 1.05 + 0.05
    held = not outcome.lost and not outcome.wrong and in_time
    step = Step(
        wanted, rate, outcome.rate, outcome.sent, outcome.lost, outcome.late, held, outcome.busy, outcome.latest_send,
        outcome.latency.pack(),
    )  # fmt: skip
    return step, outcome
