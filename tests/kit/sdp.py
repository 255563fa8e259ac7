"""SDP bodies, and what the cases of media relays share: a route that shows the body, a call with offer and answer."""

from __future__ import annotations

from collections.abc import Callable

from .scene import Scene

SDP = "Content-Type: application/sdp"
SHOW = """
    xlog("L_NOTICE", "$rm $hdr(X-Flags): $rc\\n");
    msg_apply_changes();
    xlog("L_NOTICE", "[$rb]\\n");
"""
"""For a script, after a function of a relay: what it returned, and what became of the body."""


def sdp(host: str = "10.1.1.1", port: int = 4000, *, formats: str = "0", version: int = 1, more: str = "") -> str:
    """One stream of audio; `more` are further lines."""
    return (
        f"v=0\r\no=- 1 {version} IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP {formats}\r\n{more}"
    )


def offer_and_answer(s: Scene, body: str, note: Callable[[Scene], None]) -> None:
    """A call with SDP in the INVITE, one without, and one that is refused; `note` follows each."""
    alice, bob = s.agents("alice", "bob")
    for offer in (body, ""):
        invite = alice.request("INVITE", bob, headers=SDP if offer else "", body=offer, call_id=f"call-{bool(offer)}")
        bob.reply(bob.expect("INVITE"), 200, headers=SDP, body=body)
        alice.ack(invite, alice.expect(200))
        note(s)
    alice.request("INVITE", bob, headers=SDP, body=body, call_id="call-busy")
    bob.reply(bob.expect("INVITE"), 486)
    alice.expect(486)
    note(s)
