"""Which requests are being worked on before they have a transaction: one word for each process.

A retransmission can be taken by another process while the first has not yet made the transaction. Each process writes
the digest of the request it works on into its own word, and sees whether the same stands in another one. The words are
read and written under one lock, because two processes must not miss each other.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from kamailio_py.shm.records import Record, u64
from kamailio_py.shm.words import numbers

if TYPE_CHECKING:
    from kamailio_py.shm.memory import SharedMemory
    from kamailio_py.sip.message import Message


class Working(Record):
    """What one process works on."""

    digest = u64("digest of Call-ID, From-tag, CSeq and Via branch; 0 for nothing")


class Pretran:
    """See the head of the file."""

    def __init__(self, shm: SharedMemory) -> None:
        self._shm = shm
        self._count = shm.processes.count
        self._first = shm.reserve("tmx.pretran", "records", self._count * Working.SIZE, Working) >> 3
        self._lock = shm.lock("tmx.pretran.lock")

    def enter(self, msg: Message) -> bool:
        """Say that this process works on the request; True if another one does already."""
        branch = msg.via.branch or ""
        text = "\n".join((msg.call_id, msg.from_.tag, msg.cseq_number, msg.cseq_method, branch))
        digest = int.from_bytes(blake2b(text.encode("latin-1"), digest_size=7).digest(), "little") or 1
        words, first = self._shm.u64, self._first
        own = first + self._shm.processes.slot
        self._lock.acquire()
        words[own] = 0
        found = digest in numbers(words, first, first + self._count)
        words[own] = digest
        self._lock.release()
        return found

    def leave(self) -> None:
        """This process is done with its request."""
        self._shm.u64[self._first + self._shm.processes.slot] = 0
