"""`kamshm queue`: what stands in the queues between processes, and how fast it goes through."""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType
from rich.text import Text

from kamailio_py.inspector.items import in_hand, ring
from kamailio_py.inspector.output import alarm, duration, quiet, table, together
from kamailio_py.inspector.segment import Segment

Row = dict[str, Any]
GROUP = "async:"
"""Names of the queues of worker groups begin so."""
SHOWN = 20


def collect(segment: Segment, name: str = "") -> list[Row]:
    """All queues; with a name only that one, with its first items."""
    rows = []
    age = max(0.001, (segment.now - _first_sign(segment)) / 1e9)
    taken = list(in_hand(segment))
    for queue in segment.memory.queues.values():
        if name and queue.name not in (name, GROUP + name):
            continue
        waiting, stable = ring(segment, queue, SHOWN)
        now = segment.now
        row: Row = {
            "queue": queue.name,
            "group": queue.name.removeprefix(GROUP) if queue.name.startswith(GROUP) else "",
            "depth": queue.depth,
            "capacity": queue.capacity,
            "high_water": queue.high_water,
            "rejected": queue.rejected,
            "given_back": queue.given_back,
            "taken": queue.taken,
            "per_second": queue.taken / age,
            "oldest_seconds": max(0.0, (now - waiting[0].at) / 1e9) if waiting else None,
            "in_hand": [
                {"pid": item.worker.pid, "task": item.title(segment)}
                for item in taken
                if item.queue == queue.name and item.worker is not None
            ],
            "workers": len(_workers(segment, queue.name)),
            "consistent": stable,
        }
        if name:
            row["waiting"] = [
                {
                    "task": item.title(segment),
                    "waits_seconds": max(0.0, (now - item.at) / 1e9),
                    "position": item.position,
                }
                for item in waiting
            ]
        rows.append(row)
    return rows


def _first_sign(segment: Segment) -> int:
    """Monotonic nanoseconds when the first process entered its row."""
    started = [row.started for _, row in segment.memory.processes.rows() if row.started]
    return min(started, default=0) * 1_000_000


def _workers(segment: Segment, queue: str) -> list[int]:
    """Pids of the processes that take from a worker group's queue, known by their description."""
    title = f"Async Task Worker - {queue.removeprefix(GROUP)}"
    return [row.pid for _, row in segment.memory.processes.rows() if row.description == title]


def rates(rows: list[Row], before: list[Row], seconds: float) -> list[Row]:
    """The same with the throughput of the time since `before` rather than since the start."""
    was = {row["queue"]: row["taken"] for row in before}
    return [
        {**row, "per_second": (row["taken"] - was[row["queue"]]) / seconds} if row["queue"] in was else row
        for row in rows
    ]


def render(rows: list[Row]) -> RenderableType:
    shown = table(
        "QUEUE", "DEPTH>", "HIGH>", "CAPACITY>", "REJECTED>", "TAKEN>", "PER SECOND>", "OLDEST WAITS>", "IN HAND",
        rows=(
            (
                row["queue"], row["depth"], row["high_water"], row["capacity"],
                alarm(str(row["rejected"])) if row["rejected"] else "0", row["taken"], f"{row['per_second']:.1f}",
                duration(row["oldest_seconds"]), ", ".join(f"{one['pid']}: {one['task']}" for one in row["in_hand"]),
            )
            for row in rows
        ),
    )  # fmt: skip
    items = [
        (row["queue"], one["position"], one["task"], duration(one["waits_seconds"]))
        for row in rows
        for one in row.get("waiting", ())
    ]
    if not items:
        return shown
    return together(shown, Text(""), table("QUEUE", "NUMBER>", "TASK", "WAITS>", rows=items), quiet(""))
