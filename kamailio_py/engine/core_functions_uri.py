"""The functions of the core that rewrite the request-URI: sethost(), setuser(), strip(), prefix() and their relatives.

Texts are constants, no pseudo-variable is looked for in them. A request-URI that cannot be parsed is an error of the
statement, as in Kamailio: it is logged and nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kamailio_py.log import get_logger
from kamailio_py.sip.errors import BadUri
from kamailio_py.sip.uri import Uri, build

if TYPE_CHECKING:
    from kamailio_py.script.context import Context

log = get_logger()

E_UNSPEC = -1


Place = tuple[str, int]


def rewrite(ctx: Context, place: Place, change: Callable[[Uri], str]) -> int:
    """Set the request-URI to what `change` makes of its parts."""
    msg = ctx.msg
    try:
        parsed = msg.parsed_uri
    except BadUri:
        log.err(f"bad uri <{msg.uri}>, dropping packet")
        log.err(f"run action error at: {place[0]}:{place[1]}")
        return E_UNSPEC
    msg.new_uri = change(parsed)
    return 1


class UriFunctions:
    """One method for each keyword."""

    def uri(self, ctx: Context, text: str) -> int:
        ctx.msg.new_uri = text
        return 1

    def revert(self, ctx: Context) -> int:
        ctx.msg.new_uri = None
        return 1

    def host(self, ctx: Context, host: str, place: Place) -> int:
        return rewrite(ctx, place, lambda u: _with_host(u, host, u.port_text, u.params))

    def hostport(self, ctx: Context, hostport: str, place: Place) -> int:
        return rewrite(ctx, place, lambda u: _with_host(u, hostport, "", u.params))

    def hostporttrans(self, ctx: Context, text: str, place: Place) -> int:
        """Host, port and transport; the URI's own transport parameter goes."""

        def change(u: Uri) -> str:
            params = ";".join(p for p in u.params.split(";") if p and not p.lower().startswith("transport="))
            return _with_host(u, text, "", params)

        return rewrite(ctx, place, change)

    def port(self, ctx: Context, port: str, place: Place) -> int:
        return rewrite(ctx, place, lambda u: build(u.scheme, u.user, u.password, u.host, port, u.params, u.headers))

    def user(self, ctx: Context, user: str, place: Place) -> int:
        """An empty user takes the password with it."""
        return rewrite(ctx, place, lambda u: _with_user(u, user, u.password if user else ""))

    def userpass(self, ctx: Context, userpass: str, place: Place) -> int:
        return rewrite(ctx, place, lambda u: _with_user(u, userpass, ""))

    def prefix(self, ctx: Context, prefix: str, place: Place) -> int:
        return rewrite(ctx, place, lambda u: _with_user(u, prefix + u.user, u.password))

    def strip(self, ctx: Context, count: int, place: Place) -> int:
        def change(u: Uri) -> str:
            if count > len(u.user):
                log.warn(f"too long strip asked; deleting username: {count} of <{u.user}>")
            user = u.user[count:]
            return _with_user(u, user, u.password if user else "")

        return rewrite(ctx, place, change)

    def strip_tail(self, ctx: Context, count: int, place: Place) -> int:
        def change(u: Uri) -> str:
            if count > len(u.user):
                log.warn(f"too long strip_tail asked;  deleting username: {count} of <{u.user}>")
            user = u.user[: max(len(u.user) - count, 0)]
            return _with_user(u, user, u.password if user else "")

        return rewrite(ctx, place, change)

    def userphone(self, ctx: Context, place: Place) -> int:
        """Add `user=phone` where it is missing."""

        def change(u: Uri) -> str:
            if u.param("user") == "phone":
                return ctx.msg.uri
            params = f"{u.params};user=phone" if u.params else "user=phone"
            return build(u.scheme, u.user, u.password, u.host, u.port_text, params, u.headers)

        return rewrite(ctx, place, change)


def _is_tel(u: Uri) -> bool:
    return u.scheme.lower() in ("tel", "tels")


def _with_user(u: Uri, user: str, password: str) -> str:
    if _is_tel(u):
        return f"{u.scheme}:{user};{u.params}" if u.params else f"{u.scheme}:{user}"
    return build(u.scheme, user, password, u.host, u.port_text, u.params, u.headers)


def _with_host(u: Uri, host: str, port: str, params: str) -> str:
    if not _is_tel(u):
        return build(u.scheme, u.user, u.password, host, port, params, u.headers)
    # a telephone number becomes the user of a SIP URI, its parameters go with it
    user = f"{u.user};{u.params}" if u.params else u.user
    return build("sips" if u.scheme.lower() == "tels" else "sip", user, "", host, port, "user=phone")
