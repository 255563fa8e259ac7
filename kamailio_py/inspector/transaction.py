"""`kamshm tm show INDEX:LABEL`: everything that is kept of one transaction, decoded."""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType
from rich.text import Text

from kamailio_py.inspector.cells import LOCAL, Cell, Cells, attributes, plain
from kamailio_py.inspector.items import WaitingRoom
from kamailio_py.inspector.output import duration, facts, size, table, together
from kamailio_py.inspector.segment import NotFound, Segment
from kamailio_py.inspector.transactions import describe

ARMED = ("on_failure", "on_reply", "on_branch", "on_branch_failure")
NOTES = ("uri", "dst_uri", "path", "ruid", "instance", "location_ua", "q")
RELAYED_HERE = 0xFFFFFFFE


def parse(name: str) -> tuple[int, int]:
    """index and label of `24424:199907956`; NotFound for what is no name of a transaction."""
    index, colon, label = name.partition(":")
    if not colon or not index.isdecimal() or not label.isdecimal():
        raise NotFound(f"{name} is not a transaction: INDEX:LABEL")
    return int(index), int(label)


def collect(segment: Segment, name: str) -> dict[str, Any]:
    """The transaction; NotFound if it is not there (any more)."""
    cell = Cells(segment).find(*parse(name))
    if cell is None:
        raise NotFound(f"there is no transaction {name}")
    values = cell.values
    row = describe(segment, cell, WaitingRoom.of(segment))
    row |= {
        "source": f"{cell.source}:{values['src_port']}",
        "local": bool(values["flags"] & LOCAL),
        "flags": values["flags"],
        "message_flags": values["message_flags"],
        "armed": {name: segment.script.route(values[name]) for name in ARMED if values[name]},
        "timeouts_ms": {name: values[name] for name in ("fr", "fr_inv", "retr1", "retr2")},
        "relayed": relayed(values["relayed"]),
        "turn": _slot(segment, values["turn"] - 1),
        "request": cell.text,
        "changes": changes(cell.blocks.get("script", b""), cell.text),
        "attributes": attributes(cell.blocks.get("attributes", b"")),
        "reply": cell.blocks.get("reply", b"").decode("latin-1"),
        "cancel_reason": cell.blocks.get("cancel_reason", b"").decode("latin-1"),
        "memory_bytes": memory_of(segment, cell),
    }
    for branch, (own, text), blocks in zip(row["branches"], cell.branches, cell.branch_blocks, strict=True):
        branch |= {
            "flags": own["flags"],
            "armed": {name: segment.script.route(own[name]) for name in ARMED if own.get(name)},
            "notes": notes(segment, own, cell),
            "request": text,
            "reply": _reply(blocks.get("reply", b"")),
        }
    return row


def _slot(segment: Segment, slot: int) -> int | None:
    worker = segment.worker(slot)
    return worker.pid if worker is not None else None


def relayed(value: int) -> str:
    """Whose reply went upstream."""
    if value == RELAYED_HERE:
        return "made here"
    return f"branch {value - 1}" if value else ""


def changes(data: bytes, text: str) -> dict[str, Any]:
    """What the script did to the request up to the last save: values, lumps, branches, headers for replies."""
    found = plain(data) if data else None
    if not isinstance(found, tuple) or len(found) < 5:
        return {}
    values, socket, edits, branches, headers, *_ = found
    lumps = [
        {"offset": offset, "removes": text[offset : offset + length], "inserts": piece if piece else ""}
        for offset, length, piece in edits
    ]
    made = {"values": values, "lumps": lumps, "branches": branches, "reply_headers": headers}
    if socket >= 0:
        made["socket"] = socket
    return {name: value for name, value in made.items() if value or name == "socket"}


def notes(segment: Segment, branch: dict[str, Any], cell: Cell) -> dict[str, Any]:
    """What is known of where a branch goes."""
    layout = Cells(segment).branch
    place = cell.values["branch"][branch["number"]] if branch["number"] < len(cell.values["branch"]) else 0
    data = segment.load(place)
    if layout is None or not branch["meta_size"]:
        return {}
    start = layout.size + branch["text_size"]
    found = plain(data[start : start + branch["meta_size"]])
    if not isinstance(found, tuple):
        return {}
    return {name: value for name, value in zip(NOTES, found, strict=False) if value not in (None, "")}


def _reply(data: bytes) -> str:
    """The text of the reply stored for a branch."""
    found = plain(data) if data else None
    return found[0] if isinstance(found, tuple) and found else ""


def memory_of(segment: Segment, cell: Cell) -> int:
    """Bytes of shared memory it takes, with all it leads to."""
    values = cell.values
    offsets = [cell.offset, *values["branch"][: values["branches"]]]
    offsets += [values[name] for name in cell.blocks if values[name] != values["room"]]
    for branch, _ in cell.branches:
        offsets += [branch[name] for name in ("reply", "cancel", "ack")]
    found = [segment.block(offset) for offset in offsets]
    return sum(block.stride for block in found if block is not None)


def render(row: dict[str, Any]) -> RenderableType:
    """Facts first, then texts."""
    suspended = row.get("suspended") or {}
    by = suspended.get("by")
    due = suspended.get("due_in_seconds")
    return together(
        facts(
            (
                ("transaction", row["transaction"]),
                ("state", row["state"] + ("" if row["consistent"] else " (it was being changed)")),
                ("method", row["method"]),
                ("call-id", row["call_id"]),
                ("from", row["source"]),
                ("age", duration(row["age_seconds"])),
                ("references", row["references"]),
                ("memory", size(row["memory_bytes"])),
                ("flags", f"0x{row['flags']:x}"),
                ("message flags", row["message_flags"] or ""),
                ("last status", f"{row['status']} {row['relayed']}".strip() if row["status"] else ""),
                ("worked on by", row["turn"]),
                ("armed", ", ".join(f"{name} {route}" for name, route in row["armed"].items())),
                ("timeouts", " ".join(f"{name}={value}" for name, value in row["timeouts_ms"].items())),
                ("timers", _timers(row["timers"])),
                ("suspended at", suspended.get("at")),
                ("suspended by", f"{by['pid']} {by['description']}" if by else ""),
                ("resumed", times(suspended["times_resumed"]) if suspended.get("times_resumed") else ""),
                ("goes on with", suspended.get("route")),
                ("due in", duration(due)),
                ("in queue", suspended.get("queue")),
            )
        ),
        *(_branch(branch) for branch in row["branches"]),
        *_changes(row["changes"]),
        *_attributes(row["attributes"]),
        *_text("request", row["request"]),
        *_text("last reply", row["reply"]),
    )


def times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _timers(timers: dict[str, float]) -> str:
    return ", ".join(f"{name} in {duration(seconds)}" for name, seconds in timers.items())


def _branch(branch: dict[str, Any]) -> RenderableType:
    kind = "blind branch of the suspension" if branch["blind"] else branch["to"]
    words = [f"branch {branch['number']}: {kind}"]
    if branch["status"]:
        words.append(f"status {branch['status']}")
    if branch["timers"]:
        words.append(_timers(branch["timers"]))
    words += [f"{name}={value}" for name, value in branch["notes"].items()]
    words += [f"{name} {route}" for name, route in branch["armed"].items()]
    return together(Text(""), Text(", ".join(words)), *_text("as sent", branch["request"]))


def _changes(found: dict[str, Any]) -> list[RenderableType]:
    made: list[RenderableType] = []
    if found.get("values"):
        made += [Text(""), table("SET BY THE SCRIPT", "VALUE", rows=found["values"].items())]
    if found.get("lumps"):
        rows = [(lump["offset"], repr(lump["removes"]), repr(lump["inserts"])) for lump in found["lumps"]]
        made += [Text(""), table("LUMP AT>", "REMOVES", "INSERTS", rows=rows)]
    return made


def _attributes(found: dict[str, dict[str, list[Any]]]) -> list[RenderableType]:
    rows = [
        (f"${kind}({name})", " ".join(map(repr, values))) for kind, all in found.items() for name, values in all.items()
    ]
    return [Text(""), table("ATTRIBUTE", "VALUES, NEWEST FIRST", rows=rows)] if rows else []


def _text(title: str, text: str) -> list[RenderableType]:
    if not text:
        return []
    lines = text.rstrip("\r\n").replace("\r\n", "\n").split("\n")
    return [Text(""), Text(f"{title}:", style="bold"), Text("\n".join(f"    {line}" for line in lines))]
