"""The stock config as a presence server: states published, refreshed, gone; who watches, over UDP and TCP."""

from __future__ import annotations

import re
import time

from kit.agent import Agent
from kit.scene import Scene
from kit.sip import Sip
from kit.stock import DOMAIN, Stock, phone, phones

room = Stock("stock-presence", "PRESENCE", database=True, listen=("tcp:127.0.0.1",))

PIDF = (
    '<?xml version="1.0"?>\n<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="sip:{user}@example.test">'
    '<tuple id="{id}"><status><basic>{state}</basic></status>{more}</tuple></presence>\n'
)


def begin(s: Scene, *names: str, over: str = "udp") -> list[Agent]:
    s.number("entity tag", r"\ba\.\d+\.\d+\.\d+\.\d+")
    s.mask(r"(?<=;expires=)\d+")
    s.mask(r"(?<=tag=)[0-9a-f.-]{10,}")
    return phones(s, *names, over=over)


def publish(
    who: Agent, state: str = "", *, id: str = "t1", expires: int = 60, etag: str = "", status: int = 200,
    more: str = "", body: str = "", kind: str = "application/pidf+xml", event: str = "presence",
) -> str:  # fmt: skip
    """Publish a state of the agent's user (none to keep the one there is); the entity tag of the answer."""
    body = body or (PIDF.format(user=who.name, id=id, state=state, more=more) if state else "")
    lines = [f"Event: {event}"] if event else []
    lines += [f"Expires: {expires}"]
    lines += [f"SIP-If-Match: {etag}"] if etag else []
    lines += [f"Content-Type: {kind}"] if body and kind else []
    who.request("PUBLISH", uri=f"sip:{who.name}@{DOMAIN}", user=who.name, headers="\n".join(lines), body=body)
    return who.expect(status).first("SIP-ETag")


def subscribe(
    who: Agent, user: str, *, expires: int | None = 60, event: str = "presence", status: int = 200, within: str = "",
    cseq: int = 1,
) -> str:  # fmt: skip
    """Subscribe to a user; the To-tag of the answer, which makes the next one (`within`) one of the same dialog."""
    lines = [f"Event: {event}"] if event else []
    lines += [f"Expires: {expires}"] if expires is not None else []
    where = f"sip:127.0.0.1:{who.server[1]}{who.uri_params}" if within else f"sip:{user}@{DOMAIN}"
    who.request(
        "SUBSCRIBE", uri=where, user=user, headers="\n".join(lines), call_id=f"{who.name}-{event}", to_tag=within,
        cseq=cseq,
    )  # fmt: skip
    return who.expect(status, "SUBSCRIBE").to_tag


def told(who: Agent, status: int = 200) -> Sip:
    notify = who.expect("NOTIFY")
    who.reply(notify, status)
    return notify


@room.each("udp", "tcp")
def test_watching(s: Scene, over: str) -> None:
    """Who watches gets a NOTIFY at once, and one for each state that is published."""
    alice, bob = begin(s, "alice", "bob", over=over)
    subscribe(bob, alice.name)
    told(bob)
    etag = publish(alice, "open")
    told(bob)
    etag = publish(alice, "closed", etag=etag)
    told(bob)
    etag = publish(alice, etag=etag)  # refreshed: nothing new to tell
    s.fence()
    publish(alice, etag=etag, expires=0)
    told(bob)


@room.each(open="open", note="closed")
def test_published_before(s: Scene, state: str) -> None:
    """The first NOTIFY has what is known."""
    alice, bob = begin(s, "alice", "bob")
    publish(alice, state, more="<note>away &amp; busy</note>" if state == "closed" else "")
    subscribe(bob, alice.name)
    told(bob)


@room.each(refreshed=60, removed=0)
def test_publication_within(s: Scene, expires: int) -> None:
    """By its entity tag, once; the tag of before is known no more."""
    (alice,) = begin(s, "alice")
    first = publish(alice, "open")
    second = publish(alice, etag=first, expires=expires)
    s.fence()
    s.server.settle()  # Kamailio removes it after it has answered
    publish(alice, etag=first, status=412)
    if expires:
        publish(alice, "closed", etag=second)


@room.each(
    unknown_event={"event": "nonsense", "status": 489}, no_event={"event": "", "status": 489},
    unknown_tag={"etag": "a.1.2.3.4", "status": 412}, no_body={"state": "", "status": 400},
    no_xml={"body": "this is no XML", "status": 415}, unclosed={"body": "<presence><tuple>", "status": 415},
    no_type={"kind": "", "status": 200},
)  # fmt: skip
def test_odd_publication(s: Scene, row: dict[str, str | int]) -> None:
    (alice,) = begin(s, "alice")
    publish(alice, **({"state": "open"} | row))  # type: ignore[arg-type]


@room.one
def test_publication_that_is_over(s: Scene) -> None:
    """After its time nobody is told of it."""
    alice, bob = begin(s, "alice", "bob")
    publish(alice, "open", expires=1)
    time.sleep(2.1)
    subscribe(bob, alice.name)
    told(bob)


@room.each(
    unknown={"event": "nonsense"}, none={"event": ""}, dialog={"event": "dialog"},
    mail={"event": "message-summary", "status": 404},
)  # fmt: skip
def test_refused_subscription(s: Scene, row: dict[str, str | int]) -> None:
    (bob,) = begin(s, "bob")
    subscribe(bob, f"x.{s.name}", **({"status": 489} | row))  # type: ignore[arg-type]


@room.each(refreshed=30, ended=0, default=None)
def test_subscription_within(s: Scene, expires: int | None) -> None:
    """Refreshed or ended within its dialog, with a NOTIFY each time."""
    alice, bob = begin(s, "alice", "bob")
    publish(alice, "open")
    tag = subscribe(bob, alice.name)
    told(bob)
    subscribe(bob, alice.name, expires=expires, within=tag, cseq=2)
    state = told(bob).first("Subscription-State")
    s.note(re.sub(r"expires=\d+", "expires", state))
    publish(alice, "closed")
    if expires != 0:
        told(bob)
    s.fence()


@room.one
def test_fetching(s: Scene) -> None:
    """A subscription for no time: one NOTIFY, which ends it."""
    alice, bob = begin(s, "alice", "bob")
    publish(alice, "open")
    subscribe(bob, alice.name, expires=0)
    told(bob)
    publish(alice, "closed")
    s.fence()


@room.one
def test_unknown_dialog(s: Scene) -> None:
    """A subscription that nobody knows is not refreshed."""
    (bob,) = begin(s, "bob")
    subscribe(bob, f"x.{s.name}", within="nosuch", cseq=2, status=481)


@room.one
def test_two_watchers(s: Scene) -> None:
    """Each is told; one who ends his subscription is not."""
    alice, bob, carol = begin(s, "alice", "bob", "carol")
    tag = subscribe(bob, alice.name)
    told(bob)
    subscribe(carol, alice.name)
    told(carol)
    publish(alice, "open")
    told(bob)
    told(carol)
    subscribe(bob, alice.name, expires=0, within=tag, cseq=2)
    told(bob)
    publish(alice, "closed", id="t2")
    told(carol)
    s.fence()


@room.one
def test_two_phones_of_one_user(s: Scene) -> None:
    """What two phones publish is told together, and what one of them takes back is gone."""
    alice, bob = begin(s, "alice", "bob")
    subscribe(bob, alice.name)
    told(bob)
    desk = publish(alice, "open", id="desk", more="<note>at the desk</note>")
    told(bob)
    publish(alice, "closed", id="mobile", more="<contact>sip:mobile@example.test</contact>")
    told(bob)
    publish(alice, etag=desk, expires=0)
    told(bob)


@room.one
def test_watcher_who_is_gone(s: Scene) -> None:
    """A 481 to a NOTIFY ends the subscription."""
    alice, bob = begin(s, "alice", "bob")
    subscribe(bob, alice.name)
    told(bob, 481)
    s.fence()
    s.server.settle()
    publish(alice, "open")
    s.fence()
    s.server.settle()


@room.one
def test_who_watches(s: Scene) -> None:
    """presence.winfo: alice learns who watches her."""
    s.mask(r'(?<= id=")[^"]*')
    alice, bob = begin(s, "alice", "bob")
    subscribe(alice, alice.name, event="presence.winfo")
    told(alice)
    tag = subscribe(bob, alice.name)
    told(bob)
    told(alice)
    subscribe(bob, alice.name, expires=0, within=tag, cseq=2)
    told(bob)
    told(alice)


@room.one
def test_beside_calls(s: Scene) -> None:
    """Other requests for the same user are as before."""
    alice = phone(s, "alice")
    alice.request("MESSAGE", uri=f"sip:{alice.name}@{DOMAIN}")
    alice.expect(404)
