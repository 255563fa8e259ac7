"""Global parameters that change what happens to every message."""

from __future__ import annotations

import re
import socket
import sqlite3
from pathlib import Path

import pytest

from kamailio_py.config.parameters import _WITHOUT_EFFECT, PARAMETERS
from kamailio_py.db.errors import DbError
from kamailio_py.sip.endpoint import Destination, ListenSocket
from kamailio_py.transport.udp import IP_FREEBIND, IP_MTU_DISCOVER, IP_PMTUDISC_DO, IP_PMTUDISC_DONT, Udp
from tests.kit.local import Local

OPTIONS = """OPTIONS sip:bob@127.0.0.1:7000 SIP/2.0
Via: SIP/2.0/UDP 10.0.0.9:40009;branch=z9hG4bK1
From: <sip:a@b>;tag=1
To: <sip:a@b>
Call-ID: parameters
CSeq: 7 OPTIONS
"""
CFG = """
{parameters}
loadmodule "pv"
loadmodule "sl"
loadmodule "xlog"
request_route {{ {script} }}
"""


def serve(parameters: str, script: str) -> list[str]:
    with Local(CFG.format(parameters=parameters, script=script)) as server:
        return server.inject(OPTIONS)


def test_advertised_address_and_local_rport_stand_in_the_via() -> None:
    [sent] = serve('advertised_address="adv.example.org"\nadvertised_port=5099\nlocal_rport=yes', "forward();")
    via = sent.split("\r\n")[1]
    assert via.startswith("Via: SIP/2.0/UDP adv.example.org:5099;branch=z9hG4bK")
    assert via.endswith(";rport")


def test_force_rport_answers_to_the_source_port() -> None:
    [sent] = serve("force_rport=yes", 'sl_send_reply("200", "OK");')
    assert ";rport=40000" in sent


@pytest.mark.parametrize(("mode", "shown"), [(0, "one"), (1, "two")])
def test_log_prefix_stands_in_every_line_of_a_message(capfd: pytest.CaptureFixture[str], mode: int, shown: str) -> None:
    """Mode 0 evaluates it once for the message, mode 1 for each line."""
    script = 'xlog("L_ERR", "line\\n"); sl_send_reply("200", "OK");'
    parameters = f'log_prefix="[$rm $hdr(CSeq) $ru] "\nlog_prefix_mode={mode}'
    with Local(CFG.format(parameters=parameters, script=f'$ru = "sip:two@127.0.0.1"; {script}')) as server:
        server.inject(OPTIONS.replace("sip:bob@127.0.0.1:7000", "sip:one@127.0.0.1"))
    assert f"ERROR: [OPTIONS 7 OPTIONS sip:{shown}@127.0.0.1] <script>: line" in capfd.readouterr().err


def test_tcp_is_not_listened_on_where_it_is_disabled() -> None:
    with Local(
        'listen=127.0.0.1:5060\ndisable_tcp=yes\nloadmodule "sl"\nrequest_route { sl_send_reply("200", "OK"); }'
    ) as s:
        assert [str(socket) for socket in s.core.sockets] == ["udp:127.0.0.1:5060"]


SHOWN_ONLY = {"udp4_raw_mtu", "udp4_raw_ttl", "udp4_raw"}
"""RPC commands show them."""


def test_what_is_said_to_have_no_effect_is_not_read() -> None:
    top = Path(__file__).parents[2]
    sources = [*top.glob("kamailio_py/**/*.py"), *top.glob("modules/**/*.py")]
    read = {name for source in sources for name in re.findall(r"\bcfg\.(\w+)", source.read_text())}
    quiet = {parameter.name for parameter in PARAMETERS.values() if parameter.unused}
    assert quiet & read <= SHOWN_ONLY


def udp_socket(text: str) -> tuple[Udp, socket.socket]:
    with Local(f'{text}\nloadmodule "sl"\nrequest_route {{ sl_send_reply("200", "OK"); }}') as server:
        udp = Udp(lambda data, destination: False)
        udp.bind(ListenSocket(0, "udp", "127.0.0.1", 0), server.core.cfg)
        return udp, udp._sockets[0]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", (IP_PMTUDISC_DONT, 1, 0, 0)),
        ("pmtu_discovery=1\nmcast_ttl=3\nmcast_loopback=yes\nip_free_bind=yes", (IP_PMTUDISC_DO, 3, 1, 1)),
    ],
)
def test_options_of_udp_sockets(text: str, options: tuple[int, ...]) -> None:
    udp, opened = udp_socket(text)
    names = (IP_MTU_DISCOVER, socket.IP_MULTICAST_TTL, socket.IP_MULTICAST_LOOP, IP_FREEBIND)
    assert tuple(opened.getsockopt(socket.IPPROTO_IP, name) for name in names) == options
    udp.close()


@pytest.mark.parametrize(("text", "level"), [("", "ERROR"), ("corelog=0", "WARNING")])
def test_what_cannot_be_sent_is_told_at_the_level_of_corelog(
    text: str, level: str, capfd: pytest.CaptureFixture[str]
) -> None:
    udp, _ = udp_socket(text)
    assert not udp.send(b"x" * 70_000, Destination("udp", "127.0.0.1", 9, ListenSocket(0, "udp", "127.0.0.1", 0)))
    udp.close()
    assert f"{level}: <core>" in capfd.readouterr().err


def test_modules_are_initialised_one_after_the_other() -> None:
    core = {}
    for delay in (0, 1_500_000):
        with Local(CFG.format(parameters=f"modinit_delay={delay}", script="exit;")) as server:
            core[delay] = server.clock.ms()
    assert core[1_500_000] - core[0] == 3 * 1500


def test_versions_of_tables_stand_in_the_table_that_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with sqlite3.connect(path) as db:
        db.execute("create table versions (table_name text, table_version int)")
        db.execute("insert into versions values ('things', 7)")
    db.close()
    with Local(CFG.format(parameters='version_table="versions"\nloadmodule "db_sqlite"', script="exit;")) as server:
        server.core.db(f"sqlite:///{path}").check_version("things", 7)
        with pytest.raises(DbError):
            server.core.db(f"sqlite:///{path}").check_version("things", 6)


def test_resumed_replies_carry_the_warning(capfd: pytest.CaptureFixture[str]) -> None:
    cfg = """
sip_warning=1
loadmodule "tm"
loadmodule "async"
modparam("async", "workers", 1)
request_route { t_newtran(); async_route("LATER", "1"); }
route[LATER] { t_reply("404", "Not here"); }
"""
    with Local(cfg) as server:
        server.inject(OPTIONS)
        server.advance(2)
        [reply] = [text for text, _ in server.sent if " 404 " in text]
    assert 'Warning: 392 127.0.0.1:5060 "Noisy feedback tells:  pid=' in reply


def test_what_has_no_effect_is_a_parameter() -> None:
    names = {name for text in _WITHOUT_EFFECT.values() for name in text.split()}
    assert names <= set(PARAMETERS)
