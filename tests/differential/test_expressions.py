"""Expressions, conditions and results of statements: log lines of real Kamailio against those of the compiled cfg.

Real Kamailio gets one request for each case; ours is run in this process by the core, without sockets. What is
compared is all that is logged: the script's lines with their level, warnings and errors without the C function's name
and without columns.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from differential.language_cases import cases, config, title
from kit.server import Server, real_command

from kamailio_py import log
from kamailio_py.config.compiler import compile_config
from kamailio_py.config.host import RouteType
from kamailio_py.config.nodes import Endpoint, Listen, RouteKind
from kamailio_py.config.parser import parse_file
from kamailio_py.engine.core import Core
from kamailio_py.engine.core_functions import core_functions
from kamailio_py.script.context import Context
from kamailio_py.script.runtime import NAMESPACE
from kamailio_py.sip.message import Message

_REAL = re.compile(r"^ *\d+\(\d+\) ([A-Z]+): (.*)$")
_FUNCTION = re.compile(r"\[[^ ]*:\d+\]: \w+\(\): ")
_PLACE = re.compile(r"\(?\d+,\d+-\d+(,\d+)?\)?|\(\d+, \d+\)")


def request(name: str, port: int) -> str:
    return (
        f"MESSAGE sip:{name}@example.org SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{name}\r\n"
        f"From: <sip:alice@example.test>;tag=f1\r\nTo: <sip:bob@example.test>\r\nCall-ID: {name}\r\n"
        "CSeq: 1 MESSAGE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )


def normal(level: str, text: str) -> str:
    text = _FUNCTION.sub("", text)
    return f"{level}: {_PLACE.sub('(place)', text)}".rstrip("\n")


def by_case(lines: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lines:
        if "<script>: === " in line:
            current = found.setdefault(line.rsplit("=== ", 1)[1], [])
        else:
            current.append(line)
    return found


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[str]]]:
    server = Server("real", real_command(), config())
    try:
        server.start()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as agent:
            agent.bind(("127.0.0.1", 0))
            for name in cases():
                agent.sendto(request(name, agent.getsockname()[1]).encode(), server.address)
            agent.sendto(request("body-END", 5060).encode(), server.address)
            assert server.wait_log('route "body-END" not found')
        lines = []
        for line in server.log().replace(str(server.cfg_path), "test.cfg").splitlines():
            match = _REAL.match(line)
            if match and match[1] not in ("INFO", "DEBUG"):
                lines.append(normal(match[1], match[2]))
            elif lines and not match:
                lines[-1] += f"\n{line}"
        yield by_case(lines)
    finally:
        server.stop()


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    path = Path(tmp_path_factory.mktemp("cfg")) / "test.cfg"
    path.write_text(config())
    core = Core()
    core.registry.add_core_functions(core_functions(core))
    parsed = parse_file(str(path), core.registry)
    core.addresses.listen([Listen(parsed.routes[0].at, Endpoint("udp", ["127.0.0.1"], 5060))])
    for alias in parsed.aliases:
        core.addresses.add_alias(alias.endpoint)
    core.program = compile_config(parsed, core.registry, NAMESPACE)
    lines: list[str] = []
    patch = pytest.MonkeyPatch()
    patch.setattr(
        log, "emit", lambda level, text, facility=0: lines.append(normal(log.NAMES[max(-5, min(level, 3))], text))
    )
    patch.setattr(log.settings, "level", 2)
    entry = core.program.find(RouteKind.REQUEST, "0")
    assert entry is not None
    try:
        for name in cases():
            msg = Message(request(name, 5061), "127.0.0.1", 5061, core.sockets[0])
            if core.run(entry, Context(core, msg), RouteType.REQUEST) < 0:
                lines.append("WARNING: <core> error while trying script")
    finally:
        patch.undo()
    return by_case([line.replace(str(path), "test.cfg") for line in lines])


@pytest.mark.parametrize("name", cases(), ids=title)
def test_same_log(name: str, real: dict[str, list[str]], ours: dict[str, list[str]]) -> None:
    assert ours[name] == real[name]
