"""avpops where real Kamailio cannot be compared: what is refused when the config is loaded, and broken databases."""

from __future__ import annotations

from pathlib import Path

import pytest

from kamailio_py.db.tables import create_sqlite
from kamailio_py.engine.boot import ConfigRejected
from kamailio_py.module import ModuleError
from tests.kit.local import Local
from tests.kit.requests import request

HEAD = """
loadmodule "db_sqlite.so"
loadmodule "pv.so"
loadmodule "sl.so"
loadmodule "avpops.so"
{params}
request_route {{ {script} }}
"""


def server(directory: Path, script: str, params: str = "") -> Local:
    return Local(HEAD.format(script=script, params=params), directory)


def url(path: Path) -> str:
    return f'modparam("avpops", "db_url", "sqlite:///{path}")\nmodparam("avpops", "avp_table", "usr_preferences")\n'


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ('avp_check("$avp(a)", "eq/$avp(x)/x");', "bad flag <x>"),
        ('avp_check("$avp(a)", "zz/i:1");', "unknown operation <zz>"),
        ('avp_check("$avp(a)", "eq");', "parse error in <eq>"),
        ('avp_check("$avp(a)", "re/(");', "("),
        ('avp_op("$avp(a)", "add/s:1");', "value must be int"),
        ('avp_op("$var(a)", "add/i:1");', "bad attribute name <$var(a)>"),
        ('avp_delete("$var(x)");', "bad attribute name <$var(x)>"),
        ('avp_delete("q");', "expected : $avp(name), *, s or i value"),
        ('avp_delete("$avp(a)/x");', "bad flag <x>"),
        ('avp_copy("$avp(a)", "*");', "you must specify only AVP as parameter"),
        ('avp_copy("$avp(a)", "$avp(b)/sn");', "invalid flag combination"),
        ('avp_pushto("$fu", "$avp(a)");', 'unsupported destination "$fu"'),
        ('avp_pushto("$hdr(X)", "$avp(a)");', "use append_hf()"),
        ('avp_pushto("$du/domain", "$avp(a)");', 'unknown du flag "domain"'),
        ('avp_subst("$avp(a)", "x");', "x"),
        ('is_avp_set("$avp(x)/q");', "bad flag <q>"),
        ('avp_db_load("$ru", "$avp(a)");', "you have to configure a db_url"),
        ('avp_db_query("select 1");', "you have to configure db_url"),
    ],
)
def test_load_errors(tmp_path: Path, script: str, said: str) -> None:
    with pytest.raises(ConfigRejected) as rejected:
        server(tmp_path, script)
    assert said in str(rejected.value.errors[0])


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ('avp_db_load("$ru/foo", "$avp(a)");', "unknown flag <foo>"),
        ('avp_db_load("$ru", "$var(a)");', "bad attribute name <$var(a)>"),
        ('avp_db_load("$ru", "$avp(a)/$none");', "scheme <none> not found"),
        ('avp_db_query("select 1", "$var(a)");', "bad attribute name <$var(a)>"),
    ],
)
def test_load_errors_with_a_database(tmp_path: Path, script: str, said: str) -> None:
    with pytest.raises(ConfigRejected) as rejected:
        server(tmp_path, script, url(tmp_path / "p.db"))
    assert said in str(rejected.value.errors[0])


def test_a_database_without_a_table(tmp_path: Path) -> None:
    with pytest.raises(ModuleError, match="avp_table is not"):
        server(tmp_path, "exit;", f'modparam("avpops", "db_url", "sqlite:///{tmp_path}/p.db")')


@pytest.mark.parametrize(
    ("text", "said"),
    [("sch", "failed to parse scheme"), ("sch:what=x", "failed to parse scheme"), ("sch:value_type=x", "failed to")],
)
def test_schemes_that_are_wrong(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigRejected) as rejected:
        server(tmp_path, "exit;", f'modparam("avpops", "db_scheme", "{text}")')
    assert said in str(rejected.value.errors[0])


def test_a_database_that_fails(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    create_sqlite(str(tmp_path / "p.db"))
    script = """
    $avp(x) = 1;
    $var(a) = avp_db_load("$ru", "*/missing"); $var(b) = avp_db_store("$ru", "$avp(x)/missing");
    $var(c) = avp_db_delete("$ru", "*/missing"); $var(d) = avp_db_load("$var(none)", "*");
    sl_send_reply("200", ": $var(a) $var(b) $var(c) $var(d)");
    """
    with server(tmp_path, script, url(tmp_path / "p.db")) as local:
        [reply] = local.inject(request())
    assert reply.startswith("SIP/2.0 200 : -1 -1 -1 -1\r\n")
    said = capfd.readouterr().err
    assert said.count("no such table: missing") == 3
    assert "failed to parse uri" in said
