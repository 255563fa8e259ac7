"""REGISTER through an edge proxy (Path, outbound), domains that count, limits, attributes, and contacts that expire."""

from __future__ import annotations

from kit.agent import Agent
from kit.room import Room
from kit.scene import Scene
from kit.sip import Sip

room = Room(
    "registrar_edge",
    modules="usrloc registrar path",
    params="""
modparam("usrloc", "use_domain", 1)
modparam("usrloc", "timer_interval", 1)
modparam("usrloc", "xavp_contact", "attrs")
modparam("usrloc", "nat_bflag", 3)
modparam("registrar", "use_path", 1)
modparam("registrar", "path_use_received", 1)
modparam("registrar", "outbound_mode", 1)
modparam("registrar", "flow_timer", 25)
modparam("registrar", "min_expires", 2)
modparam("registrar", "min_expires_mode", 1)
modparam("registrar", "max_contacts", 2)
modparam("registrar", "case_sensitive", 1)
modparam("registrar", "realm_prefix", "sip.")
modparam("registrar", "default_q", 300)
modparam("registrar", "received_param", "rcv")
modparam("registrar", "xavp_rcd", "rcd")
modparam("registrar", "xavp_rcd_mask", 1)
""",
    cfg="""
event_route[usrloc:contact-expired] {
    xlog("L_NOTICE", "expired $ulc(exp=>aor) $ulc(exp=>addr) $ulc(exp=>domain) $ulc(exp=>count)\\n");
}
""",
)

ROUTING = """
route[{name}] {{
    if (is_method("REGISTER")) {{ {before} save("location"); xlog("L_NOTICE", "save $rc\\n"); exit; }}
    lookup("location", "sip:{name}@example.test"); $var(found) = $rc;
    xlog("L_NOTICE", "lookup $rc: $ru [$du] $bf [$xavp(rcd=>path)] [$xavp(rcd=>ruid)]\\n");
    xlog("L_NOTICE", "[$xavp(attrs[0]=>a)] [$xavp(attrs[0]=>b)] [$xavp(attrs[1]=>a)] $branch(count)\\n");
    if ($var(found) < 0) {{ sl_send_reply("404", "Nobody"); exit; }}
    t_relay();
}}
"""


def routing(name: str, before: str = "") -> str:
    return ROUTING.format(name=name, before=before)


def register(agent: Agent, *contacts: str, status: int = 200, headers: str = "", **more: object) -> Sip:
    lines = "\n".join([f"Contact: {contact}" for contact in contacts] + ([headers] if headers else []))
    agent.request("REGISTER", headers=lines, **more)  # type: ignore[arg-type]
    return agent.expect(status)


@room.case(routing("path"))
def test_path(s: Scene) -> None:
    """A call goes along the Path, with it as Route."""
    alice, edge = s.agents("alice", "edge")
    path = f"Path: <sip:{edge.host};lr>, <sip:other@10.0.0.1;lr>\nPath: <sip:last@10.0.0.1;lr>"
    register(alice, "<sip:bob@192.0.2.1>", headers=f"{path}\nSupported: path, gruu")
    alice.request("MESSAGE")
    edge.reply(edge.expect("MESSAGE"), 200)
    alice.expect(200)


@room.case(routing("path_received"))
def test_path_received(s: Scene) -> None:
    """The edge says where the client is, and that it is behind a NAT."""
    alice, edge = s.agents("alice", "edge")
    path = f"Path: <sip:{edge.host};lr;received=sip:192.0.2.7:5070%3Btransport%3Dtcp>"
    register(alice, "<sip:bob@192.0.2.1>;q=0.7", headers=f"{path}\nSupported: path")
    alice.request("MESSAGE")
    edge.reply(edge.expect("MESSAGE"), 200)
    alice.expect(200)


PATHS = {
    "not_supported": "Path: <sip:edge;lr>",
    "other_supported": "Path: <sip:edge;lr>\nSupported: timer",
    "strict": "Path: <sip:edge>\nSupported: path",
    "bad": "Path: sip:edge;lr\nSupported: path",
    "bad_uri": "Path: <nonsense;lr>\nSupported: path",
    "bad_received": "Path: <sip:edge;lr;received=sip%zz>\nSupported: path",
    "longest": f"Path: <sip:{'e' * 245};lr>\nSupported: path",
    "longer": f"Path: <sip:{'e' * 246};lr>\nSupported: path",
    "longest_two": f"Path: <sip:{'e' * 100};lr>\nPath: <sip:{'e' * 134};lr>\nSupported: path",
    "longer_two": f"Path: <sip:{'e' * 100};lr>\nPath: <sip:{'e' * 135};lr>\nSupported: path",
    "compact": "Path: <sip:edge;lr>\nk: PATH",
}


@room.case(routing("odd_paths"))
def test_odd_paths(s: Scene) -> None:
    alice = s.agent("alice")
    for name, headers in PATHS.items():
        s.note(name)
        alice.request("REGISTER", uri=f"sip:odd_paths@{s.host}", user=name, headers=f"Contact: <sip:a@h>\n{headers}")
        alice.listen(0.02)
        s.fence()


@room.case(routing("limit"))
def test_limit(s: Scene) -> None:
    """Not more than two."""
    s.mask(r"expires=\d+")
    alice = s.agent("alice")
    register(alice, "<sip:a@h>, <sip:b@h>, <sip:c@h>", status=503, call_id="l", cseq=1)
    register(alice, "<sip:a@h>", call_id="l", cseq=2)
    register(alice, "<sip:b@h>, <sip:c@h>", status=503, call_id="l", cseq=3)
    register(alice, "<sip:b@h>, <sip:c@h>, <sip:a@h>;expires=0", call_id="l", cseq=4)
    register(alice, "<sip:b@h>;expires=0", call_id="l", cseq=5)


@room.case(routing("brief"))
def test_brief(s: Scene) -> None:
    """Too short a time is refused."""
    s.mask(r"expires=\d+")
    alice = s.agent("alice")
    register(alice, "<sip:a@h>;expires=1", status=423)
    register(alice, "<sip:a@h>;expires=10, <sip:b@h>;expires=1", status=423)
    register(alice, "<sip:a@h>;expires=2")
    register(alice, "<sip:b@h>", headers="Expires: 1", status=423)


@room.case(routing("domains"))
def test_domains(s: Scene) -> None:
    """The host counts, in any case and without its prefix; the user counts with its case."""
    alice = s.agent("alice")
    for to in (
        "sip:u@one.test", "sip:u@two.test", "sip:u@ONE.test", "sip:u@sip.one.test", "sip:U@one.test", "sip:one.test",
        "sip:one.test",
    ):  # fmt: skip
        sent = alice.request("REGISTER", headers="Contact: <sip:a@h>", send=False)
        alice.send(sent.text.replace("sip:domains@example.test", to))
        alice.expect(200)
    for to in ("sip:u@one.test", "sip:U@one.test", "sip:u@three.test", "sip:one.test"):
        sent = alice.request("REGISTER", send=False)
        s.mask(r"expires=\d+")
        alice.send(sent.text.replace("sip:domains@example.test", to))
        alice.expect(200)


OUTBOUND = {
    "none": "",
    "supported": "Supported: outbound",
    "required": "Require: outbound",
    "edge": "Supported: outbound, path\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx\nPath: <sip:edge;lr;ob>",
    "old_edge": "Supported: outbound, path\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx\nPath: <sip:edge;lr>",
    "no_path": "Supported: outbound\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx",
    "old_both": "Supported: path\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx\nPath: <sip:edge;lr>",
}


@room.case(routing("outbound"))
def test_outbound(s: Scene) -> None:
    """reg-id and what client, edge and server can do."""
    alice = s.agent("alice")
    for name, headers in OUTBOUND.items():
        s.note(name)
        contact = f'Contact: <sip:{name}@h>;+sip.instance="<urn:uuid:{name}>";reg-id=2'
        alice.request("REGISTER", uri=f"sip:outbound@{s.host}", user=name, headers=f"{contact}\n{headers}")
        alice.listen(0.02)
        s.fence()


@room.case(routing("attributes", before="$xavp(attrs=>a) = $hdr(X-A); $xavp(attrs[0]=>b) = 7;"))
def test_attributes(s: Scene) -> None:
    """What the script had in an XAVP when a contact was saved is there when it is looked up."""
    alice, bob = s.agents("alice", "bob")
    register(bob, f"<sip:one@{bob.host}>;q=0.5", headers="X-A: first")
    register(bob, f"<sip:two@{bob.host}>;q=0.1", headers="X-A: second")
    alice.request("MESSAGE")
    bob.reply(bob.expect("MESSAGE"), 200)
    alice.expect(200)


@room.case(routing("expiry"))
def test_expiry(s: Scene) -> None:
    """A contact goes when its time is over, and the script is told."""
    s.mask(r"expires=\d+")
    alice = s.agent("alice")
    register(alice, "<sip:short@h>;expires=2, <sip:long@h>")
    s.wait_log("expired expiry@example.test sip:short@h")
    register(alice)
    alice.request("MESSAGE", user="expiry")


@room.case(
    """
route[adding] {
    add_path(); add_path("user"); add_path("$rU", "a=b"); add_path_received(); add_path_received("u");
    add_path_received("u", "x");
    $du = "sip:" + $hdr(X-To);
    forward();
}
"""
)
def test_adding(s: Scene) -> None:
    """add_path() and add_path_received(), above what is there or at the end."""
    alice, bob = s.agents("alice", "bob")
    for headers in ("", "Path: <sip:before;lr>\nX-After: 1"):
        alice.request("REGISTER", headers=f"X-To: {bob.host}\n{headers}")
        bob.expect("REGISTER")
