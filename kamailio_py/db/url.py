"""Database URLs: `sqlite:////var/lib/users.db`, `mysql://kamailio:secret@10.0.0.1:3306/kamailio`, `text:///etc/tables`.

The scheme names the module that talks to the database: `mysql` is `db_mysql`.
"""

from __future__ import annotations

import re

from kamailio_py.dataclass import dataclass
from kamailio_py.db.errors import DbError

_SERVER = re.compile(
    r"(?:(?P<user>[^:@/]*)(?::(?P<password>.*))?@)?(?P<host>\[[^\]]*\]|[^:/@]*)(?::(?P<port>\d+))?(?:/(?P<database>.*))?",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class DbUrl:
    """The parts of a database URL; `rest` is what follows `scheme:` and, where there is one, `//`."""

    text: str
    scheme: str
    rest: str
    user: str = ""
    password: str = ""
    host: str = ""
    port: int = 0
    database: str = ""

    @property
    def module(self) -> str:
        """Name of the module that serves this URL."""
        return self.scheme if self.scheme.startswith("db_") else f"db_{self.scheme}"

    def __str__(self) -> str:
        """The URL without its password, to be logged."""
        return self.text.replace(f":{self.password}@", ":******@") if self.password else self.text


def parse_url(text: str) -> DbUrl:
    """The URL taken apart; DbError if it is none. The password ends at the last '@'."""
    scheme, colon, rest = text.partition(":")
    if not colon or not scheme:
        raise DbError(f"cannot parse URL '{text}'")
    if not rest.startswith("//"):
        return DbUrl(text, scheme, rest)
    rest = rest[2:]
    parts = _SERVER.fullmatch(rest)
    if parts is None:
        return DbUrl(text, scheme, rest)
    return DbUrl(
        text,
        scheme,
        rest,
        user=parts["user"] or "",
        password=parts["password"] or "",
        host=(parts["host"] or "").strip("[]"),
        port=int(parts["port"] or 0),
        database=parts["database"] or "",
    )
