"""permissions on both servers: rule files, addresses and trusted peers from a database and a file, RPC."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from kit.room import Room
from kit.scene import Scene, ask

from kamailio_py.db.tables import create_sqlite

ROWS = """
insert into address (grp, ip_addr, mask, port, tag) values
    (1, '127.0.0.1', 32, 0, 'local'), (1, '10.0.0.0', 8, 5060, 'ten'), (2, '10.1.0.0', 16, 0, 'ten one'),
    (2, '127.0.0.1', 32, 5061, null), (3, 'example.org', 32, 0, 'dom'), (3, '2001:db8::1', 128, 0, 'six'),
    (3, '2001:db8::', 32, 0, null), (4, '10.1.2.3', 32, 0, ''), (5, '10.9.9.9', 0, 0, 'no mask'),
    (2, '127.0.0.0', 8, 0, 'loop'), (6, 'example.org', 0, 5070, null), (6, '10.1.2.3', 32, 0, 'another');
insert into trusted (src_ip, proto, from_pattern, ruri_pattern, tag, priority) values
    ('127.0.0.1', 'any', '^sip:alice@.*$', null, 't1', 1), ('127.0.0.1', 'udp', null, '^sip:\\(tru\\|x\\)', 't2', 5),
    ('127.0.0.1', 'udp', 'a+', null, 'plus', 6), ('127.0.0.1', 'tcp', null, null, 'tcp', 7),
    ('10.0.0.1', 'tcp', null, null, 't3', 0), ('10.0.0.2', 'none', null, null, null, 0);
"""

ALLOW = r"""
# comments
"^sip:alice@example\.test$" : "^sip:.*@127\.0\.0\.1$"   # behind a rule
ALL : "^sip:free", ^sip:gratis
"^sip:bob@" EXCEPT "@else" : ALL EXCEPT "^sip:9"
no colon here
"unclosed [" : ALL
"""
DENY = """
ALL : ALL EXCEPT "^sip:neutral"
"""
RULES = {"other": ALLOW, "permissions": 'ALL : "^sip:only"\n'}
ADDRESSES = """
# group address mask port tag
1 127.0.0.1 32 0 tag1
1 10.0.0.10 # comment
   2 192.168.1.0 24 0 tag2

3 [1:5ee::900d:c0de]
4 example.net 0 5080 tag=3;x
"""


def files(directory: Path) -> None:
    create_sqlite(str(directory / "p.db"))
    made = sqlite3.connect(directory / "p.db")
    made.executescript("delete from address; delete from trusted;" + ROWS)
    made.close()
    for name in ("permissions", "other", "only", "contacts"):
        (directory / f"{name}.allow").write_text(RULES.get(name, '"alice" : ALL\n'))
        (directory / f"{name}.deny").write_text(DENY)
    (directory / "addresses").write_text(ADDRESSES)


DB = """
modparam("permissions", "db_url", "sqlite:///@DIR@/p.db")
modparam("permissions", "peer_tag_avp", "$avp(tag)")
"""
cached = Room("permissions", modules="db_sqlite ctl permissions", params=DB + 'modparam("permissions", "db_mode", 1)',
              prepare=files, last='sl_send_reply("200", "done");')  # fmt: skip
direct = Room("permissions_direct", modules="db_sqlite ctl permissions", prepare=files,
              params=DB + 'modparam("permissions", "peer_tag_mode", 1)\nmodparam("permissions", "reload_delta", 0)',
              last='sl_send_reply("200", "done");')  # fmt: skip
from_file = Room("permissions_file", modules="ctl permissions", prepare=files, params="""
modparam("permissions", "address_file", "@DIR@/addresses")
modparam("permissions", "check_all_branches", 0)
modparam("permissions", "peer_tag_avp", "$avp(tag)")
""", last='sl_send_reply("200", "done");')  # fmt: skip


@cached.case("""
route[addresses] {
    $var(i) = 0;
    while ($var(i) < 8) {
        allow_source_address("$var(i)");
        xlog("L_NOTICE", "source in $var(i): $rc tag $avp(tag)\\n");
        $(avp(tag)[*]) = $null;
        $var(i) = $var(i) + 1;
    }
    allow_source_address();
    xlog("L_NOTICE", "source: $rc\\n");
    allow_source_address_group();
    xlog("L_NOTICE", "source group: $rc tag $avp(tag)\\n");
    route(ASK_GROUPS);
}
route[ASK_GROUPS] {
    $var(list) = "10.2.3.4 10.1.2.3 10.1.9.9 10.9.9.9 11.0.0.1 example.org Example.org example.net";
    $var(list) = $var(list) + " 2001:db8::1 [2001:DB8::1] 2001:0db8:0::7 2001:db9::1 127.0.0.1 1.2.3";
    $var(list) = $var(list) + " 300.1.1.1 192.168.1.9 10.0.0.10 1:5ee::900d:c0de";
    $var(i) = 0;
    while ($var(i) < 18) {
        $var(a) = $(var(list){s.select,$var(i), });
        $var(p) = 5060;
        while ($var(p) != 0) {
            $(avp(tag)[*]) = $null;
            allow_address_group("$var(a)", "$var(p)");
            $var(g) = $rc;
            allow_address("3", "$var(a)", "$var(p)");
            xlog("L_NOTICE", "$var(a) $var(p): group $var(g), in three $rc, tag $(avp(tag)[*])\\n");
            if ($var(p) == 5060) { $var(p) = 5070; } else if ($var(p) == 5070) { $var(p) = 5080; } else { $var(p) = 0; }
        }
        $var(i) = $var(i) + 1;
    }
}
""")
def test_addresses(s: Scene) -> None:
    ask(s)


TRUST = """
    $var(r) = allow_trusted();
    xlog("L_NOTICE", "source: $var(r) $(avp(tag)[*])\\n");
    $(avp(tag)[*]) = $null;
    $var(r) = allow_trusted("127.0.0.1", "TCP");
    xlog("L_NOTICE", "tcp: $var(r) $(avp(tag)[*])\\n");
    $(avp(tag)[*]) = $null;
    $var(r) = allow_trusted("127.0.0.1", "any");
    xlog("L_NOTICE", "any: $var(r) $(avp(tag)[*])\\n");
    $(avp(tag)[*]) = $null;
    $var(r) = allow_trusted("127.0.0.1", "ws", "sip:alice@x");
    xlog("L_NOTICE", "ws: $var(r) $(avp(tag)[*])\\n");
    $(avp(tag)[*]) = $null;
    $var(r) = allow_trusted("10.0.0.2", "udp");
    xlog("L_NOTICE", "none: $var(r) $(avp(tag)[*])\\n");
    $var(r) = allow_trusted("10.0.0.1", "nothing");
    xlog("L_NOTICE", "unknown: $var(r) $(avp(tag)[*])\\n");
"""


@cached.case("route[trusted] {" + TRUST + "}")
def test_trusted(s: Scene) -> None:
    for agent in s.agents("alice", "bob", "xa+x"):
        agent.request("OPTIONS")
        agent.expect(200)


@direct.case("route[trusted_in_database] {" + TRUST + "}")
def test_trusted_in_database(s: Scene) -> None:
    for agent in s.agents("alice", "bob"):
        agent.request("OPTIONS")
        agent.expect(200)


ROUTING = """
    allow_routing();
    xlog("L_NOTICE", "default $rc\\n");
    allow_routing("@DIR@/other");
    xlog("L_NOTICE", "other $rc\\n");
    allow_routing("@DIR@/only.allow", "@DIR@/only.deny");
    xlog("L_NOTICE", "two files $rc\\n");
    allow_routing("@DIR@/nosuch");
    xlog("L_NOTICE", "no such files $rc\\n");
    allow_uri("@DIR@/other", "$hdr(X-URI)");
    xlog("L_NOTICE", "uri $rc\\n");
    append_branch("sip:free@anywhere.test;x=y");
    allow_routing("@DIR@/other");
    xlog("L_NOTICE", "one more branch $rc\\n");
    append_branch("sip:900@127.0.0.1:5080");
    allow_routing("@DIR@/other");
    xlog("L_NOTICE", "two more $rc\\n");
    clear_branches();
"""
TARGETS = (
    "sip:@HOST@",
    "sip:free@x.test",
    "sip:gratis@x",
    "sip:9@x.test",
    "sip:neutral@x",
    "sip:only@y",
    "sip:other@z",
)


def calls(s: Scene) -> None:
    for agent in s.agents("alice", "bob", "carol"):
        for uri in TARGETS:
            s.note(f"{agent.name} {uri}")
            agent.request("OPTIONS", headers=f"X-URI: {uri}\nX-To: {uri}")
            agent.expect(200)
        agent.request("OPTIONS")
        agent.expect(200)


@cached.case('route[routing] { $ru = $hdr(X-To); if ($hdr(X-To) == $null) { $ru = "sip:neutral@x"; }' + ROUTING + "}")
def test_routing(s: Scene) -> None:
    calls(s)


@from_file.case(
    'route[routing_one] { $ru = $hdr(X-To); if ($hdr(X-To) == $null) { $ru = "sip:neutral@x"; }' + ROUTING + "}"
)
def test_routing_one(s: Scene) -> None:
    calls(s)


@cached.case("""
route[registering] {
    allow_register("@DIR@/other");
    xlog("L_NOTICE", "$(hdr(Contact)[*]): $rc\\n");
    allow_register("@DIR@/contacts.allow", "@DIR@/contacts.deny");
    xlog("L_NOTICE", "one file: $rc\\n");
}
""")
def test_registering(s: Scene) -> None:
    alice = s.agent("alice")
    for contact in (
        "", "Contact: *", "Contact: <sip:free@x>", "Contact: <sip:neutral@x>;q=1", "Contact: <sip:x@x>",
        "Contact: <sip:free@x>, <sip:gratis@y>", "Contact: <sip:free@x>\nContact: <sip:y@y>", "Contact: nonsense",
        "Contact: <sip:127.0.0.1:5060;transport=tcp>",
    ):  # fmt: skip
        alice.request("REGISTER", headers=contact)
        alice.expect(200)


@from_file.case("""
route[addresses_in_file] {
    allow_source_address();
    xlog("L_NOTICE", "source: $rc $avp(tag)\\n");
    allow_trusted();
    xlog("L_NOTICE", "trusted: $rc\\n");
    $var(list) = "10.0.0.10 192.168.1.9 1:5ee::900d:c0de [1:5ee::900d:c0de] example.net";
    $var(i) = 0;
    while ($var(i) < 5) {
        allow_address_group("$(var(list){s.select,$var(i), })", "5080");
        xlog("L_NOTICE", "$(var(list){s.select,$var(i), }): $rc $(avp(tag)[*])\\n");
        $var(i) = $var(i) + 1;
    }
}
""")
def test_addresses_in_file(s: Scene) -> None:
    ask(s)
    s.tell("permissions.addressDump", "permissions.subnetDump", "permissions.domainDump", "permissions.trustedDump")
    (s.server.directory / "addresses").write_text("7 127.0.0.1\n")
    s.tell("permissions.addressReload")
    ask(s)
    s.tell("permissions.addressDump", "permissions.trustedReload")


@cached.case("route[rpc] { return; }")
def test_rpc(s: Scene) -> None:
    ask(s)
    s.tell(
        "permissions.addressDump", "permissions.subnetDump", "permissions.domainDump", "permissions.trustedDump",
        "permissions.testUri", "permissions.testUri a", "permissions.testUri a b",
        "permissions.testUri permissions sip:a@b sip:c@d", "permissions.allowUri permissions sip:a@b sip:only@d",
        "permissions.allowUri nosuch sip:a@b sip:only@d",
    )  # fmt: skip


@direct.case("""
route[reloading] {
    allow_source_address("8");
    xlog("L_NOTICE", "$rc $avp(tag)\\n");
}
""")
def test_reloading(s: Scene) -> None:
    """What is reloaded is seen by the process that handles requests; what cannot be loaded changes nothing."""
    ask(s)
    database = sqlite3.connect(s.server.directory / "p.db")
    database.execute("insert into address (grp, ip_addr, mask, port, tag) values (8, '127.0.0.1', 32, 0, 'new')")
    database.commit()
    ask(s)
    s.tell("permissions.addressReload", "permissions.trustedReload", "permissions.trustedDump")
    ask(s)
    database.execute("insert into address (grp, ip_addr, mask, port, tag) values (0, '127.0.0.1', 32, 0, 'bad')")
    database.execute("delete from address where grp = 8")
    database.commit()
    s.tell("permissions.addressReload")
    ask(s)
    database.close()


@cached.case("route[reload_at_once] { return; }")
def test_reload_at_once(s: Scene) -> None:
    ask(s)
    s.tell("permissions.addressReload", "permissions.addressReload", "permissions.trustedReload")
