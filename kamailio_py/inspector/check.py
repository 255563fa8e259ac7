"""`kamshm check`: walks every structure and says what is inconsistent.

The structures check themselves; on top come what they owe each other: timers and the records they are in, what tm's
cells lead to, locks and claims and the processes that have them. A server that runs goes on meanwhile, so a fault
counts when it is there in each of several looks.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from kamailio_py.inspector.cells import DEAD, TIMER_PENDS, TIMERS, Cells
from kamailio_py.inspector.output import alarm, table, together
from kamailio_py.inspector.segment import Segment
from kamailio_py.shm.errors import SharedMemoryError

LOOKS = 4
PAUSE = 0.05
OVERLOOKED = 60_000
"""Milliseconds that the wheel is beyond a timer's due time: what was due long ago when it was added fires at once."""
CELL_OWNERS = {
    "reply": "tm:reply",
    "script": "tm:script state",
    "attributes": "tm:avps",
    "data": "tm:callback data",
    "cancel_reason": "tm:cancel",
    "mail": "tm:waiting event",
}
"""Whose the blocks are that a cell leads to."""


def faults(segment: Segment) -> list[str]:
    """What is wrong; looked at once if nobody writes, else what is wrong in each of several looks."""
    found = _once(segment)
    looks = LOOKS if segment.live else 1
    while found and looks > 1:
        time.sleep(PAUSE)
        again = set(_once(segment))
        found = [fault for fault in found if fault in again]
        looks -= 1
    return found


def _once(segment: Segment) -> list[str]:
    found: list[str] = []
    for part in (_structures, _processes, _timers, _transactions):
        try:
            found += part(segment)
        except (SharedMemoryError, LookupError, ValueError) as error:
            found.append(f"{part.__name__.strip('_')} cannot be walked: {error}")
    return list(dict.fromkeys(found))


def _structures(segment: Segment) -> list[str]:
    # of a server that runs a lock is held now and then; who is dead and holds one is found below
    return [fault for fault in segment.memory.check() if not fault.startswith("lock ")]


def _processes(segment: Segment) -> Iterator[str]:
    memory = segment.memory
    queues = {queue.offset for queue in memory.queues.values()}
    for name, slot in memory.held().items():
        worker = segment.worker(slot)
        if worker is None or not worker.pid:
            yield f"lock {name} is held by slot {slot}, which has no process"
        elif segment.state_of(worker.pid) == "dead":
            yield f"lock {name} is held by process {worker.pid} ({worker.description}), which is dead"
        elif not segment.live:
            yield f"lock {name} is held by process {worker.pid} ({worker.description})"
    for _, row in memory.processes.rows():
        if row.claim and row.claim not in queues:
            yield f"process {row.pid} has an item of something that is no queue ({row.claim})"


def _timers(segment: Segment) -> Iterator[str]:
    memory = segment.memory
    fixed = [(s.offset, s.offset + s.size) for s in memory.structures.values() if s.size and s.kind != "arena"]
    for node, due, kind in memory.wheel.nodes():
        name = memory.wheel.kinds.name(kind)
        if not name:
            yield f"timer {node} is of kind {kind}, which there is not"
        if memory.arena.find(node) is None and not any(start <= node < end for start, end in fixed):
            yield f"timer {node} ({name}) is in no block that is in use"
        if due < memory.wheel.done_ms - OVERLOOKED:
            yield f"timer {node} ({name}) pends since it was overlooked"


def _transactions(segment: Segment) -> Iterator[str]:
    cells = Cells(segment)
    if cells.table is None:
        return
    seen: set[tuple[int, int]] = set()
    known: set[int] = set()
    for bucket in cells.table.filled():
        for cell in cells.bucket(bucket, full=True):
            if not cell.stable and segment.live:
                continue
            values = cell.values
            known.add(cell.offset)
            if values["index"] != bucket:
                yield f"transaction {cell.name} is in bucket {bucket}"
            if cell.ident in seen:
                yield f"transaction {cell.name} is there twice"
            seen.add(cell.ident)
            if values["flags"] & DEAD:
                yield f"transaction {cell.name} is dead and in the table"
            pending = _pending(values)
            for branch, _ in cell.branches:
                pending += _pending(branch)
                known.add(values["branch"][branch["number"]])
                if branch["cell"] != cell.offset:
                    yield f"branch {branch['number']} of transaction {cell.name} belongs to another one"
            if values["refs"] < pending:
                yield f"transaction {cell.name} has {pending} timers and {values['refs']} references"
            if cell.state == "suspended" and not values["suspended"]:
                yield f"transaction {cell.name} is suspended without a branch that guards it"
            for name, owner in CELL_OWNERS.items():
                if values[name] in (0, values["room"]):
                    continue
                block = segment.block(values[name])
                if block is None or segment.owner(block) != owner:
                    yield f"transaction {cell.name}: its {name} leads to {segment.owner(block) if block else 'nothing'}"
    yield from _leaks(segment, known)


def _pending(values: dict[str, Any]) -> int:
    nodes = (values.get(name) for name in TIMERS)
    return sum(1 for node in nodes if isinstance(node, dict) and node["state"] == TIMER_PENDS)


def _leaks(segment: Segment, known: set[int]) -> Iterator[str]:
    """Cells and branches that nothing leads to: whoever should have freed them did not."""
    for owner in ("tm:cell", "tm:branch"):
        for offset, values in segment.records(owner):
            if offset in known:
                continue
            # a dead cell is out of the table while somebody still uses it, and its branches with it
            cell = values if owner == "tm:cell" else _cell_of(segment, values)
            if cell is None or not cell["flags"] & DEAD:
                yield f"{owner} at {offset} is in use and nothing leads to it"


def _cell_of(segment: Segment, branch: dict[str, Any]) -> dict[str, Any] | None:
    return segment.record("tm:cell", branch["cell"])


def collect(segment: Segment) -> dict[str, Any]:
    """What was looked at, and what is wrong with it."""
    memory = segment.memory
    return {
        "instance": segment.name,
        "structures": len(memory.structures),
        "blocks": sum(1 for _ in memory.arena.walk()),
        "transactions": len(Cells(segment)),
        "timers": sum(1 for _ in memory.wheel.nodes()),
        "faults": faults(segment),
    }


def render(data: dict[str, Any]) -> RenderableType:
    looked = (
        f"{data['instance']}: {data['structures']} structures, {data['blocks']} blocks, {data['transactions']}"
        f" transactions, {data['timers']} timers: "
    )
    if not data["faults"]:
        return Text(looked + "all consistent")
    return together(
        Text.assemble(looked, alarm(f"{len(data['faults'])} faults")),
        table("FAULT", rows=((alarm(fault),) for fault in data["faults"])),
    )
