"""kamctl and kamcli on the stock config with a database: users, locations, tables, statistics."""

from __future__ import annotations

import re
import threading

from kit.admin import Admin
from kit.scene import Scene
from kit.stock import DOMAIN, Stock, contact_of, phone, register, with_credentials

room = Stock("stock-tools", "IPAUTH USRLOCDB ALIASDB SPEEDDIAL MULTIDOMAIN", database=True)
users = Stock("stock-tools-users", "AUTH", database=True)

FREE = {
    "id": r'(?<="id":)\s*\d{2,}|(?<=^id: )\d+',
    "pid": r'(?<="PID":)\s*\d+|(?<="pid":)\s*\d+|^ *\d+ +\d+(?= \w)',
    "time": r"\b[A-Z][a-z]{2} [A-Z][a-z]{2} +\d+ [\d:]{8} (UTC )?\d{4}",
    "seconds": r'(?<=uptime)(": |: )\d+|(?<="Expires":)\s*\d+|(?<=Expires: )\d+|\b17\d{8}\b',
    "ruid": r"ul(oc|cx)-[0-9a-f]+-[0-9a-f]+-[0-9a-f]+",
    "state": r"CS_(NEW|SYNC)",
    "count": r"(?<= = )\d+|(?<=: )'\d+'",
}  # fmt: skip
"""What differs from run to run, by what it is. Only counts of usrloc are compared."""
OURS_OR_THEIRS = re.compile(r"^.*\b(sqlite|shmem)[:.].*\n", re.MULTILINE)
"""Statistics that depend on libraries and on the memory manager."""


def note(s: Scene, tool: str, words: list[str], said: str) -> None:
    said = OURS_OR_THEIRS.sub("", said)
    for name, pattern in FREE.items():
        if name != "count" or "usrloc" not in words:
            said = re.sub(pattern, f"<{name}>", said, flags=re.MULTILINE)
    s.note(f"$ {tool} {' '.join(words)}\n{said}")


def kamctl(s: Scene, *commands: str) -> None:
    """Note what each of the commands prints."""
    admin = Admin(s.server, DOMAIN)
    for command in commands:
        words = command.split()
        note(s, "kamctl", words, admin.kamctl(*words))


def kamcli(s: Scene, *commands: str) -> None:
    split = [command.split() for command in commands]
    for words, said in zip(split, Admin(s.server, DOMAIN).kamcli(*split), strict=True):
        note(s, "kamcli", words, said)


@users.one
def test_users(s: Scene) -> None:
    """A user made by kamctl registers with the password he was given last, and not once he is removed."""
    s.mask(r'nonce="[^"]*"')
    alice = phone(s, "alice")

    def registers(cseq: int, password: str, status: int) -> None:
        sent = alice.request(
            "REGISTER", uri=f"sip:{DOMAIN}", user=alice.name, headers=f"Contact: {contact_of(alice)}", cseq=cseq
        )
        with_credentials(alice, sent, alice.expect(401), password=password)
        alice.expect(status)

    kamctl(s, f"add {alice.name} secret", f"add {alice.name} again", f"show {alice.name}")
    registers(1, "secret", 200)
    kamctl(s, f"passwd {alice.name} better")
    registers(11, "secret", 401)
    registers(21, "better", 200)
    kamctl(s, f"rm {alice.name}", f"show {alice.name}")
    registers(31, "better", 401)


@room.one
def test_locations(s: Scene) -> None:
    """Contacts added by kamctl are called, and those of phones are shown."""
    alice, bob = phone(s, "alice"), phone(s, "bob")
    register(alice)
    kamctl(s, f"ul add {bob.name} sip:{bob.name}@{bob.host} 300", f"ul add {bob.name} sip:other@127.0.0.1:9", "online")
    kamctl(s, f"ul show {alice.name}", f"ul show {bob.name}@{DOMAIN}", f"ul rm {bob.name} sip:other@127.0.0.1:9")
    alice.request("MESSAGE", uri=f"sip:{bob.name}@{DOMAIN}", user=bob.name)
    bob.reply(bob.expect("MESSAGE"), 200)
    alice.expect(200, "MESSAGE")
    kamctl(s, "ul show", "stats usrloc", f"ul rm {bob.name}", f"ul show {bob.name}", f"ul rm nobody.{s.name}")
    kamctl(s, f"ul rm {alice.name}")


@room.one
def test_server(s: Scene) -> None:
    kamctl(s, "uptime", "ps", "psa", "stats", "stats registrar", "srv sockets", "srv aliases", "srv debug")
    kamctl(s, "srv version", "srv modules", "srv rpclist", "rpc core.version", "rpc no.such", "dialog show")


@room.one
def test_ping(s: Scene) -> None:
    """An OPTIONS to a phone, whose answer kamctl shows."""
    alice = phone(s, "alice")
    s.number("index", r"(?<=branch=z9hG4bK)[0-9a-f]+")
    s.mask(r"(?<=Call-ID: )\S+|(?<=tag=)[0-9a-z-]{20,}")
    asking = threading.Thread(target=kamctl, args=(s, f"ping sip:{alice.name}@{alice.host}"))
    asking.start()
    alice.reply(alice.expect("OPTIONS"), 200)
    asking.join()


@room.one
def test_tables(s: Scene) -> None:
    """Rows of domain, address, alias and speed dial; what is loaded is shown after a reload."""
    kamctl(s, "domain add new.test", "domain reload", "domain show", "domain showdb", "domain rm new.test")
    kamctl(s, "address dump", "address add 7 10.0.0.9 32 0 tag", "address add 7 10.1.0.0 16 5060 net", "address show")
    kamctl(s, "address reload", "address dump", "address rm 7 10.0.0.9", "trusted dump", "trusted reload")
    kamctl(s, f"alias_db add short@{DOMAIN} long@{DOMAIN}", f"alias_db rm short@{DOMAIN}", "dispatcher show")
    kamctl(s, f"speeddial add me@{DOMAIN} 22@{DOMAIN} sip:you@{DOMAIN} you", f"speeddial rm me@{DOMAIN} 22@{DOMAIN}")


@room.one
def test_kamcli(s: Scene) -> None:
    alice = phone(s, "alice")
    register(alice)
    kamcli(
        s, "uptime", "ps", "stats", "stats usrloc", "stats -s registered_users", "srv sockets", "srv aliases",
        "srv version", "srv modules", "srv rpclist", f"ul add other.{s.name} sip:other@127.0.0.1:9",
        f"ul show {alice.name}", "ul show", f"ul rm other.{s.name}", f"ul show other.{s.name}", "subscriber show",
        "domain list", "domain reload", "address list", "address reload", "dispatcher list", "tcp options", "tcp info",
        "jsonrpc core.version", "jsonrpc stats.fetchn registrar:", "rpcmethods", "moni --no-refresh", "dialog list",
    )  # fmt: skip
