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
