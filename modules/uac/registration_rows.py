"""Registrations as rows of the table uacreg: reading all of them, or one anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamailio_py.db.errors import DbError
from kamailio_py.log import get_logger
from kamailio_py.modules.uac.registration import Registration, State, usable_password

if TYPE_CHECKING:
    from kamailio_py.db.database import Database
    from kamailio_py.modules.uac.registrations import Registrations

log = get_logger("uac")

VERSION = 5
COLUMNS = (
    "l_uuid", "l_username", "l_domain", "r_username", "r_domain", "realm", "auth_username", "auth_password",
    "auth_ha1", "auth_proxy", "expires", "flags", "reg_delay", "contact_addr", "socket",
)  # fmt: skip
OPTIONAL = frozenset(("realm", "auth_password", "auth_ha1", "contact_addr", "socket"))
NUMBERS = frozenset(("expires", "flags", "reg_delay"))


def read_row(row: tuple[Any, ...]) -> Registration | None:
    """The registration a row describes; None for one that cannot be used, which is logged."""
    fields: dict[str, Any] = {}
    for number, (name, value) in enumerate(zip(COLUMNS, row, strict=True)):
        if name in NUMBERS:
            fields[name] = int(value or 0) & 0xFFFFFFFF
        elif value not in (None, ""):
            fields[name] = str(value)
        elif name not in OPTIONAL:
            log.err(f"empty value not allowed for column[{number}]='{name}' - ignoring record")
            return None
    registration = Registration(**fields)
    return registration if usable_password(registration.auth_password, registration.auth_ha1) else None


class Rows:
    """See the head of the file; `put(registration)` stores one, False without memory."""

    def __init__(self, database: Database | None, table: str, registrations: Registrations, put: Any) -> None:
        self._database = database
        self._table = table
        self._registrations = registrations
        self._put = put

    def load(self) -> bool:
        """Put in all rows of the table; False if it cannot be read, which is logged."""
        database = self._database
        if database is None:
            log.err("database module not found")
            return False
        try:
            database.check_version(self._table, VERSION)
            for row in database.fetch(self._table, COLUMNS):
                registration = read_row(row)
                if registration is not None and not self._put(registration):
                    return False
        except DbError as error:
            log.err(str(error))
            return False
        return True

    def refresh(self, uuid: str) -> bool | None:
        """Put in one row anew, as it is now; None if there is none, False if it cannot be read, which is logged.

        What is under way for it goes on.
        """
        database = self._database
        if database is None:
            log.err("database module not found")
            return False
        try:
            rows = database.query(self._table, COLUMNS, {"l_uuid": uuid}).rows
        except DbError:
            return False
        if not rows:
            return None
        registration = read_row(rows[0])
        if registration is None:
            return True
        old = self._registrations.remove(uuid)
        if old is not None:
            registration.flags |= old.flags & (State.ONGOING | State.AUTH_SENT)
        return bool(self._put(registration))
