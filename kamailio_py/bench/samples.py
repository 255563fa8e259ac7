"""What was measured, as it was measured: every sample of every scenario on every server, and the JSON it is kept in.

Plain data. What is concluded from it (medians, spread, ratios) is in `figures.py`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kamailio_py.bench.histogram import Histogram
from kamailio_py.bench.traffic import Outcome

FORMAT = 2


class ReportError(Exception):
    """A file is no report; the text says which and why."""


@dataclass
class Step:
    """Traffic at one rate: offered and answered per second, and how long answers took from when they were due (packed).

    `wanted` is how the scenario names a fixed rate, "" for a step of the ladder. `waited` is seconds for each that the
    processes of the server and the generator waited for a core, where that was looked at.
    """

    wanted: str
    offered: float
    achieved: float
    sent: int
    lost: int
    late: int
    held: bool
    generator_busy: float
    latest_send: float
    latency: list[int]
    waited: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether nothing was lost, so that its latencies tell the whole story."""
        return not self.lost

    @property
    def histogram(self) -> Histogram:
        return Histogram(self.latency)


@dataclass
class Load:
    """As many in flight as the window holds: CPU microseconds for each, user and system, and how many a second."""

    answered: int
    seconds: float
    cpu_us: float
    system_us: float
    rate: float
    generator_busy: float


@dataclass
class Held:
    """With so many suspended: bytes of shared memory each, CPU microseconds to suspend one and of another request."""

    count: int
    shared_each: float
    private_each: float
    suspend_us: float
    probe_us: float


@dataclass
class Scaled:
    """Full load on so many receivers: requests a second, CPU for each, how many cores the server had.

    `waiting` is how many processes of the server and the generator waited for a core at any time.
    """

    receivers: int
    rate: float
    cpu_us: float
    cores: float
    waiting: float
    generator_busy: float


@dataclass
class Samples:
    """One scenario on one server, one entry for each round.

    `idle` is CPU seconds a second without any traffic, `repeated` counts stretches that lost answers and were repeated.
    """

    load: list[Load] = field(default_factory=list)
    rates: list[list[Step]] = field(default_factory=list)
    ladder: list[list[Step]] = field(default_factory=list)
    held: list[list[Held]] = field(default_factory=list)
    scaled: list[list[Scaled]] = field(default_factory=list)
    idle: list[float] = field(default_factory=list)
    shared: list[int] = field(default_factory=list)
    private: list[int] = field(default_factory=list)
    largest_private: list[int] = field(default_factory=list)
    median_private: list[int] = field(default_factory=list)
    processes: list[int] = field(default_factory=list)
    started: list[float] = field(default_factory=list)
    started_cpu: list[float] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    repeated: int = 0

    def count(self, what: str, outcome: Outcome) -> None:
        """Note what makes the samples unusable: answers lost or wrong though nobody overloaded the server."""
        if outcome.wrong:
            self.problem(f"{what}: answered {', '.join(dict.fromkeys(outcome.wrong))}")
        elif outcome.lost:
            where = f", {outcome.dropped} of them by the generator's own socket" if outcome.dropped else ""
            self.problem(f"{what}: {outcome.lost} of {outcome.sent} lost{where}")

    def note(self, text: str) -> None:
        """Note what could not be measured, though everything else can be used."""
        if text not in self.notes:
            self.notes.append(text)

    def problem(self, text: str) -> None:
        if text not in self.problems:
            self.problems.append(text)


@dataclass
class Measured:
    """One scenario: its name and title, in what it is counted, and its samples by server."""

    name: str
    title: str
    unit: str
    kind: str
    delay_ms: float
    servers: dict[str, Samples]
    differences: list[str] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """Why its figures must not be compared, [] if they may."""
        own = [f"{name}: {text}" for name, samples in self.servers.items() for text in samples.problems]
        return own + self.differences

    @property
    def incomplete(self) -> list[str]:
        """Fixed rates at which answers were lost: their latencies must not be compared."""
        return [
            f"{name}: {step.lost} of {step.sent} lost at {step.offered:.0f} a second"
            for name, samples in self.servers.items()
            for steps in samples.rates
            for step in steps
            if not step.complete
        ]


@dataclass
class Report:
    """All of one run."""

    machine: dict[str, Any]
    commit: str
    version: str
    date: str
    options: dict[str, Any]
    servers: dict[str, dict[str, Any]]
    generator: dict[str, Any]
    scenarios: dict[str, Measured]

    @property
    def usable(self) -> bool:
        """Whether every figure may be compared."""
        return bool(self.scenarios) and not any(one.problems or one.incomplete for one in self.scenarios.values())

    def save(self, path: Path) -> None:
        data = {"kambench": FORMAT, "usable": self.usable, **asdict(self)}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            json.dumps(_rounded(data), separators=(",", ":")).replace('"scenarios":', '\n"scenarios":') + "\n"
        )


def _rounded(data: Any) -> Any:
    """Six significant digits are more than any clock gives."""
    if isinstance(data, float):
        return float(f"{data:.6g}")
    if isinstance(data, dict):
        return {key: _rounded(value) for key, value in data.items()}
    return [_rounded(value) for value in data] if isinstance(data, list | tuple) else data


def load(path: Path) -> Report:
    """A report from its file. ReportError if it is none."""
    try:
        data = json.loads(path.read_text())
        if data.pop("kambench") != FORMAT:
            raise ReportError(f"{path} was written by another version of kambench")
        del data["usable"]
        scenarios = {
            name: Measured(**{**one, "servers": {who: _samples(own) for who, own in one["servers"].items()}})
            for name, one in data.pop("scenarios").items()
        }
        return Report(scenarios=scenarios, **data)
    except OSError as error:
        raise ReportError(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReportError(f"{path} is no report of kambench ({error!r})") from None


def _samples(data: dict[str, Any]) -> Samples:
    made = Samples(**data)
    made.load = [Load(**one) for one in data["load"]]
    made.held = [[Held(**one) for one in counts] for counts in data["held"]]
    made.scaled = [[Scaled(**one) for one in counts] for counts in data["scaled"]]
    made.rates = [[Step(**one) for one in steps] for steps in data["rates"]]
    made.ladder = [[Step(**one) for one in steps] for steps in data["ladder"]]
    return made
