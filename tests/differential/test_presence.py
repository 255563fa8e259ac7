"""The presence server on both servers: PUBLISH, SUBSCRIBE, NOTIFY, who may see what, the tables.

A presentity is the case's name; each server has a sqlite database of its own.
"""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from kamailio_py.db.tables import create_sqlite
from tests.kit.agent import Agent
from tests.kit.jsonrpc import Datagrams
from tests.kit.room import Room
from tests.kit.scene import Scene
from tests.kit.sip import Sip

PIDF = "application/pidf+xml"
RULES = """<?xml version="1.0" encoding="UTF-8"?>
<ruleset xmlns="urn:ietf:params:xml:ns:common-policy" xmlns:pr="urn:ietf:params:xml:ns:pres-rules">
<rule id="r1"><conditions><identity><one id="sip:{who}@example.test"/></identity></conditions>
<actions><pr:sub-handling>{what}</pr:sub-handling></actions>
<transformations>{transformations}</transformations></rule></ruleset>"""
CFG = """
route[PRESENCE] {
    if (!t_newtran()) { sl_reply_error(); exit; }
    if (is_method("PUBLISH")) {
        $var(r) = handle_publish();
        xlog("L_NOTICE", "publish $var(r)\\n");
    } else {
        $var(r) = handle_subscribe();
        xlog("L_NOTICE", "subscribe $var(r) $subs(uri) $subs(event) $subs(expires) $subs(status) [$subs(reason)]\\n");
    }
    t_release();
    exit;
}
"""


def database(directory: Path) -> None:
    create_sqlite(str(directory / "presence.db"))


def made(name: str, params: str = "", cfg: str = "", prepare: Callable[[Path], None] = database) -> Room:
    return Room(
        name,
        modules="db_sqlite jsonrpcs presence presence_xml",
        params='modparam("presence|presence_xml", "db_url", "sqlite:///@DIR@/presence.db")\n' + params,
        cfg=CFG + cfg,
        prepare=prepare,
    )


room = made("presence", 'modparam("presence_xml", "force_active", 1)')
ruled = made("presence_ruled", 'modparam("presence_xml", "integrated_xcap_server", 1)')
kept = made(
    "presence_kept",
    """
modparam("presence_xml", "force_active", 1)
modparam("presence", "subs_db_mode", 1)
modparam("presence", "clean_period", 1)
modparam("presence", "db_update_period", 1)
modparam("presence", "min_expires", 2)
modparam("presence", "max_expires", 100)
modparam("presence", "server_address", "sip:presence@127.0.0.1:5060")
""",
    """
event_route[presence:notify-reply] {
    xlog("L_NOTICE", "reply $notify_reply($rs) $notify_reply($rr) $subs(uri) $subs(callid) $rm\\n");
}
""",
)
cached = made(
    "presence_cached",
    """
modparam("presence_xml", "force_active", 1)
modparam("presence", "publ_cache", 2)
modparam("presence", "subs_db_mode", 0)
modparam("presence", "min_expires", 5)
modparam("presence", "min_expires_action", 2)
""",
)

single = made(
    "presence_single",
    """
modparam("presence_xml", "force_active", 1)
modparam("presence_xml", "force_dummy_presence", 1)
modparam("presence_xml", "force_presence_single_body", 1)
modparam("presence", "local_log_level", 1)
modparam("presence", "local_log_facility", "LOG_LOCAL3")
modparam("presence", "pres_subs_mode", 0)
modparam("presence", "sip_uri_match", 1)
modparam("presence", "force_delete", 1)
modparam("presence", "clean_period", 1)
""",
)


def pidf(tuple_: str, basic: str = "open", note: str = "here") -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<presence xmlns="urn:ietf:params:xml:ns:pidf" '
        f'entity="sip:who@example.test">\n<tuple id="{tuple_}"><status><basic>{basic}</basic></status>'
        f"<note>{note}</note></tuple>\n</presence>\n"
    )


def begin(scene: Scene) -> None:
    scene.mask(r"\ba\.\d+\.\d+\.\d+(?=\.\d+)")
    scene.mask(r"(?<=;expires=)\d+")
    scene.sorted_log = True


def publish(
    bob: Agent, body: str = "", *, expires: int | None = 60, tag: str = "", status: int = 200, headers: str = ""
) -> str:
    """Send a PUBLISH; the entity tag of the answer."""
    lines = [headers or "Event: presence"]
    lines += [f"Expires: {expires}"] if expires is not None else []
    lines += [f"SIP-If-Match: {tag}"] if tag else []
    lines += [f"Content-Type: {PIDF}"] if body else []
    bob.request("PUBLISH", headers="\n".join(lines), body=body)
    return bob.expect(status).first("SIP-ETag")


def told(scene: Scene, alice: Agent, seconds: int = -1) -> Sip:
    """The NOTIFY that comes next, answered; `seconds` is how long the subscription is to last."""
    notify = alice.expect("NOTIFY")
    alice.reply(notify, 200)
    if seconds >= 0:
        left = int(re.findall(r"expires=(\d+)", notify.first("Subscription-State"))[0])
        scene.note(f"{seconds - 3 <= left <= seconds}")
    return notify


def subscribe(
    alice: Agent, call_id: str, *, event: str = "presence", expires: int | None = 60, tag: str = "", cseq: int = 1,
    status: int = 200,
) -> str:  # fmt: skip
    """Send a SUBSCRIBE; the To-tag of the answer."""
    lines = [f"Event: {event}"] if event else []
    lines += [f"Expires: {expires}"] if expires is not None else []
    alice.request("SUBSCRIBE", headers="\n".join(lines), call_id=call_id, to_tag=tag, cseq=cseq)
    return alice.expect(status).first("To").partition("tag=")[2]


def rows(scene: Scene, statement: str) -> None:
    """Note what the database says."""
    scene.fence()
    scene.server.settle()
    with contextlib.closing(sqlite3.connect(scene.server.directory / "presence.db", timeout=10)) as connection:
        for row in connection.execute(statement).fetchall():
            scene.note(str(row))


def asked(scene: Scene, *commands: str) -> None:
    ask = Datagrams(scene.server.directory / "run" / "kamailio_rpc.sock")
    for command in commands:
        method, *words = command.split()
        answer = ask(method, *[int(word) if word.isdigit() else word for word in words])
        scene.note(f"{command}: {json.dumps(answer)}")
    ask.close()


@room.case("route[publishing] { route(PRESENCE); }")
def test_publishing(s: Scene) -> None:
    """Initial, refresh, modify, remove."""
    begin(s)
    bob = s.agent("bob")
    tag = publish(bob, pidf("a"))
    tag = publish(bob, tag=tag, expires=100)
    tag = publish(bob, pidf("a", "closed"), tag=tag)
    rows(s, "select username, domain, event, body, sender, priority from presentity where username = 'publishing'")
    publish(bob, tag=tag, expires=0)
    rows(s, "select count(*) from presentity where username = 'publishing'")
    publish(bob, tag=tag, status=412)
    publish(bob, pidf("a"), expires=None)
    publish(bob, pidf("a"), expires=100000)
    publish(bob, pidf("a"), expires=0)


@room.case("route[bad_publishing] { route(PRESENCE); }")
def test_bad_publishing(s: Scene) -> None:
    begin(s)
    bob = s.agent("bob")
    publish(bob, pidf("a"), headers="Event: nope", status=489)
    publish(bob, pidf("a"), headers="X: y", status=489)
    publish(bob, pidf("a"), headers="Event: presence;id=7", status=489)
    publish(bob, status=400)
    publish(bob, pidf("a"), tag="a.1795632836.4517.99.0", status=412)
    publish(bob, tag="a.1795632836.4517.99.0", expires=0, status=412)
    publish(bob, pidf("a"), tag="nope", status=500)


@room.case("route[bad_body] { route(PRESENCE); }")
def test_bad_body(s: Scene) -> None:
    begin(s)
    bob = s.agent("bob")
    publish(bob, "garbage", status=415)


@room.case("route[subscribing] { route(PRESENCE); }")
def test_subscribing(s: Scene) -> None:
    """New, told of changes, refreshed, ended."""
    begin(s)
    alice, bob = s.agents("alice", "bob")
    tag = subscribe(alice, "s1")
    told(s, alice, 60)
    etag = publish(bob, pidf("a"))
    told(s, alice, 60)
    etag = publish(bob, tag=etag)
    told(s, alice, 60)
    subscribe(alice, "s1", tag=tag, cseq=2, expires=120)
    told(s, alice, 120)
    publish(bob, tag=etag, expires=0)
    told(s, alice, 120)
    subscribe(alice, "s1", tag=tag, cseq=3, expires=0)
    told(s, alice)
    subscribe(alice, "s1", tag=tag, cseq=4, status=481)
    publish(bob, pidf("a"))
    columns = "watcher_username, watcher_domain, event, status"
    rows(s, f"select {columns} from watchers where presentity_uri like '%subscribing%'")


@room.case("route[refused] { route(PRESENCE); }")
def test_refused(s: Scene) -> None:
    begin(s)
    alice = s.agent("alice")
    subscribe(alice, "r1", event="nope", status=489)
    subscribe(alice, "r2", event="", status=489)
    subscribe(alice, "r3", event="presence;id=7", status=489)
    subscribe(alice, "r4", tag="nope", status=481)
    tag = subscribe(alice, "r5", expires=None)
    told(s, alice, 3600)
    subscribe(alice, "r5", tag=tag, cseq=1, status=400)
    subscribe(alice, "r6", expires=100000, event="Presence")
    told(s, alice, 3600)


@room.case("route[fetching] { route(PRESENCE); }")
def test_fetching(s: Scene) -> None:
    """The state of the moment, once."""
    begin(s)
    alice, bob = s.agents("alice", "bob")
    subscribe(alice, "f1", expires=0)
    told(s, alice)
    publish(bob, pidf("a"))
    subscribe(alice, "f2", expires=0)
    told(s, alice)
    publish(bob, pidf("a", "closed"))


@room.case("route[together] { route(PRESENCE); }")
def test_together(s: Scene) -> None:
    """One document out of several: tuples, persons, namespaces, comments, what is written in other ways."""
    begin(s)
    alice, bob = s.agents("alice", "bob")
    subscribe(alice, "t1")
    told(s, alice)
    documents = (
        pidf("a"),
        '<?xml version="1.0"?><presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:dm="urn:dm" entity=\'sip:u@x\'>'
        '<tuple id="one"><status><basic>open</basic></status></tuple><dm:person id="p">'
        "<dm:note>a &amp; b &lt;</dm:note></dm:person><!-- c --></presence>",
        pidf("one", "closed", "g\xc3\xbcnther"),
        '<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:r="urn:r" entity="sip:u@x">\n  <tuple id="d">\n'
        "    <status><basic>open</basic></status>\n    <r:a r:b='\"'/>\n  </tuple>\n</presence>",
    )
    tags = []
    for document in documents:
        tags.append(publish(bob, document))
        told(s, alice)
        time.sleep(1.1)  # the order is that of whole seconds
    for tag in (tags[1], tags[2], tags[3], tags[0]):
        publish(bob, tag=tag, expires=0)
        told(s, alice)


@room.case("route[watching] { route(PRESENCE); }")
def test_watching(s: Scene) -> None:
    """Who watches the watchers."""
    begin(s)
    alice, bob, carol = s.agents("alice", "bob", "carol")
    subscribe(bob, "w1", event="presence.winfo")
    told(s, bob)
    tag = subscribe(alice, "w2")
    told(s, alice)
    told(s, bob)
    subscribe(carol, "w3")
    told(s, carol)
    told(s, bob)
    subscribe(alice, "w2", tag=tag, cseq=2)
    told(s, alice)
    told(s, bob)
    subscribe(alice, "w2", tag=tag, cseq=3, expires=0)
    told(s, alice)
    told(s, bob)


@room.case("route[many] { route(PRESENCE); }")
def test_many(s: Scene) -> None:
    """Several watchers are told of each change; RPC."""
    begin(s)
    bob = s.agent("bob")
    watchers = s.agents("alice", "carol", "dave")
    for watcher in watchers:
        subscribe(watcher, f"m-{watcher.name}")
        told(s, watcher)
    publish(bob, pidf("a"))
    for watcher in watchers:
        told(s, watcher)
    asked(s, "presence.refreshWatchers sip:many@127.0.0.1 presence 1")
    for watcher in watchers:
        told(s, watcher)
    asked(
        s, "presence.refreshWatchers sip:many@127.0.0.1 presence", "presence.updateWatchers",
        "presence.refreshWatchers sip:many@127.0.0.1 nope 0", "presence.updateWatchers sip:many@127.0.0.1 nope",
        "presence.refreshWatchers sip:many@127.0.0.1 presence 2", "presence.presentity_list", "presence.cleanup",
    )  # fmt: skip


@ruled.case("route[pending] { route(PRESENCE); }")
def test_pending(s: Scene) -> None:
    """Without rules nothing is to be seen."""
    begin(s)
    alice, bob = s.agents("alice", "bob")
    publish(bob, pidf("a"))
    tag = subscribe(alice, "p1")
    told(s, alice, 60)
    publish(bob, pidf("b"))
    subscribe(alice, "p1", tag=tag, cseq=2, expires=0)
    told(s, alice)
    rows(s, "select watcher_username, status, reason from watchers where presentity_uri like '%pending%'")


ALL = "<pr:provide-services><pr:all-services/></pr:provide-services>"


def rule(s: Scene, user: str, what: str, who: str = "alice", transformations: str = ALL) -> None:
    s.fence()  # the database is for one writer at a time
    with sqlite3.connect(s.server.directory / "presence.db", timeout=10) as connection:
        connection.execute("delete from xcap where username = ?", (user,))
        document = RULES.format(who=who, what=what, transformations=transformations).encode()
        values = (user, "127.0.0.1", document, 2, "e", 0, f"{user}{what}{who}", 0)
        connection.execute(
            "insert into xcap (username, domain, doc, doc_type, etag, source, doc_uri, port) values (?,?,?,?,?,?,?,?)",
            values,
        )


@ruled.case("route[allowed] { route(PRESENCE); }")
def test_allowed(s: Scene) -> None:
    """A watcher waits, and is let in; another one still waits."""
    begin(s)
    alice, bob, carol = s.agents("alice", "bob", "carol")
    publish(bob, pidf("a"))
    subscribe(alice, "a1")
    told(s, alice)
    rule(s, "allowed", "allow")
    asked(s, "presence.updateWatchers sip:allowed@127.0.0.1 presence")
    told(s, alice)
    subscribe(carol, "a2")
    told(s, carol)
    subscribe(alice, "a3")
    told(s, alice)
    rows(s, "select watcher_username, status, reason from watchers where presentity_uri like '%allowed%' order by id")


@ruled.case("route[blocked] { route(PRESENCE); }")
def test_blocked(s: Scene) -> None:
    begin(s)
    alice, bob = s.agents("alice", "bob")
    publish(bob, pidf("a"))
    rule(s, "blocked", "block")
    subscribe(alice, "b1")
    told(s, alice)
    subscribe(alice, "b2", expires=0)
    told(s, alice)
    rows(s, "select watcher_username, status, reason from watchers where presentity_uri like '%blocked%'")


@ruled.case("route[politely] { route(PRESENCE); }")
def test_politely(s: Scene) -> None:
    """Blocked without being told so."""
    begin(s)
    alice, bob = s.agents("alice", "bob")
    publish(bob, pidf("a"))
    rule(s, "politely", "polite-block")
    subscribe(alice, "b1")
    told(s, alice, 60)
    publish(bob, pidf("b"))
    rows(s, "select watcher_username, status, reason from watchers where presentity_uri like '%politely%'")


@ruled.case("route[forgotten] { route(PRESENCE); }")
def test_forgotten(s: Scene) -> None:
    """A watcher whom the rules named and do not name any more."""
    begin(s)
    alice, bob = s.agents("alice", "bob")
    publish(bob, pidf("a"))
    rule(s, "forgotten", "allow")
    subscribe(alice, "f1")
    told(s, alice)
    rule(s, "forgotten", "allow", who="carol")
    asked(s, "presence.updateWatchers sip:forgotten@127.0.0.1 presence")
    told(s, alice)
    rows(s, "select watcher_username, status, reason from watchers where presentity_uri like '%forgotten%'")


def unknown(s: Scene, user: str) -> None:
    """Forget who was let see a presentity."""
    s.fence()  # the database is for one writer at a time
    with sqlite3.connect(s.server.directory / "presence.db", timeout=10) as connection:
        connection.execute("delete from watchers where presentity_uri = ?", (f"sip:{user}@127.0.0.1",))


DOCUMENT = """<?xml version="1.0" encoding="UTF-8"?>
<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model"
 xmlns:r="urn:ietf:params:xml:ns:pidf:rpid" entity="sip:who@example.test">
<tuple id="t1"><status><basic>open</basic></status><r:class>Work</r:class><dm:deviceID>urn:1</dm:deviceID>
<contact>sip:a@example.test</contact></tuple>
<tuple id="t2"><status><basic>closed</basic></status><contact>mailto:a@example.test</contact></tuple>
<!-- between -->
<tuple id="t3"><status><basic>open</basic></status></tuple>
<note>here</note>
<dm:person id="p1"><r:class>home</r:class><r:activities><r:away/></r:activities></dm:person>
<dm:person id="p2"><r:mood><r:happy/></r:mood></dm:person>
<dm:device id="d1"><dm:deviceID>urn:1</dm:deviceID></dm:device>
</presence>
"""
TRANSFORMATIONS = (
    "",
    ALL,
    "<pr:provide-services/>",
    "<pr:provide-services><pr:class>work</pr:class></pr:provide-services>",
    "<pr:provide-services><pr:occurence-id>T2</pr:occurence-id></pr:provide-services>",
    "<pr:provide-services><pr:occurrence-id>t2</pr:occurrence-id></pr:provide-services>",
    "<pr:provide-services>\n<pr:service-uri>SIP:a@example.test</pr:service-uri>\n</pr:provide-services>",
    "<pr:provide-services><pr:service-uri-scheme>mailto</pr:service-uri-scheme></pr:provide-services>",
    "<pr:provide-services><pr:deviceID>urn:1</pr:deviceID></pr:provide-services><pr:provide-persons/>",
    "<pr:provide-persons><pr:all-persons/></pr:provide-persons>",
    "<pr:provide-persons><pr:class>home</pr:class><pr:class>x</pr:class></pr:provide-persons>",
    "<pr:provide-devices/>",
    "<pr:provide-device/>",
    "<pr:provide-note>false</pr:provide-note>",
    "<pr:provide-note>TRUE</pr:provide-note><pr:provide-tuple>false</pr:provide-tuple>",
    "<pr:provide-mood>false</pr:provide-mood><pr:provide-activities>true</pr:provide-activities>",
    "<pr:provide-class>false</pr:provide-class>",
    "<pr:provide-all-attributes/><pr:provide-x/><pr:provide-/><pr:short/>",
    "<pr:provide-unknown-attribute name='foo' ns='bar'>true</pr:provide-unknown-attribute>",
)


@ruled.case("route[shown] { route(PRESENCE); }")
def test_shown(s: Scene) -> None:
    """What the transformations of a rule leave of a document."""
    begin(s)
    alice, bob = s.agents("alice", "bob")
    publish(bob, DOCUMENT)
    for number, transformations in enumerate(TRANSFORMATIONS):
        rule(s, "shown", "allow", transformations=transformations)
        unknown(s, "shown")
        tag = subscribe(alice, f"s{number}")
        told(s, alice)
        subscribe(alice, f"s{number}", tag=tag, cseq=2, expires=0)
        told(s, alice)
    unknown(s, "shown")
    subscribe(alice, "fetched", expires=0)
    told(s, alice)


@ruled.case("route[shown_later] { route(PRESENCE); }")
def test_shown_later(s: Scene) -> None:
    """What a watcher sees who is let in later, and when something is published again."""
    begin(s)
    alice, bob = s.agents("alice", "bob")
    tag = publish(bob, DOCUMENT)
    subscribe(alice, "l1")
    told(s, alice)
    rule(s, "shown_later", "allow", transformations="<pr:provide-services/>")
    asked(s, "presence.updateWatchers sip:shown_later@127.0.0.1 presence")
    told(s, alice)
    publish(bob, DOCUMENT, tag=tag)
    told(s, alice)


@single.case("route[foremost] { route(PRESENCE); }")
def test_foremost(s: Scene) -> None:
    """One document of several, by what its note says; one for somebody of whom nothing is known."""
    begin(s)
    alice, bob = s.agents("alice", "bob")
    subscribe(alice, "m0", expires=0)
    told(s, alice)
    for number, note in enumerate(("Ringing", "Away", "ringing", "Available", "On the Phone", "Available")):
        publish(bob, pidf(f"t{number}", note=note))
        subscribe(alice, f"m{number + 1}", expires=0)
        told(s, alice)


@single.case("route[capitals] { route(PRESENCE); }")
def test_capitals(s: Scene) -> None:
    """With sip_uri_match capitals make no difference; $subs is not there; each NOTIFY is told."""
    begin(s)
    alice, bob = s.agents("alice", "bob")
    here = f"sip:capitals@localhost:{s.server.port}"
    alice.request("SUBSCRIBE", uri=here.replace("local", "LOCAL"), headers="Event: presence", call_id="c1")
    alice.expect(200)
    told(s, alice)
    bob.request("PUBLISH", uri=here, headers=f"Event: presence\nContent-Type: {PIDF}", body=pidf("a"))
    bob.expect(200)
    told(s, alice)
    for text in (
        "NOTICE: presence [", f"NOTIFY sip:alice@example.test via sip:alice@{alice.host} on behalf of sip:capitals@",
    ):  # fmt: skip
        s.note(f"{text.replace(alice.host, 'alice')} {s.server.log_contains(text, s._log_from)}")


@single.case("route[dropped] { route(PRESENCE); }")
def test_dropped(s: Scene) -> None:
    """With force_delete nobody is told of a publication that is over."""
    begin(s)
    alice, bob = s.agents("alice", "bob")
    subscribe(alice, "d1")
    told(s, alice)
    publish(bob, pidf("a"), expires=1)
    told(s, alice)
    alice.listen(4)
    rows(s, "select username from presentity where username = 'dropped'")


@kept.case("route[stored] { route(PRESENCE); }")
def test_stored(s: Scene) -> None:
    """What stands in the table of subscriptions, at once."""
    begin(s)
    alice = s.agent("alice")
    tag = subscribe(alice, "k1")
    told(s, alice)
    columns = (
        "presentity_uri, watcher_username, watcher_domain, to_user, to_domain, event, event_id, from_tag, callid, "
        "remote_cseq, contact, record_route, status, reason, socket_info, local_contact, from_user, "
        "from_domain, flags"
    )
    statement = f"select {columns} from active_watchers where presentity_uri like '%stored%'"
    rows(s, statement)
    subscribe(alice, "k1", tag=tag, cseq=2)
    told(s, alice)
    rows(s, statement)
    subscribe(alice, "k1", tag=tag, cseq=3, expires=0)
    told(s, alice)
    rows(s, statement)
    subscribe(alice, "k2", expires=1, status=423)
    subscribe(alice, "k3", expires=1000)
    told(s, alice, 100)


@kept.case("route[answered] { route(PRESENCE); }")
def test_answered(s: Scene) -> None:
    """Answers to NOTIFY that end a subscription, and one that does not."""
    begin(s)
    bob = s.agent("bob")
    for code in (481, 404, 500, 200):
        alice = s.agent(f"alice{code}")
        subscribe(alice, f"a{code}")
        alice.reply(alice.expect("NOTIFY"), code)
        s.wait_log(f"reply {code}")
    publish(bob, pidf("a"))
    for agent in s._agents:
        if agent.name in ("alice500", "alice200"):
            told(s, agent)


@kept.case("route[expiring] { route(PRESENCE); }")
def test_expiring(s: Scene) -> None:
    """A publication that is over, then a subscription."""
    begin(s)
    alice, bob = s.agents("alice", "bob")
    subscribe(alice, "e1", expires=8)
    told(s, alice)
    publish(bob, pidf("a"), expires=2)
    told(s, alice)
    told(s, alice)  # it is over
    alice.expect("NOTIFY", timeout=15)
    rows(s, "select count(*) from presentity where username = 'expiring'")


@cached.case("route[in_memory] { route(PRESENCE); }")
def test_in_memory(s: Scene) -> None:
    """Publications and subscriptions in shared memory alone."""
    begin(s)
    alice, bob = s.agents("alice", "bob")
    tag = subscribe(alice, "c1")
    told(s, alice, 60)
    etag = publish(bob, pidf("a"))
    told(s, alice)
    etag = publish(bob, pidf("a", "closed"), tag=etag)
    told(s, alice)
    rows(s, "select count(*) from presentity")
    ask = Datagrams(s.server.directory / "run" / "kamailio_rpc.sock")
    for kind in ((), ("full",)):
        found = [one for one in ask("presence.presentity_list", *kind) if one["user"] == "in_memory"]
        s.note(str([[(name, one[name]) for name in one if name in ("user", "domain", "event", "body", "priority")]
                    for one in found]))  # fmt: skip
        s.note(str([sorted(set(one) - {"hashid"}) for one in found]))
    ask.close()
    subscribe(alice, "c1", tag=tag, cseq=2, expires=1)
    told(s, alice, 5)
    publish(bob, tag=etag, expires=0)
    told(s, alice)
    publish(bob, tag=etag, status=412)
    subscribe(alice, "c1", tag=tag, cseq=3, expires=0)
    told(s, alice)
    rows(s, "select count(*) from active_watchers")


alone = made(
    "presence_db_only",
    """
modparam("presence_xml", "force_active", 1)
modparam("presence", "subs_db_mode", 3)
modparam("presence", "waitn_time", 1)
modparam("presence", "notifier_processes", 2)
""",
)
alone_later = made(
    "presence_db_only_later",
    """
modparam("presence_xml", "integrated_xcap_server", 1)
modparam("presence", "subs_db_mode", 3)
modparam("presence", "waitn_time", 1)
modparam("presence", "notifier_poll_rate", 5)
modparam("presence", "send_fast_notify", 0)
modparam("presence", "db_update_period", 1)
""",
)
alone_at_once = made(
    "presence_db_only_at_once",
    """
modparam("presence_xml", "force_active", 1)
modparam("presence", "subs_db_mode", 3)
modparam("presence", "notifier_processes", 0)
""",
)
ruled_slow = made(
    "presence_ruled_slow",
    """
modparam("presence_xml", "integrated_xcap_server", 1)
modparam("presence", "send_fast_notify", 0)
""",
)


def answer_all(s: Scene, seconds: float = 0.1) -> None:
    """Answer every NOTIFY that comes meanwhile."""
    s.fence()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for agent in s._agents:
            agent.listen(0.02)
            for message in [one for one in agent._unread if one.method == "NOTIFY" and not one.status]:
                agent._unread.remove(message)
                agent.reply(message, 200)


ROUNDS = 1.2
"""A little more than waitn_time."""


@alone.case("route[db_only] { route(PRESENCE); }")
def test_db_only(s: Scene) -> None:
    """Subscriptions in the database alone: a SUBSCRIBE is answered at once, what changes is told by a notifier."""
    begin(s)
    alice, bob = s.agents("alice", "bob")
    tag = subscribe(alice, "d1")
    told(s, alice, 60)
    etag = publish(bob, pidf("a"))
    for tuple_ in "bcd":
        etag = publish(bob, pidf(tuple_), tag=etag)
    answer_all(s, ROUNDS)
    rows(s, "select callid, updated, updated_winfo, local_cseq, version from active_watchers where callid = 'd1'")
    subscribe(alice, "d1", tag=tag, cseq=2)
    told(s, alice, 60)
    publish(bob, tag=etag, expires=0)
    answer_all(s, ROUNDS)
    subscribe(alice, "d2", expires=0)
    told(s, alice)
    subscribe(alice, "d1", tag=tag, cseq=3, expires=0)
    told(s, alice)
    rows(s, "select count(*) from active_watchers where presentity_uri like '%db_only%'")
    asked_processes(s)


def asked_processes(s: Scene) -> None:
    ask = Datagrams(s.server.directory / "run" / "kamailio_rpc.sock")
    s.note(str([one["DSC"] for one in ask("core.psx") if "PRESENCE" in one["DSC"]]))
    ask.close()


@alone_at_once.case("route[db_at_once] { route(PRESENCE); }")
def test_db_at_once(s: Scene) -> None:
    """Without notifier processes all is told at once."""
    begin(s)
    alice, bob = s.agents("alice", "bob")
    tag = subscribe(alice, "d1")
    told(s, alice, 60)
    etag = publish(bob, pidf("a"))
    told(s, alice)
    publish(bob, pidf("b"), tag=etag)
    told(s, alice)
    subscribe(alice, "d1", tag=tag, cseq=2, expires=0)
    told(s, alice)
    asked_processes(s)


@alone_later.case("route[db_later] { route(PRESENCE); }")
def test_db_later(s: Scene) -> None:
    """Without send_fast_notify notifiers also answer SUBSCRIBE, and tell who watches the watchers."""
    begin(s)
    s.mask(r"(?<=;branch=)[^\r\n]+")  # who is told first is anybody's guess
    alice, bob, carol = s.agents("alice", "bob", "carol")
    rule(s, "db_later", "allow", transformations="<pr:provide-services/>")
    wtag = subscribe(bob, "w1", event="presence.winfo")
    answer_all(s, ROUNDS)
    subscribe(alice, "l1")
    answer_all(s, ROUNDS)
    publish(bob, pidf("a"))
    subscribe(carol, "l2")
    answer_all(s, ROUNDS)
    rule(s, "db_later", "block")
    asked(s, "presence.updateWatchers sip:db_later@127.0.0.1 presence")
    subscribe(bob, "w1", tag=wtag, cseq=2, expires=0, event="presence.winfo")
    subscribe(carol, "l3", expires=0)
    answer_all(s, ROUNDS + 0.5)
    rows(s, "select callid, updated, local_cseq, version from active_watchers where presentity_uri like '%db_later%'")


@ruled_slow.case("route[slowly] { route(PRESENCE); }")
def test_slowly(s: Scene) -> None:
    """send_fast_notify 0: what a SUBSCRIBE is followed by, of a package whose watchers are watched and of others."""
    begin(s)
    alice, bob, carol = s.agents("alice", "bob", "carol")
    rule(s, "slowly", "allow")
    steps: list[tuple[Agent, str, str]] = [
        (bob, "s1", "presence.winfo"), (alice, "s2", "presence"), (carol, "s3", "xcap-diff"),
    ]  # fmt: skip
    tags = {}
    for agent, call_id, event in steps:
        tags[call_id] = subscribe(agent, call_id, event=event)
        answer_all(s)
    for agent, call_id, event in steps:
        subscribe(agent, call_id, event=event, tag=tags[call_id], cseq=2)
        answer_all(s)
        subscribe(agent, f"{call_id}-fetch", event=event, expires=0)
        answer_all(s)
    publish(bob, pidf("a"))
    answer_all(s)
    publish(bob, pidf("a"), headers="Event: xcap-diff")
    answer_all(s)
    for agent, call_id, event in reversed(steps):
        subscribe(agent, call_id, event=event, tag=tags[call_id], cseq=3, expires=0)
        answer_all(s)


@ruled_slow.case("route[refused_slowly] { route(PRESENCE); }")
def test_refused_slowly(s: Scene) -> None:
    begin(s)
    alice = s.agent("alice")
    rule(s, "refused_slowly", "block")
    subscribe(alice, "r1")
    answer_all(s)


def with_watchers(directory: Path) -> None:
    """The database, with a subscriber to each of five presentities."""
    database(directory)
    columns = (
        "presentity_uri, watcher_username, watcher_domain, to_user, to_domain, event, to_tag, from_tag, callid, "
        "local_cseq, remote_cseq, contact, expires, status, version, socket_info, local_contact, from_user, "
        "from_domain, updated, updated_winfo"
    )
    with contextlib.closing(sqlite3.connect(directory / "presence.db")) as connection:
        for number in range(5):
            connection.execute(
                f"insert into active_watchers ({columns}) values (?, 'alice', 'example.test', 'u', 'x', 'presence', ?, "
                "'f', ?, 1, 1, 'sip:alice@127.0.0.1:9', ?, 1, 1, '', 'sip:x', 'alice', 'example.test', -1, -1)",
                (f"sip:kept{number}@127.0.0.1", f"t{number}", f"kept{number}", int(time.time()) + 600),
            )
        connection.commit()


told_by_script = made(
    "presence_xavp",
    """
modparam("presence_xml", "force_active", 1)
modparam("presence", "xavp_cfg", "pres")
modparam("presence", "retrieve_order", 1)
modparam("presence", "fetch_rows", 2)
modparam("presence", "pres_subs_mode", 0)
""",
    """
event_route[presence:notify-reply] {
    xlog("L_NOTICE", "reply $notify_reply($rr) $xavp(pres=>priority) $subs(callid) $subs(expires)\\n");
    if ($notify_reply($rr) =~ "Gone") { $xavp(pres=>delete_subscription) = 1; }
    if ($notify_reply($rr) =~ "Two") { $xavp(pres=>delete_subscription) = 2; }
    if ($notify_reply($rr) =~ "Text") { $xavp(pres=>delete_subscription) = "1"; }
}
""",
    with_watchers,
)


@told_by_script.case("""
route[fetched] {
    $var(i) = 0;
    while ($var(i) < 6) {
        $var(r) = pres_has_subscribers("sip:kept$var(i)@127.0.0.1", "presence");
        xlog("L_NOTICE", "$var(i) $var(r)\\n");
        $var(i) = $var(i) + 1;
    }
    sl_send_reply("200", "OK");
}
""")
def test_fetched(s: Scene) -> None:
    """All subscribers are read when the server starts, two rows at a time."""
    alice = s.agent("alice")
    alice.request("OPTIONS")
    alice.expect(200)


@told_by_script.case("""
route[prioritized] {
    if ($hdr(P) == "text") { $xavp(pres=>priority) = "7"; }
    else if ($hdr(P) == "whole") { $xavp(pres) = 9; }
    else if ($hdr(P) != $null) { $xavp(pres=>priority) = $(hdr(P){s.int}); }
    route(PRESENCE);
}
""")
def test_prioritized(s: Scene) -> None:
    """The order of publications is the script's, and that of their times where it says nothing."""
    begin(s)
    alice, bob = s.agents("alice", "bob")
    tags = [
        publish(bob, pidf(f"t{n}"), headers="Event: presence" + (f"\nP: {priority}" if priority else ""))
        for n, priority in enumerate(("5", "3", "-4", "0", "", "text", "whole"))
    ]
    said = "iif(priority = received_time - 1420070400, 'time', priority)"
    statement = f"select {said} from presentity where username = 'prioritized'"
    rows(s, statement)
    subscribe(alice, "x1")
    told(s, alice)
    publish(bob, tag=tags[0], headers="Event: presence\nP: 50")
    told(s, alice)
    publish(bob, pidf("t1"), tag=tags[1], headers="Event: presence\nP: 40")
    told(s, alice)
    publish(bob, pidf("t3"), tag=tags[3])
    told(s, alice)
    rows(s, statement)


@told_by_script.case("route[dismissed] { route(PRESENCE); }")
def test_dismissed(s: Scene) -> None:
    """The script ends subscriptions for what was answered to a NOTIFY, without telling those whose they are."""
    begin(s)
    bob = s.agent("bob")
    for n, (code, reason) in enumerate(((200, "Gone"), (200, "Two"), (200, "Text"), (500, "Gone"), (200, "OK"))):
        watcher = s.agent(f"watcher{n}")
        subscribe(watcher, f"g{n}")
        watcher.reply(watcher.expect("NOTIFY"), code, reason)
        s.wait_log(f"reply {reason}")
    s.fence()
    publish(bob, pidf("a"))
    for agent in s._agents:
        if agent.name in ("watcher2", "watcher4"):
            told(s, agent)


def rule_with(s: Scene, user: str, conditions: str) -> None:
    """A rule that lets alice see somebody, under more conditions."""
    rule(s, user, "allow")
    with sqlite3.connect(s.server.directory / "presence.db", timeout=10) as connection:
        connection.execute(
            "update xcap set doc = replace(doc, '</identity>', '</identity>' || ?) where username = ?",
            (conditions, user),
        )


def seen(s: Scene, alice: Agent, user: str, call_id: str) -> None:
    """Note what the rules of this moment make of a new watcher."""
    unknown(s, user)
    tag = subscribe(alice, call_id)
    told(s, alice)
    subscribe(alice, call_id, tag=tag, cseq=2, expires=0)
    told(s, alice)


TIMES = (
    "<from>2003-12-24T17:00:00+01:00</from><until>2004-12-24T19:00:00+01:00</until>",
    "<from>2003-12-24T17:00:00+01:00</from><until>2044-12-24T19:00:00+01:00</until>",
    "<from>2043-12-24T17:00:00+01:00</from><until>2044-12-24T19:00:00+01:00</until>",
    "<from>2003-12-24T17:00:00Z</from><until>2044-12-24T19:00:00Z</until>",
    "<from>2003-12-24T17:00:00+01:00</from>",
    "",
    "<from>2003-12-24T17:00:00+01:00</from><until>2004-12-24T19:00:00+01:00</until>\n"
    "<from>2013-12-24T17:00:00+01:00</from><until>2044-12-24T19:00:00+01:00</until>",
    "<from>x</from><until>y</until>",
)
SPHERES = (
    ("home", "<r:sphere>home</r:sphere>"),
    ("home", "<r:sphere>work</r:sphere>"),
    ("home", "<person><r:sphere>HOME</r:sphere></person>"),
    ("home", "<r:sphere>homework</r:sphere>"),
    ("home", "<r:sphere> home </r:sphere>"),
    ("home", "<r:sphere><home/></r:sphere>"),
    ("home", "<sphere>work</sphere>"),
    ("home", "<r:sphere>work</r:sphere><r:sphere>home</r:sphere>"),
    ("home</sphere><sphere>work", "<r:sphere>work</r:sphere>"),
    ("<a>home</a>", "<r:sphere>home</r:sphere>"),
    ("", "<r:sphere>home</r:sphere>"),
    ("home", ""),
)
spheres = made(
    "presence_spheres",
    """
modparam("presence_xml", "integrated_xcap_server", 1)
modparam("presence", "enable_sphere_check", 1)
modparam("presence", "publ_cache", 0)
""",
)


def document(sphere: str) -> str:
    return pidf("a").replace("</presence>", f"{sphere}</presence>").replace(
        "<presence ", '<presence xmlns:r="urn:ietf:params:xml:ns:pidf:rpid" '
    )  # fmt: skip


@ruled.case("route[valid] { route(PRESENCE); }")
def test_valid(s: Scene) -> None:
    """Rules for some time; without enable_sphere_check the sphere is no condition."""
    begin(s)
    alice, bob = s.agents("alice", "bob")
    for number, times in enumerate(TIMES):
        rule_with(s, "valid", f"<validity>{times}</validity>")
        seen(s, alice, "valid", f"v{number}")
    publish(bob, document("<r:sphere>work</r:sphere>"))
    rule_with(s, "valid", "<sphere>home</sphere>")
    seen(s, alice, "valid", "v")


@spheres.case("route[sphere] { route(PRESENCE); }")
def test_sphere(s: Scene) -> None:
    """Rules for where somebody is, says the document that was published last."""
    begin(s)
    alice, bob = s.agents("alice", "bob")
    for number, (wanted, sphere) in enumerate(SPHERES):
        rule_with(s, "sphere", f"<sphere>{wanted}</sphere>")
        tag = publish(bob, document(sphere))
        seen(s, alice, "sphere", f"s{number}")
        publish(bob, tag=tag, expires=0)
    rule_with(s, "sphere", "<sphere>home</sphere>")
    publish(bob, document("<r:sphere>work</r:sphere>"))
    time.sleep(1.1)  # the order is that of whole seconds
    tag = publish(bob, document("<r:sphere>home</r:sphere>"))
    seen(s, alice, "sphere", "two")
    subscribe(alice, "moved")
    told(s, alice)
    publish(bob, document("<r:sphere>work</r:sphere>"), tag=tag)
    told(s, alice)
