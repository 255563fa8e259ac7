"""Destinations to which nothing is sent for a while, in shared memory for all processes: Kamailio's dst_blocklist.

Entries come from RPC, from the script, from sending that fails, and from tm: no answer at all, or 503. Nothing is
listed nor looked up unless use_dst_blocklist is on, which cfg.set may change.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kamailio_py.dataclass import dataclass
from kamailio_py.log import get_logger
from kamailio_py.shm.kept import KeptTable

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.sip.endpoint import Destination

logger = get_logger()

PROTOCOLS = ("*", "udp", "tcp", "tls", "sctp")
"""By Kamailio's numbers; 0 is any."""
IPV6, SEND, CONNECT, TIMEOUT, UNAVAILABLE, PROHIBITED = 1, 2, 4, 16, 32, 64
"""Flags: the address is IPv6; sending failed; so did connecting; a transaction ended without an answer; a 503 came; the
script (module blst) says so."""


@dataclass(slots=True)
class Blocked:
    """One entry; `expires` is monotonic milliseconds."""

    proto: str
    host: str
    port: int
    flags: int
    expires: int


class Blocklist:
    """See the head of the file."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._kept: KeptTable | None = None

    def create(self) -> None:
        """Make its place in shared memory, unless dst_blocklist_init=off; before forking."""
        cfg = self.core.cfg
        if cfg.dst_blocklist_init:
            self._kept = KeptTable(self.core.shm, self.core.clock, "dst_blocklist", self.limit)
            self.core.register_timer(self._kept.collect, max(cfg.dst_blocklist_gc_interval, 1), slow=True)

    @property
    def enabled(self) -> bool:
        return bool(self.core.cfg.use_dst_blocklist) and self._kept is not None

    @property
    def limit(self) -> int:
        """Bytes it may take."""
        return self.core.cfg.dst_blocklist_mem * 1024

    @property
    def used(self) -> int:
        return self._table.used

    def add(self, proto: str, host: str, port: int, flags: int, seconds: int = 0) -> bool:
        """List a destination, for dst_blocklist_expire if no time is given; False when there is no room."""
        expires = self.core.clock.ms() + (seconds or self.core.cfg.dst_blocklist_expire) * 1000
        key, flags = _key(proto, host, port), flags | (IPV6 if ":" in host else 0)
        known = self._table.get(key)
        if known is not None:
            flags |= known.flags
        if self._table.put(key, "", flags, expires):
            return True
        logger.err(f"dst_blocklist: no room for {proto}:{host}:{port}")
        return False

    def failed(self, target: Destination, flag: int, ignored: int = 0, seconds: int = 0) -> None:
        """A destination did not do what it should: list it, unless the config or `ignored` ignores this failure."""
        ignored |= getattr(self.core.cfg, f"dst_blocklist_{target.proto}_imask", 0)
        if self.enabled and not flag & ignored:
            self.add(target.proto, target.host, target.port, flag, seconds)

    def remove(self, target: Destination) -> bool:
        """Take a destination off the list, listed for its protocol or for any; whether it was on it."""
        keys = [_key(proto, target.host, target.port) for proto in (target.proto, "*")]
        removed = [self._table.remove(key) for key in keys]
        return any(removed)

    def holds(self, target: Destination) -> bool:
        """Whether this destination is listed, for its protocol and port or for any."""
        return self.enabled and any(
            self._table.get(_key(proto, target.host, port)) is not None
            for proto in (target.proto, "*")
            for port in (target.port, 0)
        )

    def clear(self) -> None:
        self._table.clear()

    def __iter__(self) -> Iterator[Blocked]:
        for kept in self._table:
            proto, host, port = kept.key.split(" ")
            yield Blocked(proto, host, int(port), kept.flags, kept.expires)

    @property
    def _table(self) -> KeptTable:
        assert self._kept is not None
        return self._kept


def _key(proto: str, host: str, port: int) -> str:
    return f"{proto} {host} {port}"
