"""`kamshm locks`: who holds which lock, who waits for it, which ones are waited for most; a dead holder in red.

What is known of a holder costs it nothing: its slot stands beside the lock, and its row of the process table says what
it has in hand and since when, so `at most` it has held the lock that long. Waiting is sampled by the timer process
whenever it has fired timers: the more samples, the more time was lost there.
"""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType
from rich.text import Text

from kamailio_py.inspector import processes
from kamailio_py.inspector.output import alarm, duration, quiet, table, together
from kamailio_py.inspector.segment import Segment

Row = dict[str, Any]
NAMED = 20


def collect(segment: Segment) -> dict[str, Any]:
    """Locks that are held now, and groups of locks with what was sampled of them."""
    rows = {row["slot"]: row for row in processes.collect(segment)}
    held = []
    for name, slot in segment.memory.held().items():
        row = rows.get(slot)
        held.append(
            {
                "lock": name,
                "slot": slot,
                "pid": row["pid"] if row else None,
                "description": row["description"] if row else "",
                "state": row["state"] if row else "dead",
                "place": row["place"] if row else "",
                "at_most_seconds": row["busy_seconds"] if row else None,
                "doing": row["doing"] if row else "",
                "waited_for_by": [other["pid"] for other in rows.values() if other["waits_for"] == name],
            }
        )
    groups: list[Row] = []
    for name, group in segment.memory.lock_groups.items():
        groups.append(
            {
                "group": name,
                "locks": len(group),
                # counted up at every take and every release
                "taken": sum(lock.generation for lock in group) // 2,
                "waits_sampled": sum(lock.waits for lock in group),
                "most_waited_for": max(group, key=lambda lock: lock.waits).name if any(k.waits for k in group) else "",
            }
        )
    groups.sort(key=lambda row: (-row["waits_sampled"], -row["taken"]))
    return {"held": held, "groups": groups}


def dead(data: dict[str, Any]) -> list[Row]:
    """Locks whose holder is dead."""
    return [row for row in data["held"] if row["state"] == "dead"]


def render(data: dict[str, Any]) -> RenderableType:
    held = data["held"]
    now = (
        table(
            "HELD", "PID>", "PROCESS", "STATE", "AT MOST>", "AT", "DOING", "WAITED FOR BY",
            rows=(
                [
                    alarm(str(value)) if row["state"] == "dead" else value
                    for value in (
                        row["lock"], row["pid"], row["description"], row["state"], duration(row["at_most_seconds"]),
                        row["place"], row["doing"], " ".join(map(str, row["waited_for_by"])),
                    )
                ]
                for row in held
            ),
        )
        if held
        else quiet("no lock is held at this moment")
    )  # fmt: skip
    used = [row for row in data["groups"] if row["taken"]]
    return together(
        now,
        Text(""),
        table(
            "LOCKS", "NUMBER>", "TAKEN>", "WAITS SAMPLED>", "MOST WAITED FOR",
            rows=(
                (row["group"], row["locks"], row["taken"], row["waits_sampled"], row["most_waited_for"])
                for row in used[:NAMED]
            ),
        ),
    )  # fmt: skip
