"""db_text through sqlops: what real db_text reads from a file, changes, and refuses."""

from __future__ import annotations

from pathlib import Path

from kit.room import Room
from kit.scene import Scene, ask

TABLE = """id(int,auto) name(string) n(int,null) s(str,null) at(time,null) body(blob,null)
1:bob:3::77:
2:a\\:b\\tc\\\\d:4:x::bl
3:q::::
4:e:5:y:1:
"""


def tables(directory: Path) -> None:
    for name in ("t", "u"):
        (directory / name).write_text(TABLE)
    (directory / "broken").write_text("id(int) x(int)\n1:a\n")


room = Room(
    "db_text",
    modules="db_text sqlops",
    params='modparam("sqlops", "sqlcon", "ca=>text://@DIR@")',
    last='sl_send_reply("200", "done");',
    prepare=tables,
)


def query(text: str) -> str:
    """A query whose result is logged: rows, and each value of the first two."""
    cells = " ".join(f"[$dbr(r=>[{row},{column}])]" for row in (0, 1) for column in range(3))
    quoted = text.replace('"', '\\"')
    return f'$var(r) = sql_query("ca", "{quoted}", "r"); xlog("L_NOTICE", "$var(r) $dbr(r=>rows) {cells}\\n");'


@room.case(f"""
route[select] {{
    {query("select * from t")}
    {query('select name,at from t where name="bob"')}
    {query("select s,body from t where id=2")}
    {query("select id from t where n>3")}
    {query("select id,n from t where n>=3 order by n desc")}
    {query("select id from t where n=3 and id=1")}
    {query("select id from t where n=99")}
    {query("select nope from t")}
    {query("select * from missing")}
    {query("select * from broken")}
}}
""")
def test_select(s: Scene) -> None:
    ask(s)


@room.case(f"""
route[change] {{
    {query('update u set n=9 where name="bob"')}
    {query('update u set n=8,name="xy" where id=2')}
    {query("delete from u where id=3")}
    {query("select id,name,n from u order by id")}
    {query("update u set n=1")}
    {query("insert into u (name) values (5)")}
    {query("delete from u")}
    {query("select id from u")}
}}
""")
def test_change(s: Scene) -> None:
    ask(s)
