"""ds_is_from_list(): whether a request comes from a destination. Takes the lock of the sets, not while it looks up."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from kamailio_py.config.arguments import INT, STR
from kamailio_py.dns.places import Place
from kamailio_py.module import Module, function

if TYPE_CHECKING:
    from kamailio_py.modules.dispatcher.resolving import Resolving
    from kamailio_py.modules.dispatcher.sets import Destination, Sets
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import PVar

NO_PORT, NO_PROTO, ACTIVE_ONLY = 1, 2, 4
"""Modes of ds_is_from_list()."""


def is_same(place: Place, source: Place, mode: int) -> bool:
    """Whether a destination is where a request comes from; without a port it is on all of them."""
    return (
        place.host == source.host
        and (mode & NO_PORT != 0 or place.port in (0, source.port))
        and (mode & NO_PROTO != 0 or place.proto == source.proto)
    )


class Sources(Module):
    """What Dispatcher knows of where requests come from."""

    sets: Sets
    resolving: Resolving
    _setid: PVar | None
    _attrs: PVar | None

    @function("ds_is_from_list")
    @function("ds_is_from_list", INT)
    @function("ds_is_from_list", INT, INT)
    @function("ds_is_from_list", INT, INT, STR)
    def ds_is_from_list(self, ctx: Context, number: int = -1, mode: int = NO_PROTO, text: str = "") -> int:
        """Did the request come from a destination, of this set or any, or is this URI one?"""
        source: Place | None = Place(ctx.msg.src_ip, ctx.msg.src_port, ctx.msg.proto)
        if text:
            source = self.resolving.find_uri(text)
        if source is None:
            return -1
        always = self.resolving.always
        with self.sets as sets:
            known = (
                (dests.id, one)
                for dests in sets.values()
                if number in (-1, dests.id)
                for one in dests.destinations
                if always or is_same(one.place, source, mode)
                if not mode & ACTIVE_ONLY or self.sets.is_usable(one)
            )
            likely = list(known) if always else list(islice(known, 1))
        for id, one in likely:
            place = self.resolving.now(self.sets, one) if always else one.place
            if place is not None and is_same(place, source, mode):
                self._matched(ctx, id, one)
                return 1
        return -1

    def _matched(self, ctx: Context, number: int, one: Destination) -> None:
        if self._setid is not None:
            self._setid.set(ctx, number)
        if self._attrs is not None and one.attrs:
            self._attrs.set(ctx, one.attrs)
