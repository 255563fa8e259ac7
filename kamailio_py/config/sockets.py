"""Addresses in the language: IP addresses, host and interface names, `proto:host:port`, listen and alias lines."""

from __future__ import annotations

import re

from kamailio_py.config import tokens
from kamailio_py.config.errors import Position
from kamailio_py.config.nodes import Alias, Endpoint, Listen
from kamailio_py.config.stream import TokenStream, Unexpected
from kamailio_py.config.tokens import Token

LISTEN_PROTOCOLS = frozenset(("udp", "tcp", "tls", "sctp", "*"))
_HOST_START = frozenset((tokens.NUMBER, tokens.STRING, tokens.ID, tokens.NUM_ID, tokens.IPV6, "["))
_HOST_PART = frozenset((tokens.NUMBER, tokens.ID, tokens.NUM_ID))
_OPTION = re.compile(
    r"(?:(udp|tcp|tls|sctp|ws|wss):)?(?:(\([^()]+\))|(\[[0-9a-fA-F:.]+\]|[^\[\]:/\s()]+))(?::(\d{1,5}))?", re.IGNORECASE
)


class Sockets(TokenStream):
    """Parsing of addresses."""

    socket_workers = 0

    def ipv4(self) -> str:
        """Four numbers; the first is at hand."""
        parts = [self.expect(tokens.NUMBER)]
        for _ in range(3):
            self.expect(".")
            parts.append(self.expect(tokens.NUMBER))
        if not all(0 <= int(part.value) <= 255 for part in parts):
            self.error(parts[3].position, "invalid ipv4 address")
        return ".".join(str(part.value) for part in parts)

    def ipv6(self) -> str:
        """With or without brackets; given without."""
        if self.skip_if("["):
            address = self.expect(tokens.IPV6)
            self.expect("]")
            return address.text
        return self.expect(tokens.IPV6).text

    def listen_id(self) -> str:
        """An IP address, a quoted string, a host name or the name of an interface."""
        kind = self.tok.kind
        if kind == tokens.STRING:
            return str(self.advance().value)
        if kind in (tokens.IPV6, "["):
            return self.ipv6()
        if kind == tokens.NUMBER and self.peek().kind == ".":
            return self.ipv4()
        if kind not in _HOST_PART:
            self.fail("an address")
        name = self.advance().text
        while self.tok.kind in (".", "-"):
            name += self.advance().text
            if self.tok.kind not in _HOST_PART:
                try:
                    self.fail("a part of a host name")
                except Unexpected as failure:
                    self.name_failure(failure, "invalid host or interface name")
                    raise
            name += self.advance().text
        return name

    def endpoint(self, several: bool = True) -> Endpoint:
        """`proto:host:port`; with `several` the host may be a list in parentheses."""
        proto = ""
        if self.tok.kind in LISTEN_PROTOCOLS:
            proto = self.advance().kind
            self.expect(":")
        hosts = [self.listen_id()] if not (several and self.tok.kind == "(") else self._host_list()
        port = 0
        if self.skip_if(":"):
            port = self._port()
        return Endpoint("" if proto == "*" else proto, hosts, port)

    def _host_list(self) -> list[str]:
        self.expect("(")
        hosts = [self.listen_id()]
        while self.skip_if(","):
            hosts.append(self.listen_id())
        self.expect(")")
        return hosts

    def _port(self) -> int:
        if self.tok.kind == "*":
            self.advance()
            return 0
        if self.tok.kind != tokens.NUMBER:
            try:
                self.fail("a port")
            except Unexpected as failure:
                self.name_failure(failure, "port number expected")
                raise
        return int(self.advance().value)

    def endpoints(self) -> list[Endpoint]:
        """One or several, separated by blanks: any word that may be an address belongs to the list."""
        found = [self.endpoint()]
        while self.tok.kind in _HOST_START or self.tok.kind in LISTEN_PROTOCOLS or self.tok.kind == "(":
            found.append(self.endpoint())
        return found

    def listen_line(self, keyword: Token) -> None:
        """Behind `listen =`."""
        endpoints = self.endpoints()
        advertise = None
        if self.skip_if("advertise"):
            advertise = Endpoint("", [self.listen_id()])
            if self.skip_if(":"):
                advertise.port = int(self.expect(tokens.NUMBER).value)
        name = str(self.expect(tokens.STRING).value) if self.skip_if("name") else ""
        virtual = self.skip_if("virtual")
        at = self.since(keyword.position)
        for endpoint in endpoints:
            self.config.listens.append(Listen(at, endpoint, advertise, name, self.socket_workers, virtual))
        self.socket_workers = 0

    def alias_line(self, keyword: Token) -> None:
        """Behind `alias =`."""
        endpoints = self.endpoints()
        at = self.since(keyword.position)
        self.config.aliases += [Alias(at, endpoint) for endpoint in endpoints]


def parse_listen_option(text: str) -> Listen:
    """`[proto:]host[:port][/host[:port]]` as the options -l and --alias have it; ValueError if it is none."""
    address, slash, advertised = text.partition("/")
    match = _OPTION.fullmatch(address)
    other = _OPTION.fullmatch(advertised) if slash else None
    if match is None or (slash and other is None):
        raise ValueError(f"invalid address: {text}")
    made = Listen(Position("command line", 0, 0), _option_endpoint(match))
    if other is not None:
        made.advertise = _option_endpoint(other)
    return made


def _option_endpoint(match: re.Match[str]) -> Endpoint:
    proto, listed, host, port = match.groups()
    hosts = [part.strip() for part in listed[1:-1].split(",")] if listed else [host]
    return Endpoint((proto or "").lower(), [name.strip("[]") for name in hosts], int(port or 0))
