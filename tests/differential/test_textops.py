"""Edits of textops, textopsx and siputils as they go out on the wire, and their tests of a message."""

from __future__ import annotations

from kit.room import Room
from kit.scene import Scene, ask

room = Room("textops")


def forwarded(s: Scene, headers: str = "", body: str = "") -> None:
    """One MESSAGE through the case's route to bob."""
    alice, bob = s.agents("alice", "bob")
    alice.request("MESSAGE", bob, headers=headers, body=body)
    bob.expect("MESSAGE")


@room.case("""
route[append_and_remove] {
    append_hf("X-End: e\\r\\n"); append_hf("X-After-Subject: 1\\r\\n", "Subject"); insert_hf("X-Start: s\\r\\n");
    insert_hf("X-Before-Subject: 1\\r\\n", "Subject");
    if (remove_hf("X-Gone")) xlog("L_NOTICE", "removed\\n");
    if (!remove_hf("X-Never")) xlog("L_NOTICE", "nothing to remove\\n");
    append_hf("P-Dyn: $fU@$rm\\r\\n"); forward();
}
""")
def test_append_and_remove(s: Scene) -> None:
    forwarded(s, "Subject: sub\nX-Gone: 1\nx-gone: 2\nX-Stay: 1", "hello")


@room.case("""
route[remove_matching] {
    remove_hf_re("^X-A[0-9]$"); remove_hf_exp("^P-", "P-Keep"); remove_hf_match("X-List", "eq", "two"); forward();
}
""")
def test_remove_matching(s: Scene) -> None:
    forwarded(s, "X-A1: 1\nX-A2: 2\nX-AB: stays\nP-One: 1\nP-Keep: 2\nX-List: one\nX-List: two\nX-List: three")


@room.case("""
route[remove_by_index] { remove_hf_idx("X-I", "1"); remove_hf_idx("X-J", "-1"); forward(); }
""")
def test_remove_by_index(s: Scene) -> None:
    forwarded(s, "X-I: 0\nX-I: 1\nX-I: 2\nX-J: 0\nX-J: 1\nX-J: 2")


@room.case("""
route[keep_only] { keep_hf("^(Subject|X-Keep.*)$"); forward(); }
""")
def test_keep_only(s: Scene) -> None:
    forwarded(s, "Subject: s\nX-Keep-1: 1\nX-Other: 2\nUser-Agent: ua")


@room.case("""
route[bodies] {
    if ($hdr(X-How) == "replace") { replace_body("el+o", "owdy"); }
    if ($hdr(X-How) == "all") { replace_body_all("o", "0"); }
    if ($hdr(X-How) == "once") { replace_body_atonce("^.", "J"); }
    if ($hdr(X-How) == "set") { set_body("new body", "text/new"); }
    if ($hdr(X-How) == "subst") { subst_body("/w(or)ld/W\\1LD/"); }
    if ($hdr(X-How) == "remove") { remove_body(); }
    if ($hdr(X-How) == "filter") { if (!filter_body("text/plain")) xlog("L_NOTICE", "no filter\\n"); }
    if ($hdr(X-How) == "search") {
        if (search_body("wor")) xlog("L_NOTICE", "in body\\n");
        if (!search_body("X-How")) xlog("L_NOTICE", "not in body\\n");
        search_append_body("hello", " there");
    }
    forward();
}
""")
def test_bodies(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    for how in ("replace", "all", "once", "set", "subst", "remove", "filter", "search"):
        alice.request(
            "MESSAGE", bob, headers=f"X-How: {how}\nContent-Type: text/plain", body="hello world\r\nsecond o\r\n"
        )
        bob.expect("MESSAGE")


@room.case("""
route[whole_message] {
    if (search("X-Mark: [0-9]+")) xlog("L_NOTICE", "found\\n");
    replace("X-Mark: 1", "X-Mark: one"); replace_all("zz", "ZZ"); search_append("X-Ap: a", "++");
    replace_hdrs("X-Hd: (.)", "X-Hd: new"); replace_str("plain", "PLAIN", "a");
    subst("/^X-Sub: (.*) (.*)\\r$/X-Sub: \\2 \\1\\r/"); subst_hf("X-Shf", "/b+/B/", "a");
    forward();
}
""")
def test_whole_message(s: Scene) -> None:
    forwarded(
        s,
        "X-Mark: 1\nX-Zz: zz and zz\nX-Ap: ab\nX-Hd: old\nX-Sub: first second\nX-Shf: abba bb\nX-P: plain",
        "zz plain",
    )


@room.case("""
route[substitute_uri] {
    if (subst_uri("/^sip:(.*)@(.*)$/sip:00\\1@\\2;x=$rm/")) xlog("L_NOTICE", "$ru\\n");
    if (subst_user("/^00(.*)$/9\\1/")) xlog("L_NOTICE", "$rU\\n");
    if (!subst_user("/^zz/x/")) xlog("L_NOTICE", "no match\\n");
    if (subst_uri("/;x=.*//")) xlog("L_NOTICE", "$ru\\n");
    forward();
}
""")
def test_substitute_uri(s: Scene) -> None:
    forwarded(s)


@room.case("""
route[presence_of] {
    if (is_present_hf("X-There")) xlog("L_NOTICE", "there\\n");
    if (!is_present_hf("X-Not-There")) xlog("L_NOTICE", "not there\\n");
    if (is_present_hf_re("^X-Th")) xlog("L_NOTICE", "re\\n");
    if (is_present_hf("subject") && is_present_hf("s")) xlog("L_NOTICE", "compact\\n");
    if (is_method("MESSAGE|OPTIONS")) xlog("L_NOTICE", "method list\\n");
    if (!is_method("INVITE")) xlog("L_NOTICE", "no INVITE\\n");
    if (cmp_str("$fU", "alice")) xlog("L_NOTICE", "cmp_str\\n");
    if (cmp_istr("$fU", "ALICE")) xlog("L_NOTICE", "cmp_istr\\n");
    if (starts_with("$rU", "presence")) xlog("L_NOTICE", "starts\\n");
    if (ends_with("$rU", "_of")) xlog("L_NOTICE", "ends\\n");
    if (in_list("b", "a,b,c", ",")) xlog("L_NOTICE", "in list\\n");
    if (!in_list("x", "a,b,c", ",")) xlog("L_NOTICE", "not in list\\n");
    if (in_list_prefix("abc", "ab,x", ",")) xlog("L_NOTICE", "prefix in list\\n");
    if (str_find("$fu", "ice@")) xlog("L_NOTICE", "str_find\\n");
    if (str_ifind("$fu", "ICE@")) xlog("L_NOTICE", "str_ifind\\n");
    if (search_hf("X-There", "v.l", "a")) xlog("L_NOTICE", "search_hf\\n");
    if (is_privacy("id")) xlog("L_NOTICE", "privacy\\n");
    if (fnmatch("$rU", "pres*_of")) xlog("L_NOTICE", "fnmatch\\n");
    if (is_user("alice")) xlog("L_NOTICE", "is user\\n"); else xlog("L_NOTICE", "is not user\\n");
    sl_send_reply("200", "OK");
}
""")
def test_presence_of(s: Scene) -> None:
    ask(s, "X-There: value\nSubject: s\nPrivacy: id;header")


@room.case("""
route[header_lists] {
    append_hf_value("X-Av", "last"); insert_hf_value("X-Av", "first"); remove_hf_value("X-Rv[0]");
    include_hf_value("X-In", "c"); include_hf_value("X-In", "a"); exclude_hf_value("X-Ex", "b");
    assign_hf_value("X-As[1]", "new");
    if (hf_value_exists("X-In", "b")) xlog("L_NOTICE", "exists\\n");
    if (!hf_value_exists("X-In", "zz")) xlog("L_NOTICE", "exists not\\n");
    forward();
}
""")
def test_header_lists(s: Scene) -> None:
    forwarded(s, "X-Av: one, two\nX-Rv: gone, stays\nX-In: a, b\nX-Ex: a, b, c\nX-As: 0, 1, 2")


@room.case("""
route[apply_changes] {
    append_hf("X-New: 1\\r\\n"); remove_hf("X-Old"); $rU = "changed";
    xlog("L_NOTICE", "before: [$hdr(X-New)] [$hdr(X-Old)] $ou\\n");
    msg_apply_changes();
    xlog("L_NOTICE", "after: [$hdr(X-New)] [$hdr(X-Old)] $ou $ru rc\\n");
    append_hf("X-Second: 2\\r\\n"); forward();
}
""")
def test_apply_changes(s: Scene) -> None:
    forwarded(s, "X-Old: 1\nX-Mid: 1", "body")


@room.case("""
route[header_iterator] {
    hf_iterator_start("i1"); $var(n) = 0; $var(seen) = "";
    while (hf_iterator_next("i1")) {
        if ($hfitname(i1) == "X-Drop") { hf_iterator_rm("i1"); }
        if ($hfitname(i1) == "X-Mark") { hf_iterator_append("i1", "X-Mark-After: $hfitbody(i1)\\r\\n"); }
        $var(seen) = $var(seen) + $hfitname(i1) + " ";
    }
    hf_iterator_end("i1"); xlog("L_NOTICE", "$var(seen)\\n"); forward();
}
""")
def test_header_iterator(s: Scene) -> None:
    forwarded(s, "X-Mark: m\nX-Drop: d\nX-End: e")


@room.case("""
route[body_lines] {
    bl_iterator_start("b1");
    while (bl_iterator_next("b1")) {
        if ($blitval(b1) =~ "^drop") { bl_iterator_rm("b1"); }
        if ($blitval(b1) =~ "^mark") { bl_iterator_append("b1", "added\\r\\n"); }
    }
    bl_iterator_end("b1"); forward();
}
""")
def test_body_lines(s: Scene) -> None:
    forwarded(s, "Content-Type: text/plain", "one\r\ndrop me\r\nmark\r\nlast\r\n")


@room.case("""
route[reply_edit] { t_on_reply("REPLY_EDIT"); t_relay(); }
onreply_route[REPLY_EDIT] {
    append_hf("X-Seen: $rs\\r\\n"); remove_hf("X-Inside"); change_reply_status("283", "Changed Text");
    if (is_present_hf("X-Body")) { replace_body("secret", "******"); }
}
""")
def test_reply_edit(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    alice.request("MESSAGE", bob)
    bob.reply(bob.expect("MESSAGE"), 200, headers="X-Inside: 1\nX-Body: 1\nContent-Type: text/plain", body="a secret b")
    alice.expect(283)


@room.case("""
route[uri_tests] {
    if (is_uri("$ru")) xlog("L_NOTICE", "uri\\n"); if (!is_uri("nope")) xlog("L_NOTICE", "no uri\\n");
    if (is_numeric("123")) xlog("L_NOTICE", "numeric\\n"); if (is_alphanum("a1")) xlog("L_NOTICE", "alphanum\\n");
    if (is_tel_number("+49 30")) xlog("L_NOTICE", "tel\\n"); if (is_tel_number("+4930")) xlog("L_NOTICE", "tel 2\\n");
    if (cmp_uri("sip:a@B.test;x=1", "sip:a@b.test;X=1")) xlog("L_NOTICE", "cmp_uri\\n");
    if (!cmp_uri("sip:a@b", "sip:A@b")) xlog("L_NOTICE", "user case\\n");
    if (cmp_aor("sip:a@b;x=1", "sip:a@b;y=2")) xlog("L_NOTICE", "cmp_aor\\n");
    if (has_totag()) xlog("L_NOTICE", "totag\\n"); else xlog("L_NOTICE", "no totag\\n");
    if (is_request() && !is_reply()) xlog("L_NOTICE", "request\\n");
    if (is_first_hop()) xlog("L_NOTICE", "first hop\\n");
    add_uri_param("added=1"); xlog("L_NOTICE", "$ru\\n");
    if (uri_param("added")) xlog("L_NOTICE", "has param\\n");
    if (uri_param("added", "1")) xlog("L_NOTICE", "has value\\n");
        if (!uri_param("added", "2")) xlog("L_NOTICE", "not 2\\n");
    if (get_uri_param("added", "$var(v)")) xlog("L_NOTICE", "value $var(v)\\n");
    tel2sip("tel:+1-201-555", "host.test", "$var(t)"); xlog("L_NOTICE", "$var(t)\\n");
    sl_send_reply("200", "OK");
}
""")
def test_uri_tests(s: Scene) -> None:
    ask(s)
