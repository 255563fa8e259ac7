"""REGISTER and lookup: the replies to those who register, and where calls to them go."""

from __future__ import annotations

from kit.agent import Agent
from kit.calls import ring
from kit.room import Room
from kit.scene import Scene
from kit.sip import Sip

room = Room(
    "registrar",
    modules="usrloc registrar",
    params="""
modparam("usrloc", "nat_bflag", 6)
modparam("registrar", "max_expires", 7200)
modparam("registrar", "xavp_cfg", "regcfg")
modparam("registrar", "xavp_rcd", "rcd")
modparam("registrar", "received_avp", "$avp(rcv)")
modparam("registrar", "retry_after", 30)
modparam("registrar", "method_filtering", 1)
modparam("registrar", "sock_flag", 18)
modparam("registrar", "sock_hdr_name", "Sock-Info")
modparam("tm", "contacts_avp", "tm_contacts")
modparam("tm", "contact_flows_avp", "tm_flows")
""",
)

RUID = r"uloc-[0-9a-f]+-[0-9a-f]+-[0-9a-f]+"
SAVE = """
route[{name}] {{
    {before}
    save("location"{flags});
    xlog("L_NOTICE", "save $rc\\n");
}}
"""


def saving(name: str, before: str = "", flags: str = "") -> str:
    return SAVE.format(name=name, before=before, flags=flags)


def register(agent: Agent, *contacts: str, status: int = 200, headers: str = "", **more: object) -> Sip:
    """A REGISTER with these Contact headers, and its answer."""
    lines = "\n".join([f"Contact: {contact}" for contact in contacts] + ([headers] if headers else []))
    agent.request("REGISTER", headers=lines, **more)  # type: ignore[arg-type]
    return agent.expect(status)


def about(s: Scene) -> None:
    """Seconds pass between one request and the next."""
    s.mask(r"expires=\d+")


@room.case(saving("new"))
def test_new(s: Scene) -> None:
    """Nothing said, Expires header, expires parameter, both."""
    register(
        s.agent("alice"), "<sip:alice@10.0.0.1:5062;transport=udp>;q=0.7", headers="Expires: 600\nUser-Agent: ua/1"
    )


@room.case(saving("several"))
def test_several(s: Scene) -> None:
    """Several contacts at once come back in the order of their q."""
    register(
        s.agent("alice"),
        '<sip:a@10.0.0.1>;q=0.1, "A B" <sip:b@10.0.0.1>;q=1;expires=100',
        "sip:c@10.0.0.1;q=0.5",
        "<sip:d@10.0.0.1;x=y>",
        "<sip:e@10.0.0.1>;expires=0",
        "<sip:f@10.0.0.1>;expires=99999",
    )


@room.case(saving("refresh"))
def test_refresh(s: Scene) -> None:
    about(s)
    alice = s.agent("alice")
    register(alice, "<sip:a@10.0.0.1>", call_id="refresh")
    register(alice, "<sip:b@10.0.0.1>", call_id="refresh", cseq=2)
    register(alice, "<sip:a@10.0.0.1>;q=0.5", call_id="refresh", cseq=3)
    register(alice, call_id="refresh", cseq=4)
    register(alice, "<sip:a@10.0.0.1>;expires=0", call_id="refresh", cseq=5)
    register(alice, "*", headers="Expires: 0", call_id="refresh", cseq=6)
    register(alice, call_id="refresh", cseq=7)


BAD = {
    "star_expires": ("*", "Expires: 10"),
    "star_none": ("*", ""),
    "star_mixed": ("*\nContact: <sip:a@h>", "Expires: 0"),
    "star_second": ("<sip:a@h>\nContact: *", "Expires: 0"),
    "star_comma": ("*, <sip:a@h>", "Expires: 0"),
    "bad_contact": ("<sip:a@h", ""),
    "bad_uri": ("<sip:>", ""),
    "bad_q": ("<sip:a@h>;q=2", ""),
    "bad_q_text": ("<sip:a@h>;q=abc", ""),
    "bad_expires_param": ("<sip:a@h>;expires=abc", ""),
    "negative": ("<sip:a@h>;expires=-5", ""),
    "huge": ("<sip:a@h>;expires=4294967295", ""),
    "huger": ("<sip:a@h>;expires=4294967296", ""),
    "bad_expires": ("<sip:a@h>", "Expires: abc"),
    "mixed_expires": ("<sip:a@h>", "Expires: 100abc"),
    "empty_expires": ("<sip:a@h>", "Expires:"),
    "short": ("<sip:a@h>;expires=5", ""),
    "empty_contact": ("", ""),
    "long_contact": (f"<sip:{'a' * 510}@h>", ""),
    "bad_methods": ('<sip:a@h>;methods="INVITE, FOO"', ""),
    "tel": ("<tel:+49123>", ""),
    "q_digits": ("<sip:a@h>;q=0.12345", ""),
    "q_dot": ("<sip:a@h>;q=.5", ""),
    "q_one": ("<sip:a@h>;q=1.0", ""),
    "q_empty": ("<sip:a@h>;q=", ""),
    "instance_plain": ("<sip:a@h>;+sip.instance=abc;reg-id=1", ""),
    "reg_id_bad": ('<sip:a@h>;+sip.instance="<urn:uuid:1>";reg-id=0', ""),
    "reg_id_second": ('<sip:a@h>, <sip:b@h>;+sip.instance="<urn:uuid:1>";reg-id=x', ""),
    "twice": ("<sip:a@h>;q=0.1;expires=100, <sip:a@h>;q=0.5;expires=200, <sip:b@h>", ""),
    "twice_instance": ('<sip:a@h>;+sip.instance="<x>";q=0.1, <sip:b@h>;+sip.instance="<x>";q=0.5', ""),
    "duplicate": ("<sip:a@h>;q=0.1, <sip:a@h>;q=0.5", ""),
}


@room.case(saving("odd"))
def test_odd(s: Scene) -> None:
    """What is refused, and what is understood nevertheless; each by an address of record of its own."""
    alice = s.agent("alice")
    for name, (contact, headers) in BAD.items():
        s.note(name)
        lines = f"Contact: {contact}\n{headers}".strip()
        alice.request("REGISTER", uri=f"sip:odd@{s.host}", user=f"odd-{name}", headers=lines)
        alice.listen(0.02)
        s.fence()


ROUTING = """
route[{name}] {{
    if (is_method("REGISTER")) {{ save("location"); exit; }}
    {before}
    lookup("location"); $var(found) = $rc;
    xlog("L_NOTICE", "lookup $rc: $ru [$du] [$br] bflags $bf [$(branch(uri)[0])] [$(branch(q)[0])]\\n");
    xlog("L_NOTICE", "[$ruid] [$location_ua] $fs\\n");
    if ($var(found) < 0) {{ sl_send_reply("404", "Nobody"); exit; }}
    t_relay();
}}
"""


@room.case(ROUTING.format(name="call", before=""))
def test_call(s: Scene) -> None:
    """A call to a registered user."""
    s.mask(RUID)
    alice, bob = s.agents("alice", "bob")
    register(bob, f"<sip:bob@{bob.host};x=y>")
    alice.request("INVITE")
    call = ring(alice, bob)
    bob.reply(call, 200)
    alice.expect(200)


def registered(s: Scene, *names: str, **q: str) -> list[Agent]:
    """Agents, all of them contacts of the case's address of record."""
    agents = s.agents(*names)
    contacts = [f"<sip:{agent.name}@{agent.host}>{q.get(agent.name, '')}" for agent in agents]
    register(agents[0], ", ".join(contacts))
    return agents


@room.case(ROUTING.format(name="parallel", before=""))
def test_parallel(s: Scene) -> None:
    """All contacts ring; the first that answers has the call."""
    s.mask(RUID)
    alice = s.agent("alice")
    agents = registered(s, "bob", "carol", "dave", bob=";q=0.1", carol=";q=0.9")
    alice.request("INVITE")
    calls = [agent.expect("INVITE") for agent in agents]
    for agent, call in zip(agents, calls, strict=True):
        agent.reply(call, 180)
        alice.expect(180)
        s.fence()
    agents[2].reply(calls[2], 200)
    alice.expect(200)
    for agent, call in zip(agents[:2], calls, strict=False):
        agent.reply(agent.expect("CANCEL"), 200)
        agent.reply(call, 487)
        agent.expect("ACK")


@room.case(
    """
route[serial] {
    if (is_method("REGISTER")) { save("location"); exit; }
    lookup("location");
    t_load_contacts();
    t_next_contacts();
    t_on_failure("NEXT_SERIAL");
    t_relay();
}
failure_route[NEXT_SERIAL] {
    if (t_next_contacts()) {
        xlog("L_NOTICE", "next $ru\\n");
        t_on_failure("NEXT_SERIAL");
        t_relay();
    }
}
"""
)
def test_serial(s: Scene) -> None:
    """Contacts are tried in groups of the same q, best first."""
    alice = s.agent("alice")
    bob, carol, dave = registered(s, "bob", "carol", "dave", bob=";q=0.1", carol=";q=0.9", dave=";q=0.9")
    sent = alice.request("INVITE")
    for agent in (carol, dave):
        agent.reply(agent.expect("INVITE"), 486)
        agent.expect("ACK")
    bob.reply(bob.expect("INVITE"), 404)
    bob.expect("ACK")
    alice.ack(sent, alice.expect(404))


@room.case(
    """
route[received] {
    if (is_method("REGISTER")) {
        $avp(rcv) = "sip:" + $si + ":" + $sp + ";transport=udp";
        setbflag(6); setbflag(2);
        save("location");
        exit;
    }
    lookup("location");
    xlog("L_NOTICE", "$ru [$du] [$bf] [$xavp(rcd=>received)] [$xavp(rcd=>contact)]\\n");
    t_relay();
}
"""
)
def test_received(s: Scene) -> None:
    """The contact is unreachable; what it was received from is not."""
    alice, bob = s.agents("alice", "bob")
    register(bob, "<sip:bob@192.0.2.1>", '<sip:two@192.0.2.1>;received="sip:192.0.2.9:7"')
    alice.request("MESSAGE")
    bob.reply(bob.expect("MESSAGE"), 200)
    alice.expect(200)


@room.case(saving("no_reply", flags=', "0x02"').replace("xlog(", 'sl_send_reply("200", "by the script");\n    xlog('))
def test_no_reply(s: Scene) -> None:
    register(s.agent("alice"), "<sip:a@10.0.0.1>")


@room.case(saving("reply_later", flags=', "2"').replace("xlog(", "reg_send_reply();\n    xlog("))
def test_reply_later(s: Scene) -> None:
    about(s)
    alice = s.agent("alice")
    register(alice, "<sip:a@10.0.0.1>", "<sip:b@10.0.0.1>")
    register(alice, "*", status=400)


@room.case(saving("reply_prepared", flags=', "0x12"').replace("xlog(", 'sl_send_reply("200", "Fine");\n    xlog('))
def test_reply_prepared(s: Scene) -> None:
    register(s.agent("alice"), "<sip:a@10.0.0.1>")


@room.case(saving("one_contact", flags=', "0x04"'))
def test_one_contact(s: Scene) -> None:
    about(s)
    alice = s.agent("alice")
    for cseq, contacts in enumerate(
        (["<sip:a@h>, <sip:b@h>"], ["<sip:b@h>, <sip:c@h>"], ["<sip:c@h>"], ["<sip:c@h>;expires=0"], ["<sip:d@h>"]), 1
    ):
        register(alice, *contacts, call_id="one", cseq=cseq)


@room.case(saving("another_uri", flags=', "0", "sip:Some%20One@elsewhere;x=y"'))
def test_another_uri(s: Scene) -> None:
    about(s)
    alice = s.agent("alice")
    register(alice, "<sip:a@10.0.0.1>")
    alice.request("REGISTER", uri=f"sip:another_uri@{s.host}", user="somebody", headers="Contact: <sip:b@10.0.0.1>")
    alice.expect(200)


@room.case(saving("cseq"))
def test_cseq(s: Scene) -> None:
    """Requests out of order and repeated ones, of the same and of another call."""
    about(s)
    alice = s.agent("alice")
    register(alice, "<sip:a@h>;q=0.5", call_id="one", cseq=10)
    register(alice, "<sip:a@h>;q=0.6", call_id="one", cseq=10)
    register(alice, "<sip:a@h>;q=0.7", call_id="one", cseq=9, status=400)
    register(alice, "<sip:b@h>, <sip:a@h>;q=0.7", call_id="one", cseq=9, status=400)
    register(alice, "<sip:a@h>;q=0.8", call_id="two", cseq=1)
    register(alice, "<sip:a@h>;expires=0", call_id="two", cseq=1)
    register(alice, "<sip:a@h>;expires=0", call_id="two", cseq=2)


@room.case(saving("order"))
def test_order(s: Scene) -> None:
    """Where a contact goes when its q changes."""
    about(s)
    alice = s.agent("alice")
    register(alice, "<sip:a@h>;q=0.9, <sip:b@h>;q=0.5, <sip:c@h>, <sip:d@h>;q=0.1", call_id="order", cseq=1)
    for cseq, contact in enumerate(
        ("<sip:b@h>;q=1", "<sip:a@h>;q=0.3", "<sip:c@h>;q=0", "<sip:d@h>;q=0.9", "<sip:b@h>;q=0.4", "<sip:e@h>;q=0.4"),
        2,
    ):
        register(alice, contact, call_id="order", cseq=cseq)


@room.case(
    saving(
        "cfg_of_script",
        before="""
    $xavp(regcfg=>x) = 1;
    if ($hdr(X-Max) != $null) { $xavp(regcfg[0]=>max_contacts) = $(hdr(X-Max){s.int}); }
    if ($hdr(X-Expires) != $null) { $xavp(regcfg[0]=>expires) = $(hdr(X-Expires){s.int}); }
    if ($hdr(X-Q) != $null) { $xavp(regcfg[0]=>q) = $(hdr(X-Q){s.int}); }
""",
    )
)
def test_cfg_of_script(s: Scene) -> None:
    """What the script sets for one request: limit, expires, q."""
    about(s)
    alice = s.agent("alice")
    register(alice, "<sip:a@h>, <sip:b@h>, <sip:c@h>", headers="X-Max: 2", status=503, call_id="x")
    register(alice, "<sip:a@h>, <sip:b@h>", headers="X-Max: 2\nX-Expires: 500", call_id="x", cseq=2)
    register(alice, "<sip:c@h>", headers="X-Max: 2", status=503, call_id="x", cseq=3)
    register(alice, "<sip:c@h>, <sip:a@h>;expires=0", headers="X-Max: 2", call_id="x", cseq=4)
    register(alice, "<sip:d@h>", headers="X-Expires: 1\nX-Q: 300", call_id="x", cseq=5)
    register(alice, "<sip:e@h>", headers="X-Q: 1300", call_id="x", cseq=6, status=400)
    register(alice, "<sip:b@h>", headers="X-Expires: 0", call_id="x", cseq=7)


GRUU = '<sip:{name}@{host}>;+sip.instance="<urn:uuid:{name}>"'


@room.case(ROUTING.format(name="gruu", before=""))
def test_gruu(s: Scene) -> None:
    """Public and temporary GRUUs, and calls to them."""
    s.mask(RUID)
    s.mask("gruu-[0-9a-f]+@")
    alice, bob, carol = s.agents("alice", "bob", "carol")
    values = [GRUU.format(name=agent.name, host=agent.host) for agent in (bob, carol)]
    answer = register(bob, *values, headers="Supported: gruu, path")
    register(bob, headers="Supported: path", call_id="other")
    public, temporary = (
        answer.first("Contact").split(f'{kind}="')[2].split('"')[0] for kind in ("pub-gruu", "temp-gruu")
    )
    public = public.replace("@example.test", f"@{s.host}")
    for uri in (public, public.replace("carol", "nobody")):
        alice.request("MESSAGE", uri=uri)
        s.fence()
    carol.reply(carol.expect("MESSAGE"), 200)
    assert temporary
    s.note(temporary.split("@")[1])


@room.case(
    """
route[temporary] {
    if (is_method("REGISTER")) { save("location"); exit; }
    lookup("location", "$hdr(X-To)"); $var(found) = $rc;
    xlog("L_NOTICE", "lookup $rc: $ru\\n");
    if ($var(found) < 0) { sl_send_reply("404", "Nobody"); exit; }
    t_relay();
}
"""
)
def test_temporary(s: Scene) -> None:
    """A temporary GRUU leads to its instance."""
    alice, bob = s.agents("alice", "bob")
    answer = register(bob, GRUU.format(name="bob", host=bob.host), headers="Supported: gruu")
    s.mask(r'temp-gruu="[^"]*"')
    s.mask(r"X-To: .*")
    temporary = answer.first("Contact").split('temp-gruu="')[1].split('"')[0]
    user, _, rest = temporary.removeprefix("sip:").partition("@")
    alice.request("MESSAGE", headers=f"X-To: {temporary}")
    bob.reply(bob.expect("MESSAGE"), 200)
    alice.expect(200)
    for uri in (
        f"sip:x{user}@{rest}",
        f"sip:{user[:-1]}{'1' if user[-1] != '1' else '2'}@{rest}",
        f"sip:{user}x@{rest}",
        "sip:nodash@h;gr",
        "sip:h;gr",
    ):
        alice.request("MESSAGE", headers=f"X-To: {uri}")
        alice.expect(404)


@room.case(saving("instance"))
def test_instance(s: Scene) -> None:
    """The same instance from another place, in the same call and in another one, with reg-ids."""
    about(s)
    s.mask(RUID)
    alice = s.agent("alice")
    one, other = ';+sip.instance="<urn:uuid:1>"', ';+sip.instance="<urn:uuid:2>"'
    register(alice, f"<sip:a@h>{one}", call_id="i", cseq=1)
    register(alice, f"<sip:b@h>{one}", call_id="i", cseq=2)
    register(alice, f"<sip:c@h>{one};reg-id=1", f"<sip:d@h>{one};reg-id=2", f"<sip:e@h>{other}", call_id="i", cseq=3)
    register(alice, f"<sip:f@h>{one};reg-id=1", call_id="j", cseq=1)
    register(alice, f"<sip:g@h>{one};reg-id=1;expires=0", call_id="k", cseq=1)
    register(alice, f"<sip:g@h>{other};q=0.5", call_id="k", cseq=0)


@room.case(
    """
route[look] {
    if (is_method("REGISTER")) { save("location"); exit; }
    registered("location"); xlog("L_NOTICE", "registered $rc $xavp(rcd=>contact) $xavp(rcd=>path)\\n");
    registered("location", "sip:nobody@h"); xlog("L_NOTICE", "registered $rc\\n");
    registered("location", "bad"); xlog("L_NOTICE", "registered $rc\\n");
    $xavp(regcfg=>match_callid) = "look-two";
    $xavp(regcfg[0]=>match_contact) = "sip:b@h";
    registered("location", "$ru", 1); xlog("L_NOTICE", "registered $rc $xavp(rcd=>contact)\\n");
    registered("location", "$ru", "4", 2); xlog("L_NOTICE", "registered $rc $xavp(rcd=>contact)\\n");
    $xavp(regcfg[0]=>match_contact) = "sip:c@h";
    registered("location", "$ru", "5"); xlog("L_NOTICE", "registered $rc\\n");
    lookup("location", "sip:nobody@h"); xlog("L_NOTICE", "lookup $rc $ru\\n");
    lookup("location", "bad"); xlog("L_NOTICE", "lookup $rc $ru\\n");
    lookup_to_dset("location", "$ru");
    xlog("L_NOTICE", "dset $rc $ru $(branch(uri)[0]) $(branch(uri)[1]) $branch(count)\\n");
    clear_branches();
    lookup("location"); xlog("L_NOTICE", "lookup $rc $ru $(branch(uri)[0]) $branch(count) q $(branch(q)[0])\\n");
    xlog("L_NOTICE", "[$xavp(rcd[0]=>contact)] [$xavp(rcd[1]=>contact)]\\n");
    lookup("location"); xlog("L_NOTICE", "lookup $rc $ru\\n");
    sl_send_reply("200", "done");
}
"""
)
def test_look(s: Scene) -> None:
    """registered(), lookup() and lookup_to_dset(), with and without a URI."""
    alice = s.agent("alice")
    register(alice, "<sip:a@h>;q=0.3", call_id="look-one")
    register(alice, "<sip:b@h>;q=0.2", call_id="look-two")
    alice.request("OPTIONS")
    alice.expect(200)


@room.case(
    """
route[branches] {
    if (is_method("REGISTER")) { save("location"); exit; }
    append_branch("sip:branches-two@h");
    append_branch("sip:nobody@h");
    append_branch("sip:branches-two@h"); $(branch(dst_uri)[2]) = "sip:x@y";
    lookup_branches("location");
    xlog("L_NOTICE", "$rc $ru [$du] $br\\n");
    xlog("L_NOTICE", "$branch(count): [$(branch(uri)[0])] [$(branch(uri)[1])] [$(branch(uri)[2])]\\n");
    xlog("L_NOTICE", "[$(branch(uri)[3])] [$(branch(uri)[4])]\\n");
    sl_send_reply("200", "done");
}
"""
)
def test_branches(s: Scene) -> None:
    """lookup_branches()"""
    alice = s.agent("alice")
    register(alice, "<sip:a@h>;q=0.3, <sip:b@h>")
    alice.request(
        "REGISTER", uri=f"sip:branches@{s.host}", user="branches-two", headers="Contact: <sip:t@h>, <sip:u@h>"
    )
    alice.expect(200)
    alice.request("OPTIONS")
    alice.expect(200)


@room.case(
    """
route[fetch] {
    if (is_method("REGISTER")) { save("location"); exit; }
    reg_fetch_contacts("location", "sip:nobody@h", "p"); xlog("L_NOTICE", "$rc [$ulc(p=>count)] [$ulc(p=>aor)]\\n");
    reg_fetch_contacts("location", "$ru", "p");
    xlog("L_NOTICE", "$rc $ulc(p=>count) $ulc(p=>aor) $ulc(p=>domain) $ulc(p=>aorhash)\\n");
    xlog("L_NOTICE", "$ulc(p=>addr) $ulc(p=>path) $ulc(p=>received) $ulc(p=>callid) $ulc(p=>q) $ulc(p=>cseq)\\n");
    xlog("L_NOTICE", "$ulc(p=>flags) $ulc(p=>cflags) $ulc(p=>user_agent) $ulc(p=>socket) $ulc(p=>methods)\\n");
    xlog("L_NOTICE", "$ulc(p=>ruid) $ulc(p=>regid) $ulc(p=>instance) $ulc(p=>conid) $ulc(p=>server_id)\\n");
    xlog("L_NOTICE", "$(ulc(p=>addr)[1]) $(ulc(p=>q)[1]) $(ulc(p=>addr)[2]) $(ulc(p=>addr)[-1])\\n");
    xlog("L_NOTICE", "$(ulc(p=>methods)[1])\\n");
    if ($ulc(p=>expires) - $TS > 3500) { xlog("L_NOTICE", "expires\\n"); }
    if ($TS - $ulc(p=>modified) < 5) { xlog("L_NOTICE", "modified\\n"); }
    $ulc(p=>addr) = "x"; xlog("L_NOTICE", "$ulc(p=>addr)\\n");
    unregister("location", "$ru", "$ulc(p=>ruid)"); xlog("L_NOTICE", "unregister $rc\\n");
    unregister("location", "$ru", "$ulc(p=>ruid)"); xlog("L_NOTICE", "unregister $rc\\n");
    reg_fetch_contacts("location", "$ru", "q"); xlog("L_NOTICE", "$ulc(q=>count) $ulc(p=>count)\\n");
    unregister("location", "$ru"); xlog("L_NOTICE", "unregister $rc\\n");
    unregister("location", "$ru"); xlog("L_NOTICE", "unregister $rc\\n");
    unregister("location", "bad"); xlog("L_NOTICE", "unregister $rc\\n");
    reg_fetch_contacts("location", "$ru", "q"); xlog("L_NOTICE", "$rc [$ulc(q=>count)]\\n");
    reg_free_contacts("p"); xlog("L_NOTICE", "$rc [$ulc(p=>count)]\\n");
    sl_send_reply("200", "done");
}
"""
)
def test_fetch(s: Scene) -> None:
    """$ulc(...), and unregister() by what it says."""
    s.mask(RUID)
    alice = s.agent("alice")
    contact = '<sip:a@h>;q=0.5;+sip.instance="<i>";reg-id=3;methods="INVITE,BYE,FOO"'
    register(alice, contact, "<sip:b@h>", headers="User-Agent: ua/1.0 (x)")
    alice.request("OPTIONS")
    alice.expect(200)


@room.case(ROUTING.format(name="methods", before=""))
def test_methods(s: Scene) -> None:
    """Contacts that cannot take a method are left out, but within a dialog."""
    s.mask(RUID)
    alice, bob, carol = s.agents("alice", "bob", "carol")
    register(bob, f'<sip:b@{bob.host}>;methods="INVITE"', headers="Allow: OPTIONS, MESSAGE", call_id="m")
    alice.request("INFO")
    s.fence()
    register(bob, f"<sip:c@{carol.host}>", headers="Allow: OPTIONS, MESSAGE\nAllow: FOO", call_id="m", cseq=2)
    alice.request("MESSAGE")
    carol.reply(carol.expect("MESSAGE"), 200)
    alice.expect(200)
    alice.request("INFO", to_tag="t")
    bob.reply(bob.expect("INFO"), 200)
    carol.reply(carol.expect("INFO"), 200)


@room.case(
    """
route[sock_header] {
    if ($hdr(Sock-Info) != $null) { setflag(18); }
    if (is_method("REGISTER")) { save("location"); exit; }
    add_sock_hdr("Sock-Info");
    lookup("location");
    xlog("L_NOTICE", "$fs\\n");
    t_relay();
}
"""
)
def test_sock_header(s: Scene) -> None:
    alice, bob = s.agents("alice", "bob")
    register(bob, f"<sip:b@{bob.host}>", headers=f"Sock-Info: udp:{s.host}")
    register(bob, f"<sip:c@{bob.host}>;q=0.5", headers="Sock-Info: udp:10.0.0.1:5060")
    alice.request("MESSAGE")
    bob.reply(bob.expect("MESSAGE"), 200)
    alice.expect(200)


@room.case(
    """
route[stateful] { t_newtran(); save("location"); xlog("L_NOTICE", "save $rc $T_reply_code\\n"); }
"""
)
def test_stateful(s: Scene) -> None:
    """In a transaction the answer comes from it."""
    register(s.agent("alice"), "<sip:a@h>")


@room.case(
    """
route[from_reply] {
    $du = "sip:" + $hdr(X-To);
    t_on_reply("SAVE_REPLY");
    t_relay();
}
onreply_route[SAVE_REPLY] {
    save("location"); xlog("L_NOTICE", "save $rc\\n");
    registered("location"); xlog("L_NOTICE", "registered $rc\\n");
}
"""
)
def test_from_reply(s: Scene) -> None:
    """save() of what another registrar answered."""
    alice, bob = s.agents("alice", "bob")
    alice.request("REGISTER", headers=f"Contact: <sip:a@h>\nX-To: {bob.host}")
    bob.reply(bob.expect("REGISTER"), 200, headers="Contact: <sip:a@h>;expires=77, <sip:b@h>;expires=88")
    alice.expect(200)


AORS = [
    "<sip:A%20b@example.test>", "<sip:a%zz@example.test>", "<sip:a%01@example.test>", "<sip:example.test>",
    "<tel:+49123>", f"<sip:{'u' * 64}@example.test>", f"<sip:{'u' * 65}@example.test>", f"<sip:u@{'h' * 65}>",
    f"<sip:u@{'h' * 128}>", f"<sip:u@{'h' * 129}>", f"<sip:{'u' * 60}@{'h' * 452}>", "<sip:ok@h>",
    "<sip:@h>", "<sip:a@b@c>", "<nothing>",
]  # fmt: skip


@room.case(saving("aors"))
def test_aors(s: Scene) -> None:
    """Addresses of record that are none, or odd."""
    alice = s.agent("alice")
    for number, to in enumerate(AORS):
        sent = alice.request("REGISTER", headers=f"Contact: <sip:n{number}@h>", send=False)
        alice.send(sent.text.replace("<sip:aors@example.test>", to))
        alice.listen(0.02)
        s.fence()
