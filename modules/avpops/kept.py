"""AVPs in a database: whose they are, and where; table usr_preferences or what a db_scheme describes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kamailio_py.dataclass import dataclass
from kamailio_py.db.values import Value as DbValue
from kamailio_py.log import get_logger
from kamailio_py.modules.avpops.targets import pvar_and_rest
from kamailio_py.script.avp import Name
from kamailio_py.script.values import Value, parse_int
from kamailio_py.sip.errors import BadUri
from kamailio_py.sip.uri import Uri

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import PVarRegistry

log = get_logger("avpops")

VALUE_IS_NUMBER, NAME_IS_NUMBER = 1, 2
"""Bits of the type column."""
PARTS = ("uri", "username", "domain", "uuid")


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the columns; with a scheme, only its value is read."""

    uuid: str = "uuid"
    username: str = "username"
    domain: str = "domain"
    attribute: str = "attribute"
    value: str = "value"
    type: str = "type"


@dataclass(frozen=True, slots=True)
class Scheme:
    """Another table that AVPs may be loaded from."""

    table: str
    columns: Columns
    number: bool


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose AVPs: `part` of what `text(ctx)` gives."""

    part: str
    text: Callable[[Context], Value]

    def where(self, ctx: Context, columns: Columns, use_domain: bool) -> dict[str, DbValue] | None:
        """Conditions on the table; None (logged) if they cannot be made."""
        text = self.text(ctx)
        if text is None:
            log.err("failed to get uri")
            return None
        if self.part == "uuid":
            return {columns.uuid: str(text)}
        try:
            uri = Uri.parse(str(text))
        except BadUri:
            uri = None
        if uri is None:
            if self.part == "uri":
                log.err("failed to parse uri")
                return None
            return {columns.username if self.part == "username" else columns.domain: str(text)}
        if self.part == "domain":
            return {columns.domain: uri.host}
        if not uri.user:
            log.err(f"incomplete uri <{text}>")
            return None
        found: dict[str, DbValue] = {columns.username: uri.user}
        if self.part == "uri" and use_domain:
            found[columns.domain] = uri.host
        return found


def owner(text: str, registry: PVarRegistry) -> Owner:
    """`$ru/username`, or a constant, which is a uuid."""
    if not text.startswith("$"):
        return Owner("uuid", lambda ctx: text)
    pvar, part = pvar_and_rest(text, registry)
    if part and part not in PARTS:
        raise ValueError(f"unknown flag <{part}>: one of {', '.join(PARTS)}")
    return Owner(part or "uri", pvar.get)


def scheme(text: str) -> tuple[str, Scheme]:
    """`name:username_col=a;value_col=b;value_type=string;table=t`; ValueError if it is none."""
    name, colon, settings = text.partition(":")
    given = {"table": "", "value_type": "string"}
    columns = {"uuid_col": "uuid", "username_col": "username", "domain_col": "domain", "value_col": "value"}
    for part in filter(None, (part.strip() for part in settings.split(";"))):
        key, equals, value = (word.strip() for word in part.partition("="))
        if not equals or key not in given | columns:
            raise ValueError(f"failed to parse scheme {text}: {part}")
        (given if key in given else columns)[key] = value
    if not colon or not name.strip() or given["value_type"] not in ("string", "integer"):
        raise ValueError(f"failed to parse scheme {text}")
    made = Columns(columns["uuid_col"], columns["username_col"], columns["domain_col"], value=columns["value_col"])
    return name.strip(), Scheme(given["table"], made, given["value_type"] == "integer")


def from_row(attribute: DbValue, type: DbValue, value: DbValue) -> tuple[Name, Value] | None:
    """The AVP that a row holds; None if it holds none."""
    if attribute is None or value is None or not isinstance(type, int):
        return None
    name, content = _text(attribute), _text(value)
    number = parse_int(name) if type & NAME_IS_NUMBER else name
    plain = parse_int(content) if type & VALUE_IS_NUMBER else content
    if number is None or plain is None:
        log.err(f"name or value of AVP <{name}> is no number as its type says")
        return None
    return number, plain


def to_row(columns: Columns, name: Name, value: Value) -> dict[str, DbValue]:
    kind = VALUE_IS_NUMBER * isinstance(value, int) | NAME_IS_NUMBER * isinstance(name, int)
    return {columns.attribute: str(name), columns.value: str(value), columns.type: kind}


def _text(value: DbValue) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
