"""`kamshm ls` and `kamshm rm`: the segments on this machine, of servers that run and of dead ones."""

from __future__ import annotations

import os
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from kamailio_py.clock import Clock
from kamailio_py.inspector.output import alarm, duration, quiet, size, table
from kamailio_py.inspector.segment import Segment
from kamailio_py.shm import instances
from kamailio_py.shm.errors import SharedMemoryError
from kamailio_py.shm.memory import SharedMemory

Row = dict[str, Any]


def collect() -> list[Row]:
    """All of them, in the order of their names; for what cannot be read, why."""
    return [_row(found) for found in instances.instances()]


def _row(found: instances.Instance) -> Row:
    path = f"{instances.DIRECTORY}/{instances.PREFIX}{found.name}"
    row: Row = {
        "instance": found.name,
        "state": "live" if found.live else "left over",
        "pid": found.master or None,
        "cfg": "",
        "age_seconds": Clock.now() - found.started if found.started else None,
        "size": found.size,
        "used": None,
        "memory": _resident(path),
        "error": "",
    }
    try:
        memory = SharedMemory.open(path)
    except SharedMemoryError as error:
        row["error"] = str(error).removeprefix(f"{path}: ")
        row["state"] = "unreadable"
        return row
    segment = Segment(memory, path)
    row["cfg"] = segment.script.cfg
    row["used"] = memory.arena.used
    if segment.is_copy:
        row["state"] = "copy"
    segment.close()
    return row


def _resident(path: str) -> int | None:
    """Bytes of the machine's memory that the segment takes."""
    try:
        return os.stat(path).st_blocks * 512
    except OSError:
        return None


def render(rows: list[Row]) -> RenderableType:
    if not rows:
        return quiet("no instance on this machine")
    return table(
        "INSTANCE", "STATE", "PID>", "AGE>", "SIZE>", "USED>", "MEMORY>", "CFG",
        rows=(
            (
                row["instance"], _state(row), row["pid"], duration(row["age_seconds"]), size(row["size"]),
                size(row["used"]) if row["used"] is not None else "",
                size(row["memory"]) if row["memory"] is not None else "", row["cfg"] or row["error"],
            )
            for row in rows
        ),
    )  # fmt: skip


def _state(row: Row) -> Text:
    if row["state"] == "live":
        return Text("live", style="green")
    return alarm(row["state"]) if row["state"] == "unreadable" else Text(row["state"], style="yellow")


def remove(names: list[str], everything: bool) -> list[str]:
    """Remove left-over segments by name, or all there are; the names of those removed.

    InstanceRunning for one whose server runs, SharedMemoryError for a name that has none; nothing is removed then.
    """
    if everything:
        names = [found.name for found in instances.instances() if not found.live]
    for name in names:
        found = instances.find(name)
        if found is None:
            raise SharedMemoryError(f"no instance {name}")
        if found.live:
            raise instances.InstanceRunning(f"instance {name} is running with pid {found.master}: it is not removed")
    return [name for name in names if instances.remove(name)]
