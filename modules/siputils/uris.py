"""siputils' functions on the request-URI and on URIs in pseudo-variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.config.arguments import PVAR, RAW, STR, VALUE
from kamailio_py.config.host import RouteType
from kamailio_py.log import get_logger
from kamailio_py.module import function
from kamailio_py.sip.errors import BadUri
from kamailio_py.sip.uri import build, split_params

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import PVar

log = get_logger("siputils")

_SPACE = " \t\r\n"
RURI = RouteType.REQUEST | RouteType.FAILURE | RouteType.BRANCH
NOT_EVENTS = RURI | RouteType.ONREPLY


def ruri_params(ctx: Context) -> list[tuple[str, str]] | None:
    """(name, value) of the parameters of the request-URI, None if it is bad."""
    try:
        params = ctx.msg.parsed_uri.params
    except BadUri:
        log.err("ruri parsing failed")
        return None
    found = []
    for part in split_params(params):
        name, _, value = part.partition("=")
        if name.strip(_SPACE):
            value = value.strip(_SPACE)
            found.append((name.strip(_SPACE), value[1:-1] if value[:1] == '"' == value[-1:] else value))
    return found


class Uris:
    """Functions on URIs."""

    @function("uri_param", STR, routes=RURI)
    def uri_param(self, ctx: Context, name: str) -> int:
        """Has the request-URI this parameter, without a value?"""
        return self.uri_param_value(ctx, name, "")

    @function("uri_param", STR, STR, routes=RURI)
    def uri_param_value(self, ctx: Context, name: str, value: str) -> int:
        for found, its in ruri_params(ctx) or ():
            if found == name:
                return 1 if its == value else -1
        return -1

    @function("uri_param_any", STR, routes=RURI)
    def uri_param_any(self, ctx: Context, name: str) -> int:
        return 1 if any(found == name for found, _ in ruri_params(ctx) or ()) else -1

    @function("uri_param_rm", STR, routes=RURI)
    def uri_param_rm(self, ctx: Context, name: str) -> int:
        """Take a parameter out of the request-URI; 1 also if it is not there."""
        msg = ctx.msg
        try:
            params = msg.parsed_uri.params
        except BadUri:
            log.err("ruri parsing failed")
            return -1
        parts = split_params(params)
        for n, part in enumerate(parts):
            if part.partition("=")[0].strip(_SPACE).lower() == name.lower():
                before = len(msg.uri) - len(params)
                if msg.parsed_uri.headers:
                    before -= len(msg.parsed_uri.headers) + 1
                at = before + sum(len(p) + 1 for p in parts[:n])
                msg.new_uri = msg.uri[: at - 1] + msg.uri[at + len(part) :]
                break
        return 1

    @function("get_uri_param", RAW, PVAR, routes=RouteType.REQUEST | RouteType.LOCAL)
    def get_uri_param(self, ctx: Context, name: str, target: PVar) -> int:
        """Put the value of a parameter of the request-URI into a pseudo-variable."""
        for found, value in ruri_params(ctx) or ():
            if found == name:
                target.set(ctx, value)
                return 1
        return -1

    @function("add_uri_param", RAW, routes=RouteType.REQUEST)
    def add_uri_param(self, ctx: Context, param: str) -> int:
        """Add a parameter to the request-URI."""
        msg = ctx.msg
        if not param:
            return 1
        try:
            uri = msg.parsed_uri
        except BadUri:
            log.err("ruri parsing failed")
            return -1
        if uri.headers:
            params = f"{uri.params};{param}" if uri.params else param
            msg.new_uri = build("sip", uri.user, uri.password, uri.host, uri.port_text, params, uri.headers)
        else:
            msg.new_uri = f"{msg.uri};{param}"
        return 1

    @function("tel2sip", VALUE, VALUE, PVAR, routes=NOT_EVENTS)
    def tel2sip(self, ctx: Context, text: str, host: str, target: PVar) -> int:
        """A SIP URI of a tel URI; 2 if it is none."""
        if not text or not host:
            log.err("missing uri or domain value")
            return -1
        if text[:4].lower() != "tel:":
            return 2
        number, semicolon, params = text[4:].partition(";")
        number = "".join(c for c in number if c not in "-.()")
        target.set(ctx, f"sip:{(number + semicolon + params).lower()}@{host};user=phone")
        return 1

    @staticmethod
    def _texts(ctx: Context, uri: PVar, value: PVar) -> tuple[str, str] | None:
        text, new = uri.get(ctx), value.get(ctx)
        if not isinstance(text, str) or not text:
            log.err("missing uri value")
            return None
        if not isinstance(new, str):
            log.err("uri value is not string")
            return None
        if ":" not in text:
            log.err("uri does not contain ':' character")
            return None
        return text, new

    @function("set_uri_user", PVAR, PVAR)
    def set_uri_user(self, ctx: Context, uri: PVar, value: PVar) -> int:
        """Another user in the URI that a pseudo-variable holds."""
        found = self._texts(ctx, uri, value)
        if found is None:
            return -1
        text, user = found
        scheme, _, rest = text.partition(":")
        _, at, host = rest.partition("@")
        if not at:
            host = rest
            if not user:
                return 1
        uri.set(ctx, f"{scheme}:{user}@{host}" if user else f"{scheme}:{host}")
        return 1

    @function("set_uri_host", PVAR, PVAR)
    def set_uri_host(self, ctx: Context, uri: PVar, value: PVar) -> int:
        """Another host in the URI that a pseudo-variable holds."""
        found = self._texts(ctx, uri, value)
        if found is None:
            return -1
        text, host = found
        if not host:
            log.err("hostpart of uri cannot be empty")
            return -1
        start = text.find("@", text.index(":")) + 1 or text.index(":") + 1
        end = min((at for at in (text.find(c, start) for c in ":;?") if at >= 0), default=len(text))
        uri.set(ctx, text[:start] + host + text[end:])
        return 1
