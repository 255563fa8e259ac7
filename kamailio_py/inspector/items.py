"""Items of queues: what stands in the ring and what processes have in hand, with their values by name.

An item whose values are called `index` and `label` belongs to that transaction, and one called `entry` is the number of
the route that will run: so are the items, and the records with a timer, of every module that declares them so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from kamailio_py.inspector.segment import Segment, Worker
from kamailio_py.shm.queue import ITEM, Item, Queue

Ident = tuple[int, int]


@dataclass(slots=True)
class QueuedItem:
    """One item: of which queue, at which place, since when (monotonic ns), who has it in hand."""

    queue: str
    kind: str
    values: dict[str, Any]
    at: int
    position: int
    worker: Worker | None = None

    @property
    def transaction(self) -> Ident | None:
        values = self.values
        return (values["index"], values["label"]) if "index" in values and "label" in values else None

    def title(self, segment: Segment) -> str:
        """`async 24424:199907956, route[RESUME]`"""
        words = [self.kind]
        ident = self.transaction
        if ident:
            words.append("{}:{}".format(*ident))
        elif not self.values.get("entry"):
            words += [f"{name}={value}" for name, value in self.values.items()]
        route = segment.script.route(self.values.get("entry", 0))
        return " ".join(words) + (f", {route}" if route else "")


def decode(segment: Segment, queue: str, data: bytes, position: int) -> QueuedItem:
    """An item by what the directory says of its queue or its kind."""
    item = Item.unpack(data, 0)
    name, layout = segment.layouts.tasks.get(item.kind, (f"kind {item.kind}", None))
    if queue in segment.layouts.items:
        name, layout = queue, segment.layouts.items[queue]
    elif not queue.startswith("async:"):
        name, layout = queue, None
    if layout is not None and layout.size <= ITEM - Item.a:
        values = layout.unpack(data, Item.a)
    else:
        values = {"kind": item.kind, "a": item.a, "b": item.b, "c": item.c}
    return QueuedItem(queue, name, values, item.at, position)


def ring(segment: Segment, queue: Queue, limit: int = 1 << 30) -> tuple[list[QueuedItem], bool]:
    """The items that wait in a queue, first come first, and whether nothing changed while they were read."""
    raw, stable = queue.lock.stable(lambda: queue.raw(limit))
    return [decode(segment, queue.name, data, number) for number, data in enumerate(raw or (), 1)], stable


def in_hand(segment: Segment) -> Iterator[QueuedItem]:
    """What processes have taken out and not finished."""
    names = {queue.offset: queue.name for queue in segment.memory.queues.values()}
    for slot, row in segment.memory.processes.rows():
        if row.claim in names:
            item = decode(segment, names[row.claim], row.claim_item, 0)
            item.worker = Worker(slot, row.pid, row.description)
            yield item


@dataclass(slots=True)
class Waiting:
    """Where a transaction waits for its route: which one, when, in which queue, in whose hands."""

    route: str = ""
    due_ms: int | None = None
    kind: str = ""
    queue: str = ""
    position: int = 0
    queued_at: int = 0
    worker: Worker | None = None


@dataclass(slots=True)
class WaitingRoom:
    """All that waits for a route, by transaction."""

    found: dict[Ident, Waiting] = field(default_factory=dict)

    @classmethod
    def of(cls, segment: Segment) -> WaitingRoom:
        room = cls()
        for kind, due, ident, entry in sleepers(segment):
            room.found[ident] = Waiting(segment.script.route(entry), due, kind)
        for queue in segment.memory.queues.values():
            for item in ring(segment, queue)[0]:
                room._add(segment, item)
        for item in in_hand(segment):
            room._add(segment, item)
        return room

    def _add(self, segment: Segment, item: QueuedItem) -> None:
        if item.transaction is not None:
            self.found[item.transaction] = Waiting(
                segment.script.route(item.values.get("entry", 0)), None, item.kind, item.queue, item.position,
                item.at, item.worker,
            )  # fmt: skip


def sleepers(segment: Segment) -> Iterator[tuple[str, int, Ident, int]]:
    """(kind of timer, due in monotonic ms, transaction, route) of all records with a timer that belong to one."""
    memory = segment.memory
    for owner in memory.arena.owners.numbers:
        layout = segment.layouts.by_name.get(owner)
        if layout is None or not {"index", "label", "entry"} <= layout.offsets.keys():
            continue
        timers = [field.name for field in layout.fields if field.holds == "TimerNode"]
        for _, values in segment.records(owner):
            for name in timers:
                if values[name]["state"] == 2:
                    kind = memory.wheel.kinds.name(values[name]["kind"])
                    yield kind, values[name]["due"], (values["index"], values["label"]), values["entry"]
