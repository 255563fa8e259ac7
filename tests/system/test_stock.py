"""The stock config started by kamailio-py with each of its defines, and what a start costs."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterator

import pytest

from tests.kit.server import Server, our_command, process_tree
from tests.kit.stock import STOCK, Stock

pytestmark = pytest.mark.skipif(
    not STOCK.exists() and os.environ.get("KAMAILIO_REQUIRED") != "1", reason="needs Debian's kamailio.cfg"
)

USUAL = "AUTH IPAUTH USRLOCDB ACCDB ALIASDB SPEEDDIAL MULTIDOMAIN NAT ANTIFLOOD"
ALONE = [
    "AUTH", "USRLOCDB", "ACCDB", "ALIASDB", "SPEEDDIAL", "MULTIDOMAIN", "NAT", "ANTIFLOOD", "PSTN", "VOICEMAIL", "TLS",
    "XMLRPC", "JSONRPC", "BLOCK3XX", "BLOCK401407", "PRESENCE", "DEBUG", "MSGREBUILD",
]  # fmt: skip
TOGETHER = ("", "AUTH IPAUTH", "NAT RTPENGINE", "NAT NATSIPPING", USUAL, f"{USUAL} PRESENCE PSTN VOICEMAIL TLS JSONRPC")
MOST_CPU = 1.2
"""Seconds of CPU until the first answer: on an idle machine it comes well before half of it has passed."""
MOST_MEMORY = 150 << 20

OPTIONS = (
    "OPTIONS sip:127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{own};branch=z9hG4bKa{own}\r\n"
    "From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


def server(defines: str, *, listen: tuple[str, ...] = ()) -> Server:
    from tests.differential.test_stock_tls import tls_cfg

    room = Stock(
        "start", defines, database=True, local='#!subst "!/etc/kamailio/tls.cfg!@DIR@/tls.cfg!"', listen=listen,
        prepare=tls_cfg,
    )  # fmt: skip
    return Server("ours", our_command(), room.text([]), room.options, room.prepare, listen=room.listen)


def asked(where: tuple[str, int], patience: float = 5.0) -> str:
    """The answer to OPTIONS, which is sent again until it is there."""
    deadline = time.monotonic() + patience
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind(("127.0.0.1", 0))
        client.settimeout(0.02)
        request = OPTIONS.format(port=where[1], own=client.getsockname()[1]).encode()
        while time.monotonic() < deadline:
            client.sendto(request, where)
            try:
                return client.recv(4096).decode()
            except (TimeoutError, ConnectionRefusedError):
                continue
    return ""


@pytest.mark.parametrize("defines", [*ALONE, *TOGETHER])
def test_starts_with(defines: str) -> None:
    """Every define, alone and in the usual combinations: it starts, answers and stops."""
    started = server(defines)
    try:
        started.start()
        assert asked(started.address).startswith("SIP/2.0 200 Keepalive")
        assert "CRITICAL" not in started.log()
    finally:
        status = started.stop()
    assert status == 0


def cpu(pids: list[int]) -> float:
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(pids: list[int]) -> int:
    """Bytes, what is shared counted once."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as rollup:
            match = re.search(r"^Pss: +(\d+) kB", rollup.read(), re.MULTILINE)
        assert match
        total += int(match[1]) << 10
    return total


@pytest.fixture(scope="module")
def stock() -> Iterator[Server]:
    started = server("", listen=("tcp:127.0.0.1",))
    started.start()
    yield started
    started.stop()


def test_what_a_start_costs(stock: Server) -> None:
    """CPU time, which a busy machine does not change as it does the time on the clock."""
    assert stock.process is not None
    assert asked(stock.address)
    tree = process_tree(stock.process.pid)
    assert len(tree) >= 20
    # The first start of all compiles the sources; this one reads what that has kept, unless nothing may be kept.
    if not os.environ.get("PYTHONDONTWRITEBYTECODE"):
        assert cpu(tree) < MOST_CPU
    assert memory(tree) < MOST_MEMORY
