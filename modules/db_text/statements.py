"""The few SQL statements that db_text understands: select, update and delete on one table.

select a, b from t where a="x" and b>5 order by b desc
update t set a="y", b=7 where a="x"
delete from t where b=7
"""

from __future__ import annotations

import re

from kamailio_py.dataclass import dataclass, field
from kamailio_py.db.errors import DbError

_SELECT = re.compile(
    r"select\s+(?P<columns>.+?)\s+from\s+(?P<table>\S+)(?:\s+where\s+(?P<where>.+?))?(?:\s+order\s+by\s+(?P<order>.+))?",
    re.IGNORECASE | re.DOTALL,
)
_UPDATE = re.compile(
    r"update\s+(?P<table>\S+)\s+set\s+(?P<changes>.+?)\s+where\s+(?P<where>.+)", re.IGNORECASE | re.DOTALL
)
_DELETE = re.compile(r"delete\s+from\s+(?P<table>\S+)(?:\s+where\s+(?P<where>.+))?", re.IGNORECASE | re.DOTALL)
_PART = re.compile(
    r"""\s*(?P<column>\w+)\s*(?P<op>=|!=|<>|<=|>=|<|>|&)\s*"""
    r"""(?:"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)'|(?P<bare>[^\s,"']+))\s*""",
    re.DOTALL,
)


@dataclass(slots=True)
class Statement:
    """What a statement asks for; values are still text."""

    verb: str
    table: str
    columns: list[str] = field(default_factory=list)
    changes: list[tuple[str, str, str]] = field(default_factory=list)
    where: list[tuple[str, str, str]] = field(default_factory=list)
    order: str = ""


def parse(text: str) -> Statement:
    """A statement taken apart; DbError if it is none of the three."""
    text = text.strip().rstrip(";")
    if match := _SELECT.fullmatch(text):
        columns = [column.strip() for column in match["columns"].split(",")]
        where = _parts(match["where"], r"and\b", text)
        return Statement("select", match["table"], columns, where=where, order=match["order"] or "")
    if match := _UPDATE.fullmatch(text):
        changes, where = _parts(match["changes"], ",", text), _parts(match["where"], r"and\b", text)
        return Statement("update", match["table"], changes=changes, where=where)
    if match := _DELETE.fullmatch(text):
        return Statement("delete", match["table"], where=_parts(match["where"], r"and\b", text))
    raise DbError(f"db_text knows no such statement (only select, update ... where, delete): {text}")


def _parts(text: str | None, separator: str, statement: str) -> list[tuple[str, str, str]]:
    """`a="x" and b>5` as (column, operator, value)."""
    found: list[tuple[str, str, str]] = []
    at = 0
    while text and at < len(text):
        if found:
            between = re.compile(separator, re.IGNORECASE).match(text, at)
            if between is None:
                raise DbError(f"error at <{text[at:]}> in <{statement}>")
            at = between.end()
        match = _PART.match(text, at)
        if match is None:
            raise DbError(f"error at <{text[at:]}> in <{statement}>")
        value = next(v for v in (match["double"], match["single"], match["bare"]) if v is not None)
        found.append((match["column"], match["op"], re.sub(r"\\(.)", r"\1", value) if match["bare"] is None else value))
        at = match.end()
    return found
