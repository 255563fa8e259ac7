"""The stock config as it is installed: calls between registered phones."""

from __future__ import annotations

from kit.calls import answer, give_up, hang_up, ring
from kit.scene import Scene
from kit.sdp import SDP, sdp
from kit.stock import (
    DOMAIN,
    Stock,
    answered,
    invite,
    note_accounting,
    phone,
    phones,
    register,
    rpc,
)

room = Stock("stock-calls", listen=("tcp:127.0.0.1",))


@room.each("udp", "tcp")
def test_caller_ends(s: Scene, over: str) -> None:
    """A call with provisional and final replies, ended by the caller."""
    alice, bob = phones(s, "alice", "bob", over=over)
    register(bob)
    sent, _, final = answered(alice, bob, headers="User-Agent: Phone 1.0")
    hang_up(alice, bob, sent, final)
    note_accounting(s)


@room.each("udp", "tcp")
def test_called_ends(s: Scene, over: str) -> None:
    """A call that the one called ends."""
    alice, bob = phones(s, "alice", "bob", over=over)
    register(bob)
    _, received, final = answered(alice, bob)
    hang_up(bob, alice, received, final, cseq=1)
    note_accounting(s)


@room.one
def test_from_udp_to_tcp(s: Scene) -> None:
    """Two Record-Routes where the transport changes."""
    alice, bob = phone(s, "alice"), phone(s, "bob", "tcp")
    register(bob)
    sent, _, final = answered(alice, bob)
    hang_up(alice, bob, sent, final)


@room.one
def test_from_tcp_to_udp(s: Scene) -> None:
    alice, bob = phone(s, "alice", "tcp"), phone(s, "bob")
    register(bob)
    _, received, final = answered(alice, bob)
    hang_up(bob, alice, received, final, cseq=1)


@room.each("udp", "tcp")
def test_invite_within_a_dialog(s: Scene, over: str) -> None:
    """Hold: a re-INVITE of either side."""
    alice, bob = phones(s, "alice", "bob", over=over)
    register(bob)
    sent, received, final = answered(alice, bob)
    hold = f"{SDP}\nContact: <sip:changed@127.0.0.1:9>"
    body = sdp("0.0.0.0")
    alice.within("INVITE", sent, final, cseq=2, headers=hold, body=body)
    bob.reply(bob.expect("INVITE"), 200, headers=SDP, body=body)
    alice.expect(200, "INVITE")
    alice.within("ACK", sent, final, cseq=2)
    bob.expect("ACK")
    again = bob.within("INVITE", received, final, cseq=1, callee=True, headers=hold, body=body)
    refused = alice.expect("INVITE")
    alice.reply(refused, 488)
    bob.ack(again, bob.expect(488, "INVITE"))
    alice.expect("ACK")


@room.each("INFO", "UPDATE", "MESSAGE", "REFER", "NOTIFY", "PRACK", "OPTIONS", "SUBSCRIBE")
def test_within_a_dialog(s: Scene, method: str) -> None:
    """Requests within a call, from both sides."""
    alice, bob = phones(s, "alice", "bob")
    register(bob)
    sent, received, final = answered(alice, bob)
    alice.within(method, sent, final, cseq=2, headers=f"{alice.contact}\nEvent: x")
    bob.reply(bob.expect(method), 202)
    alice.expect(202, method)
    bob.within(method, received, final, cseq=1, callee=True, headers=f"{bob.contact}\nEvent: x")
    alice.reply(alice.expect(method), 481, "Gone")
    bob.expect(481, method)


@room.one
def test_bye_that_fails(s: Scene) -> None:
    """A BYE is accounted even then."""
    alice, bob = phones(s, "alice", "bob")
    register(bob)
    sent, _, final = answered(alice, bob)
    alice.within("BYE", sent, final, cseq=2)
    bob.reply(bob.expect("BYE"), 481, "No such call")
    alice.expect(481, "BYE")
    note_accounting(s)


@room.each(
    "302", "401", "404", "407", "415", "420", "480", "484", "486", "487", "488", "500", "503", "600", "603", "606"
)
def test_refused(s: Scene, status: str) -> None:
    """Busy and whatever else a phone answers; a missed call is logged."""
    alice, bob = phones(s, "alice", "bob")
    register(bob)
    sent = invite(alice, bob.name)
    received = ring(alice, bob)
    bob.reply(received, int(status), "Refused", headers="Contact: <sip:other@127.0.0.1:9>\nRetry-After: 5")
    bob.expect("ACK")
    s.fence()
    s.server.settle()
    alice.drain()
    final = next(a.message for a in alice.arrivals if a.message.status >= 300)
    alice.ack(sent, final)
    note_accounting(s)


@room.each("udp", "tcp")
def test_busy(s: Scene, over: str) -> None:
    alice, bob = phones(s, "alice", "bob", over=over)
    register(bob)
    answer(alice, bob, invite(alice, bob.name), 486, rings=False)
    note_accounting(s)


@room.each("udp", "tcp")
def test_cancelled(s: Scene, over: str) -> None:
    """The caller gives up while it rings."""
    alice, bob = phones(s, "alice", "bob", over=over)
    register(bob)
    give_up(alice, bob, invite(alice, bob.name))
    note_accounting(s)


@room.one
def test_cancelled_before_it_rings(s: Scene) -> None:
    """A CANCEL goes out once there is a provisional reply."""
    alice, bob = phones(s, "alice", "bob")
    register(bob)
    sent = invite(alice, bob.name)
    alice.expect(100)
    received = bob.expect("INVITE")
    alice.cancel(sent)
    alice.expect(200, "CANCEL")
    bob.reply(received, 180)
    bob.reply(bob.expect("CANCEL"), 200)
    bob.reply(received, 487)
    bob.expect("ACK")
    alice.ack(sent, alice.expect(487))


@room.one
def test_cancelled_too_late(s: Scene) -> None:
    """The 200 of the INVITE and the CANCEL cross each other."""
    alice, bob = phones(s, "alice", "bob")
    register(bob)
    sent = invite(alice, bob.name)
    received = ring(alice, bob)
    bob.reply(received, 200)
    final = alice.expect(200, "INVITE")
    alice.cancel(sent)
    alice.expect(200, "CANCEL")
    alice.ack(sent, final)
    bob.expect("ACK")


@room.one
def test_early_media(s: Scene) -> None:
    """183 with a body, 180, 183 once more."""
    alice, bob = phones(s, "alice", "bob")
    register(bob)
    sent = invite(alice, bob.name)
    received = bob.expect("INVITE")
    for status, host in ((183, "127.0.0.1"), (180, "127.0.0.2"), (183, "127.0.0.3")):
        bob.reply(received, status, headers=SDP, body=sdp(host))
        alice.expect(status)
    bob.reply(received, 200)
    alice.ack(sent, alice.expect(200))
    bob.expect("ACK")


@room.one
def test_sent_twice(s: Scene) -> None:
    """Retransmissions of the caller are absorbed."""
    alice, bob = phones(s, "alice", "bob")
    register(bob)
    sent = invite(alice, bob.name)
    received = bob.expect("INVITE")
    alice.again(sent)
    s.fence()
    bob.reply(received, 486)
    alice.expect(486)
    alice.again(sent)
    s.fence()
    alice.ack(sent, next(a.message for a in alice.arrivals if a.message.status == 486))


@room.one
def test_two_phones(s: Scene) -> None:
    """Both ring, one answers, the other one is told."""
    alice, first, second = phones(s, "alice", "first", "second")
    user = f"both.{s.name}"
    s.mask("expires=(600|599)")
    register(first, user=user)
    register(second, user=user)
    sent = invite(alice, user)
    one, other = first.expect("INVITE"), second.expect("INVITE")
    first.reply(one, 180)
    alice.expect(180)
    second.reply(other, 183)
    alice.expect(183)
    second.reply(other, 200)
    alice.ack(sent, alice.expect(200))
    second.expect("ACK")
    first.reply(first.expect("CANCEL"), 200)
    first.reply(one, 487)
    first.expect("ACK")
    note_accounting(s)


@room.each(second=(486, 404), first=(404, 486), same=(486, 486), worst=(486, 603), unavailable=(503, 480))
def test_two_phones_that_refuse(s: Scene, statuses: tuple[int, int]) -> None:
    """The best of the answers."""
    alice, first, second = phones(s, "alice", "first", "second")
    user = f"both.{s.name}"
    s.mask("expires=(600|599)")
    register(first, user=user)
    register(second, user=user)
    sent = invite(alice, user)
    one, other = first.expect("INVITE"), second.expect("INVITE")
    first.reply(one, statuses[0])
    first.expect("ACK")
    second.reply(other, statuses[1])
    second.expect("ACK")
    s.fence()
    s.server.settle()
    alice.drain()
    alice.ack(sent, next(a.message for a in alice.arrivals if a.message.status >= 300))
    note_accounting(s)


@room.one
def test_all_cancelled(s: Scene) -> None:
    """The caller gives up while two phones ring."""
    alice, first, second = phones(s, "alice", "first", "second")
    user = f"both.{s.name}"
    s.mask("expires=(600|599)")
    register(first, user=user)
    register(second, user=user)
    sent = invite(alice, user)
    rings = [(agent, agent.expect("INVITE")) for agent in (first, second)]
    for agent, received in rings:
        agent.reply(received, 180)
        alice.expect(180)
    alice.cancel(sent)
    alice.expect(200, "CANCEL")
    for agent, received in rings:
        agent.reply(agent.expect("CANCEL"), 200)
        agent.reply(received, 487)
        agent.expect("ACK")
    alice.ack(sent, alice.expect(487))


@room.each("answers", "rings", "silent")
def test_nobody_answers(s: Scene, what: str) -> None:
    """The timers of tm, shortened by RPC as an administrator would: 408 to the caller."""
    alice, bob = phones(s, "alice", "bob")
    register(bob)
    for name in ("fr_timer", "fr_inv_timer"):
        s.note(rpc(s, "cfg.set_now_int", "tm", name, "1000"))
    try:
        sent = invite(alice, bob.name)
        received = bob.expect("INVITE")
        if what != "silent":
            bob.reply(received, 180)
            alice.expect(180)
        if what == "answers":
            bob.reply(received, 200)
            alice.ack(sent, alice.expect(200))
            return
        final = alice.expect(408)
        alice.ack(sent, final)
        if what == "rings":
            bob.reply(bob.expect("CANCEL"), 200)
            bob.reply(received, 487)
            bob.expect("ACK")
        note_accounting(s)
    finally:
        s.note(rpc(s, "cfg.set_now_int", "tm", "fr_timer", "30000"))
        s.note(rpc(s, "cfg.set_now_int", "tm", "fr_inv_timer", "120000"))


@room.one
def test_late_answers(s: Scene) -> None:
    """A second 200 goes on statelessly; a reply of a call that is over, too."""
    alice, bob = phones(s, "alice", "bob")
    register(bob)
    sent, received, final = answered(alice, bob)
    bob.reply(received, 200, tag="second")
    alice.expect(200)
    hang_up(alice, bob, sent, final)


@room.each(
    no_call_id="Call-ID", no_cseq="CSeq", no_from="From", no_to="To",
)  # fmt: skip
def test_malformed_reply(s: Scene, name: str) -> None:
    """A reply that fails the sanity checks is dropped."""
    alice, bob = phones(s, "alice", "bob")
    register(bob)
    sent = invite(alice, bob.name)
    received = bob.expect("INVITE")
    reply = bob.reply(received, 180)
    alice.expect(180)
    bad = reply.text.replace("180 Ringing", "183 Progress")
    lines = [line for line in bad.split("\r\n") if not line.startswith(f"{name}:")]
    bob.socket.sendto("\r\n".join(lines).encode(), received.source)
    s.fence()
    s.server.settle()
    bob.reply(received, 486)
    alice.ack(sent, alice.expect(486))


@room.one
def test_long_headers(s: Scene) -> None:
    """What nobody knows goes through as it is."""
    alice, bob = phones(s, "alice", "bob")
    register(bob)
    headers = "X-Long: " + "a b" * 300 + "\nX-Folded: one\n  two\nx-lower:value\nSubject: \xe4\xf6\xfc\nv2: z"
    sent = invite(alice, bob.name, headers=headers)
    received = bob.expect("INVITE")
    bob.reply(received, 486, headers="X-Reply: yes\nx-Other :1")
    alice.ack(sent, alice.expect(486))


@room.one
def test_call_to_oneself(s: Scene) -> None:
    alice = phone(s, "alice")
    register(alice)
    sent = invite(alice, alice.name)
    alice.reply(alice.expect("INVITE"), 482, "Loop")
    alice.ack(sent, alice.expect(482))


@room.one
def test_contact_that_is_the_server(s: Scene) -> None:
    """A registration that leads back here: a loop, ended by Max-Forwards."""
    alice, bob = phones(s, "alice", "bob")
    register(bob, f"<sip:{bob.name}@{s.host}>")
    sent = invite(alice, bob.name, max_forwards=3)
    alice.ack(sent, alice.expect(483))


@room.one
def test_refer_out_of_dialog(s: Scene) -> None:
    alice, bob = phones(s, "alice", "bob")
    register(bob)
    alice.request("REFER", uri=f"sip:{bob.name}@{DOMAIN}", headers=f"Refer-To: <sip:x@{DOMAIN}>")
    bob.reply(bob.expect("REFER"), 202)
    alice.expect(202)


@room.one
def test_subscription_between_phones(s: Scene) -> None:
    """SUBSCRIBE and NOTIFY go through where the server has no presence of its own."""
    alice, bob = phones(s, "alice", "bob")
    register(bob)
    alice.request("SUBSCRIBE", uri=f"sip:{bob.name}@{DOMAIN}", headers="Event: dialog\nExpires: 60")
    received = bob.expect("SUBSCRIBE")
    bob.reply(received, 200, headers=f"{bob.contact}\nExpires: 60")
    final = alice.expect(200)
    bob.within("NOTIFY", received, final, cseq=1, callee=True, headers="Event: dialog\nSubscription-State: active")
    alice.reply(alice.expect("NOTIFY"), 200)
    bob.expect(200, "NOTIFY")
