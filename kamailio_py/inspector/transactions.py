"""`kamshm tm`: transactions, and for those that are suspended who did it where, and what will go on when."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from kamailio_py.inspector.cells import BLIND, TIMER_PENDS, TIMERS, Cell, Cells
from kamailio_py.inspector.items import Waiting, WaitingRoom
from kamailio_py.inspector.layouts import Values
from kamailio_py.inspector.output import duration, quiet, table, together
from kamailio_py.inspector.segment import Segment, Worker

Row = dict[str, Any]


def pending(segment: Segment, values: Values, names: tuple[str, ...] = TIMERS) -> dict[str, float]:
    """Seconds until each pending timer of a record is due; negative if it is late."""
    now = segment.now_ms
    return {
        name: (values[name]["due"] - now) / 1000
        for name in names
        if isinstance(values.get(name), dict) and values[name]["state"] == TIMER_PENDS
    }


def describe(segment: Segment, cell: Cell, room: WaitingRoom) -> Row:
    """One transaction as plain data."""
    values = cell.values
    row: Row = {
        "transaction": cell.name,
        "state": cell.state,
        "method": cell.method,
        "call_id": cell.call_id,
        "age_seconds": max(0.0, (segment.now_ms - values["created"]) / 1000),
        "status": values["status"],
        "references": values["refs"],
        "timers": pending(segment, values),
        "branches": [
            {
                "number": branch["number"],
                "status": branch["status"],
                "blind": bool(branch["flags"] & BLIND),
                "to": f"{branch['proto']}:{branch['dst_host']}:{branch['dst_port']}" if branch["dst_host"] else "",
                "timers": pending(segment, branch),
            }
            for branch, _ in cell.branches
        ],
        "consistent": cell.stable,
    }
    if values["suspended_at"] or cell.state == "suspended":
        row["suspended"] = suspension(segment, cell, room.found.get(cell.ident))
    return row


def suspension(segment: Segment, cell: Cell, waiting: Waiting | None) -> Row:
    """Who suspended it at which line, and what will run, when, and where it stands until then."""
    by = segment.worker(cell.values["suspended_by"] - 1)
    row: Row = {
        "at": segment.script.place(cell.values["suspended_at"]),
        "by": _process(by),
        "times_resumed": cell.values["resumes"],
        "route": "",
        "due_in_seconds": None,
        "timer": "",
        "queue": "",
        "position": None,
        "queued_seconds": None,
        "taken_by": None,
    }
    if waiting is not None:
        row["route"] = waiting.route
        row["timer"] = waiting.kind if waiting.due_ms is not None else ""
        if waiting.due_ms is not None:
            row["due_in_seconds"] = (waiting.due_ms - segment.now_ms) / 1000
        if waiting.queue:
            row["queue"] = waiting.queue
            row["position"] = waiting.position or None
            row["queued_seconds"] = max(0.0, (segment.now - waiting.queued_at) / 1e9)
            row["taken_by"] = _process(waiting.worker)
    return row


def _process(worker: Worker | None) -> Row | None:
    return None if worker is None else {"slot": worker.slot, "pid": worker.pid, "description": worker.description}


def collect(
    segment: Segment, *, state: str = "", method: str = "", call_id: str = "", limit: int = 0
) -> dict[str, Any]:
    """The transactions that are asked for, oldest first; `limit` 0 is all of them."""
    cells = Cells(segment)
    room = WaitingRoom.of(segment)
    rows: list[Row] = []
    for cell in _chosen(cells, state, method, call_id):
        rows.append(describe(segment, cell, room))
    rows.sort(key=lambda row: -row["age_seconds"])
    return {"total": len(cells), "shown": rows[:limit] if limit else rows, "matching": len(rows)}


def _chosen(cells: Cells, state: str, method: str, call_id: str) -> Iterator[Cell]:
    for cell in cells.all():
        if (
            (not state or cell.state == state)
            and (not method or cell.method == method.upper())
            and (not call_id or cell.call_id == call_id)
        ):
            yield cell


def render(data: dict[str, Any]) -> RenderableType:
    rows = data["shown"]
    shown = table(
        "TRANSACTION", "STATE", "METHOD", "CALL-ID", "AGE>", "STATUS>", "BRANCHES", "SUSPENDED AT", "BY", "ROUTE",
        "DUE", "QUEUE",
        rows=(
            (
                row["transaction"],
                _state(row),
                row["method"],
                row["call_id"],
                duration(row["age_seconds"]),
                row["status"] or "",
                branches(row["branches"]),
                *suspended(row.get("suspended") if row["state"] == "suspended" else None),
            )
            for row in rows
        ),
    )  # fmt: skip
    left = data["matching"] - len(rows)
    return together(shown, quiet(f"and {left} more (--limit 0 shows all)") if left else None)


def _state(row: Row) -> Text:
    styles = {"suspended": "yellow", "continuing": "cyan", "canceled": "red"}
    return Text(row["state"] + ("" if row["consistent"] else "?"), style=styles.get(row["state"], ""))


def branches(rows: list[Row]) -> str:
    """`0:180 1:-`, blind ones in brackets."""
    words = [f"{row['number']}:{row['status'] or '-'}" for row in rows]
    return " ".join(f"({word})" if row["blind"] else word for word, row in zip(words, rows, strict=True))


def suspended(row: Row | None) -> tuple[str, str, str, str, str]:
    """At, by, route, due and queue as the table has them."""
    if row is None:
        return "", "", "", "", ""
    by = row["by"]
    due = row["due_in_seconds"]
    queue = row["queue"]
    if row["taken_by"]:
        queue += f", in hand of {row['taken_by']['pid']}"
    elif row["position"]:
        queue += f", number {row['position']}"
    return (
        row["at"],
        f"{by['pid']} {by['description'].partition(' sock=')[0]}" if by else "",
        row["route"],
        "" if due is None else (f"in {duration(due)}" if due >= 0 else f"{duration(-due)} ago"),
        queue or (f"timer {row['timer']}" if row["timer"] else ""),
    )


def statistics(segment: Segment) -> dict[str, Any]:
    """How many there are in each state, and tm's own counters."""
    cells = Cells(segment)
    room = WaitingRoom.of(segment)
    waiting = list(room.found.values())
    counters = {
        name: segment.memory.counters.total(number)
        for group, name, number in segment.memory.counters.names()
        if group == "tm"
    }
    return {
        "transactions": len(cells),
        "states": cells.count(),
        "waiting": {
            "timer": sum(1 for one in waiting if one.due_ms is not None),
            "queue": sum(1 for one in waiting if one.queue and one.worker is None),
            "in_hand": sum(1 for one in waiting if one.worker is not None),
        },
        "counters": counters,
    }


def render_statistics(data: dict[str, Any]) -> RenderableType:
    waits = data["waiting"]
    return together(
        table("STATE", "TRANSACTIONS>", rows=[*data["states"].items(), ("all", data["transactions"])]),
        Text(""),
        table(
            "SUSPENDED ONES WAIT",
            "TRANSACTIONS>",
            rows=[("for their time", waits["timer"]), ("in a queue", waits["queue"]), ("in hand", waits["in_hand"])],
        ),
        Text(""),
        table("STATISTIC", "VALUE>", rows=data["counters"].items()),
    )
