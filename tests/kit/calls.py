"""Steps that cases share: one agent calls another, who answers; they hang up, or the caller gives up."""

from __future__ import annotations

from typing import Any

from .agent import Agent
from .sip import Sip

DID = r"did=[0-9a-f]+\.[0-9a-f]+"
"""What the dialog module puts into Record-Route: made of random numbers, so that scenes hide it."""


def ring(caller: Agent, called: Agent) -> Sip:
    """The one called rings; the INVITE as received there."""
    received = called.expect("INVITE")
    called.reply(received, 180)
    caller.expect(180)
    return received


def answer(
    caller: Agent, called: Agent, sent: Sip, status: int = 200, *, rings: bool = True, ack: str = "", **reply: str
) -> tuple[Sip, Sip]:
    """The one called answers the INVITE `sent`; it as received there, and the final reply as the caller got it.

    `rings` is whether a 180 comes before; `reply` are headers and body of the answer, `ack` headers of the ACK.
    """
    received = ring(caller, called) if rings else called.expect("INVITE")
    called.reply(received, status, **reply)
    final = caller.expect(status, "INVITE")
    caller.ack(sent, final, ack)
    called.expect("ACK")
    return received, final


def talk(caller: Agent, called: Agent, *, rings: bool = True, **invite: Any) -> tuple[Sip, Sip, Sip]:
    """A call that is set up: the INVITE as sent, as received, and the 200 as the caller got it."""
    sent = caller.request("INVITE", called, **invite)
    return sent, *answer(caller, called, sent, rings=rings)


def exchange(by: Agent, other: Agent, method: str = "MESSAGE", *, status: int = 200, **request: Any) -> None:
    """A request outside of calls, and its answer; it is for `other`, or for the `uri` in `request`."""
    by.request(method, other, **request)
    other.reply(other.expect(method), status)
    by.expect(status, method)


def within(
    by: Agent, other: Agent, method: str, begun: Sip, final: Sip, *, cseq: int = 2, status: int = 200, **more: str
) -> None:
    """A request within a call, and its answer; `begun` is the INVITE as `by` sent or received it."""
    by.within(method, begun, final, cseq=cseq, callee=begun.received, **more)
    other.reply(other.expect(method), status)
    by.expect(status, method)


def hang_up(by: Agent, other: Agent, begun: Sip, final: Sip, cseq: int = 2) -> None:
    """A BYE of either side; `begun` is the INVITE as `by` sent or received it."""
    within(by, other, "BYE", begun, final, cseq=cseq)


def give_up(caller: Agent, called: Agent, sent: Sip, headers: str = "") -> None:
    """The one called rings, until the caller gives up; `headers` are those of the CANCEL."""
    received = ring(caller, called)
    caller.cancel(sent, headers)
    caller.expect(200, "CANCEL")
    called.reply(called.expect("CANCEL"), 200)
    called.reply(received, 487)
    called.expect("ACK")
    caller.ack(sent, caller.expect(487))
