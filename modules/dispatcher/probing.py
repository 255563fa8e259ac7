"""Probing: requests to destinations from time to time, and what their answers make of the destinations' states.

Runs in a timer process; answers come to tm's callback in whichever process. States are changed by `states.change`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from kamailio_py.log import get_logger
from kamailio_py.modules.dispatcher.sets import DISABLED, INACTIVE, PROBING, TRYING, DestinationState, Head
from kamailio_py.sip.message import Message

if TYPE_CHECKING:
    from kamailio_py.modules.dispatcher import Dispatcher
    from kamailio_py.modules.dispatcher.sets import Destination
    from kamailio_py.modules.tm.transaction import Transaction

log = get_logger("dispatcher")

ONLY_PROBING, ALL, ONLY_INACTIVE, ALWAYS_PROBING = range(4)
"""ds_probing_mode."""


def parse_codes(text: str | None) -> list[tuple[int, int]]:
    """Ranges of codes that ds_ping_reply_codes accepts: `code=202;class=4`. ValueError if it cannot be read."""
    ranges = []
    for part in (text or "").replace(":", ";").split(";"):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if not name:
            continue
        number = int(value)
        if name == "code":
            ranges.append((number, number))
        elif name == "class":
            first = number * 100 if number < 10 else number
            ranges.append((first, first + 99))
        else:
            raise ValueError(f"unknown type {name!r} in ds_ping_reply_codes: code or class expected")
    return ranges


class Probing:
    """See the head of the file."""

    def __init__(self, module: Dispatcher) -> None:
        self.module = module
        self.core = module.core
        self.sets = module.sets
        self.codes = parse_codes(module.ds_ping_reply_codes)
        self.tm: Any = None
        tm = self.core.module("tm")
        if tm is not None:
            self.tm = tm.api
            self.tm.callback("dispatcher.ping", self._answered)

    def probe(self) -> None:
        """Send a request to every destination that is to be probed."""
        if self.tm is None:
            return
        with self.sets as sets:
            if not self.sets.head(Head.pinging):
                return
            wanted = [
                (number, one)
                for number, dests in sets.items()
                for one in dests.destinations
                if self._is_probed(self.sets.flags(one))
            ]
        for number, one in wanted:
            self._ping(number, one)

    def _is_probed(self, flags: int) -> bool:
        if flags & DISABLED:
            return False
        mode = self.module.ds_probing_mode
        if mode == ALL:
            return True
        if mode == ONLY_INACTIVE:
            return flags & INACTIVE != 0 and flags & PROBING != 0
        return flags & PROBING != 0

    def _ping(self, number: int, one: Destination) -> None:
        module = self.module
        from_ = one.named.get("ping_from") or module.ds_ping_from
        proxy = one.named.get("obproxy") or module.outbound_proxy or ""
        sent = self.tm.request(
            module.ds_ping_method,
            one.uri,
            f"<{from_}>" if from_[:1] != "<" else from_,
            f"<{one.uri}>",
            next_hop=proxy,
            socket=module.socket_of(one),
            callback="dispatcher.ping",
            data=(number, one.uri, self.core.clock.ms()),
        )
        if sent is None:
            log.err(f"unable to ping [{one.uri}]")

    def is_success(self, code: int) -> bool:
        return 200 <= code < 300 or any(first <= code <= last for first, last in self.codes)

    def _answered(self, t: Transaction, code: int, reply: Message | None, data: Any) -> None:
        """A probe was answered, or not: change the state that the destination has."""
        number, uri, sent = data
        module = self.module
        if module.ds_ping_latency_stats:
            self._measure(number, uri, code, self.core.clock.ms() - sent)
        keep = PROBING if module.ds_probing_mode in (ALL, ALWAYS_PROBING, ONLY_INACTIVE) else 0
        if self.is_success(code):
            state = 0
            if module.ds_probing_mode == ALWAYS_PROBING or (module.ds_probing_mode == ONLY_INACTIVE and keep):
                state |= PROBING
        else:
            state = TRYING
            if module.ds_probing_mode != ONLY_PROBING:
                state |= PROBING
        reason = reply.reason if reply is not None else ""
        if not module.states.change(number, uri, state, code, reason, probe=True):
            log.dbg(f"no destination {uri} in set {number} any more")

    def _measure(self, number: int, uri: str, code: int, ms: int) -> None:
        """Average, deviation, estimate and maximum of the latency."""
        with self.sets as sets:
            dests = sets.get(number)
            for one in dests.destinations if dests is not None else ():
                if one.uri != uri:
                    continue
                if code == 408:
                    count = self.sets.get(one, DestinationState.timeouts)
                    self.sets.set(one, DestinationState.timeouts, count + 1)
                    continue
                u64, at = self.sets.u64, one.offset
                fields = ("average", "deviation", "estimate", "longest", "probes")
                words = {name: (at + DestinationState.OFFSETS[name]) >> 3 for name in fields}
                average, deviation, estimate = (u64[words[name]] / 1000 for name in fields[:3])
                count = u64[words["probes"]]
                alpha = self.module.ds_latency_estimator_alpha / 1000
                if not count:
                    average = estimate = float(ms)
                else:
                    weight = max(1 / (count + 1), 0.01)
                    difference = ms - average
                    average += weight * difference
                    deviation = math.sqrt((1 - weight) * (deviation**2 + weight * difference**2))
                    estimate = estimate * alpha + ms * (1 - alpha)
                u64[words["average"]], u64[words["deviation"]] = int(average * 1000), int(deviation * 1000)
                u64[words["estimate"]] = int(estimate * 1000)
                u64[words["longest"]] = max(u64[words["longest"]], ms)
                u64[words["probes"]] = count + 1
