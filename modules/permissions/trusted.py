"""The trusted table: peers that need not authenticate, by address, protocol and patterns of From and request-URI.

Lives here: rows as they are read, what a process looks up in them, and how one row is matched. Takes no lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from kamailio_py.log import get_logger
from kamailio_py.modules.permissions.addresses import HASH_SIZE
from kamailio_py.script.regex import compile_posix, extended
from kamailio_py.sip.hash import core_hash

log = get_logger("permissions")

ANY = "any"
NONE = "none"
PROTOCOLS = (ANY, "udp", "tcp", "tls", "sctp", "ws", "wss")
"""By their numbers in dumps."""


class Peer(NamedTuple):
    """One row."""

    source: str
    protocol: str
    from_pattern: str | None
    uri_pattern: str | None
    tag: str | None
    priority: int

    def is_for(self, protocol: str) -> bool:
        return ANY in (protocol, self.protocol) or self.protocol == protocol

    def matches(self, from_uri: str, uri: str) -> bool:
        for pattern, text in ((self.from_pattern, from_uri), (self.uri_pattern, uri)):
            if pattern is None:
                continue
            try:
                if not compile_posix(extended(pattern)).search(text):
                    return False
            except ValueError:
                log.err("invalid regular expression")
                return False
        return True


def check_row(values: Sequence[Any]) -> Peer:
    """A row as the database has it; ValueError if it is none."""
    source, protocol, from_pattern, uri_pattern, tag, priority = values
    if not isinstance(source, str) or not isinstance(protocol, str):
        raise ValueError("database problem")
    if protocol.lower() not in (*PROTOCOLS, NONE):
        raise ValueError(f"unknown protocol {protocol}")
    return Peer(source, protocol.lower(), from_pattern, uri_pattern, tag, priority or 0)


class Trusted:
    """What one process looks up: peers by address, those of higher priority first."""

    def __init__(self, rows: Iterable[Sequence[Any]] = ()) -> None:
        self.peers: dict[str, list[Peer]] = {}
        for values in rows:
            peer = Peer(*values)
            if peer.protocol != NONE:
                self.peers.setdefault(peer.source, []).append(peer)
        for peers in self.peers.values():
            peers.sort(key=lambda peer: -peer.priority)

    def by_slot(self) -> list[tuple[int, Peer]]:
        """All peers with the slot of Kamailio's table that they are in."""
        found = [
            (core_hash(source, "", HASH_SIZE), -peer.priority, number, peer)
            for source, peers in self.peers.items()
            for number, peer in enumerate(peers)
        ]
        found.sort(key=lambda entry: entry[:2])
        return [(slot, peer) for slot, _, _, peer in found]
