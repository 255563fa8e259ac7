"""One contact of an address of record: the value modules work with, and how it lies in shared memory.

A contact in shared memory is one block: a ContactRecord and its texts behind it. A block that can be reached is written
anew in one go, and only where its texts keep their sizes, so that it is sound at any moment; otherwise a changed
contact is a new block (records.py). Knows no table, no lock and no database.
"""

from __future__ import annotations

import marshal
from enum import IntEnum
from typing import Any

from kamailio_py.shm.records import Record, i32, i64, u32, u64

EXPIRED_TIME = 10
"""`expires` of a contact that was deleted but must still be deleted from the database."""
UNSPECIFIED_Q = -1
ALL_METHODS = 0xFFFFFFFF
MEMORY_ONLY = 1
"""Bit of `flags`: the contact is never written to the database."""


class State(IntEnum):
    """What the database knows of a contact."""

    NEW = 0
    SYNC = 1
    DIRTY = 2


class ContactRecord(Record):
    """One contact; its texts follow, in the order of their sizes."""

    next = u64("offset of the next contact of the address of record, 0 at the end")
    expires = i64("seconds since the epoch when it is over; 0 never, 10 deleted but still in the database")
    last_modified = i64("seconds since the epoch of the last REGISTER")
    last_keepalive = i64("seconds since the epoch of the last answer to a keepalive")
    q = i32("priority in thousandths, -1 unspecified")
    cseq = i32("CSeq of the REGISTER")
    state = u32("0 not in the database, 1 as in the database, 2 changed since")
    version = u32("counts up with each change")
    flags = u32("1: never written to the database")
    cflags = u32("branch flags")
    methods = u32("methods it supports, a bit each")
    reg_id = u32("reg-id (RFC 5626)")
    server_id = i32("server that took the REGISTER")
    tcpconn_id = i32("connection the REGISTER came over, -1 for none")
    keepalive = i32("1: behind a NAT, wants keepalives")
    roundtrip = u32("microseconds the last keepalive took")
    address = u32("bytes of the Contact URI")
    received = u32("bytes of the URI it is reached at")
    path = u32("bytes of the Path vector")
    callid = u32("bytes of the Call-ID")
    user_agent = u32("bytes of the User-Agent")
    ruid = u32("bytes of the record's unique id")
    instance = u32("bytes of +sip.instance")
    socket = u32("bytes of the socket's name")
    xavp = u32("bytes of the XAVP kept with it, as marshal writes it")
    spare = u32("0")


NUMBERS = (
    "expires", "last_modified", "last_keepalive", "q", "cseq", "state", "version", "flags", "cflags", "methods",
    "reg_id", "server_id", "tcpconn_id", "keepalive", "roundtrip",
)  # fmt: skip
TEXTS = ("address", "received", "path", "callid", "user_agent", "ruid", "instance", "socket")

_unpack = ContactRecord.STRUCT.unpack_from
_pack = ContactRecord.STRUCT.pack
_SIZE = ContactRecord.SIZE
SIZES = slice(ContactRecord.address, ContactRecord.spare)
"""Where the sizes of the texts stand in a block."""


class Contact:
    """See the fields of ContactRecord; texts are "" where there is none, `xavp` is None or the newest value's fields.

    at      where it lies in shared memory, 0 when it does not
    next    offset of the next one there
    """

    __slots__ = (*NUMBERS, *TEXTS, "at", "next", "xavp")

    def __init__(
        self, address: str, *, received: str = "", path: str = "", callid: str = "", user_agent: str = "",
        ruid: str = "", instance: str = "", socket: str = "", expires: int = 0, last_modified: int = 0,
        last_keepalive: int = 0, q: int = UNSPECIFIED_Q, cseq: int = 0, state: int = State.NEW, version: int = 0,
        flags: int = 0, cflags: int = 0, methods: int = ALL_METHODS, reg_id: int = 0, server_id: int = 0,
        tcpconn_id: int = -1, keepalive: int = 0, roundtrip: int = 0, xavp: Any = None,
    ) -> None:  # fmt: skip
        self.at = self.next = 0
        self.address = address
        self.received = received
        self.path = path
        self.callid = callid
        self.user_agent = user_agent
        self.ruid = ruid
        self.instance = instance
        self.socket = socket
        self.expires = expires
        self.last_modified = last_modified
        self.last_keepalive = last_keepalive
        self.q = q
        self.cseq = cseq
        self.state = state
        self.version = version
        self.flags = flags
        self.cflags = cflags
        self.methods = methods
        self.reg_id = reg_id
        self.server_id = server_id
        self.tcpconn_id = tcpconn_id
        self.keepalive = keepalive
        self.roundtrip = roundtrip
        self.xavp = xavp

    def __repr__(self) -> str:
        return f"<Contact {self.address} {self.ruid}>"

    def valid(self, now: int) -> bool:
        """Not over at this second: permanent or to end later."""
        expires = self.expires
        return expires > now or expires == 0

    def packed(self) -> bytes:
        """The block it is in shared memory."""
        address, received, path, callid = self.address, self.received, self.path, self.callid
        agent, ruid, instance, socket = self.user_agent, self.ruid, self.instance, self.socket
        xavp = marshal.dumps(self.xavp) if self.xavp is not None else b""
        head = _pack(
            self.next, self.expires, self.last_modified, self.last_keepalive, self.q, self.cseq, self.state,
            self.version & 0xFFFFFFFF, self.flags & 0xFFFFFFFF, self.cflags & 0xFFFFFFFF, self.methods & 0xFFFFFFFF,
            self.reg_id & 0xFFFFFFFF, self.server_id, self.tcpconn_id, self.keepalive, self.roundtrip & 0xFFFFFFFF,
            len(address), len(received), len(path), len(callid), len(agent), len(ruid), len(instance), len(socket),
            len(xavp), 0,
        )  # fmt: skip
        text = f"{address}{received}{path}{callid}{agent}{ruid}{instance}{socket}"
        return head + text.encode("latin-1", "replace") + xavp


def read(memory: Any, at: int) -> Contact:
    """The contact that lies at `at`."""
    contact = Contact.__new__(Contact)
    contact.at = at
    (
        contact.next, contact.expires, contact.last_modified, contact.last_keepalive, contact.q, contact.cseq,
        contact.state, contact.version, contact.flags, contact.cflags, contact.methods, contact.reg_id,
        contact.server_id, contact.tcpconn_id, contact.keepalive, contact.roundtrip,
        address, received, path, callid, user_agent, ruid, instance, socket, xavp, _,
    ) = _unpack(memory, at)  # fmt: skip
    start = at + _SIZE
    size = address + received + path + callid + user_agent + ruid + instance + socket
    text = memory[start : start + size].decode("latin-1")
    contact.address = text[:address]
    position = address + received
    contact.received = text[address:position]
    contact.path = text[position : position + path]
    position += path
    contact.callid = text[position : position + callid]
    position += callid
    contact.user_agent = text[position : position + user_agent]
    position += user_agent
    contact.ruid = text[position : position + ruid]
    position += ruid
    contact.instance = text[position : position + instance]
    contact.socket = text[position + instance :]
    contact.xavp = marshal.loads(memory[start + size : start + size + xavp]) if xavp else None
    return contact
