"""The report as tables for a terminal: medians, spread and ratios by scenario, and what may not be compared and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import median

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kamailio_py.bench import figures
from kamailio_py.bench.compare import BETTER, SAME, THRESHOLD, TOO_FEW, WORSE, Change, warnings
from kamailio_py.bench.figures import Figure, Measure
from kamailio_py.bench.histogram import PERCENTILES
from kamailio_py.bench.samples import Measured, Report, Step

Show = Callable[[float], str]


def render(report: Report) -> RenderableType:
    """Everything."""
    parts: list[RenderableType] = [about(report), Text()]
    for made in (
        cpu(report),
        throughput(report),
        latency(report),
        suspended(report),
        scaling(report),
        resources(report),
        idle(report),
    ):
        if made is not None:
            parts += [made, Text()]
    return Group(*parts, verdict(report))


def about(report: Report) -> Table:
    """What was measured with what."""
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    machine = report.machine
    made.add_row(
        "machine", f"{machine['cpus']} CPUs, {machine['model']}, Linux {machine['kernel']}, load {machine['load']}"
    )
    for name, server in report.servers.items():
        python = server["python"]
        told = f", Python {python['version']} ({python['path']}; {python['build']})" if python else ""
        made.add_row(name, f"{server['version'] or ' '.join(server['command'])}{told}")
    ceilings = ", ".join(f"{transport} {max(rates):,.0f}/s" for transport, rates in report.generator["ceiling"].items())
    made.add_row("generator", f"at most {ceilings} against an echo; Python {report.generator['python']['version']}")
    options = report.options
    rounds = f"{options['rounds']} round{'s' * (options['rounds'] > 1)} of {options['seconds']:g} s"
    made.add_row("run", f"{rounds}, kamailio-py {report.version} {report.commit}")
    return made


def _names(report: Report) -> list[str]:
    return list(report.servers)


def _table(report: Report, title: str, ratios: bool = True) -> Table:
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    made.add_column(title)
    names = _names(report)
    for name in names:
        made.add_column(name, justify="right")
    if ratios:
        for name in names[1:]:
            made.add_column(f"/ {name}", justify="right")
    return made


def shown(figure: Figure | None, show: Show) -> str:
    """`71.2 us ±3%`."""
    if figure is None:
        return "-"
    spread = f" ±{figure.spread * 100:.0f}%" if len(figure.samples) > 1 else ""
    return show(figure.value) + spread


def _row(
    made: Table, title: str, found: list[Figure | None], show: Show, ratios: bool = True, marks: Iterable[str] = ()
) -> None:
    cells = [mark + shown(figure, show) for mark, figure in zip([*marks, *[""] * len(found)], found, strict=False)]
    if ratios:
        for other in found[1:]:
            first = found[0]
            cells.append(f"{first.value / other.value:.2f}" if first and other and other.value else "-")
    made.add_row(title, *cells)


def usable(report: Report, kinds: tuple[str, ...]) -> list[Measured]:
    return [one for one in report.scenarios.values() if one.kind in kinds and not one.problems]


def _of(report: Report, one: Measured, measure: Measure) -> list[Figure | None]:
    return [measure.of(one.servers[name]) for name in _names(report)]


ROOM = 1.6
"""Growth that more receivers have to be able to show at the least, for a measurement of it to mean something."""
LOADED = ("requests", "calls", "sipp")


def microseconds(value: float) -> str:
    return f"{value:.1f} us"


def seconds(value: float) -> str:
    return f"{value * 1e6:.0f} us" if value < 0.001 else f"{value * 1e3:.1f} ms" if value < 1 else f"{value:.2f} s"


def rate(value: float) -> str:
    return f"{value:,.0f}/s"


def octets(value: float) -> str:
    return f"{value:,.0f} B"


def size(value: float) -> str:
    return f"{value / (1 << 20):,.1f} MiB"


def percent(value: float) -> str:
    return f"{value:.2f} %"


def times(value: float) -> str:
    return f"{value:.2f}x"


def scenarios(report: Report) -> Table:
    """What the names of the scenarios stand for."""
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, one in report.scenarios.items():
        made.add_row(name, one.title)
    return made


def cpu(report: Report) -> Table | None:
    found = usable(report, LOADED)
    made = _table(report, "CPU, all processes")
    for one in found:
        _row(made, f"{one.name}, per {one.unit}", _of(report, one, figures.CPU), microseconds)
    return made if found else None


def throughput(report: Report) -> Table | None:
    """A rate that the generator limits is marked: the server could do more."""
    found = usable(report, LOADED)
    made = _table(report, "Saturation")
    for one in found:
        marks = [">" if figures.limited_by_generator(one.servers[name]) else "" for name in _names(report)]
        _row(made, f"{one.name}, {one.unit}s", _of(report, one, figures.SATURATION), rate, marks=marks)
    return made if found else None


def latency(report: Report) -> Table | None:
    made = _table(report, "Latency, ms: " + " / ".join(f"p{percent:g}" for percent in PERCENTILES), ratios=False)
    for one in usable(report, LOADED):
        by_server = [figures.fixed_rates(one.servers[name]) for name in _names(report)]
        for wanted in dict.fromkeys(key for rates in by_server for key in rates):
            beyond = f" beyond the {one.delay_ms:g} ms" if one.delay_ms else ""
            at = "half load" if wanted == "half" else f"{float(wanted):,.0f} {one.unit}s/s"
            made.add_row(f"{one.name}{beyond}, {at}", *(_percentiles(rates.get(wanted, [])) for rates in by_server))
    return made if made.row_count else None


def _percentiles(steps: list[Step]) -> str:
    if not steps:
        return "-"
    if not all(step.complete for step in steps):
        return f"{sum(step.lost for step in steps)} lost"
    found = figures.together(steps)
    return "~" * figures.slowed(steps) + " / ".join(f"{found.percentile(percent) * 1e3:.2f}" for percent in PERCENTILES)


def suspended(report: Report) -> Table | None:
    found = usable(report, ("suspended",))
    if not found:
        return None
    made = _table(report, "Suspended at once")
    for one in found:
        counts = {held.count for samples in one.servers.values() for rounds in samples.held for held in rounds}
        for count in sorted(counts):
            for title, take, show in (
                ("CPU of a request meanwhile", "probe_us", microseconds),
                ("CPU of suspending one", "suspend_us", microseconds),
                ("shared memory, each", "shared_each", octets),
            ):
                row = [
                    Figure.of(
                        getattr(held, take)
                        for rounds in one.servers[name].held
                        for held in rounds
                        if held.count == count
                    )
                    for name in _names(report)
                ]
                _row(made, f"{count:,}: {title}", row, show)
    return made


def resources(report: Report) -> Table | None:
    """Start-up and memory: the median of each scenario, and of these the middle one and the largest."""
    found = usable(report, LOADED)
    made = _table(report, "Server")
    for title, measure, which, show in (
        ("start-up to the first answer", figures.STARTED, median, seconds),
        ("CPU until then", figures.STARTED_CPU, median, seconds),
        ("shared memory in use, at most", figures.SHARED, max, size),
        ("private memory of all processes, at most", figures.PRIVATE, max, size),
        ("private memory of the median process, at most", figures.MEDIAN, max, size),
        ("private memory of the largest process, at most", figures.LARGEST, max, size),
    ):
        medians = [
            [figure.value for one in found if (figure := measure.of(one.servers[name]))] for name in _names(report)
        ]
        _row(made, title, [Figure.of([which(values)]) if values else None for values in medians], show)
    return made if found else None


def scaling(report: Report) -> Table | None:
    """What more receivers manage together; no ratios between servers, since each has its own."""
    found = [one for one in usable(report, ("scaling",)) if any(samples.scaled for samples in one.servers.values())]
    made = _table(report, "Receivers", ratios=False)
    for one in found:
        rows: dict[str, list[str]] = {}
        for name in _names(report):
            samples = one.servers[name]
            for column in zip(*samples.scaled, strict=False):
                title = f"{one.name}, {column[0].receivers} receiver{'s' * (column[0].receivers > 1)}"
                cores = median(step.cores for step in column)
                told = f"{shown(Figure.of(step.rate for step in column), rate)} on {cores:.2f} cores"
                rows.setdefault(title, []).append("~" * figures.crowded(column) + told)
            grown = figures.SPEEDUP.of(samples)
            if grown is not None:
                told = f"{shown(grown, times)}, at most {times(figures.room(samples, report.machine['cpus']))}"
                rows.setdefault(f"{one.name}, growth", []).append(told)
                free = shown(figures.BY_CPU.of(samples), times)
                rows.setdefault(f"{one.name}, growth if each had a core", []).append(free)
        for title, cells in rows.items():
            made.add_row(title, *cells)
    return made if found else None


def idle(report: Report) -> Table | None:
    """What a server takes that nobody asks for anything."""
    found = usable(report, ("idle",))
    made = _table(report, "Without traffic")
    for one in found:
        for title, measure, show in (
            ("CPU, of one core", figures.IDLE, percent),
            ("start-up to the first answer", figures.STARTED, seconds),
            ("CPU until then", figures.STARTED_CPU, seconds),
            ("shared memory in use", figures.SHARED, size),
            ("private memory of all processes", figures.PRIVATE, size),
            ("private memory of the median process", figures.MEDIAN, size),
            ("private memory of the largest process", figures.LARGEST, size),
        ):
            _row(made, f"{one.name}: {title}", _of(report, one, measure), show)
    return made if found else None


SHOW: dict[str, Show] = {
    "us": microseconds, "s": seconds, "/s": rate, "B": octets, "%": percent, "x": times,
}  # fmt: skip


def render_changes(before: Report, after: Report, found: list[Change], everything: bool) -> RenderableType:
    """What got better or worse, with `everything` also what did not change."""
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("SCENARIO", "SERVER", "FIGURE", "BEFORE", "AFTER", "MACHINE", "CHANGE", "NOISE", ""):
        made.add_column(column, justify="left" if column in ("SCENARIO", "SERVER", "FIGURE", "") else "right")
    styles = {WORSE: "bold red", BETTER: "green"}
    for one in found:
        if everything or one.verdict in styles:
            show = SHOW[one.measure.unit]
            made.add_row(
                one.scenario, one.server, one.measure.title, shown(one.before, show), shown(one.after, show),
                f"x{one.machine:.2f}" if one.machine != 1 else "", f"{(one.ratio - 1) * 100:+.0f}%",
                f"±{max(one.noise, THRESHOLD) * 100:.0f}%", Text(one.verdict, style=styles.get(one.verdict, "dim")),
            )  # fmt: skip
    count = {word: sum(one.verdict == word for one in found) for word in (WORSE, BETTER, SAME, TOO_FEW)}
    summary = ", ".join(f"{number} {word}" for word, number in count.items() if number)
    notes = [Text(f"note: {text}", style="yellow") for text in warnings(before, after)]
    return Group(*notes, *([made] if made.row_count else []), Text(summary))


def busy(report: Report) -> bool:
    """Whether a figure has the mark of a machine that had other things to do."""
    return any(
        any(figures.slowed(steps) for steps in figures.fixed_rates(samples).values())
        or any(figures.crowded(column) for column in zip(*samples.scaled, strict=False))
        for one in usable(report, (*LOADED, "scaling"))
        for samples in one.servers.values()
    )


def no_room(report: Report) -> list[str]:
    """Servers whose growth says nothing, since the generator needs too much of the machine's cores."""
    return [
        name
        for one in usable(report, ("scaling",))
        for name, samples in one.servers.items()
        if figures.SPEEDUP.of(samples) and figures.room(samples, report.machine["cpus"]) < ROOM
    ]


def verdict(report: Report) -> RenderableType:
    """Which scenarios are not reported, and why; what the marks mean."""
    lines: list[RenderableType] = []
    for name, one in report.scenarios.items():
        if one.problems:
            lines.append(Text(f"{name} is not reported:", style="bold red"))
            lines += [Text(f"  {text}") for text in one.problems]
        elif one.incomplete:
            lines.append(Text(f"{name}: latencies are not reported:", style="bold red"))
            lines += [Text(f"  {text}") for text in one.incomplete]
    for name, one in report.scenarios.items():
        lines += [Text(f"{name}: {who}: {text}") for who, samples in one.servers.items() for text in samples.notes]
    repeated = {name: sum(one.servers[name].repeated for one in report.scenarios.values()) for name in report.servers}
    if any(repeated.values()):
        told = ", ".join(f"{name} {count}" for name, count in repeated.items() if count)
        lines.append(Text(f"stretches that lost answers and were repeated: {told}", style="dim"))
    loaded = [samples for one in usable(report, LOADED) for samples in one.servers.values()]
    if any(figures.limited_by_generator(samples) for samples in loaded):
        lines.append(Text("> the generator was at its limit: the server could do more", style="dim"))
    if busy(report):
        told = "~ the machine was busy: most of this latency is waiting for a core, or receivers had to wait for theirs"
        lines.append(Text(told, style="dim"))
    if without := no_room(report):
        told = f"growth by more receivers: the generator leaves no room for {ROOM:g}x beside {', '.join(without)}"
        lines.append(Text(told, style="dim"))
    if len(report.servers) == 1:
        lines.append(Text("One server alone. Kamailio beside it: apt-get install kamailio"))
    return Group(*lines)
