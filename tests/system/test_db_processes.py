"""A database and many processes: each writes with a connection of its own, also one that took a dead one's place."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.agent import Agent
from tests.kit.server import Server, our_command, process_tree

CFG = """
debug=2
log_stderror=yes
children=4
async_workers=2
loadmodule "db_sqlite.so"
loadmodule "pv.so"
loadmodule "sl.so"
loadmodule "sqlops.so"
modparam("sqlops", "sqlcon", "ca=>sqlite:///@DIR@/t.db")
request_route {
    if ($rU == "later") {
        $var(r) = sql_query_async("ca", "insert into t (name, pid) values ('$ci', 0)");
    } else {
        $var(r) = sql_query("ca", "insert into t (name, pid) values ('$ci', $pp)");
    }
    if ($var(r) < 0) { sl_send_reply("500", "failed"); exit; }
    sl_send_reply("200", "done");
}
"""


def table(directory: Path) -> None:
    made = sqlite3.connect(directory / "t.db")
    made.execute("create table t (id integer primary key, name varchar(64), pid int)")
    made.commit()
    made.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server("db", our_command(), CFG, prepare=table)
    try:
        yield server.start()
    finally:
        server.stop()


def rows(server: Server) -> list[tuple[str, int]]:
    made = sqlite3.connect(server.directory / "t.db", timeout=10)
    try:
        return made.execute("select name, pid from t").fetchall()
    finally:
        made.close()


def ask(server: Server, title: str, count: int, user: str = "now") -> set[str]:
    """Send requests at once and wait for all answers; their Call-IDs."""
    agents = [Agent(f"{title}{number}", title, server.address) for number in range(count)]
    try:
        for agent in agents:
            agent.request("OPTIONS", user=user, call_id=agent.name)
        for agent in agents:
            agent.expect(200)
        return {agent.name for agent in agents}
    finally:
        for agent in agents:
            agent.close()


def test_all_processes_write_at_once(server: Server) -> None:
    names = ask(server, "now", 40)
    found = dict(rows(server))
    assert names <= set(found)
    assert len(set(found.values())) > 1, "more than one process took part"


def test_workers_write_what_was_put_off(server: Server) -> None:
    names = ask(server, "later", 20, user="later")
    deadline = time.monotonic() + 10
    while not names <= {name for name, _ in rows(server)}:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_process_that_is_started_again_writes_too(server: Server) -> None:
    ask(server, "before", 4)
    assert server.process is not None
    receivers = {pid for _, pid in rows(server) if pid}
    for pid in receivers:
        os.kill(pid, signal.SIGKILL)
    assert server.wait_log("was started again", timeout=10)
    deadline = time.monotonic() + 10
    while len(set(process_tree(server.process.pid)) - receivers) < 10:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    server.settle(5)
    names = ask(server, "after", 12)
    pids = {pid for name, pid in rows(server) if name in names}
    assert pids
    assert not pids & receivers
    assert "database is locked" not in server.log()
