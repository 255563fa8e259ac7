"""The siputils module: checks, URIs, Contacts, answers to OPTIONS, Remote-Party-ID and P-Charging-Vector.

Checks, URIs and Contacts have files of their own.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from kamailio_py.config.arguments import RAW, STR
from kamailio_py.config.host import RouteType
from kamailio_py.log import get_logger
from kamailio_py.module import CfgVariable, Module, ModuleError, Param, function, pvar
from kamailio_py.sip.errors import BadMessage, BadUri
from kamailio_py.sip.nameaddr import NameAddr
from kamailio_py.sip.uri import Uri

from .checks import Checks, is_e164
from .contacts import Contacts
from .uris import RURI, Uris

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import Getter, Inner
    from kamailio_py.sip.message import Message

log = get_logger("siputils")


class ChargingVector(NamedTuple):
    """The P-Charging-Vector of a message: received or made here."""

    text: str
    value: str
    genaddr: str
    orig: str
    term: str


def charging_vector(text: str) -> ChargingVector | None:
    """The parts of a header value; None without the mandatory icid-value."""

    def part(name: str) -> str:
        at = text.find(f"{name}=")
        if at < 0:
            return ""
        at += len(name) + 1
        end = at
        while end < len(text) and text[end] not in " ;,\r\n\0":
            end += 1
        return text[at:end]

    if "icid-value=" not in text:
        log.warn("mandatory icid-value not found")
        return None
    return ChargingVector(text, part("icid-value"), part("icid-generated-at"), part("orig-ioi"), part("term-ioi"))


def positive(value: int) -> int:
    if value <= 0:
        raise ValueError(f"ring_timeout is not positive: {value}")
    return value


class Siputils(Checks, Uris, Contacts, Module):
    """SIP utilities."""

    name = "siputils"
    cfg_variables = (
        CfgVariable("ring_timeout", "seconds ring_insert_callid() remembers a call", hidden=True, check=positive),
    )

    options_accept = Param(str, "*/*")
    options_accept_encoding = Param(str, "")
    options_accept_language = Param(str, "en")
    options_support = Param(str, "")
    contact_flds_separator = Param(str, "*")
    rpid_prefix = Param(str, "")
    rpid_suffix = Param(str, ";party=calling;id-type=subscriber;screen=yes")
    rpid_avp = Param(str, "$avp(s:rpid)")

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self._count = 0

    def mod_init(self) -> None:
        self._sl = self.core.module("sl")
        if self._sl is None:
            raise ModuleError("cannot find bind_sl")
        self._rpid = self.core.registry.pvars.parse(self.rpid_avp) if self.rpid_avp else None

    @function("options_reply", routes=RouteType.REQUEST)
    def options_reply(self, ctx: Context) -> int:
        """Answer OPTIONS to the server itself; the script ends when that has been done."""
        msg = ctx.msg
        if msg.method != "OPTIONS":
            log.err("called for non-OPTIONS request")
            return -1
        try:
            user = msg.parsed_uri.user
        except BadUri:
            log.err("ERROR while parsing the R-URI")
            return -1
        if user:
            log.err("ruri contains username")
            return -1
        msg.reply_headers.append(
            f"Accept: {self.options_accept}\r\nAccept-Encoding: {self.options_accept_encoding}\r\n"
            f"Accept-Language: {self.options_accept_language}\r\nSupported: {self.options_support}\r\n"
        )
        if self._sl.reply_either(ctx, 200, "OK") < 0:
            log.err("failed to send 200 via send_reply")
            return -1
        return 0

    # Remote-Party-ID

    def _rpid_value(self, ctx: Context) -> str:
        value = self._rpid.get(ctx) if self._rpid is not None else None
        return value if isinstance(value, str) else ""

    @function("append_rpid_hf", routes=RURI)
    def append_rpid_hf(self, ctx: Context) -> int:
        return self.append_rpid_hf_with(ctx, self.rpid_prefix, self.rpid_suffix)

    @function("append_rpid_hf", RAW, RAW, routes=RURI)
    def append_rpid_hf_with(self, ctx: Context, prefix: str, suffix: str) -> int:
        """Remote-Party-ID with the AVP's value between prefix and suffix."""
        value = self._rpid_value(ctx)
        try:
            ctx.msg.require_headers()
        except BadMessage:
            log.err("failed to parse message")
            return -1
        if not value:
            return -1
        ctx.msg.lumps.insert(ctx.msg.headers_end, f"Remote-Party-ID: {prefix}{value}{suffix}\r\n")
        return 1

    @function("is_rpid_user_e164", routes=RouteType.REQUEST)
    def is_rpid_user_e164(self, ctx: Context) -> int:
        value = self._rpid_value(ctx)
        if not value:
            return -1
        try:
            uri = Uri.parse(NameAddr(value).uri if "<" in value else value)
        except BadMessage:
            log.err("failed to parse RPID URI")
            return -1
        return 1 if is_e164(uri.user) else -1

    # P-Charging-Vector

    @staticmethod
    def _received(msg: Message) -> ChargingVector | None:
        """The parts of the header that came."""
        msg.require_headers()
        value = msg.header("p-charging-vector")
        return charging_vector(value) if value else None

    @function("sip_p_charging_vector", STR)
    def sip_p_charging_vector(self, ctx: Context, flags: str) -> int:
        """With `g` make the header where there is none, with `f` in any case.

        The header that came stays: 5.6.3 does not take it out with `r` or `f` either.
        """
        msg = ctx.msg
        flags = flags.lower()
        try:
            found = self._received(msg)
        except BadMessage:
            log.err("error parsing headers")
            return -1
        notes = ctx.note("siputils", {})
        notes["pcv"] = found
        if "f" in flags or ("g" in flags and found is None):
            if msg.socket is None:
                log.err("No IP address for message. Failed to generate charging vector.")
                return -2
            text = f"icid-value={self._icid(msg)}; icid-generated-at={msg.socket.host}"
            notes["pcv"] = charging_vector(text)
            msg.lumps.insert(msg.headers_end, f"P-Charging-Vector: {text}\r\n")
        return 1

    def _icid(self, msg: Message) -> str:
        """A number nobody else has: address, process, time and a counter."""
        count = self._count & 0xFFFFFFFF
        self._count += 1
        address = bytes(int(part) for part in msg.socket.host.split(".")) if "." in msg.socket.host else b"\0\0\0\0"  # type: ignore[union-attr]
        stamp = int(self.core.clock.now()) & 0xFF
        number = b"IVS" + address[:4].ljust(4, b"\0") + os.getpid().to_bytes(4, "little") + bytes([stamp])
        return (number + count.to_bytes(4, "little")).hex().upper()

    @pvar("pcv", type="str")
    def pcv(self, inner: Inner) -> Getter:
        """$pcv(all), $pcv(value), $pcv(genaddr), $pcv(orig), $pcv(term)."""
        name = inner.text
        if name not in ("all", "value", "genaddr", "orig", "term"):
            raise ValueError(f"unknown pcv name {name}")
        attribute = "text" if name == "all" else name

        def get(ctx: Context) -> str | None:
            notes = ctx.note("siputils", {})
            if "pcv" not in notes:
                try:
                    notes["pcv"] = self._received(ctx.msg)
                except BadMessage:
                    return None
            found = notes["pcv"]
            return getattr(found, attribute) or None if found is not None else None

        return get
