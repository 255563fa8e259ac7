"""lookup() and its relatives: from an address of record to the places where it is registered.

The best contact becomes the request-URI, the others become branches. Results are Kamailio's: 1 found, -1 not found, -2
found but not for this method, -3 on errors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kamailio_py.log import get_logger
from kamailio_py.modules.registrar.refusals import Refused
from kamailio_py.modules.usrloc.matching import plain_instance
from kamailio_py.script.xavp import copied
from kamailio_py.sip.address_lists import parse_routes
from kamailio_py.sip.branch import Branch
from kamailio_py.sip.errors import BadMessage, BadUri
from kamailio_py.sip.methods import number_of
from kamailio_py.sip.uri import Uri

if TYPE_CHECKING:
    from kamailio_py.modules.registrar import Registrar
    from kamailio_py.modules.usrloc.contact import Contact
    from kamailio_py.script.context import Context
    from kamailio_py.sip.endpoint import ListenSocket
    from kamailio_py.sip.message import Message

log = get_logger("registrar")

FOUND, NOT_FOUND, NOT_ALLOWED, ERROR = 1, -1, -2, -3
BY_FLAGS, BY_CONNECTION = 1, 2
"""Bits of lookup_filter_mode."""
MATCH_CALLID, MATCH_RECEIVED, MATCH_CONTACT = 1, 2, 4
"""What registered() may compare."""
RESTORE_XAVP, NO_RECORD = 1, 2
"""Actions of registered()."""
HEX = frozenset("0123456789abcdefABCDEF")


class _NotUsable(Exception):
    """A contact whose Path leads nowhere."""


class Lookup:
    """See the head of the file."""

    def __init__(self, module: Registrar) -> None:
        self.module = module
        self.core = module.core

    # lookup(), lookup_to_dset()

    def lookup(self, ctx: Context, domain: Any, uri: str = "", only_branches: bool = False) -> int:
        """`uri` instead of the request-URI; with `only_branches` that stays and all contacts become branches."""
        msg, module = ctx.msg, self.module
        try:
            text = uri or msg.uri
            aor = module.rules.aor(text)
            parsed = Uri.parse(text)
        except Refused:
            log.err("failed to extract address of record")
            return ERROR
        now = int(self.core.clock.now())
        gruu = parsed.param("gr") if parsed.params else None
        if gruu == "":
            return self._by_temporary_gruu(ctx, domain, parsed.user, only_branches, now)
        contacts = domain.contacts(aor)
        if contacts is None:
            return NOT_FOUND
        usable = self._filter(ctx, now)
        result = NOT_FOUND
        for position, contact in enumerate(contacts):
            if not module.valid(contact, now):
                continue
            if not self._allowed(msg, contact):
                result = NOT_ALLOWED
                continue
            if not usable(contact) or (gruu and plain_instance(contact.instance) != plain_instance(gruu)):
                continue
            return self._take(ctx, contacts[position:], only_branches, not gruu, now, usable)
        return result

    def _by_temporary_gruu(self, ctx: Context, domain: Any, user: str, only_branches: bool, now: int) -> int:
        """A user `<ruid>-<hash of the address of record, last digit first>`."""
        ruid, dash, digits = user.rpartition("-")
        if not HEX.issuperset(digits):
            log.err("failed to extract temp gruu - invalid hash")
            return ERROR
        if not dash:
            log.err("failed to extract temp gruu - invalid format")
            return ERROR
        found = domain.by_ruid(int(digits[::-1] or "0", 16) & 0xFFFFFFFF, ruid)
        if found is None:
            return NOT_FOUND
        contact = found[1]
        if not self.module.valid(contact, now):
            return NOT_FOUND
        if not self._allowed(ctx.msg, contact):
            return NOT_ALLOWED
        return self._take(ctx, [contact], only_branches, False, now, self._filter(ctx, now))

    def _take(
        self, ctx: Context, contacts: list[Contact], only_branches: bool, more: bool, now: int,
        usable: Callable[[Contact], bool],
    ) -> int:  # fmt: skip
        """Make the first contact the request-URI, and branches of those behind it that can be used."""
        msg, module = ctx.msg, self.module
        rest = contacts
        if not only_branches:
            try:
                self._rewrite(ctx, contacts[0], now)
            except _NotUsable:
                return ERROR
            rest = contacts[1:]
        if not more or not module.append_branches:
            return FOUND
        for contact in rest:
            if module.valid(contact, now) and self._allowed(msg, contact) and usable(contact):
                self._append(ctx, contact)
        return FOUND

    def _rewrite(self, ctx: Context, contact: Contact, now: int) -> None:
        msg = ctx.msg
        msg.new_uri = contact.address
        msg.dst_uri = None
        self.module.show_record(ctx, contact, now)
        path, hop = self._way(contact)
        if hop:
            msg.path, msg.dst_uri = path, hop
        elif contact.received:
            msg.dst_uri = contact.received
        if contact.instance:
            msg.instance = contact.instance
        msg.reg_id = contact.reg_id
        msg.ruid = contact.ruid
        if contact.user_agent:
            msg.location_ua = contact.user_agent
        if contact.tcpconn_id > 0:
            msg.otcpid = contact.tcpconn_id
        msg.q = contact.q if contact.q >= 0 else None
        msg.branch_flags |= contact.cflags
        socket = self._socket(contact)
        if socket is not None:
            msg.force_socket = socket
        self._restore_xavp(ctx, contact, 0)

    def _append(self, ctx: Context, contact: Contact) -> None:
        branches = ctx.msg.branches
        try:
            path, hop = self._way(contact)
        except _NotUsable:
            return
        if len(branches) >= self.core.cfg.max_branches - 1:
            log.err("failed to append a branch")
            return
        branches.append(
            Branch(
                contact.address, hop or contact.received or None, path if hop else None,
                contact.q if contact.q >= 0 else None, contact.cflags, self._socket(contact), contact.ruid,
                contact.user_agent, contact.instance, contact.reg_id if contact.instance else 0,
            )
        )  # fmt: skip
        self._restore_xavp(ctx, contact, len(branches))

    def _way(self, contact: Contact) -> tuple[str, str]:
        """Path of a contact and the URI that it is sent to; ("", "") where there is no Path or none is needed."""
        path = contact.path
        if not path:
            return "", ""
        try:
            hops = parse_routes(path)
            hop = hops[0].uri
            if self.module.path_check_local > 0 and self.core.is_myself(Uri.parse(hop).host):
                if len(hops) == 1:
                    return "", ""
                # as it stands behind the first comma, blanks included
                path = path[path.index(",", hops[0].start + len(hops[0].text)) + 1 :]
                hop = hops[1].uri
        except (BadMessage, BadUri):
            log.err("failed to get dst_uri for Path")
            raise _NotUsable from None
        return path, hop

    def _socket(self, contact: Contact) -> ListenSocket | None:
        socket: ListenSocket | None = self.module.usrloc.module.socket_of(contact.socket) if contact.socket else None
        return socket

    def _restore_xavp(self, ctx: Context, contact: Contact, position: int) -> None:
        name = self.module.xavp_contact
        if contact.xavp is not None and name:
            values = ctx.xavps.setdefault(name, [])
            values.insert(min(position, len(values)), copied(contact.xavp))

    # which contacts count

    def _allowed(self, msg: Message, contact: Contact) -> bool:
        """Whether the contact takes requests of this method; those within a dialog are not looked at."""
        if not self.module.method_filtering or number_of(msg.method) & contact.methods:
            return True
        try:
            return bool(msg.to.tag)
        except BadMessage:
            return False

    def _filter(self, ctx: Context, now: int) -> Callable[[Contact], bool]:
        """What lookup_filter_mode lets through."""
        module = self.module
        mode = module.lookup_filter_mode
        wanted = module.set_for_request(ctx, "rlf_bflags", int) if mode & BY_FLAGS else None

        def usable(contact: Contact) -> bool:
            if wanted is not None and not wanted & contact.cflags:
                return False
            if mode & BY_CONNECTION and contact.socket.partition(":")[0] in ("tcp", "tls", "ws", "wss"):
                return bool(module.usrloc.module.connection_alive(contact.tcpconn_id)) and contact.tcpconn_id >= 0
            return True

        return usable

    # lookup_branches()

    def lookup_branches(self, ctx: Context, domain: Any) -> int:
        """lookup() for the request-URI and for each branch that is nothing but a URI."""
        msg = ctx.msg
        plain = list(msg.branches)
        result = self.lookup(ctx, domain)
        if not plain:
            return result
        found = result > 0
        kept = self._ruri_state(msg)
        for branch in plain:
            if not branch.uri or branch.dst_uri or branch.path or branch.force_socket is not None or branch.flags:
                continue
            self._clear_ruri(msg)
            msg.new_uri = branch.uri
            result = self.lookup(ctx, domain)
            if result > 0:
                found = True
                branch.uri = msg.uri
                branch.dst_uri, branch.path, branch.q = msg.dst_uri, msg.path, msg.q
                branch.force_socket, branch.flags = msg.force_socket, msg.branch_flags
        self._set_ruri(msg, kept)
        return FOUND if found else result

    _RURI = (
        "new_uri", "dst_uri", "path", "q", "force_socket", "branch_flags", "instance", "reg_id", "ruid", "location_ua",
    )  # fmt: skip

    def _ruri_state(self, msg: Message) -> list[Any]:
        return [getattr(msg, name) for name in self._RURI]

    def _set_ruri(self, msg: Message, values: list[Any]) -> None:
        for name, value in zip(self._RURI, values, strict=True):
            setattr(msg, name, value)

    def _clear_ruri(self, msg: Message) -> None:
        self._set_ruri(msg, [getattr(type(msg), name) for name in self._RURI])

    # registered()

    def registered(self, ctx: Context, domain: Any, uri: str, match: int, action: int) -> int:
        msg, module = ctx.msg, self.module
        try:
            text = uri or (msg.uri if msg.is_request else msg.to.uri)
            aor = module.rules.aor(text)
        except (Refused, BadMessage):
            log.err("failed to extract address of record")
            return NOT_FOUND
        now = int(self.core.clock.now())
        wanted = {
            field: module.set_for_request(ctx, name, str)
            for bit, field, name in (
                (MATCH_CALLID, "callid", "match_callid"),
                (MATCH_RECEIVED, "received", "match_received"),
                (MATCH_CONTACT, "address", "match_contact"),
            )
            if match & bit
        }
        for contact in domain.contacts(aor) or ():
            if not module.valid(contact, now):
                continue
            if any(value and getattr(contact, field) != value for field, value in wanted.items()):
                continue
            if not action & NO_RECORD:
                module.show_record(ctx, contact, now)
            if action & RESTORE_XAVP:
                self._restore_xavp(ctx, contact, 0)
            return FOUND
        return NOT_FOUND
