"""The `kambench` command: its options, its subcommands, and what its exit codes mean."""

from __future__ import annotations

import datetime
import itertools
import sys
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from kamailio_py import __version__
from kamailio_py.bench import compare, interpreter, machine, measure, page, samples, scenario, servers, table
from kamailio_py.bench.measure import Plan

UNUSABLE, UNREADABLE = 1, 3
EXIT_CODES = """
\b
Exit codes:
  0  measured, and every figure may be compared (compare: nothing got worse)
  1  some may not: answers differed or were lost, a server did not start
     (compare: something got worse)
  2  the command line is wrong
  3  a file cannot be read, or reports cannot be compared
"""
EXAMPLES = """
\b
Examples:
  kambench run                                   about five minutes, all servers
  kambench run --cfg my.cfg --scenario my.toml   a cfg and traffic of your own
  kambench run --python /usr/bin/python3 --json today.json --html today.html
  kambench run --python pypy3 --python /usr/bin/python3
  kambench compare yesterday.json today.json     what got worse
"""
DEFAULT = (
    "async-task",
    "async-delay",
    "options-stateless",
    "message-stateful",
    "register",
    "call-relay",
    "suspend-capacity",
)


def fail(code: int, text: str) -> None:
    click.echo(f"kambench: {text}", err=True)
    sys.exit(code)


def show(what: RenderableType) -> None:
    """Print it: coloured if standard output is a terminal, of any width if it is not."""
    out = Console(highlight=False)
    if not out.is_terminal:
        out = Console(highlight=False, width=400, no_color=True)
    with out.capture() as captured:
        out.print(what)
    text = captured.get()
    click.echo(text if out.is_terminal else "\n".join(line.rstrip() for line in text.splitlines()))


@click.group(epilog=EXAMPLES + EXIT_CODES)
@click.version_option(__version__, prog_name="kambench")
def main() -> None:
    """Measure what a request costs here and on real Kamailio, side by side on the same cfg and traffic."""


@main.command("run")
@click.option(
    "--cfg",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Run this cfg instead of the scenarios' own.",
)
@click.option(
    "--scenario",
    "names",
    multiple=True,
    metavar="NAME|FILE",
    help="What to ask (several times; `all`; see `scenarios`).",
)
@click.option(
    "--server",
    "commands",
    multiple=True,
    metavar="[NAME=]CMD",
    help="ours, kamailio, fm, or a command line (several times; the first is compared with the others).",
)
@click.option(
    "--python",
    "pythons",
    multiple=True,
    metavar="PATH",
    help="The Python that runs our server (several times: ours with each of them).",
)
@click.option(
    "--rounds", type=click.IntRange(1), default=3, show_default=True, help="How often each server has its turn."
)
@click.option(
    "--seconds", type=click.FloatRange(0.1), default=0.5, show_default=True, help="How long each stretch of traffic is."
)
@click.option(
    "--warm-up",
    type=click.FloatRange(0.0),
    metavar="SECONDS",
    help=f"Full load before a server is measured.  [default: {servers.Kind.warm_up}; {servers.COMPILING:.0f} for ours "
    "with a Python that compiles as it runs]",
)
@click.option(
    "--rates", help="Requests a second for latencies, with commas between them, instead of the scenarios' own."
)
@click.option(
    "--suspended", type=click.IntRange(100), metavar="N", help="The most that suspend-capacity suspends at once."
)
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="Write every sample there.")
@click.option(
    "--html", "html_path", type=click.Path(dir_okay=False, path_type=Path), help="Write a report with plots there."
)
def run(
    cfg: Path | None,
    names: tuple[str, ...],
    commands: tuple[str, ...],
    pythons: tuple[str, ...],
    rounds: int,
    seconds: float,
    warm_up: float | None,
    rates: str | None,
    suspended: int | None,
    json_path: Path | None,
    html_path: Path | None,
) -> None:
    """Measure the servers, in rounds in which each has its turn."""
    try:
        wanted = scenario.shipped() if "all" in names else names or DEFAULT
        asked = [scenario.load(name) for name in wanted]
        for one in [*asked]:
            if lack := scenario.missing(one, cfg):
                if names and "all" not in names:
                    raise scenario.ScenarioError(f"{one.name}: {lack}")
                click.echo(f"{one.name} is left out: {lack}", err=True)
                asked.remove(one)
        plan = Plan(
            kinds=chosen(commands, pythons, warm_up),
            scenarios=asked,
            rounds=rounds, seconds=seconds, cfg=cfg, most_suspended=suspended,
            rates=tuple(float(rate) for rate in rates.split(",")) if rates else (),
        )  # fmt: skip
    except ValueError:
        raise click.UsageError("--rates are numbers with commas between them") from None
    except (scenario.ScenarioError, servers.StartFailed, interpreter.InterpreterError) as error:
        raise click.UsageError(str(error)) from None
    report = measured(plan)
    if json_path:
        report.save(json_path)
    if html_path:
        write_html(report, html_path)
    show(table.render(report))
    sys.exit(0 if report.usable else UNUSABLE)


def chosen(commands: tuple[str, ...], pythons: tuple[str, ...], warm_up: float | None) -> list[servers.Kind]:
    """The servers of the command line; without any ours, and Kamailio in both ways where it is installed."""
    made = [] if commands else [*servers.ours(pythons), *servers.real()]
    for command in commands:
        if command == "ours":
            made += servers.ours(pythons)
        elif command in ("kamailio", "fm"):
            real = servers.real()
            if not real:
                raise servers.StartFailed("kamailio is not installed: apt-get install kamailio")
            made.append(real[command == "fm"])
        else:
            made.append(servers.custom(command))
    if len({kind.name for kind in made}) < len(made):
        raise servers.StartFailed("servers need different names: NAME=COMMAND")
    return made if warm_up is None else [replace(kind, warm_up=warm_up) for kind in made]


def measured(plan: Plan) -> samples.Report:
    """Run it, with a line on the terminal that says how far it has come."""
    transports = dict.fromkeys(one.transport for one in plan.scenarios)
    about, commit = machine.describe(), machine.commit()
    own = interpreter.describe(sys.executable)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    # A display that refreshes in a thread of its own would disturb the generator.
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False, transient=True) as progress:
        begun = itertools.count()
        task = progress.add_task("the generator's own ceiling", total=plan.turns)

        def say(turn: int, kind: servers.Kind, one: scenario.Scenario, how_far: str) -> None:
            text = f"round {turn + 1} of {plan.rounds}: {one.name}, {kind.name}"
            if not (how_far or progress.console.is_terminal):
                click.echo(text, err=True)
            if how_far:
                progress.update(task, description=f"{text}, {how_far}")
            else:
                progress.update(task, description=text, completed=next(begun))
            progress.refresh()

        progress.refresh()
        ceilings = {transport: [machine.ceiling(transport, plan.seconds)] for transport in transports}
        found = measure.run(plan, say)
        for transport in transports:
            ceilings[transport].append(machine.ceiling(transport, plan.seconds))
    return samples.Report(
        machine=about,
        commit=commit,
        version=__version__,
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        options={
            "rounds": plan.rounds,
            "seconds": plan.seconds,
            "cfg": str(plan.cfg or ""),
            "rates": list(plan.rates),
            "suspended": plan.most_suspended,
        },
        servers={kind.name: kind.as_json() for kind in plan.kinds},
        generator={"python": {"version": own.version, "build": own.build, "loop_ns": own.loop_ns}, "ceiling": ceilings},
        scenarios=found,
    )


@main.command("compare")
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option("--all", "everything", is_flag=True, help="Show also what did not change.")
def compare_reports(before: Path, after: Path, everything: bool) -> None:
    """What got better or worse from one report (--json) to another.

    A change counts if it is larger than the noise of both, and than 5 %; see docs/benchmarking.md.
    """
    try:
        then, now = samples.load(before), samples.load(after)
        found = compare.changes(then, now)
    except (samples.ReportError, compare.NotComparable) as error:
        fail(UNREADABLE, str(error))
    show(table.render_changes(then, now, found, everything))
    sys.exit(UNUSABLE if any(one.verdict == compare.WORSE for one in found) else 0)


@main.command("html")
@click.argument("report", type=click.Path(path_type=Path))
@click.argument("html_path", metavar="HTML", type=click.Path(dir_okay=False, path_type=Path))
def html(report: Path, html_path: Path) -> None:
    """Make the HTML report of one that was written with --json."""
    try:
        write_html(samples.load(report), html_path)
    except samples.ReportError as error:
        fail(UNREADABLE, str(error))


def write_html(report: samples.Report, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page.render(report))


@main.command("scenarios")
def scenarios() -> None:
    """List the scenarios that ship."""
    width = max(len(name) for name in scenario.shipped())
    for name in scenario.shipped():
        click.echo(f"{name:{width}}  {scenario.load(name).title}")


if __name__ == "__main__":
    main()
