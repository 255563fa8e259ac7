"""Records as the segment itself describes them: field by field, by the layouts in its directory.

A record of a module that this program has never heard of is decoded like all the others. Knows no module.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from kamailio_py.shm.layout import Structure

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One field; `holds` is the name of an embedded record, or "words" for an array of them."""

    name: str
    offset: int
    code: str
    doc: str
    holds: str


class Layout:
    """One record's layout: `unpack(memory, offset)` gives its fields by name."""

    def __init__(self, described: dict[str, Any], layouts: Layouts) -> None:
        self.name: str = described["name"]
        self.size: int = described["size"]
        self.fields = [
            Field(name, offset, code, doc, holds[0] if holds else "")
            for name, offset, code, doc, *holds in described["fields"]
        ]
        self.offsets = {field.name: field.offset for field in self.fields}
        self._layouts = layouts
        code, at = "<", 0
        for field in self.fields:
            code += f"{field.offset - at}x" if field.offset > at else ""
            code += field.code
            at = field.offset + struct.calcsize(f"<{field.code}")
        self._struct = struct.Struct(code)

    def unpack(self, memory: Any, offset: int = 0) -> Values:
        """The record at `offset`; texts as str, embedded records as dicts, arrays as lists."""
        values = self._struct.unpack_from(memory, offset)
        return {
            field.name: self._value(field, value) if field.code[-1] == "s" else value
            for field, value in zip(self.fields, values, strict=True)
        }

    def _value(self, field: Field, value: bytes) -> Any:
        if field.holds == "words":
            return list(struct.unpack(f"<{len(value) // 8}Q", value))
        inner = self._layouts.by_record.get(field.holds)
        if inner is not None and inner.size <= len(value):
            return inner.unpack(value)
        return value.split(b"\0", 1)[0].decode("latin-1")


class Layouts:
    """All layouts of a segment: by the structure or owner of blocks that has them, and by the record's name."""

    def __init__(self, structures: dict[str, Structure]) -> None:
        self.by_record: dict[str, Layout] = {}
        self.by_name: dict[str, Layout] = {}
        self.items: dict[str, Layout] = {}
        """What the values of a queue's items are, by queue."""
        self.tasks: dict[int, tuple[str, Layout | None]] = {}
        """Kinds of items in queues that hold several: number -> name and what their values are."""
        for name, structure in structures.items():
            described = structure.description.get("layout")
            made = Layout(described, self) if described else None
            if made is not None:
                self.by_name[name] = made
                self.by_record.setdefault(made.name, made)
            if structure.kind == "task":
                self.tasks[structure.description["number"]] = (name.removeprefix("task."), made)
            if "holds" in structure.description:
                self.items[name] = Layout(structure.description["holds"], self)
