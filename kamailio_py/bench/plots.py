"""The plots of the HTML report, as SVG texts. Needs matplotlib, the extra `plots`.

A server has the same colour, mark and dash everywhere. Scenarios have the names they have in the tables.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from statistics import median
from typing import Any

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as pyplot
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from kamailio_py.bench import figures
from kamailio_py.bench.histogram import Histogram
from kamailio_py.bench.samples import Held, Measured, Report, Samples
from kamailio_py.bench.table import LOADED, usable

COLOURS = ("#1f6f9f", "#c1553b", "#7f8f3a", "#6b5b95", "#b8860b")
MARKS = ("o", "s", "^", "D", "v")
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (5, 1.5, 1.5, 1.5)), (0, (8, 2)))
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "kambench",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
}
WIDTH, ACROSS = 9.8, 3
"""Inches of a plot, and how many panels stand side by side."""

FINEST = 0.05
"""Milliseconds below which nothing can be read off a plot of latencies; sipp's own steps are coarser."""

_COUNT = FuncFormatter(lambda value, place: f"{value:,.0f}")
_PLAIN = FuncFormatter(lambda value, place: f"{value:,g}")


@contextmanager
def _figure(made: list[str], rows: int, columns: int, height: float, **options: Any) -> Iterator[Any]:
    """Panels to draw into, as a list of rows; what was drawn is added to `made`, those not drawn into are left out."""
    with matplotlib.rc_context(_STYLE):
        whole, panels = pyplot.subplots(
            rows, columns, figsize=(WIDTH, height), layout="constrained", squeeze=False, **options
        )
        yield panels
        handles: dict[str, Any] = {}
        for axes in panels.flat:
            if not axes.has_data():
                axes.remove()
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
                handles.setdefault(label, handle)
        if rows * columns > 1:
            whole.legend(handles.values(), handles.keys(), loc="outside upper left", ncols=len(handles))
        out = io.StringIO()
        whole.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
        pyplot.close(whole)
    made.append(_lean(out.getvalue()))


def _lean(text: str) -> str:
    """The drawing without what no browser needs; as matplotlib writes it a page would be a megabyte."""
    text = text[text.index("<svg") :]
    for pattern, by in (
        (r"<metadata>.*?</metadata>", ""),
        (r"<!--.*?-->", ""),
        (r"font-family: [^;\"]*", "font-family: sans-serif"),
        (r'<g id="[^"]*"', "<g"),
        (r"(\d+\.\d)\d+(?![^<>]*</text>)", r"\1"),
        (r"\s*\n\s*", "\n"),
    ):
        text = re.sub(pattern, by, text, flags=re.DOTALL)
    return text


def ratios(report: Report) -> list[str]:
    """CPU per request as a multiple of the other servers', on a scale where half and twice are equally far from one."""
    made: list[str] = []
    found = usable(report, LOADED)
    first, *others = report.servers
    if not found or not others:
        return made
    with _figure(made, 1, 1, 1.1 + 0.26 * len(found)) as panels:
        axes = panels[0][0]
        for row, one in enumerate(found):
            own = figures.CPU.of(one.servers[first])
            for place, name in enumerate(others, 1):
                other = figures.CPU.of(one.servers[name])
                if own is None or other is None or not other.value:
                    continue
                ratio = own.value / other.value
                style = {"color": COLOURS[place % len(COLOURS)], "label": f"/ {name}" if row == 0 else None}
                axes.plot([1, ratio], [row, row], color=style["color"], linewidth=1, alpha=0.4)
                axes.plot([ratio], [row], MARKS[place % len(MARKS)], markersize=6, **style)
                right = ratio >= 1
                axes.annotate(
                    f"{ratio:.2f}", (ratio, row), xytext=(6 if right else -6, 0), textcoords="offset points",
                    ha="left" if right else "right", va="center", fontsize=8,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
                )  # fmt: skip
        axes.axvline(1, color="#333", linewidth=1)
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, 0.4) / 1.2, max(high, 2.5) * 1.2)
        axes.set_xticks([mark for mark in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if low / 1.3 <= mark <= high * 1.3])
        axes.xaxis.set_major_formatter(_PLAIN)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_yticks(range(len(found)), [one.name for one in found])
        axes.set_ylim(len(found) - 0.4, -0.6)
        axes.set_xlabel(f"CPU of {first} divided by theirs: left of 1 it takes less, right of 1 more")
        axes.legend(loc="best")
    return made


def cpu(report: Report) -> list[str]:
    """CPU per request by scenario, a bar for each server with its value; its spread as a line."""
    found = usable(report, LOADED)
    made: list[str] = []
    if not found:
        return made
    names = list(report.servers)
    height = 0.8 / len(names)
    with _figure(made, 1, 1, 0.9 + 0.19 * len(names) * len(found)) as panels:
        axes = panels[0][0]
        for place, name in enumerate(names):
            values = [(row, figure) for row, one in enumerate(found) if (figure := figures.CPU.of(one.servers[name]))]
            bars = axes.barh(
                [row + (place - (len(names) - 1) / 2) * height for row, _ in values],
                [figure.value for _, figure in values], height * 0.9, label=name, color=COLOURS[place % len(COLOURS)],
                xerr=[figure.value * figure.spread for _, figure in values],
                error_kw={"elinewidth": 1, "ecolor": "#333"},
            )  # fmt: skip
            axes.bar_label(bars, [f"{figure.value:,.0f}" for _, figure in values], padding=4, fontsize=8)
        axes.set_yticks(range(len(found)), [f"{one.name}, per {one.unit}" for one in found])
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.xaxis.set_major_formatter(_COUNT)
        axes.set_xlabel("CPU of all processes, microseconds for each")
        axes.legend()
    return made


def throughput(report: Report) -> list[str]:
    """The ladder: how much of what was offered was answered, a panel for each scenario."""
    made: list[str] = []
    found = usable(report, LOADED)
    if not found:
        return made
    rows = ceil(len(found) / ACROSS)
    with _figure(made, rows, ACROSS, 0.5 + 2.1 * rows) as panels:
        for axes, one in zip(panels.flat, found, strict=False):
            for place, name in enumerate(report.servers):
                across, up = _ladder(one.servers[name])
                style = {"color": COLOURS[place % len(COLOURS)], "marker": MARKS[place % len(MARKS)]}
                if across:
                    axes.plot(across, up, linestyle="", markersize=3, label=name, **style)
            limit = max(axes.get_xlim()[1], axes.get_ylim()[1])
            axes.plot([0, limit], [0, limit], color="#777", linewidth=0.8, linestyle="--", label="all answered in time")
            axes.set_title(one.name)
            axes.set_xlim(0, limit)
            axes.set_ylim(0, limit)
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(MaxNLocator(4))
                axis.set_major_formatter(_COUNT)
            axes.set_xlabel(f"{one.unit}s a second offered")
            axes.set_ylabel("answered a second")
    return made


def _ladder(samples: Samples) -> tuple[list[float], list[float]]:
    steps = [step for steps in [*samples.rates, *samples.ladder] for step in steps]
    steps.sort(key=lambda step: step.offered)
    return [step.offered for step in steps], [step.achieved for step in steps]


def latency(report: Report) -> list[str]:
    """Latency by percentile, the axis stretched towards the worst: a row for each scenario, a panel for each rate."""
    made: list[str] = []
    for one in usable(report, LOADED):
        by_server = {name: figures.fixed_rates(samples) for name, samples in one.servers.items()}
        rates = list(dict.fromkeys(key for rates in by_server.values() for key in rates))
        if not rates:
            continue
        rows, columns = ceil(len(rates) / ACROSS), min(len(rates), ACROSS)
        with _figure(made, rows, columns, 0.4 + 2.2 * rows, sharey=True) as panels:
            for axes, wanted in zip(panels.flat, rates, strict=False):
                _by_percentile(axes, one, wanted, {name: found.get(wanted, []) for name, found in by_server.items()})
            panels[0][0].set_ylim(bottom=max(panels[0][0].get_ylim()[0], FINEST))
            panels[0][0].set_ylabel("ms" + (f" beyond the {one.delay_ms:g} ms" if one.delay_ms else ""))
    return made


def _by_percentile(axes: Any, one: Measured, wanted: str, by_server: dict[str, list[figures.Step]]) -> None:
    marks = [50, 90, 99, 99.9, 99.99]
    for place, (name, steps) in enumerate(by_server.items()):
        if steps and all(step.complete for step in steps):
            across, up = _percentiles(figures.together(steps))
            axes.plot(
                across, up, label=name, color=COLOURS[place % len(COLOURS)], linestyle=DASHES[place % len(DASHES)]
            )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks([100 / (100 - mark) for mark in marks], [f"{mark:g} %" for mark in marks], fontsize=8)
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(_PLAIN)
    if wanted == "half":
        each = [f"{median(step.offered for step in steps):,.0f}/s" for steps in by_server.values() if steps]
        at = f"half load ({', '.join(each)})"
    else:
        at = f"{float(wanted):,.0f} {one.unit}s/s"
    axes.set_title(f"{one.name}, {at}", fontsize=8)
    axes.set_xlabel("of the answers came within", fontsize=8)


def _percentiles(histogram: Histogram) -> tuple[list[float], list[float]]:
    count = len(histogram)
    across = [10 ** (step / 10) for step in range(41) if 10 ** (step / 10) <= count]
    return across, [histogram.percentile(100 - 100 / one) * 1e3 for one in across]


def suspended(report: Report) -> list[str]:
    """Memory of all suspended transactions, and the CPU of another request, by how many are suspended."""
    made: list[str] = []
    for one in usable(report, ("suspended",)):
        with _figure(made, 1, 2, 3.2) as panels:
            for axes, title, lines in (
                (panels[0][0], "shared memory of all of them, MiB", _held_memory),
                (panels[0][1], "CPU of another request meanwhile, us", _held_cpu),
            ):
                for place, name in enumerate(report.servers):
                    across, up = lines(one.servers[name])
                    style: Any = {"color": COLOURS[place % len(COLOURS)], "linestyle": DASHES[place % len(DASHES)]}
                    axes.plot(across, up, marker=MARKS[place % len(MARKS)], markersize=4, label=name, **style)
                axes.set_title(title)
                axes.set_xlabel("suspended at once")
                axes.set_ylim(bottom=0)
                axes.xaxis.set_major_locator(MaxNLocator(6))
                for axis in (axes.xaxis, axes.yaxis):
                    axis.set_major_formatter(_COUNT)
    return made


def _held_memory(samples: Samples) -> tuple[list[float], list[float]]:
    across: list[float] = [0]
    up = [0.0]
    for count, found in _held(samples):
        up.append(up[-1] + median(held.shared_each for held in found) * (count - across[-1]) / (1 << 20))
        across.append(count)
    return across, up


def _held_cpu(samples: Samples) -> tuple[list[float], list[float]]:
    counts = _held(samples)
    return [count for count, _ in counts], [median(held.probe_us for held in found) for _, found in counts]


def _held(samples: Samples) -> list[tuple[int, list[Held]]]:
    """By how many are suspended, what was found in the rounds."""
    made: dict[int, list[Held]] = {}
    for counts in samples.held:
        for held in counts:
            made.setdefault(held.count, []).append(held)
    return sorted(made.items())
