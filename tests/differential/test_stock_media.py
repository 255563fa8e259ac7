"""The stock config with NAT traversal and a relay of media: calls of phones behind NAT, whose SDP is rewritten.

rtpproxy and rtpengine are stand-ins that keep what they were asked; rtpengine is also Debian's daemon, one for each
server, whose ports are free and therefore numbered in the transcript.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kit.agent import Agent
from kit.calls import answer, give_up, hang_up
from kit.relays import Relays, RtpEngineDaemon
from kit.rtpengine import RtpEngine
from kit.rtpproxy import RtpProxy
from kit.scene import Scene
from kit.sdp import SDP, sdp
from kit.sip import Sip
from kit.stock import DOMAIN, Stock, in_each, phones, register

PRIVATE = {"alice": "10.1.1.1", "bob": "192.168.7.7"}
RELAYS: dict[str, Relays[Any]] = {
    "rtpproxy": Relays(RtpProxy),
    "rtpengine": Relays(RtpEngine),
    "daemon": Relays(RtpEngineDaemon),
}


def stock(name: str, defines: str, port: int) -> Stock:
    """`port` is where the stock config looks for the relay."""
    local = f'#!subst "!udp:127.0.0.1:{port}!udp:127.0.0.1:@RELAY@!"'
    return Stock(f"media-{name}", defines, local=local, listen=("tcp:127.0.0.1",), prepare=RELAYS[name].prepare)


ROOMS = {
    "rtpproxy": stock("rtpproxy", "NAT", 7722),
    "rtpengine": stock("rtpengine", "NAT RTPENGINE", 2223),
    "daemon": stock("daemon", "NAT RTPENGINE", 2223),
}


@pytest.fixture(scope="module", autouse=True)
def _no_relays_left() -> Iterator[None]:
    yield
    for relays in RELAYS.values():
        relays.close()


def each(**rows: Any) -> Callable[[Callable[[Scene, Any], None]], Callable[..., None]]:
    """Each row is a case in each of the rooms."""

    def wrap(steps: Callable[[Scene, Any], None]) -> Callable[..., None]:
        test = in_each(ROOMS, rows, lambda relay: noting(steps, RELAYS[relay]))
        test.__doc__, test.__module__ = steps.__doc__, steps.__module__
        return test

    return wrap


def noting(steps: Callable[[Scene, Any], None], relays: Relays[Any]) -> Callable[[Scene, Any], None]:
    """The steps, and a note of what a stand-in was asked meanwhile."""

    @functools.wraps(steps)
    def noted(s: Scene, value: Any) -> None:
        asked = getattr(relays[s.server.name], "asked", [])
        asked.clear()
        steps(s, value)
        s.fence()
        s.server.settle()
        for request in asked:
            s.note(request if isinstance(request, str) else json.dumps(request, sort_keys=True, indent=1))

    return noted


def sdp_of(user: Agent, version: int = 1, direction: str = "sendrecv") -> dict[str, str]:
    """Headers and body with the SDP of a phone: behind NAT it names its address there."""
    host = user.claims.partition(":")[0] or user.address
    more = f"a=rtpmap:0 PCMU/8000\r\na={direction}\r\n"
    return {"headers": SDP, "body": sdp(host, formats="0 101", version=version, more=more)}


def two(s: Scene, nated: str = "alice bob", over: str = "udp") -> list[Agent]:
    """Alice and bob, who registers; those in `nated` know themselves by a private address."""
    s.number("media port", r"(?<=m=audio )31\d\d\d")
    s.number("control port", r"(?<=a=rtcp:)31\d\d\d")
    agents = phones(s, "alice", "bob", over=over)
    for agent in agents:
        name = agent.name.partition(".")[0]
        if name in nated:
            agent.claims = f"{PRIVATE[name]}:5060"
    register(agents[1])
    return agents


def invite(alice: Agent, bob: Agent, **sdp: str) -> Sip:
    return alice.request("INVITE", uri=f"sip:{bob.name}@{DOMAIN}", user=bob.name, **sdp)


def call(alice: Agent, bob: Agent) -> tuple[Sip, Sip, Sip]:
    """A call that is set up: the INVITE as sent, as it came, and the 200 as the caller got it."""
    sent = invite(alice, bob, **sdp_of(alice))
    return sent, *answer(alice, bob, sent, rings=False, **sdp_of(bob))


@each(both="alice bob", caller="alice", called="bob", nobody="")
def test_call(s: Scene, nated: str) -> None:
    """Who is behind NAT decides whether media is relayed; requests within the call find back through aliases."""
    alice, bob = two(s, nated)
    sent, _, final = call(alice, bob)
    hang_up(alice, bob, sent, final)


@each(udp="udp", tcp="tcp")
def test_called_ends(s: Scene, over: str) -> None:
    alice, bob = two(s, over=over)
    _, received, final = call(alice, bob)
    hang_up(bob, alice, received, final, cseq=1)


@each(caller=False, called=True)
def test_hold(s: Scene, callee: bool) -> None:
    """An INVITE within the call, from either side: the same ports again."""
    alice, bob = two(s)
    sent, received, final = call(alice, bob)
    holder, held = (bob, alice) if callee else (alice, bob)
    begun = received if callee else sent
    holder.within("INVITE", begun, final, cseq=2, callee=callee, **sdp_of(holder, 2, "sendonly"))
    held.reply(held.expect("INVITE"), 200, **sdp_of(held, 2, "recvonly"))
    holder.expect(200)
    holder.within("ACK", begun, final, cseq=2, callee=callee)
    held.expect("ACK")
    hang_up(alice, bob, sent, final, cseq=3)


@each(ringing=180, progress=183)
def test_early_media(s: Scene, status: int) -> None:
    """SDP of a provisional reply is rewritten as well."""
    alice, bob = two(s)
    sent = invite(alice, bob, **sdp_of(alice))
    received = bob.expect("INVITE")
    bob.reply(received, status, **sdp_of(bob))
    alice.expect(status)
    bob.reply(received, 200, **sdp_of(bob))
    final = alice.expect(200)
    alice.ack(sent, final)
    bob.expect("ACK")
    hang_up(alice, bob, sent, final)


@each(udp="udp", tcp="tcp")
def test_late_offer(s: Scene, over: str) -> None:
    """The offer comes with the 200, the answer with the ACK."""
    alice, bob = two(s, over=over)
    sent = invite(alice, bob)
    received = bob.expect("INVITE")
    bob.reply(received, 200, **sdp_of(bob))
    final = alice.expect(200)
    alice.within("ACK", sent, final, cseq=1, **sdp_of(alice))
    bob.expect("ACK")
    hang_up(alice, bob, sent, final)


@each(busy=486, refused=603)
def test_refused(s: Scene, status: int) -> None:
    """What was set aside for a call that fails is given back."""
    alice, bob = two(s)
    answer(alice, bob, invite(alice, bob, **sdp_of(alice)), status, rings=False)


@each(udp="udp", tcp="tcp")
def test_cancelled(s: Scene, over: str) -> None:
    alice, bob = two(s, over=over)
    give_up(alice, bob, invite(alice, bob, **sdp_of(alice)))


@each(update="UPDATE", info="INFO")
def test_within(s: Scene, method: str) -> None:
    """Of what else is sent within a call, an UPDATE with SDP is rewritten."""
    alice, bob = two(s)
    sent, _, final = call(alice, bob)
    alice.within(method, sent, final, cseq=2, **sdp_of(alice, 2))
    bob.reply(bob.expect(method), 200, **sdp_of(bob, 2))
    alice.expect(200, method)
    hang_up(alice, bob, sent, final, cseq=3)
