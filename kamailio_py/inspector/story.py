"""`kamshm trace INDEX:LABEL | CALL-ID`: the life of one call across processes, from the rings of events.

A Call-ID is found through the transactions that live, and for those that are gone by its hash, which the event of their
making carries. What the rings have overwritten since is gone; `complete` says whether the beginning is still there.
"""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType

from kamailio_py.inspector.cells import Cells
from kamailio_py.inspector.output import quiet, table, together
from kamailio_py.inspector.segment import NotFound, Segment
from kamailio_py.shm.trace import What, call_id_hash

Ident = tuple[int, int]


def transactions_of(segment: Segment, who: str) -> set[Ident]:
    """The transactions meant by a name or a Call-ID."""
    index, colon, label = who.partition(":")
    if colon and index.isdecimal() and label.isdecimal():
        return {(int(index), int(label))}
    wanted = call_id_hash(who)
    events = segment.memory.trace.events()
    found = {event.transaction for event in events if event.what is What.CREATED and event.detail == wanted}
    return found | {cell.ident for cell in Cells(segment).all() if cell.call_id == who}


def collect(segment: Segment, who: str) -> dict[str, Any]:
    """Its events in the order of time; NotFound when nothing is known of it."""
    wanted = transactions_of(segment, who)
    mine = segment.memory.trace.events(lambda index, label: (index, label) in wanted)
    if not mine:
        raise NotFound(f"nothing is known of {who}: it never was, or its events are overwritten")
    start = mine[0].at
    script = segment.script
    rows = []
    for event in mine:
        worker = segment.worker(event.slot)
        rows.append(
            {
                "seconds": (event.at - start) / 1e9,
                "transaction": "{}:{}".format(*event.transaction),
                "event": event.what.name.lower(),
                "detail": event.detail,
                "text": event.sentence(script.route, script.place),
                "pid": worker.pid if worker else None,
                "process": worker.description if worker else "",
            }
        )
    return {
        "who": who,
        "transactions": sorted({row["transaction"] for row in rows}),
        "complete": all(any(e.what is What.CREATED and e.transaction == one for e in mine) for one in wanted),
        "events": rows,
    }


def render(data: dict[str, Any]) -> RenderableType:
    several = len(data["transactions"]) > 1
    return together(
        None if data["complete"] else quiet("(the beginning is overwritten)"),
        table(
            "SECONDS>", *(("TRANSACTION",) if several else ()), "WHAT", "PID>", "PROCESS",
            rows=(
                (
                    f"{row['seconds']:.6f}", *((row["transaction"],) if several else ()), row["text"], row["pid"],
                    row["process"],
                )
                for row in data["events"]
            ),
        ),
    )  # fmt: skip
