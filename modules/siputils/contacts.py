"""siputils' functions that hide and restore Contacts, in the user part or in a parameter."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import TYPE_CHECKING

from kamailio_py.config.arguments import RAW, STR
from kamailio_py.config.host import RouteType
from kamailio_py.log import get_logger
from kamailio_py.module import function
from kamailio_py.sip.address_lists import parse_contacts
from kamailio_py.sip.errors import BadMessage, BadUri
from kamailio_py.sip.uri import Uri, split_params

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.sip.message import Message

log = get_logger("siputils")

ROUTES = RouteType.REQUEST | RouteType.ONREPLY
E_BAD_URI = -479
"""What Kamailio's URI parser returns for a bad URI; encode_contact() passes it on, 30 lower."""


def first_contacts(msg: Message) -> list[tuple[int, int]] | None:
    """Where the URIs of the first Contact header stand; None if there is none."""
    msg.require_headers()
    i = msg.find("contact")
    if i < 0:
        return None
    start, end = msg.value_span(i)
    value = msg.text[start:end]
    if value[:1] == "*":
        return []
    return [
        (start + contact.uri_start, start + contact.uri_start + len(contact.uri))
        for contact in reversed(parse_contacts(value))
    ]


def restored(text: str, separator: str) -> str | int:
    """The URI that was hidden in the user part of this one; a negative code if none is there."""
    scheme, colon, rest = text.partition(":")
    if not colon:
        return -22
    hidden, at, behind = rest.partition("@")
    if not at:
        return -23
    parts = hidden.split(separator)
    if len(parts) != 6:
        return -26 if len(parts) < 6 else -24
    _, user, password, host, port, protocol = parts
    if not host:
        return -2
    if password and not user:
        return -3
    login = f"{user}:{password}@" if password else f"{user}@" if user else ""
    tail = behind[behind.index(";") :] if ";" in behind else ""
    uri = f"{scheme}:{login}{host}" + (f":{port}" if port else "")
    return uri + (f";transport={protocol}" if protocol else "") + tail


class Contacts:
    """Functions on Contacts."""

    contact_flds_separator: str

    @property
    def _separator(self) -> str:
        return self.contact_flds_separator[:1] or "*"

    @staticmethod
    def _each(ctx: Context, change: Callable[[str], str | int | None], missing: int) -> int:
        """Put what `change` makes of each URI in its place; a number it gives is the result."""
        msg = ctx.msg
        try:
            spans = first_contacts(msg)
        except BadMessage:
            log.err("contact parsing failed")
            return -4
        if spans is None:
            if missing < 0:
                log.err("no Contact header present")
            return missing
        for start, end in spans:
            new = change(msg.text[start:end])
            if isinstance(new, int):
                return new
            if new is not None:
                msg.lumps.replace(start, end, new)
        return 1

    @function("encode_contact", RAW, RAW, routes=ROUTES)
    def encode_contact(self, ctx: Context, prefix: str, host: str) -> int:
        """sip:user:password@ip:port;transport=x becomes sip:prefix*user*password*ip*port*x@host."""
        separator = self._separator

        def encode(text: str) -> str | int:
            try:
                uri = Uri.parse(text)
                if uri.scheme != "sip":
                    raise BadUri("not encodable")
            except BadUri:
                log.err(f"unable to encode Contact URI [{text}].Return code {E_BAD_URI - 10}")
                return E_BAD_URI - 30
            parts = (prefix, uri.user, uri.password, uri.host, uri.port_text, uri.param("transport") or "")
            return f"sip:{separator.join(parts)}@{host}"

        return self._each(ctx, encode, -1)

    @function("decode_contact", routes=RouteType.REQUEST)
    def decode_contact(self, ctx: Context) -> int:
        """Restore the request-URI that encode_contact() hid."""
        new = restored(ctx.msg.uri, self._separator)
        if isinstance(new, int):
            log.err(f"failed decoding contact [{ctx.msg.uri}] - return code {new}")
            return new
        ctx.msg.new_uri = new
        return 1

    @function("decode_contact_header", routes=ROUTES | RouteType.FAILURE)
    def decode_contact_header(self, ctx: Context) -> int:
        """Restore the Contacts that encode_contact() hid."""
        separator = self._separator

        def decode(text: str) -> str | int:
            new = restored(text, separator)
            if isinstance(new, int):
                log.err(f"failed decoding contact [{text}] - return code {new}")
            return new

        return self._each(ctx, decode, -1)

    @function("contact_param_encode", STR, STR, routes=ROUTES)
    def contact_param_encode(self, ctx: Context, name: str, address: str) -> int:
        """Another URI, which carries the Contact's in a parameter."""

        def encode(text: str) -> str:
            hidden = base64.urlsafe_b64encode(text.encode("latin-1")).decode().rstrip("=")
            return f"{address};{name}={hidden}"

        return self._each(ctx, encode, 1)

    @staticmethod
    def _decoded(text: str, name: str) -> str | None:
        """The URI in this parameter, None if there is none."""
        try:
            value = Uri.parse(text).param(name.lower())
            if not value:
                return None
            value = value.rstrip("-")
            data = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
        except (BadUri, binascii.Error, ValueError):
            return None
        return data.decode("latin-1")

    @function("contact_param_decode", STR, routes=ROUTES)
    def contact_param_decode(self, ctx: Context, name: str) -> int:
        return self._each(ctx, lambda text: self._decoded(text, name), 1)

    @function("contact_param_decode_ruri", STR, routes=RouteType.REQUEST)
    def contact_param_decode_ruri(self, ctx: Context, name: str) -> int:
        new = self._decoded(ctx.msg.uri, name)
        if new is not None:
            ctx.msg.new_uri = new
        return 1

    @function("contact_param_rm", STR, routes=ROUTES)
    def contact_param_rm(self, ctx: Context, name: str) -> int:
        """Take a parameter out of the URIs of the Contacts."""

        def remove(text: str) -> str | None:
            head, semicolon, params = text.partition(";")
            parts = split_params(params) if semicolon else []
            kept = [part for part in parts if part.partition("=")[0].strip().lower() != name.lower()]
            return None if len(kept) == len(parts) else ";".join([head, *kept])

        return self._each(ctx, remove, 1)
