"""Which transaction a request or reply belongs to: RFC 3261 section 17.2.3 and 17.1.3, and RFC 2543 for old clients.

The bucket follows from Call-ID and CSeq number. In it cells are told apart by their `key`, a checksum of what the
retransmissions of a request have in common; where it is equal, the stored request is looked at. Handles that are given
back hold a reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.modules.tm.cell import ACK, CANCEL, INVITE, LOCAL, METHODS, OTHER, Cell, Flag
from kamailio_py.modules.tm.transaction import Transaction
from kamailio_py.sip.hash import MAGIC_COOKIE, parse_branch, transaction_index
from kamailio_py.sip.message import Message

if TYPE_CHECKING:
    from kamailio_py.modules.tm import Tm

_KEY, _METHOD, _STATUS, _RELAYED, _BRANCHES = (
    getattr(Cell, name) >> 2 for name in ("key", "method", "status", "relayed", "branches")
)


class Matching:
    """See the head of the file."""

    def __init__(self, tm: Tm) -> None:
        self.tm = tm
        self.interested_in_acks = False
        """Somebody wants to know of ACKs of 2xx: they are matched although nothing is done with them here."""

    def request(self, msg: Message) -> tuple[Transaction | None, bool]:
        """The transaction a request belongs to, and whether the request is the end-to-end ACK of its 2xx."""
        table = self.tm.table
        index = transaction_index(msg.call_id, msg.cseq[0])
        lock = table.locks[index & table.mask]
        lock.acquire()
        offset, e2e, _ = self.find(msg, index, table.key(msg))
        t = table.hold(offset, index) if offset else None
        lock.release()
        return t, e2e

    def find(self, msg: Message, index: int, key: int) -> tuple[int, bool, bool]:
        """(offset or 0, is the ACK of a 2xx, a CANCEL for it came before) in the bucket, whose lock is held."""
        u32, u64 = self.tm.u32, self.tm.u64
        offset = self.tm.table.table.head(index)
        wanted = METHODS.get(msg.method, OTHER)
        is_ack = wanted == ACK
        if is_ack:
            wanted = INVITE
        passing = 0
        canceled = False
        while offset:
            word = offset >> 2
            method = u32[word + _METHOD]
            if is_ack and method == INVITE and u32[word + _STATUS] < 300:
                # An ACK for a 2xx of this server ends its retransmission; of others' it is only reported.
                own = u32[word + _RELAYED] == LOCAL and u32[word + _STATUS] >= 200
                if (own or (self.interested_in_acks and not passing)) and self._acknowledges(msg, offset):
                    if own:
                        return offset, False, False
                    passing = offset
            elif u32[word + _KEY] == key and method in (wanted, CANCEL):
                if method == wanted:
                    if self._same(msg, offset):
                        return offset, False, canceled
                elif self._same(msg, offset):
                    canceled = True
            offset = u64[offset >> 3]
        return passing, passing != 0, canceled

    def original(self, msg: Message) -> Transaction | None:
        """The INVITE transaction a CANCEL is for."""
        table = self.tm.table
        u32, u64 = self.tm.u32, self.tm.u64
        index = transaction_index(msg.call_id, msg.cseq[0])
        key = table.key(msg)
        lock = table.locks[index & table.mask]
        t = None
        lock.acquire()
        offset = table.table.head(index)
        while offset:
            word = offset >> 2
            if u32[word + _KEY] == key and u32[word + _METHOD] not in (CANCEL, ACK) and self._same(msg, offset):
                t = table.hold(offset, index)
                break
            offset = u64[offset >> 3]
        lock.release()
        return t

    def reply(self, msg: Message) -> tuple[Transaction, int] | None:
        """The transaction and branch a reply came for; its top Via carries them."""
        parsed = parse_branch(msg.via.branch)
        if parsed is None:
            return None
        index, value, number = parsed
        wanted = value.encode("latin-1")
        if len(wanted) != 32:
            return None
        method = METHODS.get(msg.method, OTHER)
        u32, u64, memory = self.tm.u32, self.tm.u64, self.tm.memory
        table = self.tm.table
        found = None
        lock = table.locks[index & table.mask]
        lock.acquire()
        offset = table.table.head(index)
        while offset:
            word = offset >> 2
            at = offset + Cell.md5
            if memory[at : at + 32] == wanted and number < u32[word + _BRANCHES]:
                own = u32[word + _METHOD]
                if own == method or (method == CANCEL and own == INVITE):
                    found = table.hold(offset, index), number
                    break
            offset = u64[offset >> 3]
        lock.release()
        return found

    def _stored(self, offset: int) -> Message:
        return Message(Transaction(self.tm, offset, 0, 0).text())

    def _same(self, msg: Message, offset: int) -> bool:
        """Do a request and the one of this cell share Via branch and sender (or, of old clients, all that names it)?"""
        tm = self.tm
        stored = self._stored(offset)
        via, other = msg.via, stored.via
        if tm.u32[(offset + Cell.flags) >> 2] & Flag.LOCAL and not tm.u32[(offset + Cell.target_size) >> 2]:
            return False  # a request of our own
        if via.branch and via.branch.startswith(MAGIC_COOKIE):
            if (via.branch, via.host, via.port, via.transport) != (
                other.branch,
                other.host,
                other.port,
                other.transport,
            ):
                return False
            if tm.callid_matching and stored.call_id != msg.call_id:
                return False
            return not tm.callid_cseq_matching or (stored.call_id == msg.call_id and stored.cseq[0] == msg.cseq[0])
        if other.branch and other.branch.startswith(MAGIC_COOKIE):
            return False
        if stored.call_id != msg.call_id or stored.cseq[0] != msg.cseq[0] or stored.from_.tag != msg.from_.tag:
            return False
        if msg.method == "ACK":
            return stored.to.uri == msg.to.uri
        if msg.header("to") != stored.header("to") or (tm.ruri_matching and stored.ruri != msg.ruri):
            return False
        return not tm.via1_matching or (
            (via.branch, via.host, via.port, via.params) == (other.branch, other.host, other.port, other.params)
        )

    def _acknowledges(self, msg: Message, offset: int) -> bool:
        """Is an ACK for the 2xx of this INVITE? Then they agree in everything that names the dialog."""
        t = Transaction(self.tm, offset, 0, 0)
        stored = Message(t.text())
        if stored.call_id != msg.call_id or stored.cseq[0] != msg.cseq[0] or stored.from_.tag != msg.from_.tag:
            return False
        return t.status >= 200 and Message(t.reply_text()).to.tag == msg.to.tag
