"""What other modules may do with contacts: `core.module("usrloc").api`.

ul = self.core.module("usrloc").api
domain = ul.domain("location")                 # in mod_init, or when the config is read
contacts = domain.contacts("alice")            # a list, None if there is no such record
with domain.open("alice") as bindings:         # to change them, see bindings.py
    bindings.clear()
ul.on("expire", fn)                            # fn(domain, aor, contact), in the process where it happens
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from kamailio_py.db.errors import DbError
from kamailio_py.modules.usrloc.bindings import EVENTS
from kamailio_py.modules.usrloc.contact import Contact
from kamailio_py.modules.usrloc.domain import Domain
from kamailio_py.modules.usrloc.matching import RepeatedRequest, StaleRequest
from kamailio_py.modules.usrloc.records import aor_hash
from kamailio_py.modules.usrloc.stored_domain import StoredDomain

if TYPE_CHECKING:
    from kamailio_py.modules.usrloc import Usrloc

__all__ = ["OWN_SERVER", "Api", "Contact", "Reachable", "RepeatedRequest", "StaleRequest"]

OWN_SERVER = 1
"""Option of all_contacts(): only those this server took the REGISTER of."""
GRACE = 10
"""Seconds a contact has left that no longer answers keepalives."""


class Reachable(NamedTuple):
    """A contact as keepalives need it."""

    domain: Domain | StoredDomain
    aor: str
    hash: int
    contact: Contact


class Api:
    """See the head of the file; `aor_hash(aor)` is Kamailio's hash."""

    aor_hash = staticmethod(aor_hash)

    def __init__(self, module: Usrloc) -> None:
        self.module = module
        self.domains: dict[str, Domain | StoredDomain | None] = {}
        """By name, in the order of registration; None until shared memory is there."""
        self.case_sensitive = False
        """Whether users are compared with case; the registrar says so."""
        self.keepalive_timeout = 0
        """Seconds after the last answer to a keepalive after which a contact ends; 0: never."""
        self._listeners: dict[str, list[Callable[..., Any]]] = {event: [] for event in EVENTS}

    @property
    def use_domain(self) -> bool:
        return bool(self.module.use_domain)

    @property
    def db_mode(self) -> int:
        return self.module.db_mode

    @property
    def nat_flag(self) -> int:
        """The branch flag that marks contacts behind a NAT, as a bit; 0 if there is none."""
        return self.module.nat_flag

    def register(self, name: str) -> None:
        """Have a domain of this name, which is a table where there is a database; before forking."""
        if self.domains.setdefault(name, None) is None and self.module.ready:
            self.domains[name] = self.module.make_domain(name)

    def domain(self, name: str) -> Any:
        """The domain of this name, None if nobody registered it."""
        return self.domains.get(name)

    @property
    def find(self) -> Callable[[list[Contact], Contact, int], Contact | None]:
        """find(contacts, wanted, now): the stored contact that a REGISTER with `wanted` means, or None. StaleRequest,
        RepeatedRequest: it is not to be touched, because a later request has, or this one."""
        return self.module.matcher.find_for

    # being told

    def on(self, event: str, fn: Callable[[Any, str, Contact], Any]) -> None:
        """Have `fn(domain, aor, contact)` called after an "insert", "update", "delete" or "expire"; before forking."""
        if event not in EVENTS:
            raise ValueError(f"usrloc has no event {event}")
        self._listeners[event].append(fn)

    def tell(self, domain: Any, event: str, aor: str, contact: Contact) -> None:
        for fn in self._listeners[event]:
            fn(domain, aor, contact)

    # keepalives

    def set_max_partition(self, parts: int) -> None:
        """Have rows spread over so many parts for all_contacts(); before forking."""
        if self.module.store is not None:
            self.module.store.partitions = parts

    def refresh_keepalive(self, hash: int, ruid: str, roundtrip: int = 0) -> bool:
        """Note that a contact answered a keepalive now; False if there is none of this id."""
        now = int(self.module.core.clock.now())
        domains = [domain for domain in self.domains.values() if domain is not None]
        return any(domain.keepalive_answered(hash, ruid, now, roundtrip) for domain in domains)

    def all_contacts(self, flags: int, part: int = 0, parts: int = 1, options: int = 0) -> Iterator[Reachable]:
        """All contacts that have these branch flags, or a part of them. Those silent for too long end soon instead."""
        now = int(self.module.core.clock.now())
        server = self.module.core.cfg.server_id
        for domain in list(self.domains.values()):
            if isinstance(domain, StoredDomain):
                yield from self._stored_contacts(domain, flags, part, options, now)
            elif domain is not None:
                for slot in domain.slot_contents():
                    for aor, hash, contacts in slot:
                        if hash % domain.slots % parts != part:
                            continue
                        for contact in contacts:
                            if contact.cflags & flags != flags:
                                continue
                            if options & OWN_SERVER and contact.server_id != server:
                                continue
                            if not self._ended(domain, aor, contact, now):
                                yield Reachable(domain, aor, hash, contact)

    def _ended(self, domain: Domain, aor: str, contact: Contact, now: int) -> bool:
        """Whether a contact has not answered for too long; it then has a few seconds left."""
        limit = self.keepalive_timeout
        if not limit or not 0 < contact.last_keepalive < now - limit or not contact.socket.startswith("udp:"):
            return False
        domain.expire_soon(aor, contact.ruid, now + GRACE)
        return True

    def _stored_contacts(
        self, domain: StoredDomain, flags: int, part: int, options: int, now: int
    ) -> Iterator[Reachable]:
        store, module = domain.store, self.module
        where: list[tuple[str, str, Any]] = [(module.expires_column, ">", store.time(now))]
        where.append((module.partition_column, "=", part if store.partitions else 0))
        if flags & self.nat_flag:
            where.append((module.keepalive_column, "=", 1))
        if options & OWN_SERVER:
            where.append((module.server_id_column, "=", module.core.cfg.server_id))
        try:
            found = store.select(domain.name, where)
        except DbError:
            return
        for aor, contact in found:
            yield Reachable(domain, aor, 0, contact)
