"""IPv6 addresses that are good on their link only: bind_ipv6_link_local, auto_bind_ipv6, and listen lines."""

from __future__ import annotations

import fcntl
import re
import socket
import struct

import pytest
from kit.admin import program
from kit.server import Server, StartFailed, our_command

pytestmark = [pytest.mark.own_network, pytest.mark.timeout(300)]  # the first test is due when all have run

LOCAL, GLOBAL = "fe80::7", "fd00::7"
SIOCSIFADDR = 0x8916
CFG = """#!KAMAILIO
children=1
auto_aliases=no
disable_tcp=yes
auto_bind_ipv6={}
bind_ipv6_link_local={}
loadmodule "sl.so"
loadmodule "pv.so"
request_route {{ sl_send_reply("200", "$Ri"); }}
"""
ASKED = """OPTIONS sip:bob@example.test SIP/2.0
Via: SIP/2.0/UDP [{host}]:{port};branch=z9hG4bK1
From: <sip:a@b>;tag=1
To: <sip:a@b>
Call-ID: {host}
CSeq: 7 OPTIONS
Content-Length: 0

"""


@pytest.fixture(scope="module", autouse=True)
def addresses() -> None:
    """The loopback of this network has such an address, and one that is good everywhere."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as handle:
        for address in (LOCAL, GLOBAL):
            packed = socket.inet_pton(socket.AF_INET6, address)
            fcntl.ioctl(handle, SIOCSIFADDR, struct.pack("16sIi", packed, 64, socket.if_nametoindex("lo")))


def outcome(name: str, command: list[str], cfg: str, listen: str) -> str:
    """What the server listens on and where it answers from, or why it does not start."""
    server = Server(name, command, cfg, listen=(listen,))
    try:
        server.start()
    except StartFailed as error:
        return str(sorted(set(re.findall(r"on (\S+: .*)|(might be .*)", str(error)))))
    try:
        listening = re.findall(r"udp: \[?([0-9a-f:.]+?)\]?(?: \[\S+\])?:\d+ *$", server.log(), re.MULTILINE)
        return "\n".join(f"{host} {answer(host, server.port)}" for host in sorted(listening) if ":" in host)
    finally:
        server.stop()


def answer(host: str, port: int) -> str:
    """The first line of the answer to a request from and to an address."""
    scope = socket.if_nametoindex("lo") if host == LOCAL else 0
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.bind((host, 0, 0, scope))
        asked = ASKED.format(host=host, port=client.getsockname()[1]).replace("\n", "\r\n")
        client.sendto(asked.encode(), (host, port, 0, scope))
        return client.recv(4096).decode().partition("\r\n")[0]


@pytest.mark.parametrize(
    ("auto", "local", "listen", "found"),
    [("no", "yes", f"udp:[{LOCAL}]", 1), ("yes", "yes", "udp:lo", 3), ("yes", "no", "udp:lo", 0)],
)
def test_listened_on(auto: str, local: str, listen: str, found: int) -> None:
    """The address of a link needs bind_ipv6_link_local, in a listen line as well as on an interface; without it the
    server does not start."""
    cfg = CFG.format(auto, local)
    real, ours = (outcome(name, command, cfg, f"{listen}:{{port}}") for name, command in (
        ("real", [program("kamailio")]), ("ours", our_command()),
    ))  # fmt: skip
    assert ours == real
    assert ours.count("SIP/2.0 200 ") == found
