"""`kamshm mem`, `snapshot` and `diff`: whose the memory is, how it is cut up, and what grew between two moments."""

from __future__ import annotations

import os
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from kamailio_py.inspector.output import alarm, duration, facts, size, table, together
from kamailio_py.inspector.segment import NotFound, Segment
from kamailio_py.shm import instances

Row = dict[str, Any]


def collect(segment: Segment) -> dict[str, Any]:
    """The arena as a whole, by owner and by size class."""
    arena = segment.memory.arena
    owners: dict[str, Row] = {}
    asked = kept = 0
    for block in arena.walk():
        owner = segment.owner(block)
        row = owners.setdefault(owner, {"owner": owner, "blocks": 0, "bytes": 0, "asked": 0})
        row["blocks"] += 1
        row["bytes"] += block.stride
        row["asked"] += block.length
        asked += block.length
        kept += block.stride
    classes = [
        {"stride": stride, "used": used, "free": free, "bytes_free": stride * free}
        for stride, used, free in arena.classes()
        if used or free
    ]
    structures = [
        {"structure": found.name, "kind": found.kind, "bytes": found.size}
        for found in segment.memory.structures.values()
        if found.size
    ]
    return {
        "total": arena.total,
        "used": arena.used,
        "taken": arena.taken,
        "free": arena.total - arena.used,
        "peak": arena.peak,
        "exhausted": arena.exhausted,
        "in_blocks": kept,
        # what blocks were not asked for, and what lies unused in slabs that belong to a size class
        "rounding": kept - asked,
        "unused_in_slabs": sum(row["bytes_free"] for row in classes),
        "owners": sorted(owners.values(), key=lambda row: -row["bytes"]),
        "classes": classes,
        "structures": sorted(structures, key=lambda row: -row["bytes"]),
    }


def render(data: dict[str, Any]) -> RenderableType:
    taken = max(1, data["taken"])
    return together(
        facts(
            (
                ("arena", size(data["total"])),
                ("used", f"{size(data['used'])}, most at once {size(data['peak'])} or less"),
                ("free", size(data["free"])),
                ("fragmentation", f"{100 * data['unused_in_slabs'] / taken:.1f} % of the slabs in use are free blocks "
                                  f"({size(data['unused_in_slabs'])}), {size(data['rounding'])} is rounding up"),
                ("exhausted", alarm(f"{data['exhausted']} times") if data["exhausted"] else "never"),
            )
        ),
        Text(""),
        table(
            "OWNER", "BLOCKS>", "BYTES>", "ASKED FOR>", "PER BLOCK>",
            rows=(
                (row["owner"], row["blocks"], row["bytes"], row["asked"], row["asked"] // row["blocks"])
                for row in data["owners"]
            ),
        ),
        Text(""),
        table(
            "SIZE CLASS>", "USED>", "FREE>", "BYTES FREE>",
            rows=((row["stride"], row["used"], row["free"], row["bytes_free"]) for row in data["classes"]),
        ),
        Text(""),
        table(
            "STRUCTURE", "KIND", "BYTES>",
            rows=((row["structure"], row["kind"], row["bytes"]) for row in data["structures"][:12]),
        ),
    )  # fmt: skip


def snapshot(segment: Segment, path: str) -> Row:
    """Copy the segment to a file, which must not exist; pages nobody wrote take no room in it."""
    try:
        instances.copy(segment.path, path)
    except FileExistsError:
        raise NotFound(f"{path} exists already") from None
    except OSError as error:
        raise NotFound(f"{path}: {error.strerror}") from None
    found = os.stat(path)
    return {"file": path, "size": found.st_size, "takes": found.st_blocks * 512}


def render_snapshot(row: Row) -> RenderableType:
    return Text(f"{row['file']}: {size(row['size'])}, of which {size(row['takes'])} take room")


def difference(before: Segment, after: Segment) -> dict[str, Any]:
    """What grew and what shrank by owner, and what came and went of transactions and counters."""
    first = {row["owner"]: row for row in collect(before)["owners"]}
    second = {row["owner"]: row for row in collect(after)["owners"]}
    nothing = {"blocks": 0, "bytes": 0}
    owners = []
    for owner in sorted({*first, *second}):
        was, is_now = first.get(owner, nothing), second.get(owner, nothing)
        if was["blocks"] != is_now["blocks"] or was["bytes"] != is_now["bytes"]:
            owners.append(
                {
                    "owner": owner,
                    "blocks_before": was["blocks"],
                    "blocks_after": is_now["blocks"],
                    "blocks": is_now["blocks"] - was["blocks"],
                    "bytes": is_now["bytes"] - was["bytes"],
                }
            )
    owners.sort(key=lambda row: -row["bytes"])
    return {
        "seconds": (after.now - before.now) / 1e9,
        "used_before": before.memory.arena.used,
        "used_after": after.memory.arena.used,
        "owners": owners,
        "grew": any(row["bytes"] > 0 for row in owners),
    }


def render_difference(data: dict[str, Any]) -> RenderableType:
    grown = data["used_after"] - data["used_before"]
    return together(
        Text(
            f"{size(data['used_before'])} -> {size(data['used_after'])} used ({grown:+d} bytes)"
            f" in {duration(data['seconds'])}"
        ),
        Text(""),
        table(
            "OWNER", "BLOCKS BEFORE>", "AFTER>", "BLOCKS>", "BYTES>",
            rows=(
                (
                    row["owner"], row["blocks_before"], row["blocks_after"], f"{row['blocks']:+d}",
                    alarm(f"{row['bytes']:+d}") if row["bytes"] > 0 else f"{row['bytes']:+d}",
                )
                for row in data["owners"]
            ),
        ),
    )  # fmt: skip
