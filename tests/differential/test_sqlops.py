"""sqlops on sqlite: results, XAVPs, variables, what is said of errors; and what is in the database afterwards."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from kit.room import Room
from kit.scene import Scene, ask

ROWS = """
create table t (id integer primary key, name varchar(20), n int, q real, at datetime, body blob, big bigint);
insert into t values (1, 'bob', -5, 1.5, 2440588.5, x'4142', 12345678901);
insert into t values (2, 'o''neil', null, 0, null, null, null);
insert into t values (3, '', 7, 0, null, '', null);
create table w (id integer primary key, name varchar(20), n int);
"""


def database(directory: Path) -> None:
    made = sqlite3.connect(directory / "t.db")
    made.executescript(ROWS)
    made.close()


room = Room(
    "sqlops",
    modules="db_sqlite sqlops",
    params="""
modparam("sqlops", "sqlcon", "ca=>sqlite:///@DIR@/t.db")
modparam("sqlops", "sqlcon", " cb => sqlite:///@DIR@/t.db ")
modparam("sqlops", "sqlres", "made")
modparam("sqlops", "tr_buf_size", 32)
""",
    last='sl_send_reply("200", "done");',
    prepare=database,
)


@room.case(
    """
route[dbr] {
    xlog("L_NOTICE", "unset [$dbr(r1=>rows)] [$dbr(r1=>cols)] [$dbr(r1=>[0,0])] [$dbr(r1=>colname[0])]\\n");
    xlog("L_NOTICE", "made [$dbr(made=>rows)]\\n");
    $var(r) = sql_query("ca", "select * from t order by id", "r1");
    xlog("L_NOTICE", "$var(r) [$dbr(r1=>rows)] [$dbr(r1=>cols)] [$dbr(r1=>[0,0])]\\n");
    xlog("L_NOTICE", "[$dbr(r1=>[0,1])] [$dbr(r1=>[0,2])]\\n");
    xlog("L_NOTICE", "[$dbr(r1=>[0,3])] [$dbr(r1=>[0,4])] [$dbr(r1=>[0,5])]\\n");
    xlog("L_NOTICE", "[$dbr(r1=>[0,6])] [$dbr(r1=>colname[6])]\\n");
    xlog("L_NOTICE", "[$dbr(r1=>[1,1])] [$dbr(r1=>[1,2])] [$dbr(r1=>[1,4])] [$dbr(r1=>[1,5])]\\n");
    xlog("L_NOTICE", "[$dbr(r1=>[2,1])] [$dbr(r1=>[2,5])] [$dbr(r1=>[9,1])] [$dbr(r1=>[1,9])]\\n");
    $var(i) = 1; $var(j) = 1;
    xlog("L_NOTICE", "[$dbr(r1=>[$var(i),$var(j)])] [$(dbr(r1=>[1,1]){s.len})]\\n");
    if ($dbr(r1=>[0,2]) == -5) { xlog("L_NOTICE", "a number\\n"); }
    if ($dbr(r1=>[1,2]) == $null) { xlog("L_NOTICE", "null\\n"); }
    if ($dbr(r1=>[2,1]) == "") { xlog("L_NOTICE", "empty\\n"); }
    if ($dbr(r1=>[2,1]) == $null) { xlog("L_NOTICE", "null?\\n"); }
}
"""
)
def test_dbr(s: Scene) -> None:
    ask(s)


@room.case(
    """
route[codes] {
    $var(r) = sql_query("ca", "select name from t where id=2", "r2"); xlog("L_NOTICE", "rows $var(r) $rc\\n");
    $var(r) = sql_query("ca", "select nonsense", "r2"); xlog("L_NOTICE", "error $var(r) [$dbr(r2=>rows)]\\n");
    $var(r) = sql_query("ca", "select name from t where id=2", "r2");
    $var(r) = sql_query("ca", "update w set n=7", "r2"); xlog("L_NOTICE", "update $var(r) [$dbr(r2=>rows)]\\n");
    $var(r) = sql_query("ca", "select name from t where id=2", "r2");
    $var(r) = sql_query("ca", "select name from t where id=99", "r2");
    xlog("L_NOTICE", "none $var(r) [$dbr(r2=>rows)] [$dbr(r2=>cols)] [$dbr(r2=>[0,0])]\\n");
    $var(r) = sql_query("cb", "select 1"); xlog("L_NOTICE", "no container $var(r)\\n");
    $var(r) = sql_query("ca", "update w set n=8"); xlog("L_NOTICE", "no container, no rows $var(r)\\n");
    $var(r) = sql_query("ca", "select count(*), max(name), 'x', 1.5 from t", "r2");
    xlog("L_NOTICE", "$var(r) [$dbr(r2=>[0,0])] [$dbr(r2=>[0,1])] [$dbr(r2=>[0,2])] [$dbr(r2=>[0,3])]\\n");
    $var(r) = sql_result_free("r2"); xlog("L_NOTICE", "$var(r) [$dbr(r2=>rows)] [$dbr(r2=>[0,0])]\\n");
    $var(q) = "select name from t where id=1";
    $var(r) = sql_query("ca", "$var(q)", "r2"); xlog("L_NOTICE", "$var(r) [$dbr(r2=>[0,0])]\\n");
}
"""
)
def test_codes(s: Scene) -> None:
    ask(s)
    s.note_log("cannot do the query [select nonsense]")


@room.case("""
route[left] {
    xlog("L_NOTICE", "[$dbr(r3=>rows)]\\n");
    sql_query("ca", "select name from t", "r3");
}
""")
def test_left(s: Scene) -> None:
    """A result stays from one message to the next."""
    ask(s)
    ask(s)


@room.case(
    """
route[xquery] {
    $xavp(xa=>name) = "old";
    $var(r) = sql_xquery("ca", "select * from t order by id", "xa");
    xlog("L_NOTICE", "$var(r) [$xavp(xa=>name)] [$xavp(xa[0]=>n)] [$xavp(xa[0]=>q)]\\n");
    xlog("L_NOTICE", "[$xavp(xa[0]=>at)] [$xavp(xa[0]=>body)]\\n");
    xlog("L_NOTICE", "[$xavp(xa[1]=>name)] [$xavp(xa[1]=>n)] [$xavp(xa[2]=>name)] [$xavp(xa[3]=>name)]\\n");
    $var(r) = sql_xquery("ca", "select name from t where id=99", "xb"); xlog("L_NOTICE", "$var(r) [$xavp(xb)]\\n");
    $var(r) = sql_xquery("ca", "select nonsense", "xb"); xlog("L_NOTICE", "$var(r) [$xavp(xb)]\\n");
    $var(r) = sql_xquery("ca", "update w set n=9", "xb"); xlog("L_NOTICE", "$var(r) [$xavp(xb)]\\n");
}
"""
)
def test_xquery(s: Scene) -> None:
    ask(s)


@room.case(
    """
route[pvquery] {
    $var(x) = "keep"; $avp(y) = "old";
    $var(r) = sql_pvquery("ca", "select name, n, q from t order by id", "$var(x),$avp(y), $avp(z)");
    xlog("L_NOTICE", "$var(r) [$var(x)] [$(avp(y)[*])] [$(avp(z)[*])]\\n");
    $var(r) = sql_pvquery("ca", "select name from t where id=99", "$var(x)"); xlog("L_NOTICE", "$var(r) [$var(x)]\\n");
    $var(r) = sql_pvquery("ca", "select name, n from t where id=1", "$var(x)");
    xlog("L_NOTICE", "$var(r) [$var(x)]\\n");
    $var(r) = sql_pvquery("ca", "select name from t where id=2", "$var(x);$var(nn)");
    xlog("L_NOTICE", "$var(r) [$var(x)]\\n");
    $var(r) = sql_pvquery("ca", "select nonsense", "$var(x)"); xlog("L_NOTICE", "$var(r) [$var(x)]\\n");
    $var(r) = sql_pvquery("ca", "select at, null from t where id=1", "$var(x),$var(nn)");
    xlog("L_NOTICE", "$var(r) [$var(x)] [$var(nn)]\\n");
    $var(r) = sql_pvquery("ca", "select 'a' union select 'b'", "$xavp(p=>q)");
    xlog("L_NOTICE", "$var(r) [$xavp(p[0]=>q)] [$xavp(p[1]=>q)]\\n");
    $var(r) = sql_pvquery("ca", "select 'sip:x@y', n, name from t where id=1", "$ru,$var(nn),$avp(i:5)");
    xlog("L_NOTICE", "$var(r) [$ru] [$var(nn)] [$avp(i:5)]\\n");
}
"""
)
def test_pvquery(s: Scene) -> None:
    ask(s)


@room.case(
    """
route[sql_val] {
    $var(e) = "o'ne\\"il"; $var(z) = 5;
    xlog("L_NOTICE", "$(var(e){sql.val}) $(var(e){sql.val.str}) $(var(e){sql.val.int})\\n");
    xlog("L_NOTICE", "$(var(z){sql.val}) $(var(z){sql.val.int}) $(var(z){sql.val.str})\\n");
    xlog("L_NOTICE", "$(avp(none){sql.val}) $(avp(none){sql.val.int}) $(avp(none){sql.val.str})\\n");
    $var(e) = "123456789012345"; xlog("L_NOTICE", "$(var(e){sql.val})\\n");
    sql_query("ca", "insert into w (name, n) values ($(fU{sql.val}), $(var(z){sql.val}))");
    sql_query("ca", "insert into w (name, n) values ('b\xc3\xb6b', 6)");
    sql_query("ca", "select name, hex(name) from w order by n", "r4");
    xlog("L_NOTICE", "[$dbr(r4=>[0,0])] [$dbr(r4=>[1,0])] [$dbr(r4=>[1,1])]\\n");
}
"""
)
def test_sql_val(s: Scene) -> None:
    ask(s)


@room.case(
    """
route[sqlrows] {
    sql_query("ca", "update t set q=3 where id < 3");
    xlog("L_NOTICE", "[$sqlrows(ca)]\\n");
}
""",
    differs="real db_sqlite does not tell how many rows were changed",
)
def test_sqlrows(s: Scene) -> None:
    ask(s)
    if s.ours:
        s.wait_log("[2]")
