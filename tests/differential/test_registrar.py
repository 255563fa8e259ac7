"""REGISTER and lookup: the replies to those who register, and where calls to them go."""

from __future__ import annotations

from kit.agent import Agent
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
    lookup("location");
    xlog("L_NOTICE", "lookup $rc: $ru [$du] [$br] bflags $bf [$(branch(uri)[0])] [$(branch(q)[0])]\\n");
    xlog("L_NOTICE", "[$ruid] [$location_ua] $fs\\n");
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
    call = bob.expect("INVITE")
    bob.reply(call, 180)
    alice.expect(180)
    bob.reply(call, 200)
    alice.expect(200)
