"""alias_db, speeddial, domain, group and uri_db on both servers, with a database each."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from kit.digest import authorization, challenge_of
from kit.room import Room
from kit.scene import Scene, ask

from kamailio_py.db.tables import create_sqlite

ROWS = """
insert into dbaliases (alias_username, alias_domain, username, domain) values
    ('4711', 'a.test', 'alice', 'example.test'), ('4711', 'b.test', 'bob', 'b.test'), ('one', 'a.test', 'al', 'x.test'),
    ('both', 'a.test', 'first', 'x.test'), ('both', 'a.test', 'second', 'y.test');
create table other_aliases as select * from dbaliases;
insert into speed_dial (username, domain, sd_username, sd_domain, new_uri) values
    ('alice', 'example.test', '22', 'a.test', 'sip:bob@b.test'),
    ('alice', 'else.test', '23', 'a.test', 'sip:no@b.test'),
    ('alice', 'example.test', '24', 'a.test', 'carol@c.test'), ('alice', 'example.test', '25', 'b.test', 'tel:123'),
    ('bob', 'example.test', '22', 'a.test', 'sip:dave@b.test');
insert into grp (username, domain, grp) values
    ('alice', 'example.test', 'voicemail'), ('bob', 'b.test', 'voicemail'), ('alice', 'x', 'ld');
insert into re_grp (reg_exp, group_id) values
    ('^sip:al', 1), ('^sip:.*@example\\.test$', 2), ('^sip:ALICE@', 3), ('b.test', 4), ('[0-9]+@', 5);
insert into uri (username, domain, uri_user) values ('alice', 'example.test', 'al'), ('bob', 'b.test', 'bobby');
insert into subscriber (username, domain, password) values ('alice', 'example.test', 'secret'), ('bob', 'b.test', 'x');
insert into domain (domain, did) values
    ('a.test', 'da'), ('b.test', null), ('C.test', 'da'), ('d.test', 'dd'), ('e.test', null), ('f.test', 'x');
insert into domain_attrs (did, name, type, value) values
    ('da', 'x', 2, 'hello'), ('da', 'n', 0, '42'), ('b.test', 'y', 2, 'yy'), ('da', 'x', 2, 'again'),
    ('dd', 'm', 0, '-3');
"""


def database(directory: Path) -> None:
    create_sqlite(str(directory / "u.db"))
    made = sqlite3.connect(directory / "u.db")
    made.executescript(ROWS)
    made.close()


MODULES = "ctl auth db_sqlite alias_db speeddial domain group uri_db"
URLS = "\n".join(
    f'modparam("{name}", "db_url", "sqlite:///@DIR@/u.db")'
    for name in ("alias_db", "speeddial", "domain", "group", "uri_db")
)
LAST = 'sl_send_reply("200", "done");'
plain = Room("users", modules=MODULES, prepare=database, last=LAST, params=URLS + """
modparam("group", "re_table", "re_grp")
""")  # fmt: skip
strict = Room("users_domain", modules=MODULES, prepare=database, last=LAST, params=URLS + """
modparam("alias_db|speeddial|group|uri_db", "use_domain", 1)
modparam("speeddial", "use_domain", 2)
modparam("alias_db|speeddial", "domain_prefix", "sip.")
modparam("alias_db", "append_branches", 1)
modparam("group", "re_table", "re_grp")
modparam("group", "multiple_gid", 0)
modparam("uri_db", "use_uri_table", 1)
modparam("uri_db", "db_table", "uri")
modparam("domain", "register_myself", 1)
""")  # fmt: skip


def with_uris(s: Scene, *uris: str, name: str = "alice") -> None:
    agent = s.agent(name)
    for uri in uris:
        agent.request("OPTIONS", headers=f"X-URI: {uri}")
        agent.expect(200)


ALIASES = """
    $ru = $hdr(X-URI);
    $var(t) = "dbaliases";
    alias_db_lookup("$var(t)");
    xlog("L_NOTICE", "$hdr(X-URI): $rc $ru\\n");
    branch_count();
    if (alias_db_lookup("dbaliases", "d")) { xlog("L_NOTICE", "without domain $ru\\n"); }
    $ru = $hdr(X-URI);
    if (alias_db_lookup("other_$(var(t){s.substr,2,0})", "u")) { xlog("L_NOTICE", "with domain $ru\\n"); }
    $ru = $hdr(X-URI);
    if (alias_db_lookup("dbaliases", "r")) { xlog("L_NOTICE", "reverse $ru\\n"); }
    $ru = $hdr(X-URI);
    if (alias_db_lookup("dbaliases", "rd")) { xlog("L_NOTICE", "reverse without domain $ru\\n"); }
    alias_db_lookup("no_such_table");
    xlog("L_NOTICE", "no such table: $rc\\n");
    alias_db_find("dbaliases", "$hdr(X-URI)", "$avp(alias)");
    xlog("L_NOTICE", "find: $rc $(avp(alias)[*])\\n");
    alias_db_find("dbaliases", "$hdr(X-URI)", "$var(alias)", "uR");
    xlog("L_NOTICE", "find reverse: $rc $var(alias)\\n");
    $var(i) = 0;
    while ($var(i) < $branch(count)) {
        xlog("L_NOTICE", "branch $(branch(uri)[$var(i)]) $(branch(q)[$var(i)])\\n");
        $var(i) = $var(i) + 1;
    }
    clear_branches();
"""
ALIAS_URIS = (
    "sip:4711@a.test", "sip:4711@b.test;x=y", "sip:4711@sip.b.test", "sip:one@else.test", "sip:both@a.test",
    "sip:alice@example.test", "sip:nobody@a.test", "sip:a.test",
)  # fmt: skip


@plain.case("route[aliases] {" + ALIASES.replace("    branch_count();\n", "") + "}")
def test_aliases(s: Scene) -> None:
    with_uris(s, *ALIAS_URIS, "nonsense")


@strict.case("route[alias_domain] {" + ALIASES.replace("    branch_count();\n", "") + "}")
def test_alias_domain(s: Scene) -> None:
    with_uris(s, *ALIAS_URIS)


SPEED = """
    $ru = $hdr(X-URI);
    sd_lookup("speed_dial");
    xlog("L_NOTICE", "$hdr(X-URI): $rc $ru\\n");
    $ru = $hdr(X-URI);
    sd_lookup("speed_dial", "sip:bob@example.test");
    xlog("L_NOTICE", "of bob: $rc $ru\\n");
    sd_lookup("speed_dial", "nonsense");
    xlog("L_NOTICE", "of nobody: $rc\\n");
"""
SPEED_URIS = (
    "sip:22@a.test", "sip:22@sip.a.test", "sip:22@b.test", "sip:23@a.test", "sip:24@a.test", "sip:25@b.test",
    "sip:26@a.test",
)  # fmt: skip


@plain.case("route[speed] {" + SPEED + "}")
def test_speed(s: Scene) -> None:
    with_uris(s, *SPEED_URIS)


@strict.case("route[speed_domain] {" + SPEED + "}")
def test_speed_domain(s: Scene) -> None:
    with_uris(s, *SPEED_URIS)


DOMAINS = """
    $ru = $hdr(X-URI);
    is_uri_host_local();
    xlog("L_NOTICE", "$hdr(X-URI): $rc\\n");
    is_domain_local("$rd");
    xlog("L_NOTICE", "domain: $rc\\n");
    is_from_local();
    xlog("L_NOTICE", "from: $rc\\n");
    lookup_domain("$rd");
    xlog("L_NOTICE", "lookup: $rc did $avp(did) x $(avp(x)[*]) n $avp(n) y $avp(y) m $avp(m)\\n");
    lookup_domain("$rd", "pre_");
    xlog("L_NOTICE", "prefixed: $rc did $avp(pre_did) x $(avp(pre_x)[*]) n $avp(pre_n)\\n");
    if ($avp(n) == 42) { xlog("L_NOTICE", "a number\\n"); }
    if (uri == myself) { xlog("L_NOTICE", "myself\\n"); }
"""
DOMAIN_URIS = (
    "sip:a@a.test", "sip:A.test", "sip:b.test:5080", "sip:u@c.test;x", "sip:d.test", "sip:g.test", "sip:sub.a.test",
    "nonsense",
)  # fmt: skip


@plain.case("route[domains] {" + DOMAINS + "}")
def test_domains(s: Scene) -> None:
    with_uris(s, *DOMAIN_URIS)


@strict.case("route[is_myself] {" + DOMAINS + "}")
def test_is_myself(s: Scene) -> None:
    with_uris(s, *DOMAIN_URIS[:-1])


@plain.case("""
route[reload] {
    is_domain_local("example.test");
    xlog("L_NOTICE", "$rc\\n");
    is_from_local();
    xlog("L_NOTICE", "$rc\\n");
}
""")
def test_reload(s: Scene) -> None:
    """After domain.reload every process knows the new table; what cannot be read changes nothing."""
    ask(s)
    s.tell("domain.dump")
    database = sqlite3.connect(s.server.directory / "u.db")
    database.execute("insert into domain (domain) values ('example.test')")
    database.commit()
    ask(s)
    s.tell("domain.reload")
    ask(s)
    s.tell("domain.dump")
    database.execute("insert into domain_attrs (did, name, type, value) values ('da', 'bad', 1, 'x')")
    database.execute("delete from domain where domain = 'example.test'")
    database.commit()
    s.tell("domain.reload")
    ask(s)
    database.close()


GROUPS = """
    $ru = $hdr(X-URI);
    $avp(u) = $hdr(X-URI);
    is_user_in("Request-URI", "voicemail");
    xlog("L_NOTICE", "$hdr(X-URI): $rc\\n");
    is_user_in("From", "voicemail");
    xlog("L_NOTICE", "from: $rc\\n");
    is_user_in("To", "voicemail");
    xlog("L_NOTICE", "to: $rc\\n");
    is_user_in("$avp(u)", "ld");
    xlog("L_NOTICE", "avp: $rc\\n");
    is_user_in("$avp(none)", "ld");
    xlog("L_NOTICE", "null: $rc\\n");
    is_user_in("Credentials", "voicemail");
    xlog("L_NOTICE", "credentials: $rc\\n");
    get_user_group("Request-URI", "$avp(groups)");
    xlog("L_NOTICE", "groups: $rc $(avp(groups)[*])\\n");
    get_user_group("From", "$avp(from_groups)");
    xlog("L_NOTICE", "groups of From: $rc $(avp(from_groups)[*])\\n");
"""
GROUP_URIS = ("sip:alice@example.test", "sip:bob@b.test", "sip:bob@c.test", "sip:al@x", "sip:4711@x", "sip:x.test")


@plain.case("route[groups] {" + GROUPS + "}")
def test_groups(s: Scene) -> None:
    with_uris(s, *GROUP_URIS)


@strict.case("route[groups_domain] {" + GROUPS + "}")
def test_groups_domain(s: Scene) -> None:
    with_uris(s, *GROUP_URIS, name="bob")


CHECKS = """
    if (!pv_www_authenticate("example.test", "secret", 0)) { www_challenge("example.test", "1"); exit; }
    check_from();
    xlog("L_NOTICE", "from $rc\\n");
    check_to();
    xlog("L_NOTICE", "to $rc\\n");
    check_uri("sip:AL@x");
    xlog("L_NOTICE", "uri $rc\\n");
    check_uri("sip:bobby@x", "bob", "b.test");
    xlog("L_NOTICE", "of bob $rc\\n");
    check_uri("sip:x.test");
    xlog("L_NOTICE", "no user $rc\\n");
    check_uri("nonsense");
    xlog("L_NOTICE", "nonsense $rc\\n");
    is_user_in("Credentials", "voicemail");
    xlog("L_NOTICE", "credentials in group $rc\\n");
    get_user_group("Credentials", "$avp(groups)");
    xlog("L_NOTICE", "groups of credentials $rc $(avp(groups)[*])\\n");
"""


def checks(s: Scene) -> None:
    s.mask(r'nonce="[^"]*"')
    for agent in s.agents("alice", "al", "bob"):
        request = agent.request("OPTIONS")
        challenge = challenge_of(agent.expect(401))
        for user in ("alice", "al"):
            agent.request("OPTIONS", headers=authorization(challenge, "OPTIONS", request.uri, user))
            agent.expect(200)


@plain.case("route[checks] {" + CHECKS + "}")
def test_checks(s: Scene) -> None:
    checks(s)


@strict.case("route[checks_table] {" + CHECKS + "}")
def test_checks_table(s: Scene) -> None:
    checks(s)


EXIST = """
    $ru = $hdr(X-URI);
    does_uri_exist();
    xlog("L_NOTICE", "$hdr(X-URI): $rc\\n");
    check_from();
    xlog("L_NOTICE", "without credentials: $rc\\n");
"""
EXIST_URIS = ("sip:alice@example.test", "sip:alice@x", "sip:bob@x", "sip:al@example.test", "sip:x.test")


@plain.case("route[exist] {" + EXIST + "}")
def test_exist(s: Scene) -> None:
    with_uris(s, *EXIST_URIS, "nonsense")


@strict.case("route[exist_table] {" + EXIST + "}")
def test_exist_table(s: Scene) -> None:
    with_uris(s, *EXIST_URIS)
