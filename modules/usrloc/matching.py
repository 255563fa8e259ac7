"""Which stored contact a REGISTER means: by URI, Call-ID, path, or instance and reg-id."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from kamailio_py.log import get_logger
from kamailio_py.modules.usrloc.contact import Contact

log = get_logger("usrloc")


class MatchingMode(IntEnum):
    """Parameter matching_mode."""

    CONTACT_ONLY = 0
    CONTACT_CALLID = 1
    CONTACT_PATH = 2
    CALLID_ONLY = 3


class StaleRequest(Exception):
    """A CSeq below that of the contact, or the same one too late."""


class RepeatedRequest(Exception):
    """The same CSeq shortly after: a retransmission; nothing is to be changed."""


def plain_instance(text: str) -> str:
    """An instance without its angle brackets."""
    return text[1:-1] if text[:1] == "<" and text[-1:] == ">" else text


class Matcher:
    """Finds contacts by the module's parameters."""

    def __init__(self, mode: int, cseq_delay: int) -> None:
        self.mode = mode
        self.cseq_delay = cseq_delay

    def find(
        self, contacts: Sequence[Contact], address: str, callid: str, path: str | None, cseq: int, now: int
    ) -> Contact | None:
        """The contact that is meant, or None. StaleRequest, RepeatedRequest: it is there and must be left alone."""
        mode = self.mode
        for contact in contacts:
            if mode == MatchingMode.CALLID_ONLY:
                found = contact.callid == callid
            else:
                found = contact.address == address
                if mode == MatchingMode.CONTACT_CALLID:
                    found = found and contact.callid == callid
                elif mode == MatchingMode.CONTACT_PATH and path is not None:
                    found = found and contact.path == path
            if not found:
                continue
            if contact.callid == callid:
                if cseq < contact.cseq:
                    raise StaleRequest
                if cseq == contact.cseq:
                    raise RepeatedRequest if contact.last_modified + self.cseq_delay > now else StaleRequest
            return contact
        return None

    def find_for(self, contacts: Sequence[Contact], wanted: Contact, now: int) -> Contact | None:
        """The stored contact that `wanted`, made from a REGISTER, is to replace: by its instance if it has one."""
        if not wanted.instance:
            return self.find(contacts, wanted.address, wanted.callid, wanted.path or None, wanted.cseq, now)
        instance = plain_instance(wanted.instance)
        for contact in contacts:
            if contact.instance and contact.reg_id == wanted.reg_id and plain_instance(contact.instance) == instance:
                return contact
        return None
