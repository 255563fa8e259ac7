"""What a transaction is in shared memory: the cell, its branches, and the CANCELs of branches.

Declarations only. A cell is followed, in the same arena block, by the request as it was received and by room for the
final reply; a branch by the request as it was sent; a CANCEL by its own text. The branch that guards the first
suspension lies in the cell. So a transaction that is answered here is one block, suspended or not. All words that more
than one process writes are changed under the lock of the cell's bucket. A pending timer counts as a reference to the
cell.
"""

from __future__ import annotations

import struct

from kamailio_py.shm.records import Record, embedded, text, u32, u64, words
from kamailio_py.shm.wheel import TimerNode

MAX_BRANCHES = 32
NONE = 0xFFFFFFFF
"""No branch."""
LOCAL = 0xFFFFFFFE
"""Instead of a branch: the reply was made here."""


# Plain numbers: an operation on an enum costs twenty times one on an int, and these are in every message's way.


class State:
    """Where a transaction stands with its script: one field, changed under the cell's lock."""

    ACTIVE = 0
    SUSPENDED = 1  # the script ended by t_suspend; t_continue or the timer of the blind branch goes on
    CONTINUING = 2  # the resumed route runs
    CANCELED = 3  # a CANCEL came: no new branches, no further suspension


class Flag:
    """Bits of a cell's flags, with Kamailio's numbers as $T(flags) and tm.list show them."""

    INVITE = 1 << 0
    LOCAL = 1 << 1  # replies go to the module that made the request, not upstream
    IN_AGONY = 1 << 2  # on the wait timer
    AUTO_INV_100 = 1 << 6
    DISABLE_6XX = 1 << 7
    DISABLE_FAILOVER = 1 << 8
    CANCELED = 1 << 9
    SIX_SEEN = 1 << 3
    NO_E2E_CANCEL_REASON = 1 << 10
    DISABLE_INTERNAL_REPLY = 1 << 14
    ADMIN_REPLY = 1 << 15  # answered by the script of this server
    DEAD = 1 << 17  # out of the table; freed with the last reference
    PROVEN = 1 << 19  # nothing is wrong with the headers of the request
    NO_ACK = 1 << 18  # a local INVITE whose 2xx is acknowledged by the module that made it


class BranchFlag:
    """Bits of a branch's flags."""

    BLIND = 1 << 0  # guards a suspension: nothing was sent, its reply is never picked
    CANCELED = 1 << 1  # to be cancelled as soon as a provisional reply comes
    FAKED = 1 << 2  # its final status was made here: a timeout, a cancelled branch that never answered
    SUSPENDED = 1 << 3  # its reply was suspended in onreply_route
    CONTINUING = 1 << 4  # the route that resumes its reply runs
    DROPPED = 1 << 5  # t_drop_replies() took its reply out of the choice
    UNRELIABLE = 1 << 6  # the transport loses messages: the request is retransmitted
    REPLIED = 1 << 7  # a reply came over the network
    TIMED_OUT = 1 << 8  # the final response timer fired
    UNSENT = 1 << 9  # onsend_route or the transport refused it: never picked


class Branch(Record):
    """One client transaction of a cell: a request that was sent, or the blind branch of a suspension."""

    cell = u64("its cell")
    number = u32("index in the cell")
    flags = u32("see BranchFlag")
    status = u32("status of the last reply, 0 before the first; 408 and others also when made here")
    interval = u32("retransmission interval now, in ms")
    fr_due = u64("monotonic milliseconds of the final response timer: a timer that fires earlier was set anew")
    text_size = u32("length of the request as sent")
    meta_size = u32("length of the marshalled notes (uri, ruid, ...) that follow the text")
    dst_port = u32("port it was sent to")
    socket = u32("index of the socket it was sent from")
    on_failure = u32("number of the failure_route")
    on_reply = u32("number of the onreply_route")
    on_branch_failure = u32("number of the event route")
    branch_flags = u32("branch flags of the script")
    proto = text(8, "transport")
    dst_host = text(48, "address it was sent to")

    fr = embedded(TimerNode, "final response timer")
    retr = embedded(TimerNode, "retransmission timer")
    reply = u64("stored final reply: text, source, state of the script")
    cancel = u64("CANCEL sent for it")
    ack = u64("stored ACK of a local INVITE, sent again for a repeated 2xx")


class Cell(Record):
    """One transaction. Fields up to `room` are written when it is made, the others start as zero."""

    next = u64("next cell of the bucket")
    prev = u64("previous cell of the bucket")
    index = u32("hash index: the bucket")
    label = u32("hash label; index:label is the transaction's name")
    key = u32("crc32 of what identifies a retransmission: Via branch and sent-by")
    method = u32("bit of the method, see METHODS")
    refs = u32("processes and timers that use the cell")
    flags = u32("see Flag")
    created = u64("monotonic milliseconds when it was made")
    lifetime = u64("monotonic milliseconds after which no final timer of a branch runs")
    on_failure = u32("number of the failure_route, 0 for none")
    on_reply = u32("number of the onreply_route")
    on_branch = u32("number of the branch_route")
    on_branch_failure = u32("number of the event_route[tm:branch-failure:...]")
    fr = u32("final response timeout in ms")
    fr_inv = u32("final response timeout after a provisional reply, in ms")
    retr1 = u32("first retransmission interval in ms")
    retr2 = u32("longest retransmission interval in ms")
    socket = u32("index of the socket the request came in on")
    src_port = u32("port it came from")
    dst_port = u32("port replies go to")
    source_size = u32("length of the source address, which follows the record")
    target_size = u32("length of the address replies go to, which follows that")
    text_size = u32("length of the request's text, which follows that")
    message_flags = u32("message flags of the script")
    room_size = u32("bytes behind the text, for the final reply")
    room = u64("where they are")

    state = u32("see State")
    status = u32("status of the last reply sent upstream, 0 before the first")
    branches = u32("number of branches")
    relayed = u32("branch whose reply was relayed plus one; LOCAL for a reply made here")
    turn = u32("process slot plus one of who works on replies and timeouts now")
    suspended = u32("blind branch of the suspension that is under way plus one")
    resumes = u32("how often it was resumed")
    version = u32("counts up with every change of `attributes`")
    interval = u32("retransmission interval of the final reply now, in ms; 0 once the ACK came")
    suspended_at = u32("place in the config that suspended it last: file number << 20 | line")
    suspended_by = u32("slot of the process that suspended it last, plus one")
    connection = u32("id of the connection the request came over, 0 for UDP")
    reply_flags = u32("1: open no connection for replies, 2: close it after one")
    mail = u64("first event that waits until the one at work is done; see turn.py")
    reply = u64("text of the last reply, sent again on retransmissions: in the room, or a block of its own")
    reply_size = u32("its length")
    skeleton_size = u32(
        "length of what replies have in common, see stored.py: in the room until the final one is there"
    )
    script = u64("script state as marshal wrote it, 0 if the script changed nothing")
    attributes = u64("AVPs, XAVPs, XAVUs and XAVIs as marshal wrote them, 0 if there are none")
    data = u64("what a module keeps with it: (callback name, data) of a local transaction")
    cancel_reason = u64("stored Reason headers of the CANCEL")
    notes = u64("what modules remember of it, by module, as marshal wrote it; 0 if nothing")
    repeat_until = u64("monotonic milliseconds after which the final reply is not repeated")
    timer = embedded(TimerNode, "wait timer: set with the final reply, frees the cell")
    retr = embedded(TimerNode, "retransmission of the final reply")
    md5 = text(32, "middle part of the branch parameter, once it was computed")
    branch = words(MAX_BRANCHES, "offsets of the branches")
    blind = embedded(Branch, "the blind branch of the first suspension")


class Cancel(Record):
    """A CANCEL that goes after a branch."""

    cell = u64("the cell")
    branch = u64("the branch")
    text_size = u32("length of its text")
    interval = u32("retransmission interval now, in ms; 0 once a final reply came")
    fr = embedded(TimerNode, "how long it is repeated")
    retr = embedded(TimerNode, "retransmission timer")


METHODS = {
    "INVITE": 1, "CANCEL": 2, "ACK": 4, "BYE": 8, "INFO": 16, "REGISTER": 32, "SUBSCRIBE": 64, "NOTIFY": 128,
    "MESSAGE": 256, "OPTIONS": 512, "PRACK": 1024, "UPDATE": 2048, "REFER": 4096, "PUBLISH": 8192,
}  # fmt: skip
OTHER = 16384
INVITE, CANCEL, ACK = 1, 2, 4


def _head(record: type[Record], last: str) -> struct.Struct:
    """The struct of a record's fields up to and including `last`."""
    layout, at = "<", 0
    for name, field in record.FIELDS.items():
        offset = record.OFFSETS[name]
        layout += f"{offset - at}x" if offset > at else ""
        layout += field.code
        at = offset + field.width
        if name == last:
            break
    return struct.Struct(layout)


CELL_HEAD = _head(Cell, "room")
CELL_REST = bytes(Cell.SIZE - CELL_HEAD.size)
BRANCH_HEAD = _head(Branch, "dst_host")
BRANCH_REST = bytes(Branch.SIZE - BRANCH_HEAD.size)
CANCEL_HEAD = _head(Cancel, "interval")
CANCEL_REST = bytes(Cancel.SIZE - CANCEL_HEAD.size)
