"""Debian's stock kamailio.cfg, byte for byte, on both servers: the rooms of tests/differential/test_stock*.

A room is one combination of its defines, given as `-A`. Beside the copy of the config lies a kamailio-local.cfg, which
the stock config imports: it makes example.test a domain of the server, and points what the config has fixed (database,
path of tls.cfg, ports of media relays) to the directory of the server, as one who keeps the config untouched would.
The users of a case carry its name, so that all cases of a room share one pair of servers.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kamailio_py.db.tables import create_sqlite

from .agent import PATIENCE, Agent
from .calls import answer
from .digest import authorization, challenge_of
from .kamcmd import kamcmd
from .room import Case, Pairs, Room
from .scene import Scene
from .sdp import SDP, sdp
from .sip import Sip

STOCK = Path("/etc/kamailio/kamailio.cfg")
needs_stock = pytest.mark.skipif(
    not STOCK.exists() and os.environ.get("KAMAILIO_REQUIRED") != "1", reason="needs Debian's kamailio.cfg"
)
DOMAIN = "example.test"
PASSWORD = "secret"
NONCE = r'nonce="[^"]*"'

ACC_COLUMNS = ("src_user", "src_domain", "src_ip", "dst_ouser", "dst_user", "dst_domain")
_DATABASE = """loadmodule "db_sqlite.so"
#!define DBURL "sqlite:///@DIR@/kamailio.db"
"""


def make_database(path: Path) -> None:
    """Kamailio's tables, and the columns that the comment at the head of the stock config adds for WITH_ACCDB."""
    create_sqlite(str(path))
    with sqlite3.connect(path) as made:
        made.execute("PRAGMA journal_mode = WAL")  # cases read while servers write
        for table in ("acc", "missed_calls"):
            for column in ACC_COLUMNS:
                made.execute(f"ALTER TABLE {table} ADD COLUMN {column} VARCHAR(128) NOT NULL DEFAULT ''")
    made.close()


class Stock(Room):
    """The stock config with `defines`; `local` are lines of kamailio-local.cfg, `database` gives it one of sqlite."""

    fence = ""

    def __init__(
        self,
        name: str,
        defines: str = "",
        *,
        local: str = "",
        database: bool = False,
        listen: tuple[str, ...] = (),
        prepare: Callable[[Path], None] | None = None,
    ) -> None:
        def files(directory: Path) -> None:
            lines = f'alias="{DOMAIN}"\n{_DATABASE if database else ""}{local}\n'
            (directory / "kamailio-local.cfg").write_text(lines.replace("@DIR@", str(directory)))
            if database:
                make_database(directory / "kamailio.db")
            if prepare is not None:
                prepare(directory)

        options = [word for define in defines.split() for word in ("-A", f"WITH_{define}")]
        super().__init__(name, listen=listen, options=options, prepare=files)

    def text(self, cases: list[Case]) -> str:
        return STOCK.read_bytes().decode("latin-1")

    def each(self, *words: str, **rows: Any) -> Callable[[Callable[[Scene, Any], None]], Callable[..., None]]:
        """Make a test of `steps(scene, value)` for each of the words, or the values by name: each is a case."""
        values = dict(zip(words, words, strict=True)) | rows

        def wrap(steps: Callable[[Scene, Any], None]) -> Callable[..., None]:
            plain = steps.__name__.removeprefix("test_")
            for row, value in values.items():
                self._add(f"{plain}-{row}", lambda scene, value=value: steps(scene, value))

            @pytest.mark.parametrize("row", values)
            def test(pairs: Pairs, row: str) -> None:
                self.run(self.cases[f"{plain}-{row}"], pairs)

            test.__doc__, test.__module__ = steps.__doc__, steps.__module__
            return test

        return wrap

    def one(self, steps: Callable[[Scene], None]) -> Callable[[Pairs], None]:
        """Make a test of one case."""
        return self.case("")(steps)

    def _add(self, name: str, steps: Callable[[Scene], None]) -> None:
        self.cases[name] = Case(name, "", "", steps, False, None, "")


def in_each(
    rooms: dict[str, Stock], rows: dict[str, Any], bind: Callable[[str], Callable[[Scene, Any], None]]
) -> Callable[..., None]:
    """Make a test of each row in each room, one room after the other; `bind(room)` are the steps there."""
    tests = {name: room.each(**rows)(bind(name)) for name, room in rooms.items()}

    @pytest.mark.parametrize("row", rows)
    @pytest.mark.parametrize("room", rooms, scope="module")
    def test(pairs: Pairs, room: str, row: str) -> None:
        tests[room](pairs, row)

    return test


# -- users


def phone(scene: Scene, name: str, over: str = "udp") -> Agent:
    """A user agent of the user `name`.<case>."""
    make: Callable[[str], Agent] = {"udp": scene.agent, "tcp": scene.stream, "tls": scene.tls}[over]
    return make(f"{name}.{scene.name}")


def phones(scene: Scene, *names: str, over: str = "udp") -> list[Agent]:
    return [phone(scene, name, over) for name in names]


def contact_of(agent: Agent) -> str:
    return f"<sip:{agent.name}@{agent.claims or agent.host}{agent.uri_params}>"


def register(
    agent: Agent,
    contact: str | None = None,
    status: int = 200,
    *,
    cseq: int = 1,
    headers: str = "Expires: 600",
    call_id: str = "",
    user: str = "",
) -> Sip:
    """REGISTER the user of the agent (or `user`); `contact` is a header value, "" for none. The reply."""
    contact = contact_of(agent) if contact is None else contact
    lines = (f"Contact: {contact}\n" if contact else "") + headers
    agent.request(
        "REGISTER",
        uri=f"sip:{DOMAIN}",
        user=user or agent.name,
        headers=lines,
        cseq=cseq,
        call_id=call_id or f"reg-{agent.name}",
    )
    return agent.expect(status, "REGISTER")


def invite(caller: Agent, user: str, *, headers: str = "", **more: Any) -> Sip:
    """An INVITE for a user of the server."""
    lines, body = f"{SDP}\n{headers}", sdp("127.0.0.1")
    return caller.request("INVITE", uri=f"sip:{user}@{DOMAIN}", user=user, headers=lines, body=body, **more)


def answered(caller: Agent, called: Agent, headers: str = "") -> tuple[Sip, Sip, Sip]:
    """A call that is set up: the INVITE as sent, as received, and the 200 as the caller got it."""
    sent = invite(caller, called.name, headers=headers)
    return sent, *answer(caller, called, sent, headers=SDP, body=sdp("127.0.0.1"))


def with_credentials(agent: Agent, challenged: Sip, reply: Sip, **changes: Any) -> Sip:
    """The same request once more, with credentials for the challenge of `reply`."""
    header = "Proxy-Authorization" if reply.status == 407 else "Authorization"
    line = authorization(
        challenge_of(reply), challenged.method, changes.pop("uri", challenged.uri), agent.name, header=header,
        **({"password": PASSWORD} | changes),
    )  # fmt: skip
    text = challenged.text.replace(f"CSeq: {challenged.cseq} ", f"CSeq: {challenged.cseq + 1} ", 1)
    text = text.replace(f"branch={challenged.branch}", f"branch={challenged.branch}-auth", 1)
    text = text.replace("Content-Length:", f"{line}\r\nContent-Length:", 1)
    agent.send(text)
    return Sip(text)


def signed_in(s: Scene, *agents: Agent) -> None:
    """Register users with their passwords."""
    s.mask(NONCE)
    for agent in agents:
        sent = agent.request(
            "REGISTER", uri=f"sip:{DOMAIN}", user=agent.name, headers=f"Contact: {contact_of(agent)}\nExpires: 600"
        )
        with_credentials(agent, sent, agent.expect(401))
        agent.expect(200, "REGISTER")


def call(s: Scene, alice: Agent, user: str) -> Sip:
    """An INVITE that is authenticated; as it was sent the second time."""
    s.mask(NONCE)
    sent = invite(alice, user)
    challenge = alice.expect(407)
    alice.ack(sent, challenge)
    return with_credentials(alice, sent, challenge)


# -- the server's side


def rpc(scene: Scene, *words: str) -> str:
    """What kamcmd prints."""
    return kamcmd(scene.server.ctl, *words)


def database(scene: Scene) -> sqlite3.Connection:
    return sqlite3.connect(scene.server.directory / "kamailio.db", timeout=10)


def insert(scene: Scene, table: str, **row: Any) -> None:
    """A row into a table of the server's database."""
    connection = database(scene)
    with connection:
        marks = ", ".join("?" * len(row))
        connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))
    connection.close()


def subscribers(scene: Scene, *agents: Agent, domain: str = DOMAIN) -> None:
    """Give the agents' users a password."""
    for agent in agents:
        insert(scene, "subscriber", username=agent.name, domain=domain, password=PASSWORD)


def wait_for(count: int, find: Callable[[], list[Any]]) -> list[Any]:
    """What is found, once it is so many or time is up."""
    deadline = time.monotonic() + PATIENCE
    while len(found := find()) < count and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def note_rows(scene: Scene, count: int, query: str, *values: Any) -> None:
    """Note what a query finds, once that is `count` rows or time is up."""
    connection = database(scene)
    for row in wait_for(count, lambda: connection.execute(query, values).fetchall()):
        scene.note(str(row))
    connection.close()


def note_accounting(scene: Scene) -> None:
    """Note what acc has logged in this case, in the order of the alphabet: several processes write it."""
    scene.fence()
    scene.server.settle()
    lines = [line.partition("ACC: ")[2] for line in scene.server.log(scene._log_from).split("\n") if "ACC: " in line]
    for text in sorted(re.sub(r"timestamp=\d{10}(?!\d)", "timestamp=T", line) for line in lines):
        scene.note(text)
