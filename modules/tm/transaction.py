"""A transaction as one process holds it: a handle on its cell in shared memory.

Lives here: reading a cell and its branches, and the few words that are changed in one place. Properties read what is in
shared memory at that moment, without the lock; whoever decides something by them and writes takes `t.lock` first.
Private to the process are the other attributes: what the script did with the transaction (`done`), the error it is to
be answered with, the AVPs as they were last loaded or saved. The class has their first values.
"""

from __future__ import annotations

import marshal
import struct
from typing import TYPE_CHECKING, Any

from kamailio_py.modules.tm.cell import INVITE, LOCAL, METHODS, NONE, OTHER, Branch, BranchFlag, Cell, Flag, State
from kamailio_py.modules.tm.stored import StoredRequest
from kamailio_py.sip.endpoint import Destination
from kamailio_py.sip.message import Message

if TYPE_CHECKING:
    from kamailio_py.modules.tm import Tm
    from kamailio_py.sip.endpoint import ListenSocket

FORWARDED, REPLIED, RELEASED, RETRANSMISSION, ERROR_DELAYED = 1, 2, 4, 8, 16
"""What a script did with the transaction (Kamailio's kill reasons)."""

_STATUS, _FLAGS, _STATE, _BRANCHES, _RELAYED, _METHOD, _REFS, _TURN = (
    getattr(Cell, name) >> 2 for name in ("status", "flags", "state", "branches", "relayed", "method", "refs", "turn")
)
_MESSAGE_FLAGS = Cell.message_flags >> 2
_CONNECTION = Cell.connection >> 2
_OFFSETS = Cell.branch >> 3
_unpack_source = struct.Struct("<7I").unpack_from
"""Cell.socket and the six fields behind it."""
_NOTES = ("uri", "dst_uri", "path", "ruid", "instance", "location_ua", "q", "rest")
_NAMES = {bit: name for name, bit in METHODS.items()}


class Transaction:
    """See the head of the file."""

    done = 0
    error = 0
    attributes = b""
    version = 0
    resumed = 0
    """Which of its resumptions this process has taken."""
    reply_msg: Message | None = None
    """The reply that is being worked on, for failure routes and $T_rpl."""
    reply_code = 0
    """Its status, also of one that was made here."""
    consumed: tuple[str | None, str | None] | None = None
    """(new_uri, dst_uri) that became a branch already: only a new value makes the request-URI a branch again."""
    made_with: tuple[str | None, str | None, str | None] = (None, None, None)
    """new_uri, dst_uri and path when the transaction was made: what failure routes start with."""
    answers_to: tuple[str, int, ListenSocket | None] = ("", 0, None)
    """Host, port and socket of replies, where the request was received."""
    target: Destination | None = None
    """Where replies go, once it was read."""

    def __init__(self, tm: Tm, offset: int, index: int, label: int) -> None:
        self.tm = tm
        self.offset = offset
        self.word = offset >> 2
        self.u32 = tm.u32
        self.u64 = tm.u64
        self.index = index
        self.label = label
        table = tm.table
        self.lock = table.locks[index & table.mask]

    def __repr__(self) -> str:
        return f"<Transaction {self.index}:{self.label}>"

    # the cell

    @property
    def status(self) -> int:
        """Status of the last reply sent upstream, 0 before the first."""
        return self.u32[self.word + _STATUS]

    @property
    def flags(self) -> int:
        return self.u32[self.word + _FLAGS]

    @property
    def state(self) -> int:
        return self.u32[self.word + _STATE]

    @property
    def canceled(self) -> bool:
        return self.u32[self.word + _STATE] == State.CANCELED

    @property
    def refs(self) -> int:
        return self.u32[self.word + _REFS]

    @property
    def is_invite(self) -> bool:
        return self.u32[self.word + _METHOD] == INVITE

    @property
    def is_local(self) -> bool:
        return bool(self.u32[self.word + _FLAGS] & Flag.LOCAL)

    @property
    def method(self) -> str:
        bit = self.u32[self.word + _METHOD]
        return _NAMES[bit] if bit != OTHER else self.text().partition(" ")[0]

    @property
    def branches(self) -> int:
        """Number of branches, blind ones included."""
        return self.u32[self.word + _BRANCHES]

    @property
    def relayed(self) -> int:
        """Branch whose reply was relayed upstream; -1 none yet, -2 the reply was made here."""
        value = self.u32[self.word + _RELAYED]
        return -2 if value == LOCAL else value - 1

    @property
    def turn(self) -> int:
        """Process slot plus one of who works on its replies and timeouts, 0 if nobody does."""
        return self.u32[self.word + _TURN]

    def get(self, field: int) -> int:
        """A 32-bit field of the cell: `t.get(Cell.fr)`."""
        return self.u32[self.word + (field >> 2)]

    def set(self, field: int, value: int) -> None:
        """Write a 32-bit field; fields that several processes write only with `lock` held."""
        self.u32[self.word + (field >> 2)] = value

    def get_word(self, field: int) -> int:
        """A 64-bit field of the cell."""
        return self.u64[(self.offset + field) >> 3]

    def set_word(self, field: int, value: int) -> None:
        self.u64[(self.offset + field) >> 3] = value

    def set_flags(self, on: int = 0, off: int = 0) -> None:
        """Change flags, taking the lock."""
        self.lock.acquire()
        self.u32[self.word + _FLAGS] = (self.u32[self.word + _FLAGS] | on) & ~off
        self.lock.release()

    def set_flag(self, flag: int, on: int) -> None:
        self.set_flags(flag, 0) if on else self.set_flags(0, flag)

    # the request

    def text(self) -> str:
        """The request as it was received."""
        start = self.offset + Cell.SIZE + self.get(Cell.source_size) + self.get(Cell.target_size)
        return self.tm.memory[start : start + self.get(Cell.text_size)].decode("latin-1")

    def socket(self) -> ListenSocket | None:
        """The socket the request came in on."""
        index = self.get(Cell.socket)
        return self.tm.core.sockets[index] if index != NONE else None

    def request(self) -> Message:
        """The request as received, in a Message of its own, with what the script did to it up to its last save."""
        u32, word = self.u32, self.word
        bit = u32[word + _METHOD]
        if (
            bit == OTHER
            or self.u64[(self.offset + Cell.script) >> 3]
            or u32[word + _MESSAGE_FLAGS]
            or u32[word + _CONNECTION]
            or not u32[word + _FLAGS] & Flag.PROVEN
        ):
            msg = Message.__new__(Message)
            self.fill(msg)
            return msg
        return StoredRequest(self, _NAMES[bit])

    def fill(self, msg: Message) -> None:
        """Make `msg` the request."""
        tm = self.tm
        index, src_port, dst_port, source_size, target_size, text_size, flags = _unpack_source(
            tm.memory, self.offset + Cell.socket
        )
        socket = tm.core.sockets[index] if index != NONE else None
        start = self.offset + Cell.SIZE
        data = tm.memory[start : start + source_size + target_size + text_size].decode("latin-1")
        after = source_size + target_size
        Message.__init__(msg, data[after:], data[:source_size], src_port, socket)
        if self.u32[self.word + _FLAGS] & Flag.PROVEN:
            msg.is_proven = True
        if self.target is None and target_size and socket is not None:
            self.target = Destination(socket.proto, data[source_size:after], dst_port, socket)
        connection = self.u32[self.word + _CONNECTION]
        if connection:
            msg.connection = connection
            if self.target is not None and not self.target.connection:
                self.target = self.target._replace(connection=connection, flags=self.get(Cell.reply_flags))
        script = self.u64[(self.offset + Cell.script) >> 3]
        if script:
            msg.restore(marshal.loads(tm.arena.load(script)), tm.core.sockets)
        if flags or msg.flags:
            msg.flags = flags

    def upstream(self) -> Destination | None:
        """Where replies go; None for a request of our own."""
        if self.target is not None:
            return self.target
        host, port, socket = self.answers_to
        if socket is not None:
            self.target = Destination(socket.proto, host, port, socket)
            return self.target
        socket = self.socket()
        size = self.get(Cell.target_size)
        if socket is None or not size:
            return None
        start = self.offset + Cell.SIZE + self.get(Cell.source_size)
        host = self.tm.memory[start : start + size].decode("latin-1")
        connection, flags = self.get(Cell.connection), self.get(Cell.reply_flags)
        self.target = Destination(socket.proto, host, self.get(Cell.dst_port), socket, connection, flags)
        return self.target

    def last_reply(self) -> str:
        """Text of the last reply sent upstream, "" before the first."""
        self.lock.acquire()
        text = self.reply_text()
        self.lock.release()
        return text

    def reply_text(self) -> str:
        """The same, with the lock held."""
        start = self.get_word(Cell.reply)
        return self.tm.memory[start : start + self.get(Cell.reply_size)].decode("latin-1")

    # branches

    def branch(self, number: int) -> int:
        """Offset of a branch."""
        return self.u64[(self.offset >> 3) + _OFFSETS + number]

    def branch_get(self, number: int, field: int) -> int:
        """A 32-bit field of a branch: `t.branch_get(0, Branch.status)`."""
        return self.u32[(self.branch(number) + field) >> 2]

    def branch_set(self, number: int, field: int, value: int) -> None:
        """Write a 32-bit field of a branch, with `lock` held."""
        self.u32[(self.branch(number) + field) >> 2] = value

    def branch_status(self, number: int) -> int:
        return self.branch_get(number, Branch.status)

    def branch_flags(self, number: int) -> int:
        """Its BranchFlags."""
        return self.branch_get(number, Branch.flags)

    def is_blind(self, number: int) -> bool:
        return bool(self.branch_flags(number) & BranchFlag.BLIND)

    def branch_text(self, number: int) -> str:
        """The request as it was sent on this branch, "" for a blind one."""
        start = self.branch(number) + Branch.SIZE
        return self.tm.memory[start : start + self.branch_get(number, Branch.text_size)].decode("latin-1")

    def branch_notes(self, number: int) -> dict[str, Any]:
        """uri, dst_uri, path, ruid, instance, location_ua, q, rest (failover.py) of a branch; {} for a blind one."""
        size = self.branch_get(number, Branch.meta_size)
        if not size:
            return {}
        start = self.branch(number) + Branch.SIZE + self.branch_get(number, Branch.text_size)
        return dict(zip(_NOTES, marshal.loads(self.tm.memory[start : start + size]), strict=True))

    def branch_destination(self, number: int) -> Destination:
        """Where the branch was sent."""
        branch = Branch.unpack(self.tm.memory, self.branch(number))
        host = branch.dst_host.rstrip(b"\0").decode("latin-1")
        proto = branch.proto.rstrip(b"\0").decode("latin-1")
        return Destination(proto, host, branch.dst_port, self.tm.core.sockets[branch.socket])

    def branch_reply(self, number: int) -> Message | None:
        """The reply stored for a branch; None if there is none or it was made here."""
        self.lock.acquire()
        block = self.u64[(self.branch(number) + Branch.reply) >> 3]
        data = self.tm.arena.load(block) if block else b""
        self.lock.release()
        return self.tm.state.load_reply(data) if data else None
