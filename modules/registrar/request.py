"""What a REGISTER (or the reply to one) asks for: its contacts, their expires, and what its sender supports."""

from __future__ import annotations

from kamailio_py.log import get_logger
from kamailio_py.modules.registrar.refusals import Refusal, Refused
from kamailio_py.script.values import wrap32
from kamailio_py.sip.address_lists import ListedAddress, parse_contacts
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.message import Message

log = get_logger("registrar")

_SPACE = " \t\r\n"
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

    __slots__ = ("contacts", "expires", "msg", "required", "star", "supported")

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
        self.supported = self._tags("supported")
        self.required = self._tags("require")

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
        msg = self.msg
        headers = [msg.raw_value(i) for i in msg.indexes("contact")]
        stars = [value[:1] == "*" for value in headers]
        try:
            for value, star in zip(headers, stars, strict=True):
                if not star:
                    self.contacts += [RequestedContact(contact) for contact in parse_contacts(value)]
            if msg.new_contact and self.contacts:
                self.contacts[0].uri = msg.new_contact
        except BadMessage:
            log.err("failed to parse Contact body")
            raise Refused(Refusal.PARSE_CONTACT) from None
        if stars and stars[0]:
            if self.expires != 0:
                log.warn("expires must be 0 for star contact")
                raise Refused(Refusal.STAR_EXPIRES)
            if len(headers) > 1:
                log.warn("star contact cannot be mixed with other contacts")
                raise Refused(Refusal.STAR_CONTACTS)
            self.star = True
            return
        if any(stars):
            log.warn("star contact cannot be mixed with other contacts")
            raise Refused(Refusal.STAR_CONTACTS)
        for contact in self.contacts:
            if len(contact.uri) > longest:
                log.warn(f"contact uri is too long: [{contact.uri}]")
                raise Refused(Refusal.CONTACT_LEN)
            if len(contact.params.get("received", "")) > LONGEST_RECEIVED:
                log.warn("received attribute of contact is too long")
                raise Refused(Refusal.CONTACT_LEN)

    def _tags(self, header: str) -> frozenset[str]:
        """Option tags of Supported or Require, in lower case."""
        msg = self.msg
        if header not in msg.names:
            return frozenset()
        return frozenset(
            tag.strip(_SPACE).lower() for value in msg.headers(header) for tag in value.split(",") if tag.strip(_SPACE)
        )
