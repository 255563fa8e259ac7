"""What is concluded from samples: medians, spread, and how one server compares with another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from kamailio_py.bench.histogram import Histogram
from kamailio_py.bench.samples import Held, Samples, Scaled, Step

BUSY = 0.9
"""The generator's share of a core from which on it, not the server, may be what limits a rate."""


@dataclass(frozen=True)
class Figure:
    """The median of some samples. `spread` is half of what lies between the smallest and the largest, as part of it."""

    value: float
    spread: float
    samples: tuple[float, ...]

    @staticmethod
    def of(values: Iterable[float]) -> Figure | None:
        """None where there are no samples."""
        found = tuple(values)
        if not found:
            return None
        middle = median(found)
        return Figure(middle, (max(found) - min(found)) / 2 / middle if middle else 0.0, found)


@dataclass(frozen=True)
class Measure:
    """Something that is measured: its name, its unit, whether more is better, and where its samples are."""

    title: str
    unit: str
    more_is_better: bool
    take: Callable[[Samples], Iterable[float]]

    def of(self, samples: Samples) -> Figure | None:
        return Figure.of(self.take(samples))


def saturation(steps: list[Step]) -> float:
    """The highest rate of a ladder that was held, 0 if none was."""
    return max((step.achieved for step in steps if step.held), default=0.0)


def limited_by_generator(samples: Samples) -> bool:
    """Whether the generator was as busy as it can be when the server was asked for its most."""
    return bool(samples.load) and median(load.generator_busy for load in samples.load) >= BUSY


def speedup(counts: list[Scaled]) -> float:
    """How much more the most receivers manage than the fewest."""
    return counts[-1].rate / counts[0].rate


def most_held(samples: Samples) -> list[Held]:
    """What was found with the most that were suspended, of each round that came so far."""
    most = max((held.count for counts in samples.held for held in counts), default=0)
    return [held for counts in samples.held for held in counts if held.count == most]


def by_cpu(counts: list[Scaled]) -> float:
    """The same as the CPU time of each lets expect it where no receiver waits for a core or for another one."""
    first, last = counts[0], counts[-1]
    return last.receivers / first.receivers * first.cpu_us / last.cpu_us


def room(samples: Samples, cores: int) -> float:
    """What the machine lets a server grow to: the generator needs the rest of its cores."""
    rounds = [counts for counts in samples.scaled if len(counts) > 1]
    needed = median(counts[-1].generator_busy for counts in rounds)
    most, fewest = rounds[0][-1].receivers, rounds[0][0].receivers
    return min(most, cores - needed) / fewest


def slowed(steps: list[Step]) -> bool:
    """Whether processes waited for a core for more than half of the usual latency."""
    return sum(step.waited for step in steps) / len(steps) > together(steps).percentile(50) / 2


def crowded(rounds: Sequence[Scaled]) -> bool:
    """Whether the receivers, or the generator, were kept from a core for a fifth of the time."""
    return median(one.waiting for one in rounds) > 0.2 * rounds[0].receivers


def fixed_rates(samples: Samples) -> dict[str, list[Step]]:
    """Steps at fixed rates, of all rounds, by how the scenario names the rate."""
    made: dict[str, list[Step]] = {}
    for steps in samples.rates:
        for step in steps:
            made.setdefault(step.wanted, []).append(step)
    return made


def together(steps: list[Step]) -> Histogram:
    """The latencies of all rounds."""
    made = Histogram()
    for step in steps:
        made.merge(step.histogram)
    return made


def latency(wanted: str, percent: float = 99.0) -> Measure:
    """A percentile of the latency at a fixed rate, in each round."""
    return Measure(
        f"latency p{percent:g} at {wanted}", "s", False,
        lambda samples: [
            step.histogram.percentile(percent) for step in fixed_rates(samples).get(wanted, []) if step.complete
        ],
    )  # fmt: skip


CPU = Measure("CPU", "us", False, lambda samples: [load.cpu_us for load in samples.load])
FULL = Measure("rate, window full", "/s", True, lambda samples: [load.rate for load in samples.load])
SATURATION = Measure(
    "saturation", "/s", True, lambda samples: [rate for rate in map(saturation, samples.ladder) if rate]
)
STARTED = Measure("start-up", "s", False, lambda samples: samples.started)
STARTED_CPU = Measure("CPU of start-up", "s", False, lambda samples: samples.started_cpu)
SHARED = Measure("shared memory", "B", False, lambda samples: samples.shared)
PRIVATE = Measure("private memory", "B", False, lambda samples: samples.private)
LARGEST = Measure("private memory of the largest process", "B", False, lambda samples: samples.largest_private)
MEDIAN = Measure("private memory of the median process", "B", False, lambda samples: samples.median_private)
IDLE = Measure("CPU without traffic", "%", False, lambda samples: [100 * share for share in samples.idle])
SPEEDUP = Measure(
    "receivers together / one", "x", True, lambda samples: [speedup(one) for one in samples.scaled if len(one) > 1]
)
BY_CPU = Measure("the same by CPU", "x", True, lambda samples: [by_cpu(one) for one in samples.scaled if len(one) > 1])
HELD_SHARED = Measure(
    "shared memory, each suspended", "B", False, lambda samples: [held.shared_each for held in most_held(samples)]
)
HELD_PROBE = Measure(
    "CPU of a request while all are suspended", "us", False,
    lambda samples: [held.probe_us for held in most_held(samples)],
)  # fmt: skip
HELD_SUSPEND = Measure(
    "CPU of suspending one", "us", False, lambda samples: [held.suspend_us for held in most_held(samples)]
)

COMPARED = (
    CPU,
    FULL,
    SATURATION,
    HELD_SHARED,
    HELD_PROBE,
    HELD_SUSPEND,
    IDLE,
    SPEEDUP,
    BY_CPU,
    STARTED,
    STARTED_CPU,
    PRIVATE,
    LARGEST,
)
"""What `kambench compare` looks at."""
