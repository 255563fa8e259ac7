"""The PROXY protocol: what a load balancer says of the other end."""

from __future__ import annotations

import contextlib
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamailio_py.shm.memory import SharedMemory
from kamailio_py.sip.endpoint import ListenSocket
from kamailio_py.transport.connections import Connections
from kamailio_py.transport.proxied import SIGNATURE, BadHeader, parse


def version2(command: int, kind: int, body: bytes) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, kind, len(body)) + body


V4 = socket.inet_aton("10.9.8.7") + socket.inet_aton("10.1.1.1") + struct.pack("!HH", 5556, 5060)
V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::1") * 2 + struct.pack("!HH", 5557, 5060)
HEADERS = [
    (b"PROXY TCP4 10.9.8.7 10.1.1.1 5555 5060\r\n", ("10.9.8.7", 5555)),
    (b"PROXY TCP6 2001:DB8:0::1 2001:db8::2 5555 5060\r\n", ("2001:db8::1", 5555)),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN a b 1 2\r\n", None),
    (version2(0x21, 0x11, V4), ("10.9.8.7", 5556)),
    (version2(0x21, 0x11, V4 + b"more"), ("10.9.8.7", 5556)),
    (version2(0x21, 0x21, V6), ("2001:db8::1", 5557)),
    (version2(0x20, 0x00, b""), None),
    (version2(0x21, 0x12, V4), None),
]


@pytest.mark.parametrize(("header", "source"), HEADERS)
def test_headers(header: bytes, source: tuple[str, int] | None) -> None:
    assert parse(header + b"OPTIONS ") == (source, len(header))
    for end in range(1, len(header)):
        assert parse(header[:end]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"PROXY TCP4 a\r\n", b"PROXY TCP4 10.9.8.7.6 10.1.1.1 5555 5060\r\n", b"PROXY TCP4 " + b"1" * 200,
        version2(0x31, 0x11, V4), version2(0x21, 0x11, V4[:5]),
    ],
)  # fmt: skip
def test_headers_that_are_none(data: bytes) -> None:
    with pytest.raises(BadHeader):
        parse(data)


def test_other_beginnings_are_no_header() -> None:
    assert parse(b"OPTIONS sip:a@b SIP/2.0\r\n") == (None, 0)
    assert parse(b"\r\n\r\nOPTIONS") == (None, 0)


@given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda data: SIGNATURE + data)
       | st.binary(max_size=60).map(lambda data: b"PROXY TCP" + data))  # fmt: skip
def test_anything_is_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(BadHeader):
        found = parse(data)
        assert found is None or 0 <= found[1] <= len(data)


def test_a_connection_is_found_by_whom_the_header_names() -> None:
    here = ListenSocket(0, "tcp", "127.0.0.1", 5060)
    shm = SharedMemory.create("proxied-test", 8 << 20, processes=2)
    try:
        connections = Connections(shm, [here], 1)
        made = connections.add(here, ("127.0.0.1", 4000), ("127.0.0.1", 5060), 0, 1000)
        assert made is not None
        connections.set_source(made.id, ("10.9.8.7", 5555))
        assert connections.id_to("tcp", "10.9.8.7", 5555) == made.id
        assert connections.id_to("tcp", "127.0.0.1", 4000) == 0
        record = connections.record(made.id)
        assert (record.src_host, record.src_port) == ("10.9.8.7", 5555)
        connections.remove(made.id)
        assert connections.id_to("tcp", "10.9.8.7", 5555) == 0
    finally:
        shm.unlink()
