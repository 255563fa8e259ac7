"""Prints script expressions on real Kamailio and on kamailio-py, and compares what they are: null, number or text, and
how they are written.

A table file has statements that come first, a line `--`, and one expression a line. It is compiled into one
request_route that prints every expression; each message sent gives one column of values. A case file has blocks: a
line of statements (behind `forward: ` if the request is then to be sent back) and, indented, the expressions to
print after them; each is a route of one cfg, chosen by the user of the request-URI.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from pathlib import Path

from kit.server import Server, our_command, real_command

HERE = Path(__file__).parent
HEAD = """#!KAMAILIO
debug=1
log_stderror=yes
children=1
loadmodule "xlog.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "corex.so"
loadmodule "kex.so"
modparam("xlog", "buf_size", 65000)
"""
PATIENCE = 20.0
_VALUE = re.compile(r"@@(\d+)\|((?:(?!@@\d|##\d).)*?)\|@@", re.DOTALL)
_KIND = re.compile(r"##(\d+)\|(\w+)\|##")
_MASKS = (
    (re.compile(r"<<xavp:0x[0-9a-f]+>>"), "<<xavp>>"),
    (re.compile(r"branch=z9hG4bK1831\.[0-9a-f.]*"), "branch=ours"),
)

Cell = tuple[str | None, str | None]


def read(name: str) -> str:
    return (HERE / name).read_bytes().decode("latin-1")


def read_table(name: str) -> tuple[str, list[str]]:
    """Statements and expressions of a table file."""
    setup, _, expressions = read(name).partition("--\n")
    return setup, expressions.split("\n")[:-1]


def read_message(name: str) -> str:
    return read(name).replace("\n", "\r\n")


class Case:
    """Statements, and the expressions printed after them; with `forward` the request is sent back to the client."""

    def __init__(self, statements: str, expressions: list[str]) -> None:
        self.forward = statements.startswith("forward: ")
        self.statements = statements.removeprefix("forward: ")
        self.expressions = expressions


def read_cases(name: str) -> list[Case]:
    """The blocks of a case file; the first one names expressions that others take over."""
    blocks = []
    for block in read(name).split("\n\n"):
        first, *expressions = [line for line in block.split("\n") if line]
        blocks.append(Case(first, [expression.strip() for expression in expressions]))
    overview = blocks[0]
    for case in blocks:
        if case.expressions == [overview.statements]:
            case.expressions = overview.expressions
    return blocks[1:]


def printing(expressions: Sequence[str]) -> str:
    """Statements that print each expression and its kind; of selects, that are no pseudo-variables, through one."""
    lines = []
    for number, expression in enumerate(expressions):
        shown = expression
        if expression.startswith("@"):
            lines.append(f'$var(shown) = "undefined"; if (defined {expression}) $var(shown) = {expression};')
            shown = "$var(shown)"
        lines.append(f'xlog("L_NOTICE", "@@{number}|{shown}|@@\\n");')
        lines.append(
            f'if (typeof("{shown}", "int")) xlog("L_NOTICE", "##{number}|int|##\\n"); '
            f'else if ({shown} == $null) xlog("L_NOTICE", "##{number}|null|##\\n"); '
            f'else xlog("L_NOTICE", "##{number}|str|##\\n");'
        )
    return "\n".join(lines) + '\nxlog("L_NOTICE", "!!END!!\\n");\n'


def cells(log: str, count: int) -> list[Cell]:
    values = {int(number): text for number, text in _VALUE.findall(log)}
    kinds = {int(number): kind for number, kind in _KIND.findall(log)}
    return [(kinds.get(number), values.get(number)) for number in range(count)]


class Side:
    """One server with the cfg of a table, and a client that sends it messages."""

    def __init__(self, name: str, command: list[str], cfg: str) -> None:
        self.server = Server(name, command, cfg, ["-M", "400"])
        self.client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.client.bind(("127.0.0.1", 0))
        self.client.settimeout(PATIENCE)
        self.client_port = self.client.getsockname()[1]

    def __enter__(self) -> Side:
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.server.stop()

    def ask(self, message: str, forwarded: bool = False) -> tuple[str, str]:
        """What the log says about a message, and what was sent back if something must be; ports by name."""
        offset = self.server.log_size()
        text = message.replace("@PORT@", str(self.server.port)).replace("@ME@", str(self.client_port))
        self.client.sendto(text.encode("latin-1"), self.server.address)
        assert self.server.wait_log("!!END!!", offset, PATIENCE), self.server.log(offset)[-2000:]
        got = self.client.recv(65535).decode("latin-1") if forwarded else ""
        return self._plain(self.server.log(offset)), self._plain(got)

    def _plain(self, text: str) -> str:
        text = text.replace(str(self.server.port), "PORT").replace(str(self.client_port), "CLIENT")
        for pattern, name in _MASKS:
            text = pattern.sub(name, text)
        return text


def _sides(cfg: str) -> tuple[Side, Side]:
    return Side("real", real_command(), cfg), Side("ours", our_command(), cfg)


def compare_table(expressions: Sequence[str], messages: Sequence[str], setup: str = "", head: str = "") -> list[str]:
    """The expressions that differ, one line each. Replies among the messages are printed in reply_route."""
    printed = printing(expressions)
    cfg = f"{HEAD}{head}\nrequest_route {{\n{setup}\n{printed}exit;\n}}\n"
    if any(message.startswith("SIP/2.0") for message in messages):
        cfg += f"reply_route {{\n{printed}}}\n"
    differences = []
    sides = _sides(cfg)
    with sides[0] as real, sides[1] as ours:
        for column, message in enumerate(messages):
            expected = cells(real.ask(message)[0], len(expressions))
            found = cells(ours.ask(message)[0], len(expressions))
            for expression, theirs, mine in zip(expressions, expected, found, strict=True):
                if theirs != mine:
                    differences.append(f"{expression} of message {column}: Kamailio {theirs}, ours {mine}")
    return differences


REQUEST = (
    "INVITE sip:{user}@127.0.0.1:@PORT@ SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:@ME@;branch=z9hG4bK{user}\r\n"
    'From: "Bob B" <sip:bob@example.com>;tag=ft1\r\nTo: <sip:alice@example.org>\r\nCall-ID: cid-1@x\r\n'
    "CSeq: 7 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:c@c>\r\nContent-Length: 0\r\n\r\n"
)


def compare_cases(cases: Sequence[Case], head: str = "") -> list[str]:
    """The cases that differ, each with what differs."""
    chosen, routes = [], []
    for number, case in enumerate(cases):
        chosen.append(f'if ($rU == "case{number}") {{ route(CASE{number}); exit; }}')
        printed = "".join(
            f'xlog("L_NOTICE", "@@{place}|{expression}|@@\\n");\n' for place, expression in enumerate(case.expressions)
        )
        forward = '$du = "sip:127.0.0.1:" + $sp;\nforward();\n' if case.forward else ""
        routes.append(
            f'route[CASE{number}] {{\n{case.statements}\n{printed}{forward}xlog("L_NOTICE", "!!END!!\\n");\n}}\n'
        )
    cfg = f"{HEAD}{head}\nrequest_route {{\n" + "\n".join(chosen) + "\nexit;\n}\n" + "".join(routes)
    differences = []
    sides = _sides(cfg)
    with sides[0] as real, sides[1] as ours:
        for number, case in enumerate(cases):
            message = REQUEST.format(user=f"case{number}")
            theirs, sent = real.ask(message, case.forward)
            mine, sent_by_us = ours.ask(message, case.forward)
            expected, found = cells(theirs, len(case.expressions)), cells(mine, len(case.expressions))
            for expression, one, other in zip(case.expressions, expected, found, strict=True):
                if one != other:
                    differences.append(f"{case.statements} -> {expression}: Kamailio {one[1]!r}, ours {other[1]!r}")
            if sent != sent_by_us:
                differences.append(f"{case.statements} -> sent\n{sent}\nours\n{sent_by_us}")
    return differences
