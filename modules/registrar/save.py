"""save(): what a REGISTER changes among the contacts of its address of record.

The contacts are worked on while their bindings are open; what went wrong is a Refused, which says how the request is
answered. Results are Kamailio's: 1 contacts were inserted, 2 updated, 3 deleted, 4 only asked for.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from kamailio_py.config.host import RouteType
from kamailio_py.log import get_logger
from kamailio_py.modules.registrar.refusals import Refusal, Refused
from kamailio_py.modules.registrar.request import LONGEST_RECEIVED, Register, RequestedContact, unsigned
from kamailio_py.modules.registrar.settings import OUTBOUND_NONE, OUTBOUND_REQUIRED, PATH_OFF
from kamailio_py.modules.usrloc.api import RepeatedRequest, StaleRequest
from kamailio_py.modules.usrloc.contact import ALL_METHODS, MEMORY_ONLY, Contact
from kamailio_py.script.xavp import copied, newest
from kamailio_py.sip.address_lists import parse_routes
from kamailio_py.sip.errors import BadMessage, BadUri
from kamailio_py.sip.escapes import unescaped
from kamailio_py.sip.methods import numbers_of, strict_numbers_of
from kamailio_py.sip.uri import Uri

if TYPE_CHECKING:
    from kamailio_py.modules.registrar import Registrar
    from kamailio_py.modules.usrloc.bindings import Bindings
    from kamailio_py.script.context import Context
    from kamailio_py.sip.message import Message

log = get_logger("registrar")

INSERTED, UPDATED, DELETED, FETCHED = 1, 2, 3, 4
IN_MEMORY, NO_REPLY, ONE_CONTACT, NO_VARIATION, PREPARE_REPLY = 1, 2, 4, 8, 16
"""Flags of save()."""
ALL_FLAGS = 31
LONGEST_CALLID = LONGEST_USER_AGENT = 255
LONGEST_PATH = 256
STREAMS = ("tcp", "tls", "ws", "wss")
_SPACE = " \t\r\n"
_q = re.compile(r"[ \t\r\n]*0*(?:(1)(?:\.0+)?|\.([0-9]+)|(?<=0))").fullmatch
_FAILED = {"insert": Refusal.INSERT_CONTACT, "update": Refusal.UPDATE_CONTACT, "delete": Refusal.DELETE_CONTACT}


class Saving:
    """One call of save(): the request, and what all its contacts have in common."""

    def __init__(self, module: Registrar, ctx: Context, flags: int) -> None:
        self.module = module
        self.ctx = ctx
        self.msg: Message = ctx.msg
        self.flags = flags
        self.now = int(module.core.clock.now())
        self.use_reg_id = True
        self._new: Contact | None = None
        self._received: str | None = None
        self._reg_id = 0
        self._is_later = False

    def save(self, domain: Any, uri: str) -> int:
        """Do it; Refused if it cannot be done."""
        module, msg, reply = self.module, self.msg, self.module.reply
        register = reply.register = Register(msg, module.contact_max_size)
        if module.outbound_mode != OUTBOUND_NONE or register.required:
            self._check_outbound(register)
        target = uri or msg.to.uri
        aor = module.rules.aor(target)
        if not register.contacts:
            if register.star:
                return self._clear(domain, aor)
            reply.show(self.ctx, register, aor, target, domain.contacts(aor) or (), self.now)
            return FETCHED
        with domain.open(aor) as bindings:
            fresh = not bindings.found
            if "read" in bindings.failed:
                log.err("failed to retrieve record from usrloc")
                raise Refused(Refusal.GET_RECORD)
            try:
                result = self._insert(register, bindings) if fresh else self._update(register, bindings)
            except Refused:
                if fresh:
                    bindings.clear()
                else:
                    reply.show(self.ctx, register, aor, msg.to.uri, bindings.contacts, self.now)
                raise
        reply.show(self.ctx, register, aor, msg.to.uri, bindings.contacts, self.now)
        if bindings.failed:
            if fresh:
                reply.contact_header = ""
                with domain.open(aor) as rest:
                    rest.clear()
            raise Refused(_FAILED[bindings.failed[0]])
        return result or INSERTED

    def _check_outbound(self, register: Register) -> None:
        """What RFC 5626 asks of client, edge proxy and server."""
        mode = self.module.outbound_mode
        supported = "outbound" in register.supported
        if mode == OUTBOUND_REQUIRED and "supported" in self.msg.names and not supported:
            log.warn("Outbound required by server and not supported by UAC")
            raise Refused(Refusal.OUTBOUND_UNSUPPORTED)
        if mode == OUTBOUND_NONE and "outbound" in register.required:
            log.warn("Outbound required by UAC and not supported by server")
            raise Refused(Refusal.OUTBOUND_REQUIRED)
        if mode == OUTBOUND_NONE or not register.contacts or self.msg.via2 is None:
            return
        if not self._edge_supports() and self.module.regid_mode == 0:
            if supported and "reg-id" in register.contacts[0].params:
                log.warn("Outbound used by UAC but not supported by edge proxy")
                raise Refused(Refusal.EDGE_UNSUPPORTED)
            self.use_reg_id = False

    def _edge_supports(self) -> bool:
        """Whether the first Path has ;ob."""
        if "path" not in self.msg.names:
            return False
        try:
            first = Uri.parse(parse_routes(self.msg.headers("path")[0])[0].uri)
        except (BadMessage, BadUri):
            log.err("Failed to parse Path: header body")
            raise Refused(self.module.reply.refusal) from None
        return first.param("ob") is not None

    # the three kinds of request

    def _clear(self, domain: Any, aor: str) -> int:
        """Contact: *"""
        with domain.open(aor) as bindings:
            for contact in bindings.contacts:
                self._mark(contact)
            bindings.clear()
        if bindings.failed:
            log.err("failed to remove record from usrloc")
            raise Refused(Refusal.DELETE_RECORD)
        return DELETED

    def _insert(self, register: Register, bindings: Bindings) -> int:
        """The address of record has no contacts yet."""
        most = self._most_contacts()
        count = 0
        for wanted in register.contacts:
            expires = self.expires_of(register, wanted)
            if expires == 0:
                continue
            if 0 < most <= count:
                log.info(f"too many contacts (n:{count} max:{most}) for AOR <{bindings.aor}>")
                raise Refused(Refusal.TOO_MANY)
            count += 1
            contact = self.contact_of(wanted, expires)
            # as if of a later request, so that the same URI twice in this one is found
            contact.cseq += 1
            known = self.module.usrloc.find(bindings.contacts, contact, self.now)
            contact.cseq -= 1
            self._put(bindings, contact, known)
        return INSERTED

    def _update(self, register: Register, bindings: Bindings) -> int:
        """The address of record has contacts, perhaps all of them over."""
        find = self.module.usrloc.find
        alone = bool(self.flags & ONE_CONTACT)
        self._common()
        most = self._most_contacts()
        if not alone and most > 0 and (len(register.contacts) > 1 or len(bindings.contacts) >= most):
            self._check_count(register, bindings, most)
        result = 0
        for wanted in register.contacts:
            expires = self.expires_of(register, wanted)
            contact = self.contact_of(wanted, expires)
            contact.flags = 0
            try:
                known = find(bindings.contacts, contact, self.now)
            except StaleRequest:
                log.err(f"invalid cseq for aor <{bindings.aor}>")
                raise Refused(Refusal.CSEQ) from None
            except RepeatedRequest:
                if expires and alone:
                    break
                continue
            if known is None and expires == 0:
                continue
            if known is not None and expires == 0:
                self._mark(known)
                bindings.delete(known)
                result = DELETED
                continue
            moved = known is not None and contact.instance and contact.callid != known.callid
            if moved:
                assert known is not None
                for other in list(bindings.contacts):
                    if other is not known and other.instance == known.instance:
                        bindings.delete(other)
            if alone:
                kept = known
                if known is None:
                    self._put(bindings, contact, None)
                    kept = contact
                for other in list(bindings.contacts):
                    if other is not kept:
                        bindings.delete(other)
                if known is not None:
                    self._put(bindings, contact, known)
            else:
                self._put(bindings, contact, known)
            result = INSERTED if known is None else UPDATED
            if alone or moved:
                break
        return result

    def _put(self, bindings: Bindings, contact: Contact, known: Contact | None) -> None:
        if known is None:
            contact.ruid = self.module.ruid()
            if not bindings.insert(contact):
                log.err("failed to insert contact")
                raise Refused(Refusal.INSERT_CONTACT)
        elif not bindings.update(known, contact):
            log.err("failed to update contact")
            raise Refused(Refusal.UPDATE_CONTACT)

    def _mark(self, contact: Contact) -> None:
        """Say of a contact that is to be deleted whether its row is, too."""
        contact.flags = contact.flags | MEMORY_ONLY if self.flags & IN_MEMORY else contact.flags & ~MEMORY_ONLY

    def _most_contacts(self) -> int:
        module = self.module
        limit = module.set_for_request(self.ctx, "max_contacts", int) if module.xavp_cfg else None
        return module.max_contacts if limit is None else limit

    def _check_count(self, register: Register, bindings: Bindings, most: int) -> None:
        """Refused if there would be too many contacts."""
        count = sum(contact.valid(self.now) for contact in bindings.contacts)
        probe, self._new = self._common(), None
        first = register.contacts[0]
        self._read_reg_id(first)
        self._is_later = True
        probe.instance, probe.reg_id = first.instance, self._reg_id
        for wanted in register.contacts:
            expires = self.expires_of(register, wanted, varied=False)
            probe.address = wanted.uri
            try:
                known = self.module.usrloc.find(bindings.contacts, probe, self.now)
            except StaleRequest:
                log.err(f"invalid cseq for aor <{bindings.aor}>")
                raise Refused(Refusal.CSEQ) from None
            except RepeatedRequest:
                continue
            if known is None and expires:
                count += 1
            elif known is not None and not expires:
                count -= 1
        if count > most:
            log.info(f"too many contacts for AOR <{bindings.aor}> (n:{count} max:{most})")
            raise Refused(Refusal.TOO_MANY)

    # one contact

    def expires_of(self, register: Register, wanted: RequestedContact, varied: bool = True) -> int:
        """When a contact will be over, in seconds since the epoch; 0 for one that is to be removed."""
        module = self.module
        percent = 0
        seconds = module.set_for_request(self.ctx, "expires", int) if module.xavp_cfg else None
        if seconds is None or seconds < 0:
            text = wanted.params.get("expires")
            seconds = unsigned(text.removeprefix("+") or "0") if text else register.expires
            percent = module.expires_range
            if seconds is None or seconds < 0:
                seconds, percent = module.default_expires, module.default_expires_range
        if seconds == 0:
            return 0
        least = module.min_expires
        if seconds < least:
            if module.min_expires_mode:
                raise Refused(Refusal.LOW_EXPIRES)
            seconds = least
        if varied and percent and not self.flags & NO_VARIATION:
            lowest = int(seconds - percent / 100 * seconds)
            seconds = lowest + int(module.core.random.randrange(100) / 100 * (seconds - lowest))
            seconds = max(seconds, least)
        if module.max_expires and seconds > module.max_expires:
            seconds = module.max_expires
        return seconds + self.now

    def _common(self) -> Contact:
        """A contact with what all contacts of the request have in common."""
        if self._new is not None:
            return self._new
        msg, module = self.msg, self.module
        callid = msg.call_id.rstrip(_SPACE)
        if len(callid) > LONGEST_CALLID:
            log.err("callid too long")
            raise Refused(Refusal.CALLID_LEN)
        cseq = unsigned(msg.cseq_number)
        if cseq is None:
            log.err("failed to convert cseq number")
            raise Refused(Refusal.CSEQ)
        agent = msg.header("user-agent") or ""
        xavp = newest(self.ctx.xavps, module.xavp_contact) if module.xavp_contact else None
        cflags = msg.branch_flags
        path = ""
        if module.use_path:
            path, received = self._path()
            if path and module.path_mode != PATH_OFF:
                msg.path = path
            if received:
                cflags |= module.usrloc.nat_flag
                self._received = received
        self._new = Contact(
            "",
            callid=callid,
            cseq=cseq,
            socket=self._socket(),
            tcpconn_id=msg.connection if msg.proto in STREAMS else -1,
            user_agent=agent if 0 < len(agent) < LONGEST_USER_AGENT else "n/a",
            path=path,
            last_modified=self.now,
            last_keepalive=self.now,
            flags=self.flags & IN_MEMORY,
            cflags=cflags,
            server_id=module.core.cfg.server_id,
            q=max(-1, min(module.default_q, 1000)),
            methods=self._allowed(),
            keepalive=int(bool(cflags & module.usrloc.nat_flag)),
            xavp=copied(xavp) if xavp is not None else None,
        )
        return self._new

    def contact_of(self, wanted: RequestedContact, expires: int) -> Contact:
        """The contact that the request has."""
        contact, self._new = self._common(), None
        contact.address = wanted.uri
        contact.expires = expires
        if wanted.params or self.module.xavp_cfg:
            contact.q = self._q(wanted, contact.q)
            if "methods" in wanted.params:
                contact.methods = self._methods(wanted.params["methods"])
            contact.instance = wanted.instance
            self._read_reg_id(wanted)
        contact.received = self._received_of(wanted)
        contact.reg_id = self._reg_id
        self._is_later = True
        return contact

    def _q(self, wanted: RequestedContact, default: int) -> int:
        module = self.module
        fixed = module.set_for_request(self.ctx, "q", int) if module.xavp_cfg else None
        if fixed is not None:
            if not 0 <= fixed <= 1000:
                log.err("invalid q parameter")
                raise Refused(Refusal.Q)
            return int(fixed)
        text = wanted.params.get("q", "")
        if not text:
            return default
        q = thousandths(text)
        if q is None:
            log.err("invalid q parameter")
            raise Refused(Refusal.Q)
        return q

    @staticmethod
    def _methods(text: str) -> int:
        try:
            return strict_numbers_of(text)
        except BadMessage:
            log.err("failed to parse contact methods")
            raise Refused(Refusal.PARSE) from None

    def _allowed(self) -> int:
        """What the Allow headers say."""
        allow = self.msg.headers("allow")
        return numbers_of(",".join(allow)) if allow else ALL_METHODS

    def _received_of(self, wanted: RequestedContact) -> str:
        """Where the contact is really reached; what one says holds for those that follow, as in Kamailio."""
        if not self._received:
            received = wanted.params.get("received")
            if received is None:
                received = self.module.received_uri(self.ctx)
                if len(received) > LONGEST_RECEIVED:
                    log.err("received too long")
                    raise Refused(Refusal.CONTACT_LEN)
            self._received = received
        return self._received

    def _read_reg_id(self, wanted: RequestedContact) -> None:
        """Note the contact's reg-id; it holds for those that follow, too, as in Kamailio."""
        text = wanted.params.get("reg-id", "")
        if self.use_reg_id and wanted.instance and text:
            number = unsigned(text.removeprefix("+"))
            if not number:
                log.err("invalid reg-id value")
                # Kamailio says so of all contacts but the first
                raise Refused(Refusal.REG_ID if self._is_later else Refusal.FINE)
            self._reg_id = number

    def _path(self) -> tuple[str, str]:
        """All Path headers as one value, and `received` of the first, if that counts."""
        path = ",".join(self.msg.headers("path"))
        if not path:
            return "", ""
        try:
            if len(path) + 1 >= LONGEST_PATH:
                raise BadMessage("too long")
            first = Uri.parse(parse_routes(path)[0].uri)
        except (BadMessage, BadUri):
            log.err("failed to parse Path body, no head found")
            raise Refused(Refusal.PARSE_PATH) from None
        if first.param("lr") is None:
            log.err("first Path URI is not a loose-router, not supported")
            raise Refused(Refusal.PARSE_PATH)
        received = first.param("received") if self.module.path_use_received else None
        return path, unescape_received(received) if received else ""

    def _socket(self) -> str:
        """Name of the socket the request came in on, or of what a flag says."""
        module, msg = self.module, self.msg
        if msg.flags & module.sock_bit:
            named = module.named_socket(self.ctx)
            if named:
                return named
        socket = msg.socket
        if socket is None:
            return ""
        if module.sock_mode & 1 and socket.advertise_host:
            return f"{socket.proto}:{socket.sent_by_host}:{socket.sent_by_port}"
        return module.usrloc.module.name_of(socket)


def thousandths(text: str) -> int | None:
    """A q value in thousandths; None where it is none. Digits after the third are not read."""
    match = _q(text)
    if match is None:
        return None
    return 1000 if match[1] else int(f"{match[2] or ''}000"[:3])


def unescape_received(text: str) -> str:
    try:
        return unescaped(text)
    except ValueError:
        log.err("unescaping received failed")
        raise Refused(Refusal.PARSE_PATH) from None


def replies_from(route: RouteType) -> bool:
    """Whether save() answers in this kind of route."""
    return route is RouteType.REQUEST or route is RouteType.FAILURE
