"""`kamshm ps`: who runs, what each process is doing, at which line of the config, and which lock it has or wants."""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType
from rich.text import Text

from kamailio_py.inspector.items import decode
from kamailio_py.inspector.output import alarm, duration, quiet, table
from kamailio_py.inspector.segment import Segment

Row = dict[str, Any]


def collect(segment: Segment) -> list[Row]:
    """One entry for each slot that is or was in use."""
    memory = segment.memory
    held: dict[int, list[str]] = {}
    for name, slot in memory.held().items():
        held.setdefault(slot, []).append(name)
    queues = {queue.offset: queue.name for queue in memory.queues.values()}
    found = []
    for slot, row in memory.processes.rows():
        now = segment.now
        doing = row.doing.split("\r\n", 1)[0].rstrip("\r\n") if row.since else ""
        if row.claim in queues:
            doing = f"task {decode(segment, queues[row.claim], row.claim_item, 0).title(segment)}"
        busy = row.since != 0 or row.claim in queues
        intent = memory.lock_at(row.intent)
        wants = intent.name if intent is not None and intent.holder >= 0 and intent.holder != slot else ""
        found.append(
            {
                "slot": slot,
                "pid": row.pid,
                "rank": row.rank,
                "description": row.description,
                "state": segment.state_of(row.pid),
                "heartbeat_seconds": max(0.0, (now - row.heartbeat) / 1e9) if row.heartbeat else None,
                "doing": doing,
                "place": segment.script.place(row.place) if busy else "",
                "busy_seconds": max(0.0, (now - row.since) / 1e9) if row.since else None,
                "holds": held.get(slot, []),
                "waits_for": wants,
            }
        )
    return found


def dead(rows: list[Row]) -> list[Row]:
    """Processes that should run and do not."""
    return [row for row in rows if row["state"] == "dead"]


def _state(state: str) -> Text:
    return alarm(state) if state in ("dead", "stopped") else Text(state)


def render(rows: list[Row]) -> RenderableType:
    return table(
        "PID>", "RANK>", "DESCRIPTION", "STATE", "HEARTBEAT>", "FOR>", "AT", "DOING", "LOCKS",
        rows=(
            (
                row["pid"], row["rank"], row["description"], _state(row["state"]), duration(row["heartbeat_seconds"]),
                duration(row["busy_seconds"]), row["place"], row["doing"] or quiet("waits"), locks_of(row),
            )
            for row in rows
        ),
    )  # fmt: skip


def locks_of(row: Row) -> Text:
    """`holds tm.locks[3]`, `waits for wheel.locks[1]`."""
    words = [f"holds {name}" for name in row["holds"]]
    if row["waits_for"]:
        words.append(f"waits for {row['waits_for']}")
    return alarm(", ".join(words)) if words and row["state"] == "dead" else Text(", ".join(words))
