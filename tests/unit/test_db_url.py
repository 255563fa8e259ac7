"""Database URLs taken apart."""

from __future__ import annotations

import pytest

from kamailio_py.db.errors import DbError
from kamailio_py.db.url import parse_url


@pytest.mark.parametrize(
    ("text", "module", "parts"),
    [
        ("mysql://kam:pa:s/s@w@db.example:3307/kam", "db_mysql", ("kam", "pa:s/s@w", "db.example", 3307, "kam")),
        ("mysql://kamailio@localhost/kam", "db_mysql", ("kamailio", "", "localhost", 0, "kam")),
        ("postgres://localhost/kam", "db_postgres", ("", "", "localhost", 0, "kam")),
        ("postgres://u:p@[::1]:5433/kam", "db_postgres", ("u", "p", "::1", 5433, "kam")),
        ("sqlite:////var/lib/a@b.db", "db_sqlite", ("", "", "", 0, "/var/lib/a@b.db")),
        ("sqlite:///relative.db", "db_sqlite", ("", "", "", 0, "relative.db")),
        ("db_text:///etc/tables", "db_text", ("", "", "", 0, "etc/tables")),
        ("flatstore:/var/log/acc", "db_flatstore", ("", "", "", 0, "")),
        ("cluster://c1", "db_cluster", ("", "", "c1", 0, "")),
    ],
)  # fmt: skip
def test_parts(text: str, module: str, parts: tuple[object, ...]) -> None:
    url = parse_url(text)
    assert url.module == module
    assert (url.user, url.password, url.host, url.port, url.database) == parts


def test_a_password_is_never_shown() -> None:
    assert str(parse_url("mysql://k:secret@h/d")) == "mysql://k:******@h/d"


@pytest.mark.parametrize("text", ["", "nothing", ":x"])
def test_no_url(text: str) -> None:
    with pytest.raises(DbError, match="cannot parse URL"):
        parse_url(text)
