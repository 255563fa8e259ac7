"""The algorithms: which destination of a set is the first choice, and which ones come after it.

All run with the lock of the sets held. What they hash is Kamailio's, so that calls go where its proxies send them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.log import get_logger
from kamailio_py.modules.dispatcher.sets import DestinationState, SetState
from kamailio_py.sip.digest import credentials_of, username_parts
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.hash import core_hash
from kamailio_py.sip.uri import BadUri, Uri

if TYPE_CHECKING:
    from kamailio_py.modules.dispatcher import Dispatcher
    from kamailio_py.modules.dispatcher.sets import Destination, DestinationSet
    from kamailio_py.script.context import Context

log = get_logger("dispatcher")

(
    CALL_ID, FROM, TO, REQUEST_URI, ROUND_ROBIN, AUTH, RANDOM, VARIABLE, SERIAL, WEIGHT, LOAD, RELATIVE,
    PARALLEL, LATENCY,
) = range(14)  # fmt: skip
USER_ONLY = 1
"""Bit of the parameter `flags`."""
STRIDE = 37
"""Spreads the slots of relative weights over the round: prime to a hundred."""


def string_hash(first: str, second: str = "") -> int:
    """The hash of one or two texts; never 0."""
    return core_hash(first, second) or 1


def uri_hash(text: str, flags: int) -> int:
    """The hash of a URI: user and host, and the port if it is not the usual one; BadUri."""
    uri = Uri.parse(text)
    host = ""
    if not flags & USER_ONLY:
        host = uri.host
        if uri.port and uri.port != (5061 if uri.scheme == "sips" else 5060):
            host += f":{uri.port}"
    return string_hash(uri.user, host)


class Selector:
    """See the head of the file."""

    def __init__(self, module: Dispatcher) -> None:
        self.module = module
        self.sets = module.sets

    def choose(self, ctx: Context, dests: DestinationSet, algorithm: int) -> list[Destination]:
        """The destinations to try, in order; [] if none can be used."""
        count = len(dests.destinations)
        start = self._start(ctx, dests, algorithm)
        if start is None:
            return []
        usable = self.sets.is_usable
        default = dests.destinations[-1] if self.module.use_default and count > 1 else None
        ring = count - 1 if default is not None else count
        start %= ring
        order = [dests.destinations[(start + i) % ring] for i in range(ring)]
        if algorithm == LOAD:
            order = [one for one in order if one.duid and self._has_room(one)]
        order = [one for one in order if usable(one)]
        if algorithm == ROUND_ROBIN and order:
            at = dests.destinations.index(order[0])
            self.sets.u32[(dests.offset + SetState.last) >> 2] = (at + 1) % ring
        if default is not None and usable(default):
            order.append(default)
        return order

    def _start(self, ctx: Context, dests: DestinationSet, algorithm: int) -> int | None:
        """Place of the first choice; None if the message has not what is to be hashed."""
        msg, flags = ctx.msg, self.module.flags
        try:
            if algorithm == CALL_ID:
                return string_hash(msg.call_id)
            if algorithm == FROM:
                return uri_hash(msg.from_.uri, flags)
            if algorithm == TO:
                return uri_hash(msg.to.uri, flags)
            if algorithm == REQUEST_URI:
                return uri_hash(msg.uri, flags)
        except (BadMessage, BadUri) as error:
            log.err(f"can't get the hash: {error.reason}")
            return None
        if algorithm == AUTH:
            user = _username(ctx)
            return string_hash(user) if user else self._turn(dests, SetState.last, len(dests.destinations))
        if algorithm == ROUND_ROBIN:
            return self.sets.u32[(dests.offset + SetState.last) >> 2]
        if algorithm == RANDOM:
            return self.module.core.random.randrange(len(dests.destinations))
        if algorithm == VARIABLE:
            text = self.module.hash_text(ctx)
            if not text:
                log.err("can't get PV hash")
                return None
            return string_hash(text)
        if algorithm == WEIGHT:
            if not dests.weights:
                return 0
            return dests.weights[self._turn(dests, SetState.weight, len(dests.weights))]
        if algorithm == RELATIVE:
            return self._relative(dests)
        if algorithm == LOAD:
            return self._least_loaded(ctx, dests)
        if algorithm == LATENCY:
            return self._fastest(dests)
        if algorithm != SERIAL:
            log.warn(f"algo {algorithm} not implemented - using first entry...")
        return 0

    def _turn(self, dests: DestinationSet, field: int, count: int) -> int:
        """Whose turn it is; the next one's turn is next."""
        word = (dests.offset + field) >> 2
        now = self.sets.u32[word] % count
        self.sets.u32[word] = (now + 1) % count
        return now

    def _relative(self, dests: DestinationSet) -> int:
        """By shares of the sum of the weights of those that can be used."""
        shares = [one.rweight if self.sets.is_usable(one) else 0 for one in dests.destinations]
        total = sum(shares)
        if not total:
            return 0
        slots = [i for i, share in enumerate(shares) for _ in range(share * 100 // total)]
        last = max(i for i, share in enumerate(shares) if share)
        slots += [last] * (100 - len(slots))
        return slots[self._turn(dests, SetState.relative, 100) * STRIDE % 100]

    def _fastest(self, dests: DestinationSet) -> int:
        """In turn among those of the highest priority, which a long latency lowers."""
        best = 0
        candidates: list[int] = []
        for i, one in enumerate(dests.destinations):
            if not self.sets.is_usable(one):
                continue
            latency = self.sets.u64[(one.offset + DestinationState.estimate) >> 3] // 1000
            if one.named.get("cc") == "1":
                average = self.sets.u64[(one.offset + DestinationState.average) >> 3] // 1000
                latency = max(latency - average, 0)
            priority = one.priority - latency // one.priority if one.priority > 0 else one.priority
            if not candidates or priority > best:
                best, candidates = priority, [i]
            elif priority == best:
                candidates.append(i)
        return candidates[self._turn(dests, SetState.last, len(candidates))] if candidates else 0

    # call load

    def _has_room(self, one: Destination) -> bool:
        return not one.maxload or self.sets.get(one, DestinationState.load) < one.maxload

    def _least_loaded(self, ctx: Context, dests: DestinationSet) -> int | None:
        """The one with the fewest calls."""
        if ctx.msg.method != "INVITE":
            log.err("wrong SIP method for call load dispatching")
            return None
        loads = [
            (self.sets.get(one, DestinationState.load), i)
            for i, one in enumerate(dests.destinations)
            if self.sets.is_usable(one) and one.duid and self._has_room(one)
        ]
        return min(loads)[1] if loads else None


def _username(ctx: Context) -> str:
    """The user name of the request's credentials, "" without any."""
    found = credentials_of(ctx.msg)
    return username_parts(found)[0] if found is not None else ""
