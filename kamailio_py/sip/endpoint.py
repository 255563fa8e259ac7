"""Addresses: where a message came from, where it goes, and the sockets this server listens on.

Pure data; the transport room keeps the file descriptors, found by `ListenSocket.index`.
"""

from __future__ import annotations

from typing import NamedTuple

from kamailio_py.dataclass import dataclass

PROTOCOLS = {"udp": 1, "tcp": 2, "tls": 3, "sctp": 4, "ws": 5, "wss": 6}
"""Kamailio's numbers of the transports, which scripts and RPC show and aliases have; 0 is none."""
PROTOCOL_NAMES = {number: name for name, number in PROTOCOLS.items()}


class HostPort(NamedTuple):
    """`[proto:]host[:port]` as scripts and parameters name addresses; "" and 0 for what is not written.

    `host` keeps its brackets.
    """

    proto: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> HostPort:
        """The parts of an address; ValueError with Kamailio's words. The protocol `any` is none."""
        proto, rest = "", text
        if not text.startswith("["):
            first, colon, after = text.partition(":")
            if colon and (":" in after or not after.isdecimal()):
                proto, rest = first.lower(), after
                if proto not in PROTOCOLS and proto != "any":
                    raise ValueError(f"bad protocol in {text}")
        end = rest.find("]") if rest.startswith("[") else -1
        host, colon, port = rest[end + 1 :].partition(":")
        host = rest[: end + 1] + host
        if not host or (colon and not (port.isdecimal() and int(port) < 65536)):
            raise ValueError(f"bad port number in {text}")
        return cls("" if proto == "any" else proto, host, int(port or 0))


@dataclass(slots=True, eq=False)
class ListenSocket:
    """One address the server listens on; `index` is its place in the order of the config."""

    index: int
    proto: str  # "udp", "tcp", "tls", "sctp"
    host: str  # IP address as text, IPv6 without brackets
    port: int
    name: str = ""
    advertise_host: str = ""
    advertise_port: int = 0
    workers: int = 0
    family: int = 2  # socket.AF_INET / AF_INET6
    scope: int = 0  # number of the interface on whose link alone an IPv6 address is good

    @property
    def host_text(self) -> str:
        """The host as it stands in a URI or Via: IPv6 in brackets."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def sent_by_host(self) -> str:
        return self.advertise_host or self.host_text

    @property
    def sent_by_port(self) -> int:
        return self.advertise_port or self.port

    def __str__(self) -> str:
        return f"{self.proto}:{self.host_text}:{self.port}"


LONGEST_SERVER_NAME = 128
"""Bytes of the name that the other end of TLS is asked for."""
NO_CONNECT, CLOSE = 1, 2
"""Flags of a destination: never open a connection for it; close the connection once it is sent."""
IGNORED_SHIFT = 8
"""From this bit on they are reasons for which it is not put on the blocklist."""


class Destination(NamedTuple):
    """Where to send: resolved IP as text, and the socket to send from.

    `connection` is the id of the connection to use if it is still there, 0 for whichever leads there.
    """

    proto: str
    host: str
    port: int
    socket: ListenSocket
    connection: int = 0
    flags: int = 0
