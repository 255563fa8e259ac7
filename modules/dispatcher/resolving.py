"""Where destinations are: what their names are looked up for, and when (ds_dns_mode), and for how long it is kept.

Nothing is looked up while the lock of the sets is held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.dns.places import Place
from kamailio_py.log import get_logger
from kamailio_py.modules.dispatcher.sets import named
from kamailio_py.sip.uri import BadUri, Uri

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.modules.dispatcher.sets import Destination, Sets

log = get_logger("dispatcher")

AT_LOAD, ALWAYS, FROM_TIME_TO_TIME, SERVICES = 1, 2, 4, 8
"""Bits of ds_dns_mode."""


class Resolving:
    """See the head of the file."""

    def __init__(self, core: Core, mode: int, ttl: int) -> None:
        """`ttl` is ds_dns_ttl: answers are kept for so many seconds, 0: for as long as they say."""
        self.core = core
        self.ttl = ttl
        self.always = bool(mode & ALWAYS)
        self._first = bool(mode & (AT_LOAD | FROM_TIME_TO_TIME))
        self._services = bool(mode & SERVICES)

    def find(self, host: str, port: int, proto: str) -> Place | None:
        """Where a host is now; with SRV and NAPTR records its port and transport as well, unless they are given."""
        addresses = self.core.addresses
        with self.core.places.cache.keeping(self.ttl):
            if self._services:
                return addresses.place(host, port, proto)
            address = addresses.resolve(host)
        return Place(address, port, proto) if address is not None else None

    def find_uri(self, text: str) -> Place | None:
        """The same of a URI; a line in the log if it is none, or leads nowhere."""
        try:
            uri = Uri.parse(text)
        except BadUri as error:
            log.err(f"bad uri [{text}]: {error.reason}")
            return None
        found = self.find(uri.host, *named(uri)[1:])
        if found is None:
            log.err(f"could not resolve {uri.host}")
        return found

    def at_load(self, uri: Uri) -> Place | None:
        """Where a destination is whose list is read: without an address if that is not yet of interest, None if it has
        none."""
        place = named(uri)
        if not self._first:
            return place
        found = self.find(uri.host, *place[1:])
        if found is None:
            log.err(f"could not resolve {uri.host} (missing no-probing flag?!?)")
        return found

    def now(self, sets: Sets, one: Destination) -> Place | None:
        """Where a destination is now. Port and transport that SRV records gave stay its own, as in Kamailio: from then
        on only the addresses of its host are looked up."""
        if not one.resolvable:
            return None
        found = self.find(one.host, *one.place[1:])
        if found is None:
            log.warn(f"could not resolve {one.host} (skipping)")
        elif found[1:] != one.place[1:]:
            sets.set_places({one.key: found._replace(host=one.place.host)})
        return found

    def refresh(self, sets: Sets) -> None:
        """Look all names up again; a destination that is not found stays where it was."""
        with sets as known:
            ones = [one for dests in known.values() for one in dests.destinations if one.resolvable]
        found = {}
        for one in ones:
            place = self.find(one.host, *one.place[1:])
            if place is None:
                log.err(f"could not resolve {one.host}")
            else:
                found[one.key] = place
        sets.set_places(found, when=int(self.core.clock.now() * 1_000_000))
