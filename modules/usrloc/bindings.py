"""The contacts of one address of record, opened to be looked at and changed.

    with domain.open("alice") as bindings:
        for contact in bindings.contacts: ...
        bindings.insert(contact)

While it is open nobody else opens the same address of record. Contacts are in the order in which lookup() takes them.
What is to follow a change (the database, those who asked to be told) follows when it is closed; `failed` then names
what the database did not do: "insert", "update", "delete". How contacts are kept is the domain's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from kamailio_py.modules.usrloc.contact import Contact

if TYPE_CHECKING:
    from types import TracebackType

INSERT, UPDATE, DELETE, EXPIRE = "insert", "update", "delete", "expire"
EVENTS = (INSERT, UPDATE, DELETE, EXPIRE)

Change = tuple[str, Contact]
"""One of EVENTS, and the contact."""


class Keeper(Protocol):
    """What Bindings ask of a domain."""

    desc_time_order: bool

    def begin(self, bindings: Bindings) -> None:
        """Open: fill in `contacts`, `found`, `at`."""

    def end(self, bindings: Bindings) -> None:
        """Close, and do what follows from `changes`."""

    def put(self, bindings: Bindings, contact: Contact, position: int) -> bool:
        """Keep a new contact at this position; False when there is no room."""

    def replace(self, bindings: Bindings, old: int, contact: Contact, position: int) -> bool:
        """Keep a contact, which is at position `old`, as it is now, at `position` of what is left without it."""

    def take(self, bindings: Bindings, position: int) -> bool:
        """Forget a contact; False if it must stay for a while, marked as deleted."""


class Bindings:
    """See the head of the file. `found`: there is a record of it already; `at` and `key` are the keeper's."""

    __slots__ = ("aor", "at", "changes", "contacts", "failed", "found", "hash", "keeper", "key")

    def __init__(self, keeper: Keeper, aor: str, hash: int, key: Any = None) -> None:
        self.keeper = keeper
        self.aor = aor
        self.hash = hash
        self.key = key
        self.at = 0
        self.found = False
        self.contacts: list[Contact] = []
        self.changes: list[Change] = []
        self.failed: list[str] = []

    def __enter__(self) -> Bindings:
        self.keeper.begin(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.keeper.end(self)

    def insert(self, contact: Contact) -> bool:
        """Add a contact; False when there is no memory for it."""
        position = self._place(contact.q)
        if not self.keeper.put(self, contact, position):
            return False
        self.contacts.insert(position, contact)
        self.changes.append((INSERT, contact))
        return True

    def update(self, contact: Contact, new: Contact) -> bool:
        """Put `new`, made from a later REGISTER, into the place of a contact; False when there is no memory for it.

        The ids stay: ruid, instance, reg-id. The URI changes only where an instance says that it is the same one.
        """
        if not new.instance:
            new.address = contact.address
        if not new.callid:
            new.callid = contact.callid
        new.ruid = contact.ruid
        new.instance = contact.instance
        new.reg_id = contact.reg_id
        new.last_keepalive = new.last_modified
        new.state = contact.state
        new.version = contact.version + 1
        new.roundtrip = contact.roundtrip
        new.keepalive = contact.keepalive
        new.at = contact.at
        contacts = self.contacts
        old = contacts.index(contact)
        position = self._moved(old, new.q) if len(contacts) > 1 else 0
        if not self.keeper.replace(self, old, new, position):
            return False
        del contacts[old]
        contacts.insert(position, new)
        self.changes.append((UPDATE, new))
        return True

    def delete(self, contact: Contact) -> None:
        """Remove a contact."""
        position = self.contacts.index(contact)
        if self.keeper.take(self, position):
            del self.contacts[position]
        self.changes.append((DELETE, contact))

    def clear(self) -> None:
        """Remove all contacts."""
        for contact in list(self.contacts):
            self.delete(contact)

    def _place(self, q: int) -> int:
        """Where a new contact goes: before those of lower priority, or first of all."""
        if self.keeper.desc_time_order:
            return 0
        return next((i for i, other in enumerate(self.contacts) if other.q < q), len(self.contacts))

    def _moved(self, old: int, q: int) -> int:
        """Where a changed contact goes among the others.

        Kamailio leaves it where the order is right, and otherwise puts it before the first whose priority is not
        lower than its own, although the best come first.
        """
        if self.keeper.desc_time_order:
            return 0
        contacts = self.contacts
        before = old == 0 or q <= contacts[old - 1].q
        behind = old + 1 == len(contacts) or q >= contacts[old + 1].q
        if before and behind:
            return old
        others = contacts[:old] + contacts[old + 1 :]
        return next((i for i, other in enumerate(others) if other.q >= q), len(others))
