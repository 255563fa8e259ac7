"""A registration of ours with somebody else's registrar, and the rules by which it lives.

Plain data and decisions: no shared memory, no clock, nothing is sent. Times are whole seconds since the epoch, as tools
see them.
"""

from __future__ import annotations

from enum import IntFlag
from typing import NamedTuple

from kamailio_py.dataclass import dataclass
from kamailio_py.log import get_logger
from kamailio_py.sip.address_lists import ListedAddress
from kamailio_py.sip.errors import BadMessage, BadUri
from kamailio_py.sip.message import Message
from kamailio_py.sip.uri import Uri

log = get_logger("uac")

HA1_LENGTH = 32
SLACK = 3
"""Seconds by which the round after the next one may be late."""
LAST_CSEQ = 2147483638
FILTERS = ("r_username", "auth_username")
"""What a registration may be looked for by, besides its uuid and its local user."""


class State(IntFlag):
    """What uac.reg_dump shows as flags, and the column of that name sets."""

    DISABLED = 1
    ONGOING = 2
    ONLINE = 4
    AUTH_SENT = 8
    BEGUN = 16
    """Its delay is over."""


class Answer(NamedTuple):
    """What a 200 says of us; `expires` is None if it does not have our contact."""

    expires: int | None
    call_id: str
    cseq: int


@dataclass(slots=True)
class Registration:
    """See the head of the file. A text that was never given is None, which tools show as null."""

    l_uuid: str
    l_username: str = ""
    l_domain: str = ""
    r_username: str = ""
    r_domain: str = ""
    realm: str | None = None
    auth_username: str = ""
    auth_password: str | None = None
    auth_ha1: str | None = None
    auth_proxy: str = ""
    contact_addr: str | None = None
    socket: str | None = None
    expires: int = 0
    flags: int = 0
    reg_delay: int = 0
    reg_init: int = 0
    timer_expires: int = 0
    call_id: str = ""
    """Of the registration in force, if it is to be kept; and its last CSeq."""
    cseq: int = 0

    # what is sent

    @property
    def registrar(self) -> str:
        """The request-URI."""
        return f"sip:{self.r_domain}"

    @property
    def address(self) -> str:
        """The address of record, From and To."""
        return f"sip:{self.r_username}@{self.r_domain}"

    @property
    def headers(self) -> str:
        return f"Contact: <sip:{self.l_uuid}@{self.contact_addr or ''}>\r\nExpires: {self.expires}\r\n"

    # when something is sent

    def is_due(self, now: int, interval: int, retry: int, active: bool) -> bool:
        """Whether the round of `now` is to register it; the next round comes `interval` seconds later."""
        if not self.expires:
            return False
        if self.flags & State.ONGOING:
            if self.timer_expires > now - retry:
                return False
            self.flags &= ~(State.ONLINE | State.AUTH_SENT)
        if not active or self.flags & State.DISABLED:
            return False
        if not self.flags & State.BEGUN:
            if self.reg_delay and now < self.reg_init + self.reg_delay:
                return False
            self.flags |= State.BEGUN
        return self.timer_expires <= now + interval + SLACK

    def begin(self, now: int) -> bool:
        """A REGISTER is about to go out; whether it belongs to the Call-ID kept from the last one."""
        again = bool(self.flags & State.ONLINE and self.call_id) and 0 < self.cseq < LAST_CSEQ
        self.timer_expires = now
        self.flags = (self.flags | State.ONGOING) & ~State.ONLINE
        return again

    # what came of it

    def succeed(self, answer: Answer, keep_call_id: bool) -> None:
        """The registrar has us, if its answer says so: for so long from the time when it was asked."""
        if answer.expires is not None:
            self.timer_expires += answer.expires
            self.flags |= State.ONLINE
            if keep_call_id:
                self.call_id, self.cseq = answer.call_id, answer.cseq
        self.end()

    def fail(self, now: int, retry: int) -> bool:
        """It did not work: once more in `retry` seconds or, if that is 0, never; whether it is disabled by that."""
        if retry:
            self.timer_expires = now + retry
        else:
            self.flags |= State.DISABLED
        self.cseq = 0
        self.end()
        return not retry

    def end(self) -> None:
        """Nothing is under way any more."""
        self.flags &= ~(State.ONGOING | State.AUTH_SENT)

    def stretch(self, least: int | None) -> None:
        """The registrar wants to be asked less often (423): from the next round on by what it says, or twice."""
        self.expires = self.expires * 2 & 0xFFFFFFFF if least is None else least
        self.end()

    def status(self, now: int) -> int:
        """What uac_reg_status() gives."""
        if self.flags & State.ONLINE and self.timer_expires > now:
            return 1
        if self.flags & State.ONGOING:
            return -2
        return -3 if self.flags & State.DISABLED else -99


def usable_password(password: str | None, ha1: str | None) -> bool:
    """Whether there is a password or an HA1, and the HA1 looks like one; what is wrong is logged."""
    if not password and not ha1:
        log.err("no password value provided - ignoring record")
        return False
    if ha1:
        if len(ha1) != HA1_LENGTH:
            log.err(f"invalid HA2 length: {len(ha1)} - ignoring record")
            return False
        bad = next((i for i, digit in enumerate(ha1) if digit not in "0123456789abcdefABCDEF"), None)
        if bad is not None:
            log.err(f"invalid char {bad} in HA1 string: {ha1}")
            return False
    return True


def read_answer(reply: Message, uuid: str) -> Answer:
    """What a 200 says of the contact whose user is `uuid`; BadMessage if it says nothing that can be read."""
    contacts = reply.contacts
    if not contacts:
        raise BadMessage("no Contact found")
    expires: int | None = None
    if not isinstance(contacts, str):
        expires = next((_expires(contact, reply) for contact in contacts if _user(contact) == uuid), None)
    return Answer(expires, reply.call_id.strip(), int(reply.cseq_number))


def _user(contact: ListedAddress) -> str:
    try:
        return Uri.parse(contact.uri).user or ""
    except BadUri:
        raise BadMessage("failed to parse c-uri") from None


def _expires(contact: ListedAddress, reply: Message) -> int:
    text = contact.last_param("expires")
    if not text:
        return seconds(reply, "expires") or 0
    return int(text) if text.isdecimal() else 0


def seconds(reply: Message, name: str) -> int | None:
    """The number that a header consists of; None if there is none."""
    text = (reply.header(name) or "").strip()
    return int(text) & 0xFFFFFFFF if text.isdecimal() else None
