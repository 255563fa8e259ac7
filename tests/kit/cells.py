"""tm in a test's own process: a core with a virtual clock, routes that are Python functions, and what it sends.

    house = House()
    house.route("request", "0", lambda ctx: house.tm.t_newtran(ctx))
    house.request("MESSAGE")
    assert house.statuses() == [200]

`house.tm` is the module as all processes have it; `house.advance(seconds)` turns the wheel. Messages are given to the
real engine, so all of a process but its sockets takes part.
"""

from __future__ import annotations

import contextlib
import random
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from kamailio_py.clock import VirtualClock
from kamailio_py.config.nodes import RouteKind
from kamailio_py.config.program import Entry, Program
from kamailio_py.engine.core import Core
from kamailio_py.engine.engine import Engine
from kamailio_py.modules.tm import Tm
from kamailio_py.script.context import Context
from kamailio_py.shm.memory import SharedMemory
from kamailio_py.sip.endpoint import Destination, ListenSocket
from kamailio_py.sip.message import Message

SERVER = ("127.0.0.1", 5060)
CLIENT = ("127.0.0.1", 5555)
CALLEE = ("127.0.0.1", 7000)


@contextlib.contextmanager
def balanced(seconds: int = 400, step: int = 2, **params: Any) -> Iterator[House]:
    """A house whose transactions have given everything back so many seconds after its test."""
    made = House(**params)
    yield made
    made.advance(seconds, step=step)
    assert made.balanced() == []
    made.close()


class House:
    """See the head of the file."""

    def __init__(self, size: int = 16 << 20, **params: Any) -> None:
        self.clock = VirtualClock()
        self.core = core = Core(self.clock, random.Random(1))
        self.socket = ListenSocket(0, "udp", *SERVER)
        core.addresses.sockets.append(self.socket)
        core.server_header = "Server: test\r\n"
        core.shm = self.shm = SharedMemory.create(f"test-{uuid.uuid4().hex[:12]}", size)
        self.shm.unlink()
        self.sent: list[tuple[str, Destination]] = []
        core.sender = self._send
        self.refuse: Callable[[str], bool] = lambda text: False
        self.program = core.program = Program("test.cfg")
        self.program.add(Entry(0, RouteKind.REQUEST, "", lambda ctx: 1, "test.cfg", 0))
        self.tm = Tm(core)
        core.registry.modules["tm"] = self.tm
        for name, value in params.items():
            setattr(self.tm, name, value)
        core.mod_init()
        self.tm.child_init(1)
        self._engine: Engine | None = None
        self.used = self.shm.arena.used

    def close(self) -> None:
        self.shm.close()

    def _send(self, data: bytes, target: Destination) -> bool:
        text = data.decode("latin-1")
        if self.refuse(text):
            return False
        self.sent.append((text, target))
        return True

    # routes

    def route(self, kind: str, name: str, call: Callable[[Context], int]) -> Entry:
        """Add a route: kind is "request", "failure", "reply", "branch", "onsend" or "event"."""
        kinds = {
            "request": RouteKind.REQUEST, "failure": RouteKind.FAILURE, "reply": RouteKind.REPLY,
            "branch": RouteKind.BRANCH, "onsend": RouteKind.ONSEND, "event": RouteKind.EVENT,
        }  # fmt: skip
        entry = Entry(len(self.program.entries), kinds[kind], name, call, "test.cfg", len(self.program.entries))
        self.program.add(entry)
        self._engine = None
        return entry

    def main(self, call: Callable[[Context], int]) -> Entry:
        """The request route."""
        return self.route("request", "0", call)

    # messages

    def receive(self, text: str, source: tuple[str, int] = CLIENT) -> None:
        """A datagram comes in."""
        if self._engine is None:
            self.core.engine = self._engine = Engine(self.core)
        self._engine.receive(text, *source, self.socket)

    def request(
        self, method: str = "MESSAGE", ident: str = "a", *, headers: str = "", ruri: str = "", **more: Any
    ) -> str:
        text = request(method, ident, headers=headers, ruri=ruri, **more)
        self.receive(text)
        return text

    def reply(self, number: int, status: int, reason: str = "Reason", headers: str = "", source: Any = CALLEE) -> str:
        """The next hop answers the request that was sent as number `number` of `sent`."""
        text = answer(self.sent[number][0], status, reason, headers)
        self.receive(text, source)
        return text

    def advance(self, seconds: float, step: float = 0.05) -> None:
        """Let time pass, and whatever is due happen at its time."""
        steps = max(1, round(seconds / step))
        for _ in range(steps):
            self.clock.advance(seconds / steps)
            self.shm.wheel.run(self.clock.ms())

    # what came out

    def take(self) -> list[str]:
        """The first lines of what was sent since the last time."""
        lines = [text.split("\r\n", 1)[0] for text, _ in self.sent]
        self.sent.clear()
        return lines

    def statuses(self) -> list[int]:
        """Statuses of the replies sent so far."""
        return [Message(text).status for text, _ in self.sent if text.startswith("SIP/2.0")]

    def balanced(self) -> list[str]:
        """What is wrong once everything is over: cells left, memory not given back, locks held."""
        faults = self.shm.check()
        self.core.dns.clear(permanent=True)  # names that were looked up are kept for their time
        if len(self.tm.table.table):
            faults.append(f"{len(self.tm.table.table)} cells left")
        if self.shm.arena.used != self.used:
            faults.append(f"{self.shm.arena.used - self.used} bytes not given back: {self.shm.arena.by_owner()}")
        return faults


def request(
    method: str = "MESSAGE",
    ident: str = "a",
    *,
    headers: str = "",
    ruri: str = "",
    to_tag: str = "",
    branch: str = "",
    cseq: int = 1,
    body: str = "",
) -> str:
    """A request of the client; `ident` is in everything that names it."""
    return (
        f"{method} {ruri or 'sip:bob@127.0.0.1:7000'} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {CLIENT[0]}:{CLIENT[1]};branch={branch or f'z9hG4bK-{ident}'}\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:alice@example.test>;tag=f-{ident}\r\n"
        f"To: <sip:bob@example.test>{f';tag={to_tag}' if to_tag else ''}\r\n"
        f"Call-ID: call-{ident}\r\nCSeq: {cseq} {method}\r\n{headers}Content-Length: {len(body)}\r\n\r\n{body}"
    )


def answer(sent: str, status: int, reason: str = "Reason", headers: str = "") -> str:
    """The reply a next hop sends to a request it got."""
    msg = Message(sent)
    to = msg.header("to") or ""
    if status > 100 and "tag=" not in to:
        to += ";tag=callee"
    vias = "".join(msg.raw(i) for i in msg.indexes("via"))
    return (
        f"SIP/2.0 {status} {reason}\r\n{vias}From: {msg.header('from')}\r\nTo: {to}\r\n"
        f"Call-ID: {msg.call_id}\r\nCSeq: {msg.header('cseq')}\r\n{headers}Content-Length: 0\r\n\r\n"
    )
