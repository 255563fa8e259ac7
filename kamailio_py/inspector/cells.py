"""tm's transactions as they lie in shared memory: cells and branches, read through the layouts of the directory.

Knows tm's names for fields and what its numbers mean, not where they lie. A bucket is read between two equal even
generations of its lock; `stable` says whether that was to be had, which it is not where a process was stopped or killed
while it held the lock.
"""

from __future__ import annotations

import marshal
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from kamailio_py.inspector.layouts import Values
from kamailio_py.inspector.segment import Segment

STATES = ("active", "suspended", "continuing", "canceled")
COMPLETED = "completed"
METHODS = {
    1: "INVITE", 2: "CANCEL", 4: "ACK", 8: "BYE", 16: "INFO", 32: "REGISTER", 64: "SUBSCRIBE", 128: "NOTIFY",
    256: "MESSAGE", 512: "OPTIONS", 1024: "PRACK", 2048: "UPDATE", 4096: "REFER", 8192: "PUBLISH",
}  # fmt: skip
IN_AGONY, DEAD, LOCAL = 1 << 2, 1 << 17, 1 << 1
BLIND, TIMED_OUT, BRANCH_SUSPENDED = 1 << 0, 1 << 8, 1 << 3
TIMER_PENDS = 2
TIMERS = ("timer", "retr", "fr")
BLOCKS = ("reply", "script", "attributes", "data", "cancel_reason")
"""Fields of a cell that lead to blocks of their own; a reply may lie in the cell's."""
_CALL_ID = re.compile(r"^(?:call-id|i)[ \t]*:[ \t]*(.*?)[ \t]*$", re.IGNORECASE | re.MULTILINE)


@dataclass(slots=True)
class Cell:
    """One transaction: `values` and those of its branches by name, texts, and the blocks that were asked for."""

    values: Values
    text: str
    source: str
    branches: list[tuple[Values, str]]
    stable: bool = True
    blocks: dict[str, bytes] = field(default_factory=dict)
    branch_blocks: list[dict[str, bytes]] = field(default_factory=list)
    offset: int = 0

    @property
    def ident(self) -> tuple[int, int]:
        return self.values["index"], self.values["label"]

    @property
    def name(self) -> str:
        return "{}:{}".format(*self.ident)

    @property
    def method(self) -> str:
        return METHODS.get(self.values["method"]) or self.text.partition(" ")[0]

    @property
    def call_id(self) -> str:
        found = _CALL_ID.search(self.text.replace("\r\n", "\n"))
        return found.group(1) if found else ""

    @property
    def state(self) -> str:
        return state_of(self.values["state"], self.values["flags"], self.values["status"])


def state_of(state: int, flags: int, status: int) -> str:
    """Where it stands: with its script, or completed once a final reply was sent or it only waits to be freed."""
    if flags & IN_AGONY or status >= 200:
        return COMPLETED
    return STATES[state] if state < len(STATES) else f"state {state}"


class Cells:
    """The transactions of a segment; empty where tm is not loaded."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.table = segment.memory.tables.get("tm")
        self.layout = segment.layouts.by_name.get("tm")
        self.branch = segment.layouts.by_record.get("Branch")

    def __len__(self) -> int:
        return len(self.table) if self.table is not None else 0

    def count(self) -> dict[str, int]:
        """How many transactions there are in each state."""
        found = dict.fromkeys((*STATES, COMPLETED), 0)
        if self.table is None or self.layout is None:
            return found
        u32 = self.segment.memory.u32
        state, flags, status = (self.layout.offsets[name] for name in ("state", "flags", "status"))

        def read(bucket: int) -> list[str]:
            assert self.table is not None
            walked = self.segment.chain(self.table, bucket)
            return [state_of(u32[(o + state) >> 2], u32[(o + flags) >> 2], u32[(o + status) >> 2]) for o in walked]

        for bucket in self.table.filled():
            states, _ = self.table.lock_of(bucket).stable(partial(read, bucket))
            for name in states or ():
                found[name] = found.get(name, 0) + 1
        return found

    def all(self, *, full: bool = False) -> Iterator[Cell]:
        """All of them, bucket by bucket; with `full` the blocks they lead to are read, too."""
        if self.table is None:
            return
        for bucket in self.table.filled():
            yield from self.bucket(bucket, full=full)

    def bucket(self, bucket: int, *, full: bool = False) -> list[Cell]:
        """The transactions of one bucket."""
        table = self.table
        if table is None:
            return []
        found, stable = table.lock_of(bucket).stable(
            lambda: [self._read(at, full) for at in self.segment.chain(table, bucket)]
        )
        for cell in found or ():
            cell.stable = stable
        return found or []

    def find(self, index: int, label: int) -> Cell | None:
        """One transaction with all it leads to."""
        if self.table is None or not 0 <= index < self.table.buckets:
            return None
        return next((cell for cell in self.bucket(index, full=True) if cell.ident == (index, label)), None)

    def _read(self, offset: int, full: bool) -> Cell:
        segment, layout = self.segment, self.layout
        assert layout is not None
        data = segment.load(offset)
        if len(data) < layout.size:
            raise LookupError(f"no cell at {offset}")
        values = layout.unpack(data)
        at = layout.size
        source = data[at : at + values["source_size"]].decode("latin-1")
        at += values["source_size"] + values["target_size"]
        text = data[at : at + values["text_size"]].decode("latin-1")
        own = offset + layout.offsets["blind"]
        branches = [
            (values["blind"], "") if place == own else self._branch(place)
            for place in values["branch"][: values["branches"]]
        ]
        cell = Cell(values, text, source, branches, offset=offset)
        if full:
            own = values["room"]
            cell.blocks = {name: segment.load(values[name]) for name in BLOCKS if values[name] not in (0, own)}
            if own and values["reply"] == own:
                cell.blocks["reply"] = data[own - offset : own - offset + values["reply_size"]]
            cell.branch_blocks = [
                {name: segment.load(branch[name]) for name in ("reply", "cancel", "ack") if branch[name]}
                for branch, _ in branches
            ]
        return cell

    def _branch(self, offset: int) -> tuple[Values, str]:
        layout = self.branch
        assert layout is not None
        data = self.segment.load(offset)
        if len(data) < layout.size:
            raise LookupError(f"no branch at {offset}")
        values = layout.unpack(data)
        return values, data[layout.size : layout.size + values["text_size"]].decode("latin-1")


def plain(data: bytes) -> Any:
    """What marshal wrote; None for what it did not write, or not to the end."""
    try:
        return marshal.loads(data)
    except (EOFError, ValueError, TypeError):
        return None


def attributes(data: bytes) -> dict[str, dict[str, list[Any]]]:
    """AVPs and their kin as tm keeps them with a transaction."""
    found = plain(data) if data else None
    if not isinstance(found, tuple) or len(found) != 4:
        return {}
    return {kind: values for kind, values in zip(("avp", "xavp", "xavu", "xavi"), found, strict=True) if values}
