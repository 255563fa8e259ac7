"""`kamshm top`: a live view of the whole screen, of textual (the extra `live`).

A line of rates and sums on top, one list under it: processes, transactions, queues, timers, locks or memory, each by a
key; Enter leads from a transaction to all that is kept of it, or to its story. Each round attaches anew, so a server
that was started again or went away is noticed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.console import RenderableType
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import DataTable, Footer, Static

from kamailio_py.inspector import locks, memory, processes, queues, story, timers, transaction, transactions
from kamailio_py.inspector.cells import Cells
from kamailio_py.inspector.output import alarm, duration, size
from kamailio_py.inspector.segment import NotFound, Segment, attached
from kamailio_py.shm.errors import SharedMemoryError

Row = tuple[str, tuple[Any, ...]]
MOST = 500
"""Transactions that are listed."""


@dataclass(frozen=True, slots=True)
class View:
    """One list: its columns, and (key, cells) of its rows."""

    title: str
    columns: tuple[str, ...]
    rows: Callable[[Segment], Iterable[Row]]


def _processes(segment: Segment) -> Iterable[Row]:
    for row in processes.collect(segment):
        state = alarm(row["state"]) if row["state"] in ("dead", "stopped") else row["state"]
        yield (
            str(row["slot"]),
            (
                row["pid"], row["description"], state, duration(row["busy_seconds"]), row["place"], row["doing"],
                processes.locks_of(row),
            ),
        )  # fmt: skip


def _transactions(state: str) -> Callable[[Segment], Iterable[Row]]:
    def rows(segment: Segment) -> Iterable[Row]:
        for row in transactions.collect(segment, state=state, limit=MOST)["shown"]:
            at, by, route, due, queue = transactions.suspended(
                row.get("suspended") if row["state"] == "suspended" else None
            )
            yield (
                row["transaction"],
                (
                    row["transaction"], row["state"], row["method"], row["call_id"], duration(row["age_seconds"]),
                    row["status"] or "", transactions.branches(row["branches"]), at, by, route, due, queue,
                ),
            )  # fmt: skip

    return rows


def _queues(segment: Segment) -> Iterable[Row]:
    for row in queues.collect(segment):
        in_hand = ", ".join(f"{one['pid']}: {one['task']}" for one in row["in_hand"])
        yield (
            row["queue"],
            (
                row["queue"], row["depth"], row["high_water"], row["rejected"], row["taken"],
                duration(row["oldest_seconds"]), in_hand,
            ),
        )  # fmt: skip


def _timers(segment: Segment) -> Iterable[Row]:
    for row in timers.collect(segment)["kinds"]:
        yield row["kind"], (row["kind"], row["pending"], duration(row["next_seconds"]))


def _locks(segment: Segment) -> Iterable[Row]:
    found = locks.collect(segment)
    for row in found["held"]:
        paint = alarm if row["state"] == "dead" else str
        yield (
            row["lock"],
            (
                paint(row["lock"]), f"{row['pid']} {row['description']}", row["state"], row["place"],
                duration(row["at_most_seconds"]), " ".join(map(str, row["waited_for_by"])), "",
            ),
        )  # fmt: skip
    for row in found["groups"]:
        if row["taken"]:
            yield row["group"], (row["group"], "", "", "", "", row["waits_sampled"], row["taken"])


def _memory(segment: Segment) -> Iterable[Row]:
    for row in memory.collect(segment)["owners"]:
        yield row["owner"], (row["owner"], row["blocks"], row["bytes"], row["asked"] // row["blocks"])


TRANSACTION = (
    "TRANSACTION", "STATE", "METHOD", "CALL-ID", "AGE", "STATUS", "BRANCHES", "SUSPENDED AT", "BY", "ROUTE", "DUE",
    "QUEUE",
)  # fmt: skip
VIEWS = {
    "processes": View("processes", ("PID", "DESCRIPTION", "STATE", "FOR", "AT", "DOING", "LOCKS"), _processes),
    "suspended": View("suspended transactions", TRANSACTION, _transactions("suspended")),
    "transactions": View("transactions", TRANSACTION, _transactions("")),
    "queues": View("queues", ("QUEUE", "DEPTH", "HIGH", "REJECTED", "TAKEN", "OLDEST WAITS", "IN HAND"), _queues),
    "timers": View("timers", ("KIND", "PENDING", "NEXT"), _timers),
    "locks": View("locks", ("LOCK", "HOLDER", "STATE", "AT", "AT MOST", "WAITED FOR", "TAKEN"), _locks),
    "memory": View("memory", ("OWNER", "BLOCKS", "BYTES", "PER BLOCK"), _memory),
}


class Rates:
    """How fast counters went since the round before."""

    COUNTED: ClassVar[tuple[tuple[str, str, str], ...]] = (
        ("requests", "core", "rcv_requests"),
        ("replies", "core", "rcv_replies"),
        ("transactions", "tm", "total"),
    )

    def __init__(self) -> None:
        self._before: tuple[float, dict[str, int]] | None = None

    def line(self, segment: Segment) -> str:
        counters = segment.memory.counters
        values = {
            title: counters.total(counters.ids[group, name])
            for title, group, name in self.COUNTED
            if (group, name) in counters.ids
        }
        now = time.monotonic()
        before, self._before = self._before, (now, values)
        if before is None:
            return "  ".join(f"{title} {value}" for title, value in values.items())
        passed = max(0.001, now - before[0])
        return "  ".join(
            f"{title} {(value - before[1].get(title, 0)) / passed:.0f}/s" for title, value in values.items()
        )


class Details(ModalScreen[None]):
    """All of one thing, until Escape."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter", "app.pop_screen", "back")]

    def __init__(self, what: RenderableType) -> None:
        super().__init__()
        self._what = what

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(self._what, id="details")
        yield Footer()


class Top(App[None]):
    """The view; `choice` is what -i says, `interval` the seconds between two rounds."""

    TITLE = "kamshm top"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
        #sums { height: auto; padding: 0 1; background: $panel; }
        #list { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "view('processes')", "processes"),
        Binding("s", "view('suspended')", "suspended"),
        Binding("t", "view('transactions')", "transactions"),
        Binding("u", "view('queues')", "queues"),
        Binding("i", "view('timers')", "timers"),
        Binding("l", "view('locks')", "locks"),
        Binding("m", "view('memory')", "memory"),
        Binding("r", "trace", "trace"),
        Binding("q", "quit", "quit"),
    ]

    def __init__(self, choice: str | None, interval: float = 1.0) -> None:
        super().__init__()
        self._choice = choice
        self._interval = interval
        self._view = VIEWS["processes"]
        self._rates = Rates()
        self._above = Static(id="sums")
        self.listed: DataTable[Any] = DataTable(id="list", cursor_type="row", zebra_stripes=True)

    def compose(self) -> ComposeResult:
        yield self._above
        yield self.listed
        yield Footer()

    def on_mount(self) -> None:
        self.action_view("processes")
        self.set_interval(self._interval, self.refresh_list)

    def action_view(self, name: str) -> None:
        """Show another list."""
        self._view = VIEWS[name]
        self.listed.clear(columns=True)
        for column in self._view.columns:
            self.listed.add_column(column, key=column)
        self.refresh_list()
        self.listed.focus()

    def refresh_list(self) -> None:
        """One round."""
        shown = self.listed
        if not shown.is_attached:
            return  # it ends at this moment
        try:
            with attached(self._choice) as segment:
                self._above.update(self._sums(segment))
                rows = list(self._view.rows(segment))
        except SharedMemoryError as error:
            self._above.update(alarm(str(error)))
            return
        at, scrolled = shown.cursor_row, shown.scroll_offset
        shown.clear()
        for key, cells in rows:
            shown.add_row(*cells, key=key)
        shown.move_cursor(row=min(at, max(0, len(rows) - 1)), animate=False)
        shown.scroll_to(scrolled.x, scrolled.y, animate=False)

    def _sums(self, segment: Segment) -> Text:
        arena, states = segment.memory.arena, Cells(segment).count()
        rows = processes.collect(segment)
        busy = sum(1 for row in rows if row["doing"])
        lost = len(processes.dead(rows))
        up = duration(time.time() - segment.header.started / 1000)
        depth = sum(queue.depth for queue in segment.memory.queues.values())
        state = "live" if segment.live else ("copy" if segment.is_copy else "left over")
        parts: list[str | Text | tuple[str, str]] = [
            (segment.name, "bold"),
            f"  {state}  since {up}  {self._rates.line(segment)}\n",
            f"processes {len(rows)}, {busy} busy  ",
            alarm(f"{lost} dead  ") if lost else "",
            "transactions ",
            ", ".join(f"{count} {name}" for name, count in states.items() if count) or "none",
            f"\nqueued {depth}  locks held {len(segment.memory.held())}  ",
            f"memory {size(arena.used)} of {size(arena.total)}  ",
            alarm(f"exhausted {arena.exhausted} times  ") if arena.exhausted else "",
            (self._view.title, "reverse"),
        ]
        return Text.assemble(*parts)

    def _chosen(self) -> str | None:
        """The transaction under the cursor."""
        if self._view.columns is not TRANSACTION or not self.listed.row_count:
            return None
        return self.listed.coordinate_to_cell_key(self.listed.cursor_coordinate).row_key.value

    def on_data_table_row_selected(self) -> None:
        self._look(lambda segment, name: transaction.render(transaction.collect(segment, name)))

    def action_trace(self) -> None:
        """The story of the transaction under the cursor."""
        self._look(lambda segment, name: story.render(story.collect(segment, name)))

    def _look(self, at: Callable[[Segment, str], RenderableType]) -> None:
        name = self._chosen()
        if name is None:
            return
        try:
            with attached(self._choice) as segment:
                self.push_screen(Details(at(segment, name)))
        except (NotFound, SharedMemoryError) as error:
            self.notify(str(error), severity="warning")
