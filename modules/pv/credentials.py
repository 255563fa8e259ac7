"""Digest credentials of the request: `$au $ad $aU $ar $aa $adn $adr $adu ...`, and `$Au $AU` for accounting."""

from __future__ import annotations

from collections.abc import Callable

from kamailio_py.script.context import Context
from kamailio_py.script.pvars import Getter
from kamailio_py.script.values import Value
from kamailio_py.sip.digest import Credentials, credentials_of, username_parts
from kamailio_py.sip.errors import BadMessage, BadUri

from .table import Table

PVARS = Table()


def _part(read: Callable[[Credentials], str | None]) -> Getter:
    def get(ctx: Context) -> Value:
        found = credentials_of(ctx.msg)
        return None if found is None else read(found)

    return get


def _user(credentials: Credentials) -> str:
    """The user name without its domain."""
    return username_parts(credentials)[0]


def _domain(credentials: Credentials) -> str:
    """The domain of the user name, or else the realm."""
    return username_parts(credentials)[1] or credentials.get("realm", "")


def _named(name: str) -> Getter:
    return _part(lambda credentials: credentials.get(name))


PVARS.plain("au", _part(_user))
PVARS.plain("ad", _part(lambda credentials: username_parts(credentials)[1]))
PVARS.plain("aU", _part(lambda credentials: credentials.get("username", "")))
PVARS.plain("ar", _named("realm"))
PVARS.plain("aa", _named("algorithm"))
PVARS.plain("adn", _named("nonce"))
PVARS.plain("adc", _named("cnonce"))
PVARS.plain("adr", _named("response"))
PVARS.plain("adu", _named("uri"))
PVARS.plain("ado", _named("opaque"))


# who to account: the user whose credentials were accepted, or else the one in From

AUTHORIZED = "auth"
"""The name under which whoever accepted credentials leaves them in the notes of the run, as parse_credentials()
gives them."""


def _account(part: Callable[[str, str], str]) -> Getter:
    def get(ctx: Context) -> Value:
        accepted = ctx.notes.get(AUTHORIZED) if ctx.notes else None
        if accepted and _user(accepted):
            return part(_user(accepted), _domain(accepted))
        try:
            uri = ctx.msg.from_.parsed_uri
        except (BadMessage, BadUri):
            return None
        return part(uri.user, uri.host)

    return get


PVARS.plain("Au", _account(lambda user, domain: f"{user}@{domain}"))
PVARS.plain("AU", _account(lambda user, domain: user))
