"""Registrations with other registrars: what goes to them, what their answers change, functions, and RPC.

Records are made by uac.reg_add, or as rows of the database that uac.reg_refresh reads; the registrar is an agent. The
process that registers looks once a second.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from hashlib import md5
from pathlib import Path

from kit.agent import Agent
from kit.digest import proven
from kit.kamcmd import kamcmd
from kit.room import Pairs, Room
from kit.scene import Scene
from kit.sip import Sip

from kamailio_py.db.tables import create_sqlite

HA1 = md5(b"au:r:secret").hexdigest()
ROW = {
    "l_uuid": "row", "l_username": "lu-row", "l_domain": "local.test", "r_username": "ru-row",
    "r_domain": "remote.test", "auth_username": "au-row", "auth_password": "pw-row", "auth_proxy": "sip:127.0.0.1:9",
    "reg_delay": 5000, "expires": 50,
}  # fmt: skip
ROWS = (
    ROW | {"l_uuid": "hashed", "l_username": "twice", "auth_password": "", "auth_ha1": HA1.upper(), "realm": "r"},
    ROW | {"l_uuid": "other", "l_username": "twice", "l_domain": "other.test", "contact_addr": "c.test:5",
           "socket": "udp:127.0.0.1:1"},
    ROW | {"l_uuid": "off", "flags": 1},
    ROW | {"l_uuid": "no-proxy", "auth_proxy": ""},
    ROW | {"l_uuid": "no-password", "auth_password": ""},
    ROW | {"l_uuid": "short-ha1", "auth_ha1": "abc"},
    ROW | {"l_uuid": "bad-ha1", "auth_ha1": HA1[:-1] + "g"},
)  # fmt: skip

PARAMS = """
modparam("ctl", "binrpc", "unix:@DIR@/ctl")
modparam("uac", "restore_mode", "none")
modparam("uac", "reg_db_url", "sqlite:///@DIR@/u.db")
modparam("uac", "reg_contact_addr", "us.test:7777")
modparam("uac", "reg_timer_interval", 1)
modparam("uac", "auth_realm_avp", "$avp(arealm)")
modparam("uac", "auth_username_avp", "$avp(auser)")
modparam("uac", "auth_password_avp", "$avp(apass)")
modparam("tm", "fr_timer", 20000)
"""
FUNCTIONS = """
route[TO] { xlog("L_NOTICE", "$var(r) $ru $du [$avp(arealm)] [$avp(auser)] [$avp(apass)]\\n"); }
route[FUNCTIONS] {
    $var(p) = $hdr(X-P); $var(q) = $hdr(X-Q); $var(d) = "";
    switch ($hdr(X-F)) {
        case "lookup": uac_reg_lookup("$var(p)", "$var(d)"); $var(r) = $rc; break;
        case "uri": uac_reg_lookup_uri("$var(p)", "$var(d)"); $var(r) = $rc; break;
        case "status": uac_reg_status("$var(p)"); $var(r) = $rc; break;
        case "enable": uac_reg_enable("$var(p)", "$var(q)"); $var(r) = $rc; break;
        case "disable": uac_reg_disable("$var(p)", "$var(q)"); $var(r) = $rc; break;
        case "refresh": uac_reg_refresh("$var(p)"); $var(r) = $rc; break;
        case "to0": uac_reg_request_to("$var(p)", "0"); $var(r) = $rc; route(TO); break;
        case "to1": uac_reg_request_to("$var(p)", "1"); $var(r) = $rc; route(TO); break;
        case "to2": uac_reg_request_to("$var(p)", 2); $var(r) = $rc; route(TO); break;
        case "to3": uac_reg_request_to("$var(p)", "3"); $var(r) = $rc; route(TO); break;
        case "to4": uac_reg_request_to("$var(p)", "4"); $var(r) = $rc; route(TO); break;
    }
    xlog("L_NOTICE", "$hdr(X-F) $var(p) $var(q): $var(r) [$var(d)]\\n");
    sl_send_reply("200", "done");
}
"""


def insert(path: Path, **row: str | int) -> None:
    """Put a row into the table, in place of one of the same uuid."""
    with sqlite3.connect(path / "u.db") as database:
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        database.execute(f"insert or replace into uacreg ({names}) values ({marks})", list(row.values()))
    database.close()


def prepare(path: Path) -> None:
    create_sqlite(str(path / "u.db"))
    for row in ROWS:
        insert(path, **row)


def rooms(name: str, params: str = "") -> Room:
    return Room(
        name, modules="uac ctl db_sqlite counters", params=PARAMS + params, prepare=prepare, cfg=FUNCTIONS
    )  # fmt: skip


room = rooms("uac_reg", 'modparam("uac", "reg_retry_interval", 30)')
other = rooms(
    "uac_reg_more",
    """
modparam("uac", "reg_keep_callid", 1)
modparam("uac", "reg_use_domain", 1)
modparam("uac", "reg_gc_interval", 1)
modparam("uac", "reg_hash_size", 2)
modparam("uac", "reg_random_delay", 1)
""",
)


def case(of: Room) -> Callable[[Callable[[Scene], None]], Callable[[Pairs], None]]:
    """Make a test of a function; its requests run the functions."""

    def wrap(steps: Callable[[Scene], None]) -> Callable[[Pairs], None]:
        name = steps.__name__.removeprefix("test_")
        return of.case(f"route[{name}] {{ route(FUNCTIONS); }}")(steps)

    return wrap


def command(s: Scene, text: str) -> str:
    return kamcmd(f"unix:{s.server.directory}/ctl", *text.split())


def tell(s: Scene, *commands: str) -> None:
    """Note commands and what they answer, times left out: 0 has not been set, ~20 is to come in about so long."""
    for text in commands:
        answer = command(s, text)
        now = re.search(r"diff_expires: (-?\d+)\n\ttimer_expires: (\d+)", answer)
        if now:
            left = "0" if now[2] == "0" else f"~{round(int(now[1]) / 10) * 10}"
            answer = answer.replace(now[0], f"expires {left}")
        s.note(f"{text}\n{re.sub(r'reg_init: [0-9]+', 'reg_init', answer)}")


def state(s: Scene, *uuids: str) -> None:
    tell(s, *(f"uac.reg_info l_uuid {uuid}" for uuid in uuids))


def add(s: Scene, registrar: Agent, *uuids: str, password: str = "pw", realm: str = "r", expires: int = 50) -> None:
    command(s, "uac.reg_active 0")
    for uuid in uuids:
        words = f"{uuid} l-{uuid} local.test r-{uuid} remote.test {realm} au {password} sip:{registrar.host}"
        tell(s, f"uac.reg_add {words} {expires} 0 0 udp:127.0.0.1:{s.server.port} .")


def registers(s: Scene, registrar: Agent, *uuids: str) -> dict[str, Sip]:
    """Let rounds register, until each of these has sent a REGISTER."""
    command(s, "uac.reg_active 1")
    found = received(s, registrar, *uuids)
    command(s, "uac.reg_active 0")
    return found


def received(s: Scene, registrar: Agent, *uuids: str) -> dict[str, Sip]:
    """The next REGISTER of each of these."""
    s.mask(r"(?<=Call-ID: )\S+")
    s.mask(r"(?<=;tag=)<tm-tag \d+>")
    s.mask(r"(?<=z9hG4bK)[0-9a-f]+(?=\.<)")
    found: dict[str, Sip] = {}
    while set(found) != set(uuids):
        register = registrar.expect("REGISTER")
        found[register.first("Contact")[5:].partition("@")[0]] = register
    return found


def contact(uuid: str, expires: str = ";expires=600") -> str:
    return f"Contact: <sip:{uuid}@us.test:7777>{expires}"


def settled(s: Scene, uuid: str, flags: int) -> None:
    """Wait until the answer to a REGISTER was taken in."""
    for _ in range(400):
        if f"flags: {flags}\n" in command(s, f"uac.reg_info l_uuid {uuid}"):
            return
    s.note(f"{uuid} never had the flags {flags}")


def forget(s: Scene, *uuids: str) -> None:
    for uuid in uuids:
        command(s, f"uac.reg_remove {uuid}")


@case(room)
def test_accepted(s: Scene) -> None:
    """200s of all kinds."""
    registrar = s.agent("registrar")
    uuids = ("ok", "header", "none", "star", "foreign", "several", "zero", "bad")
    add(s, registrar, *(f"{uuid}" for uuid in uuids), password="pw .")
    sent = registers(s, registrar, *uuids)
    state(s, *uuids)
    answers = {
        "ok": contact("ok"), "header": contact("header", "") + "\nExpires: 700", "none": "", "star": "Contact: *",
        "foreign": "Contact: <sip:x@y>", "several": f'{contact("x")}, <sip:several@y>;expires="80", <sip:z@y>',
        "zero": contact("zero", ";expires=x"), "bad": "Contact: <bad>;expires=100",
    }  # fmt: skip
    for uuid, headers in answers.items():
        registrar.reply(sent[uuid], 200, headers=headers)
        settled(s, uuid, 16 if uuid in ("none", "bad", "star", "foreign") else 20)
    state(s, *uuids)
    forget(s, *uuids)


@case(room)
def test_challenged(s: Scene) -> None:
    """Credentials, with a password and with an HA1; and challenges that are not answered."""
    registrar = s.agent("registrar")
    uuids = ("plain", "proxy", "ha1", "realm", "any", "twice-asked", "no-challenge", "basic")
    add(s, registrar, "plain", "proxy", "realm", "twice-asked", "no-challenge", "basic", password="secret .")
    add(s, registrar, "ha1", password=f". {HA1.upper()}")
    add(s, registrar, "any", password="secret .", realm="s:")
    sent = registers(s, registrar, *uuids)
    digest = 'Digest realm="r", nonce="abc"'
    answers: dict[str, tuple[int, str]] = {
        "plain": (401, f'WWW-Authenticate: {digest}, qop="auth", algorithm=MD5, opaque="op"'),
        "proxy": (407, f"Proxy-Authenticate: {digest}"), "ha1": (401, f"WWW-Authenticate: {digest}"),
        "realm": (401, 'WWW-Authenticate: Digest realm="else", nonce="abc"'),
        "any": (401, f"WWW-Authenticate: {digest}"),
        "twice-asked": (401, f"WWW-Authenticate: {digest}"), "no-challenge": (401, ""),
        "basic": (401, 'WWW-Authenticate: Basic realm="r"'),
    }  # fmt: skip
    for uuid, (status, headers) in answers.items():
        registrar.reply(sent[uuid], status, headers=headers)
        if uuid in ("realm", "no-challenge", "basic"):
            settled(s, uuid, 16)
            continue
        again = received(s, registrar, uuid)[uuid]
        s.note(f"{uuid} of the same call: {again.call_id == sent[uuid].call_id}")
        proven(s, again, HA1)
        settled(s, uuid, 26)
        state(s, uuid)
        if uuid == "twice-asked":
            registrar.reply(again, 401, headers=headers)
            settled(s, uuid, 16)
        else:
            registrar.reply(again, 200, headers=contact(uuid))
            settled(s, uuid, 20)
    state(s, *uuids)
    forget(s, *uuids)


@case(room)
def test_refused(s: Scene) -> None:
    """Failures, which are tried again later; 423 asks for another time; what cannot be sent; a refresh; an end."""
    registrar = s.agent("registrar")
    uuids = ("forbidden", "accepted", "brief", "briefer", "soon", "over")
    add(s, registrar, *uuids, password="pw .")
    tell(s, "uac.reg_add unsent l-unsent local.test r remote.test r au pw . nowhere 50 0 0 . .")
    sent = registers(s, registrar, *uuids)
    registrar.reply(sent["forbidden"], 403)
    settled(s, "forbidden", 16)
    registrar.reply(sent["accepted"], 202, headers=contact("accepted"))
    settled(s, "accepted", 16)
    registrar.reply(sent["soon"], 200, headers=contact("soon", ";expires=2"))
    settled(s, "soon", 20)
    registrar.reply(sent["over"], 200, headers=contact("over"))
    settled(s, "over", 20)
    tell(s, "uac.reg_unregister l_uuid over")
    last = received(s, registrar, "over")["over"]
    registrar.reply(last, 200)
    settled(s, "over", 16)
    registrar.reply(sent["brief"], 423, headers="Min-Expires: 777")
    registrar.reply(sent["briefer"], 423)
    settled(s, "briefer", 16)
    again = registers(s, registrar, "brief", "briefer", "soon")
    for uuid in ("brief", "briefer", "soon"):
        s.note(f"{uuid} of the same call: {again[uuid].call_id == sent[uuid].call_id}")
        registrar.reply(again[uuid], 200, headers=contact(uuid))
        settled(s, uuid, 20)
    state(s, *uuids, "unsent")
    forget(s, *uuids, "unsent")


def ask(s: Scene, alice: Agent, function: str, *arguments: str) -> None:
    for each in arguments:
        first, _, second = each.partition("=")
        alice.request("OPTIONS", headers=f"X-F: {function}\nX-P: {first}\nX-Q: {second}")
        alice.expect(200)


def ask_all(s: Scene) -> None:
    alice = s.agent("alice")
    ask(s, alice, "lookup", "hashed", "other", "nobody", "")
    ask(
        s,
        alice,
        "uri",
        "sip:twice@local.test",
        "sip:twice@other.test:5",
        "sip:twice@x",
        "sip:n@local.test",
        "twice",
        "",
    )
    for mode in range(5):
        users = ("hashed", "other", "twice", "sip:twice@local.test", "sip:twice@other.test", "sip:nobody@local.test")
        ask(s, alice, f"to{mode}", *users)
    ask(s, alice, "status", "hashed", "off", "nobody", "")


@case(room)
def test_functions(s: Scene) -> None:
    """Return codes and results of the functions, in each state."""
    ask_all(s)
    alice, registrar = s.agents("alice", "registrar")
    add(s, registrar, "mine", password="pw .")
    sent = registers(s, registrar, "mine")["mine"]
    command(s, "uac.reg_active 0")
    ask(s, alice, "status", "mine")
    registrar.reply(sent, 200, headers=contact("mine"))
    settled(s, "mine", 20)
    ask(s, alice, "status", "mine")
    for function in ("disable", "enable"):
        ask(s, alice, function, "l_uuid=mine", "l_username=l-mine", "r_username=r-mine", "auth_username=au-row")
        ask(s, alice, function, "foo=bar", "l_uuid=nobody", "l_username=nobody", "r_username=nobody", "l_uuid=", "=x")
        state(s, "mine")
        ask(s, alice, "status", "mine")
    ask(s, alice, "refresh", "nobody", "", "other")
    forget(s, "mine")


@case(room)
def test_rpc(s: Scene) -> None:
    """Answers and faults of the commands; statistics; the table that was loaded at the start."""
    commands = [
        "uac.reg_active 1",
        "uac.reg_info l_uuid hashed",
        "uac.reg_info l_uuid other",
        "uac.reg_info l_uuid off",
    ]
    commands += [f"uac.reg_info l_uuid {uuid}" for uuid in ("no-proxy", "no-password", "short-ha1", "bad-ha1")]
    for name in ("info", "enable", "disable", "unregister"):
        commands += [
            f"uac.reg_{name}{rest}" for rest in ("", " l_uuid", " l_uuid nobody", " x y", " l_uuid s:", " 5 6")
        ]  # fmt: skip
    for name in ("refresh", "remove"):
        commands += [f"uac.reg_{name}{rest}" for rest in ("", " nobody", " 5", " s:")]
    commands += [
        "uac.reg_info r_username ru-row", "uac.reg_info auth_username nobody", "uac.reg_disable l_username twice",
        "uac.reg_enable l_uuid off", "uac.reg_info l_uuid off", "uac.reg_disable l_uuid off", "uac.reg_refresh off",
        "uac.reg_info l_uuid off", "uac.reg_refresh no-proxy", "uac.reg_refresh no-password",
        "uac.reg_add", "uac.reg_add a b c", "uac.reg_add hashed a b c d . e f . g 50 0 0 . .",
        "uac.reg_add new a b c d . e . . g 50 0 0 . .", "uac.reg_add new a b c d . e . abc g 50 0 0 . .",
        "uac.reg_add new a b c d . e f . g x 0 0 . .", "uac.reg_add new a b c d . e f . g 50 1 7 . .",
        "uac.reg_info l_uuid new", "uac.reg_remove new", "uac.reg_info l_uuid new",
        "uac.reg_active", "uac.reg_active x", "uac.reg_active 0", "uac.reg_active 5", "uac.reg_active 1",
        "stats.get_statistics uac:", "stats.fetch uac:", "cnt.get uac regdisabled",
        "cnt.grp_get_all uac", "uac.reg_reload", "stats.get_statistics uac:", "uac.reg_reload", "core.psx",
    ]  # fmt: skip
    s.mask(r"(?<=PID: )\d+")
    tell(s, *commands)
    s.note(re.sub(r"(?<=reg_init: )\d+|(?<=diff_expires: -)\d+", "*", command(s, "uac.reg_dump")))


@case(other)
def test_kept_call(s: Scene) -> None:
    """One call for all REGISTERs of a registration, also with credentials."""
    registrar = s.agent("registrar")
    add(s, registrar, "kept", password="secret .")
    sent = registers(s, registrar, "kept")["kept"]
    registrar.reply(sent, 200, headers=contact("kept", ";expires=2"))
    again = registers(s, registrar, "kept")["kept"]
    s.note(f"of the same call: {again.call_id == sent.call_id}")
    registrar.reply(again, 401, headers='WWW-Authenticate: Digest realm="r", nonce="abc"')
    proved = received(s, registrar, "kept")["kept"]
    s.note(f"of the same call: {proved.call_id == sent.call_id}")
    proven(s, proved, HA1)
    registrar.reply(proved, 200, headers=contact("kept"))
    settled(s, "kept", 20)
    tell(s, "uac.reg_unregister l_username l-kept")
    last = received(s, registrar, "kept")["kept"]
    s.note(f"of the same call: {last.call_id == sent.call_id}")
    registrar.reply(last, 200)
    settled(s, "kept", 17)
    state(s, "kept")
    forget(s, "kept")


@case(other)
def test_disabled(s: Scene) -> None:
    """A row that is read while the server runs; a failure, after which it is enabled and registered once more."""
    registrar = s.agent("registrar")
    insert(s.server.directory, **ROW | {"l_uuid": "again", "reg_delay": 0, "auth_proxy": f"sip:{registrar.host}"})
    tell(s, "uac.reg_refresh again")
    registrar.reply(registers(s, registrar, "again")["again"], 500)
    settled(s, "again", 17)
    tell(s, "uac.reg_enable l_username lu-row", "uac.reg_enable l_uuid again")
    registrar.reply(registers(s, registrar, "again")["again"], 200, headers=contact("again"))
    settled(s, "again", 20)
    state(s, "again")
    tell(s, "uac.reg_reload", "uac.reg_info l_uuid other")
    forget(s, "again")


@case(other)
def test_functions_with_domains(s: Scene) -> None:
    ask_all(s)
