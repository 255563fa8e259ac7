"""A domain that is in memory: its records, what becomes of them in the database, and what the timer does.

Where a database is written to (db_mode 1 and 2), `writing` locks keep those apart who write the same address of record;
they are the only ones held while the database is at work, and are never taken while a record is open.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kamailio_py.db.errors import DbError
from kamailio_py.log import get_logger
from kamailio_py.modules.usrloc.bindings import EXPIRE, Bindings
from kamailio_py.modules.usrloc.contact import EXPIRED_TIME, Contact, ContactRecord, State, read
from kamailio_py.modules.usrloc.records import CONTACTS, EXPIRES, STATE, Records, aor_hash

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.modules.usrloc.stored import Store

log = get_logger("usrloc")

NO_DB, WRITE_THROUGH, WRITE_BACK, DB_ONLY, DB_READONLY = range(5)
"""Parameter db_mode."""

WRITERS = 64


class Domain(Records):
    """See the head of the file; `tell(domain, event, aor, contact)` is called for every change, with no lock held."""

    def __init__(
        self,
        core: Core,
        name: str,
        slots: int,
        mode: int,
        store: Store | None,
        tell: Callable[[Any, str, str, Contact], None],
        desc_time_order: bool,
    ) -> None:
        self.writes = mode in (WRITE_THROUGH, WRITE_BACK)
        """What is in memory is to be in the database, too."""
        super().__init__(core, name, slots, desc_time_order=desc_time_order, kept=self.writes, marks=mode == WRITE_BACK)
        self.mode = mode
        self.store = store
        self.close_connection: Callable[[int], None] | None = None
        """With close_expired_tcp: close the connection of a contact that is over."""
        self._tell = tell
        self._writing = core.shm.locks(f"usrloc.{name}.writing", WRITERS) if self.writes else []
        self._expired = core.statistic("usrloc", f"{name}{core.cfg.stats_name_separator}expires")

    def end(self, bindings: Bindings) -> None:
        super().end(bindings)
        for event, contact in bindings.changes:
            if self.mode == WRITE_THROUGH and not self.settle(bindings.aor, contact):
                bindings.failed.append(event)
            self._tell(self, event, bindings.aor, contact)

    def delete_ruid(self, ruid: str) -> int | None:
        """As StoredDomain has it; where contacts are in memory they are only found by their address of record."""
        log.err("delete_urecord_by_ruid currently available only in db_mode=3")
        return None

    # the database

    def settle(self, aor: str, contact: Contact) -> bool:
        """Have the database know of a contact what memory knows now; False when it failed, which was logged."""
        store = self.store
        assert store is not None
        hash = aor_hash(aor)
        writing = self._writing[hash % WRITERS]
        writing.acquire()
        try:
            found = self.by_ruid(hash, contact.ruid)
            if found is None or found[1].expires == EXPIRED_TIME:
                store.delete(self.name, aor, contact)
                return True
            current = found[1]
            if current.state == State.SYNC:
                return True
            if current.state == State.NEW or store.update_as_insert:
                store.insert(self.name, aor, current)
            else:
                store.update(self.name, aor, current)
            self.by_ruid(hash, current.ruid, lambda contact: self._written(contact, current))
            return True
        except DbError:
            return False
        finally:
            writing.release()

    def _written(self, contact: Contact, written: Contact) -> None:
        """Note that the database has a contact as it was read; the lock is held."""
        same = contact.version == written.version
        self._u32[(contact.at >> 2) + STATE] = State.SYNC if same else State.DIRTY

    def load(self) -> None:
        """Fill the empty domain from the database, before forking."""
        assert self.store is not None
        for aor, contact in self.store.load(self.name):
            with self.open(aor) as bindings:
                contact.state = State.SYNC
                stored = bindings.insert(contact)
                bindings.changes.clear()
            if not stored:
                raise DbError(f"no memory to load table {self.name}")

    # the timer

    def sweep(self, now: int, first: int = 0, step: int = 1) -> None:
        """Remove contacts that are over, write to the database what is not in it yet; in every `step`-th slot."""
        for bucket in self._table.filled():
            if bucket // self._spread % step != first:
                continue
            for aor in self._needing(bucket, now):
                self._sweep_record(aor, now)

    def _needing(self, bucket: int, now: int) -> list[str]:
        """Addresses of record of a bucket with contacts that are over or not in the database."""
        words, signed, u32, alive = self._words, self._signed, self._u32, self.alive
        writes = self.writes
        found = []
        lock = self._table.lock_of(bucket)
        lock.acquire()
        try:
            for record in self._table.walk(bucket):
                at = words[(record >> 3) + CONTACTS]
                while at:
                    if (
                        0 < signed[(at >> 3) + EXPIRES] <= now
                        or (writes and u32[(at >> 2) + STATE] != State.SYNC)
                        or (alive is not None and not alive(read(self._memory, at).tcpconn_id))
                    ):
                        found.append(self._aor(record))
                        break
                    at = words[at >> 3]
        finally:
            lock.release()
        return found

    def _sweep_record(self, aor: str, now: int) -> None:
        over: list[Contact] = []
        waiting: list[Contact] = []
        with self.open(aor) as bindings:
            for contact in list(bindings.contacts):
                if not contact.valid(now):
                    self._drop(bindings, contact)
                    over.append(contact)
                elif contact.state != State.SYNC:
                    waiting.append(contact)
        for contact in over:
            self._tell(self, EXPIRE, aor, contact)
            self.core.count(self._expired)
            if self.close_connection is not None:
                self.close_connection(contact.tcpconn_id)
            if self.writes and contact.state != State.NEW:
                self.settle(aor, contact)
        if self.writes:
            for contact in waiting:
                self.settle(aor, contact)

    def _drop(self, bindings: Bindings, contact: Contact) -> None:
        """Take a contact that is over out of memory at once."""
        position = bindings.contacts.index(contact)
        self._words[self._before(bindings, bindings.contacts, position)] = self._words[contact.at >> 3]
        self._arena.free(contact.at)
        del bindings.contacts[position]
        self.core.count(self._total, -1)

    def flush(self) -> None:
        """Write what is not in the database, when nobody else is there any more and locks do not matter."""
        store = self.store
        assert store is not None
        now = int(self.core.clock.now())
        for bucket in self._table.filled():
            for at in self._table.walk(bucket):
                aor = self._aor(at)
                for contact in self._chain(at):
                    try:
                        if not contact.valid(now):
                            if contact.state != State.NEW:
                                store.delete(self.name, aor, contact)
                        elif contact.state == State.NEW:
                            store.insert(self.name, aor, contact)
                        elif contact.state == State.DIRTY:
                            store.update(self.name, aor, contact)
                    except DbError:
                        log.err(f"flushing cache failed for {aor}")

    # keepalives

    def keepalive_answered(self, hash: int, ruid: str, when: int, roundtrip: int) -> bool:
        """Note an answer to a keepalive; whether there is such a contact."""

        def note(contact: Contact) -> None:
            self._signed[(contact.at + ContactRecord.last_keepalive) >> 3] = when
            self._u32[(contact.at + ContactRecord.roundtrip) >> 2] = roundtrip

        return self.by_ruid(hash, ruid, note) is not None

    def expire_soon(self, aor: str, ruid: str, when: int) -> None:
        """Have a contact end at `when` if it would live longer."""

        def note(contact: Contact) -> None:
            self._signed[(contact.at >> 3) + EXPIRES] = min(contact.expires, when)

        self.by_ruid(aor_hash(aor), ruid, note)
