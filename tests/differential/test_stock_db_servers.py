"""The stock config on MySQL and PostgreSQL: users, domains, aliases and accounting rows, with Kamailio's own tables.

Each of the two servers has a database of its own, made with the scripts that Debian's packages bring.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kit.agent import PATIENCE, Agent
from kit.calls import answer, hang_up
from kit.db_servers import Databases, MariaDb, Postgres
from kit.room import Pairs
from kit.scene import Scene
from kit.sip import Sip
from kit.stock import (
    ACC_COLUMNS,
    DOMAIN,
    NONCE,
    PASSWORD,
    Stock,
    call,
    contact_of,
    in_each,
    invite,
    note_accounting,
    phone,
    phones,
    rpc,
    signed_in,
    wait_for,
    with_credentials,
)

SCRIPTS = ("standard", "acc", "auth_db", "usrloc", "alias_db", "speeddial", "domain", "permissions")
DEFINES = "AUTH IPAUTH USRLOCDB ACCDB ALIASDB SPEEDDIAL MULTIDOMAIN"


DATABASES = {kind.scheme: Databases(kind, *SCRIPTS) for kind in (MariaDb, Postgres)}


def stock(scheme: str, defines: str, local: str = "") -> Stock:
    """`@DBURL@` is in the config of each server the URL of its database."""

    def prepare(directory: Path) -> None:
        columns = ", ".join(f"add column {column} varchar(128) not null default ''" for column in ACC_COLUMNS)
        more = [f"alter table {table} {columns};" for table in ("acc", "missed_calls")]
        name = "of_real" if "-real-" in directory.name else "of_ours"
        config = directory / "kamailio-local.cfg"
        config.write_text(config.read_text().replace("@DBURL@", DATABASES[scheme].make(name, *more)))

    local += '\n#!define DBURL "@DBURL@"'
    return Stock(f"stock-{scheme}", defines, local=local, listen=("tcp:127.0.0.1",), prepare=prepare)


ROOMS = {
    "mysql": stock("mysql", f"MYSQL {DEFINES}"),
    "postgres": stock("postgres", DEFINES, 'loadmodule "db_postgres.so"'),
}


def execute(s: Scene, databases: Databases, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Run it in the database of the scene's server; the rows it gives."""
    connection = databases.connect(f"of_{s.server.name}")
    try:
        cursor = connection.cursor()
        cursor.execute(statement, values)
        return list(cursor.fetchall()) if cursor.description else []
    finally:
        connection.close()


@pytest.fixture(scope="module", autouse=True)
def _no_servers_left(pairs: Pairs) -> Iterator[None]:
    yield
    pairs.close()
    for databases in DATABASES.values():
        databases.close()


Steps = Callable[[Scene, Databases, Any], None]


def each(**rows: Any) -> Callable[[Steps], Callable[..., None]]:
    """Each row is a case on each kind of database."""

    def wrap(steps: Steps) -> Callable[..., None]:
        def on(kind: str) -> Callable[[Scene, Any], None]:
            return functools.wraps(steps)(lambda s, value: steps(s, DATABASES[kind], value))

        test = in_each(ROOMS, rows, on)
        test.__doc__, test.__module__ = steps.__doc__, steps.__module__
        return test

    return wrap


def users(s: Scene, databases: Databases, *agents: Agent) -> None:
    """Give them passwords, and register them."""
    for agent in agents:
        execute(
            s, databases, "insert into subscriber (username, domain, password, ha1, ha1b) values (%s, %s, %s, '', '')",
            agent.name, DOMAIN, PASSWORD,
        )  # fmt: skip
    signed_in(s, *agents)


def rows(s: Scene, databases: Databases, acc: int = 0, missed: int = 0) -> None:
    """Note the rows of this call: so many of each table."""
    columns = ", ".join(ACC_COLUMNS)
    for table, count in (("acc", acc), ("missed_calls", missed)):
        query = f"select method, from_tag, to_tag, callid, sip_code, sip_reason, {columns} from {table}"
        found = wait_for(
            count, lambda query=query: execute(s, databases, f"{query} where callid like %s order by id", f"{s.name}-%")
        )
        for row in found:
            s.note(f"{table} {row}")


@each(udp="udp", tcp="tcp")
def test_call(s: Scene, db: Databases, over: str) -> None:
    """A call between two users, and its rows."""
    alice, bob = phones(s, "alice", "bob", over=over)
    users(s, db, alice, bob)
    sent = call(s, alice, bob.name)
    _, final = answer(alice, bob, sent, rings=False)
    rows(s, db, acc=1)
    hang_up(alice, bob, sent, final, cseq=3)
    note_accounting(s)
    rows(s, db, acc=2)


@each(busy=486, unavailable=480)
def test_missed_call(s: Scene, db: Databases, status: int) -> None:
    alice, bob = phones(s, "alice", "bob")
    users(s, db, alice, bob)
    sent = call(s, alice, bob.name)
    answer(alice, bob, sent, status, rings=False)
    rows(s, db, missed=1)


@each(alias="alias", dial="22")
def test_other_names(s: Scene, db: Databases, called: str) -> None:
    """An alias and a speed dial lead to a user."""
    alice, bob = phones(s, "alice", "bob")
    users(s, db, alice, bob)
    execute(s, db, "insert into dbaliases (alias_username, alias_domain, username, domain) values (%s, %s, %s, %s)",
        f"alias.{s.name}", DOMAIN, bob.name, DOMAIN,
    )  # fmt: skip
    execute(
        s, db, "insert into speed_dial (username, domain, sd_username, sd_domain, new_uri) values (%s, %s, %s, %s, %s)",
        alice.name, DOMAIN, "22", DOMAIN, f"sip:{bob.name}@{DOMAIN}",
    )  # fmt: skip
    sent = call(s, alice, f"alias.{s.name}" if called == "alias" else called)
    answer(alice, bob, sent, 486, rings=False)


@each(udp="udp", tcp="tcp")
def test_domain(s: Scene, db: Databases, over: str) -> None:
    """A domain of the table is the server's own once it is loaded, and has its own users."""
    s.mask(NONCE)
    alice = phone(s, "alice", over)
    other = f"{s.name}.test"
    execute(s, db, "insert into domain (domain, did) values (%s, %s)", other, other)
    execute(s, db, "insert into subscriber (username, domain, password, ha1, ha1b) values (%s, %s, %s, '', '')",
        alice.name, other, PASSWORD,
    )  # fmt: skip
    s.note(rpc(s, "domain.reload"))
    s.note(rpc(s, "domain.dump"))
    text = alice.request(
        "REGISTER", uri=f"sip:{other}", user=alice.name, headers=f"Contact: {contact_of(alice)}", send=False
    ).text.replace(f"@{DOMAIN}>", f"@{other}>")
    alice.send(text)
    with_credentials(alice, Sip(text), alice.expect(401))
    alice.expect(200)


@each(wrong="wrong", right=PASSWORD)
def test_password(s: Scene, db: Databases, password: str) -> None:
    """Rows that come while the server runs count at once."""
    s.mask(NONCE)
    alice = phone(s, "alice")
    execute(s, db, "insert into subscriber (username, domain, password, ha1, ha1b) values (%s, %s, %s, '', '')",
        alice.name, DOMAIN, PASSWORD,
    )  # fmt: skip
    sent = alice.request("REGISTER", uri=f"sip:{DOMAIN}", user=alice.name, headers=f"Contact: {contact_of(alice)}")
    with_credentials(alice, sent, alice.expect(401), password=password)
    alice.expect(200 if password == PASSWORD else 401)


class Stranger(Agent):
    """Somebody at another address than the server's own."""

    address = "127.0.0.77"


class Neighbour(Agent):
    address = "127.0.1.78"


@each(address=Stranger, network=Neighbour)
def test_trusted_address(s: Scene, db: Databases, who: type[Agent]) -> None:
    """Who calls from an address or a network of the table needs no password."""
    s.mask(NONCE)
    stranger = who("stranger", s.name, s.server.address)
    if not execute(s, db, "select id from address"):
        sent = invite(stranger, f"nobody.{s.name}")
        stranger.ack(sent, stranger.expect(407))
        for address, mask in (("127.0.0.77", 32), ("127.0.1.76", 30)):
            execute(s, db, "insert into address (grp, ip_addr, mask, port) values (1, %s, %s, 0)", address, mask)
        deadline = time.monotonic() + PATIENCE
        while "Reload OK" not in rpc(s, "permissions.addressReload") and time.monotonic() < deadline:
            time.sleep(0.1)  # not more often than every five seconds
    s.note(rpc(s, "permissions.addressDump") + rpc(s, "permissions.subnetDump"))
    sent = invite(stranger, f"nobody.{s.name}")
    stranger.ack(sent, stranger.expect(404))
    stranger.close()
