"""A DNS server of the tests' own: answers from a small zone over UDP and TCP, and remembers what it was asked.

    with NameServer({"proxy.test": ["A 127.0.0.1"], "_sip._udp.test": ["SRV 1 5 5070 proxy.test"]}) as server:
        ...
        assert server.asked == ["SRV _sip._udp.test", "A proxy.test"]

Names that are not in the zone do not exist. A record may begin with its time to live in seconds ("5 A 127.0.0.1"), it
is 60 otherwise. One that begins with "+" and a name is said along with the answer, as additional data; with "=" it is
the answer, to a question that nobody asked.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

Zone = dict[str, list[str]]


class NameServer:
    """See the head of the file. `silent` names get no answer at all, `refused` ones SERVFAIL; `truncated` over UDP."""

    def __init__(self, zone: Zone, host: str = "127.0.0.1", port: int = 0) -> None:
        self.zone = {name.lower(): records for name, records in zone.items()}
        self.asked: list[str] = []
        self.silent: set[str] = set()
        self.refused: set[str] = set()
        self.truncated: set[str] = set()
        self.delay = 0.0
        self.stopping = threading.Event()
        self.udp, self.tcp = _bound(host, port)
        self.port: int = self.udp.getsockname()[1]
        self.tcp.listen()
        self.threads = [threading.Thread(target=serve, daemon=True) for serve in (self._datagrams, self._streams)]

    def __enter__(self) -> NameServer:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.stopping.set()
        # a receive in another thread ends by shutdown, not by close
        for sock in (self.udp, self.tcp):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        self.udp.close()
        self.tcp.close()

    def _datagrams(self) -> None:
        while not self.stopping.is_set():
            try:
                data, source = self.udp.recvfrom(4096)
            except OSError:
                continue
            if data and (answer := self._answer(data, True)):
                self.udp.sendto(answer, source)

    def _streams(self) -> None:
        while not self.stopping.is_set():
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                continue
            with connection:
                size = int.from_bytes(connection.recv(2), "big")
                answer = self._answer(connection.recv(size), False)
                connection.sendall(len(answer).to_bytes(2, "big") + answer)

    def _answer(self, data: bytes, over_udp: bool) -> bytes:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append(f"{kind} {name}")
        if name in self.silent:
            return b""
        if self.delay:
            self.stopping.wait(self.delay)
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA | dns.flags.RA
        if name in self.refused:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif over_udp and name in self.truncated:
            response.flags |= dns.flags.TC
        elif name not in self.zone:
            response.set_rcode(dns.rcode.NXDOMAIN)
        else:
            self._fill(response, name, kind)
        return response.to_wire()

    def _fill(self, response: dns.message.Message, name: str, kind: str) -> None:
        for text in self.zone[name]:
            section = response.answer
            owner = name
            if text[0] in "+=":
                section = response.additional if text[0] == "+" else response.answer
                owner, _, text = text[1:].partition(" ")
            ttl, _, rest = text.partition(" ")
            if not ttl.isdigit():
                ttl, rest = "60", text
            type_, _, value = rest.partition(" ")
            along = section is response.additional and bool(response.answer)
            if along or type_ in (kind, "CNAME"):
                self._add(section, owner, int(ttl), type_, value)
            if type_ == "CNAME" and kind != "CNAME" and not along and value in self.zone:
                self._fill(response, value, kind)

    @staticmethod
    def _add(section: list[Any], owner: str, ttl: int, kind: str, value: str) -> None:
        """Records of one name and type are one set with one time to live on the wire; each is a set of its own here."""
        section.append(dns.rrset.from_text(f"{owner}.", ttl, "IN", kind, _absolute(kind, value)))


def _bound(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """A UDP and a TCP socket on the same port; 0 is one that is free for both."""
    while True:
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tcp.bind((host, port))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            udp.bind((host, port or tcp.getsockname()[1]))
            return udp, tcp
        except OSError:
            tcp.close()
            udp.close()
            if port:
                raise


def _absolute(kind: str, value: str) -> str:
    """Names in a record end with a dot."""
    if kind in ("SRV", "CNAME", "PTR", "NAPTR") and not value.endswith("."):
        return f"{value}."
    return value
