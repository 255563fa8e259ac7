"""siputils' checks of messages, URIs and texts."""

from __future__ import annotations

import calendar
import re
from typing import TYPE_CHECKING

from kamailio_py.config.arguments import INT, PVAR, STR, Fixup
from kamailio_py.config.host import RouteType
from kamailio_py.log import get_logger
from kamailio_py.module import function
from kamailio_py.sip.errors import BadMessage, BadUri
from kamailio_py.sip.headers import canonical
from kamailio_py.sip.ip import is_ip, normalise
from kamailio_py.sip.nameaddr import NameAddr, split_values
from kamailio_py.sip.uri import Uri, split_params

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import PVar

log = get_logger("siputils")

_DIGITS = frozenset("0123456789")
_ALPHANUM = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_SPACE = " \t\r\n"
_DATE = re.compile(r"\w{3}, (\d\d?) (\w{3}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def option_tag(text: str) -> str:
    if not text:
        raise ValueError("empty option tag")
    return text.lower()


def is_e164(text: str) -> bool:
    """A plus and 2 to 15 digits."""
    return 2 < len(text) < 17 and text[0] == "+" and _DIGITS.issuperset(text[1:])


def _params(uri: Uri) -> dict[str, str]:
    parts = (part.partition("=") for part in split_params(uri.params))
    return {name.strip(_SPACE).lower(): value for name, _, value in parts if name}


def params_equal(first: Uri, second: Uri) -> bool:
    """Parameters in both are the same, and those that matter are in both or in none."""
    one, two = _params(first), _params(second)
    if any((name in one) != (name in two) for name in ("user", "ttl", "method", "maddr")):
        return False
    return all(one[name].lower() == two[name].lower() for name in one.keys() & two.keys())


class Checks:
    """Functions that only look."""

    core: Core

    @function("has_totag")
    def has_totag(self, ctx: Context) -> int:
        try:
            return 1 if ctx.msg.to.tag else -1
        except BadMessage:
            log.err("To parsing failed")
            return -1

    @function("is_request")
    def is_request(self, ctx: Context) -> int:
        return 1 if ctx.msg.is_request else -1

    @function("is_reply")
    def is_reply(self, ctx: Context) -> int:
        return -1 if ctx.msg.is_request else 1

    @function("is_user", STR, routes=RouteType.REQUEST | RouteType.LOCAL)
    def is_user(self, ctx: Context, user: str) -> int:
        """Is this the user whose credentials the auth module has accepted?"""
        accepted = ctx.note("auth", {}).get("username")
        if accepted is None:
            log.err("no authorized credentials found (error in scripts)")
            log.err("Call {www,proxy}_authorize before calling is_user function !")
            return -1
        return 1 if accepted == user else -1

    @function("is_supported", Fixup("option tag", prepare=option_tag))
    def is_supported(self, ctx: Context, option: str) -> int:
        try:
            ctx.msg.require_headers()
        except BadMessage:
            return -1
        tags = [part.strip(_SPACE).lower() for value in ctx.msg.headers("supported") for part in value.split(",")]
        return 1 if option in tags else -1

    @function("is_first_hop")
    @function("is_first_hop", INT)
    def is_first_hop(self, ctx: Context, mode: int = 0) -> int:
        """Is the other side the first or last hop: one Via in a request, our Record-Route on top in a reply?"""
        msg = ctx.msg
        if msg.is_request:
            try:
                return 1 if msg.via2 is None else -1
            except BadMessage:
                return 1
        try:
            msg.require_headers()
            values = [part for value in msg.headers("record-route") for part in split_values(value)]
            if not values:
                return 1
            uri = Uri.parse(NameAddr(values[0]).uri)
        except BadMessage:
            return -1
        if mode == 0 and not is_ip(uri.host):
            return -1
        if not self.core.is_myself(uri.host, uri.port, uri.transport):
            return -1
        if mode == 0:
            from_there = normalise(uri.host) == normalise(msg.src_ip) and msg.src_port == (uri.port or 5060)
            if from_there and (uri.transport or "udp") == msg.proto:
                return -1
        return 1

    @function("is_gruu")
    @function("is_gruu", STR)
    def is_gruu(self, ctx: Context, text: str | None = None) -> int:
        """1: a GRUU, 2: a temporary one, -1: none."""
        try:
            uri = ctx.msg.parsed_uri if text is None else Uri.parse(text)
        except BadUri:
            log.err(f"parsing of uri '{text or ctx.msg.uri}' failed")
            return -1
        value = uri.param("gr")
        return -1 if value is None else 1 if value else 2

    @function("hdr_date_check", INT)
    def hdr_date_check(self, ctx: Context, seconds: int) -> int:
        """Is the Date not older than that? -1 without a good Date, -4 if it is older."""
        try:
            ctx.msg.require_headers()
        except BadMessage:
            return -1
        match = _DATE.fullmatch(ctx.msg.header("date") or "")
        if match is None or match.group(2) not in _MONTHS:
            return -1
        day, month, *rest = match.groups()
        year, hour, minute, second = (int(part) for part in rest)
        when = calendar.timegm((year, _MONTHS.index(month) + 1, int(day), hour, minute, second))
        return -4 if self.core.clock.now() > when + seconds else 1

    # URIs

    @function("is_uri", STR)
    def is_uri(self, ctx: Context, text: str) -> int:
        try:
            Uri.parse(text)
        except BadUri:
            return -1
        return 1

    @function("cmp_uri", STR, STR)
    def cmp_uri(self, ctx: Context, first: str, second: str) -> int:
        try:
            a, b = Uri.parse(first), Uri.parse(second)
        except BadUri:
            return -2
        same = (
            (a.scheme, a.user, a.password, a.port) == (b.scheme, b.user, b.password, b.port)
            and a.host.lower() == b.host.lower()
            and params_equal(a, b)
        )
        return 1 if same else -1

    @function("cmp_aor", STR, STR)
    def cmp_aor(self, ctx: Context, first: str, second: str) -> int:
        try:
            a, b = Uri.parse(first), Uri.parse(second)
        except BadUri:
            return -2
        return 1 if a.user == b.user and a.host.lower() == b.host.lower() else -1

    @function("cmp_hdr_name", STR, STR)
    def cmp_hdr_name(self, ctx: Context, first: str, second: str) -> int:
        a, b = canonical(first), canonical(second)
        return 1 if a == b else -1 if a > b else -2

    @function("is_e164", PVAR, routes=RouteType.REQUEST | RouteType.FAILURE | RouteType.LOCAL)
    def is_e164(self, ctx: Context, pvar: PVar) -> int:
        value = pvar.get(ctx)
        if not isinstance(value, str) or not value:
            return -1
        return 1 if is_e164(value) else -1

    @function("is_uri_user_e164", PVAR)
    def is_uri_user_e164(self, ctx: Context, pvar: PVar) -> int:
        value = pvar.get(ctx)
        if not isinstance(value, str) or not value:
            return -1
        _, colon, rest = value.partition(":")
        if not colon:
            log.err("parsing URI failed")
            return -1
        user, at, _ = rest.partition("@")
        return 1 if at and is_e164(user) else -1

    # texts

    @function("is_tel_number", STR)
    def is_tel_number(self, ctx: Context, text: str) -> int:
        digits = text
        if text[:1] == "+":
            digits = text[1:]
            if digits[:1] in ("", "0"):
                return -2
        return 1 if digits and _DIGITS.issuperset(digits) else -2

    @function("is_numeric", STR)
    def is_numeric(self, ctx: Context, text: str) -> int:
        return 1 if text and _DIGITS.issuperset(text) else -2

    @function("is_alphanum", STR)
    def is_alphanum(self, ctx: Context, text: str) -> int:
        return self.is_alphanumex(ctx, text, "")

    @function("is_alphanumex", STR, STR)
    def is_alphanumex(self, ctx: Context, text: str, also: str) -> int:
        if not text:
            return -2
        return 1 if all(c in _ALPHANUM or c in also for c in text) else -3
