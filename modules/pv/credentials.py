"""Digest credentials of the request: `$au $ad $aU $ar $aa $adn $adr $adu ...`, and `$Au $AU` for accounting."""

from __future__ import annotations

from collections.abc import Callable

from kamailio_py.script.context import Context
from kamailio_py.script.pvars import Getter
from kamailio_py.script.values import Value
from kamailio_py.sip.errors import BadMessage, BadUri
from kamailio_py.sip.message import Message
from kamailio_py.sip.nameaddr import split_values

from .table import Table

PVARS = Table()

Credentials = dict[str, str]


def parse_credentials(value: str) -> Credentials | None:
    """The parameters of a Digest header value, names in lower case, quotes taken off; None for another scheme."""
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() != "digest":
        return None
    found: Credentials = {}
    for part in split_values(rest):
        name, _, text = part.partition("=")
        text = text.strip()
        if len(text) > 1 and text[0] == '"' == text[-1]:
            text = text[1:-1]
        found.setdefault(name.strip().lower(), text)
    return found


def credentials_of(msg: Message) -> Credentials | None:
    """The credentials of Proxy-Authorization, or else of Authorization."""
    for name in ("proxy-authorization", "authorization"):
        value = msg.header(name)
        if value is not None:
            try:
                found = parse_credentials(value)
            except BadMessage:
                return None
            if found is not None:
                return found
    return None


def _part(read: Callable[[Credentials], str | None]) -> Getter:
    def get(ctx: Context) -> Value:
        found = credentials_of(ctx.msg)
        return None if found is None else read(found) or None

    return get


def _user(credentials: Credentials) -> str:
    """The user name without its domain."""
    return credentials.get("username", "").partition("@")[0]


def _domain(credentials: Credentials) -> str:
    """The domain of the user name, or else the realm."""
    return credentials.get("username", "").partition("@")[2] or credentials.get("realm", "")


def _named(name: str) -> Getter:
    return _part(lambda credentials: credentials.get(name))


PVARS.plain("au", _part(_user))
PVARS.plain("ad", _part(_domain))
PVARS.plain("aU", _named("username"))
PVARS.plain("ar", _named("realm"))
PVARS.plain("aa", _named("algorithm"))
PVARS.plain("adn", _named("nonce"))
PVARS.plain("adc", _named("cnonce"))
PVARS.plain("adr", _named("response"))
PVARS.plain("adu", _named("uri"))
PVARS.plain("ado", _named("opaque"))


# who to account: the authenticated user, or else the one in From


def _from(msg: Message) -> tuple[str, str] | None:
    try:
        uri = msg.from_.parsed_uri
    except (BadMessage, BadUri):
        return None
    return uri.user, uri.host


def _account_user(ctx: Context) -> Value:
    found = credentials_of(ctx.msg)
    if found is not None and _user(found):
        return _user(found)
    sender = _from(ctx.msg)
    return None if sender is None else sender[0]


def _account(ctx: Context) -> Value:
    found = credentials_of(ctx.msg)
    sender = _from(ctx.msg)
    if found is not None and _user(found):
        return f"{_user(found)}@{_domain(found)}"
    return None if sender is None else f"{sender[0]}@{sender[1]}"


PVARS.plain("Au", _account)
PVARS.plain("AU", _account_user)
