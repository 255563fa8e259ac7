"""Configs that come with Kamailio: the stock config in all its variants, the examples, and how long they take."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from kit.known_host import KnownHost
from kit.programs import missing

from kamailio_py.config.parser import CfgErrors, parse_file

STOCK = Path("/etc/kamailio/kamailio.cfg")
EXAMPLES = Path("/usr/share/doc/kamailio/examples")

BUDGET = 0.15
"""Seconds of the processor that reading the stock config may take."""


@pytest.fixture(autouse=True)
def debians_files() -> None:
    if not STOCK.exists() or not EXAMPLES.exists():
        missing("config of Kamailio's own")


def refusals(path: Path, defines: list[str]) -> list[str]:
    try:
        parse_file(str(path), KnownHost(), defines=defines)
    except CfgErrors as caught:
        return [f"{error.line}: {error.message}" for error in caught.errors]
    return []


def features() -> list[str]:
    """WITH_ defines of the stock config."""
    return sorted(set(re.findall(r"WITH_\w+", STOCK.read_text()))) if STOCK.exists() else []


@pytest.mark.parametrize("feature", ["", *features()])
def test_the_stock_config_with_each_feature(feature: str) -> None:
    """Features that keep something in a database need WITH_MYSQL, as in Kamailio."""
    defines = ["WITH_MYSQL", feature] if feature else []
    assert refusals(STOCK, list(dict.fromkeys(defines))) == []


def test_the_stock_config_with_all_features() -> None:
    assert refusals(STOCK, features()) == []


def test_the_stock_config_is_read_in_no_time() -> None:
    KnownHost().function_modules("t_relay")  # the table of known names is read once
    best = 1.0
    for _ in range(5):
        start = time.process_time()
        parse_file(str(STOCK), KnownHost(), defines=features())
        best = min(best, time.process_time() - start)
    assert best < BUDGET


REFUSED = {
    # old syntax, or modules that Kamailio no longer has; Kamailio 5.6 refuses them too
    "exec/exec_s5.cfg": "bad command: missing ';'?",
    "exec/exec_s5b.cfg": "bad command: missing ';'?",
    "kamailio/exec_s5.cfg": "bad command: missing ';'?",
    "mixed/acc.cfg": "syntax error",
    "mixed/dbtext.cfg": "unknown config variable",
    "mixed/flag_reply.cfg": "unknown config variable",
    "mixed/msilo.cfg": "failed to load module",
    "mixed/nathelper.cfg": "unknown config variable",
    "mixed/onr.cfg": "unknown command, missing loadmodule?",
    "mixed/pstn.cfg": "failed to load module",
    "mixed/redirect.cfg": "unknown command, missing loadmodule?",
    "mixed/replicate.cfg": "failed to load module",
    "mixed/serial_183.cfg": "syntax error",
    "mixed/snmp.cfg": "syntax error",
    "mixed/ccdiversion.cfg": "unknown command, missing loadmodule?",
    "mixed/vm_proxy.cfg": "failed to load module",
    "mixed/voicemail.cfg": "unknown config variable",
    "mixed/welcome.cfg": "unknown config variable",
    "kamailio/acc-mysql.cfg": "failed to load module",
    "kamailio/flag_reply.cfg": "failed to load module",
    "kamailio/fork.cfg": "unknown command, missing loadmodule?",
    "kamailio/msilo.cfg": "Can't get from cache: $avp(i:11)",
    "kamailio/nathelper.cfg": "failed to load module",
    "kamailio/pstn.cfg": "failed to load module",
    "kamailio/redirect.cfg": "unknown command, missing loadmodule?",
    "kamailio/serial_183.cfg": "unknown command, missing loadmodule?",
    "outbound/edge.cfg": "failed to load module",
    "outbound/edge_websocket.cfg": "failed to load module",
    "outbound/registrar.cfg": "failed to load module",
    "pkg/sip-router-basic.cfg": "unknown command, missing loadmodule?",
    "pkg/sip-router-oob.cfg": "failed to load module",
    "presence/full-no-failover.cfg": "failed to load module",
    "presence/no-db.cfg": "failed to load module",
    "webrtc/websocket.cfg": "failed to load module",
    # parts that are included by other files, and files that include what is not shipped
    "ims/icscf/kamailio.cfg": "cannot open included file",
    "ims/pcscf/kamailio.cfg": "unknown command, missing loadmodule?",
    "ims/pcscf/route/mo.cfg": "Can't get from cache: $(ru",
    "ims/pcscf/route/mt.cfg": "unknown command, missing loadmodule?",
    "ims/pcscf/route/register.cfg": "Can't get from cache: $sht",
    "ims/pcscf/route/rtp.cfg": "unknown command, missing loadmodule?",
    "ims/pcscf/route/websocket.cfg": "'('')' expected (function call)",
    "ims/pcscf/route/xmlrpc.cfg": "Can't get from cache: $hdr",
    "ims/scscf/kamailio.cfg": "cannot open included file",
    "kemi/kamailio-basic-kemi.cfg": "cannot open included file",
    "kemi/kamailio-basic-kemi-native.cfg": "unknown command, missing loadmodule?",
}


def examples() -> list[str]:
    return sorted(str(path.relative_to(EXAMPLES)) for path in EXAMPLES.rglob("*.cfg"))


@pytest.mark.parametrize("name", examples())
def test_example(name: str) -> None:
    """Read whole, or refused for the reason for which Kamailio refuses it."""
    found = refusals(EXAMPLES / name, [])
    if name in REFUSED:
        assert any(REFUSED[name] in words for words in found)
    else:
        assert found == []
