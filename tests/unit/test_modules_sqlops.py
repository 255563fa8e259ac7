"""sqlops where real Kamailio cannot be compared: load errors, connection modes, async queries."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from kamailio_py.engine.boot import ConfigRejected
from tests.kit.local import Local
from tests.kit.requests import request

HEAD = """
{more}
loadmodule "db_sqlite.so"
loadmodule "pv.so"
loadmodule "sl.so"
loadmodule "sqlops.so"
modparam("sqlops", "sqlcon", "ca=>sqlite:///{directory}/t.db")
{params}
request_route {{ {script} }}
"""


def server(directory: Path, script: str, params: str = "", more: str = "") -> Local:
    return Local(HEAD.format(directory=directory, script=script, params=params, more=more), directory)


@pytest.mark.parametrize(
    ("script", "params", "said"),
    [
        ('sql_query("other", "select 1");', "", "invalid connection [other]"),
        ('$var(a) = $sqlrows(other);', "", "invalid connection [other]"),
        ('$var(a) = $dbr(r);', "", "invalid pv name [r]"),
        ('$var(a) = $dbr(r=>x);', "", "unknown key [x]"),
        ('$var(a) = $dbr(r=>[1]);', "", "invalid index in [[1]]"),
        ('$var(a) = $dbr(r=>[x,1]);', "", "bad number <x>"),
        ('sql_pvquery("ca", "select 1", "$rm");', "", "result variable [1] is read-only"),
        ('sql_pvquery("ca", "select 1", "");', "", "invalid result parameter []"),
        ('$var(a) = $(var(b){sql.other});', "", "unknown transformation"),
        ("exit;", 'modparam("sqlops", "sqlcon", "x")', "invalid sqlops parameter [x]"),
        ("exit;", 'modparam("sqlops", "sqlcon", "ca=>sqlite:////x")', "duplicate connection name"),
        ('sql_query("ca", "select 1", "r2");',
         'modparam("sqlops", "results_maxsize", 0)\nmodparam("sqlops", "sqlres", "r1")', "too many result containers"),
    ],
)  # fmt: skip
def test_load_errors(tmp_path: Path, script: str, params: str, said: str) -> None:
    with pytest.raises(ConfigRejected) as rejected:
        server(tmp_path, script, params)
    assert said in str(rejected.value.errors[0])


def answer(script: str, directory: Path, params: str = "", more: str = "") -> str:
    with server(
        directory, "$var(a) = 0; $var(b) = 0; " + script + ' sl_send_reply("200", ": $var(a) $var(b)");', params, more
    ) as local:
        [reply] = local.inject(request())
        return reply.split("\r\n")[0].removeprefix("SIP/2.0 200 : ")


def test_a_text_too_long_for_the_buffer(tmp_path: Path) -> None:
    script = '$var(c) = "12345678"; $var(a) = $(var(c){sql.val}); $var(c) = "1234567"; $var(b) = $(var(c){sql.val});'
    assert answer(script, tmp_path, 'modparam("sqlops", "tr_buf_size", 16)') == "0 '1234567'"


def test_changed_rows(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "t.db").executescript("create table t (n int); insert into t values (1), (2), (3);")
    script = 'sql_query("ca", "update t set n=5 where n>1"); $var(a) = $sqlrows(ca);'
    script += 'sql_query("ca", "select * from t"); $var(b) = $sqlrows(ca);'
    assert answer(script, tmp_path) == "2 0"


def test_a_database_that_may_come_later(tmp_path: Path) -> None:
    """connect_mode 1; with 0 the server does not start."""
    params = f'modparam("sqlops", "sqlcon", "cb=>sqlite:///{tmp_path}/later/t.db")'
    with pytest.raises(Exception, match="failed to open sqlite database"):
        server(tmp_path, "exit;", params)
    params += '\nmodparam("sqlops", "connect_mode", 1)'
    script = '$var(a) = sql_query("cb", "select 1", "r"); $var(b) = sql_query("ca", "select 1", "r");'
    assert answer(script, tmp_path, params) == "-2 1"


@pytest.mark.parametrize("more", ["", "async_workers=1"])
def test_async_queries(tmp_path: Path, more: str) -> None:
    """By a worker; at once where there is none."""
    file = sqlite3.connect(tmp_path / "t.db")
    file.execute("create table t (n int)")
    script = """$var(a) = sql_query_async("ca", "insert into t values (5)");"""
    assert answer(script, tmp_path, more=more) == "1 0"
    assert file.execute("select * from t").fetchall() == [(5,)]


def test_a_wrong_async_query_ends_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert answer('$var(a) = sql_query_async("ca", "nonsense");', tmp_path, more="async_workers=1") == "1 0"
    assert 'near "nonsense": syntax error' in capfd.readouterr().err
