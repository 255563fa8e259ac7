"""The stock config with NAT traversal: private contacts, aliases, requests that go back where phones came from."""

from __future__ import annotations

from kit.calls import answer, exchange, hang_up
from kit.scene import Scene
from kit.stock import DOMAIN, Stock, phone, phones, register

room = Stock("stock-nat", "NAT", listen=("tcp:127.0.0.1",))


@room.each("udp", "tcp")
def test_private_contact(s: Scene, over: str) -> None:
    """A phone that registers its private address is reached where it sent from."""
    alice, bob = phones(s, "alice", "bob", over=over)
    register(alice, f"<sip:{alice.name}@10.0.0.7:5060{alice.uri_params}>")
    exchange(bob, alice, uri=f"sip:{alice.name}@{DOMAIN}")


@room.one
def test_public_contact(s: Scene) -> None:
    """No NAT: nothing is changed."""
    alice, bob = phones(s, "alice", "bob")
    register(alice)
    exchange(bob, alice, uri=f"sip:{alice.name}@{DOMAIN}")


@room.one
def test_call_without_media(s: Scene) -> None:
    """Contacts of both get an alias, and requests within the call find back by it."""
    alice, bob = phones(s, "alice", "bob")
    register(bob, f"<sip:{bob.name}@10.0.0.8:5060>")
    sent = alice.request("INVITE", uri=f"sip:{bob.name}@{DOMAIN}", user=bob.name, send=False)
    alice.send(sent.text.replace(alice.contact, f"Contact: <sip:{alice.name}@192.168.1.5:5060>"))
    _, final = answer(alice, bob, sent)
    hang_up(alice, bob, sent, final)


@room.one
def test_removed(s: Scene) -> None:
    alice = phone(s, "alice")
    register(alice, f"<sip:{alice.name}@10.0.0.7:5060>")
    register(alice, f"<sip:{alice.name}@10.0.0.7:5060>", cseq=2, headers="Expires: 0")
