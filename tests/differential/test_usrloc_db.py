"""usrloc with a database: the rows that both servers write, in each db_mode, and what is left after a restart."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest
from kit.agent import PATIENCE, Agent
from kit.db_servers import Databases, DbServer, MariaDb, Postgres
from kit.server import Server, our_command, real_command

from kamailio_py.db.tables import create_sqlite

pytestmark = pytest.mark.kamailio

CFG = """
debug=2
log_stderror=yes
children=1
disable_tcp=yes
loadmodule "jsonrpcs.so"
loadmodule "ctl.so"
loadmodule "db_{scheme}.so"
loadmodule "kex.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
modparam("usrloc", "db_url", "{url}")
modparam("usrloc", "nat_bflag", 2)
modparam("registrar", "min_expires", 1)
modparam("registrar", "use_path", 1)
modparam("registrar", "received_avp", "$avp(rcv)")
{params}
request_route {{
    if ($rm == "OPTIONS") {{
        lookup("location", "sip:$rU@example.test");
        sl_send_reply("200", "at $ru $(branch(uri)[0]) $du $bf [$xavp(attrs=>a)]");
        exit;
    }}
    if ($rm == "INFO") {{ unregister("location", "sip:$rU@example.test"); sl_send_reply("200", "gone"); exit; }}
    $avp(rcv) = $hdr(X-Received);
    if ($hdr(X-Flag) != $null) {{ setbflag(2); }}
    $xavp(attrs=>a) = $hdr(X-Attr);
    $xavp(attrs[0]=>n) = 5;
#!ifdef MEMORY
    if ($hdr(X-Memory) != $null) {{ save("location", "0x01"); exit; }}
#!endif
    save("location");
}}
"""

COLUMNS = (
    "username", "domain", "contact", "received", "path", "q", "callid", "cseq", "flags", "cflags", "user_agent",
    "socket", "methods", "instance", "reg_id", "server_id", "connection_id", "keepalive", "partition",
)  # fmt: skip


class Sqlite:
    """A file with Kamailio's tables."""

    scheme = "sqlite"

    def __init__(self, path: Path) -> None:
        create_sqlite(str(path))
        self.url = f"sqlite:///{path}"
        self._connection = sqlite3.connect(path, check_same_thread=False)

    def execute(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        found = self._connection.execute(statement, values).fetchall()
        self._connection.commit()
        return found

    def seconds(self, column: str) -> str:
        """Seconds since the epoch, in SQL."""
        return f"(({column} - 2440587.5) * 86400)"


class Served:
    """A database of a MySQL or PostgreSQL server."""

    SECONDS: ClassVar = {"mysql": "unix_timestamp({})", "postgres": "extract(epoch from {})"}

    def __init__(self, databases: Databases, name: str) -> None:
        self.scheme = databases.scheme
        self.url = databases.make(name)
        self._connection = databases.connect(name)

    def execute(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        cursor = self._connection.cursor()
        cursor.execute(statement, values)
        return [tuple(float(v) if isinstance(v, Decimal) else v for v in row) for row in cursor.fetchall()]

    def seconds(self, column: str) -> str:
        return self.SECONDS[self.scheme].format(column)


class Side:
    """One server on a database of its own, and alice, who registers there."""

    def __init__(self, database: Sqlite | Served, command: list[str], params: str) -> None:
        self.command = command
        self.cfg = CFG.format(url=database.url, scheme=database.scheme, params=params)
        self.database = database
        self.server: Server | None = None

    def start(self) -> None:
        self.server = Server("usrloc", self.command, self.cfg)
        self.server.start()
        self.agent = Agent("alice", "db", self.server.address)

    def stop(self) -> None:
        if self.server is not None:
            self.agent.close()
            self.server.stop()
            self.server = None

    def register(self, user: str, contact: str, headers: str = "", **more: Any) -> str:
        self.agent.request("REGISTER", user=user, headers=f"Contact: {contact}\n{headers}", **more)
        return re.sub(r"expires=\d+", "expires", self.agent.expect(200).first("Contact"))

    def look(self, user: str) -> str:
        assert self.server is not None
        self.agent.request("OPTIONS", user=user)
        return self.agent.expect(200).start.replace(str(self.server.port), "<port>")

    def rows(self, table: str = "location") -> list[tuple[Any, ...]]:
        """What the table has, with what differs from run to run named."""
        names = COLUMNS if table == "location" else ("username", "domain", "aname", "atype", "avalue")
        found = []
        modified = self.database.seconds("last_modified")
        for row in self.database.execute(
            f"select {', '.join(f'{table}.{name}' for name in names)}, ruid, {modified} from {table}"
        ):
            *values, ruid, modified = row
            values = [re.sub(r"127\.0\.0\.1:\d+", "<address>", v) if isinstance(v, str) else v for v in values]
            assert re.fullmatch(r"ul(oc|cx)-[0-9a-f]+-[0-9a-f]+-[0-9a-f]+", ruid)
            assert abs(modified - time.time()) < 60
            found.append(tuple(values))
        if table == "location":
            life = f"{self.database.seconds('expires')} - {self.database.seconds('last_modified')}"
            lives = self.database.execute(f"select {life} from location")
            found = [(*row, round(life[0])) for row, life in zip(found, lives, strict=True)]
        return sorted(found, key=str)

    def wait_for_rows(self, count: int) -> int:
        """How many rows there are, once there are `count` or patience ends."""
        deadline = time.monotonic() + PATIENCE
        while (n := self.database.execute("select count(*) from location")[0][0]) != count:
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        return int(n)


def story(side: Side, mode: int) -> list[Any]:
    """Registrations, and what the database has after each step; with db_mode 2 once the timer has written."""
    seen: list[Any] = []

    def note_rows() -> None:
        if mode != 2:
            seen.append(side.rows())

    side.start()
    try:
        contacts = "<sip:a@10.0.0.1>;q=0.5, <sip:b@10.0.0.1>"
        seen.append(side.register("alice", contacts, "X-Attr: one", call_id="a", cseq=1))
        seen.append(
            side.register(
                "bob",
                '<sip:b@10.0.0.2>;+sip.instance="<urn:x>";reg-id=3;expires=500;methods="INVITE"',
                "X-Received: sip:10.0.0.9:7\nX-Flag: 1\nUser-Agent: it's/1.0\nPath: <sip:p@10.0.0.5;lr>\n"
                "Supported: path\nX-Attr: two",
            )
        )
        if mode != 3:
            seen.append(side.register("memory", "<sip:m@10.0.0.3>", "X-Memory: 1"))
        note_rows()
        seen.append(side.wait_for_rows(3))
        seen.append(side.register("alice", "<sip:a@10.0.0.1>;q=0.7;expires=100", "X-Attr: new", call_id="a", cseq=2))
        note_rows()
        seen.append(side.register("alice", "<sip:b@10.0.0.1>;expires=0, <sip:c@10.0.0.1>", call_id="a", cseq=3))
        seen.append(side.register("alice", "<sip:a@10.0.0.1>;q=0.2", "X-Attr: newer", call_id="a", cseq=4))
        note_rows()
        seen.append(side.register("gone", "<sip:a@10.0.0.1>, <sip:b@10.0.0.1>"))
        side.agent.request("INFO", user="gone")
        side.agent.expect(200)
        seen.append(side.look("alice"))
        seen.append(side.look("bob"))
    finally:
        side.stop()
    seen.append(side.rows())
    seen.append(side.rows("location_attrs"))
    side.start()
    try:
        seen += [side.look("alice"), side.look("bob"), side.look("memory")]
        seen.append(side.register("alice", f"<sip:d@10.0.0.1>;expires={3 if mode == 2 else 1}", call_id="b"))
        seen.append(side.wait_for_rows(4 if mode == 2 else 3))
        seen.append(side.wait_for_rows(3))
    finally:
        side.stop()
    seen.append(side.rows())
    return seen


Tell = Callable[[Side, int], list[Any]]


def both(
    make: Callable[[str], Sqlite | Served], mode: int, params: str, tell: Tell = story
) -> tuple[list[Any], list[Any]]:
    """What real Kamailio and ours have to tell, each on the database that `make` gives for its name."""
    params += f'\nmodparam("usrloc", "db_mode", {mode})\nmodparam("usrloc", "timer_interval", 1)'
    params += "\n#!define MEMORY\n" if mode != 3 else ""
    sides = [Side(make(name), command, params) for name, command in
             (("real", real_command()), ("ours", our_command()))]  # fmt: skip
    with ThreadPoolExecutor(2) as pool:
        real, ours = pool.map(lambda side: tell(side, mode), sides)
    return real, ours


def same(tmp_path: Path, mode: int, params: str, tell: Tell = story) -> None:
    """Both tell the same on sqlite."""
    compare(*both(lambda name: Sqlite(tmp_path / f"{name}.db"), mode, params, tell))


def compare(real: list[Any], ours: list[Any]) -> None:
    steps = [f"step {n}\nreal {left}\nours {right}" for n, (left, right) in
             enumerate(zip(real, ours, strict=True)) if left != right]  # fmt: skip
    assert not steps, "\n".join(steps)


@pytest.mark.parametrize("mode", [1, 2, 3])
def test_rows(tmp_path: Path, mode: int) -> None:
    same(tmp_path, mode, "")


@pytest.mark.parametrize("mode", [1, 3])
def test_rows_with_domains_and_attributes(tmp_path: Path, mode: int) -> None:
    same(
        tmp_path,
        mode,
        """
modparam("usrloc", "use_domain", 1)
modparam("usrloc", "xavp_contact", "attrs")
modparam("usrloc", "db_insert_null", 1)
modparam("usrloc", "db_check_update", 1)
""",
    )


def test_rows_by_address(tmp_path: Path) -> None:
    same(tmp_path, 1, 'modparam("usrloc", "db_ops_ruid", 0)\nmodparam("usrloc", "desc_time_order", 1)')


def connections(side: Side, mode: int) -> list[Any]:
    """A row for each kind of connection id, and which are there after a restart."""
    for number, connection in enumerate((-7, -1, 0, 1, 77)):
        for server in (0, 9):
            side.database.execute(
                "insert into location (ruid, username, contact, expires, callid, cseq, last_modified, server_id,"
                " connection_id) values (?, ?, ?, julianday('now') + 1, 'c', 1, julianday('now'), ?, ?)",
                f"uloc-1-2-{number}{server}", f"u{number}{server}", "sip:a@10.0.0.1;transport=tcp", server, connection,
            )  # fmt: skip
    side.start()
    try:
        found = [side.look(f"u{number}{server}") for number in range(5) for server in (0, 9)]
        return [*found, side.database.execute("select username from location order by 1")]
    finally:
        side.stop()


@pytest.mark.parametrize("filtered", [0, 1])
def test_rows_of_lost_connections(tmp_path: Path, filtered: int) -> None:
    params = f"""
modparam("usrloc", "db_clean_tcp", 1)
modparam("usrloc", "server_id_filter", {filtered})
"""
    same(tmp_path, 1, params, connections)


@pytest.mark.parametrize("kind", [MariaDb, Postgres], ids=["mysql", "postgres"])
def test_rows_on_servers(kind: type[DbServer]) -> None:
    """All modes at once, on databases of one server."""
    databases = Databases(kind, "standard", "usrloc")
    modes = (1, 2, 3)
    try:
        made = {f"{name}{mode}": Served(databases, f"{name}{mode}") for mode in modes for name in ("real", "ours")}
        with ThreadPoolExecutor(len(modes)) as pool:
            told = list(pool.map(lambda mode: both(lambda name: made[f"{name}{mode}"], mode, ""), modes))
        for real, ours in told:
            compare(real, ours)
            assert len(real) > 10
    finally:
        databases.close()
