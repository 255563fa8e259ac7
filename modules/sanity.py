"""The sanity module: is a request well formed enough to be worked on?

Each check is a bit, as in Kamailio. The first that fails answers the request (through sl, so statefully where there is
a transaction) and, with `autodrop`, ends the script. Order, codes and reasons are those of Kamailio 5.6.3, spelling
included. What the bits for missing headers and Vias look for never gets as far as the script: the core discards it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from kamailio_py.config.arguments import INT
from kamailio_py.config.host import RouteType
from kamailio_py.log import get_logger
from kamailio_py.module import Module, ModuleError, Param, function
from kamailio_py.sip.digest import parse_credentials
from kamailio_py.sip.errors import BadMessage, BadUri
from kamailio_py.sip.nameaddr import NameAddr, parse_list
from kamailio_py.sip.uri import Uri

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.sip.message import Message

log = get_logger("sanity")

RURI_VERSION, RURI_SCHEME, REQUIRED_HEADERS = 1, 2, 4
CSEQ_METHOD, CSEQ_VALUE, CONTENT_LENGTH, EXPIRES_VALUE, PROXY_REQUIRE = 32, 64, 128, 256, 512
PARSE_URIS, DIGEST, DUPLICATE_TAGS, AUTHORIZATION = 1024, 2048, 4096, 8192
NEEDS_HEADERS = REQUIRED_HEADERS | CONTENT_LENGTH | EXPIRES_VALUE | PROXY_REQUIRE | DIGEST | AUTHORIZATION
"""Checks that fail where a header further down is bad, so that Kamailio cannot read them all."""
OF_REQUESTS = RURI_VERSION | RURI_SCHEME | CSEQ_METHOD
"""Checks that a reply always fails."""
URI_RURI, URI_FROM, URI_TO, URI_CONTACT = 1, 2, 4, 8
MAX_CHECKS, MAX_URI_CHECKS = 1 << 15, 1 << 4

SCHEMES = frozenset(("sip", "sips", "tel", "tels", "urn"))
CREDENTIALS = ("username", "realm", "nonce", "uri", "response")
LARGEST = 4294967296
"""Kamailio compares digit by digit with the text of 2^32 and lets it pass itself."""

ROUTES = RouteType.REQUEST | RouteType.ONREPLY


class Fault(NamedTuple):
    """Why a message is not sane; code 0: it is dropped without an answer."""

    code: int
    reason: str
    header: str = ""


def is_number(text: str) -> bool:
    """Whether this is a number of 32 bits as Kamailio reads one: at most ten digits."""
    return text.isdecimal() and len(text) <= 10 and int(text) <= LARGEST


class Sanity(Module):
    """sanity_check() and sanity_reply()."""

    name = "sanity"

    default_checks = Param(int, 3047)
    uri_checks = Param(int, 7)
    proxy_require = Param(str, "")
    autodrop = Param(int, 1)
    noreply = Param(int, 0)

    def mod_init(self) -> None:
        self._sl = self.core.module("sl")
        if self._sl is None:
            raise ModuleError("cannot bind to SL API")
        self._supported = frozenset(part.strip() for part in self.proxy_require.split(",") if part.strip())
        self._checks: tuple[tuple[int, Callable[[Message], Fault | None]], ...] = (
            (RURI_VERSION, check_ruri_version),
            (RURI_SCHEME, check_ruri_scheme),
            (NEEDS_HEADERS, check_required_headers),
            (CSEQ_METHOD, check_cseq_method),
            (CSEQ_VALUE, check_cseq_value),
            (CONTENT_LENGTH, check_content_length),
            (EXPIRES_VALUE, check_expires),
            (PROXY_REQUIRE, self._check_proxy_require),
        )

    @function("sanity_check", routes=ROUTES)
    @function("sanity_check", INT, routes=ROUTES)
    @function("sanity_check", INT, INT, routes=ROUTES)
    def check(self, ctx: Context, checks: int | None = None, uris: int | None = None) -> int:
        """1 sane; otherwise the request is answered and the script ends, or goes on with -1 where autodrop is off."""
        checks = self.default_checks if checks is None else checks
        uris = self.uri_checks if uris is None else uris
        if not 1 <= checks < MAX_CHECKS:
            log.err(f"input parameter ({checks}) outside of valid range <1-{MAX_CHECKS})")
            return -1
        if not 1 <= uris < MAX_URI_CHECKS:
            log.err(f"second input parameter ({uris}) outside of valid range <1-{MAX_URI_CHECKS}")
            return -1
        fault = self._fault(ctx.msg, checks, uris)
        if fault is None:
            return 1
        ctx.note("sanity", {})["fault"] = fault
        if fault.code and not self.noreply:
            self._answer(ctx, fault)
        return 0 if self.autodrop or not fault.code else -1

    @function("sanity_reply", routes=ROUTES)
    def reply(self, ctx: Context) -> int:
        """Send what the last sanity_check() of this run kept back (`noreply`); -1 if it found nothing."""
        fault = ctx.note("sanity", {}).pop("fault", None)
        if fault is None or not fault.code:
            return -1
        return self._answer(ctx, fault)

    def _answer(self, ctx: Context, fault: Fault) -> int:
        msg = ctx.msg
        if not msg.is_request or msg.method == "ACK":
            return 1
        if fault.header:
            msg.reply_headers.append(fault.header)
        if self._sl.reply_either(ctx, fault.code, fault.reason) < 0:
            log.warn(f"failed to send {fault.code} via sl reply")
            return -1
        return 1

    def _fault(self, msg: Message, checks: int, uris: int) -> Fault | None:
        if not msg.is_request and checks & OF_REQUESTS:
            return Fault(400, "Bad Request URI")
        for bits, check in self._checks:
            if checks & bits:
                fault = check(msg)
                if fault is not None:
                    return fault
        if checks & PARSE_URIS:
            fault = check_uris(msg, uris)
            if fault is not None:
                return fault
        if checks & (DIGEST | AUTHORIZATION):
            fault = check_credentials(msg, bool(checks & DIGEST))
            if fault is not None:
                return fault
        return check_duplicate_tags(msg) if checks & DUPLICATE_TAGS else None

    def _check_proxy_require(self, msg: Message) -> Fault | None:
        for value in msg.headers("proxy-require"):
            if not value:
                log.warn("parse proxy require failed")
                return Fault(400, "Bad Proxy Require Header")
            for token in value.split(","):
                if token.strip() not in self._supported:
                    return Fault(420, "Bad Proxy Require Extension", f"Unsupported: {token.strip()}\r\n")
        return None


def check_ruri_version(msg: Message) -> Fault | None:
    if msg.version.upper() != "SIP/2.0":
        return Fault(505, "Version Not Supported (R-URI)")
    return None


def check_ruri_scheme(msg: Message) -> Fault | None:
    try:
        scheme = msg.parsed_uri.scheme.lower()
    except BadUri:
        log.warn(f"failed to parse request uri [{msg.uri}]")
        return Fault(400, "Bad Request URI")
    return None if scheme in SCHEMES else Fault(416, "Unsupported URI Scheme in Request URI")


def check_required_headers(msg: Message) -> Fault | None:
    """The core has seen that none is missing; here it shows whether one of them all is bad."""
    try:
        msg.require_headers()
    except BadMessage:
        log.err("failed to parse headers")
        return Fault(400, "Missing Required Header in Request")
    return None


def check_cseq_method(msg: Message) -> Fault | None:
    if msg.cseq_method != msg.method_text:
        return Fault(400, "CSeq method does not match request method")
    return None


def check_cseq_value(msg: Message) -> Fault | None:
    return None if is_number(msg.cseq_number) else Fault(400, "CSeq number is illegal")


def check_content_length(msg: Message) -> Fault | None:
    try:
        length = msg.content_length
    except BadMessage:
        return Fault(400, "Content-Length mis-match")
    if length is None:
        log.warn("content length header missing in request")
        return None
    ended = msg.headers_end < msg.body_offset
    return None if ended and length == len(msg.body) else Fault(400, "Content-Length mis-match")


def check_expires(msg: Message) -> Fault | None:
    value = msg.header("expires")
    if value is None:
        return None
    if not value:
        log.warn("parse_expires failed")
        return Fault(400, "Bad Expires Header")
    return None if is_number(value.split(None, 1)[0]) else Fault(400, "Expires value is illegal")


def check_uris(msg: Message, uris: int) -> Fault | None:
    if uris & URI_RURI:
        if not msg.is_request:
            return Fault(400, "Bad Request URI")
        try:
            msg.parsed_uri  # noqa: B018  # raises where it is bad
        except BadUri:
            log.warn("failed to parse request uri")
            return Fault(400, "Bad Request URI")
    if uris & URI_FROM and not _readable(lambda: msg.from_):
        log.warn("invalid From header or uri")
        return Fault(400, "Invalid From Header")
    if uris & URI_TO and not _readable(lambda: msg.to):
        log.warn("invalid To header or uri")
        return Fault(400, "Ivalid To Header")
    if uris & URI_CONTACT:
        # Kamailio looks at the first such header only
        value = msg.header("contact")
        try:
            contacts = parse_list(value) if value and value != "*" else []
        except BadMessage:
            log.warn("failed to parse Contact header")
            return Fault(400, "Bad Contact Header")
        for contact in contacts:
            if not _readable(lambda contact=contact: contact):  # type: ignore[misc]
                log.warn("failed to parse Contact uri")
                return Fault(400, "Bad Contact URI")
    return None


def _readable(address: Callable[[], NameAddr]) -> bool:
    try:
        Uri.parse(address().uri)
    except (BadMessage, BadUri):
        return False
    return True


def check_credentials(msg: Message, all_schemes: bool) -> Fault | None:
    """Digest credentials must name all that makes them up; `all_schemes`: other schemes are not let through."""
    for name in ("authorization", "proxy-authorization"):
        value = msg.header(name)
        if value is None:
            continue
        try:
            found = parse_credentials(value)
        except BadMessage:
            return Fault(400, "Bad Auth Credentials")
        if found is None:
            if all_schemes:
                return Fault(0, "")
            continue
        if any(part not in found for part in CREDENTIALS):
            return Fault(400, "Bad Auth Credentials")
        if not found["username"]:
            return Fault(400, "Auth Empty User")
    return None


def check_duplicate_tags(msg: Message) -> Fault | None:
    try:
        msg.from_, msg.to  # noqa: B018  # a bad one fails the check without an answer
    except BadMessage:
        return Fault(0, "")
    for header, name in (("from", "From"), ("to", "To")):
        value = msg.header(header) or ""
        params = value[value.find(">") + 1 :] if "<" in value else value
        if params.lower().count(";tag=") > 1:
            return Fault(400, f"Many {name} Tag Params")
    return None
