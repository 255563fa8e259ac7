"""The stock config with voicemail, PSTN gateway, blocked redirects and challenges, and protection from floods."""

from __future__ import annotations

import time

from kit.agent import Agent, Missing
from kit.calls import answer, hang_up, ring
from kit.scene import Scene
from kit.sip import Sip
from kit.stock import DOMAIN, Stock, answered, invite, note_accounting, phone, phones, register, rpc

DEFINES = "VOICEMAIL PSTN BLOCK3XX BLOCK401407 ANTIFLOOD"
room = Stock("stock-features", DEFINES)
recorded = Stock("stock-voicemail", DEFINES)
outside = Stock("stock-gateway", "PSTN")
"""In these two the cases set the address of the voicemail server, of the gateway, by RPC."""


def voicemail(s: Scene, server: Agent) -> None:
    s.note(rpc(s, "cfg.sets", "voicemail", "srv_ip", "127.0.0.1"))
    s.note(rpc(s, "cfg.sets", "voicemail", "srv_port", f"s:{server.port}"))


def gateway_of(s: Scene, gateway: Agent) -> None:
    s.note(rpc(s, "cfg.sets", "pstn", "gw_ip", "127.0.0.1"))
    s.note(rpc(s, "cfg.sets", "pstn", "gw_port", f"s:{gateway.port}"))


def leaves_a_message(s: Scene, alice: Agent, mail: Agent, sent: Sip) -> None:
    """The call goes on to the voicemail server."""
    _, final = answer(alice, mail, sent, rings=False)
    hang_up(alice, mail, sent, final)
    note_accounting(s)


@room.one
def test_no_voicemail_server(s: Scene) -> None:
    """Nobody has set its address: the log says so."""
    alice, bob = phones(s, "alice", "bob")
    register(bob)
    answer(alice, bob, invite(alice, bob.name), 486, rings=False)
    sent = invite(alice, f"offline.{s.name}", call_id=f"{s.name}-second")
    alice.ack(sent, alice.expect(404))


def blocked(s: Scene, status: int, reason: str, headers: str) -> None:
    """Bob says so, and the caller gets 404."""
    alice, bob = phones(s, "alice", "bob")
    register(bob)
    sent = invite(alice, bob.name)
    bob.reply(bob.expect("INVITE"), status, reason, headers=headers)
    bob.expect("ACK")
    alice.ack(sent, alice.expect(404))
    note_accounting(s)


@room.each("301", "302", "380", "300")
def test_redirect_is_blocked(s: Scene, status: str) -> None:
    blocked(s, int(status), "Moved", "Contact: <sip:other@127.0.0.1:9>")


@room.each("401", "407")
def test_challenge_is_blocked(s: Scene, status: str) -> None:
    blocked(s, int(status), "Who?", 'WWW-Authenticate: Digest realm="x", nonce="y"')


@room.one
def test_call_that_is_answered(s: Scene) -> None:
    """None of it is in the way of a call."""
    alice, bob = phones(s, "alice", "bob")
    register(bob)
    sent, _, final = answered(alice, bob)
    hang_up(alice, bob, sent, final)


@room.one
def test_pstn_without_a_gateway(s: Scene) -> None:
    s.note(rpc(s, "cfg.get", "pstn"))
    alice = phone(s, "alice")
    sent = invite(alice, "+4930123456")
    alice.ack(sent, alice.expect(404))


class Stranger(Agent):
    """Somebody at another address than the server's own."""

    address = "127.0.0.77"


def answered_options(agent: Agent) -> bool:
    agent.request("OPTIONS", uri=f"sip:{DOMAIN}")
    try:
        agent.expect(200, timeout=0.4)
    except Missing:
        return False
    return True


@room.one
def test_flood(s: Scene) -> None:
    """More than 16 requests in two seconds: the address is banned, is seen by RPC, and can be let in again."""
    stranger = Stranger("stranger", s.name, s.server.address)
    s.mask(rf"(?<=77:){stranger.port}")
    s.mask(r"(?<=flood-stranger-)\d+")  # by where the two seconds began
    other = Stranger("other", s.name, s.server.address)
    try:
        asked = 0
        while asked < 60 and answered_options(stranger):
            asked += 1
        s.note(f"banned after more than 16 requests: {16 <= asked < 60}")
        s.note(f"another one of the same address: {answered_options(other)}")
        s.note(f"of the server's own address: {answered_options(phone(s, 'alice'))}")
        s.wait_log("ALERT: pike blocking OPTIONS")
        s.note(str("127.0.0.77" in rpc(s, "htable.dump", "ipban")))
        s.note(rpc(s, "htable.delete", "ipban", "127.0.0.77"))
        s.note(rpc(s, "htable.dump", "ipban"))
        deadline = time.monotonic() + 20
        while "127.0.0.77" in rpc(s, "pike.top", "ALL") and time.monotonic() < deadline:
            time.sleep(0.1)
        s.note(f"let in again: {answered_options(stranger)}")
    finally:
        stranger.close()
        other.close()


@recorded.one
def test_voicemail_when_offline(s: Scene) -> None:
    """Who is not registered has his calls recorded."""
    alice, mail = phones(s, "alice", "mail")
    voicemail(s, mail)
    leaves_a_message(s, alice, mail, invite(alice, f"offline.{s.name}"))


@recorded.one
def test_voicemail_when_busy(s: Scene) -> None:
    alice, bob, mail = phones(s, "alice", "bob", "mail")
    register(bob)
    voicemail(s, mail)
    sent = invite(alice, bob.name)
    bob.reply(bob.expect("INVITE"), 486)
    bob.expect("ACK")
    leaves_a_message(s, alice, mail, sent)


@recorded.one
def test_voicemail_when_nobody_answers(s: Scene) -> None:
    alice, bob, mail = phones(s, "alice", "bob", "mail")
    register(bob)
    s.note(rpc(s, "cfg.set_now_int", "tm", "fr_inv_timer", "1000"))
    voicemail(s, mail)
    sent = invite(alice, bob.name)
    received = ring(alice, bob)
    bob.reply(bob.expect("CANCEL"), 200)
    bob.reply(received, 487)
    bob.expect("ACK")
    leaves_a_message(s, alice, mail, sent)
    s.note(rpc(s, "cfg.set_now_int", "tm", "fr_inv_timer", "120000"))


@recorded.one
def test_no_voicemail_for_who_refuses(s: Scene) -> None:
    alice, bob, mail = phones(s, "alice", "bob", "mail")
    register(bob)
    voicemail(s, mail)
    sent = invite(alice, bob.name)
    bob.reply(bob.expect("INVITE"), 603)
    alice.ack(sent, alice.expect(603))


@recorded.one
def test_messages_waiting(s: Scene) -> None:
    """SUBSCRIBE for message-summary is for the voicemail server."""
    alice, mail = phones(s, "alice", "mail")
    voicemail(s, mail)
    alice.request("SUBSCRIBE", uri=f"sip:{alice.name}@{DOMAIN}", headers="Event: message-summary")
    mail.reply(mail.expect("SUBSCRIBE"), 200)
    alice.expect(200)


@outside.each(
    plus="+4930123456", zeros="004930123456", short="+49", letters="+49abc", local="030123456", zero="+0491234567"
)
def test_pstn(s: Scene, number: str) -> None:
    """International numbers go to the gateway, others stay."""
    alice, gateway = phones(s, "alice", "gateway")
    gateway_of(s, gateway)
    sent = invite(alice, number)
    if number in ("+4930123456", "004930123456"):
        answer(alice, gateway, sent, 486, rings=False)
    else:
        alice.ack(sent, alice.expect(404))
    note_accounting(s)


@outside.one
def test_pstn_is_for_users(s: Scene) -> None:
    """Only local users may call the gateway."""
    alice, gateway = phones(s, "alice", "gateway")
    gateway_of(s, gateway)
    text = alice.request("INVITE", uri=f"sip:+4930123456@{DOMAIN}", send=False).text
    alice.send(text.replace("@example.test>;tag", "@foreign.test>;tag"))
    alice.expect(403)
