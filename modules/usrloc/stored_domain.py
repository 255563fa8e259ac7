"""A domain that is in the database alone (db_mode 3): nothing is kept in memory, each look-up is a query.

As in Kamailio nothing keeps processes apart that work on one address of record; the database does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from kamailio_py.db.errors import DbError
from kamailio_py.log import get_logger
from kamailio_py.modules.usrloc.bindings import DELETE, EXPIRE, INSERT, UPDATE, Bindings
from kamailio_py.modules.usrloc.contact import Contact, State
from kamailio_py.modules.usrloc.domain import DB_ONLY
from kamailio_py.modules.usrloc.records import aor_hash

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.modules.usrloc.stored import Store

log = get_logger("usrloc")


class StoredDomain:
    """See the head of the file; it is used as Domain is."""

    mode = DB_ONLY
    users = total = 0

    def __init__(
        self,
        core: Core,
        name: str,
        slots: int,
        store: Store,
        tell: Callable[[Any, str, str, Contact], None],
        desc_time_order: bool,
    ) -> None:
        self.core = core
        self.name = name
        self.slots = slots
        self.store = store
        self.desc_time_order = desc_time_order
        self._tell = tell

    def open(self, aor: str) -> Bindings:
        """The contacts of an address of record, to be changed."""
        return Bindings(self, aor, aor_hash(aor))

    def contacts(self, aor: str) -> list[Contact] | None:
        """The contacts of an address of record, None if there are none or the database fails."""
        try:
            return self._ordered(self.store.of(self.name, aor)) or None
        except DbError:
            return None

    def by_ruid(self, hash: int, ruid: str) -> tuple[str, Contact] | None:
        """(address of record, contact) of the contact with this id, whose address of record has this hash."""
        try:
            found = self.store.select(self.name, {self.store.module.ruid_column: ruid})
        except DbError:
            return None
        return found[0] if found and aor_hash(found[0][0]) == hash else None

    def delete_ruid(self, ruid: str) -> int | None:
        """Delete the contact with this id; how many there were, None when the database fails."""
        try:
            return self.store.delete_ruid(self.name, ruid)
        except DbError:
            return None

    def slot_contents(self) -> Iterator[list[tuple[str, int, list[Contact]]]]:
        return iter(())

    def _ordered(self, contacts: list[Contact]) -> list[Contact]:
        for contact in contacts:
            contact.state = State.SYNC
        if self.desc_time_order:
            return contacts[::-1]
        return sorted(contacts, key=lambda contact: -contact.q)

    # what Bindings ask for

    def begin(self, bindings: Bindings) -> None:
        try:
            bindings.contacts = self._ordered(self.store.of(self.name, bindings.aor))
        except DbError:
            bindings.failed.append("read")
        bindings.found = bool(bindings.contacts)

    def end(self, bindings: Bindings) -> None:
        for event, contact in bindings.changes:
            self._tell(self, event, bindings.aor, contact)

    def put(self, bindings: Bindings, contact: Contact, position: int) -> bool:
        return self._try(bindings, INSERT, lambda: self.store.insert(self.name, bindings.aor, contact))

    def replace(self, bindings: Bindings, old: int, contact: Contact, position: int) -> bool:
        write = self.store.insert if self.store.update_as_insert else self.store.update
        return self._try(bindings, UPDATE, lambda: write(self.name, bindings.aor, contact))

    def take(self, bindings: Bindings, position: int) -> bool:
        contact = bindings.contacts[position]
        self._try(bindings, DELETE, lambda: self.store.delete(self.name, bindings.aor, contact))
        return True

    @staticmethod
    def _try(bindings: Bindings, event: str, write: Callable[[], None]) -> bool:
        try:
            write()
        except DbError:
            bindings.failed.append(event)
        return True

    # the timer

    def sweep(self, now: int, first: int = 0, step: int = 1) -> None:
        """Delete the rows of contacts that are over."""
        if first:
            return
        over = self.store.over(now)
        try:
            for aor, contact in self.store.select(self.name, over):
                self._tell(self, EXPIRE, aor, contact)
                if self.store.module.xavp_contact:
                    self.store.delete(self.name, aor, contact)
            self.store.database.delete(self.name, over)
        except DbError:
            log.err("synchronizing cache failed")

    def flush(self) -> None:
        """Everything is in the database."""

    def load(self) -> None:
        """Nothing is kept in memory."""

    def keepalive_answered(self, hash: int, ruid: str, when: int, roundtrip: int) -> bool:
        return False

    def expire_soon(self, aor: str, ruid: str, when: int) -> None:
        """Keepalives end contacts that are in memory only."""
