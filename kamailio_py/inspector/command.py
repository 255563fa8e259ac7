"""The `kamshm` command: its options, its subcommands, and what its exit codes mean.

Options stand before or after the subcommand. Each subcommand has one function that reads (plain data, what --json
prints) and one that shows it; they are in the files of their nouns.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

import click
from rich.console import RenderableType
from rich.text import Text

from kamailio_py import __version__
from kamailio_py.inspector import (
    check,
    locks,
    machine,
    memory,
    processes,
    prometheus,
    queues,
    story,
    tables,
    timers,
    transactions,
)
from kamailio_py.inspector import transaction as one_transaction
from kamailio_py.inspector.output import console, show
from kamailio_py.inspector.segment import NotFound, Segment, attached
from kamailio_py.shm.errors import SharedMemoryError

WRONG, UNREADABLE = 1, 3
EXIT_CODES = """
\b
Exit codes:
  0  it was shown, and nothing is wrong
  1  what was asked for is not there, or something is wrong: a dead process or
     one that holds a lock, an inconsistency (check), memory that grew (diff)
  2  the command line is wrong
  3  no segment, several to choose from, or one that cannot be read
"""
EXAMPLES = """
\b
Examples:
  kamshm ls                         what is there, live and left over
  kamshm ps --watch 1               what every process does, once a second
  kamshm tm list --state suspended  who suspended what where, and when it goes on
  kamshm trace 'a84b4c76e66710'     one call's life across processes
  kamshm -i 4711 locks              by the pid of any process of the instance
  kamshm -i core.copy tm            a saved copy, or what a crash left
"""

Read = Callable[..., Any]
Render = Callable[[Any], RenderableType]


class Settings:
    """The common options: what stands behind the subcommand wins."""

    def __init__(self) -> None:
        self.instance: str | None = None
        self.json = False
        self.watch: float | None = None

    def take(self, instance: str | None, as_json: bool, watch: float | None) -> None:
        self.instance = instance if instance is not None else self.instance
        self.json = as_json or self.json
        self.watch = watch if watch is not None else self.watch


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options every subcommand has."""
    for option in (
        click.option("--watch", type=click.FloatRange(min=0.05), metavar="N", help="Again every N seconds, until ^C."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON; with --watch one object on each line."),
        click.option("-i", "--instance", metavar="NAME|PID|FILE", help="Which segment, where there are several."),
    ):
        command = option(command)
    return command


def fail(code: int, text: str) -> None:
    click.echo(f"kamshm: {text}", err=True)
    sys.exit(code)


def subcommand(
    group: click.Group,
    name: str,
    render: Render,
    wrong: Callable[[Any], object] | None = None,
    *parameters: Callable[[Any], Any],
    attach: bool = True,
) -> Callable[[Read], Read]:
    """Make a subcommand of a function that reads.

    It gets the segment (unless `attach` is false) and the subcommand's own parameters; the exit code is 1 where
    `wrong(data)` is true.
    """

    def make(read: Read) -> Read:
        @wraps(read)
        def run(instance: str | None, as_json: bool, watch: float | None, **own: Any) -> None:
            settings = click.get_current_context().ensure_object(Settings)
            settings.take(instance, as_json, watch)
            sys.exit(rounds(settings, read, render, wrong, own, attach))

        made = common(run)
        for parameter in reversed(parameters):
            made = parameter(made)
        group.command(name)(made)
        return read

    return make


def rounds(
    settings: Settings,
    read: Read,
    render: Render,
    wrong: Callable[[Any], object] | None,
    own: dict[str, Any],
    attach: bool,
) -> int:
    """Read and print, once or again and again; the exit code."""
    before: tuple[float, Any] | None = None
    try:
        while True:
            if attach:
                with attached(settings.instance) as segment:
                    data = read(segment, **own)
            else:
                data = read(**own)
            now = time.monotonic()
            if read is show_queues and before is not None:
                data = queues.rates(data, before[1], now - before[0])
            before = now, data
            emit(settings, data, render)
            if settings.watch is None:
                return WRONG if wrong is not None and wrong(data) else 0
            time.sleep(settings.watch)
    except NotFound as error:
        fail(WRONG, str(error))
    except SharedMemoryError as error:
        fail(UNREADABLE, str(error))
    except (KeyboardInterrupt, BrokenPipeError):
        pass
    return 0


def emit(settings: Settings, data: Any, render: Render) -> None:
    """One round of output."""
    if settings.json:
        line = json.dumps(data, default=str, indent=None if settings.watch else 2)
        click.echo(line)
        return
    if settings.watch is not None:
        out = console()
        if out.is_terminal:
            out.clear()
    show(render(data))
    sys.stdout.flush()


class Kamshm(click.Group):
    """Subcommands in the order they are written."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=Kamshm, epilog=EXAMPLES + EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@common
@click.version_option(__version__, prog_name="kamshm")
@click.pass_context
def main(ctx: click.Context, instance: str | None, as_json: bool, watch: float | None) -> None:
    """Look into the shared memory of kamailio-py: of a server that runs, hangs or is dead, or into a copy.

    Reads only, and takes no lock: the server does not notice.
    """
    ctx.ensure_object(Settings).take(instance, as_json, watch)


LIMIT = click.option("--limit", type=int, default=100, show_default=True, help="At most so many; 0 for all.")


@subcommand(main, "ls", machine.render, lambda rows: not rows, attach=False)
def list_instances() -> Any:
    """Instances on this machine, live and left over: pid, age, size, use, config."""
    return machine.collect()


@subcommand(
    main, "rm", lambda names: Text("\n".join(f"{name} removed" for name in names)), None,
    click.option("--all", "everything", is_flag=True, help="All that are left over."),
    click.argument("names", nargs=-1), attach=False,
)  # fmt: skip
def remove(names: tuple[str, ...], everything: bool) -> Any:
    """Remove the segments that dead servers left, by name; one whose server runs is refused."""
    if not names and not everything:
        raise click.UsageError("which ones? NAMES or --all")
    return machine.remove(list(names), everything)


@subcommand(main, "ps", processes.render, processes.dead)
def show_processes(segment: Segment) -> Any:
    """Processes: alive or not, what each is doing at which line of the config, which lock it has or waits for."""
    return processes.collect(segment)


@main.group("tm", cls=Kamshm, invoke_without_command=True)
@common
@click.pass_context
def tm(ctx: click.Context, instance: str | None, as_json: bool, watch: float | None) -> None:
    """Transactions; without a subcommand the same as list."""
    ctx.ensure_object(Settings).take(instance, as_json, watch)
    if ctx.invoked_subcommand is None:
        ctx.invoke(tm.commands["list"], instance=None, as_json=False, watch=None, limit=100)


@subcommand(
    tm, "list", transactions.render, None,
    click.option("--state", default="", help="Only those: active, suspended, continuing, canceled, completed."),
    click.option("--method", default="", help="Only requests of this method."),
    click.option("--call-id", default="", help="Only those of this call."),
    LIMIT,
)  # fmt: skip
def list_transactions(segment: Segment, state: str = "", method: str = "", call_id: str = "", limit: int = 0) -> Any:
    """Transactions, oldest first: state, branches and timers; who suspended it where, and when it goes on."""
    return transactions.collect(segment, state=state, method=method, call_id=call_id, limit=limit)


@subcommand(tm, "show", one_transaction.render, None, click.argument("transaction", metavar="INDEX:LABEL"))
def show_transaction(segment: Segment, transaction: str) -> Any:
    """All of one transaction: request, lumps, AVPs, armed routes, branches, last reply, references."""
    return one_transaction.collect(segment, transaction)


@subcommand(tm, "stats", transactions.render_statistics)
def transaction_statistics(segment: Segment) -> Any:
    """How many transactions are in which state, what the suspended ones wait for, tm's statistics."""
    return transactions.statistics(segment)


@subcommand(
    main, "avp", tables.render_avps, None, click.argument("transaction", metavar="[INDEX:LABEL]", required=False)
)
def show_avps(segment: Segment, transaction: str | None) -> Any:
    """AVPs, XAVPs, XAVUs and XAVIs of all transactions, or of one."""
    return tables.avps(segment, transaction)


@subcommand(
    main, "htable", lambda rows: tables.render_items(rows) if rows and "key" in rows[0] else tables.render_rows(rows),
    None, click.argument("name", required=False), click.argument("key", required=False),
)  # fmt: skip
def show_htable(segment: Segment, name: str | None, key: str | None) -> Any:
    """The htables; with a NAME its items, with a KEY that one."""
    return tables.items(segment, name, key) if name else tables.htables(segment)


@subcommand(main, "shv", tables.render_shared_variables)
def show_shared_variables(segment: Segment) -> Any:
    """Shared variables, $shv(name)."""
    return tables.shared_variables(segment)


@subcommand(
    main, "table", lambda data: tables.render_names(data) if isinstance(data, dict) else tables.render_rows(data),
    None, click.argument("name", required=False), LIMIT,
)  # fmt: skip
def show_table(segment: Segment, name: str | None, limit: int) -> Any:
    """Any table of any module, decoded by the layout it has in the segment; without a NAME what there is."""
    return tables.of_table(segment, name, limit) if name else tables.names(segment)


@subcommand(main, "records", tables.render_rows, None, click.argument("owner"), LIMIT)
def show_records(segment: Segment, owner: str, limit: int) -> Any:
    """Records of any OWNER of memory (module:purpose, see table and mem), decoded by their layout."""
    return tables.of_owner(segment, owner, limit)


@subcommand(main, "queue", queues.render, None, click.argument("name", required=False))
def show_queues(segment: Segment, name: str | None) -> Any:
    """Queues of worker groups and modules: depth, high-water mark, rejected, oldest waiting, throughput.

    With a NAME also what stands in it. With --watch the throughput is that of the last N seconds.
    """
    return queues.collect(segment, name or "")


@subcommand(main, "timers", timers.render)
def show_timers(segment: Segment) -> Any:
    """Pending timers by kind and due time; how late timers were fired."""
    return timers.collect(segment)


@subcommand(main, "locks", locks.render, locks.dead)
def show_locks(segment: Segment) -> Any:
    """Locks that are held, by whom, at which line; how often each was waited for; a dead holder in red."""
    return locks.collect(segment)


@subcommand(main, "mem", memory.render)
def show_memory(segment: Segment) -> Any:
    """Memory by owner (module:purpose) and by size class; fragmentation."""
    return memory.collect(segment)


@subcommand(main, "snapshot", memory.render_snapshot, None, click.argument("file"))
def take_snapshot(segment: Segment, file: str) -> Any:
    """Copy the segment to a FILE, for a look later (-i FILE) or for diff."""
    return memory.snapshot(segment, file)


@subcommand(
    main, "diff", memory.render_difference, lambda data: data["grew"],
    click.argument("before"), click.argument("after", required=False), attach=False,
)  # fmt: skip
def compare(before: str, after: str | None) -> Any:
    """What grew from BEFORE to AFTER by owner of memory; each a snapshot, an instance or a pid.

    Without AFTER the instance as it is now.
    """
    settings = click.get_current_context().ensure_object(Settings)
    with attached(before) as first, attached(after or settings.instance) as second:
        return memory.difference(first, second)


@subcommand(
    main, "trace", story.render, None, click.argument("who", metavar="INDEX:LABEL|CALL-ID"),
)  # fmt: skip
def trace(segment: Segment, who: str) -> Any:
    """One call's life across processes: received, suspended, queued, taken, resumed, answered, deleted."""
    return story.collect(segment, who)


@subcommand(main, "check", check.render, lambda data: data["faults"])
def check_everything(segment: Segment) -> Any:
    """Walk every structure and say what is inconsistent; exit code 1 if anything is."""
    return check.collect(segment)


@subcommand(main, "prometheus", lambda families: Text(prometheus.text(families).rstrip("\n")))
def expose(segment: Segment) -> Any:
    """Everything that can be counted, in the text format that Prometheus scrapes."""
    return prometheus.collect(segment)


@main.command("top")
@common
def top(instance: str | None, as_json: bool, watch: float | None) -> None:
    """A live view of the whole screen; keys lead from one thing to the next. Needs kamailio-py[live]."""
    settings = click.get_current_context().ensure_object(Settings)
    settings.take(instance, as_json, watch)
    try:
        from kamailio_py.inspector.top import Top
    except ImportError:
        fail(2, "top needs textual: pip install 'kamailio-py[live]'")
    try:
        with attached(settings.instance):
            pass
    except SharedMemoryError as error:
        fail(UNREADABLE, str(error))
    Top(settings.instance, settings.watch or 1.0).run()


if __name__ == "__main__":
    main()
