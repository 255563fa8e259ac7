"""Where transactions are found: making a cell, finding it by name, giving it back, freeing it.

The lock of a cell is that of its bucket. `refs` counts the processes that hold a handle and the timers that pend; only
the wait timer frees a cell, after it took it out of the table, and only when nobody else uses it.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING
from zlib import crc32

from kamailio_py import points
from kamailio_py.log import get_logger
from kamailio_py.modules.tm.cell import (
    CELL_HEAD,
    CELL_REST,
    INVITE,
    METHODS,
    NONE,
    OTHER,
    Branch,
    BranchFlag,
    Cancel,
    Cell,
    Flag,
)  # fmt: skip
from kamailio_py.modules.tm.transaction import Transaction
from kamailio_py.sip.hash import TABLE_ENTRIES, transaction_index

if TYPE_CHECKING:
    from kamailio_py.modules.tm import Tm
    from kamailio_py.modules.tm.armed import Armed
    from kamailio_py.sip.message import Message

log = get_logger("tm")

STRIPES = 64
_pack_head = CELL_HEAD.pack_into
_HEAD_SIZE = CELL_HEAD.size
PROVEN = Flag.PROVEN
_SEVEN_BITS = bytes(byte & 0x7F for byte in range(256))
_unpack_blocks = struct.Struct("<5q").unpack_from
"""Cell.script and the four blocks behind it."""
ROOM = 128
"""What a reply made here may have more than the headers of its request, to fit into its cell."""
_BRANCHES = Cell.branches >> 2
_REFS, _LABEL, _FLAGS = Cell.refs >> 2, Cell.label >> 2, Cell.flags >> 2


class CellTable:
    """See the head of the file."""

    def __init__(self, tm: Tm) -> None:
        shm = tm.core.shm
        self.tm = tm
        self.table = shm.table("tm", TABLE_ENTRIES, STRIPES, Cell)
        self.locks = self.table.locks
        self.mask = self.table.mask
        self.cfg_changed()
        self._insert = self.table.insert
        self._alloc = shm.arena.alloc
        self._free = shm.arena.free
        self._count = shm.counters.add
        self._memory = shm.memory
        self._u32 = shm.u32
        self._ms = tm.core.clock.ms
        labels = shm.reserve("tm.labels", "words", 4 * TABLE_ENTRIES)
        self._labels = labels >> 2
        # Labels start anywhere, so that names of transactions do not come again after a restart.
        first = bytearray(os.urandom(4 * TABLE_ENTRIES))
        first[3::4] = first[3::4].translate(_SEVEN_BITS)
        shm.memory[labels : labels + len(first)] = bytes(first)
        owner = shm.arena.owner
        self.cells = owner("tm", "cell", Cell)
        self.branches = owner("tm", "branch", Branch)
        self.replies = owner("tm", "reply")
        self.cancels = owner("tm", "cancel", Cancel)
        self.scripts = owner("tm", "script state")
        self.attributes = owner("tm", "avps")
        self.mails = owner("tm", "waiting event")
        self.datas = owner("tm", "callback data")
        self.notes = owner("tm", "notes of modules")
        self.freed = tm.core.statistic("tm", "freed")
        self.delayed = tm.core.statistic("tm", "delayed_free")

    def cfg_changed(self) -> None:
        """What is made of parameters for every new transaction."""
        tm = self.tm
        self._invite_flags = Flag.INVITE | (Flag.AUTO_INV_100 if tm.auto_inv_100 else 0)
        self._unarmed = (0, 0, 0, 0, tm.fr_timer, tm.fr_inv_timer, tm.retr_timer1, tm.retr_timer2)

    def key(self, msg: Message) -> int:
        """What the retransmissions of a request have in common, in 32 bits."""
        via = msg.via
        branch = via.branch
        if branch and branch.startswith("z9hG4bK"):
            text = f"{branch}|{via.host}|{via.port}|{via.transport}"
        else:
            text = f"{msg.call_id}|{msg.cseq[0]}|{msg.from_.tag}"
        return crc32(text.encode("latin-1"))

    def insert(
        self, msg: Message, index: int, key: int, host: str, port: int, armed: Armed | None
    ) -> Transaction | None:
        """Make a cell for a request and put it into its bucket, whose lock is held; None without memory.

        Replies go to `host` and `port`, "" and 0 for a request of our own.
        """
        tm = self.tm
        data = msg.text.encode("latin-1")
        source = msg.src_ip.encode("latin-1")
        target = host.encode("latin-1")
        tail = CELL_REST + source + target + data
        size = _HEAD_SIZE + len(tail)
        room = msg.body_offset + ROOM if host else 0
        offset = self._alloc(size + room, self.cells)
        if not offset:
            return None
        at = self._labels + index
        u32 = self._u32
        label = u32[at]
        u32[at] = (label + 1) & 0xFFFFFFFF
        method = METHODS.get(msg.method, OTHER)
        invite = method == INVITE
        flags = self._invite_flags if invite else 0
        if msg.is_proven:
            flags |= PROVEN
        now = self._ms()
        if armed is None:
            life = tm.max_inv_lifetime if invite else tm.max_noninv_lifetime
            on_failure, on_reply, on_branch, on_branch_failure, fr, fr_inv, retr1, retr2 = self._unarmed
        else:
            life = armed.lifetime(tm, invite)
            if invite:  # what the script set before is forgotten for others, as by Kamailio
                flags = (flags | armed.flags_on) & ~armed.flags_off
            on_failure, on_reply, on_branch, on_branch_failure, fr, fr_inv, retr1, retr2 = armed.fields(tm)
        socket = msg.socket
        memory = self._memory
        _pack_head(
            memory, offset, 0, 0, index, label, key, method, 1, flags, now, now + life, on_failure, on_reply,
            on_branch, on_branch_failure, fr, fr_inv, retr1, retr2, socket.index if socket is not None else NONE,
            msg.src_port, port, len(source), len(target), len(data), msg.flags, room, offset + size,
        )  # fmt: skip
        memory[offset + _HEAD_SIZE : offset + size] = tail
        self._insert(index, offset)
        return Transaction(tm, offset, index, label)

    def label_of(self, offset: int) -> int:
        return self.tm.u32[(offset >> 2) + _LABEL]

    def hold(self, offset: int, index: int) -> Transaction:
        """A handle with a reference on a cell of the bucket, whose lock is held."""
        u32 = self.tm.u32
        word = offset >> 2
        u32[word + _REFS] += 1
        return Transaction(self.tm, offset, index, u32[word + _LABEL])

    def find_ident(self, index: int, label: int) -> Transaction | None:
        """The transaction of that name, with a reference."""
        t = self.seek(index, label)
        if t is not None:
            t.lock.release()
        return t

    def seek(self, index: int, label: int) -> Transaction | None:
        """The transaction of that name, with a reference, and with its lock held."""
        if not 0 <= index < TABLE_ENTRIES:
            log.err(f"invalid hash_index={index}")
            return None
        u32, u64 = self.tm.u32, self.tm.u64
        lock = self.locks[index & self.mask]
        lock.acquire()
        offset = self.table.head(index)
        while offset and u32[(offset >> 2) + _LABEL] != label:
            offset = u64[offset >> 3]
        if offset:
            return self.hold(offset, index)
        lock.release()
        return None

    def find_callid(self, call_id: str, cseq: str) -> Transaction | None:
        """The transaction of a request with this Call-ID and CSeq number, with a reference; CANCELs are passed over."""
        from kamailio_py.sip.message import Message

        index = transaction_index(call_id, cseq)
        lock = self.locks[index & self.mask]
        found = None
        lock.acquire()
        for offset in self.table.walk(index):
            t = Transaction(self.tm, offset, index, self.label_of(offset))
            msg = Message(t.text())
            if msg.call_id == call_id and msg.cseq[0] == cseq and msg.method != "CANCEL":
                found = self.hold(offset, index)
                break
        lock.release()
        return found

    def release(self, t: Transaction) -> None:
        """Give back a reference; the handle is not used any more."""
        t.lock.acquire()
        self.tm.u32[t.word + _REFS] -= 1
        t.lock.release()

    # the end

    def remove(self, t: Transaction) -> None:
        """Take a cell out of the table: nobody finds it any more. Its lock is held."""
        self.table.remove(t.index, t.offset)
        t.u32[t.word + _FLAGS] |= Flag.DEAD

    def free(self, t: Transaction) -> None:
        """Give all memory of a dead cell back, which nobody uses any more."""
        points.point("tm.free")
        u64 = t.u64
        free = self._free
        blind = t.offset + Cell.blind
        for number in range(t.u32[t.word + _BRANCHES]):
            branch = t.branch(number)
            if branch == blind:
                continue  # nothing is ever stored for it
            for field in (Branch.reply, Branch.cancel, Branch.ack):
                block = u64[(branch + field) >> 3]
                if block:
                    free(block)
            free(branch)
        for block in _unpack_blocks(self._memory, t.offset + Cell.script):
            if block:
                free(block)
        reply = t.get_word(Cell.reply)
        if reply and reply != t.get_word(Cell.room):
            free(reply)
        mail = t.get_word(Cell.mail)
        while mail:
            following = u64[mail >> 3]
            free(mail)
            mail = following
        free(t.offset)
        self._count(self.freed)

    def pending_branches(self, t: Transaction) -> list[int]:
        """Numbers of the branches without a final status, blind ones of ended suspensions left out."""
        return [n for n in range(t.branches) if t.branch_status(n) < 200]

    def real_branches(self, t: Transaction) -> list[int]:
        """Numbers of the branches on which something was sent."""
        return [n for n in range(t.branches) if not t.branch_flags(n) & BranchFlag.BLIND]
