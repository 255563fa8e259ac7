"""t_write_req() and t_write_unix(): a request handed to a program outside, as lines of text.

The program gets what it needs to answer the transaction by RPC: its name, index:label. modparam("tm", "tw_append",
"name:hdr[X];Label=avp[a];msg[body]") says which header lines, AVPs or body follow for those who ask for `name`.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from kamailio_py.config.arguments import RAW, Fixup
from kamailio_py.config.host import RouteType
from kamailio_py.log import get_logger
from kamailio_py.module import function
from kamailio_py.modules.tm.cell import State
from kamailio_py.modules.tm.transaction import FORWARDED

if TYPE_CHECKING:
    from kamailio_py.modules.tm.transaction import Transaction
    from kamailio_py.script.context import Context

log = get_logger("tm")

VERSION = "0.3"
WRITING = RouteType.REQUEST | RouteType.FAILURE


def parse_append(text: str) -> tuple[str, list[tuple[str, str, str]]]:
    """Name and elements (label, kind, what) of a tw_append value; ValueError if it is none."""
    name, colon, rest = text.partition(":")
    if not colon or not name.strip():
        raise ValueError(f"bad tw_append {text!r}: name:elements expected")
    elements = []
    for part in rest.split(";"):
        label, equals, value = part.strip().partition("=")
        if not equals:
            label, value = "", label
        kind, bracket, what = value.partition("[")
        if not bracket or not what.endswith("]") or kind not in ("hdr", "avp", "msg"):
            raise ValueError(f"bad tw_append element {part!r}")
        what = what[:-1]
        if kind == "msg" and what != "body":
            raise ValueError(f"unsupported tw_append element {part!r}")
        elements.append((label or what, kind, what))
    return name.strip(), elements


def action_of(text: str) -> tuple[str, str]:
    """`action/append` or `action`."""
    action, _, append = text.partition("/")
    if not action:
        raise ValueError("empty action")
    return action, append


ACTION = Fixup("action/append", prepare=action_of)


class WriteFunctions:
    """The two functions, and the parameter they read."""

    appends: dict[str, list[tuple[str, str, str]]]
    unix_tx_timeout: int

    def add_append(self, text: str) -> None:
        """modparam tw_append."""
        name, elements = parse_append(text)
        self.appends[name] = elements

    @function("t_write_req", RAW, ACTION, routes=WRITING)
    def t_write_req(self, ctx: Context, fifo: str, action: tuple[str, str]) -> int:
        """Write the request to a FIFO."""
        data = self._lines(ctx, action)
        if data is None:
            return -1
        try:
            handle = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            log.err(f"failed to open [{fifo}] fifo: {error.strerror}")
            return -1
        try:
            os.write(handle, data)
        except OSError as error:
            log.err(f"writev failed: {error.strerror}")
            return -1
        finally:
            os.close(handle)
        return self._written(ctx)

    @function("t_write_unix", RAW, ACTION, routes=WRITING)
    def t_write_unix(self, ctx: Context, path: str, action: tuple[str, str]) -> int:
        """Send the request to a UNIX datagram socket."""
        data = self._lines(ctx, action)
        if data is None:
            return -1
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(self.unix_tx_timeout / 1000)
            try:
                sender.sendto(data, path)
            except OSError as error:
                log.err(f"failed to write to [{path}]: {error.strerror or error}")
                return -1
        return self._written(ctx)

    def _written(self, ctx: Context) -> int:
        """From here on the program is in charge: the transaction waits for it as for a suspended one."""
        t: Transaction = ctx.t
        t.done |= FORWARDED
        return 1 if t.tm.client.add_blind(t, State.ACTIVE) >= 0 else -1

    def _lines(self, ctx: Context, action: tuple[str, str]) -> bytes | None:
        """The request as the program reads it."""
        t: Transaction | None = ctx.t
        if t is None:
            log.err("no transaction found")
            return None
        name, append = action
        msg = ctx.msg
        uri = msg.parsed_uri
        here = msg.socket
        route = msg.header("route") or ""
        lines = [
            VERSION, f"sip_request.{name}", msg.method, uri.user, uri.host, here.host if here else "",
            str(here.port) if here else "", msg.ruri, msg.from_.uri, f"<{msg.from_.uri}>", f"<{msg.to.uri}>",
            msg.call_id, msg.from_.tag, msg.to.tag, msg.cseq[0], f"{t.index}:{t.label}", route or ".",
            msg.dst_uri or ".", f"P-MsgFlags: {msg.flags:X}",
        ]  # fmt: skip
        body = ""
        for label, kind, what in self.appends.get(append, ()):
            if kind == "msg":
                body = msg.body
            elif kind == "hdr":
                lines += [f"{label}: {value}" for value in msg.headers(what.lower())]
            else:
                lines += [f"{label}: {value}" for value in ctx.avps.get(what, ())]
        text = "\n".join(lines) + f"\n.\n{body}\n"
        return text.encode("latin-1")
