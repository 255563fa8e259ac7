"""The whole stock config, all of its defines together: what it takes until the first answer, and what it holds then.

The limits are the project's goals: half a second, 150 MB for all processes, 25 MB for each of its own, 1 % of a core
when nothing happens. On a machine that others use, time on the clock says nothing; here it is CPU time, of all
processes, and the limit grows with the CPU time of a fixed piece of other work (importing from the standard library).
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from kamailio_py.bench import processes
from tests.kit.server import Server, our_command
from tests.kit.stock import DOMAIN, Stock, needs_stock

pytestmark = needs_stock

WHOLE = (
    "MYSQL AUTH IPAUTH USRLOCDB ACCDB ALIASDB SPEEDDIAL MULTIDOMAIN NAT NATSIPPING RTPENGINE ANTIFLOOD PSTN VOICEMAIL "
    "TLS XMLRPC JSONRPC BLOCK3XX BLOCK401407 PRESENCE MSGREBUILD"
)
"""All but DEBUG, whose log would be what is measured."""
SECONDS = 0.5
TOGETHER = 150 << 20
EACH = 25 << 20
IDLE = 0.01
STARTS = 3
WATCHED = 6.0
"""Seconds for which an idle server is watched."""

YARDSTICK = (
    "import asyncio, email.message, http.server, sqlite3, ssl, unittest.mock, xml.dom.minidom, xmlrpc.client, decimal"
)
YARDSTICK_SECONDS = 0.15
"""CPU that takes with Debian's Python on two cores of an AMD EPYC which others are busy on."""
NOT_AT_START = (
    "asyncio", "concurrent.futures", "dataclasses", "email", "http.client", "inspect", "logging", "pymysql",
    "subprocess", "tempfile", "urllib.request", "xml.sax",
)  # fmt: skip
"""Libraries which take long to load and which no server needs that was not asked for what they do."""

# the first start compiles what has changed and keeps it, as an installation does
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

REQUEST = (
    "{method} sip:{user}{domain} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{own};branch=z9hG4bK{id}\r\n"
    "From: <sip:alice@{domain}>;tag={id}\r\nTo: <sip:{user}{domain}>\r\nCall-ID: {id}@test\r\nCSeq: 1 {method}\r\n"
    "Contact: <sip:alice@127.0.0.1:{own}>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)


def whole() -> Server:
    from tests.differential.test_stock_tls import tls_cfg

    room = Stock(
        "whole", WHOLE, database=True, local='#!subst "!/etc/kamailio/tls.cfg!@DIR@/tls.cfg!"',
        listen=("tcp:127.0.0.1",), prepare=tls_cfg,
    )  # fmt: skip
    return Server("ours", our_command(), room.text([]), room.options, room.prepare, listen=room.listen)


def exchange(client: socket.socket, where: tuple[str, int], id: str, method: str = "OPTIONS", user: str = "") -> str:
    """One request, sent again until there is an answer; the final one."""
    domain = DOMAIN if user else f"127.0.0.1:{where[1]}"
    text = REQUEST.format(method=method, user=user, domain=domain, own=client.getsockname()[1], id=id)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        client.sendto(text.encode(), where)
        try:
            while not (answer := client.recv(4096).decode()).startswith("SIP/2.0 1"):
                if f"Call-ID: {id}@test" in answer:
                    return answer
        except (TimeoutError, ConnectionRefusedError):
            continue
    return ""


def yardstick() -> float:
    """CPU seconds of a piece of work that has nothing to do with the server, by the same Python."""
    worked = subprocess.Popen([os.environ.get("KAMAILIO_PY_PYTHON", sys.executable), "-I", "-c", YARDSTICK])
    _, status, used = os.wait4(worked.pid, 0)
    worked.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime


@pytest.fixture(scope="module")
def client() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.settimeout(0.02)
        yield made


@pytest.fixture(scope="module")
def started(client: socket.socket) -> Iterator[tuple[Server, float, float]]:
    """The server after some starts; the least CPU that one of them took until its first answer, and the yardstick."""
    server = whole()
    least = slowness = 1e9
    try:
        for number in range(STARTS):
            if server.process is not None:
                server.process.terminate()
                assert server.process.wait(20) == 0
            slowness = min(slowness, yardstick())
            with server.log_path.open("wb") as log:
                server.process = subprocess.Popen(
                    server.arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=ENVIRONMENT,
                    start_new_session=True,
                )  # fmt: skip
            answer = exchange(client, server.address, f"start{number}")
            least = min(least, processes.cpu(server.process.pid).total)
            assert answer.startswith("SIP/2.0 200 Keepalive"), server.log(-2000)
        yield server, least, slowness
    finally:
        server.stop()


def test_the_first_answer_comes_within_half_a_second(started: tuple[Server, float, float]) -> None:
    _, least, slowness = started
    limit = SECONDS * max(1.0, slowness / YARDSTICK_SECONDS)
    print(f"start to the first answer: {least:.3f} s of CPU, may be {limit:.3f} s (yardstick {slowness:.3f} s)")
    assert least < limit


def test_it_needs_little_when_nothing_happens(started: tuple[Server, float, float]) -> None:
    server = started[0]
    assert server.process is not None
    server.settle(5)
    before, begun = processes.cpu(server.process.pid).total, time.monotonic()
    time.sleep(WATCHED)
    used = (processes.cpu(server.process.pid).total - before) / (time.monotonic() - begun)
    print(f"idle: {used:.2%} of a core")
    assert used < IDLE


def test_it_holds_little_memory_also_after_traffic(started: tuple[Server, float, float], client: socket.socket) -> None:
    server = started[0]
    assert server.process is not None
    for number in range(100):
        assert "200 Keepalive" in exchange(client, server.address, f"o{number}")
        assert "401 Unauthorized" in exchange(client, server.address, f"r{number}", "REGISTER", "alice@")
        assert "407 Proxy Authentication" in exchange(client, server.address, f"i{number}", "INVITE", "bob@")
    held = processes.memory(server.process.pid)
    total = sum(pss(pid) for pid in processes.tree(server.process.pid))
    print(f"{held.processes} processes: {total >> 20} MB (PSS), at most {held.largest_private / 2**20:.1f} MB private")
    assert held.processes >= 25
    assert total < TOGETHER
    assert held.largest_private < EACH


def pss(pid: int) -> int:
    """Bytes of a process, a page that several have divided among them."""
    with open(f"/proc/{pid}/smaps_rollup") as rollup:
        found = re.search(r"^Pss: +(\d+) kB", rollup.read(), re.MULTILINE)
    assert found
    return int(found[1]) << 10


def test_a_start_loads_no_library_that_nobody_asked_for() -> None:
    server = whole()
    try:
        python = os.environ.get("KAMAILIO_PY_PYTHON", sys.executable)
        given = server.arguments[server.arguments.index("-f") :]
        done = subprocess.run(
            [python, "-X", "importtime", "-m", "kamailio_py.server", "-c", *given],
            capture_output=True, text=True, env=ENVIRONMENT, timeout=60,
        )  # fmt: skip
    finally:
        server.stop()
    assert done.returncode == 0, done.stderr[-2000:]
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "kamailio_py.modules.presence.winfo" in loaded
    assert loaded.isdisjoint(NOT_AT_START), loaded & set(NOT_AT_START)
