"""The Contact of a message: where its URI stands, and aliases in it. Knows no script.

An alias is a URI parameter `ip~port~number of the protocol`: where the request really came from.
"""

from __future__ import annotations

from typing import NamedTuple

from kamailio_py.log import get_logger
from kamailio_py.sip.address_lists import parse_contacts
from kamailio_py.sip.endpoint import PROTOCOL_NAMES, PROTOCOLS
from kamailio_py.sip.errors import BadMessage, BadUri
from kamailio_py.sip.message import Message
from kamailio_py.sip.uri import Uri

log = get_logger("nathelper")


class Place(NamedTuple):
    """The URI of a contact and where it stands."""

    uri: Uri
    start: int
    end: int
    value_end: int
    bracketed: bool

    @property
    def host_start(self) -> int:
        """Where the host begins: behind scheme and user."""
        text = self.uri.text
        return self.start + (text.index("@") + 1 if "@" in text else text.index(":") + 1)

    @property
    def host_end(self) -> int:
        """Where host and port end."""
        return self.host_start + len(self.uri.hostport)


def contact_places(msg: Message) -> list[Place]:
    """All contacts of all headers, those of one header the last one first as in Kamailio; BadMessage or BadUri if one
    is bad."""
    found = []
    text = msg.text
    for i in msg.indexes("contact"):
        start, end = msg.value_span(i)
        value = text[start:end]
        for contact in parse_contacts(value) if value[:1] != "*" else ():
            at = start + contact.uri_start
            bracketed = contact.uri_start > 0 and value[contact.uri_start - 1] == "<"
            value_end = start + contact.start + len(contact.text)
            found.append(Place(contact.parsed_uri, at, at + len(contact.uri), value_end, bracketed))
    return found


def first_contact(msg: Message) -> Place | None:
    """The first contact; None, and logged, if there is none that can be read."""
    try:
        places = contact_places(msg)
    except (BadMessage, BadUri, ValueError) as error:
        log.err(f"failed to parse Contact body: {error}")
        return None
    return places[0] if places and places[0].uri.host else None


def is_changed(msg: Message, place: Place) -> bool:
    """Was this contact rewritten already?"""
    return msg.has_lumps and msg.lumps.deleted(place.start, place.end)


def source_host(msg: Message) -> str:
    return f"[{msg.src_ip}]" if ":" in msg.src_ip else msg.src_ip


def source_uri(msg: Message) -> str:
    """Where the message came from, as a URI."""
    transport = "" if msg.proto == "udp" else f";transport={msg.proto}"
    return f"sip:{source_host(msg)}:{msg.src_port}{transport}"


def alias_of(host: str, port: int | str, protocol: str) -> str:
    return f"{host}~{port}~{PROTOCOLS[protocol]}"


def alias_uri(alias: str) -> str | None:
    """The URI an alias stands for; None, and logged, if it is none."""
    parts = alias.split("~")
    if len(parts) != 3:
        log.err("no '~' in alias param value" if len(parts) < 2 else "no second '~' in alias param value")
        return None
    host, port, number = parts
    if not number:
        log.err("no proto in alias param")
        return None
    protocol = PROTOCOL_NAMES.get(int(number)) if number.isdecimal() else None
    if protocol is None:
        log.err("unknown proto in alias param")
        return None
    return f"sip:{host}:{port}" + ("" if protocol == "udp" else f";transport={protocol}")


def without_alias(uri: str, name: str, last: bool) -> tuple[str, str] | None:
    """The URI without its first (or last) alias parameter, and that alias; None if it has none."""
    head, question, headers = uri.partition("?")
    parts = head.split(";")
    for i in reversed(range(1, len(parts))) if last else range(1, len(parts)):
        if parts[i].startswith(f"{name}="):
            rest = ";".join(parts[:i] + parts[i + 1 :])
            return rest + question + headers, parts[i][len(name) + 1 :]
    return None
