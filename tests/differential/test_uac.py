"""uac: From and To replaced and restored, answering challenges, requests of the script's own."""

from __future__ import annotations

from kit.agent import Agent
from kit.calls import DID, answer, give_up, hang_up, talk, within
from kit.digest import digest, proven
from kit.room import Room
from kit.scene import Scene

room = Room(
    "uac",
    modules="uac",
    params="""
modparam("uac", "credential", "bob:other.test:secret")
modparam("uac", "auth_realm_avp", "$avp(arealm)")
modparam("uac", "auth_username_avp", "$avp(auser)")
modparam("uac", "auth_password_avp", "$avp(apass)")
""",
    cfg="""
failure_route[AUTH] {
    if (t_check_status("401|407")) { uac_auth(); xlog("L_NOTICE", "auth $rc\\n"); if ($rc > 0) { t_relay(); exit; } }
}
failure_route[HA1] {
    if (t_check_status("401|407")) { uac_auth("1"); xlog("L_NOTICE", "auth $rc\\n"); if ($rc > 0) { t_relay(); exit; } }
}
event_route[uac:reply] {
    xlog("L_NOTICE", "reply $uac_req(evtype) $uac_req(evcode) $uac_req(method) $uac_req(ruri) $rm $ru $ci\\n");
}
""",
    first='if (has_totag() && $rU != "fence") { loose_route(); t_relay(); exit; }',
)


SHOW = """
onreply_route[SHOW] { xlog("L_NOTICE", "$rm $rs $fu $tu [$avp(rf)] [$avp(rt)]\\n"); }
route[VARS] {
    xlog("L_NOTICE", "[$dlg_var(_uac_fu)] [$dlg_var(_uac_funew)] [$dlg_var(_uac_fdp)] [$dlg_var(_uac_fdpnew)]\\n");
    xlog("L_NOTICE", "[$dlg_var(_uac_to)] [$dlg_var(_uac_tonew)] [$dlg_var(_uac_tdp)] [$dlg_var(_uac_tdpnew)]\\n");
}
"""
KEPT = """
modparam("uac", "restore_from_avp", "$avp(rf)")
modparam("uac", "restore_to_avp", "$avp(rt)")
"""
dialogs = Room(
    "uac_dialogs",
    modules="dialog uac",
    params=f"""
modparam("uac", "restore_dlg", 1)
modparam("uac", "credential", "bob:other.test:secret")
modparam("dialog", "track_cseq_updates", 1)
{KEPT}
""",
    cfg=f"""{SHOW}
failure_route[AUTH] {{
    if (t_check_status("401|407")) {{
        uac_auth(); xlog("L_NOTICE", "$cs [$dlg_var(cseq_diff)]\\n"); t_on_failure("AUTH"); t_relay();
    }}
}}
""",
    first="""
if (has_totag() && $rU != "fence") {
    if (is_method("INVITE")) { record_route(); }
    loose_route(); xlog("L_NOTICE", "$rm [$avp(rf)] [$avp(rt)]\\n"); t_on_reply("SHOW"); t_relay(); exit;
}
""",
    last='route(VARS); t_on_reply("SHOW"); t_relay();',
)
manual = Room(
    "uac_manual",
    modules="uac",
    params=f'modparam("uac", "restore_mode", "manual")\n{KEPT}',
    cfg=SHOW.partition("route[VARS]")[0],
    first="""
if (has_totag() && $rU != "fence") {
    loose_route(); uac_restore_from(); xlog("L_NOTICE", "$rm $rc [$avp(rf)]\\n"); uac_restore_to();
    xlog("L_NOTICE", "$rc [$avp(rt)]\\n"); t_on_reply("SHOW"); t_relay(); exit;
}
""",
    last='t_on_reply("SHOW"); t_relay();',
)


def call(s: Scene) -> None:
    """INVITE, answer, ACK, a request of each side, BYE."""
    alice, bob = s.agents("alice", "bob")
    sent, received, final = talk(alice, bob)
    within(bob, alice, "INFO", received, final)
    hang_up(alice, bob, sent, final)


@room.case("""
route[replace_from] {
    record_route(); uac_replace_from("sip:robin@gotham.example"); xlog("L_NOTICE", "$rc $fu\\n"); t_relay();
}
""")
def test_replace_from(s: Scene) -> None:
    """From is another for the callee, in both directions and in replies."""
    alice, bob = s.agents("alice", "bob")
    sent, _, final = talk(alice, bob, rings=False)
    hang_up(alice, bob, sent, final)


@room.case("""
route[replace_display] { record_route(); uac_replace_from("\\"Batman\\"", "sip:b@gotham.example"); t_relay(); }
""")
def test_replace_display(s: Scene) -> None:
    call(s)


@room.case("""
route[display_only] { record_route(); uac_replace_from("Batman", ""); xlog("L_NOTICE", "$rc\\n"); t_relay(); }
""")
def test_display_only(s: Scene) -> None:
    call(s)


@room.case("""
route[replace_to] { record_route(); uac_replace_to("sip:somebody-with-a-long-name@elsewhere.example"); t_relay(); }
""")
def test_replace_to(s: Scene) -> None:
    call(s)


@room.case("""
route[replace_both] {
    record_route(); uac_replace_to("", "sip:x@y.example"); uac_replace_from("", "sip:a@b.example"); t_relay();
}
""")
def test_replace_both(s: Scene) -> None:
    call(s)


@room.case("""
route[challenged] {
    $avp(arealm) = $hdr(X-Realm); $avp(auser) = "me"; $avp(apass) = "pw"; t_on_failure("AUTH"); t_relay();
}
""")
def test_challenged(s: Scene) -> None:
    """A challenge without qop: the answer is the same every time."""
    alice, bob = s.agents("alice", "bob")
    sent = alice.request("INVITE", bob, headers="X-Realm: example.test")
    first = bob.expect("INVITE")
    bob.reply(first, 407, headers='Proxy-Authenticate: Digest realm="example.test", nonce="abc", opaque="op"')
    bob.expect("ACK")
    second = bob.expect("INVITE")
    proven(s, second, digest("me:example.test:pw"))
    bob.reply(second, 200)
    alice.ack(sent, alice.expect(200))


@room.case("""
route[with_qop] { $avp(arealm) = ""; $avp(auser) = "me"; $avp(apass) = "pw"; t_on_failure("AUTH"); t_relay(); }
""")
def test_with_qop(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    alice.request("MESSAGE", bob, headers="Content-Type: text/plain", body="hello")
    first = bob.expect("MESSAGE")
    bob.reply(first, 401, headers='WWW-Authenticate: Digest realm="r", nonce="abc", qop="auth", algorithm=MD5')
    second = bob.expect("MESSAGE")
    proven(s, second, digest("me:r:pw"))
    bob.reply(second, 202)
    alice.expect(202)


@room.case("""
route[credential] { t_on_failure("AUTH"); t_relay(); }
""")
def test_credential(s: Scene) -> None:
    """The credentials of the parameter, by realm."""
    alice, bob = s.agents("alice", "bob")
    alice.request("MESSAGE", bob)
    bob.reply(bob.expect("MESSAGE"), 401, headers='WWW-Authenticate: Digest realm="other.test", nonce="n1"')
    second = bob.expect("MESSAGE")
    proven(s, second, digest("bob:other.test:secret"))
    bob.reply(second, 200)
    alice.expect(200)


@room.case("""
route[no_credential] { t_on_failure("AUTH"); t_relay(); }
""")
def test_no_credential(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    alice.request("MESSAGE", bob)
    bob.reply(bob.expect("MESSAGE"), 401, headers='WWW-Authenticate: Digest realm="unknown", nonce="n1"')
    alice.expect(401)


@room.case("""
route[hashed] {
    $avp(arealm) = "r"; $avp(auser) = "me"; $avp(apass) = "36d0a02793542b4961e8348347236dbf";
    t_on_failure("HA1"); t_relay();
}
""")
def test_hashed(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    alice.request("MESSAGE", bob)
    bob.reply(bob.expect("MESSAGE"), 401, headers='WWW-Authenticate: Digest realm="r", nonce="n1"')
    second = bob.expect("MESSAGE")
    proven(s, second, "36d0a02793542b4961e8348347236dbf")
    bob.reply(second, 200)
    alice.expect(200)


@room.case("""
route[sending] {
    $uac_req(method) = "OPTIONS"; $uac_req(ruri) = "sip:x@" + $hdr(X-To); $uac_req(furi) = "sip:me@here.example";
    $uac_req(turi) = "sip:you@there.example"; $uac_req(callid) = "sending-own-call"; $uac_req(hdrs) = "X-Mine: 1\\r\\n";
    $uac_req(body) = ""; $uac_req(evroute) = 1;
    uac_req_send(); xlog("L_NOTICE", "sent $rc\\n"); sl_send_reply("200", "done");
}
""")
def test_sending(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    alice.request("MESSAGE", headers=f"X-To: {bob.host}")
    bob.reply(bob.expect("OPTIONS"), 200)
    alice.expect(200)
    s.wait_log("reply ")


@room.case("""
route[sending_auth] {
    $uac_req(method) = "MESSAGE"; $uac_req(ruri) = "sip:x@" + $hdr(X-To); $uac_req(furi) = "sip:me@here.example";
    $uac_req(turi) = "sip:you@there.example"; $uac_req(callid) = "sending-auth-call"; $uac_req(auser) = "u";
    $uac_req(apasswd) = "p"; $uac_req(hdrs) = "Content-Type: text/plain\\r\\n"; $uac_req(body) = "hi";
    $uac_req(evroute) = 1;
    uac_req_send(); sl_send_reply("200", "done");
}
""")
def test_sending_auth(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    alice.request("MESSAGE", headers=f"X-To: {bob.host}")
    bob.reply(bob.expect("MESSAGE"), 401, headers='WWW-Authenticate: Digest realm="r", nonce="n1"')
    second = bob.expect("MESSAGE")
    proven(s, second, digest("u:r:p"))
    bob.reply(second, 200)
    alice.expect(200)
    s.wait_log("reply 1 200")


@dialogs.case("""
route[in_dialog] {
    record_route(); dlg_manage(); uac_replace_from("\\"New\\" ", "sip:new@x.test"); xlog("L_NOTICE", "$rc\\n");
    uac_replace_from("\\"Newer\\" ", "sip:newer@x.test"); xlog("L_NOTICE", "$rc\\n");
    uac_replace_to("sip:to@x.test"); xlog("L_NOTICE", "$rc\\n");
}
""")
def test_in_dialog(s: Scene) -> None:
    """With restore_dlg the dialog keeps the addresses, display names as well."""
    s.mask(DID)
    alice, bob = s.agents("alice", "bob")
    sent, received, final = talk(alice, bob, rings=False)
    alice.within("INVITE", sent, final, cseq=2)
    bob.reply(bob.expect("INVITE"), 488)
    alice.ack(sent, alice.expect(488))
    hang_up(bob, alice, received, final)


@dialogs.case("""
route[before_dialog] {
    record_route(); uac_replace_from("New", "sip:new@x.test"); dlg_manage(); $avp(rf) = "Mine <sip:mine@x.test>";
}
""")
def test_before_dialog(s: Scene) -> None:
    """Without a dialog the addresses travel in Record-Route; replies show what the AVP says."""
    s.mask(DID)
    call(s)


@dialogs.case("""
route[sequential] { record_route(); uac_replace_from("Name", ""); uac_replace_to("sip:to@x.test"); }
""")
def test_sequential(s: Scene) -> None:
    """A re-INVITE carries on what the Route says."""
    alice, bob = s.agents("alice", "bob")
    sent, _, final = talk(alice, bob, rings=False)
    alice.within("INVITE", sent, final, cseq=2)
    bob.reply(bob.expect("INVITE"), 488)
    alice.ack(sent, alice.expect(488))


@manual.case("""
route[by_hand] { record_route(); uac_replace_from("New", "sip:new@x.test"); uac_replace_to("sip:to@x.test"); }
""")
def test_by_hand(s: Scene) -> None:
    call(s)


@manual.case("""
route[not_replaced] { record_route(); uac_replace_from("New", ""); }
""")
def test_not_replaced(s: Scene) -> None:
    call(s)


RESPONSE = r'response="[^"]*"'


def challenges(bob: Agent) -> None:
    bob.reply(bob.expect("INVITE"), 407, headers='Proxy-Authenticate: Digest realm="other.test", nonce="n1"')
    bob.expect("ACK")


@dialogs.case("""
route[numbers] { record_route(); dlg_manage(); t_on_failure("AUTH"); }
""")
def test_numbers(s: Scene) -> None:
    """Where a challenge was answered, the callee sees higher CSeq numbers than the caller sends."""
    s.mask(DID)
    s.mask(RESPONSE)
    alice, bob = s.agents("alice", "bob")
    sent = alice.request("INVITE", bob, cseq=9)
    challenges(bob)
    challenges(bob)
    received, final = answer(alice, bob, sent, rings=False)
    within(alice, bob, "INFO", sent, final, cseq=10)
    within(bob, alice, "INFO", received, final, cseq=7)
    hang_up(alice, bob, sent, final, cseq=11)


@dialogs.case("""
route[numbers_cancel] { record_route(); dlg_manage(); t_on_failure("AUTH"); }
""")
def test_numbers_cancel(s: Scene) -> None:
    s.mask(DID)
    s.mask(RESPONSE)
    alice, bob = s.agents("alice", "bob")
    sent = alice.request("INVITE", bob)
    challenges(bob)
    give_up(alice, bob, sent)
