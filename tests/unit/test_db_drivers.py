"""Drivers that are not installed, and parameters of database modules that no server is needed for."""

from __future__ import annotations

import sys

import pytest

from kamailio_py.db.url import parse_url
from kamailio_py.engine.core import Core
from kamailio_py.module import ModuleError
from tests.kit.databases import core_with


@pytest.mark.parametrize(
    ("module", "package", "said"),
    [
        ("db_mysql", "pymysql", r"needs the Python package PyMySQL: pip install 'kamailio-py\[mysql\]'"),
        ("db_postgres", "psycopg", r"needs the Python package psycopg: pip install 'kamailio-py\[postgres\]'"),
    ],
)
def test_a_driver_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, module: str, package: str, said: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleError, match=said), core_with(module):
        pass


def test_connection_parameters_of_postgres() -> None:
    core = Core()
    core.registry.load_module("db_postgres")
    for name, value in (("timeout", 3), ("tcp_keepalive", 9), ("con_param", "sslmode=disable; application_name=x y")):
        core.registry.set_module_param("db_postgres", name, value)
    info = core.module("db_postgres").conninfo(parse_url("postgres://u:p'w@h:5433/d"))
    assert "host=h" in info
    assert r"password=p\'w" in info
    assert "connect_timeout=3 tcp_user_timeout=3000 options='-c statement_timeout=3000' keepalives_idle=9" in info
    assert "sslmode=disable application_name='x y'" in info
    with pytest.raises(ValueError, match="it is name=value"):
        core.registry.set_module_param("db_postgres", "con_param", "nothing")
