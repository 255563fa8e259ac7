"""The stock config with NAT traversal: private contacts, aliases, requests that go back where phones came from."""

from __future__ import annotations

from kit.scene import Scene
from kit.stock import DOMAIN, Stock, phone, phones, register

room = Stock("stock-nat", "NAT", listen=("tcp:127.0.0.1",))


@room.each("udp", "tcp")
def test_private_contact(s: Scene, over: str) -> None:
    """A phone that registers its private address is reached where it sent from."""
    alice, bob = phones(s, "alice", "bob", over=over)
    register(alice, f"<sip:{alice.name}@10.0.0.7:5060{alice.uri_params}>")
    bob.request("MESSAGE", uri=f"sip:{alice.name}@{DOMAIN}")
    alice.reply(alice.expect("MESSAGE"), 200)
    bob.expect(200)


@room.one
def test_public_contact(s: Scene) -> None:
    """No NAT: nothing is changed."""
    alice, bob = phones(s, "alice", "bob")
    register(alice)
    bob.request("MESSAGE", uri=f"sip:{alice.name}@{DOMAIN}")
    alice.reply(alice.expect("MESSAGE"), 200)
    bob.expect(200)


@room.one
def test_call_without_media(s: Scene) -> None:
    """Contacts of both get an alias, and requests within the call find back by it."""
    alice, bob = phones(s, "alice", "bob")
    register(bob, f"<sip:{bob.name}@10.0.0.8:5060>")
    text = alice.request("INVITE", uri=f"sip:{bob.name}@{DOMAIN}", user=bob.name, send=False)
    sent = text.text.replace(
        f"Contact: <sip:{alice.name}@{alice.host}>", f"Contact: <sip:{alice.name}@192.168.1.5:5060>"
    )
    alice.send(sent)
    received = bob.expect("INVITE")
    bob.reply(received, 180)
    alice.expect(180)
    bob.reply(received, 200)
    final = alice.expect(200)
    alice.ack(text, final)
    bob.expect("ACK")
    alice.within("BYE", text, final, cseq=2)
    bob.reply(bob.expect("BYE"), 200)
    alice.expect(200, "BYE")


@room.one
def test_removed(s: Scene) -> None:
    alice = phone(s, "alice")
    register(alice, f"<sip:{alice.name}@10.0.0.7:5060>")
    register(alice, f"<sip:{alice.name}@10.0.0.7:5060>", cseq=2, headers="Expires: 0")
