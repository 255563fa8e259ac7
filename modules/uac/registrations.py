"""The registrations of the server in shared memory: found by their uuid, and by their local user.

Who asks gets a copy; `change` alters a registration under the lock of its slot. Locks: of a uuid's slot first, then of
a user's slot. The texts of a record do not change while it is in the table, so that a user's slot is enough to read
them; what a registration keeps of a call has a block of its own.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from kamailio_py.log import get_logger
from kamailio_py.modules.uac.registration import FILTERS, Registration, State
from kamailio_py.shm.records import Record, u32, u64
from kamailio_py.sip.hash import core_hash

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core

log = get_logger("uac")

STRIPES = 64
TEXTS = (
    "l_uuid", "l_username", "l_domain", "r_username", "r_domain", "realm", "auth_username", "auth_password",
    "auth_ha1", "auth_proxy", "contact_addr", "socket",
)  # fmt: skip
NUMBERS = ("expires", "flags", "reg_delay", "cseq", "reg_init", "timer_expires")


class Head(Record):
    """What concerns all registrations."""

    active = u64("1 if rounds register, see uac.reg_active")
    loaded = u64("1 once the table was read")
    shifted = u64("when all of them were thrown away for a reload, seconds since the epoch")


class RegistrationRecord(Record):
    """One registration."""

    next = u64("next record of the slot")
    prev = u64("previous record of the slot")
    texts = u64("block with its texts")
    call = u64("block with the Call-ID of the registration in force, 0 for none")
    user = u64("its entry in the table of users")
    reg_init = u64("when it was put here, seconds since the epoch")
    timer_expires = u64("until when it lasts, or when it is tried again, seconds since the epoch")
    hash = u32("hash of the uuid")
    expires = u32("seconds we ask for")
    flags = u32("1 disabled, 2 ongoing, 4 online, 8 credentials sent, 16 begun")
    reg_delay = u32("seconds before it begins")
    cseq = u32("last CSeq of that Call-ID")


class UserRecord(Record):
    """A registration by its local user."""

    next = u64("next record of the slot")
    prev = u64("previous record of the slot")
    registration = u64("the registration")
    hash = u32("hash of the user")


class Registrations:
    """See the head of the file. `slots` is a power of two."""

    def __init__(self, core: Core, slots: int, active: bool) -> None:
        shm = core.shm
        self._memory, self._u32, self._u64 = shm.memory, shm.u32, shm.u64
        self._arena = shm.arena
        self._slots = slots
        stripes = min(slots, STRIPES)
        self._table = shm.table("uac.registrations", slots, stripes, RegistrationRecord)
        self._users = shm.table("uac.registrations.users", slots, stripes, UserRecord)
        owner = shm.arena.owner
        self._registration = owner("uac", "registration", RegistrationRecord)
        self._user = owner("uac", "user of a registration", UserRecord)
        self._texts, self._call = owner("uac", "texts of a registration"), owner("uac", "call of a registration")
        self._head = shm.reserve("uac.registrations.head", "records", Head.SIZE, Head)
        self.set_head(Head.active, int(active))
        self.total, self.active, self.disabled = (
            core.statistic("uac", name) for name in ("regtotal", "regactive", "regdisabled")
        )
        self._counters = shm.counters

    # what concerns all

    def head(self, field: int) -> int:
        return self._u64[(self._head + field) >> 3]

    def set_head(self, field: int, value: int) -> None:
        self._u64[(self._head + field) >> 3] = value

    def count(self, counter: int, n: int) -> None:
        self._counters.add(counter, n)

    def reset_counters(self) -> None:
        for counter in (self.total, self.active, self.disabled):
            self._counters.reset(counter)

    # finding

    def get(self, uuid: str) -> Registration | None:
        """A copy of a registration."""
        hash = core_hash(uuid)
        slot = hash & (self._slots - 1)
        with self._table.lock_of(slot):
            record = self._find(slot, hash, uuid)
            return self._read(record) if record else None

    def of_user(self, user: str, domain: str | None = None) -> Registration | None:
        """A copy of the registration of a local user, of any domain unless there is a `domain`."""
        hash = core_hash(user)
        slot = hash & (self._slots - 1)
        uuid = None
        with self._users.lock_of(slot):
            for entry in self._users.walk(slot):
                if self._u32[(entry + UserRecord.hash) >> 2] == hash:
                    texts = self._read_texts(self._u64[(entry + UserRecord.registration) >> 3])
                    if texts[1] == user and domain in (None, texts[2]):
                        uuid = texts[0]
                        break
        return self.get(uuid) if uuid is not None else None

    def find(self, attribute: str, value: str) -> Registration | None:
        """A copy of the first registration with this value; ValueError for attributes nothing is looked for by."""
        if attribute == "l_uuid":
            return self.get(value)
        if attribute == "l_username":
            return self.of_user(value)
        for registration in self:
            if attribute not in FILTERS:
                log.err(f"unsupported filter attribute {attribute}")
                raise ValueError(attribute)
            if getattr(registration, attribute) == value:
                return registration
        return None

    def __iter__(self) -> Iterator[Registration]:
        """Copies of all, slot after slot."""
        for slot in list(self._table.filled()):
            with self._table.lock_of(slot):
                copies = [self._read(record) for record in self._table.walk(slot)]
            yield from copies

    def _find(self, slot: int, hash: int, uuid: str) -> int:
        """Offset of a record, 0 if there is none; the lock is held."""
        for record in self._table.walk(slot):
            if self._u32[(record + RegistrationRecord.hash) >> 2] == hash and self._read_texts(record)[0] == uuid:
                return record
        return 0

    def _read_texts(self, record: int) -> tuple[str, ...]:
        texts: tuple[str, ...] = marshal.loads(
            self._arena.load(self._u64[(record + RegistrationRecord.texts) >> 3])
        )  # fmt: skip
        return texts

    def _read(self, record: int) -> Registration:
        values = RegistrationRecord.unpack(self._memory, record)
        registration = Registration(**dict(zip(TEXTS, self._read_texts(record), strict=True)))
        for name in NUMBERS:
            setattr(registration, name, getattr(values, name))
        if values.call:
            registration.call_id = self._arena.load(values.call).decode("latin-1")
        return registration

    # changing

    def add(self, registration: Registration) -> bool:
        """Put one in; False without memory. One of the same uuid stays, and is no longer found."""
        arena = self._arena
        block = arena.store(marshal.dumps(tuple(getattr(registration, name) for name in TEXTS)), self._texts)
        record = arena.alloc(RegistrationRecord.SIZE, self._registration) if block else 0
        entry = arena.alloc(UserRecord.SIZE, self._user) if record else 0
        if not entry:
            log.err("no more shm")
            for offset in (record, block):
                if offset:
                    arena.free(offset)
            return False
        hash, user_hash = core_hash(registration.l_uuid), core_hash(registration.l_username)
        self._memory[record : record + RegistrationRecord.SIZE] = bytes(RegistrationRecord.SIZE)
        self._u64[(record + RegistrationRecord.texts) >> 3] = block
        self._u64[(record + RegistrationRecord.user) >> 3] = entry
        self._u32[(record + RegistrationRecord.hash) >> 2] = hash
        self._write(record, registration)
        UserRecord.STRUCT.pack_into(self._memory, entry, 0, 0, record, user_hash)
        slot, user_slot = hash & (self._slots - 1), user_hash & (self._slots - 1)
        with self._table.lock_of(slot), self._users.lock_of(user_slot):
            self._table.insert(slot, record)
            self._users.insert(user_slot, entry)
        self.count(self.total, 1)
        return True

    def change(self, uuid: str, alter: Callable[[Registration], object]) -> Registration | None:
        """Have `alter` change numbers and the Call-ID of a registration, and give a copy; None if there is none."""
        hash = core_hash(uuid)
        slot = hash & (self._slots - 1)
        with self._table.lock_of(slot):
            record = self._find(slot, hash, uuid)
            if not record:
                return None
            registration = self._read(record)
            before = registration.call_id
            alter(registration)
            if registration.call_id != before:
                self._keep_call(record, registration)
            self._write(record, registration)
        return registration

    def _write(self, record: int, registration: Registration) -> None:
        for name in NUMBERS:
            at = record + RegistrationRecord.OFFSETS[name]
            if RegistrationRecord.FIELDS[name].code == "Q":
                self._u64[at >> 3] = getattr(registration, name)
            else:
                self._u32[at >> 2] = getattr(registration, name) & 0xFFFFFFFF

    def _keep_call(self, record: int, registration: Registration) -> None:
        block = self._arena.store(registration.call_id.encode("latin-1"), self._call)
        if not block:
            log.err("no more shm")
            registration.cseq = 0  # the next one is of a new call
            return
        word = (record + RegistrationRecord.call) >> 3
        old, self._u64[word] = self._u64[word], block
        if old:
            self._arena.free(old)

    def remove(self, uuid: str) -> Registration | None:
        """Take one out, and give a copy of it."""
        hash = core_hash(uuid)
        slot = hash & (self._slots - 1)
        with self._table.lock_of(slot):
            record = self._find(slot, hash, uuid)
            if not record:
                return None
            registration = self._read(record)
            self._take_out(slot, record)
        self.count(self.total, -1)
        if registration.flags & State.ONLINE:
            self.count(self.active, -1)
        if registration.flags & State.DISABLED:
            self.count(self.disabled, -1)
        return registration

    def clear(self) -> None:
        """Take all out."""
        for slot in list(self._table.filled()):
            with self._table.lock_of(slot):
                for record in list(self._table.walk(slot)):
                    self._take_out(slot, record)

    def _take_out(self, slot: int, record: int) -> None:
        """Unlink and free a record; the lock is held."""
        entry = self._u64[(record + RegistrationRecord.user) >> 3]
        user_slot = self._u32[(entry + UserRecord.hash) >> 2] & (self._slots - 1)
        with self._users.lock_of(user_slot):
            self._users.remove(user_slot, entry)
        self._table.remove(slot, record)
        for field in (RegistrationRecord.texts, RegistrationRecord.call, RegistrationRecord.user):
            block = self._u64[(record + field) >> 3]
            if block:
                self._arena.free(block)
        self._arena.free(record)
