"""Which addresses are this server's own, which socket sends, and where a URI leads.

Knows no file descriptors: sockets are `ListenSocket`s, made from the config's `listen` lines.
"""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from kamailio_py.config.nodes import Endpoint, Listen
from kamailio_py.dns.places import DEFAULT_PORT, Place, Walk
from kamailio_py.log import get_logger
from kamailio_py.sip.endpoint import Destination, HostPort, ListenSocket
from kamailio_py.sip.ip import is_ip, is_loopback, normalise
from kamailio_py.sip.uri import BadUri, Uri

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core

logger = get_logger()

SIOCGIFADDR = 0x8915
IF_INET6 = Path("/proc/net/if_inet6")
LINK_LOCAL = "20"
ANY_PORT = 9
"""Nothing is sent to it."""


class Addresses:
    """Listen sockets, aliases, and the choice of a next hop."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.sockets: list[ListenSocket] = []
        self.aliases: list[tuple[str, str, int]] = []  # proto or "", host in lower case, port or 0
        self.subdomains: list[tuple[str, str, int]] = []  # the same, and every domain below
        self.local_domains: list[Callable[[str], bool]] = []
        """What modules know of domains that are this server's, too; asked each time."""
        self.own: ListenSocket | None = None
        """The socket this process receives on, if it is one of those that do, and for UDP."""
        self._myself: dict[tuple[str, int, str], bool] = {}

    # set-up

    def listen(self, listens: list[Listen]) -> None:
        """Make the sockets of these lines; without any, all addresses of the machine on `port` are listened on."""
        cfg = self.core.cfg
        every = ["udp"]
        if not cfg.disable_tcp:
            every += ["tcp", "tls"] if cfg.enable_tls or not cfg.disable_tls else ["tcp"]
        for line in listens or [_everywhere(cfg.port)]:
            for host in line.endpoint.hosts:
                for address in resolve_interface(host, bool(cfg.auto_bind_ipv6)):
                    for proto in [line.endpoint.proto] if line.endpoint.proto else every:
                        if proto in every:  # lines for what is disabled are passed over, as by Kamailio
                            self._add(line, proto, address)
        self._order()

    def _add(self, line: Listen, proto: str, address: str) -> None:
        address = normalise(address)
        port = line.endpoint.port
        if proto != "tls":
            port = port or self.core.cfg.port or DEFAULT_PORT[proto]
        elif not port or not line.endpoint.proto:
            # TLS has the next port where a line is for every protocol
            port = port + 1 if port else self.core.cfg.tls_port_no
        if any(s.proto == proto and s.host == address and s.port == port for s in self.sockets):
            return
        self.sockets.append(
            ListenSocket(
                index=len(self.sockets),
                proto=proto,
                host=address,
                port=port,
                name=line.name,
                workers=line.workers,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                scope=link_of(address) if self.core.cfg.bind_ipv6_link_local else 0,
                advertise_host=line.advertise.hosts[0] if line.advertise else "",
                advertise_port=line.advertise.port if line.advertise else 0,
            )
        )

    def _order(self) -> None:
        """All sockets of one transport together, as Kamailio keeps them."""
        order = list(DEFAULT_PORT)
        self.sockets.sort(key=lambda s: order.index(s.proto))
        for index, listening in enumerate(self.sockets):
            listening.index = index

    def add_alias(self, endpoint: Endpoint) -> None:
        for host in endpoint.hosts:
            self.aliases.append((endpoint.proto, host.lower().strip("[]"), endpoint.port))

    def add_auto_aliases(self) -> None:
        """Names of the listening addresses, as the machine's own hosts file or resolver gives them."""
        for listening in self.sockets:
            try:
                name, more, _ = socket.gethostbyaddr(listening.host)
            except OSError:
                continue
            for alias in [name, *more]:
                if alias != listening.host and (listening.proto, alias.lower(), listening.port) not in self.aliases:
                    self.aliases.append((listening.proto, alias.lower(), listening.port))

    def summary(self) -> str:
        """What kamailio prints of its addresses when it starts."""
        lines = ["Listening on "]
        for s in self.sockets:
            advertised = f" advertise {s.sent_by_host}:{s.sent_by_port}" if s.advertise_host else ""
            lines.append(f"             {s.proto}: {s.host}:{s.port}{advertised}")
        lines.append("Aliases: ")
        for proto, host, port in reversed(self.aliases):
            lines.append(f"             {proto or '*'}: {host}:{port or '*'}")
        return "\n".join(lines) + "\n"

    # questions

    def is_myself(self, host: str, port: int = 0, proto: str = "") -> bool:
        """Whether host[:port] is one of the listening addresses or aliases; no port or protocol matches any."""
        key = (host, port, proto)
        known = self._myself.get(key)
        if known is None:
            known = self._is_myself(normalise(host.strip("[]")), port, proto)
            if len(self._myself) < 10000:
                self._myself[key] = known
        return known or any(is_local(host) for is_local in self.local_domains)

    def _is_myself(self, host: str, port: int, proto: str) -> bool:
        for s in self.sockets:
            if proto in ("", s.proto):
                if host == s.host and port in (0, s.port):
                    return True
                if s.advertise_host and host == s.advertise_host.strip("[]").lower() and port in (0, s.sent_by_port):
                    return True
        if any(
            host == alias and (port == 0 or alias_port in (0, port)) and (proto == "" or alias_proto in ("", proto))
            for alias_proto, alias, alias_port in self.aliases
        ):
            return True
        return any(
            f".{host}".endswith(f".{domain}")
            and (port == 0 or own_port in (0, port))
            and (proto == "" or own_proto in ("", proto))
            for own_proto, domain, own_port in self.subdomains
        )

    def find_socket(self, host: str, port: int, proto: str = "") -> ListenSocket | None:
        """The listening socket of this address, by name too when `host` is one."""
        host = normalise(host.strip("[]"))
        for s in self.sockets:
            if host in (s.host, s.name.lower()) and port in (0, s.port) and proto in ("", s.proto):
                return s
        return None

    def listening(self, text: str) -> ListenSocket | None:
        """The listening socket that `[proto:]host[:port]` names, also as it is advertised; the port is 5060 if none is
        written. None, with an error line, for what is no address."""
        try:
            proto, host, port = HostPort.parse(text)
        except ValueError as error:
            logger.err(str(error))
            return None
        host, port = normalise(host.strip("[]")), port or DEFAULT_PORT["udp"]
        for s in self.sockets:
            hosts = (s.host, s.name.lower(), normalise(s.advertise_host.strip("[]")))
            if host in hosts and port in (s.port, s.sent_by_port) and proto in ("", s.proto):
                return s
        return None

    def socket_named(self, name: str) -> ListenSocket | None:
        return next((s for s in self.sockets if s.name and s.name == name), None)

    def send_socket(
        self, proto: str, host: str, forced: ListenSocket | None = None, received: ListenSocket | None = None
    ) -> ListenSocket | None:
        """The socket to send to `host` from: the one the script has set, with `mhomed` the one that the system would
        send from, else the one the message came in on or this process receives on; where these do not fit, the first
        of that protocol and family that is not on the loopback.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        if forced is not None and forced.proto == proto and forced.family == family:
            return forced
        if self.core.cfg.mhomed:
            routed = self._routed_socket(proto, host, family)
            if routed is not None:
                return routed
        own = received or self.own
        if own is not None and own.proto == proto and own.family == family:
            return own
        others = [s for s in self.sockets if s.proto == proto and s.family == family]
        # as Kamailio chooses: the last one where all are of the loopback
        return next((s for s in others if not is_loopback(s.host)), others[-1] if others else None)

    def _routed_socket(self, proto: str, host: str, family: int) -> ListenSocket | None:
        """The socket on the address that the system's routes choose to reach `host`."""
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((host, ANY_PORT))
                source = probe.getsockname()[0]
            except OSError as error:
                logger.err(f"get_out_socket: no way to {host}: {error.strerror}")
                return None
        return next((s for s in self.sockets if s.proto == proto and s.host == source), None)

    def destination(
        self,
        uri: str,
        forced: ListenSocket | None = None,
        proto: str = "",
        received: ListenSocket | None = None,
    ) -> Destination | None:
        """Where a request to this URI goes; None (and a line in the log) when that cannot be found out."""
        hop = self._hop(uri, proto)
        if hop is None:
            return None
        host, port, transport = hop
        if is_ip(host):
            transport = transport or "udp"
            port = port or DEFAULT_PORT.get(transport, 5060)
        else:
            places = self.core.places
            found = places.next(places.start(host, port, transport))
            if found is None:
                logger.err(f"could not resolve hostname: {host}")
                return None
            host, port, transport = found
        sender = self.send_socket(transport, host, forced, received)
        if sender is None:
            logger.err(f"no socket to send to {transport}:{host}:{port}")
            return None
        return Destination(transport, host, port, sender)

    def first(
        self,
        uri: str,
        forced: ListenSocket | None = None,
        proto: str = "",
        received: ListenSocket | None = None,
    ) -> tuple[Destination | None, Walk | None]:
        """destination(), and with use_dns_failover what may be tried after it."""
        if not self.core.cfg.use_dns_failover:
            return self.destination(uri, forced, proto, received), None
        walk = self.walk(uri, proto)
        return (self.next_of(walk, forced, received) if walk is not None else None), walk

    def walk(self, uri: str, proto: str = "") -> Walk | None:
        """All places a request to this URI may be sent to, one after the other (next_of); None for a bad URI."""
        hop = self._hop(uri, proto)
        if hop is None:
            return None
        host, port, transport = hop
        if is_ip(host):
            transport = transport or "udp"
            return Walk([], addresses=[host], port=port or DEFAULT_PORT.get(transport, 5060), proto=transport)
        return self.core.places.start(host, port, transport)

    def next_of(
        self, walk: Walk, forced: ListenSocket | None = None, received: ListenSocket | None = None
    ) -> Destination | None:
        """The next place of a walk that there is a socket for; None when there are no more."""
        while (place := self.core.places.next(walk)) is not None:
            sender = self.send_socket(place.proto, place.host, forced, received)
            if sender is not None:
                return Destination(place.proto, place.host, place.port, sender)
            logger.err(f"no socket to send to {place.proto}:{place.host}:{place.port}")
        return None

    def _hop(self, uri: str, proto: str) -> tuple[str, int, str] | None:
        """Host, port (or 0) and transport (or "") that a URI names; None for a bad URI."""
        try:
            parsed = Uri.parse(uri)
        except BadUri:
            logger.err(f"bad_uri: [{uri}]")
            return None
        host, transport = parsed.host, ""
        if parsed.params:
            host = parsed.param("maddr") or host
            transport = (parsed.param("transport") or "").lower()
        if parsed.scheme == "sips":
            if transport == "udp":
                logger.err("bad transport for sips uri: 1")
                return None
            transport = transport if transport == "ws" else "tls"
        return host.strip("[]"), parsed.port, proto or transport

    def place(self, host: str, port: int, proto: str) -> Place | None:
        """Where a host is reached, by NAPTR and SRV records as well; no port is 0, no transport is ""."""
        bare = host.strip("[]")
        if is_ip(bare):
            proto = proto or "udp"
            return Place(bare, port or DEFAULT_PORT.get(proto, 5060), proto)
        return self.core.places.first(bare, port, proto)

    def resolve(self, host: str) -> str | None:
        """The IP address of a host name, from the cache or a name server; an IP address is its own."""
        bare = host.strip("[]")
        return bare if is_ip(bare) else self.core.places.address(bare)


def _everywhere(port: int) -> Listen:
    from kamailio_py.config.errors import Position

    return Listen(Position("", 0, 0), Endpoint("", [name for _, name in socket.if_nameindex()], port))


def resolve_interface(host: str, six: bool) -> list[str]:
    """Addresses of what stands in a listen line: an IP, a host name, an interface's name; of that with `six` all."""
    bare = host.strip("[]")
    if is_ip(bare):
        return [bare]
    if bare in {name for _, name in socket.if_nameindex()}:
        address = interface_address(bare)
        return [*([address] if address else []), *(interface_addresses6(bare) if six else [])]
    try:
        return [str(socket.getaddrinfo(bare, None, type=socket.SOCK_DGRAM)[0][4][0])]
    except OSError:
        raise ValueError(f"could not resolve {host}") from None


def interface_address(name: str) -> str | None:
    """The IPv4 address of a network interface, or None while it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            answer = fcntl.ioctl(probe.fileno(), SIOCGIFADDR, struct.pack("256s", name[:15].encode()))
        except OSError:
            return None
    return socket.inet_ntoa(answer[20:24])


def interface_addresses6(name: str) -> list[str]:
    """The IPv6 addresses of a network interface."""
    return [address for address, interface, _ in _addresses6() if interface == name]


def link_of(address: str) -> int:
    """The number of the interface on whose link alone an IPv6 address is good; 0 for any other address."""
    return next((link for other, _, link in _addresses6() if other == address), 0) if ":" in address else 0


def _addresses6() -> Iterator[tuple[str, str, int]]:
    """The machine's IPv6 addresses, the interface each is on, and that one's number if it is good on that link only."""
    try:
        table = IF_INET6.read_text()
    except OSError:  # a machine without IPv6
        return
    for line in table.splitlines():
        digits, number, _, scope, _, interface = line.split()
        address = normalise(":".join(digits[at : at + 4] for at in range(0, 32, 4)))
        yield address, interface, int(number, 16) if scope == LINK_LOCAL else 0
