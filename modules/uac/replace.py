"""From and To replaced in requests, and restored in replies and in what follows in the dialog.

The other side is shown another URI; both sides must go on seeing their own. What is needed for that travels in a
parameter of our Record-Route: the old and the new URI, one XORed with the other, in base64. Replies get back what the
request had as it was received.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from kamailio_py.log import get_logger
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.message import Message
from kamailio_py.sip.uri import BadUri, Uri

if TYPE_CHECKING:
    from kamailio_py.modules.tm.api import Api
    from kamailio_py.modules.tm.transaction import Transaction
    from kamailio_py.script.context import Context

log = get_logger("uac")

NONE, MANUAL, AUTO = range(3)
"""restore_mode."""


def crossed(first: bytes, second: bytes, password: bytes = b"") -> bytes:
    """Each byte of one XORed with that of the other, the shorter one followed by zeros; and with the password."""
    size = max(len(first), len(second))
    mixed = bytes(a ^ b for a, b in zip(first.ljust(size, b"\0"), second.ljust(size, b"\0"), strict=True))
    if password:
        mixed = bytes(byte ^ password[i % len(password)] for i, byte in enumerate(mixed))
    return mixed


def encode(old: str, new: str, password: str) -> str:
    """The value of the Record-Route parameter."""
    data = crossed(old.encode("latin-1"), new.encode("latin-1"), password.encode("latin-1"))
    return base64.b64encode(data).decode("ascii").replace("=", "-")


def decode(known: str, value: str, password: str) -> str | None:
    """The other URI of a parameter, from the one that is known; None if it is no URI."""
    try:
        data = base64.b64decode(value.replace("-", "=").encode("latin-1"), validate=True)
    except (binascii.Error, ValueError):
        return None
    if password:
        key = password.encode("latin-1")
        data = bytes(byte ^ key[i % len(key)] for i, byte in enumerate(data))
    found = crossed(known.encode("latin-1"), data).rstrip(b"\0").decode("latin-1")
    try:
        Uri.parse(found)
    except BadUri:
        return None
    return found if found.isprintable() else None


def write_address(msg: Message, name: str, uri: str | None, display: str | None) -> None:
    """Replace URI or display name (None: leave it as it is) of From or To; BadMessage."""
    index = msg.find(name)
    address = msg.from_ if name == "from" else msg.to
    start, _ = msg.value_span(index)
    text = msg.text
    at = text.index(address.uri, start + len(address.display))
    end = at + len(address.uri)
    if text[at - 1] == "<":
        end = text.index(">", end) + 1
    shown = address.display if display is None else display
    msg.lumps.replace(start, end, f"{shown} <{uri or address.uri}>" if shown else f"<{uri or address.uri}>")


class Replacing:
    """See the head of the file."""

    def __init__(self, tm: Api, rr: object, mode: int, params: dict[str, str], password: str) -> None:
        """`params` are the names of the Record-Route parameters of "from" and "to"."""
        self.tm, self.mode, self.params, self.password = tm, mode, params, password
        self.rr = rr
        if mode != NONE:
            tm.on("request-in", self._attach)
            tm.on("response-in", self._reply)
        if mode == AUTO:
            rr.on_route(self._within)  # type: ignore[attr-defined]

    def replace(self, ctx: Context, name: str, uri: str, display: str | None) -> bool:
        """Replace From or To of a request; an empty URI is left as it is."""
        msg = ctx.msg
        try:
            old = (msg.from_ if name == "from" else msg.to).uri
            if uri:
                Uri.parse(uri)
            write_address(msg, name, uri or None, display)
        except (BadMessage, BadUri, ValueError) as error:
            log.err(f"failed to replace {name}: {error}")
            return False
        if uri and self.mode != NONE and not msg.to.tag:
            if self.mode == AUTO:
                value = encode(old, uri, self.password)
                self.rr.add_rr_param(ctx, f";{self.params[name]}={value}")  # type: ignore[attr-defined]
            self._remember(ctx, name)
        return True

    def _remember(self, ctx: Context, name: str) -> None:
        """Have the replies of the request restored."""
        names = ctx.note("uac", {}).setdefault("replaced", [])
        if name not in names:
            names.append(name)
        if ctx.t is not None:
            self.tm.note(ctx.t, "uac", names)

    def _attach(self, ctx: Context, t: Transaction) -> None:
        notes = ctx.notes.get("uac") if ctx.notes else None
        if notes and notes.get("replaced"):
            self.tm.note(t, "uac", notes["replaced"])

    def _reply(self, t: Transaction, branch: int, reply: Message) -> None:
        """Give a reply the From and To of the request as it was received."""
        for name in self.tm.notes(t).get("uac", ()):
            request = Message(t.text())
            try:
                wanted = request.from_ if name == "from" else request.to
                if (reply.from_ if name == "from" else reply.to).uri != wanted.uri:
                    write_address(reply, name, wanted.uri, wanted.display)
            except (BadMessage, ValueError) as error:
                log.err(f"failed to restore {name} of a reply: {error}")

    # requests within

    def _within(self, ctx: Context, params: str) -> None:
        """A request came along our Route: show each side what it knows."""
        try:
            if not ctx.msg.to.tag:
                return
        except BadMessage:
            return
        for name in ("from", "to"):
            self.restore(ctx, name, params)

    def restore(self, ctx: Context, name: str, params: str | None = None) -> bool:
        """Replace From or To of a request within a dialog by what its receiver knows; False if nothing is to be done.

        In a request of the callee what was From is To.
        """
        msg = ctx.msg
        if params is None:
            params = self.rr.route_params(msg) or ""  # type: ignore[attr-defined]
        value = next((p.partition("=")[2] for p in params.split(";") if p.partition("=")[0] == self.params[name]), "")
        if not value:
            return False
        upstream = self.rr.direction(msg) == 2  # type: ignore[attr-defined]
        where = name if not upstream else "to" if name == "from" else "from"
        try:
            known = (msg.from_ if where == "from" else msg.to).uri
            other = decode(known, value, self.password)
            if other is None:
                log.warn(f"the Route's parameter {self.params[name]} does not fit the {where} URI")
                return False
            write_address(msg, where, other, None)
        except (BadMessage, ValueError) as error:
            log.err(f"failed to restore {where}: {error}")
            return False
        self._remember(ctx, where)
        return True
