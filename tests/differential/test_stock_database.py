"""The stock config with a database: users with passwords, trusted addresses, accounting, aliases, speed dial."""

from __future__ import annotations

from kit.agent import Agent
from kit.calls import answer, give_up, hang_up
from kit.scene import Scene
from kit.sip import Sip
from kit.stock import (
    DOMAIN,
    NONCE,
    PASSWORD,
    Stock,
    call,
    contact_of,
    insert,
    invite,
    note_accounting,
    note_rows,
    phone,
    phones,
    register,
    rpc,
    signed_in,
    subscribers,
    with_credentials,
)

room = Stock(
    "stock-database",
    "AUTH IPAUTH USRLOCDB ACCDB ALIASDB SPEEDDIAL",
    database=True,
    listen=("tcp:127.0.0.1",),
)


def users(s: Scene, *agents: Agent) -> None:
    """Give them passwords, and register them."""
    subscribers(s, *agents)
    signed_in(s, *agents)


@room.each("udp", "tcp")
def test_register(s: Scene, over: str) -> None:
    """Challenge, credentials, refresh with the same nonce."""
    s.mask(NONCE)
    alice = phone(s, "alice", over)
    subscribers(s, alice)
    sent = alice.request(
        "REGISTER", uri=f"sip:{DOMAIN}", user=alice.name, headers=f"Contact: {contact_of(alice)}\nExpires: 600"
    )
    challenge = alice.expect(401)
    again = with_credentials(alice, sent, challenge)
    alice.expect(200)
    text = again.text.replace("CSeq: 2 ", "CSeq: 3 ").replace("-auth", "-more")
    alice.send(text)
    alice.expect(200)


@room.each(
    wrong_password={"password": "wrong"}, unknown_user={"username": "nobody"}, wrong_realm={"realm": "other.test"},
    wrong_uri={"uri": "sip:other.test"}, old_nonce={"nonce": "ZB5D2mQeQqpW0000000000000000000000000000"},
    no_response={"response": ""}, no_username={"username": ""}, empty_nonce={"nonce": ""},
    short_response={"response": "abc"},
    other_user={"username": "admin@example.test"},
)  # fmt: skip
def test_wrong_credentials(s: Scene, changes: dict[str, str]) -> None:
    s.mask(NONCE)
    alice = phone(s, "alice")
    subscribers(s, alice)
    sent = alice.request(
        "REGISTER", uri=f"sip:{DOMAIN}", user=alice.name, headers=f"Contact: {contact_of(alice)}\nExpires: 600"
    )
    with_credentials(alice, sent, alice.expect(401), **changes)
    s.fence()
    s.server.settle()


@room.one
def test_register_somebody_else(s: Scene) -> None:
    """Credentials of one user for the address of another one."""
    s.mask(NONCE)
    alice, bob = phones(s, "alice", "bob")
    subscribers(s, alice, bob)
    sent = alice.request(
        "REGISTER", uri=f"sip:{DOMAIN}", user=bob.name, headers=f"Contact: {contact_of(alice)}\nExpires: 600"
    )
    with_credentials(alice, sent, alice.expect(401))
    s.fence()
    s.server.settle()


@room.each("INVITE", "MESSAGE", "OPTIONS", "SUBSCRIBE", "PUBLISH", "REFER", "INFO", "BYE")
def test_challenge(s: Scene, method: str) -> None:
    """Whoever says that he is of the domain has to prove it."""
    s.mask(NONCE)
    alice = phone(s, "alice")
    alice.request(method, uri=f"sip:nobody@{DOMAIN}")
    alice.expect(407)


@room.one
def test_foreign_caller(s: Scene) -> None:
    """A caller of another domain reaches the users of this one without a password."""
    alice, bob = phones(s, "alice", "bob")
    users(s, bob)
    text = alice.request("MESSAGE", uri=f"sip:{bob.name}@{DOMAIN}", send=False).text
    alice.send(text.replace(f"From: <sip:{alice.name}@example.test>", "From: <sip:alice@foreign.test>"))
    bob.reply(bob.expect("MESSAGE"), 200)
    alice.expect(200)


@room.one
def test_no_relay_between_foreign_domains(s: Scene) -> None:
    alice = phone(s, "alice")
    text = alice.request("MESSAGE", uri="sip:bob@other.test", send=False).text
    alice.send(text.replace(f"From: <sip:{alice.name}@example.test>", "From: <sip:alice@foreign.test>"))
    alice.expect(403)


@room.one
def test_user_calls_out(s: Scene) -> None:
    """A user may call another domain; the credentials stay here."""
    s.mask(NONCE)
    alice, gateway = phones(s, "alice", "gateway")
    subscribers(s, alice)
    sent = alice.request("INVITE", gateway)
    challenge = alice.expect(407)
    alice.ack(sent, challenge)
    again = with_credentials(alice, sent, challenge)
    answer(alice, gateway, again, 486, rings=False)
    note_accounting(s)
    rows(s)


def rows(s: Scene, acc: int = 0, missed: int = 0) -> None:
    """Note the rows of this call: so many of each table."""
    for table, count in (("acc", acc), ("missed_calls", missed)):
        note_rows(
            s,
            count,
            f"SELECT '{table}', method, from_tag, to_tag, callid, sip_code, sip_reason, src_user, src_domain, src_ip,"
            f" dst_ouser, dst_user, dst_domain FROM {table} WHERE callid LIKE ? ORDER BY method",
            f"{s.name}-%",
        )


@room.each("udp", "tcp")
def test_call(s: Scene, over: str) -> None:
    """A call between two users, and its rows."""
    alice, bob = phones(s, "alice", "bob", over=over)
    users(s, alice, bob)
    sent = call(s, alice, bob.name)
    _, final = answer(alice, bob, sent)
    rows(s, acc=1)  # Kamailio gives up a row when another process writes to sqlite
    hang_up(alice, bob, sent, final, cseq=3)
    note_accounting(s)
    rows(s, acc=2)


@room.each(busy=486, refused=603, unavailable=480, redirected=302)
def test_missed_call(s: Scene, status: int) -> None:
    """Calls that fail are kept with the reason."""
    alice, bob = phones(s, "alice", "bob")
    users(s, alice, bob)
    sent = call(s, alice, bob.name)
    answer(alice, bob, sent, status, rings=False)
    note_accounting(s)
    rows(s, missed=1)


@room.one
def test_cancelled_call(s: Scene) -> None:
    alice, bob = phones(s, "alice", "bob")
    users(s, alice, bob)
    sent = call(s, alice, bob.name)
    give_up(alice, bob, sent)
    note_accounting(s)
    rows(s, missed=1)


@room.one
def test_trusted_address(s: Scene) -> None:
    """Who calls from an address of group 1 needs no password; the table is read again by RPC."""
    alice, bob = phones(s, "alice", "bob")
    users(s, bob)
    insert(s, "address", grp=1, ip_addr="127.0.0.1", mask=32, port=alice.port)
    s.note(rpc(s, "permissions.addressReload"))
    answer(alice, bob, invite(alice, bob.name), 486, rings=False)
    alice.request("REGISTER", uri=f"sip:{DOMAIN}", user=alice.name)
    alice.expect(401)


@room.each(local="sip:{bob}@example.test", foreign="sip:{bob}@{gateway}")
def test_alias(s: Scene, target: str) -> None:
    """An alias leads to a user of the domain, or out of it."""
    alice, bob, gateway = phones(s, "alice", "bob", "gateway")
    users(s, alice, bob)
    alias = f"alias.{s.name}"
    where = target.format(bob=bob.name, gateway=gateway.host)
    user, host = where.removeprefix("sip:").split("@")
    insert(s, "dbaliases", alias_username=alias, alias_domain=DOMAIN, username=user, domain=host)
    sent = call(s, alice, alias)
    reached = bob if host == DOMAIN else gateway
    answer(alice, reached, sent, 486, rings=False)
    note_accounting(s)
    rows(s)


@room.one
def test_unknown_user(s: Scene) -> None:
    """Neither an alias nor registered."""
    alice = phone(s, "alice")
    users(s, alice)
    sent = call(s, alice, f"unknown.{s.name}")
    alice.ack(sent, alice.expect(404))
    note_accounting(s)


@room.each("short", "unknown", "long")
def test_speed_dial(s: Scene, what: str) -> None:
    """Two digits, that each user has his own list of."""
    alice, bob = phones(s, "alice", "bob")
    users(s, alice, bob)
    insert(
        s, "speed_dial", username=alice.name, domain=DOMAIN, sd_username="22", sd_domain=DOMAIN,
        new_uri=f"sip:{bob.name}@{DOMAIN}",
    )  # fmt: skip
    sent = call(s, alice, {"short": "22", "unknown": "23", "long": "222"}[what])
    if what == "short":
        answer(alice, bob, sent, 486, rings=False)
    else:
        alice.ack(sent, alice.expect(404))
    note_accounting(s)


@room.one
def test_user_without_a_row(s: Scene) -> None:
    """Rows that come while the server runs count at once, and no longer once they are gone."""
    s.mask(NONCE)
    alice = phone(s, "alice")
    sent = alice.request("REGISTER", uri=f"sip:{DOMAIN}", user=alice.name)
    with_credentials(alice, sent, alice.expect(401))
    challenge = alice.expect(401)
    subscribers(s, alice)
    with_credentials(alice, sent, challenge)
    alice.expect(200)


domains = Stock("stock-domains", "AUTH MULTIDOMAIN ALIASDB SPEEDDIAL", database=True)


@domains.one
def test_two_domains(s: Scene) -> None:
    """A domain of the table is the server's own; users of the same name in two domains are two users."""
    s.mask(NONCE)
    alice = phone(s, "alice")
    other = "second.test"
    insert(s, "domain", domain=other, did=other)
    insert(s, "subscriber", username=alice.name, domain=other, password=PASSWORD)
    s.note(rpc(s, "domain.reload"))
    subscribers(s, alice, domain=DOMAIN)
    for number, domain in enumerate((DOMAIN, other, "foreign.test")):
        text = alice.request(
            "REGISTER", uri=f"sip:{domain}", user=alice.name, headers=f"Contact: {contact_of(alice)}", send=False,
            call_id=f"{s.name}-{number}", cseq=1,
        ).text.replace("@example.test>", f"@{domain}>")  # fmt: skip
        alice.send(text)
        s.fence()
        s.server.settle()
        alice.drain()
        reply = alice.arrivals[-1].message
        s.note(f"{domain}: {reply.status}")
        if reply.status == 401:
            with_credentials(alice, Sip(text), reply)
            s.fence()
            s.server.settle()
            alice.drain()
    s.mask(r"Expires: \d+|Last-\w+: \d+|Ruid: \S+|Socket: \S+")
    s.note(rpc(s, "ul.lookup", "location", f"{alice.name}@{other}"))
    s.note(rpc(s, "ul.lookup", "location", f"{alice.name}@{DOMAIN}"))
    s.note(rpc(s, "ul.lookup", "location", alice.name))


@domains.one
def test_domain_by_rpc(s: Scene) -> None:
    s.note(rpc(s, "domain.dump"))
    s.note(rpc(s, "core.aliases_list"))


@domains.one
def test_not_registered_in_that_domain(s: Scene) -> None:
    """A user of one domain is unknown in the other one."""
    alice, bob = phones(s, "alice", "bob")
    register(bob, status=401)
    s.mask(NONCE)
    text = alice.request("MESSAGE", uri=f"sip:{bob.name}@third.test", send=False).text
    alice.send(text.replace(f"From: <sip:{alice.name}@example.test>", "From: <sip:alice@foreign.test>"))
    alice.expect(403)
