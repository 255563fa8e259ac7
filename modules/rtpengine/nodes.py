"""The proxies: sets of them, whom a call goes to, who is out of service; and one question to one of them.

Which proxies there are is one value in shared memory, replaced when the database is read again. Which of them is
disabled until when stands in a word for each, written without a lock, the last writer wins; the places are given by URL
and never change. Sockets belong to a process.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any
from zlib import crc32

from kamailio_py.clock import Clock
from kamailio_py.dataclass import dataclass
from kamailio_py.log import get_logger
from kamailio_py.shm.memory import SharedMemory
from kamailio_py.shm.records import Record, i64

CAPACITY = 256
PERMANENT = -1
LARGEST = 65535


class State(Record):
    """Whether a proxy is in service."""

    disabled_until = i64("monotonic milliseconds; 0: it is in service, -1: out of service until it is enabled")


@dataclass(frozen=True, slots=True)
class Node:
    """One proxy."""

    url: str
    set_id: int
    index: int
    weight: int
    place: int


def parse_sets(text: str, default: int) -> tuple[int, list[tuple[str, int]]]:
    """(set, (URL, weight) of each) of `[set ==] url[=weight] ...`; ValueError if a part is none."""
    number, separator, rest = text.partition("==")
    set_id = default
    if separator:
        if not number.strip().isdecimal():
            raise ValueError(f"script error - invalid set_id value: {text}")
        set_id = int(number)
    else:
        rest = text
    found = []
    for item in rest.split():
        url, equals, weight = item.rpartition("=")
        if equals and weight.isdecimal():
            found.append((url, int(weight)))
        else:
            found.append((item, 1))
    for url, _ in found:
        address_of(url)
    return set_id, found


def address_of(url: str) -> tuple[int, str, int]:
    """(address family, host, port) of udp:host:port or udp6:host:port; ValueError if it is none."""
    scheme, _, rest = url.partition(":")
    if scheme not in ("udp", "udp6"):
        raise ValueError(f"unsupported proxy address {url}: udp: and udp6: are")
    host, _, port = rest.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"bad proxy address {url}")
    return socket.AF_INET6 if scheme == "udp6" else socket.AF_INET, host.strip("[]"), int(port)


class Proxies:
    """See the head of the file."""

    def __init__(self, shm: SharedMemory, clock: Clock, module: str = "rtpengine") -> None:
        at = shm.reserve(f"{module}.nodes", "records", CAPACITY * State.SIZE, State, count=CAPACITY)
        self._states = (at + State.disabled_until) >> 3
        self._words = shm.i64
        self._now = clock.ms

    def disabled_until(self, node: Node) -> int:
        """As the field says; 0 where the time is over."""
        until = self._words[self._states + node.place]
        return 0 if 0 < until <= self._now() else until

    def disable(self, node: Node, seconds: int = 0) -> None:
        """Take out of service, for some time or until it is enabled."""
        until = self._now() + seconds * 1000 if seconds else PERMANENT
        self._words[self._states + node.place] = until

    def enable(self, node: Node) -> None:
        self._words[self._states + node.place] = 0

    def left(self, node: Node) -> int:
        """Seconds until a disabled proxy is tried again."""
        return max(0, (self.disabled_until(node) - self._now()) // 1000)

    def select(self, nodes: Iterable[Node], call_id: str, algorithm: int) -> Node | None:
        """The proxy a call goes to: by its Call-ID and the weights of those in service; None if none is."""
        serving = [node for node in nodes if not self.disabled_until(node) and node.weight > 0]
        total = sum(node.weight for node in serving)
        if not total:
            return None
        data = call_id.encode("latin-1")
        cut = (crc32(data) if algorithm else sum(data) & 0xFF) % total
        for node in serving:
            if cut < node.weight:
                return node
            cut -= node.weight
        return None


class Line:
    """This process's sockets to the proxies; they send from the address `source`, if one is given."""

    def __init__(self, module: str = "rtpengine", source: str = "") -> None:
        self._log = get_logger(module)
        self._source = source
        self._sockets: dict[str, socket.socket] = {}

    def ask(self, node: Node, cookie: str, body: str, tries: int, timeout: float, tos: int = -1) -> str | None:
        """The answer to one request, without its cookie; None, and logged, if none comes."""
        data = f"{cookie} {body}".encode("latin-1")
        head = f"{cookie} "
        try:
            line = self._socket(node.url, tos)
            for _ in range(max(tries, 1)):
                line.settimeout(timeout)
                line.send(data)
                try:
                    while True:
                        answer = line.recv(LARGEST).decode("latin-1")
                        if answer.startswith(head):
                            return answer[len(head) :]
                except TimeoutError:
                    continue
        except OSError as error:
            self._log.err(f"can't send command to proxy <{node.url}> ({error})")
            self._sockets.pop(node.url, None)
            return None
        self._log.err(f"timeout waiting reply for command from proxy <{node.url}>")
        return None

    def _socket(self, url: str, tos: int) -> socket.socket:
        line = self._sockets.get(url)
        if line is None:
            family, host, port = address_of(url)
            line = socket.socket(family, socket.SOCK_DGRAM)
            if tos >= 0:
                line.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos)
            if self._source:
                line.bind((self._source, 0))
            line.connect((host, port))
            self._sockets[url] = line
        return line


def described(answer: dict[str, Any]) -> str:
    """What a proxy says went wrong."""
    return str(answer.get("error-reason", answer.get("result", "no result")))
