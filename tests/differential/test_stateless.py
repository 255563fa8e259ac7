"""Stateless replies and forwarding, and messages that are no SIP."""

from __future__ import annotations

from kit.room import Room
from kit.scene import Scene, ask

room = Room(
    "stateless",
    cfg="""
onreply_route {
    if ($hdr(X-Reply) == "log") { xlog("L_NOTICE", "core reply $rs $rr $rm $si\\n"); }
    if ($hdr(X-Reply) == "drop") { drop; }
    if ($hdr(X-Reply) == "return0") { return 0; }
    if ($hdr(X-Reply) == "return") { return; }
    if ($hdr(X-Reply) == "exit") { exit; }
    if ($hdr(X-Reply) == "negative") { return -1; }
    if ($hdr(X-Reply) == "break") { break; }
    if ($hdr(X-Reply) == "edit") { append_hf("X-Added: here\\r\\n"); remove_hf("X-Gone"); }
    if ($hdr(X-Reply) == "false") { isflagset(9); return -1; }
    return 1;
}
""",
)


@room.case("""
route[sl_reply] { sl_send_reply("404", "Nobody Here"); xlog("L_NOTICE", "after reply $rc\\n"); }
""")
def test_sl_reply(s: Scene) -> None:
    ask(s, status=404)


@room.case("""
route[sl_reply_dynamic] { $var(code) = 480 + 3; $var(text) = "Because of " + $rm;
    sl_send_reply("$var(code)", "$var(text)"); }
""")
def test_sl_reply_dynamic(s: Scene) -> None:
    ask(s, status=483)


@room.case("""
route[reply_headers] {
    append_to_reply("X-One: 1\\r\\n"); append_to_reply("X-From: $fU\\r\\n");
    if ($hdr(X-Body) != $null) { set_reply_body("text of $rm", "text/plain"); }
    sl_send_reply("200", "OK");
}
""")
def test_reply_headers(s: Scene) -> None:
    ask(s)
    ask(s, "X-Body: 1")


@room.case("""
route[redirect] {
    $ru = "sip:first@1.2.3.4"; append_branch("sip:second@1.2.3.5"); append_branch("sip:third@1.2.3.6;x=y", "0.3");
    sl_send_reply("302", "Moved");
}
""")
def test_redirect(s: Scene) -> None:
    ask(s, status=302)


@room.case("""
route[provisional_tags] {
    if ($hdr(X-Code) == "100") { sl_send_reply("100", "Trying"); }
    sl_send_reply("180", "Ringing"); sl_send_reply("200", "OK");
}
""")
def test_provisional_tags(s: Scene) -> None:
    """No To tag below 180, the same one in all the others; one that is there stays."""
    alice = s.agent("alice")
    alice.request("OPTIONS", headers="X-Code: 100\nRecord-Route: <sip:rr@x;lr>")
    alice.expect(200)
    alice.request("OPTIONS", to_tag="already")
    alice.expect(200)


@room.case("""
route[rport] { if ($hdr(X-Force) == "1") { force_rport(); } sl_send_reply("200", "OK"); }
""")
def test_rport(s: Scene) -> None:
    """rport and received in the Via of the reply; where the reply goes without rport."""
    alice, bob = s.agents("alice", "bob")
    alice.request("OPTIONS", via_params=";rport")
    alice.expect(200)
    alice.request("OPTIONS", headers="X-Force: 1")
    alice.expect(200)
    text = alice.request("OPTIONS", send=False, via_params=";x=y").text
    alice.send(text.replace(f"127.0.0.1:{alice.port};branch", f"elsewhere.test:{bob.port};branch"))
    bob.expect(200)
    alice.send(text.replace(f"127.0.0.1:{alice.port};branch", f"elsewhere.test:{bob.port};rport;branch"))
    alice.expect(200)


@room.case("""
route[ack_filter] { xlog("L_NOTICE", "script sees $rm\\n"); if (is_method("INVITE")) { sl_send_reply("403", "No"); } }
""")
def test_ack_filter(s: Scene) -> None:
    """The ACK to a stateless reply never reaches the script, another one does."""
    alice = s.agent("alice")
    invite = alice.request("INVITE")
    alice.ack(invite, alice.expect(403))
    s.fence()
    alice.request("ACK", call_id=invite.call_id, to_tag="other", branch="z9hG4bKother")


@room.case("""
route[forwarded] { forward(); xlog("L_NOTICE", "forwarded $rc\\n"); }
""")
def test_forwarded(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    alice.request("OPTIONS", bob, headers="X-Reply: log\nSubject:   kept   as is\nx-odd : spaced\nX-Fold: a\n b")
    options = bob.expect("OPTIONS")
    bob.reply(options, 200, headers="X-Reply: log")
    alice.expect(200)
    again = alice.request("OPTIONS", bob, max_forwards=None, body="12345", via_params=";rport")
    bob.expect("OPTIONS")
    alice.again(again)


@room.case("""
route[forward_to] { $du = $hdr(X-Next); forward(); }
""")
def test_forward_to(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    alice.request("MESSAGE", uri="sip:forward_to@unreachable.test;x=y", headers=f"X-Next: sip:{bob.host}", body="hi")
    bob.reply(bob.expect("MESSAGE"), 202)
    alice.expect(202)


@room.case("""
route[forward_edits] {
    $ru = "sip:changed@" + $rd + ":" + $rp; append_hf("X-Last: 1\\r\\n"); insert_hf("X-First: 1\\r\\n");
        remove_hf("Subject");
    forward();
}
""")
def test_forward_edits(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    alice.request("OPTIONS", bob, headers="Subject: gone\nX-Stay: 1")
    bob.expect("OPTIONS")


@room.case("""
route[forward_loop] {
    if ($sel(via[2].host) != $null) { xlog("L_NOTICE", "came back: $sel(via[1].host) count $(hdrc(Via))\\n"); exit; }
    $du = "sip:127.0.0.1:" + $Rp; forward();
}
""")
def test_forward_loop(s: Scene) -> None:
    s.agent("alice").request("OPTIONS")
    s.fence()


@room.case("""
route[core_replies] { forward(); }
""")
def test_core_replies(s: Scene) -> None:
    """How the core's onreply_route may end, and which of the replies goes on."""
    alice, bob = s.agents("alice", "bob")
    for how in ("none", "drop", "return0", "return", "exit", "negative", "break", "false", "edit"):
        alice.request("OPTIONS", bob)
        bob.reply(bob.expect("OPTIONS"), 200, f"Case {how}", headers=f"X-Reply: {how}\nX-Gone: 1")
        s.fence()
    s.note_log("error while trying onreply script")


@room.case("route[stray_replies] { ; }")
def test_stray_replies(s: Scene) -> None:
    """Replies that belong to nothing here: no second Via, a Via that is not ours, none at all."""
    alice, bob = s.agents("alice", "bob")
    common = (
        "From: <sip:a@b>;tag=1\r\nTo: <sip:b@c>;tag=2\r\nCall-ID: stray\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
    own = f"Via: SIP/2.0/UDP {s.host};branch=z9hG4bKstray\r\n"
    back = f"Via: SIP/2.0/UDP {bob.host};branch=z9hG4bKbob\r\n"
    alice.send(f"SIP/2.0 200 OK\r\n{own}{common}")
    alice.send(f"SIP/2.0 200 OK\r\n{own}{back}{common}")
    bob.expect(200)
    alice.send(f"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 9.9.9.9;branch=z9hG4bKx\r\n{back}{common}")
    alice.send(f"SIP/2.0 200 OK\r\n{common}")


@room.case("""
route[malformed] { xlog("L_NOTICE", "script sees $ci\\n"); sl_send_reply("200", "OK"); }
""")
def test_malformed(s: Scene) -> None:
    """What is discarded, what still reaches the script; the server goes on in any case."""
    alice = s.agent("alice")
    good = alice.request("OPTIONS", send=False).text
    for name in ("Via", "From", "To", "Call-ID", "CSeq"):
        lines = [line for line in good.split("\r\n") if not line.startswith(f"{name}:")]
        alice.send("\r\n".join(lines).replace("malformed-alice-1", f"without-{name}"))
        s.fence()
    for text in (
        "",
        "\r\n\r\n",
        "hello",
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "OPTIONS\r\n\r\n",
        "\x00\xff" * 50,
        "SIP/2.0 \r\n\r\n",
    ):
        alice.send(text)
        s.fence()


@room.case("""
route[odd_but_legal] { xlog("L_NOTICE", "$ci cl=$cl body=$(rb{s.len}) $cs\\n"); sl_send_reply("200", "OK"); }
""")
def test_odd_but_legal(s: Scene) -> None:
    alice = s.agent("alice")
    good = alice.request("OPTIONS", send=False, headers="Subject: x").text
    variants = {
        "compact": good.replace("Via:", "v:").replace("From:", "f:").replace("To:", "t:").replace("Call-ID:", "i:"),
        "case": good.replace("Via:", "VIA :").replace("CSeq:", "cseq:").replace("From:", "FROM:"),
        "folded": good.replace("Subject: x", "Subject: x\r\n\tand more\r\n and more"),
        "bare-lf": good.replace("\r\n", "\n"),
        "leading-crlf": "\r\n\r\n" + good,
        "no-length": good.replace("Content-Length: 0\r\n", ""),
        "wrong-length": good.replace("Content-Length: 0", "Content-Length: 5") + "123456789",
        "short-body": good.replace("Content-Length: 0", "Content-Length: 50") + "123",
        "no-blank-line": good[:-2],
        "spaces": good.replace("CSeq: 1 OPTIONS", "CSeq:   1    OPTIONS  "),
        "tabs": good.replace("Max-Forwards: 70", "Max-Forwards:\t70"),
        "unknown-method-case": good.replace("Subject: x", "Subject: \xe4\xf6\xfc \x80"),
    }
    for name, text in variants.items():
        alice.send(text.replace("odd_but_legal-alice-1", name))
        s.fence()


@room.case("""
route[broken_parts] {
    xlog("L_NOTICE", "$ci [$rU] [$fU] [$tU] [$ft] [$cs] [$ct]\\n"); sl_send_reply("200", "OK");
        xlog("L_NOTICE", "$rc\\n");
}
""")
def test_broken_parts(s: Scene) -> None:
    alice = s.agent("alice")
    good = alice.request("OPTIONS", send=False, headers="Contact: <sip:a@b>").text
    variants = {
        "from-open": good.replace("<sip:alice@example.test>;tag=f1", "<sip:alice@example.test;tag=f1"),
        "from-no-tag": good.replace(";tag=f1", ""),
        "from-quoted": good.replace("From: <", 'From: "a;tag=b \\" <x>" <'),
        "to-empty": good.replace("To: <sip:broken_parts@example.test>", "To: <>"),
        "to-tel": good.replace("To: <sip:broken_parts@example.test>", "To: <tel:+123>"),
        "contact-star": good.replace("<sip:a@b>", "*"),
        "cseq-word": good.replace("CSeq: 1 ", "CSeq: one "),
        "cseq-big": good.replace("CSeq: 1 ", "CSeq: 4294967296 "),
        "cseq-other": good.replace("CSeq: 1 OPTIONS", "CSeq: 1 INVITE"),
        "length-word": good.replace("Content-Length: 0", "Content-Length: abc"),
        "via-no-branch": good.replace(";branch=z9hG4bK-broken_parts-alice-1", ""),
        "via-version": good.replace("SIP/2.0/UDP", "SIP/3.0/UDP"),
        "version": good.replace(" SIP/2.0\r\nVia", " SIP/7.0\r\nVia"),
        "uri-scheme": good.replace("OPTIONS sip:", "OPTIONS http:"),
        "header-no-colon": good.replace("Contact: <sip:a@b>", "Contact <sip:a@b>"),
        "header-empty-name": good.replace("Contact: <sip:a@b>", ": <sip:a@b>"),
    }
    for name, text in variants.items():
        alice.send(text.replace("Call-ID: broken_parts-alice-1", f"Call-ID: {name}"))
        s.fence()


@room.case("""
route[negative_end] { return -1; }
""")
def test_negative_end(s: Scene) -> None:
    s.agent("alice").request("OPTIONS")


@room.case("""
route[send_reply_stateless] { send_reply("486", "Busy $rU"); xlog("L_NOTICE", "$rc\\n"); sl_reply_error(); }
""")
def test_send_reply_stateless(s: Scene) -> None:
    ask(s, status=486)


@room.case("""
route[keepalive] { sl_send_reply("200", "still here"); }
""")
def test_keepalive(s: Scene) -> None:
    alice = s.agent("alice")
    alice.send("\r\n\r\n")
    alice.send("\x00\x00\x00\x00")
    alice.send("jaK")
    alice.request("OPTIONS")
    alice.expect(200)
