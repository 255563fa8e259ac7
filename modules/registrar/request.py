"""What a REGISTER (or the reply to one) asks for: its contacts, their expires, and what its sender supports."""

from __future__ import annotations

from collections.abc import Mapping

from kamailio_py.log import get_logger
from kamailio_py.modules.registrar.refusals import Refusal, Refused
from kamailio_py.script.values import wrap32
from kamailio_py.sip.address_lists import ListedAddress, parse_contacts
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.message import Message
from kamailio_py.sip.remembered import remembered

log = get_logger("registrar")

_SPACE = " \t\r\n"
_NO_PARAMS: Mapping[str, str] = {}
_NO_TAGS: frozenset[str] = frozenset()
LONGEST_RECEIVED = 255


def unsigned(text: str) -> int | None:
    """The number that decimal digits are, if it has no more than 32 bits; None for anything else."""
    if not text.isascii() or not text.isdigit() or int(text) > 0xFFFFFFFF:
        return None
    return int(text)


class RequestedContact:
    """One Contact of a REGISTER: its URI, and its parameters by lower-case name, "" for one without value."""

    __slots__ = ("params", "uri")

    def __init__(self, contact: ListedAddress) -> None:
        self.uri = contact.uri
        self.params: Mapping[str, str] = _NO_PARAMS
        if contact.params:
            self.params = {name.lower(): value or "" for name, value in contact.params}

    @property
    def instance(self) -> str:
        return self.params.get("+sip.instance", "")


class Register:
    """The parts of a REGISTER that the registrar reads.

    contacts    of all Contact headers; those of one header in Kamailio's order, the last one first
    star        Contact is *
    expires     the Expires header as a number, -1 if there is none or it is none
    """

    __slots__ = ("contacts", "expires", "msg", "star")

    def __init__(self, msg: Message, longest: int) -> None:
        """Refused if it cannot be read, or its Contacts must not stand together."""
        self.msg = msg
        try:
            msg.require_headers()
        except BadMessage:
            log.err("failed to parse headers")
            raise Refused(Refusal.PARSE) from None
        self.expires = self._header_expires()
        self.star = False
        self.contacts: list[RequestedContact] = []
        self._read_contacts(longest)

    def _header_expires(self) -> int:
        text = self.msg.header("expires")
        if text is None:
            return -1
        if not text:
            log.err("failed to parse expires body")
            raise Refused(Refusal.PARSE_EXPIRES)
        digits = text.split(" ")[0].split("\t")[0]
        number = unsigned(digits)
        return -1 if number is None else wrap32(number)

    def _read_contacts(self, longest: int) -> None:
        msg, contacts = self.msg, self.contacts
        places = msg.indexes("contact")
        stars = []
        try:
            for i in places:
                value = msg.raw_value(i)
                if value[:1] == "*":
                    stars.append(i)
                else:
                    contacts += map(RequestedContact, parse_contacts(value))
            if msg.new_contact and contacts:
                contacts[0].uri = msg.new_contact
        except BadMessage:
            log.err("failed to parse Contact body")
            raise Refused(Refusal.PARSE_CONTACT) from None
        if stars:
            if stars[0] == places[0] and self.expires != 0:
                log.warn("expires must be 0 for star contact")
                raise Refused(Refusal.STAR_EXPIRES)
            if len(places) > 1:
                log.warn("star contact cannot be mixed with other contacts")
                raise Refused(Refusal.STAR_CONTACTS)
            self.star = True
        for contact in contacts:
            if len(contact.uri) > longest:
                log.warn(f"contact uri is too long: [{contact.uri}]")
                raise Refused(Refusal.CONTACT_LEN)
            if len(contact.params.get("received", "")) > LONGEST_RECEIVED:
                log.warn("received attribute of contact is too long")
                raise Refused(Refusal.CONTACT_LEN)

    @property
    def supported(self) -> frozenset[str]:
        """Option tags that the sender knows."""
        return self._tags("supported")

    @property
    def required(self) -> frozenset[str]:
        """Option tags that it insists on."""
        return self._tags("require")

    def _tags(self, header: str) -> frozenset[str]:
        msg = self.msg
        return option_tags(",".join(msg.headers(header))) if header in msg.names else _NO_TAGS


@remembered
def option_tags(text: str) -> frozenset[str]:
    """Option tags between commas, in lower case."""
    return frozenset(tag.strip(_SPACE).lower() for tag in text.split(",") if tag.strip(_SPACE))
