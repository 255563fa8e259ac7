"""Registrations and what becomes of them when servers stop, are killed, or lose a process."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from kit.agent import Agent, Missing
from kit.kamcmd import kamcmd
from kit.server import Server, our_command, process_tree

from kamailio_py.db.tables import create_sqlite

CFG = """
debug=2
log_stderror=yes
children={children}
disable_tcp=yes
loadmodule "ctl.so"
loadmodule "db_sqlite.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
modparam("usrloc", "db_url", "sqlite:///{database}")
modparam("usrloc", "db_mode", {mode})
request_route {{
    if ($rm == "OPTIONS") {{
        if (lookup("location")) {{ sl_send_reply("200", "at $ru"); }} else {{ sl_send_reply("404", "nobody"); }}
        exit;
    }}
    save("location");
}}
"""
USERS = 30


def started(path: Path, mode: int, children: int = 1) -> Server:
    if not path.exists():
        create_sqlite(str(path))
    server = Server("registrar", our_command(), CFG.format(database=path, mode=mode, children=children))
    return server.start()


def register(server: Server, users: range, name: str = "alice") -> list[str]:
    """Who was told that he is registered."""
    agent = Agent(name, "registrations", server.address)
    agent.socket.settimeout(5)
    done = []
    for number in users:
        user = f"user{number}"
        sent = agent.request("REGISTER", user=user, headers=f"Contact: <sip:{user}@10.0.0.1>")
        for _ in range(5):
            try:
                agent.expect(200, timeout=2)
                done.append(user)
                break
            except Missing:
                agent.again(sent)
    agent.close()
    return done


def found(server: Server, users: list[str]) -> list[str]:
    """Those of the users that lookup() finds."""
    agent = Agent("bob", "registrations", server.address)
    here = []
    for user in users:
        agent.request("OPTIONS", user=user)
        reply = agent.expect(200) if user != "nobody" else agent.expect(404)
        here += re.findall(r"at sip:(user\d+)@10\.0\.0\.1", reply.start)
    agent.close()
    return here


def kill_all(server: Server) -> None:
    """Every process at once, as when the machine fails."""
    assert server.process is not None
    for pid in process_tree(server.process.pid):
        os.kill(pid, signal.SIGKILL)
    server.process.wait(10)


def test_killed_in_write_through(tmp_path: Path) -> None:
    """Whoever was told 200 is registered after a restart."""
    server = started(tmp_path / "u.db", 1)
    try:
        users = register(server, range(USERS))
        kill_all(server)
    finally:
        server.stop()
    assert len(users) == USERS
    server = started(tmp_path / "u.db", 1)
    try:
        assert found(server, users) == users
    finally:
        server.stop()


@pytest.mark.parametrize("mode", [1, 2, 3])
def test_restart(tmp_path: Path, mode: int) -> None:
    server = started(tmp_path / "u.db", mode)
    try:
        users = register(server, range(5))
    finally:
        server.stop()
    server = started(tmp_path / "u.db", mode)
    try:
        assert found(server, users) == users
        register(server, range(5, 8))
    finally:
        server.stop()
    rows = sqlite3.connect(tmp_path / "u.db").execute("select username from location").fetchall()
    assert sorted(name for (name,) in rows) == [f"user{n}" for n in range(8)]


def test_processes_at_the_same_users(tmp_path: Path) -> None:
    """Several clients register and remove the same users through several processes: memory and database agree."""
    server = started(tmp_path / "u.db", 1, children=3)

    def client(number: int) -> None:
        agent = Agent(f"client{number}", "same", server.address)
        for step in range(25):
            expires = 0 if step % 4 == 3 else 600
            contact = f"Contact: <sip:c{step % 3}@10.0.0.1>;expires={expires};q=0.{number + 1}"
            agent.request("REGISTER", user=f"user{step % 5}", headers=contact, call_id=f"{number}-{step}")
            agent.expect(200)
        agent.close()

    try:
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(client, range(3)))
        dump = kamcmd(server.ctl, "ul.dump")
    finally:
        server.stop()
    in_memory = sorted(zip(re.findall(r"Ruid: (\S+)", dump), re.findall(r"Call-ID: (\S+)", dump), strict=True))
    rows = sqlite3.connect(tmp_path / "u.db").execute("select ruid, callid from location").fetchall()
    assert in_memory == sorted(rows)
    assert in_memory
    assert set(re.findall(r"State: (\S+)", dump)) == {"CS_SYNC"}


def test_a_receiver_is_killed(tmp_path: Path) -> None:
    """Registrations go on when a process is killed again and again; what was confirmed is there."""
    server = started(tmp_path / "u.db", 0, children=2)
    assert server.process is not None
    try:
        with ThreadPoolExecutor(1) as pool:
            job = pool.submit(register, server, range(120))
            killed = []
            while len(killed) < 3 and not job.done():
                listed = kamcmd(server.ctl, "core.ps").split("\n")
                pids = [int(pid) for pid, what in pairwise(listed) if what.startswith("udp receiver")]
                if pids and pids[0] not in killed:
                    os.kill(pids[0], signal.SIGKILL)
                    killed.append(pids[0])
                time.sleep(0.05)
            users = job.result()
        assert killed
        assert len(users) == 120
        assert found(server, users) == users
    finally:
        server.stop()
