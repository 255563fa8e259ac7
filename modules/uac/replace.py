"""From and To replaced in requests, and restored in replies and in what follows in the dialog.

The other side is shown another URI; both sides must go on seeing their own. What is needed for that travels in a
parameter of our Record-Route: the old and the new URI, one XORed with the other, in base64; or, with `restore_dlg`, in
variables of the dialog. Replies get back what the request had as it was received, or what the script put into an AVP.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, NamedTuple

from kamailio_py.config.host import RouteType
from kamailio_py.log import get_logger
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.message import Message
from kamailio_py.sip.uri import BadUri, Uri

if TYPE_CHECKING:
    from kamailio_py.modules.dialog.record import View
    from kamailio_py.modules.tm.api import Api
    from kamailio_py.modules.tm.transaction import Transaction
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import PVar
    from kamailio_py.sip.nameaddr import NameAddr

log = get_logger("uac")

NONE, MANUAL, AUTO = range(3)
"""restore_mode."""


class Kept(NamedTuple):
    """The variables of a dialog that keep an address."""

    uri: str
    new_uri: str
    display: str
    new_display: str


VARIABLES = {
    "from": Kept("_uac_fu", "_uac_funew", "_uac_fdp", "_uac_fdpnew"),
    "to": Kept("_uac_to", "_uac_tonew", "_uac_tdp", "_uac_tdpnew"),
}


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
    found = crossed(known.encode("latin-1"), data, password.encode("latin-1")).rstrip(b"\0").decode("latin-1")
    try:
        Uri.parse(found)
    except BadUri:
        return None
    return found if found.isprintable() else None


def address_span(msg: Message, name: str) -> tuple[int, int]:
    """Where display name and URI of From or To are, with their brackets; BadMessage."""
    index = msg.find(name)
    address = msg.from_ if name == "from" else msg.to
    start, _ = msg.value_span(index)
    text = msg.text
    at = text.index(address.uri, start + len(address.display))
    end = at + len(address.uri)
    return start, text.index(">", end) + 1 if text[at - 1] == "<" else end


def write_address(msg: Message, name: str, uri: str | None, display: str | None) -> None:
    """Replace URI or display name (None: leave it as it is) of From or To; BadMessage."""
    address = msg.from_ if name == "from" else msg.to
    start, end = address_span(msg, name)
    shown = address.display if display is None else display
    msg.lumps.replace(start, end, f"{shown} <{uri or address.uri}>" if shown else f"<{uri or address.uri}>")


class Replacing:
    """See the head of the file."""

    def __init__(
        self, tm: Api, rr: Any, mode: int, params: dict[str, str], password: str, avps: dict[str, PVar], dialog: Any
    ) -> None:
        """By "from" and "to": `params` are names of Record-Route parameters, `avps` where the old value is kept.

        `dialog` is what the dialog module offers, if it is to keep the URIs of calls that it follows.
        """
        self.tm, self.mode, self.params, self.password = tm, mode, params, password
        self.rr, self.avps, self.dialog = rr, avps, dialog
        if mode != NONE:
            tm.on("request-in", self._attach)
            tm.on("response-in", self._reply)
        if mode == AUTO:
            rr.on_route(self._within)
        if dialog is not None:
            for event in ("confirmed", "within", "terminated"):
                dialog.on(event, self._within_dialog)

    def replace(self, ctx: Context, name: str, uri: str, display: str | None) -> bool:
        """Replace From or To of a request; an empty URI is left as it is."""
        msg = ctx.msg
        if ctx.route_type == RouteType.REQUEST and name in self._replaced(ctx):
            log.err(f"called uac_replace_{name}() multiple times on the message")
            return False
        try:
            old = msg.from_ if name == "from" else msg.to
            if uri and self.mode == AUTO and msg.to.tag:
                log.err("decline FROM replacing in sequential request in auto mode (has TO tag)")
                return False
            if uri:
                Uri.parse(uri)
            self._keep(ctx, name)
            write_address(msg, name, uri or None, display)
        except (BadMessage, BadUri, ValueError) as error:
            log.err(f"failed to replace {name}: {error}")
            return False
        if uri and self.mode != NONE:
            view = self.dialog.current(ctx) if self.dialog is not None else None
            if view is not None:
                self._keep_in_dialog(view, name, old, uri, display or "")
            else:
                self.rr.add_rr_param(ctx, f";{self.params[name]}={encode(old.uri, uri, self.password)}")
            self._remember(ctx, name)
        return True

    def _keep(self, ctx: Context, name: str) -> None:
        """Keep what From or To is now in its AVP, for replies; the script may put something else there."""
        if name in self.avps:
            start, end = address_span(ctx.msg, name)
            self.avps[name].set(ctx, ctx.msg.text[start:end])

    @staticmethod
    def _replaced(ctx: Context) -> list[str]:
        """Which of From and To were replaced in the message of a run."""
        names: list[str] = ctx.note("uac", {}).setdefault("replaced", [])
        return names

    def _remember(self, ctx: Context, name: str) -> None:
        """Have the replies of the request restored, too."""
        self._replaced(ctx).append(name)
        names = ctx.note("uac", {}).setdefault("replies", [])
        if name not in names:
            names.append(name)
        if ctx.t is not None:
            self.tm.note(ctx.t, "uac", names)

    def _attach(self, ctx: Context, t: Transaction) -> None:
        notes = ctx.notes.get("uac") if ctx.notes else None
        if notes and "replies" in notes:
            self.tm.note(t, "uac", notes["replies"])

    def _reply(self, t: Transaction, branch: int, reply: Message) -> None:
        """Give a reply the From and To of the request as it was received, or what their AVPs say."""
        for name in self.tm.notes(t).get("uac", ()):
            request = Message(t.text())
            try:
                start, end = address_span(request, name)
                wanted = request.text[start:end]
                if name in self.avps:
                    wanted = str(self.avps[name].get(self.tm.context(t)) or wanted)
                start, end = address_span(reply, name)
                if reply.text[start:end] != wanted:
                    reply.lumps.replace(start, end, wanted)
            except (BadMessage, ValueError) as error:
                log.err(f"failed to restore {name} of a reply: {error}")

    # requests within, by what their Route says

    def _within(self, ctx: Context, params: str) -> None:
        """A request came along our Route: show each side what it knows."""
        try:
            if not ctx.msg.to.tag:
                return
        except BadMessage:
            return
        for name in ("from", "to"):
            where = self._restore(ctx, name, params)
            if where:
                self._remember(ctx, where)

    def restore(self, ctx: Context, name: str) -> bool:
        """uac_restore_from() and uac_restore_to(): restore a request; its replies stay as they come."""
        where = self._restore(ctx, name, self.rr.route_params(ctx.msg) or "")
        if where:
            self._replaced(ctx).append(where)
        return bool(where)

    def _restore(self, ctx: Context, name: str, params: str) -> str:
        """Replace From or To of a request within a dialog by what its receiver knows; which, or "".

        In a request of the callee what was From is To.
        """
        msg = ctx.msg
        value = next((p.partition("=")[2] for p in params.split(";") if p.partition("=")[0] == self.params[name]), "")
        if not value:
            return ""
        self.rr.add_rr_param(ctx, f";{self.params[name]}={value}")
        upstream = self.rr.direction(msg) == 2
        where = name if not upstream else "to" if name == "from" else "from"
        try:
            known = (msg.from_ if where == "from" else msg.to).uri
            self._keep(ctx, where)
            other = decode(known, value, self.password)
            if other is None:
                log.warn(f"the Route's parameter {self.params[name]} does not fit the {where} URI")
                return ""
            write_address(msg, where, other, None)
        except (BadMessage, ValueError) as error:
            log.err(f"failed to restore {where}: {error}")
            return ""
        return where

    # requests within, by what their dialog says

    def _keep_in_dialog(self, view: View, name: str, old: NameAddr, uri: str, display: str) -> None:
        """Note both addresses as variables of a dialog; the old ones stay when it is called again."""
        kept = VARIABLES[name]
        if kept.uri not in view.variables:
            self.dialog.set_variable(view.ident, kept.uri, old.uri)
        for variable, value in ((kept.new_uri, uri), (kept.display, old.display), (kept.new_display, display)):
            self.dialog.set_variable(view.ident, variable, value)

    def _within_dialog(self, view: View, msg: Message | None, ctx: Context | None) -> None:
        """A request of a dialog: show each side what it knows."""
        if msg is None or ctx is None:
            return
        for name, kept in VARIABLES.items():
            try:
                downstream = view.direction(msg.from_.tag, msg.to.tag) == 1
                # in a request of the callee what was From is To
                where = name if downstream else "to" if name == "from" else "from"
                uri = view.variables.get(kept.new_uri if downstream else kept.uri)
                display = view.variables.get(kept.new_display if downstream else kept.display)
                if uri is None or display is None or name in self._replaced(ctx):
                    continue
                write_address(msg, where, uri, display)
            except (BadMessage, ValueError) as error:
                log.err(f"failed to replace {name}: {error}")
                continue
            self._remember(ctx, where)
