"""The ul.* RPC commands through the real kamcmd on both servers, after the same registrations; and the statistics."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from kit.agent import Agent
from kit.kamcmd import kamcmd
from kit.server import Server, both

pytestmark = pytest.mark.kamailio

CFG = """
debug=2
log_stderror=yes
children=1
disable_tcp=yes
server_id=7
loadmodule "jsonrpcs.so"
loadmodule "ctl.so"
loadmodule "kex.so"
loadmodule "cfg_rpc.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
modparam("usrloc", "nat_bflag", 2)
modparam("usrloc", "preload", "other")
modparam("registrar", "max_contacts", 5)
modparam("registrar", "received_avp", "$avp(rcv)")
request_route {
    if ($rm == "OPTIONS") { lookup("location"); sl_send_reply("200", "$ru $(branch(uri)[0]) $du $bf"); exit; }
    $avp(rcv) = $hdr(X-Received);
    if ($hdr(X-Flag) != $null) { setbflag(2); }
    save("location");
}
"""

COMMANDS = [
    "ul.dump",
    "ul.dump brief",
    "ul.dump full",
    "ul.lookup",
    "ul.lookup location",
    "ul.lookup nosuch alice",
    "ul.lookup location alice",
    "ul.lookup location Alice@example.test",
    "ul.lookup location bob",
    "ul.lookup location nobody",
    "ul.rm",
    "ul.rm location",
    "ul.rm nosuch alice",
    "ul.rm location nobody",
    "ul.rm_contact location alice",
    "ul.rm_contact nosuch alice sip:a@10.0.0.1",
    "ul.rm_contact location nobody sip:a@10.0.0.1",
    "ul.rm_contact location alice sip:x@10.0.0.1",
    "ul.rm_contact location alice sip:a@10.0.0.1",
    "ul.lookup location alice",
    "ul.add",
    "ul.add location carol sip:c@10.0.0.1 100 0.7 0 0 0 32",
    "ul.add location carol sip:c@10.0.0.1 100 f:0.7 0 0 0 32",
    "ul.add location carol sip:d@10.0.0.1 0 f:1.0 <sip:p;lr> 1 4 32",
    "ul.add location Carol@x sip:e@10.0.0.1 50 f:0.5 . 0 0 5 sip:1.2.3.4:5;transport=udp udp:127.0.0.1:@PORT@",
    "ul.add location carol sip:f@10.0.0.1 50 f:-1.0 . 0 0 5 . udp:10.0.0.1:5060",
    "ul.add location carol sip:c@10.0.0.1 200 f:0.2 0 0 0 1",
    "ul.add nosuch carol sip:c@10.0.0.1 100 f:0.7 0 0 0 32",
    "ul.add other zoe sip:z@10.0.0.1 100 f:0.7 0 0 0 32",
    "ul.lookup location carol",
    "ul.lookup other zoe",
    "ul.rm_contact location carol sip:d@10.0.0.1",
    "ul.rm location carol",
    "ul.lookup location carol",
    "ul.flush",
    "ul.db_users",
    "ul.db_users location",
    "ul.db_contacts location",
    "ul.db_expired_contacts location",
    "ul.dump",
    "system.methodHelp ul.dump",
    "stats.get_statistics usrloc:",
    "stats.get_statistics registrar:",
    "cfg.get registrar default_expires",
    "cfg.get registrar realm_pref",
    "cfg.set_now_int registrar default_expires 77",
    "cfg.set_now_int registrar max_contacts 1",
    "cfg.set_now_int registrar nosuch 1",
    "cfg.get registrar default_expires",
]


def masked(text: str, port: int) -> str:
    """What differs between any two servers is named."""
    text = re.sub(r"ul(oc|cx)-7-[0-9a-f]+-[0-9a-f]+-(?P<n>[0-9a-f]+)", r"ul\1-<id>-\g<n>", text)
    text = re.sub(r"(Last-(Modified|Keepalive)): \d+", r"\1: <time>", text)
    text = re.sub(r"Expires: (\d+)", lambda m: f"Expires: {round(int(m[1]) + 4.4, -1)}", text)
    return text.replace(str(port), "<port>")


def ask(server: Server, command: str) -> str:
    return masked(kamcmd(server.ctl, *command.replace("@PORT@", str(server.port)).split()), server.port)


@pytest.fixture(scope="module")
def servers() -> Iterator[list[Server]]:
    """Both, with the same users registered."""
    with both(CFG) as running:
        for server in running:
            agent = Agent("alice", "rpc", server.address)
            for user, contact, headers in (
                ("alice", "<sip:a@10.0.0.1>;q=0.5, <sip:b@10.0.0.1>;q=0.7", "User-Agent: ua/1\nAllow: INVITE, BYE"),
                ("bob", "<sip:b@10.0.0.2>", "X-Received: sip:10.0.0.9:7\nX-Flag: 1"),
                ("dave", '<sip:d@10.0.0.3>;+sip.instance="<urn:x>";reg-id=1;expires=60', ""),
                ("erin", "<sip:e@10.0.0.3>;q=1", ""),
            ):
                agent.request("REGISTER", user=user, headers=f"Contact: {contact}\n{headers}")
                agent.expect(200)
            agent.close()
        yield running


def test_every_command_says_the_same(servers: list[Server]) -> None:
    different = []
    for command in COMMANDS:
        real, ours = (ask(server, command) for server in servers)
        if real != ours:
            different.append(f"$ kamcmd {command}\n--- real\n{real}\n--- ours\n{ours}")
    assert not different, "\n".join(different)


def test_what_was_changed_counts(servers: list[Server]) -> None:
    """default_expires 77 and one contact only, set above."""
    for name, value in (("default_expires", 77), ("max_contacts", 1)):
        for server in servers:
            ask(server, f"cfg.set_now_int registrar {name} {value}")
    seen = []
    for server in servers:
        agent = Agent("frank", "rpc", server.address)
        agent.request("REGISTER", user="frank", headers="Contact: <sip:f@10.0.0.1>")
        first = agent.expect(200).first("Contact")
        agent.request("REGISTER", user="frank", headers="Contact: <sip:g@10.0.0.1>")
        seen.append((first, agent.expect(503).first("P-Registrar-Error")))
        agent.close()
    assert seen[0] == seen[1]
    assert "expires=77" in seen[0][0]
