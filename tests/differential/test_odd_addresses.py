"""Contact, To, From, Via, Route and Record-Route as nobody should write them: who is understood, and as what."""

from __future__ import annotations

from kit.agent import Agent
from kit.room import Room
from kit.scene import Scene

room = Room(
    "odd_addresses",
    modules="usrloc registrar nathelper",
    params='modparam("registrar", "contact_max_size", 100)',
)

ADDRESSES = [
    "<sip:a@h>", "sip:a@h", "<sip:a@h>;q=1", "<sip:a@h>?q=1", "<sip:..>?q=1", "<sip:..>", "<sip:a@h?q=1>",
    "sip:a@h?q=1", "sip:a@h;q=0.3?x=1", "<sip:a@h> ;q=0.4", "<sip:a@h>; q=0.4", "<sip:a@h>;q = 0.4",
    "<sip:a@h>;q= 0.4 ;x", "< sip:a@h>", "<sip:a@h >", "< sip:a@h >", "<sip:a @h>", "<sip:a@ h>", "<sip:a b@h>",
    "<sip: a@h>", "<\tsip:a@h>", "<sip:a@h\t>", "sip: a@h", "sip:a @h", "sip:a@h ;q=0.4", "sip:a@h x",
    "sip:a@h x;q=0.4", "<sip:a@h> x", "<sip:a@h>x", "x<sip:a@h>", "<sip:a@h>>", "<<sip:a@h>", "<<sip:a@h>>",
    "<sip:a@h><sip:b@h>", "<sip:a@h> <sip:b@h>", "a <sip:a@h>", "a b <sip:a@h>", '"a" <sip:a@h>', '"a"<sip:a@h>',
    '"a" b <sip:a@h>', 'a "b" <sip:a@h>', '"a <sip:a@h>', 'a" <sip:a@h>', '"a"', '"a" sip:a@h', '"a\\"b" <sip:a@h>',
    '"a\\\\" <sip:a@h>', '"a\\" <sip:a@h>', '"a,b" <sip:a@h>', '"a;b" <sip:a@h>', '"a<b" <sip:a@h>', "a,b <sip:a@h>",
    "a;b <sip:a@h>", "a:b <sip:a@h>", "a=b <sip:a@h>", "a\\b <sip:a@h>", "a'b <sip:a@h>", "a@b <sip:a@h>",
    "a(b) <sip:a@h>", "(a) <sip:a@h>", "<sip:a@h>(a)", "<sip:a@h>;(a)", '"" <sip:a@h>', '""', "a", "*", "* ", "*;q=1",
    "<*>", "", "<>", "<>;q=1", "<sip:>", "<sip>", "<:>", "<a>", "<a@h>", "a@h", ";q=1", ",", ",<sip:a@h>",
    "<sip:a@h>,", "<sip:a@h>,,<sip:b@h>", "<sip:a@h>, ,<sip:b@h>", "<sip:a@h>;", "<sip:a@h>;;", "<sip:a@h>;;q=1",
    "<sip:a@h>;=", "<sip:a@h>;=1", "<sip:a@h>;a=", "<sip:a@h>;a=;b", "<sip:a@h>;a==b", "<sip:a@h>;a=b=c",
    "<sip:a@h>;a b", "<sip:a@h>;a b=c", "<sip:a@h>;a=b c", "<sip:a@h>;a,b", "<sip:a@h>;a=b,c", '<sip:a@h>;a="b"',
    '<sip:a@h>;a="b', '<sip:a@h>;a=b"', '<sip:a@h>;a="b"c', '<sip:a@h>;a="b" c', '<sip:a@h>;"a"=b',
    '<sip:a@h>;a="b;c"', '<sip:a@h>;a="b,c"', '<sip:a@h>;a="b\\"c"', '<sip:a@h>;a=""', '<sip:a@h>;a="b";c=d',
    "<sip:a@h>;a=<b>", "<sip:a@h>;a=[b]", "<sip:a@h>;a=b?c", "<sip:a@h>;a?b", "<sip:a@h>;Q=0.5",
    "<sip:a@h>;EXPIRES=100", "<sip:a@h>;q=0.5;q=0.6", "<sip:a@h>;expires=100;expires=200", '<sip:a@h>;expires="100"',
    '<sip:a@h>;q="0.5"', "<sip:a@h>;expires", "<sip:a@h>;q", "<sip:a@h>;expires=", "<sip:a@h>;expires=1e3",
    "<sip:a@h>;expires= 100", "<sip:a@h>;expires=100 ", "<sip:a@h>;q=0.", "<sip:a@h>;q=.", "<sip:a@h>;q=00.5",
    "<sip:a@h>;q=0.5x", "<sip:a@h>;q=1.1", "<sip:a@h>;q=0,5", "<sip:a@h>;received=sip:b@h",
    '<sip:a@h>;received="sip:b@h"', "<sip:a@h>;methods=INVITE", '<sip:a@h>;methods="INVITE, BYE"',
    '<sip:a@h>;methods="INVITE BYE"', "<sip:a@h>;methods", "<sip:a@h>;+sip.instance", '<sip:a@h>;+sip.instance="<x>"',
    "<sip:a@h>;+sip.instance=<x>", "<sips:a@h>", "<tel:123>", "<tel:123;phone-context=x>", "<mailto:a@h>", "<urn:a:b>",
    "<http://h/>", "<SIP:A@H>", "<sip:a:b@h>", "<sip:a:b:c@h>", "<sip:a@b@h>", "<sip:@h>", "<sip:a@>", "<sip:a@h:>",
    "<sip:a@h:x>", "<sip:a@h:99999>", "<sip:a@h:5060:1>", "<sip:a@[::1]>", "<sip:a@[::1>", "<sip:a@::1>", "<sip:a@h;>",
    "<sip:a@h;;>", "<sip:a@h;x=>", "<sip:a@h;=x>", '<sip:a@h;x="y">', '<sip:a@h;x="y>z">', "<sip:a@h;x=y,z>",
    "<sip:a,b@h>", "<sip:a;b@h>", "<sip:a?b@h>", "<sip:a%20b@h>", "<sip:a%zz@h>", "<sip:a%@h>", "<sip:a&b@h>",
    "<sip:a'b@h>", '<sip:a"b@h>', "<sip:a\\b@h>", "<sip:a{b@h>", "<sip:é@h>", "<sip:a@h_x>", "<sip:a@-h>",
    "<sip:a@h->", "<sip:a@.h>", "<sip:a@h.>", "<sip:a@h..x>", "<sip:a@1.2.3>", "<sip:a@1.2.3.4.5>",
    "<sip:a@999.1.1.1>", "<sip:a@h;lr>", "<sip:a@h;lr=on;ftag=x>", "<sip:a@h;transport=foo>",
    "<sip:a@h;transport=TCP>", "é <sip:a@h>", '"é" <sip:a@h>', "<sip:a@h\x01>", "<sip:a@h>\n <sip:b@h>",
    "<sip:a@h>;a=b\n ;c=d", "<sip:a\n @h>", '"a\n b" <sip:a@h>', "a\n b <sip:a@h>", "<sip:a@h>,\n <sip:b@h>",
    "sip:a@h, sip:b@h", "sip:a@h;q=0.1, <sip:b@h>;q=0.2", "<sip:a@h>;q=0.1 <sip:b@h>", "sip:a@h>", "<sip:a@h",
    "a <sip:a@h", "a sip:a@h>", "<sip:a@h>;a='b;c'", "<sip:a@h>;a='b", "<sip:a@h>;a=b'c;d'", '<sip:a@h>;a="b\'c"',
    "<sip:a@h>;q=01", "<sip:a@h>;q=1.", "<sip:a@h>;q=1.0001", "<sip:a@h>;q=0.9999", "<sip:a@h>;q=001.0",
    "<sip:a@h>;q=000", "<sip:a@h>;q=10", "<sip:a@h>;q=-1", "<sip:a@h>;q=+1", "<sip:a@h>;q=0.5.1", "<sip:a@h>;q=.",
    "<sip:a@h>;q=.0", "<sip:a@h>;q=.55555", "<sip:a@h>;q=0.0005", "<sip:a@h>;q=1.000", "<sip:a@h>;q=2",
    '<sip:a@h>;methods="INVITE,BYE"', '<sip:a@h>;methods="INVITE,"', '<sip:a@h>;methods=",INVITE"',
    '<sip:a@h>;methods=""', '<sip:a@h>;methods="INVITE,,BYE"', '<sip:a@h>;methods=" INVITE "', "<sip:a@h>;methods=FOO",
    '<sip:a@h>;methods="FOO BAR"', '<sip:a@h>;methods="INVITE;BYE"', "<sip:a@h>;methods=invite", "<sip:a@h>;methods=",
    '<sip:a@h>;methods="INVITE\tBYE"', "<sip:a@h>;methods=INVITE/BYE", '"a" sip:a@h;q=0.5', "x sip:a@h",
    "x sip:a@h ;q=0.5", "x  sip:a@h,<sip:b@h>", "x sip:a@h , sip:b@hx", "x\tsip:a@h", '"a"sip:a@h', 'a"b"c<sip:a@h>',
    "a:b", "a: b", "a :b", ":", "x :", "a<b>:c", "<sip:a@h>,a", "<sip:a@h>,a:b", "<sip:a@h>;a=b,\t<sip:b@h>",
    "<sip:a@h>;a=b,", "<sip:a@h>;a=b, ", "<sip:a@h>, ", "<sip:a@h> , <sip:b@h>", "sip:a@h ,sip:b@h",
    "<sip:a@h,<sip:b@h>", "<sip:a@h>x,<sip:b@h>", '<sip:a@h;x="y"', 'sip:a"@h', 'sip:a"@h"', "sip:a<@h>", "sip:a<b>@h",
    "sip:a<;q=1>@h;q=0.5", '<sip:a@h";q=1">', '<sip:"a@h>', "<sip:a@h\\>", '<sip:a\\"@h>;q=0.1',
    "<sip:a@h>;expires=99999999999", "<sip:a@h>;expires=-1", "<sip:a@h>;expires=0x10", "<sip:a@h>;expires=+5",
    f"<sip:{'a' * 91}@h>", f"<sip:{'a' * 100}@h>", "<sip:a@h>;x=" + "y" * 300,
]  # fmt: skip

SEEN = """xlog("L_NOTICE", "ct [$ct] [$(ct{nameaddr.name})] [$(ct{nameaddr.uri})] $(ct{nameaddr.len})
[$hfl(Contact)] [$(hfl(Contact)[1])] $hflc(Contact)
[$sel(contact)] [$sel(contact.uri)] [$sel(contact.uri.host)] [$sel(contact.name)] [$sel(contact.q)]
[$sel(contact.expires)] [$sel(contact.params.a)] [$sel(contact.received)]\\n");"""
"""What a script sees of Contact."""


def each(s: Scene, agent: Agent, method: str, header: str, values: list[str], **more: str) -> None:
    """Send a request for each value of a header, the value's number being its user."""
    for number, value in enumerate(values):
        s.note(f"{number}: {value!r}")
        text = agent.request(method, send=False, user=f"{s.name}", cseq=number + 1, **more).text  # type: ignore[arg-type]
        start, *lines = text.split("\r\n")
        kept = [line for line in lines if not line.startswith(f"{header}:")]
        agent.send("\r\n".join([start, f"{header}: {value}".replace("\n", "\r\n"), *kept]))
        s.fence()
        agent.drain()


@room.case("""
route[contacts] {
    if (is_method("REGISTER")) {
        save("location"); xlog("L_NOTICE", "save $rc\\n");
        unregister("location", "$tu");
        exit;
    }
}
""")
def test_contacts(s: Scene) -> None:
    each(s, s.agent("alice"), "REGISTER", "Contact", ADDRESSES)


@room.case(f"""
route[contact_seen] {{ {SEEN} sl_send_reply("200", "OK"); }}
""")
def test_contact_seen(s: Scene) -> None:
    each(s, s.agent("alice"), "INVITE", "Contact", ADDRESSES)


PARTIES = """xlog("L_NOTICE", "[$tu] [$tU] [$td] [$tn] [$tt] [$fu] [$fU] [$fd] [$fn] [$ft] [$(hdr(Max-Forwards))] [$ru]
[$sel(to.uri)] [$sel(to.name)] [$sel(to.tag)] [$sel(to.params.a)] [$sel(from.uri)] [$sel(from.name)] [$sel(from.tag)]
[$sel(from.params.a)]\\n");"""


@room.case(f"""
route[to] {{ {PARTIES} if (is_method("INVITE")) {{ t_reply("200", "OK"); }} else {{ sl_send_reply("200", "OK"); }} }}
""")
def test_to(s: Scene) -> None:
    each(s, s.agent("alice"), "OPTIONS", "To", ADDRESSES)


@room.case(f"""
route[from] {{ {PARTIES} sl_send_reply("200", "OK"); }}
""")
def test_from(s: Scene) -> None:
    each(s, s.agent("alice"), "OPTIONS", "From", ADDRESSES)


RELAYED = """xlog("L_NOTICE", "[$ru] [$du] [$(hdr(Route))] [$(hdr(Route)[1])]
[$hfl(Route)] [$(hfl(Route)[1])] $hflc(Route)\\n");"""


@room.case(f"""
route[routed] {{
    loose_route(); $var(found) = $rc;
    xlog("L_NOTICE", "loose_route $var(found) $ru $du\\n");
    {RELAYED}
    remove_hf("X"); $du = "sip:127.0.0.1:" + $sp; forward();
}}
""")
def test_routed(s: Scene) -> None:
    each(s, s.agent("alice"), "OPTIONS", "Route", ADDRESSES, to_tag="x")


VIAS = [
    "{usual}", "{usual};rport", "{usual};rport=5", "{usual};rport=", "{usual};received=1.2.3.4", "{usual};received=",
    "{usual};received", "{usual};a", "{usual};a=", "{usual};a=b", '{usual};a="b"', '{usual};a="b', "{usual};a=b c",
    "{usual};a b", "{usual};", "{usual};;", "{usual} ;a", "{usual}; a", "{usual};a = b", "{usual};a=b,c", "{usual},",
    "{usual}, ", "{usual},x", "{usual},SIP/2.0/UDP h", "{usual} , SIP/2.0/UDP h;branch=z9hG4bKx", "{usual} (comment)",
    "{usual};a=(b)", "{usual}\t", "\t{usual}", "{usual};branch=z9hG4bKother", "SIP/2.0/UDP {host}",
    "SIP/2.0/UDP {host};", "SIP/2.0/UDP {host};branch", "SIP/2.0/UDP {host};branch=", "SIP/2.0/UDP {host};branch=x",
    "SIP/2.0/UDP {host};BRANCH=z9hG4bK1", "SIP/2.0/UDP {host};branch=Z9HG4BK1", "sip/2.0/udp {host};branch=z9hG4bK2",
    "SIP/2.0/TCP {host};branch=z9hG4bK3", "SIP/2.0/FOO {host};branch=z9hG4bK4", "SIP/2.0/ {host};branch=z9hG4bK5",
    "SIP/3.0/UDP {host};branch=z9hG4bK6", "SIP/2.0 UDP {host};branch=z9hG4bK7",
    "SIP / 2.0 / UDP {host} ; branch = z9hG4bK8", "SIP/2.0/UDP\t{host};branch=z9hG4bK9",
    "SIP/2.0/UDP  {host};branch=z9hG4bKa", "SIP/2.0/UDP\n {host};branch=z9hG4bKb",
    "SIP/2.0/UDP {host}\n ;branch=z9hG4bKc", "SIP/2.0/UDP;branch=z9hG4bKd", "SIP/2.0/UDP ;branch=z9hG4bKe",
    "HTTP/1.1/UDP {host};branch=z9hG4bKf", "{host}", "", ",", ";", "nonsense", "SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKg",
    "SIP/2.0/UDP 127.0.0.1:;branch=z9hG4bKh", "SIP/2.0/UDP 127.0.0.1:x;branch=z9hG4bKi",
    "SIP/2.0/UDP 127.0.0.1:0;rport;branch=z9hG4bKj", "SIP/2.0/UDP 127.0.0.1:99999;rport;branch=z9hG4bKk",
    "SIP/2.0/UDP 127.0.0.1 : 5060;rport;branch=z9hG4bKl", "SIP/2.0/UDP [::1]:5060;rport;branch=z9hG4bKm",
    "SIP/2.0/UDP [::1;rport;branch=z9hG4bKn", "SIP/2.0/UDP ::1;rport;branch=z9hG4bKo",
    "SIP/2.0/UDP a_b:5;rport;branch=z9hG4bKp", "SIP/2.0/UDP a b;rport;branch=z9hG4bKq",
    "SIP/2.0/UDP a@b;rport;branch=z9hG4bKr", "SIP/2.0/UDP <a>;rport;branch=z9hG4bKs",
    'SIP/2.0/UDP "a";rport;branch=z9hG4bKt', "{usual};ttl=1", "{usual};ttl", "{usual};maddr=127.0.0.1",
    "{usual};maddr", "{usual};hidden", "{usual};alias", "{usual};i=5", "{usual};i", "{usual};rport;rport",
    "{usual};rport=1;rport", "{usual};received=a;received=b", "{usual};comp=sigcomp", "{usual};x=[::1]",
    "{usual};x=1.2.3.4:5", "{usual};x=a/b", "{usual};x=a?b", "{usual};x=é", "{usual};é", "{usual};=x", "{usual};x==y",
    "{usual};x='y", "{usual};<x>", "{usual};x=\\", "{usual};r", "{usual};re=1", "{usual};received2=x",
    "{usual};rports", "{usual};x", '{usual};x="a=b"', '{usual};x=""', '{usual};x="a b"', "{usual};x=", "{usual};x= ",
    "{usual};x=;y", "{usual};ttl=", "{usual};ttl=;x", "{usual};received=;x", "{usual};received= ;x", "{usual};i= (c)",
    "{usual};i= ,SIP/2.0/UDP h", "{usual};branch=;x", "{usual};rport=;x", "{usual};ttl;x", "{usual};i=\n ;x",
    "{usual};i=;", "{usual};maddr=", "{usual};i=", "{usual};alias=", "{usual};al=", "{usual};x y", "{usual};x y=z",
    "{usual};x =z", "{usual};x=a b", "{usual};x=a=b", "{usual};x=a=", '{usual};x="a"b', '{usual};x="a" b',
    '{usual};x=a"b"', '{usual};x"a"', '{usual};"x"=a', "{usual};branch= ", "{usual};rport= 5", "{usual};rport=x",
    "{usual};rport==", "{usual};branch==z9", "{usual};received==x", "{usual};branch=a=b", "{usual};received=a=b",
    "{usual};received=a b", "{usual};branch=a b", "{usual};rport b", "{usual};rport=1 b", "{usual};x,", "{usual};x=y,",
    "{usual};ttl=a=b", "{usual};i==1", "{usual};i=1=2", "{usual};RECEIVED=", "{usual};Received==x",
    "{usual}; received=", "{usual} ; x==y", "SIP/2.0/U/DP {host};branch=z9hG4bKz", "SIP/2.0// {host};branch=z9hG4bKz",
    "SIP/2.0/U;DP {host};branch=z9hG4bKz", "SIP/2.0/U,DP {host};branch=z9hG4bKz",
    "SIP/2.0/\tUDP {host};branch=z9hG4bKz", "SIP/2.0/ UDP {host};branch=z9hG4bKz",
    "SIP /2.0/UDP {host};branch=z9hG4bKz", "SIP/2.0/UDP\t\n\t{host};branch=z9hG4bKz",
    "SIP/2.0/UDP {host} ; branch=z9hG4bKz\n ", "SIP/2.0/U\\DP {host};branch=z9hG4bKz",
]  # fmt: skip


@room.case("""
route[vias] {
    xlog("L_NOTICE", "[$sel(via[1])] [$sel(via[1].host)] [$sel(via[1].port)]
[$sel(via[1].branch)] [$sel(via[1].received)]
[$sel(via[1].params.x)] [$sel(via[1].transport)] $hflc(Via) [$hfl(Via)] [$(hfl(Via)[1])] $hdrc(Via)\\n");
    sl_send_reply("200", "OK");
}
""")
def test_vias(s: Scene) -> None:
    alice = s.agent("alice")
    usual = f"SIP/2.0/UDP {alice.host};branch=z9hG4bKusual"
    values = [value.replace("{usual}", usual).replace("{host}", alice.host) for value in VIAS]
    each(s, alice, "OPTIONS", "Via", values)
