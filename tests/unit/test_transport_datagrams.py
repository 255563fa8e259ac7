"""Datagrams as PyPy sends and receives them are those that a socket's own functions send and receive."""

from __future__ import annotations

import errno
import signal
import socket
from collections.abc import Iterator

import pytest

pytest.importorskip("cffi")  # part of PyPy; here it comes with the tests' own packages

from kamailio_py.transport import datagrams_pypy
from kamailio_py.transport.datagrams import operations
from kamailio_py.transport.datagrams_pypy import direct


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The socket under test and a plain one on another address."""
    made = []
    for host in ("127.0.0.1", "127.0.0.201"):
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.bind((host, 0))
        opened.settimeout(5)
        made.append(opened)
    made[0].setblocking(True)
    yield made[0], made[1]
    for opened in made:
        opened.close()


@pytest.mark.parametrize("data", [b"", b"x", b"INVITE\r\n\0\xff", b"y" * 65507])
def test_there_and_back(pair: tuple[socket.socket, socket.socket], data: bytes) -> None:
    ours, other = pair
    recvfrom, sendto = direct(ours)
    for _ in range(2):  # the second time the addresses are known
        other.sendto(data, ours.getsockname())
        assert recvfrom(65535, 0) == (data, other.getsockname())
        assert sendto(data, other.getsockname()) == len(data)
        assert other.recvfrom(65535) == (data, ours.getsockname())


def test_what_is_too_long_is_cut(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, other = pair
    other.sendto(b"123456789", ours.getsockname())
    assert direct(ours)[0](4, 0)[0] == b"1234"


def test_nothing_there(pair: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(BlockingIOError):
        direct(pair[0])[0](65535, socket.MSG_DONTWAIT)


def test_what_the_system_refuses(pair: tuple[socket.socket, socket.socket]) -> None:
    _, sendto = direct(pair[0])
    with pytest.raises(OSError, match="Message too long") as refused:
        sendto(bytes(65536), pair[1].getsockname())
    assert refused.value.errno == errno.EMSGSIZE
    with pytest.raises(OSError, match="illegal IP address"):
        sendto(b"x", ("no.address.example", 5060))


def test_more_addresses_than_are_remembered(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datagrams_pypy, "REMEMBERED", 2)
    ours, _ = pair
    recvfrom, sendto = direct(ours)
    for number in range(202, 207):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind((f"127.0.0.{number}", 0))
            other.settimeout(5)
            other.sendto(b"hello", ours.getsockname())
            data, source = recvfrom(65535, 0)
            assert (data, source) == (b"hello", other.getsockname())
            sendto(b"you", source)
            assert other.recv(100) == b"you"


def test_a_handler_may_end_the_wait(pair: tuple[socket.socket, socket.socket]) -> None:
    class Stop(Exception):
        pass

    heard = []

    def handler(*_: object) -> None:
        heard.append(1)
        if len(heard) == 2:
            raise Stop

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.03, 0.03)
        with pytest.raises(Stop):
            direct(pair[0])[0](65535, 0)  # the first signal only interrupts it
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_what_this_python_uses_sends_and_receives(pair: tuple[socket.socket, socket.socket]) -> None:
    recvfrom, sendto = operations(pair[0])
    pair[1].sendto(b"hello", pair[0].getsockname())
    assert recvfrom(65535, 0) == (b"hello", pair[1].getsockname())
    assert sendto(b"you", pair[1].getsockname()) == 3
    assert pair[1].recv(100) == b"you"
