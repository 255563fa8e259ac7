"""The plots of the HTML report, as SVG texts. Needs matplotlib, the extra `plots`."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as pyplot

from kamailio_py.bench import figures
from kamailio_py.bench.histogram import Histogram
from kamailio_py.bench.samples import Measured, Report, Samples
from kamailio_py.bench.table import LOADED, usable

COLOURS = ("#2a6f97", "#c1666b", "#8a9a5b", "#6b5b95", "#d4a373")
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "kambench",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
}


@contextmanager
def _figure(made: list[str], width: float = 7.2, height: float = 3.4) -> Iterator[Any]:
    """Axes to draw into; what was drawn is added to `made`."""
    with matplotlib.rc_context(_STYLE):
        whole, axes = pyplot.subplots(figsize=(width, height), layout="constrained")
        yield axes
        out = io.StringIO()
        whole.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
        pyplot.close(whole)
    made.append(_lean(out.getvalue()))


def _lean(text: str) -> str:
    """The drawing without what no browser needs; half a dozen of matplotlib's in a page would be a megabyte."""
    text = text[text.index("<svg") :]
    for pattern, by in (
        (r"<metadata>.*?</metadata>", ""),
        (r"font-family: [^;\"]*", "font-family: sans-serif"),
        (r'<g id="[^"]*"', "<g"),
        (r"(\d+\.\d\d)\d+", r"\1"),
        (r"\s*\n\s*", "\n"),
    ):
        text = re.sub(pattern, by, text, flags=re.DOTALL)
    return text


def cpu(report: Report) -> list[str]:
    """CPU per request by scenario, a bar for each server, its spread as a line."""
    found = usable(report, LOADED)
    made: list[str] = []
    if not found:
        return made
    names = list(report.servers)
    height = 0.8 / len(names)
    with _figure(made, height=0.9 + 0.28 * len(names) * len(found)) as axes:
        for place, name in enumerate(names):
            values = [(row, figure) for row, one in enumerate(found) if (figure := figures.CPU.of(one.servers[name]))]
            axes.barh(
                [row + (place - (len(names) - 1) / 2) * height for row, _ in values],
                [figure.value for _, figure in values], height * 0.9, label=name, color=COLOURS[place % len(COLOURS)],
                xerr=[figure.value * figure.spread for _, figure in values], error_kw={"elinewidth": 1},
            )  # fmt: skip
        axes.set_yticks(range(len(found)), [one.title for one in found])
        axes.invert_yaxis()
        axes.set_xlabel("CPU of all processes, microseconds for each")
        axes.legend()
    return made


def _by_server(
    report: Report,
    one: Measured,
    lines: Callable[[Samples], tuple[list[float], list[float]]],
    axes: Any,
    style: str = "-",
) -> None:
    for place, name in enumerate(report.servers):
        across, up = lines(one.servers[name])
        if across:
            colour = COLOURS[place % len(COLOURS)]
            axes.plot(across, up, marker="o", markersize=3, linestyle=style, label=name, color=colour)


def throughput(report: Report) -> list[str]:
    """The ladder: how much of what was offered was answered."""
    made: list[str] = []
    for one in usable(report, LOADED):
        with _figure(made) as axes:
            _by_server(report, one, _ladder, axes, "")
            limit = max(axes.get_xlim()[1], axes.get_ylim()[1])
            axes.plot([0, limit], [0, limit], color="#999", linewidth=0.8, linestyle="--", label="all answered")
            axes.set_title(one.title)
            axes.set_xlabel(f"{one.unit}s a second offered")
            axes.set_ylabel("answered in time")
            axes.legend()
    return made


def _ladder(samples: Samples) -> tuple[list[float], list[float]]:
    steps = [step for steps in [*samples.rates, *samples.ladder] for step in steps]
    steps.sort(key=lambda step: step.offered)
    return [step.offered for step in steps], [step.achieved for step in steps]


def latency(report: Report) -> list[str]:
    """Latency by percentile at each fixed rate, the axis stretched towards the worst."""
    made: list[str] = []
    marks = [0, 50, 90, 99, 99.9, 99.99]
    for one in usable(report, LOADED):
        by_server = {name: figures.fixed_rates(samples) for name, samples in one.servers.items()}
        for wanted in dict.fromkeys(key for rates in by_server.values() for key in rates):
            with _figure(made) as axes:
                for place, (name, rates) in enumerate(by_server.items()):
                    steps = rates.get(wanted, [])
                    if steps and all(step.complete for step in steps):
                        across, up = _percentiles(figures.together(steps))
                        at = f"{name} ({median(step.offered for step in steps):,.0f}/s)" if wanted == "half" else name
                        axes.plot(across, up, label=at, color=COLOURS[place % len(COLOURS)])
                axes.set_xscale("log")
                axes.set_yscale("log")
                axes.set_xticks([100 / (100 - mark) for mark in marks], [f"{mark:g} %" for mark in marks])
                axes.minorticks_off()
                at = (
                    "half of what each server manages"
                    if wanted == "half"
                    else f"{float(wanted):,.0f} {one.unit}s a second"
                )
                axes.set_title(f"{one.title}, {at}")
                axes.set_ylabel("ms" + (f" beyond the {one.delay_ms:g} ms" if one.delay_ms else ""))
                axes.legend()
    return made


def _percentiles(histogram: Histogram) -> tuple[list[float], list[float]]:
    count = len(histogram)
    across = [10 ** (step / 20) for step in range(81) if 10 ** (step / 20) <= count]
    return across, [histogram.percentile(100 - 100 / one) * 1e3 for one in across]


def suspended(report: Report) -> list[str]:
    """Memory of all suspended transactions, and the CPU of another request, by how many are suspended."""
    made: list[str] = []
    for one in usable(report, ("suspended",)):
        for title, lines in (
            ("shared memory of all that are suspended, MiB", _held_memory),
            ("CPU of another request meanwhile, microseconds", _held_cpu),
        ):
            with _figure(made) as axes:
                _by_server(report, one, lines, axes)
                axes.set_xlabel("suspended at once")
                axes.set_ylabel(title)
                axes.set_ylim(bottom=0)
                axes.legend()
    return made


def _held_memory(samples: Samples) -> tuple[list[float], list[float]]:
    across: list[float] = [0]
    up = [0.0]
    for counts in zip(*samples.held, strict=False):
        added = counts[0].count - across[-1]
        up.append(up[-1] + median(held.shared_each for held in counts) * added / (1 << 20))
        across.append(counts[0].count)
    return across, up


def _held_cpu(samples: Samples) -> tuple[list[float], list[float]]:
    counts = list(zip(*samples.held, strict=False))
    return [held[0].count for held in counts], [median(one.probe_us for one in held) for held in counts]
