"""The table of function calls on real Kamailio: is it still what is written there?"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.server import Server, real_command

sys.path.insert(0, str(Path(__file__).parent.parent))

from wire.functions import CLIENT, SERVER, TARGET, Call, calls, cfg

pytestmark = pytest.mark.kamailio
HALF = 240
"""Calls in one config; Kamailio takes no more branches of an expression than it has stack for."""


class Bench:
    """A Kamailio on a free port, a client and a target; ports of the table are put in place of theirs and back."""

    def __init__(self, table: list[Call]) -> None:
        self.client, self.target = self._socket(), self._socket()
        text = cfg(table).replace(f"listen=udp:127.0.0.1:{SERVER}\n", "").replace(f":{TARGET}", f":{self.target_port}")
        self.server = Server("real", real_command(), text).start()

    @staticmethod
    def _socket() -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind(("127.0.0.1", 0))
        made.settimeout(15)
        return made

    @property
    def target_port(self) -> int:
        return int(self.target.getsockname()[1])

    @property
    def client_port(self) -> int:
        return int(self.client.getsockname()[1])

    def sent(self, call: Call) -> str | None:
        request = call.request.replace(f":{TARGET}", f":{self.target_port}").replace(
            f":{CLIENT}", f":{self.client_port}"
        )
        self.client.sendto(request.encode("latin-1"), self.server.address)
        if call.sent is None:
            return None
        text = self.target.recv(65535).decode("latin-1")
        for ours, theirs in ((TARGET, self.target_port), (CLIENT, self.client_port), (SERVER, self.server.port)):
            text = text.replace(f":{theirs}", f":{ours}")
        return text

    def close(self) -> None:
        self.server.stop()
        self.client.close()
        self.target.close()


@pytest.fixture(scope="module", params=[0, 1])
def half(request: pytest.FixtureRequest) -> Iterator[tuple[Bench, list[Call]]]:
    # bodies lengths and branches depend on ports of another length only where the body or a digest holds them
    table = [call for call in calls() if call.sent is not None and "P-Charging" not in call.sent]
    part = table[request.param * HALF : (request.param + 1) * HALF]
    bench = Bench(part)
    yield bench, part
    bench.close()


def without_branch(text: str | None) -> str:
    """The text without our Via, whose branch is a digest over ports as well."""
    lines = (text or "").split("\r\n")
    return "\r\n".join(line for line in lines if not line.startswith(f"Via: SIP/2.0/UDP 127.0.0.1:{SERVER}"))


def test_real_kamailio_does_what_the_table_says(half: tuple[Bench, list[Call]]) -> None:
    bench, table = half
    wrong = {}
    for call in table:
        sent = bench.sent(call)
        if without_branch(sent) != without_branch(call.sent):
            wrong[call.name] = (call.code, sent, call.sent)
    assert not wrong
