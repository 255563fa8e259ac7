"""The stock config as a presence server."""

from __future__ import annotations

from kit.scene import Scene
from kit.stock import DOMAIN, Stock, phone, phones

room = Stock("stock-presence", "PRESENCE", database=True)

PIDF = (
    '<?xml version="1.0"?><presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:{0}@example.test">'
    '<tuple id="t1"><status><basic>{1}</basic></status></tuple></presence>'
)
PUBLISHED = "Event: presence\nExpires: 60\nContent-Type: application/pidf+xml"


@room.one
def test_publish(s: Scene) -> None:
    """A state is published, for the first time."""
    s.mask(r"SIP-ETag: \S+")
    alice = phone(s, "alice")
    alice.request(
        "PUBLISH", uri=f"sip:{alice.name}@{DOMAIN}", user=alice.name,
        headers=PUBLISHED, body=PIDF.format(alice.name, "open"),
    )  # fmt: skip
    alice.expect(200)


@room.each(unknown=("nonsense", 489), none=("", 489))
def test_publish_of_an_unknown_event(s: Scene, row: tuple[str, int]) -> None:
    event, status = row
    alice = phone(s, "alice")
    alice.request("PUBLISH", uri=f"sip:{alice.name}@{DOMAIN}", headers=f"Event: {event}\nExpires: 60" if event else "")
    alice.expect(status)


@room.one
def test_subscribe(s: Scene) -> None:
    """Who watches gets a NOTIFY at once, and one for each state that is published."""
    s.mask(r"SIP-ETag: \S+")
    s.mask(r"tag=[0-9a-f.-]{10,}")
    s.mask(r"expires=\d+")
    alice, bob = phones(s, "alice", "bob")
    bob.request(
        "SUBSCRIBE", uri=f"sip:{alice.name}@{DOMAIN}", user=alice.name, headers="Event: presence\nExpires: 60\n"
        "Accept: application/pidf+xml",
    )  # fmt: skip
    bob.expect(200)
    bob.reply(bob.expect("NOTIFY"), 200)
    for state in ("open",):
        alice.request(
            "PUBLISH", uri=f"sip:{alice.name}@{DOMAIN}", user=alice.name,
            headers=PUBLISHED, body=PIDF.format(alice.name, state),
        )  # fmt: skip
        alice.expect(200)
        bob.reply(bob.expect("NOTIFY"), 200)


@room.one
def test_subscribe_to_an_unknown_event(s: Scene) -> None:
    bob = phone(s, "bob")
    bob.request("SUBSCRIBE", uri=f"sip:x@{DOMAIN}", headers="Event: nonsense\nExpires: 60")
    bob.expect(489)
