"""Two reports side by side: what got better or worse, and what is within the noise.

The rule, for every figure that both reports have of the same server and scenario:

1. The change is the ratio of the medians, after / before.
2. Where both ran the same version of real Kamailio, its own change is what the machine did: for CPU time and rates ours
   is divided by it, and its spread is added to the noise. That server is the yardstick and gets no verdict.
3. The noise is the spread of both sides added up; a spread is half of what lies between the smallest and the largest
   sample, as part of the median.
4. It is a change if it is larger than the noise and larger than `THRESHOLD`; everything else is `same`. With fewer than
   `LEAST` rounds on either side the spread says nothing, and the verdict is `too few rounds`.
"""

from __future__ import annotations

from dataclasses import dataclass

from kamailio_py.bench import figures
from kamailio_py.bench.figures import Figure, Measure
from kamailio_py.bench.samples import Measured, Report
from kamailio_py.bench.scenario import HALF

THRESHOLD = 0.05
LEAST = 3

BETTER, WORSE, SAME, TOO_FEW = "better", "worse", "same", "too few rounds"


class NotComparable(Exception):
    """The reports have nothing in common; the text says why."""


@dataclass(frozen=True)
class Change:
    """One figure before and after. `ratio` has the machine's own change taken out of it, `machine` is that."""

    scenario: str
    server: str
    measure: Measure
    before: Figure
    after: Figure
    machine: float
    noise: float

    @property
    def ratio(self) -> float:
        return self.after.value / self.before.value / self.machine

    @property
    def verdict(self) -> str:
        if min(len(self.before.samples), len(self.after.samples)) < LEAST:
            return TOO_FEW
        if abs(self.ratio - 1) <= max(self.noise, THRESHOLD):
            return SAME
        return BETTER if (self.ratio > 1) == self.measure.more_is_better else WORSE


def changes(before: Report, after: Report) -> list[Change]:
    """Every figure that both have and that both may report."""
    found = []
    yardsticks = _yardsticks(before, after)
    for name, then in before.scenarios.items():
        now = after.scenarios.get(name)
        if now is None or then.problems or now.problems:
            continue
        for server in then.servers:
            if server in now.servers and server not in yardsticks:
                found += _of_server(name, server, then, now, yardsticks)
    if not found:
        raise NotComparable("no scenario was measured on the same server in both and may be reported in both")
    return found


def _yardsticks(before: Report, after: Report) -> list[str]:
    """Servers that are the same in both: real Kamailio of one version."""
    return [
        name
        for name, server in before.servers.items()
        if server["python"] is None and server["version"]
        if after.servers.get(name, {}).get("version") == server["version"]
    ]


def _of_server(scenario: str, server: str, then: Measured, now: Measured, yardsticks: list[str]) -> list[Change]:
    found = []
    old_rates, new_rates = (figures.fixed_rates(one.servers[server]) for one in (then, now))
    latencies = [figures.latency(rate) for rate in old_rates if rate in new_rates and rate != HALF]
    for measure in (*figures.COMPARED, *latencies):
        old, new = measure.of(then.servers[server]), measure.of(now.servers[server])
        if old is None or new is None or not old.value or not new.value:
            continue
        machine, noise = 1.0, old.spread + new.spread
        if yardsticks and measure.unit in ("us", "/s"):
            first, second = measure.of(then.servers[yardsticks[0]]), measure.of(now.servers[yardsticks[0]])
            if first and second and first.value and second.value:
                machine = second.value / first.value
                noise += first.spread + second.spread
        found.append(Change(scenario, server, measure, old, new, machine, noise))
    return found


def warnings(before: Report, after: Report) -> list[str]:
    """What else differs between the reports than the code, so that a change may come from that."""
    found = []
    for key in ("model", "cpus", "kernel"):
        if before.machine[key] != after.machine[key]:
            found.append(f"different machines: {key} {before.machine[key]} and {after.machine[key]}")
    for name, server in before.servers.items():
        then, now = server["python"], after.servers.get(name, {}).get("python")
        if then and now and (then["version"], then["build"]) != (now["version"], now["build"]):
            found.append(
                f"{name} ran on Python {then['version']} ({then['build']}) and {now['version']} ({now['build']})"
            )
    if before.options["suspended"] != after.options["suspended"]:
        found.append("not as many were suspended at the most")
    if before.options["seconds"] != after.options["seconds"]:
        found.append(f"stretches of {before.options['seconds']:g} s and of {after.options['seconds']:g} s")
    return found
