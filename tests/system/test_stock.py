"""The stock config started by kamailio-py with each of its defines. What a start costs: test_start.py."""

from __future__ import annotations

import socket
import time

import pytest

from tests.kit.server import Server, our_command
from tests.kit.stock import Stock, needs_stock

pytestmark = needs_stock

USUAL = "AUTH IPAUTH USRLOCDB ACCDB ALIASDB SPEEDDIAL MULTIDOMAIN NAT ANTIFLOOD"
ALONE = [
    "AUTH", "USRLOCDB", "ACCDB", "ALIASDB", "SPEEDDIAL", "MULTIDOMAIN", "NAT", "ANTIFLOOD", "PSTN", "VOICEMAIL", "TLS",
    "XMLRPC", "JSONRPC", "BLOCK3XX", "BLOCK401407", "PRESENCE", "DEBUG", "MSGREBUILD",
]  # fmt: skip
TOGETHER = ("", "AUTH IPAUTH", "NAT RTPENGINE", "NAT NATSIPPING", USUAL, f"{USUAL} PRESENCE PSTN VOICEMAIL TLS JSONRPC")

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
