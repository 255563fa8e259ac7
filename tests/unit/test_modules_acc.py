"""The acc module: rows for replies made here, functions, what its parameters refuse."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from kit.local import Local
from kit.requests import request

from kamailio_py.db.tables import create_sqlite
from kamailio_py.module import ModuleError
from kamailio_py.modules.acc import comment_of
from kamailio_py.sip.reasons import reason_text

MODULES = """
loadmodule "tm"
loadmodule "sl"
loadmodule "rr"
loadmodule "pv"
loadmodule "xlog"
loadmodule "db_sqlite"
loadmodule "acc"
"""
ROUTES = """
request_route {
    setflag(1); setflag(2);
    switch ($rU) {
        case "reply": t_newtran(); t_reply("480", "x"); break;
        case "both": acc_request("603 Both $rm", "acc"); xlog("both $rc\\n"); break;
        case "none": acc_db_request("603 x", "nowhere"); xlog("none $rc\\n"); break;
    }
}
"""


def rows(path: Path, table: str = "acc") -> list[tuple[object, ...]]:
    with sqlite3.connect(path) as made:
        return made.execute(f"select method, to_tag, sip_code, sip_reason from {table}").fetchall()


def started(path: Path, *params: str) -> Local:
    create_sqlite(str(path))
    lines = "".join(f'modparam("acc", {param})\n' for param in (f'"db_url", "sqlite:///{path}"', *params))
    return Local(f"{MODULES}{lines}{ROUTES}")


FLAGS = ('"db_flag", 1', '"db_missed_flag", 2', '"failed_transaction_flag", 1')


def test_rows_of_replies_made_here(tmp_path: Path) -> None:
    """The To-tag is not known to accounting then; the row is written all the same, with an empty one."""
    with started(tmp_path / "a.db", *FLAGS) as server:
        server.inject(request("MESSAGE", "sip:reply@127.0.0.1"))
        assert rows(tmp_path / "a.db") == [("MESSAGE", "", "480", "Temporarily Unavailable")]
        server.inject(request("INVITE", "sip:reply@127.0.0.1", call_id="c2", branch="z9hG4bKc2"))
        assert rows(tmp_path / "a.db", "missed_calls") == [("INVITE", "", "480", "Temporarily Unavailable")]


def test_rows_are_written_later_by_a_worker(tmp_path: Path) -> None:
    with started(tmp_path / "a.db", *FLAGS, '"db_insert_mode", 2') as server:
        server.inject(request("MESSAGE", "sip:reply@127.0.0.1"))
        server.settle()
        assert rows(tmp_path / "a.db") == [("MESSAGE", "", "480", "Temporarily Unavailable")]


def test_acc_request(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Real 5.6 confuses table and text and never writes the row; here it is written."""
    with started(tmp_path / "a.db") as server:
        server.core.cfg.debug = 2
        server.inject(request("MESSAGE", "sip:both@127.0.0.1"))
        server.inject(request("MESSAGE", "sip:none@127.0.0.1", call_id="c2", branch="z9hG4bKc2"))
    assert rows(tmp_path / "a.db") == [("MESSAGE", "", "603", "Both MESSAGE")]
    logged = capfd.readouterr().err
    assert "both 1" in logged
    assert "none -1" in logged


@pytest.mark.parametrize(
    "param",
    ['"failed_filter", "4x"', '"multi_leg_info", "a=$ru"', '"log_extra", "a"', '"log_facility", "LOG_X"'],
)
def test_bad_parameters_stop_the_start(tmp_path: Path, param: str) -> None:
    with pytest.raises(ModuleError):
        started(tmp_path / "a.db", param)


def test_comments() -> None:
    assert comment_of("404 Not here") == (404, "Not here")
    assert comment_of("404") == (404, "")
    assert comment_of("40 x") == (0, "40 x")
    assert comment_of("") == (0, "")


def test_reasons() -> None:
    assert [reason_text(code) for code in (200, 202, 499, 599, 699)] == [
        "OK", "Successful", "Request Failure", "Server Failure", "Global Failure",
    ]  # fmt: skip
