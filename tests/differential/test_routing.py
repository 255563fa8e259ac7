"""maxfwd, sanity, rr: what a proxy does with every request, and the routes it leaves behind."""

from __future__ import annotations

from kit.room import Room
from kit.scene import Scene

room = Room(
    "routing",
    params='modparam("rr", "enable_full_lr", 1)\nmodparam("rr", "append_fromtag", 1)',
    cfg="""
route[RELAY] { if (!t_relay()) { sl_reply_error(); } exit; }
""",
)


@room.case("""
route[max_forwards] {
    if ($hdr(X-How) == "low" && is_maxfwd_lt("5")) { xlog("L_NOTICE", "less than 5\\n"); }
    if (!mf_process_maxfwd_header("10")) { sl_send_reply("483", "Too Many Hops"); exit; }
    forward();
}
""")
def test_max_forwards(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    for value in (70, 5, 2, 1, None):
        alice.request("OPTIONS", bob, max_forwards=value, headers="X-How: low")
        bob.expect("OPTIONS")
    alice.request("OPTIONS", bob, max_forwards=0)
    alice.expect(483)
    alice.request("OPTIONS", bob, max_forwards=None, headers="Max-Forwards: abc")


@room.case("""
route[sanity] {
    if (!sanity_check("1511", "7")) { xlog("L_NOTICE", "$ci insane\\n"); exit; }
    sl_send_reply("200", "sane");
}
""")
def test_sanity(s: Scene) -> None:
    alice = s.agent("alice")
    good = alice.request("OPTIONS", send=False, headers="Contact: <sip:a@b>").text
    variants = {
        "good": good,
        "ruri-version": good.replace(" SIP/2.0\r\nVia", " SIP/3.0\r\nVia"),
        "via-version": good.replace("Via: SIP/2.0", "Via: SIP/3.0"),
        "cseq-method": good.replace("CSeq: 1 OPTIONS", "CSeq: 1 INVITE"),
        "cseq-value": good.replace("CSeq: 1 ", "CSeq: 5000000000 "),
        "length": good.replace("Content-Length: 0", "Content-Length: 10") + "12345",
        "expires": good.replace("Contact:", "Expires: soon\r\nContact:"),
        "proxy-require": good.replace("Contact:", "Proxy-Require: magic\r\nContact:"),
        "scheme": good.replace("OPTIONS sip:", "OPTIONS http:"),
        "from-uri": good.replace("From: <sip:", "From: <foo:"),
        "to-uri": good.replace("To: <sip:sanity@", "To: <@"),
        "no-contact-uri": good.replace("Contact: <sip:a@b>", "Contact: <>"),
        "port": good.replace("@127.0.0.1:", "@127.0.0.1:9"),
    }
    for name, text in variants.items():
        alice.send(text.replace("Call-ID: sanity-alice-1", f"Call-ID: {name}"))
        s.fence()


@room.case("""
route[record_routed] { record_route(); add_rr_param(";extra=1"); route(RELAY); }
""")
def test_record_routed(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    alice.request("INVITE", bob)
    invite = bob.expect("INVITE")
    bob.reply(invite, 200)
    alice.expect(200)


LOOSE = """
route[{name}] {{
    if (has_totag()) {{
        if (loose_route()) {{
            xlog("L_NOTICE", "loose $rm ru=$ru du=$du rc=$rc\\n");
            if (is_direction("downstream")) xlog("L_NOTICE", "downstream\\n"); else xlog("L_NOTICE", "upstream\\n");
            if (check_route_param("extra=[0-9]")) xlog("L_NOTICE", "param $route_uri\\n");
            route(RELAY);
        }}
        xlog("L_NOTICE", "not loose $rm $rc\\n");
        if (is_method("ACK")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
        sl_send_reply("404", "Not here");
        exit;
    }}
    record_route(";extra=1");
    route(RELAY);
}}
"""


@room.case(LOOSE.format(name="dialog"))
def test_dialog(s: Scene) -> None:
    """A call with routes, both ways. Its Contact and dispatch by R-URI user need both parties to be called `dialog`."""
    alice, bob = s.agents("alice", "bob")
    contact = "Contact: <sip:dialog@{}>"
    text = alice.request("INVITE", bob, send=False).text.replace(alice.contact, contact.format(alice.host))
    alice.send(text)
    invite = bob.expect("INVITE")
    alice.expect(100)
    bob.reply(invite, 180)
    alice.expect(180)
    sent = bob.reply(invite, 200)
    ok = alice.expect(200)
    for reply in (sent, ok):
        reply.headers = [(n, f"<sip:dialog@{bob.host}>" if n == "Contact" else v) for n, v in reply.headers]
    alice.ack(invite, ok)
    bob.expect("ACK")
    bob.within("UPDATE", invite, sent, cseq=1, callee=True)
    alice.reply(alice.expect("UPDATE"), 200)
    bob.expect(200, "UPDATE")
    alice.within("BYE", invite, ok, cseq=2)
    bob.reply(bob.expect("BYE"), 200)
    alice.expect(200, "BYE")


@room.case(LOOSE.format(name="no_route"))
def test_no_route(s: Scene) -> None:
    alice = s.agent("alice")
    alice.request("BYE", to_tag="x")
    alice.expect(404)
    alice.request("ACK", to_tag="x")
    s.fence()


@room.case("""
route[preloaded] {
    if (loose_route()) { xlog("L_NOTICE", "loose rc=$rc ru=$ru du=$du\\n"); }
    else { xlog("L_NOTICE", "not loose rc=$rc ru=$ru du=$du\\n"); }
    remove_hf("Route"); sl_send_reply("200", "OK");
}
""")
def test_preloaded(s: Scene) -> None:
    """Routes of every kind: ours, another's, both, strict ones, two of ours, two in a line."""
    alice, bob = s.agents("alice", "bob")
    own, other = f"<sip:{s.host};lr>", f"<sip:{bob.host};lr>"
    for routes in (
        f"Route: {own}", f"Route: {own}\nRoute: {other}", f"Route: {own}, {other}", f"Route: {other}",
        f"Route: <sip:{bob.host}>", f"Route: {own}\nRoute: <sip:{bob.host}>",
        f"Route: {own}\nRoute: {own}\nRoute: {other}",
        f"Route: <sip:{s.host};r2=on;lr>\nRoute: <sip:{s.host};r2=on;lr>\nRoute: {other}", "Route: rubbish",
        f'Route: "Name" <sip:user@{s.host};lr=on;ftag=f1>', "",
    ):  # fmt: skip
        alice.request("OPTIONS", headers=routes)
        s.fence()


@room.case("""
route[next_hop_kept] { loose_route(); t_relay(); }
""")
def test_next_hop_kept(s: Scene) -> None:
    """What goes out to a next hop: our Route gone, the others kept, the R-URI untouched."""
    alice, bob = s.agents("alice", "bob")
    routes = f"Route: <sip:{s.host};lr>\nRoute: <sip:{bob.host};lr>, <sip:last.test;lr>"
    alice.request("MESSAGE", headers=routes, uri="sip:next_hop_kept@far.test")
    bob.reply(bob.expect("MESSAGE"), 200)
    alice.expect(200)


@room.case("""
route[strict] { loose_route(); xlog("L_NOTICE", "$ru $du\\n"); t_relay(); }
""")
def test_strict(s: Scene) -> None:
    """A strict router as the next hop gets the request in its own way (RFC 3261 16.6 step 6)."""
    alice, bob = s.agents("alice", "bob")
    alice.request(
        "MESSAGE", uri="sip:strict@far.test", headers=f"Route: <sip:{s.host};lr>\nRoute: <sip:next@{bob.host}>"
    )
    bob.reply(bob.expect("MESSAGE"), 200)
    alice.expect(200)


@room.case("""
route[twice] { record_route(); record_route(); xlog("L_NOTICE", "$rc\\n"); forward(); }
""")
def test_twice(s: Scene) -> None:
    """Asked for twice, recorded once."""
    alice, bob = s.agents("alice", "bob")
    alice.request("MESSAGE", bob)
    bob.expect("MESSAGE")


@room.case("""
route[record_preset] { record_route_preset("9.9.9.9:5060;x=y"); xlog("L_NOTICE", "$rc\\n"); forward(); }
""")
def test_record_preset(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    alice.request("MESSAGE", bob)
    bob.expect("MESSAGE")


@room.case("""
route[record_removed] { record_route(); remove_record_route(); xlog("L_NOTICE", "$rc\\n"); forward(); }
""")
def test_record_removed(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    alice.request("MESSAGE", bob)
    bob.expect("MESSAGE")
