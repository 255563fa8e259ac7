"""States of destinations: how marks and probes change them, and the event routes that tell of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.config.host import RouteType
from kamailio_py.modules.dispatcher.sets import (
    DISABLED,
    INACTIVE,
    PROBING,
    TRYING,
    UNUSABLE,
    DestinationState,
)  # fmt: skip
from kamailio_py.script.context import Context

if TYPE_CHECKING:
    from kamailio_py.modules.dispatcher import Dispatcher
    from kamailio_py.sip.message import Message

LOCAL_CODE = 820
"""$dsv(code) where the script or RPC changed the state."""
_LETTERS = {"a": 0, "i": INACTIVE, "t": TRYING, "d": DISABLED}


def parse_state(text: str) -> int:
    """Flags of a state such as "ip"; ValueError for others."""
    letter, probing = text[:1].lower(), text[1:].lower()
    if letter == "p" and not probing:
        return PROBING | INACTIVE
    if letter not in _LETTERS or probing not in ("", "p", "x"):
        raise ValueError(f"unknown state {text!r}")
    flags = _LETTERS[letter]
    return flags | PROBING if probing == "p" and not flags & DISABLED else flags


def state_letters(flags: int) -> str:
    """The two letters that show a state."""
    first = "D" if flags & DISABLED else "I" if flags & INACTIVE else "T" if flags & TRYING else "A"
    return first + ("P" if flags & PROBING else "X")


class States:
    """Changes states; the lock of the sets is taken for each change and given back before a route runs."""

    def __init__(self, module: Dispatcher) -> None:
        self.module = module
        self.sets = module.sets

    def change(
        self,
        number: int,
        uri: str,
        state: int,
        code: int = LOCAL_CODE,
        reason: str = "",
        *,
        probe: bool = False,
        msg: Message | None = None,
    ) -> bool:
        """Mark a destination: a failure counts until it is inactive, a success until it is active again.

        False if there is no such destination.
        """
        events = []
        found = False
        with self.sets as sets:
            dests = sets.get(number)
            for one in dests.destinations if dests is not None else ():
                if uri != one.uri:
                    continue
                found = True
                old = self.sets.flags(one)
                new = self._new_flags(old, state, probe, one.offset)
                self.sets.set(one, DestinationState.flags, new)
                if old & UNUSABLE and not new & UNUSABLE:
                    events.append(("dispatcher:dst-up", one.uri))
                elif new & UNUSABLE and not old & UNUSABLE:
                    events.append(("dispatcher:dst-down", one.uri))
        for name, address in events:
            self._run(name, address, code, reason, msg)
        return found

    def put(self, number: int, which: str, state: int, by: str) -> bool:
        """Set the state of destinations as it stands, as RPC does: no counts, no event routes.

        `which` is compared with their `by`, "uri" or "duid"; "all" is all of the set. False if there is none.
        """
        found = False
        with self.sets as sets:
            dests = sets.get(number)
            for one in dests.destinations if dests is not None else ():
                if which in ("all", getattr(one, by)):
                    self.sets.set(one, DestinationState.flags, state)
                    self.sets.set(one, DestinationState.failures, 0)
                    found = True
        return found

    def _new_flags(self, old: int, state: int, probe: bool, offset: int) -> int:
        """What a mark makes of the flags, with the counts of failures; the lock is held."""
        word = (offset + DestinationState.failures) >> 2
        u32 = self.sets.u32
        kept = old & PROBING if probe and state == 0 and self.module.ds_probing_mode != 0 else 0
        if state & TRYING:
            if old & INACTIVE:
                u32[word] = 0  # what counted towards being active again counts no more
                return old | (state & PROBING)
            u32[word] += 1
            if u32[word] >= self.module.ds_probing_threshold:
                u32[word] = 0
                return (old & ~TRYING) | INACTIVE | (state & PROBING)
            return old | TRYING | (state & PROBING)
        if not state & UNUSABLE:
            if old & INACTIVE and probe:
                u32[word] += 1
                if u32[word] < self.module.ds_inactive_threshold:
                    return old
            u32[word] = 0
            return state | kept
        u32[word] = 0
        return state

    def _run(self, name: str, uri: str, code: int, reason: str, msg: Message | None) -> None:
        """The event route: on the message that was marked, else on a faked one with the address as R-URI."""
        core = self.module.core
        entry = core.event_route(name)
        if entry is None:
            return
        message = msg if msg is not None else core.faked_message()
        if msg is None:
            message.new_uri = uri
        ctx = Context(core, message)
        ctx.note("dispatcher", {})["dsv"] = (code, reason)
        core.run(entry, ctx, RouteType.LOCAL)
