"""A domain's records in shared memory: addresses of record in a hash table, each with its chain of contacts.

Kamailio's slots are the low bits of its hash of the address of record; here each of them is spread over many buckets,
so that a look-up costs the same with a hundred thousand users as with ten. The lock of the bucket guards a record, the
chain of its contacts and the contacts. Chains are changed by one word that makes a complete block reachable, and a
contact whose texts keep their sizes is written in its place: a process killed at any point leaves them sound. Knows no
database and no timer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING
from zlib import crc32

from kamailio_py.log import get_logger
from kamailio_py.modules.usrloc.bindings import Bindings
from kamailio_py.modules.usrloc.contact import EXPIRED_TIME, SIZES, Contact, ContactRecord, State, read
from kamailio_py.shm.records import Record, u16, u32, u64
from kamailio_py.sip.hash import core_hash
from kamailio_py.sip.remembered import memo

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core

log = get_logger("usrloc")

BUCKETS = 65536
STRIPES = 64
WAYS = 8
"""Buckets among which those of one hash are spread by another."""
LONGEST_AOR = 0xFFFF

Key = tuple[int, int, bytes]
"""Where an address of record is found: bucket, the word with its hash and size, its text."""

aor_hash = memo(4096)(core_hash)


class AorRecord(Record):
    """One address of record; its text follows."""

    next = u64("next record of the bucket, 0 at the end")
    prev = u64("previous record of the bucket")
    hash = u32("Kamailio's hash of the address of record")
    size = u16("characters of the address of record")
    check = u16("15 bits of its CRC-32: Kamailio's hash is the same for many")
    contacts = u64("offset of the first contact")
    made = u64("microseconds since the epoch when it was made: Kamailio's order within a slot")


HASH, CONTACTS, MADE = AorRecord.hash >> 3, AorRecord.contacts >> 3, AorRecord.made >> 3
EXPIRES = ContactRecord.expires >> 3
STATE = ContactRecord.state >> 2


class Records:
    """See the head of the file. With `kept` a changed contact is noted as not in the database yet, with `marks` one
    that is deleted stays for the timer, marked as deleted, if the database has it."""

    def __init__(
        self, core: Core, name: str, slots: int, *, desc_time_order: bool, kept: bool = False, marks: bool = False
    ) -> None:
        self.core = core
        self.name = name
        self.slots = slots
        self.desc_time_order = desc_time_order
        self.alive: Callable[[int], bool] | None = None
        """With handle_lost_tcp: whether a contact's connection is still there."""
        self._kept, self._marks = kept, marks
        self._spread = max(BUCKETS // slots, 1)
        self._ways = min(WAYS, self._spread)
        self._key = memo(4096)(self._make_key)
        shm = core.shm
        buckets = slots * self._spread
        self._table = shm.table(f"usrloc.{name}", buckets, min(STRIPES, buckets), AorRecord)
        self._aors = shm.arena.owner("usrloc", f"{name} records", AorRecord)
        self._blocks = shm.arena.owner("usrloc", f"{name} contacts", ContactRecord)
        self._arena = shm.arena
        self._memory, self._words, self._signed, self._u32 = shm.memory, shm.u64, shm.i64, shm.u32
        self._total = core.statistic("usrloc", f"{name}{core.cfg.stats_name_separator}contacts")

    # what is there

    @property
    def users(self) -> int:
        """Addresses of record."""
        return len(self._table)

    @property
    def total(self) -> int:
        """Contacts."""
        return self.core.shm.counters.total(self._total)

    def _buckets(self, hash: int) -> range:
        """The buckets in which addresses of record with this hash may be."""
        ways = self._ways
        first = (hash & (self.slots - 1)) * self._spread + (hash // self.slots) % (self._spread // ways) * ways
        return range(first, first + ways)

    def _make_key(self, aor: str) -> Key:
        text = aor.encode("latin-1", "replace")
        hash, check = aor_hash(aor), crc32(text) >> 17
        return self._buckets(hash)[check % self._ways], hash | len(text) << 32 | check << 48, text

    def open(self, aor: str) -> Bindings:
        """The contacts of an address of record, to be changed."""
        key = self._key(aor)
        return Bindings(self, aor, key[1] & 0xFFFFFFFF, key)

    def contacts(self, aor: str) -> list[Contact] | None:
        """The contacts of an address of record as they are now, None if there is no record of it."""
        key = self._key(aor)
        lock = self._table.lock_of(key[0])
        lock.acquire()
        try:
            at = self._find(key)
            return self._current(at) if at else None
        finally:
            lock.release()

    def by_ruid(
        self, hash: int, ruid: str, change: Callable[[Contact], None] | None = None
    ) -> tuple[str, Contact] | None:
        """(address of record, contact) of the contact with this id, whose address of record has this hash.

        `change(contact)` is called while the lock is held.
        """
        for bucket in self._buckets(hash):
            lock = self._table.lock_of(bucket)
            lock.acquire()
            try:
                for at in self._table.walk(bucket):
                    mine = self._chain(at) if self._words[(at >> 3) + HASH] & 0xFFFFFFFF == hash else ()
                    for contact in mine:
                        if contact.ruid == ruid:
                            if change is not None:
                                change(contact)
                            return self._aor(at), contact
            finally:
                lock.release()
        return None

    def slot_contents(self) -> Iterator[list[tuple[str, int, list[Contact]]]]:
        """For each of Kamailio's slots that is not empty: (address of record, hash, contacts), oldest first."""
        slot = -1
        found: list[tuple[int, tuple[str, int, list[Contact]]]] = []
        for bucket in self._table.filled():
            if bucket // self._spread != slot:
                if found:
                    yield [entry for _, entry in sorted(found, key=lambda made: made[0])]
                slot, found = bucket // self._spread, []
            found += self._contents(bucket)
        if found:
            yield [entry for _, entry in sorted(found, key=lambda made: made[0])]

    def _contents(self, bucket: int) -> list[tuple[int, tuple[str, int, list[Contact]]]]:
        lock = self._table.lock_of(bucket)
        lock.acquire()
        try:
            return [
                (
                    self._words[(at >> 3) + MADE],
                    (self._aor(at), self._words[(at >> 3) + HASH] & 0xFFFFFFFF, list(self._chain(at))),
                )
                for at in self._table.walk(bucket)
            ]
        finally:
            lock.release()

    # in the record; the lock is held

    def _find(self, key: Key) -> int:
        """Offset of a record, 0 if there is none."""
        words = self._words
        bucket, wanted, text = key
        at = self._table.head(bucket)
        while at:
            if words[(at >> 3) + HASH] == wanted:
                start = at + AorRecord.SIZE
                if self._memory[start : start + len(text)] == text:
                    return at
            at = words[at >> 3]
        return 0

    def _aor(self, at: int) -> str:
        start = at + AorRecord.SIZE
        return self._memory[start : start + (self._words[(at >> 3) + HASH] >> 32 & 0xFFFF)].decode("latin-1")

    def _chain(self, at: int) -> Iterator[Contact]:
        offset = self._words[(at >> 3) + CONTACTS]
        while offset:
            contact = read(self._memory, offset)
            yield contact
            offset = contact.next

    def _current(self, at: int) -> list[Contact]:
        """The contacts of a record; those whose connection was lost are marked as deleted first."""
        contacts = []
        offset = self._words[(at >> 3) + CONTACTS]
        while offset:
            contact = read(self._memory, offset)
            contacts.append(contact)
            offset = contact.next
        if self.alive is not None:
            for contact in contacts:
                if contact.expires != EXPIRED_TIME and not self.alive(contact.tcpconn_id):
                    contact.expires = self._signed[(contact.at >> 3) + EXPIRES] = EXPIRED_TIME
        return contacts

    # what Bindings ask for

    def begin(self, bindings: Bindings) -> None:
        key = bindings.key
        self._table.lock_of(key[0]).acquire()
        at = bindings.at = self._find(key)
        if at:
            bindings.found = True
            bindings.contacts = self._current(at)

    def end(self, bindings: Bindings) -> None:
        bucket = bindings.key[0]
        if bindings.at and not bindings.contacts:
            self._table.remove(bucket, bindings.at)
            self._arena.free(bindings.at)
            bindings.at = 0
        self._table.lock_of(bucket).release()

    def put(self, bindings: Bindings, contact: Contact, position: int) -> bool:
        made = not bindings.at
        if made and not self._make_record(bindings):
            return False
        contacts = bindings.contacts
        if not self._store(contact, contacts[position].at if position < len(contacts) else 0):
            return False  # a record without contacts goes when the bindings are closed
        self._words[self._before(bindings, contacts, position)] = contact.at
        self.core.count(self._total)
        return True

    def replace(self, bindings: Bindings, old: int, contact: Contact, position: int) -> bool:
        if contact.state == State.SYNC and self._kept:
            contact.state = State.DIRTY
        words, before = self._words, contact.at
        after = words[before >> 3]
        if position == old:
            contact.next = after
            packed = contact.packed()
            if packed[SIZES] == self._memory[before + SIZES.start : before + SIZES.stop]:
                self._memory[before : before + len(packed)] = packed
                return True
            if not self._store(contact, after):
                return False
            words[self._before(bindings, bindings.contacts, old)] = contact.at
        else:
            others = bindings.contacts[:old] + bindings.contacts[old + 1 :]
            # at its new place first, then gone from the old one: it can be reached at any moment
            if not self._store(contact, others[position].at if position < len(others) else 0):
                return False
            words[self._before(bindings, others, position)] = contact.at
            words[self._before(bindings, others, old)] = after
        self._arena.free(before)
        return True

    def take(self, bindings: Bindings, position: int) -> bool:
        contact = bindings.contacts[position]
        if self._marks and contact.state != State.NEW:
            contact.expires = self._signed[(contact.at >> 3) + EXPIRES] = EXPIRED_TIME
            return False
        self._words[self._before(bindings, bindings.contacts, position)] = self._words[contact.at >> 3]
        self._arena.free(contact.at)
        contact.at = 0
        self.core.count(self._total, -1)
        return True

    @staticmethod
    def _before(bindings: Bindings, contacts: Sequence[Contact], position: int) -> int:
        """Index of the word that leads to what is at this position of the chain."""
        return contacts[position - 1].at >> 3 if position else (bindings.at >> 3) + CONTACTS

    def _store(self, contact: Contact, following: int) -> bool:
        """Put the contact into a block of its own."""
        contact.next = following
        at = self._arena.store(contact.packed(), self._blocks)
        if not at:
            log.err("no more shm memory")
            return False
        contact.at = at
        return True

    def _make_record(self, bindings: Bindings) -> bool:
        bucket, word, aor = bindings.key
        if len(aor) > LONGEST_AOR:
            log.err("address of record too long")
            return False
        made = int(self.core.clock.now() * 1_000_000)
        head = AorRecord.STRUCT.pack(0, 0, bindings.hash, len(aor), word >> 48, 0, made)
        at = self._arena.store(head + aor, self._aors)
        if not at:
            log.err("no more shm memory")
            return False
        self._table.insert(bucket, at)
        bindings.at = at
        return True
