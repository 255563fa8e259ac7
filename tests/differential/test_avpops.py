"""avpops: AVPs copied, deleted, checked, computed with, substituted, pushed, and kept in a database."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from kit.room import Room
from kit.scene import Scene, ask

from kamailio_py.db.tables import create_sqlite

ROWS = """
insert into usr_preferences (uuid, username, domain, attribute, type, value, last_modified) values
    ('u1', 'alice', 'a.test', 'color', 0, 'red', 0), ('u1', 'alice', 'a.test', 'color', 0, 'blue', 0),
    ('u1', 'alice', 'a.test', 'size', 1, '42', 0), ('u1', 'alice', 'a.test', '7', 2, 'id7', 0),
    ('u1', 'alice', 'a.test', '8', 3, '88', 0), ('', 'alice', 'b.test', 'color', 0, 'green', 0),
    ('', 'bob', 'a.test', 'color', 0, 'black', 0), ('u2', '', '', 'color', 0, 'white', 0);
create table scheme (who varchar(20), realm varchar(20), what varchar(20));
insert into scheme values ('alice', 'a.test', 'by scheme'), ('bob', 'a.test', 'bobs');
"""


def database(directory: Path) -> None:
    create_sqlite(str(directory / "p.db"))
    made = sqlite3.connect(directory / "p.db")
    made.executescript(ROWS)
    made.close()


room = Room(
    "avpops",
    modules="db_sqlite avpops sqlops",
    params="""
modparam("avpops", "db_url", "sqlite:///@DIR@/p.db")
modparam("avpops", "avp_table", "usr_preferences")
modparam("avpops", "use_domain", 1)
modparam("avpops", "db_scheme", "sch:username_col=who;domain_col=realm;value_col=what;value_type=string;table=scheme")
modparam("sqlops", "sqlcon", "ca=>sqlite:///@DIR@/p.db")
""",
    last='sl_send_reply("200", "done");',
    prepare=database,
)


def log(*parts: str) -> str:
    return f'xlog("L_NOTICE", "{" ".join(f"[{part}]" for part in parts)}\\n");'


A, B = "$(avp(a)[*])", "$(avp(b)[*])"
FILL = '$(avp(a)[*]) = $null; $(avp(b)[*]) = $null; $avp(a) = 1; $avp(a) = "two"; $avp(a) = 3;'


@room.case(f"""
route[delete] {{
    {FILL} avp_delete("$avp(a)"); {log("$rc", A)}
    {FILL} avp_delete("$avp(a)/g"); {log("$rc", A)}
    {FILL} avp_delete("$avp(none)"); {log("$rc", A)}
    {FILL} $avp(i:5) = "x"; avp_delete("i"); {log("$rc", A, "$avp(i:5)")}
    {FILL} $avp(i:5) = "x"; avp_delete("i/g"); {log("$rc", A, "$avp(i:5)")}
    {FILL} $avp(i:5) = "x"; avp_delete("s/g"); {log("$rc", A, "$avp(i:5)")}
    {FILL} $avp(i:5) = "x"; avp_delete("*/g"); {log("$rc", A, "$avp(i:5)")}
}}
""")
def test_delete(s: Scene) -> None:
    ask(s)


@room.case(f"""
route[copy] {{
    {FILL} avp_copy("$avp(a)", "$avp(b)"); {log("$rc", A, B)}
    {FILL} avp_copy("$avp(a)", "$avp(b)/g"); {log("$rc", A, B)}
    {FILL} avp_copy("$avp(a)", "$avp(b)/d"); {log("$rc", A, B)}
    {FILL} avp_copy("$avp(a)", "$avp(b)/gd"); {log("$rc", A, B)}
    {FILL} $avp(b) = "old"; avp_copy("$avp(a)", "$avp(b)/g"); {log("$rc", A, B)}
    {FILL} avp_copy("$avp(none)", "$avp(b)"); {log("$rc", B)}
    {FILL} avp_copy("$avp(a)", "$avp(b)/s"); if ($avp(b) == "3") {log("$rc", B)}
    $(avp(a)[*]) = "12"; $(avp(b)[*]) = $null; avp_copy("$avp(a)", "$avp(b)/n"); if ($avp(b) == 12) {log("$rc", B)}
    $(avp(a)[*]) = "x"; $(avp(b)[*]) = $null; avp_copy("$avp(a)", "$avp(b)/n"); {log("$rc", B)}
}}
""")
def test_copy(s: Scene) -> None:
    ask(s)


@room.case(f"""
route[is_set] {{
    {FILL} is_avp_set("$avp(a)"); {log("$rc")}
    is_avp_set("$avp(none)"); {log("$rc")}
    is_avp_set("$avp(a)/s"); {log("s $rc")}
    is_avp_set("$avp(a)/n"); {log("n $rc")}
    $avp(a) = "text"; is_avp_set("$avp(a)/s"); {log("s $rc")}
    is_avp_set("$avp(a)/n"); {log("n $rc")}
    is_avp_set("$avp(a)/e"); {log("e $rc")}
    $avp(a) = ""; is_avp_set("$avp(a)/e"); {log("e $rc")}
    is_avp_set("$avp(a)/se"); {log("se $rc")}
    $avp(a) = 0; is_avp_set("$avp(a)/e"); {log("e $rc")}
    is_avp_set("$avp(a)/ne"); {log("ne $rc")}
    is_avp_set("$(avp(a)[1])"); {log("[1] $rc")}
    is_avp_set("$(avp(a)[9])"); {log("[9] $rc")}
}}
""")
def test_is_set(s: Scene) -> None:
    ask(s)


def checks(*operations: str) -> str:
    return "".join(
        f'$var(r) = avp_check("$avp(a)", "{op}"); {log(op.replace("$", ""), "$var(r)")}\n' for op in operations
    )


@room.case(f"""
route[check] {{
    {FILL} $avp(b) = 3; $var(v) = "two";
    {checks("eq/i:3", "eq/3", "ne/i:3", "lt/i:5", "lt/i:3", "le/i:3", "gt/i:2", "ge/i:4")}
    {checks("and/i:1", "or/i:0", "xor/i:3", "eq/s:two", "eq/i:1/g", "eq/$avp(b)", "eq/$avp(none)")}
    $(avp(a)[*]) = "one"; $avp(a) = "three"; $avp(a) = "two"; $(avp(c)[*]) = "tw*";
    {checks("eq/s:two", "eq/s:one/g", "eq/s:ONE/gi", "eq/i:5", "re/^o", "re/^o/g", "re/^O/g", "re/^O/gi", "fm/on*/g")}
    {checks("eq/$var(v)", "fm/$avp(c)", "ne/s:two/g", "ne/s:two", "lt/s:u", "gt/s:a", "fm/x*/g")}
    {checks("eq/two", "eq/$rm", "lt/s:two", "le/s:two", "ge/s:two", "eq/s:TWO/i", "re/W/i")}
    $(avp(c)[*]) = "zzz"; $avp(c) = "one";
    {checks("eq/$avp(c)/g", "eq/$avp(c)/gG", "eq/$(avp(c)[1])/g")}
    $var(r) = avp_check("$avp(none)", "eq/i:3"); {log("none", "$var(r)")}
    $var(r) = avp_check("$var(v)", "eq/s:two"); {log("var", "$var(r)")}
    $var(r) = avp_check("$rm", "eq/s:options/i"); {log("rm", "$var(r)")}
    $var(r) = avp_check("$(avp(a)[1])", "eq/s:two"); {log("[1]", "$var(r)")}
}}
""")
def test_check(s: Scene) -> None:
    ask(s)


def operate(*operations: str) -> str:
    return "".join(
        f'$(avp(a)[*]) = 7; $avp(a) = 12; $var(r) = avp_op("$avp(a)", "{op}"); '
        f"{log(op.replace('$', ''), '$var(r)', A)}\n"
        for op in operations
    )


@room.case(f"""
route[op] {{
    {operate("add/i:3", "sub/i:3", "mul/i:3", "div/i:5", "mod/i:5", "and/i:4", "or/i:1", "xor/i:4", "not/i:0")}
    {operate("add/i:1/g", "add/i:1/d", "add/i:1/gd", "div/i:0", "mod/i:0", "add/$avp(none)")}
    $(avp(a)[*]) = "x"; $var(r) = avp_op("$avp(a)", "add/i:1"); {log("$var(r)", A)}
    $var(r) = avp_op("$avp(none)", "add/i:1"); {log("$var(r)")}
    $(avp(a)[*]) = 1; $(avp(b)[*]) = $null; $var(r) = avp_op("$avp(a)/$avp(b)", "add/i:1"); {log("$var(r)", A, B)}
}}
""")
def test_op(s: Scene) -> None:
    ask(s)


SWAP = "/(t)(w)/\\\\2\\\\1/"


def substitute(what: str, how: str) -> str:
    return (
        f'$(avp(a)[*]) = "one"; $avp(a) = "two two"; $(avp(b)[*]) = "b"; $var(v) = "two two"; '
        f'avp_subst("{what}", "{how}"); {log("$rc", A, B)}\n'
    )


@room.case(f"""
route[subst] {{
    {substitute("$avp(a)", "/two/2/")}
    {substitute("$avp(a)", "/two/2/g")}
    {substitute("$avp(a)/g", "/o/0/g")}
    {substitute("$avp(a)/$avp(b)", SWAP)}
    {substitute("$avp(a)/$avp(b)/g", "/o/0/")}
    {substitute("$avp(a)/$avp(b)/d", "/o/0/")}
    {substitute("$avp(a)/$avp(b)/gd", "/o/0/")}
    {substitute("$avp(a)", "/none/x/")}
    {substitute("$avp(a)", "/TWO/x/i")}
    {substitute("$avp(none)", "/o/0/")}
    {substitute("$avp(a)", "/o/$rm/")}
    $(avp(a)[*]) = "two"; $var(s) = "/w/W/"; avp_subst_pv("$avp(a)", "$var(s)"); {log("$rc", A)}
    $(avp(a)[*]) = 22; avp_subst("$avp(a)", "/2/x/"); {log("$rc", A)}
}}
""")
def test_subst(s: Scene) -> None:
    ask(s)


@room.case(f"""
route[pushto] {{
    $(avp(a)[*]) = "sip:first@a.test"; $avp(a) = "sip:top@a.test"; $avp(u) = "user"; $avp(d) = "d.test:5070";
    avp_pushto("$ru", "$avp(a)"); {log("$rc", "$ru", "$(branch(uri)[*])")}
    avp_pushto("$ru/username", "$avp(u)"); {log("$rc", "$ru")}
    avp_pushto("$ru/domain", "$avp(d)"); {log("$rc", "$ru")}
    avp_pushto("$du", "$avp(a)"); {log("$rc", "$du")}
    avp_pushto("$br", "$avp(a)"); {log("$rc", "$(branch(uri)[*])")}
    avp_pushto("$ru", "$avp(a)/g"); {log("$rc", "$ru", "$(branch(uri)[*])")}
    $avp(e) = 5; avp_pushto("$ru/username", "$avp(e)"); {log("$rc", "$ru")}
    avp_pushto("$ru", "$avp(none)"); {log("$rc", "$ru")}
    avp_pushto("$ru", "$fu"); {log("$rc", "$ru")}
}}
""")
def test_pushto(s: Scene) -> None:
    ask(s)


@room.case(f"""
route[db_load] {{
    $ru = "sip:alice@a.test";
    avp_db_load("$ru", "$avp(color)"); {log("$rc", "$(avp(color)[*])", "$(avp(size)[*])")}
    $(avp(color)[*]) = $null;
    avp_db_load("$ru", "*"); {log("$rc", "$(avp(color)[*])", "$(avp(size)[*])", "$avp(i:7)", "$avp(i:8)")}
    if ($avp(size) == 42) {log("a number")}
    $(avp(color)[*]) = $null; $(avp(size)[*]) = $null; $avp(i:7) = $null; $avp(i:8) = $null;
    avp_db_load("$ru", "s"); {log("$rc", "$(avp(color)[*])", "$(avp(size)[*])", "$avp(i:7)", "$avp(i:8)")}
    $(avp(color)[*]) = $null; $(avp(size)[*]) = $null;
    avp_db_load("$ru", "i"); {log("$rc", "$(avp(color)[*])", "$(avp(size)[*])", "$avp(i:7)", "$avp(i:8)")}
    $(avp(color)[*]) = $null;
    avp_db_load("$ru/username", "$avp(color)"); {log("$rc", "$(avp(color)[*])")}
    $(avp(color)[*]) = $null;
    avp_db_load("$ru/domain", "$avp(color)"); {log("$rc", "$(avp(color)[*])")}
    $(avp(color)[*]) = $null; $var(u) = "u2";
    avp_db_load("$var(u)/uuid", "$avp(color)"); {log("$rc", "$(avp(color)[*])")}
    $(avp(color)[*]) = $null;
    avp_db_load("u1", "$avp(size)"); {log("$rc", "$(avp(size)[*])")}
    avp_db_load("$ru", "$avp(what)/$sch"); {log("$rc", "$(avp(what)[*])")}
    avp_db_load("$ru", "$avp(none)"); {log("$rc", "$(avp(none)[*])")}
}}
""")
def test_db_load(s: Scene) -> None:
    ask(s)


@room.case(f"""
route[db_store] {{
    $ru = "sip:carol@c.test"; $avp(a) = 1; $avp(a) = "two"; $avp(i:9) = "nine";
    avp_db_store("$ru", "$avp(a)"); {log("$rc")}
    avp_db_store("$ru", "*"); {log("$rc")}
    avp_db_store("$ru/username", "$avp(i:9)"); {log("$rc")}
    avp_db_store("u9", "$avp(i:9)"); {log("$rc")}
    avp_db_store("$ru", "$avp(none)"); {log("$rc")}
    $avp(b) = 7; avp_db_store("u9", "$avp(b)"); {log("$rc")}
    $avp(c) = "c"; avp_db_store("$ru/username", "$avp(c)"); {log("$rc")}
    $avp(d) = "d"; avp_db_store("$ru/domain", "$avp(d)"); {log("$rc")}
    avp_db_load("sip:alice@a.test", "$avp(color)"); {log("$rc")}
    $ru = "sip:dan@d.test"; avp_db_store("$ru", "s"); {log("$rc")}
    sql_query("ca", "select uuid, username, domain, attribute, type, value from usr_preferences where id > 8", "r");
    $var(i) = 0;
    while ($var(i) < $dbr(r=>rows)) {{
        {log(*(f"$dbr(r=>[$var(i),{column}])" for column in range(6)))}
        $var(i) = $var(i) + 1;
    }}
    $ru = "sip:carol@c.test";
    avp_db_delete("$ru", "$avp(a)"); {log("$rc")}
    sql_query("ca", "select count(*) from usr_preferences where username='carol'", "r"); {log("$dbr(r=>[0,0])")}
    avp_db_delete("$ru", "*"); {log("$rc")}
    avp_db_delete("u9", "i"); {log("$rc")}
    sql_query("ca", "select count(*) from usr_preferences", "r"); {log("$dbr(r=>[0,0])")}
}}
""")
def test_db_store(s: Scene) -> None:
    ask(s)


@room.case(f"""
route[db_query] {{
    avp_db_query("select username, type, value from usr_preferences where domain='$var(d)' or username='bob'");
    {log("$rc", "$avp(i:1)", "$avp(i:2)", "$avp(i:3)")}
    avp_db_query("select attribute, value from usr_preferences where username='alice'", "$avp(n);$avp(s:v)");
    {log("$rc", "$(avp(n)[*])", "$(avp(v)[*])")}
    avp_db_query("select value from usr_preferences where username='nobody'", "$avp(x)"); {log("$rc", "$avp(x)")}
    avp_db_query("select nonsense", "$avp(x)"); {log("$rc", "$avp(x)")}
    avp_db_query("update usr_preferences set value='black' where username='bob'"); {log("$rc")}
    avp_db_query("select value, 1.5, null, type from usr_preferences where id=7", "$avp(p);$avp(q);$avp(r);$avp(t)");
    {log("$rc", "$avp(p)", "$avp(q)", "$avp(r)", "$avp(t)")}
    avp_db_query("select value, type from usr_preferences where id=7", "$avp(only)"); {log("$rc", "$avp(only)")}
}}
""")
def test_db_query(s: Scene) -> None:
    ask(s)
