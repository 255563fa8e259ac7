"""`kamshm table`, `records`, `htable`, `shv`, `avp`: what modules keep, decoded by the layouts of the directory.

A table or a record that a module added tomorrow is listed like the others. htable's items get a nicer view, for which
this file knows the names of their fields.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType

from kamailio_py.inspector.cells import Cells, attributes
from kamailio_py.inspector.layouts import Layout, Values
from kamailio_py.inspector.output import duration, facts, quiet, table, together
from kamailio_py.inspector.segment import NotFound, Segment
from kamailio_py.shm.table import Table

Row = dict[str, Any]
HTABLE = "htable."
SHARED_VARIABLES = "pv.shv"
TEXT_FLAG = 2
WIDE = 12
"""Columns; records with more fields are shown one under the other."""


def names(segment: Segment) -> dict[str, Any]:
    """The tables and the owners of records there are."""
    tables = [
        {"table": name, "records": len(found), "buckets": found.buckets, "record": _record_of(segment, name)}
        for name, found in segment.memory.tables.items()
    ]
    owners = {
        owner: {"owner": owner, "record": layout.name, "blocks": blocks, "bytes": size}
        for owner, (blocks, size) in segment.memory.arena.by_owner().items()
        if (layout := segment.layouts.by_name.get(owner)) is not None
    }
    return {"tables": tables, "records": list(owners.values())}


def _record_of(segment: Segment, name: str) -> str:
    layout = segment.layouts.by_name.get(name)
    return layout.name if layout is not None else ""


def render_names(data: dict[str, Any]) -> RenderableType:
    tables = (row.values() for row in data["tables"])
    owners = (row.values() for row in data["records"])
    return together(
        table("TABLE", "RECORDS>", "BUCKETS>", "RECORD", rows=map(list, tables)),
        quiet(""),
        table("RECORDS OF", "RECORD", "BLOCKS>", "BYTES>", rows=map(list, owners)),
    )


# any table, any records


def _table(segment: Segment, name: str) -> tuple[Table, Layout]:
    found, layout = segment.memory.tables.get(name), segment.layouts.by_name.get(name)
    if found is None:
        known = ", ".join(segment.memory.tables) or "none"
        raise NotFound(f"there is no table {name}; there are: {known}")
    if layout is None:
        raise NotFound(f"table {name} does not say what its records are")
    return found, layout


def of_table(segment: Segment, name: str, limit: int = 0) -> list[Row]:
    """The records of a table, bucket by bucket, each read between two equal generations of its lock."""
    found, layout = _table(segment, name)
    rows: list[Row] = []
    for bucket in found.filled():
        rows += _bucket(segment, found, layout, bucket)
        if limit and len(rows) >= limit:
            return rows[:limit]
    return rows


def _bucket(segment: Segment, found: Table, layout: Layout, bucket: int) -> list[Row]:
    read, stable = found.lock_of(bucket).stable(
        lambda: [_resolved(segment, layout, layout.unpack(segment.load(at))) for at in segment.chain(found, bucket)]
    )
    return [{"bucket": bucket, **values, **({} if stable else {"consistent": False})} for values in read or ()]


def of_owner(segment: Segment, owner: str, limit: int = 0) -> list[Row]:
    """The records in the blocks of an owner; without a lock, so one that is being changed may be half old."""
    layout = segment.layouts.by_name.get(owner)
    if layout is None:
        known = ", ".join(n for n in segment.memory.arena.owners.numbers if n in segment.layouts.by_name) or "none"
        raise NotFound(f"no records of {owner} are described; there are: {known}")
    rows: list[Row] = []
    for offset, values in segment.records(owner):
        rows.append({"offset": offset, **_resolved(segment, layout, values)})
        if limit and len(rows) >= limit:
            break
    return rows


def _resolved(segment: Segment, layout: Layout, values: Values) -> Values:
    """Timers by the names of their kinds, and for an offset that leads to plain bytes those bytes as text."""
    made = dict(values)
    for name in ("next", "prev"):
        made.pop(name, None)
    for field in layout.fields:
        value = values[field.name]
        if field.holds == "TimerNode":
            made[field.name] = _timer(segment, value)
        elif field.holds == "words":
            made[field.name] = [word for word in value if word]
        elif field.code == "Q" and field.name in made and (block := segment.block(value)) is not None:
            owner = segment.owner(block)
            if owner not in segment.layouts.by_name:
                text = segment.load(value)
                made[field.name] = text.decode("latin-1") if text.isascii() else f"{owner}, {len(text)} bytes"
    return made


def _timer(segment: Segment, node: Values) -> str | None:
    """`tm.fr in 3.4 s`; None for one that does not pend."""
    if node["state"] != 2:
        return None
    kind = segment.memory.wheel.kinds.name(node["kind"])
    return f"{kind} in {duration((node['due'] - segment.now_ms) / 1000)}"


def render_rows(rows: list[Row]) -> RenderableType:
    """Any records: a column for each field that has a value in one of them."""
    if not rows:
        return quiet("none")
    used = [name for name in rows[0] if any(row.get(name) not in (None, 0, "", []) for row in rows)] or list(rows[0])
    if len(used) > WIDE:
        each = [facts((name, _line(row.get(name))) for name in used) for row in rows]
        return together(*(part for record in each for part in (record, quiet(""))))
    return table(*(_title(name, rows) for name in used), rows=([_line(row.get(name)) for name in used] for row in rows))


def _line(value: Any) -> Any:
    """A value on one line: of a text of several lines the first."""
    if isinstance(value, str) and "\n" in value:
        return f"{value.partition(chr(10))[0].rstrip()} ... ({len(value)} characters)"
    return value


def _title(name: str, rows: list[Row]) -> str:
    return name.upper() + (">" if all(isinstance(row.get(name), int) for row in rows) else "")


# htable


def htables(segment: Segment) -> list[Row]:
    """The htables there are."""
    return [
        {"htable": name.removeprefix(HTABLE), "items": len(found), "slots": found.buckets}
        for name, found in segment.memory.tables.items()
        if name.startswith(HTABLE)
    ]


def items(segment: Segment, name: str, key: str | None = None) -> list[Row]:
    """The items of one htable, or the one of that key."""
    try:
        found, layout = _table(segment, HTABLE + name)
    except NotFound:
        known = ", ".join(row["htable"] for row in htables(segment)) or "none"
        raise NotFound(f"there is no htable {name}; there are: {known}") from None
    rows = []
    for bucket in found.filled():
        read, _ = found.lock_of(bucket).stable(lambda bucket=bucket: list(_items(segment, found, layout, bucket)))  # type: ignore[misc]
        rows += [row for row in read or () if key is None or row["key"] == key]
    if key is not None and not rows:
        raise NotFound(f"htable {name} has no item {key}")
    return rows


def _items(segment: Segment, found: Table, layout: Layout, bucket: int) -> Iterator[Row]:
    for at in segment.chain(found, bucket):
        data = segment.load(at)
        item = layout.unpack(data)
        text = data[layout.size : layout.size + item["value_size"]].decode("latin-1")
        expire = item["expire"]
        yield {
            "key": data[item["name"] : item["name"] + item["name_size"]].decode("latin-1"),
            "value": text if item["flags"] & TEXT_FLAG else item["number"],
            "slot": bucket,
            "expires_in_seconds": expire - int(time.time()) if expire else None,
        }


def render_items(rows: list[Row]) -> RenderableType:
    return table(
        "KEY", "VALUE", "TYPE", "SLOT>", "EXPIRES IN>",
        rows=(
            (
                row["key"], row["value"], "int" if isinstance(row["value"], int) else "str", row["slot"],
                duration(row["expires_in_seconds"]),
            )
            for row in rows
        ),
    )  # fmt: skip


# shared variables


def shared_variables(segment: Segment) -> list[Row]:
    """$shv(name) of all names; empty where pv is not loaded."""
    if SHARED_VARIABLES not in segment.memory.tables:
        return []
    found, layout = _table(segment, SHARED_VARIABLES)
    rows: list[Row] = []
    for bucket in found.filled():
        read, _ = found.lock_of(bucket).stable(
            lambda bucket=bucket: [
                _variable(segment, layout.unpack(segment.load(at))) for at in segment.chain(found, bucket)
            ]  # type: ignore[misc]
        )
        rows += read or ()
    return sorted(rows, key=lambda row: str(row["name"]))


def _variable(segment: Segment, values: Values) -> Row:
    name = segment.load(values["name"]).decode("latin-1")
    value = segment.load(values["text"]).decode("latin-1") if values["text"] else values["number"]
    return {"name": name, "value": value}


def render_shared_variables(rows: list[Row]) -> RenderableType:
    return table("NAME", "VALUE", rows=((f"$shv({row['name']})", repr(row["value"])) for row in rows))


# AVPs


def avps(segment: Segment, transaction: str | None = None) -> list[Row]:
    """AVPs, XAVPs, XAVUs and XAVIs of all transactions, or of one."""
    cells = Cells(segment)
    rows = []
    for cell in cells.all(full=True):
        if transaction is not None and cell.name != transaction:
            continue
        for kind, values in attributes(cell.blocks.get("attributes", b"")).items():
            for name, found in values.items():
                rows.append(
                    {"transaction": cell.name, "call_id": cell.call_id, "kind": kind, "name": name, "values": found}
                )
    return rows


def render_avps(rows: list[Row]) -> RenderableType:
    return table(
        "TRANSACTION", "CALL-ID", "ATTRIBUTE", "VALUES, NEWEST FIRST",
        rows=(
            (row["transaction"], row["call_id"], f"${row['kind']}({row['name']})", " ".join(map(repr, row["values"])))
            for row in rows
        ),
    )  # fmt: skip
