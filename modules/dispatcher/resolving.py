"""When the names of destinations are looked up: as the list is read, from time to time, or for every comparison.

Nothing is looked up while the lock of the sets is held but by reading a list, which waits for its answers anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.log import get_logger
from kamailio_py.sip.uri import Uri

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.modules.dispatcher.sets import Destination, Sets

log = get_logger("dispatcher")

AT_LOAD, ALWAYS, FROM_TIME_TO_TIME = 1, 2, 4
"""Bits of ds_dns_mode."""


class Resolving:
    """See the head of the file."""

    def __init__(self, core: Core, mode: int) -> None:
        self.core = core
        self.always = bool(mode & ALWAYS)
        self._first = bool(mode & (AT_LOAD | FROM_TIME_TO_TIME))

    def at_load(self, uri: str) -> str:
        """The address of a destination whose list is read, "" if it has none or that is not yet of interest."""
        return self.core.addresses.resolve(Uri.parse(uri).host) or "" if self._first else ""

    def leads_to(self, one: Destination, address: str) -> bool:
        """Whether the name of a destination has this address now."""
        found = self.core.addresses.resolve(one.host) if one.resolvable else None
        if found is None and one.resolvable:
            log.warn(f"could not resolve {one.host} (skipping)")
        return found == address

    def refresh(self, sets: Sets) -> None:
        """Look all names up again; one that is not found keeps its address."""
        with sets as known:
            hosts = {one.uri: one.host for dests in known.values() for one in dests.destinations if one.resolvable}
        found = {uri: self.core.addresses.resolve(host) for uri, host in hosts.items()}
        for uri in (uri for uri, address in found.items() if address is None):
            log.err(f"could not resolve {hosts[uri]}")
        sets.set_addresses({uri: address for uri, address in found.items() if address is not None})
