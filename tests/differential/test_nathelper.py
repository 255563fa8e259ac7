"""nathelper on both servers: who is behind a NAT, and what becomes of Contact, request-URI and SDP."""

from __future__ import annotations

import time

from kit.kamcmd import kamcmd
from kit.room import Room
from kit.scene import Scene

LAST = 'sl_send_reply("200", "done");'
MODULES = "ctl usrloc registrar nathelper"
room = Room("nathelper", modules=MODULES, last=LAST, params="""
modparam("nathelper|registrar", "received_avp", "$avp(rcv)")
modparam("registrar", "default_expires", 600)
""")  # fmt: skip
other = Room("nathelper_other", modules=MODULES, last=LAST, params="""
modparam("nathelper", "alias_name", "saddr")
modparam("nathelper", "nat_addr_mode", 0)
modparam("nathelper", "append_sdp_oldmediaip", 0)
modparam("nathelper", "nortpproxy_str", "a=none:1")
""")  # fmt: skip
pinging = Room("nathelper_pings", modules=MODULES, params="""
modparam("nathelper", "natping_interval", 1)
modparam("nathelper", "ping_nated_only", 1)
modparam("nathelper", "sipping_bflag", 7)
modparam("nathelper", "sipping_from", "sip:pinger@example.test")
modparam("usrloc", "nat_bflag", 6)
""")  # fmt: skip

CONTACTS = (
    "",
    "Contact: *",
    "Contact: <sip:alice@10.1.2.3:5070>",
    "Contact: <sip:alice@10.1.2.3:5070;transport=tcp;x=y>;q=0.5;expires=60",
    "Contact: sip:alice@192.168.1.1",
    'Contact: "Alice" <sip:172.20.1.1>',
    "Contact: <sip:alice@example.test:@PORT@>",
    "Contact: <sip:alice@127.0.0.1:@PORT@>",
    "Contact: <sip:a@100.70.0.1>, <sip:b@8.8.8.8>",
    "Contact: <sip:a@8.8.4.4>\nContact: <sip:b@192.0.0.1>",
    "Contact: <sip:a@192.0.0.200;maddr=1.2.3.4;z=1>",
    "Contact: <sip:a@10.0.0.1;alias=1.2.3.4~5~1;b=c?Subject=x>",
    "Contact: <sip:a@10.0.0.1;saddr=1.2.3.4~5~2;saddr=4.3.2.1~5~3>",
    "Contact: <sip:a@[2001:db8::1]:5062>",
    "Contact: nonsense",
    "Contact: <tel:123>",
)


def with_contacts(s: Scene) -> None:
    alice = s.agent("alice")
    for contact in CONTACTS:
        alice.request("OPTIONS", headers=contact.replace("@PORT@", str(alice.port)))
        alice.expect(200)


def changing(call: str) -> str:
    return f"""
    {call}
    xlog("L_NOTICE", "[$(hdr(Contact)[0])]: $rc\\n");
    msg_apply_changes();
    xlog("L_NOTICE", "   [$(hdr(Contact)[0])] [$(hdr(Contact)[1])] $avp(uri)\\n");
"""


TESTS = """
    $var(i) = 0;
    $var(t) = 1;
    while ($var(i) < 10) {
        if (nat_uac_test("$var(t)")) { xlog("L_NOTICE", "[$hdr(Contact)] $hdr(X-What): test $var(t)\\n"); }
        $var(t) = $var(t) * 2;
        $var(i) = $var(i) + 1;
    }
    if (nat_uac_test("19")) { xlog("L_NOTICE", "19\\n"); }
    xlog("L_NOTICE", "done\\n");
"""


@room.case("route[tests] {" + TESTS + "}")
def test_tests(s: Scene) -> None:
    with_contacts(s)


@other.case("route[tests_other] {" + TESTS + "}")
def test_tests_other(s: Scene) -> None:
    with_contacts(s)


@room.case("route[vias] {" + TESTS + "}")
def test_vias(s: Scene) -> None:
    alice = s.agent("alice")
    for host in ("10.1.2.3:5070", "example.test", "127.0.0.1", "127.0.0.1:5999;rport", "192.168.1.1;received=1.2.3.4"):
        text = alice.request("OPTIONS", send=False, headers=f"X-What: {host}").text
        alice.send(text.replace(alice.host, host, 1))
        s.fence()


@room.case("""
route[addresses] {
    $var(list) = "10.0.0.1 172.15.1.1 172.16.0.0 172.31.255.255 172.32.0.1 192.168.0.1 100.63.0.1 100.64.0.1 192.0.0.7";
    $var(list) = $var(list) + " 192.0.0.8 192.0.0.255 192.0.1.1 example.test 1.2.3.4 2001:db8::1";
    $var(i) = 0;
    while ($var(i) < 15) {
        is_rfc1918("$(var(list){s.select,$var(i), })");
        xlog("L_NOTICE", "$(var(list){s.select,$var(i), }): $rc\\n");
        $var(i) = $var(i) + 1;
    }
    is_rfc1918("$avp(none)");
    xlog("L_NOTICE", "$rc $rr_count $rr_top_count\\n");
}
""")
def test_addresses(s: Scene) -> None:
    alice = s.agent("alice")
    for routes in (
        "",
        "Record-Route: <sip:a;lr>",
        "Record-Route: <sip:a;r2=on;lr>, <sip:b;r2=on>\nRecord-Route: <sip:c>",
    ):
        alice.request("OPTIONS", headers=routes)
        alice.expect(200)


@room.case("route[contact] {" + changing("fix_nated_contact();") + "}")
def test_contact(s: Scene) -> None:
    with_contacts(s)


@room.case("route[contact_twice] {" + changing("fix_nated_contact();\n    fix_nated_contact();") + "}")
def test_contact_twice(s: Scene) -> None:
    with_contacts(s)


@room.case("route[set_alias] {" + changing("set_contact_alias();") + "}")
def test_set_alias(s: Scene) -> None:
    with_contacts(s)


@other.case("route[set_alias_trim] {" + changing('set_contact_alias("1");') + "}")
def test_set_alias_trim(s: Scene) -> None:
    with_contacts(s)


@room.case("route[add_alias] {" + changing("add_contact_alias();") + "}")
def test_add_alias(s: Scene) -> None:
    with_contacts(s)


@room.case(
    "route[add_alias_of] {" + changing('add_contact_alias("$hdr(X-IP)", "$hdr(X-Port)", "$hdr(X-Proto)");') + "}"
)
def test_add_alias_of(s: Scene) -> None:
    alice = s.agent("alice")
    for ip, port, proto in (
        ("1.2.3.4", "5080", "tcp"), ("1.2.3.4", "0", "udp"), ("x", "5080", "udp"), ("1.2.3.4", "5080", "dns"),
        ("::1", "5061", "TLS"),
    ):  # fmt: skip
        for contact in ("", "\nContact: <sip:a@h:99;x=y>", "\nContact: sip:a@h"):
            alice.request("OPTIONS", headers=f"X-IP: {ip}\nX-Port: {port}\nX-Proto: {proto}{contact}")
            alice.expect(200)


@room.case("route[alias_to_pv] {" + changing('set_alias_to_pv("$avp(uri)");') + "}")
def test_alias_to_pv(s: Scene) -> None:
    with_contacts(s)


@room.case("route[rcv] {" + changing('if ($hdr(X-URI) == "1") { add_rcv_param("1"); } else { add_rcv_param(); }') + "}")
def test_rcv(s: Scene) -> None:
    alice = s.agent("alice")
    for contact in (
        "Contact: <sip:a@h>;q=1",
        "Contact: sip:a@h",
        "Contact: <sip:a@h;x>, <sip:b@h>\nContact: <sip:c@h>",
    ):
        for mode in (0, 1):
            alice.request("OPTIONS", headers=f"X-URI: {mode}\n{contact}")
            alice.expect(200)


RURI = """
    $ru = $hdr(X-URI);
    handle_ruri_alias(MODE);
    if ($rc > 0) { xlog("L_NOTICE", "$hdr(X-URI): $rc $ru $du\\n"); }
    else { xlog("L_NOTICE", "$hdr(X-URI): $rc\\n"); }
"""
RURIS = (
    "sip:a@h", "sip:a@h;alias=1.2.3.4~5060~1", "sip:a@h;x=y;alias=1.2.3.4~5061~2;b=c", "sip:a@h;alias=1.2.3.4~1~3?h=v",
    "sip:a@h;alias=1.2.3.4", "sip:a@h;alias=1.2.3.4~5", "sip:a@h;alias=1.2.3.4~5~", "sip:a@h;alias=1.2.3.4~5~9",
    "sip:a@h;alias=[::1]~5~5;alias=2.2.2.2~6~6", "sip:a@h;xalias=1.2.3.4~5~1", "sip:h;alias=1.1.1.1~7~4",
    "sip:a@h;saddr=1.2.3.4~5060~1;saddr=4.3.2.1~1~2",
)  # fmt: skip


def with_ruris(s: Scene, *uris: str) -> None:
    alice = s.agent("alice")
    for uri in uris or RURIS:
        alice.request("OPTIONS", headers=f"X-URI: {uri}")
        alice.expect(200)


@room.case("route[ruri] {" + RURI.replace("MODE", "") + "}")
def test_ruri(s: Scene) -> None:
    with_ruris(s)


@room.case("route[ruri_last] {" + RURI.replace("MODE", '"1"') + "}")
def test_ruri_last(s: Scene) -> None:
    """Real Kamailio finds the last alias only where something follows it, and dies of a bad one."""
    with_ruris(s, "sip:a@h;alias=1.1.1.1~1~1;x;alias=1.2.3.4~5061~2;b=c", "sip:a@h;x")


@other.case("route[ruri_other] {" + RURI.replace("MODE", '"0"') + "}")
def test_ruri_other(s: Scene) -> None:
    with_ruris(s)


HEAD = "v=0\r\no=- 1 1 IN IP4 10.1.1.1\r\ns=-\r\n"
SDPS = (
    HEAD + "c=IN IP4 10.1.1.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n",
    HEAD + "c=IN IP4 8.8.8.8\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\nc=IN IP4 192.168.1.1\r\nm=video 4002 RTP/AVP 31\r\n",
    HEAD + "t=0 0\r\nm=audio 4000 RTP/AVP 0\r\nc=IN IP4 127.0.0.1\r\n",
    HEAD + "c=IN IP4 0.0.0.0\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n",
    HEAD + "c=IN IP6 2001:db8::1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n",
    HEAD + "c=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\nc=IN IP4 127.0.0.1\r\nm=audio 4002 RTP/AVP 0\r\n"
    "c=IN IP4 9.9.9.9\r\n",
)  # fmt: skip


def with_sdps(s: Scene, *flags: int) -> None:
    alice = s.agent("alice")
    for body in SDPS:
        for flag in flags:
            alice.request("MESSAGE", headers=f"Content-Type: application/sdp\nX-Flags: {flag}", body=body)
            alice.expect(200)
    alice.request("MESSAGE", headers=f"X-Flags: {flags[0]}")
    alice.expect(200)


SDP = """
    if ($hdr(X-IP) == $null) { fix_nated_sdp("$(hdr(X-Flags){s.int})"); }
    xlog("L_NOTICE", "$hdr(X-Flags): $rc\\n");
    msg_apply_changes();
    xlog("L_NOTICE", "[$rb]\\n");
"""


@room.case("route[sdp] {" + SDP + "}")
def test_sdp(s: Scene) -> None:
    with_sdps(s, 1, 2, 3, 4, 8, 10, 15)


@other.case("route[sdp_other] {" + SDP.replace("s.int})", 's.int})", "4.4.4.4') + "}")
def test_sdp_other(s: Scene) -> None:
    with_sdps(s, 2, 4, 10)


@room.case("route[sdp_tests] {" + TESTS + "}")
def test_sdp_tests(s: Scene) -> None:
    with_sdps(s, 0)


@room.case("""
route[registered] {
    if ($hdr(X-How) == "contact") { fix_nated_contact(); }
    if ($hdr(X-How) == "alias") { set_contact_alias(); }
    if ($hdr(X-How) == "register") { fix_nated_register(); }
    xlog("L_NOTICE", "$avp(rcv)\\n");
    save("location");
    exit;
}
""")
def test_registered(s: Scene) -> None:
    """What the registrar keeps of a contact that was corrected."""
    alice = s.agent("alice")
    for how in ("contact", "alias", "register", "nothing"):
        alice.request("REGISTER", headers=f"X-How: {how}\nContact: <sip:{how}@10.1.1.1:5070;x=y>")
        alice.expect(200)


@pinging.case("""
route[pings] {
    setbflag(6);
    if ($hdr(X-How) == "sip") { setbflag(7); }
    save("location");
    exit;
}
""", differs="pings come when it is their time")  # fmt: skip
def test_pings(s: Scene) -> None:
    """Contacts behind a NAT get requests or empty datagrams, until that is switched off."""
    alice, bob = s.agents("alice", "bob")
    alice.request("REGISTER", headers=f"X-How: sip\nContact: <sip:alice@{alice.host}>;expires=60")
    alice.expect(200)
    ping = alice.expect("OPTIONS")
    assert ping.uri == f"sip:alice@{alice.host}"
    assert ping.first("From").startswith("sip:pinger@example.test;tag=") or "pinger" in ping.first("From")
    assert ping.first("CSeq") == "1 OPTIONS"
    alice.reply(ping, 200)
    bob.request("REGISTER", headers=f"X-How: empty\nContact: <sip:bob@{bob.host}>;expires=60")
    bob.expect(200)
    deadline = time.monotonic() + 5
    while not any(arrival.message.text == "\0\0\0\0" for arrival in bob.arrivals):
        assert time.monotonic() < deadline, "no empty datagram"
        bob.listen(0.1)
    assert "error" not in kamcmd(s.server.ctl, "nathelper.enable_ping", "0")
    alice.listen(1.2)
    count = len(alice.arrivals)
    alice.listen(1.5)
    assert len(alice.arrivals) == count, "pings go on"
    kamcmd(s.server.ctl, "nathelper.enable_ping", "1")
    alice.expect("OPTIONS")


@room.case("route[no_pings] { return; }")
def test_no_pings(s: Scene) -> None:
    s.note(kamcmd(s.server.ctl, "nathelper.enable_ping", "1"))
    s.note(kamcmd(s.server.ctl, "nathelper.enable_ping"))
