"""htables that are in a database: what is loaded, and what the database has when the server has stopped."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from kit.agent import Agent
from kit.room import Room
from kit.scene import Scene, ask
from kit.server import Server, our_command, real_command

from kamailio_py.db.tables import create_sqlite

ROWS = """
insert into htable (key_name, key_type, value_type, key_value, expires) values
    ('s', 0, 0, 'text', 0), ('n', 0, 1, '42', 0), ('bad', 0, 1, 'xyz', 0), ('neg', 0, 1, '-7', 0),
    ('', 0, 0, 'unnamed', 0), ('arr', 1, 0, 'one', 0), ('x:y', 0, 0, 'a b:c', 0),
    ('arr', 1, 0, 'two', 0), ('nums', 1, 1, '7', 0), ('ev', 0, 0, '', 0),
    ('over', 0, 0, 'gone', 1), ('later', 0, 0, 'stays', 1900000000);
create table c (id integer primary key, a varchar(10), b varchar(10), n int);
insert into c (a, b, n) values ('k1', 'v1', 5), ('k2', null, 6), ('k3', '', null), ('k5', 'x:y', 1);
"""


def database(directory: Path) -> None:
    create_sqlite(str(directory / "h.db"))
    made = sqlite3.connect(directory / "h.db")
    made.executescript(ROWS)
    made.close()


room = Room(
    "htable_db",
    modules="db_sqlite",
    params="""
modparam("htable", "db_url", "sqlite:///@DIR@/h.db")
modparam("htable", "db_expires", 1)
modparam("htable", "fetch_rows", 3)
modparam("htable", "htable", "a=>size=4;dbtable=htable")
modparam("htable", "htable", "e=>size=4;dbtable=htable;autoexpire=1000")
modparam("htable", "htable", "c2=>size=4;dbtable=c;cols='a,b'")
modparam("htable", "htable", "c3=>size=4;dbtable=c;cols='a,b,n'")
modparam("htable", "htable", "cn=>size=4;dbtable=c;cols='a,n'")
""",
    last='sl_send_reply("200", "done");',
    prepare=database,
)


@room.case("""
route[load] {
    xlog("L_NOTICE", "[$sht(a=>s)] [$sht(a=>n)] [$sht(a=>bad)] [$sht(a=>neg)] [$sht(a=>x:y)]\\n");
    xlog("L_NOTICE", "[$sht(a=>ev)] [$sht(a=>)]\\n");
    xlog("L_NOTICE", "[$sht(a=>arr[0])] [$sht(a=>arr[1])] [$sht(a=>arr::size)]\\n");
    xlog("L_NOTICE", "[$sht(a=>nums[0])] [$sht(a=>nums::size)]\\n");
    if ($sht(a=>n) == 42) { xlog("L_NOTICE", "a number\\n"); }
    xlog("L_NOTICE", "[$sht(a=>over)] [$sht(a=>later)] [$sht(e=>over)] [$sht(e=>later)] [$shtex(a=>later)]\\n");
    if ($shtex(e=>later) > 100000) { xlog("L_NOTICE", "for long\\n"); }
    if ($shtex(e=>s) > 900 && $shtex(e=>s) <= 1000) { xlog("L_NOTICE", "as the table says\\n"); }
    xlog("L_NOTICE", "$shtcn(a=>~~.*) $shtcn(e=>~~.*)\\n");
}
""")
def test_load(s: Scene) -> None:
    ask(s)


@room.case("""
route[columns] {
    xlog("L_NOTICE", "[$sht(c2=>k1)] [$sht(c2=>k2)] [$sht(c2=>k3)] [$sht(c2=>k5)]\\n");
    xlog("L_NOTICE", "[$sht(c3=>k1)] [$sht(c3=>k2)] [$sht(c3=>k3)] [$sht(c3=>k5)]\\n");
    xlog("L_NOTICE", "[$sht(cn=>k1)] [$sht(cn=>k2)] [$sht(cn=>k3)]\\n");
    if ($sht(cn=>k1) == "5") { xlog("L_NOTICE", "a text\\n"); }
}
""")
def test_columns(s: Scene) -> None:
    ask(s)


STORING = """
debug=2
log_stderror=yes
children=1
loadmodule "db_sqlite.so"
loadmodule "pv.so"
loadmodule "sl.so"
loadmodule "htable.so"
modparam("htable", "db_url", "sqlite:///{database}")
modparam("htable", "db_expires", 1)
modparam("htable", "htable", "a=>size=4;dbtable=htable;dbmode=1")
modparam("htable", "htable", "k=>size=4;dbtable=kept;autoexpire=10000;dbmode=1")
modparam("htable", "htable", "u=>size=4;dbtable=untouched")
request_route {{
    $sht(a=>new) = 5; $sht(a=>s) = "b\xc3\xb6'\\"b"; $sht(a=>n) = $null; $sht(k=>t) = "x"; $sht(u=>t) = "x";
    sl_send_reply("200", "done");
}}
"""


def stored(directory: Path, command: list[str]) -> list[list[tuple[object, ...]]]:
    """What the tables have after a server ran on a database of its own."""
    directory.mkdir()
    database(directory)
    made = sqlite3.connect(directory / "h.db")
    for name in ("kept", "untouched"):
        made.execute(f"create table {name} as select * from htable where key_name in ('over', 'later', 'x:y')")
    made.commit()
    server = Server("stored", command, STORING.format(database=directory / "h.db"))
    try:
        server.start()
        agent = Agent("alice", "stored", server.address)
        agent.request("OPTIONS")
        agent.expect(200)
        agent.close()
    finally:
        server.stop()
    found = []
    for name in ("htable", "kept", "untouched"):
        rows = made.execute(f"select key_name, key_type, value_type, key_value, expires from {name}").fetchall()
        # when an item is over depends on when the server was started
        found.append(sorted((*row[:4], row[4] if row[4] > 1.85e9 else row[4] > 0) for row in rows))
    made.close()
    return found


@pytest.mark.kamailio
def test_what_is_stored_at_the_end(tmp_path: Path) -> None:
    real, ours = stored(tmp_path / "real", real_command()), stored(tmp_path / "ours", our_command())
    assert real == ours
    assert ("new", 0, 1, "5", False) in ours[0]
    assert ("later", 0, 0, "stays", 1900000000) in ours[1]
    assert len(ours[2]) == 3
