"""Functions of the core that need the server: forwarding, choosing the socket. The rest is compared with Kamailio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kit.script import Script

from kamailio_py.engine.core import Core
from kamailio_py.engine.core_functions import core_functions
from kamailio_py.sip.branch import Branch
from kamailio_py.sip.endpoint import Destination, ListenSocket


@pytest.fixture
def forwarded(tmp_path: Path) -> Any:
    def run(body: str) -> tuple[int, list[tuple[str, str, int]]]:
        script = Script(tmp_path, f"request_route {{ $var(r) = {body}; return $var(r); }}")
        sent: list[tuple[str, str, int]] = []

        def send(data: bytes, destination: Destination) -> bool:
            assert data.startswith(b"MESSAGE sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1")
            sent.append((destination.proto, destination.host, destination.port))
            return True

        script.core.sender = send
        ctx = script.context()
        ctx.msg.dst_uri = "sip:10.0.0.9:5099"
        return script.run(ctx=ctx), sent

    return run


@pytest.mark.parametrize(
    ("call", "host", "port"),
    [
        ("forward()", "10.0.0.9", 5099),
        ("forward(10.0.0.1)", "10.0.0.1", 5060),
        ('forward("10.0.0.1", 5070)', "10.0.0.1", 5070),
        ("forward_udp(10.0.0.1, 5070)", "10.0.0.1", 5070),
    ],
)
def test_forward(forwarded: Any, call: str, host: str, port: int) -> None:
    assert forwarded(call) == (1, [("udp", host, port)])


def test_forward_fails_without_a_socket(forwarded: Any) -> None:
    result, sent = forwarded("forward_tcp(10.0.0.1)")
    assert (result < 0, sent) == (True, [])


def prepared_socket(text: str) -> ListenSocket:
    """What force_send_socket's argument is prepared to."""
    core = Core()
    core.addresses.sockets.append(ListenSocket(0, "udp", "127.0.0.1", 5060))
    core.addresses.sockets.append(ListenSocket(1, "udp", "127.0.0.1", 5070, name="inside"))
    function = next(f for f in core_functions(core) if f.name == "force_send_socket")
    socket: ListenSocket = function.arguments[0].prepare(text)  # type: ignore[attr-defined]
    return socket


@pytest.mark.parametrize(
    ("text", "index"),
    [("udp:127.0.0.1:5070", 1), ("127.0.0.1:5070", 1), ("127.0.0.1", 0), ("udp:127.0.0.1", 0), ("inside:5070", 1)],
)
def test_send_socket_is_found_when_the_config_is_read(text: str, index: int) -> None:
    assert prepared_socket(text).index == index


@pytest.mark.parametrize("text", ["tcp:127.0.0.1:5060", "127.0.0.1:5080", "10.0.0.1"])
def test_socket_that_is_not_listened_on_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="ser doesn't listen on it"):
        prepared_socket(text)


def test_branches_are_removed_by_index(tmp_path: Path) -> None:
    script = Script(tmp_path, "request_route { remove_branch(1); remove_branch(); remove_branch(7); }")
    ctx = script.context()
    ctx.msg.branches.extend(Branch(f"sip:b{number}@x") for number in range(3))
    assert script.run(ctx=ctx) == 1
    assert [branch.uri for branch in ctx.msg.branches] == ["sip:b2@x"]


def test_branches_are_cleared(tmp_path: Path) -> None:
    script = Script(tmp_path, "request_route { clear_branches(); }")
    ctx = script.context()
    ctx.msg.branches.append(Branch("sip:b@x"))
    script.run(ctx=ctx)
    assert ctx.msg.branches == []
