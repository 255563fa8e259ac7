"""MySQL and PostgreSQL as scripts see them, and what htables leave there: real Kamailio and ours on one server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kit.agent import Agent
from kit.db_servers import DbServer, MariaDb, Postgres, serving
from kit.server import Server, our_command, real_command

from tests.kit.databases import core_with

CREATE = {
    "mysql": "create table ty (a tinyint, b smallint, d int, e bigint, g float, h double, i decimal(5,2), j bit(3),"
    " k date, l time, m datetime, o year, p char(5), q varchar(5), r tinyblob, s blob, t text,"
    " u enum('a','b'), x varbinary(5));"
    "insert into ty values (1,2,4,12345678901,1.5,2.5,3.25,5,'2020-01-02','03:04:05','2020-01-02 03:04:05',2020,'ch',"
    "'vc','tb','bl','te','b','vb'), (null,null,null,null,null,null,null,null,null,null,null,null,null,"
    " '','','','',null,'')",
    "postgres": "create table ty (a smallint, b int, c bigint, d serial, e numeric(5,2), f real, g double precision,"
    " h boolean, i char(5), j varchar(5), k text, l bytea, m timestamp, n timestamptz, p time, q inet, u oid, v name);"
    "insert into ty values (1,2,12345678901,4,5.25,1.5,2.5,true,'ch','vc','te','\\x414243','2020-01-02 03:04:05',"
    " '2020-01-02 03:04:05','03:04:05','127.0.0.1',7,'na'),"
    "(null,null,null,5,null,null,null,null,null,'','','',null,null,null,null,null,null)",
}

CFG = """
debug=2
log_stderror=yes
children=1
loadmodule "db_{scheme}.so"
loadmodule "pv.so"
loadmodule "sl.so"
loadmodule "xlog.so"
loadmodule "htable.so"
loadmodule "sqlops.so"
modparam("sqlops", "sqlcon", "ca=>{url}")
modparam("htable", "db_url", "{url}")
modparam("htable", "htable", "a=>size=4;dbtable=htable;dbmode=1")
request_route {{
    sql_query("ca", "select * from ty", "r");
    $var(row) = 0;
    while ($var(row) < $dbr(r=>rows)) {{
        $var(i) = 0;
        while ($var(i) < $dbr(r=>cols)) {{
            xlog("L_NOTICE", "$dbr(r=>colname[$var(i)]) [$dbr(r=>[$var(row),$var(i)])]\\n");
            $var(i) = $var(i) + 1;
        }}
        $var(row) = $var(row) + 1;
    }}
    $var(r) = sql_query("ca", "select nonsense", "r"); xlog("L_NOTICE", "$var(r)\\n");
    $var(r) = sql_query("ca", "update htable set key_type=0", "r"); xlog("L_NOTICE", "$var(r) $sqlrows(ca)\\n");
    $var(r) = sql_query("ca", "delete from htable where key_name='none'", "r");
    xlog("L_NOTICE", "$var(r) $sqlrows(ca)\\n");
    xlog("L_NOTICE", "$sht(a=>s) $sht(a=>n)\\n");
    $sht(a=>new) = 5; $sht(a=>text) = "b\xc3\xb6'\\"\\\\ %s"; $sht(a=>s) = $null;
    sl_send_reply("200", "done");
}}
"""


@pytest.fixture(scope="module", params=[MariaDb, Postgres], ids=["mysql", "postgres"])
def db(request: pytest.FixtureRequest) -> Iterator[DbServer]:
    with serving(request.param) as server:
        yield server


def run(server: DbServer, command: list[str]) -> tuple[list[str], list[object]]:
    """What the script logs on tables made anew, and what the htable's table has at the end."""
    scheme = server.scheme
    with core_with(f"db_{scheme}") as core:
        db = core.db(server.url)
        for statement in ("drop table if exists ty", "drop table if exists htable", *CREATE[scheme].split(";")):
            db.raw(statement)
        key = "int auto_increment primary key" if scheme == "mysql" else "serial primary key"
        columns = "key_name varchar(64), key_type int, value_type int, key_value varchar(128)"
        db.raw(f"create table htable (id {key}, {columns})")
        for name, kind, value in (("s", 0, "text"), ("n", 1, "42")):
            db.insert("htable", {"key_name": name, "key_type": 0, "value_type": kind, "key_value": value})
        kamailio = Server(scheme, command, CFG.format(scheme=scheme, url=server.url))
        try:
            kamailio.start()
            agent = Agent("alice", scheme, kamailio.address)
            agent.request("OPTIONS")
            agent.expect(200)
            agent.close()
            kamailio.settle()
            lines = kamailio.script_lines()
        finally:
            kamailio.stop()
        rows = db.query("htable", ["key_name", "key_type", "value_type", "key_value"], order="key_name").rows
        return lines, list(rows)


@pytest.mark.kamailio
def test_the_same_on_both(db: DbServer) -> None:
    real, ours = run(db, real_command()), run(db, our_command())
    assert real == ours
    assert len(real[0]) > 30
    assert ("new", 0, 1, "5") in real[1]
