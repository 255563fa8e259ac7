"""Declaring what lies in shared memory, once, for the server, its tests and whoever looks in from outside.

    class Task(Record):
        \"\"\"One waiting task.\"\"\"

        next = u64("offset of the next task, 0 at the end")
        route = u32("number of the route that will run")
        group = text(16, "worker group")

The class body is the layout, in order, little-endian, with each field at its natural alignment. Afterwards `Task.next`
is the *byte offset* of the field in the record, so that `words[(task + Task.next) >> 3]` reads it; `Task.unpack(memory,
offset)` gives all fields as a named tuple; `Task.SIZE` is a multiple of eight.
"""

from __future__ import annotations

import struct
from collections import namedtuple
from typing import Any, ClassVar


class Field:
    """One field: struct code, width, a sentence that says what it holds, and the name of an embedded record."""

    __slots__ = ("code", "doc", "holds", "width")

    def __init__(self, code: str, width: int, doc: str, holds: str = "") -> None:
        self.code = code
        self.width = width
        self.doc = doc
        self.holds = holds


# The class body writes `next = u64("...")` and gets an int back once the record is made: annotated Any on purpose.


def u8(doc: str) -> Any:
    return Field("B", 1, doc)


def u16(doc: str) -> Any:
    return Field("H", 2, doc)


def u32(doc: str) -> Any:
    return Field("I", 4, doc)


def i32(doc: str) -> Any:
    return Field("i", 4, doc)


def u64(doc: str) -> Any:
    return Field("Q", 8, doc)


def i64(doc: str) -> Any:
    return Field("q", 8, doc)


def raw(width: int, doc: str) -> Any:
    """`width` bytes."""
    return Field(f"{width}s", width, doc)


def embedded(record: type[Record], doc: str) -> Any:
    """A record inside this one."""
    return Field(f"{record.SIZE}s", record.SIZE, doc, record.__name__)


def words(count: int, doc: str) -> Any:
    """An array of 64-bit words."""
    return Field(f"{8 * count}s", 8 * count, doc, "words")


def text(width: int, doc: str) -> Any:
    """Latin-1 text padded with NULs."""
    return Field(f"{width}s", width, doc)


_READ_AS = {"Q": "q"}
"""No word needs its highest bit, and what has no sign might not fit a machine word: long numbers, for PyPy."""


class Record:
    """Base of all shared-memory records; see the head of the file."""

    SIZE: ClassVar[int]
    STRUCT: ClassVar[struct.Struct]
    FIELDS: ClassVar[dict[str, Field]]
    OFFSETS: ClassVar[dict[str, int]]
    Values: ClassVar[Any]

    def __init_subclass__(cls) -> None:
        fields = {name: value for name, value in vars(cls).items() if isinstance(value, Field)}
        layout, offset, cls.OFFSETS = "<", 0, {}
        for name, declared in fields.items():
            align = 8 if declared.code.endswith("s") else declared.width
            pad = -offset % align
            layout += f"{pad}x" if pad else ""
            offset += pad
            cls.OFFSETS[name] = offset
            setattr(cls, name, offset)
            layout += _READ_AS.get(declared.code, declared.code)
            offset += declared.width
        pad = -offset % 8
        cls.STRUCT = struct.Struct(layout + (f"{pad}x" if pad else ""))
        cls.SIZE = offset + pad
        cls.FIELDS = fields
        cls.Values = namedtuple(f"{cls.__name__}Values", list(fields))  # type: ignore[misc]

    @classmethod
    def unpack(cls, memory: Any, offset: int) -> Any:
        """All fields of the record at `offset`, as a named tuple."""
        return cls.Values._make(cls.STRUCT.unpack_from(memory, offset))

    @classmethod
    def layout(cls) -> dict[str, Any]:
        """The declaration as plain data, for the segment's directory."""
        return {
            "name": cls.__name__,
            "size": cls.SIZE,
            "fields": [[n, cls.OFFSETS[n], f.code, f.doc, *([f.holds] * bool(f.holds))] for n, f in cls.FIELDS.items()],
        }
