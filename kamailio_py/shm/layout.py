"""The first bytes of every segment: who made it, and the directory of what lies where.

Lives here: the header, the directory and its text area, for writing (before forking) and for reading, also from a
segment whose server is dead. Knows nothing of what the structures are for. No lock: the directory is written by one
process before it forks, an entry counts from the moment `entries` says so, and after that nothing of it changes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from kamailio_py.dataclass import dataclass
from kamailio_py.shm.errors import SharedMemoryError
from kamailio_py.shm.records import Record, text, u32, u64

MAGIC = b"kamailio_py.shm\0"
VERSION = 2
MAX_ENTRIES = 512
TEXT_SIZE = 192 * 1024


class Header(Record):
    """The start of a segment."""

    magic = text(16, "kamailio_py.shm")
    version = u32("version of the layout this server writes")
    master = u32("pid of the main process")
    master_start = u64("start time of that process in clock ticks since boot, which tells it from a later one")
    started = u64("when the segment was made, milliseconds since the epoch")
    size = u64("bytes of the whole segment")
    entries = u32("entries of the directory that count; written last")
    forked = u32("1 once processes were forked: the directory is complete")
    directory = u64("offset of the first entry")
    texts = u64("offset of the text area: JSON that the entries point to")
    texts_used = u64("bytes of it in use")
    instance = text(64, "name of the instance")


class Entry(Record):
    """One structure of the segment."""

    name = text(56, "name, unique in the segment")
    kind = text(16, "arena, table, queue, wheel, counters, processes, trace, locks, names, words, records, json")
    offset = u64("where it starts")
    size = u64("bytes")
    description = u64("offset of its JSON: geometry and the layout of its records")
    description_size = u64("bytes of that JSON")


@dataclass(frozen=True, slots=True)
class Structure:
    """An entry of the directory, read."""

    name: str
    kind: str
    offset: int
    size: int
    description: dict[str, Any]


FIRST_ENTRY = -(-Header.SIZE // 64) * 64
FIRST_TEXT = FIRST_ENTRY + MAX_ENTRIES * Entry.SIZE
LAYOUT_SIZE = -(-(FIRST_TEXT + TEXT_SIZE) // 65536) * 65536


def write_header(memory: Any, instance: str, size: int, master: int, master_start: int, started: int) -> None:
    """Lay out an empty segment; the magic is written last."""
    Header.STRUCT.pack_into(
        memory, 0, b"", VERSION, master, master_start, started, size, 0, 0, FIRST_ENTRY, FIRST_TEXT, 0,
        instance.encode("latin-1"),
    )  # fmt: skip
    memory[: len(MAGIC)] = MAGIC


def read_header(memory: Any) -> Any:
    """The header's values, checked."""
    if len(memory) < LAYOUT_SIZE or memory[: len(MAGIC)] != MAGIC:
        raise SharedMemoryError("not a shared memory segment of kamailio-py")
    header = Header.unpack(memory, 0)
    if header.version != VERSION:
        raise SharedMemoryError(f"layout version {header.version} of the segment is not {VERSION}")
    return header


def add_text(memory: Any, text: bytes) -> int:
    """Put `text` into the text area; its offset."""
    header = Header.unpack(memory, 0)
    if header.texts_used + len(text) > TEXT_SIZE:
        raise SharedMemoryError("the directory's text area is full")
    offset = int(header.texts + header.texts_used)
    memory[offset : offset + len(text)] = text
    memory[Header.texts_used : Header.texts_used + 8] = (header.texts_used + len(text)).to_bytes(8, "little")
    return offset


def add_entry(memory: Any, structure: Structure) -> None:
    """Append to the directory; the entry exists once the count is written."""
    header = Header.unpack(memory, 0)
    if header.entries >= MAX_ENTRIES:
        raise SharedMemoryError("the directory of structures is full")
    name = structure.name.encode("latin-1")
    if len(name) > Entry.FIELDS["name"].width:
        raise SharedMemoryError(f"name of a structure is too long: {structure.name}")
    description = json.dumps(structure.description, separators=(",", ":")).encode("ascii")
    Entry.STRUCT.pack_into(
        memory, header.directory + header.entries * Entry.SIZE, name, structure.kind.encode("ascii"),
        structure.offset, structure.size, add_text(memory, description), len(description),
    )  # fmt: skip
    memory[Header.entries : Header.entries + 4] = (header.entries + 1).to_bytes(4, "little")


def read_entries(memory: Any) -> Iterator[Structure]:
    """All structures of the segment, in the order they were made."""
    header = Header.unpack(memory, 0)
    for number in range(min(header.entries, MAX_ENTRIES)):
        entry = Entry.unpack(memory, header.directory + number * Entry.SIZE)
        text = memory[entry.description : entry.description + entry.description_size]
        yield Structure(as_text(entry.name), as_text(entry.kind), entry.offset, entry.size, json.loads(text))


def as_text(field: bytes) -> str:
    """A text field without its padding."""
    return field.split(b"\0", 1)[0].decode("latin-1")
