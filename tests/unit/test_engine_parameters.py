"""Global parameters that change what happens to every message."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kamailio_py.config.parameters import PARAMETERS
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
