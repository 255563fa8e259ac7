"""The ul.* RPC commands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kamailio_py.db.errors import DbError
from kamailio_py.module import RpcFault, rpc
from kamailio_py.modules.usrloc.contact import EXPIRED_TIME, UNSPECIFIED_Q, Contact, State
from kamailio_py.modules.usrloc.domain import NO_DB
from kamailio_py.modules.usrloc.matching import RepeatedRequest, StaleRequest
from kamailio_py.rpc.values import Members

if TYPE_CHECKING:
    from kamailio_py.modules.usrloc import Usrloc
    from kamailio_py.rpc.call import Call

CALLID, PATH, CSEQ = "dfjrewr12386fd6-343@kamailio.rpc", "dummypath", 1
USER_AGENT = "kamailio SIP Router - RPC Server"
NOT_SET = "[not set]"
TABLE_AND_AOR = (500, "Not enough parameters (table and AOR to lookup)")
TABLE = (500, "Not enough parameters (table to lookup)")


def described(contact: Contact, now: int) -> dict[str, Any]:
    """A contact as Kamailio's RPC shows it."""
    expires: int | str = contact.expires - now
    if contact.expires == 0:
        expires = "permanent"
    elif contact.expires == EXPIRED_TIME:
        expires = "deleted"
    elif now > contact.expires:
        expires = "expired"
    return {
        "Address": contact.address,
        "Expires": expires,
        "Q": float(UNSPECIFIED_Q) if contact.q == UNSPECIFIED_Q else contact.q / 1000,
        "Call-ID": contact.callid,
        "CSeq": contact.cseq,
        "User-Agent": contact.user_agent or NOT_SET,
        "Received": contact.received or NOT_SET,
        "Path": contact.path or NOT_SET,
        "State": f"CS_{State(contact.state).name}",
        "Flags": contact.flags,
        "CFlags": contact.cflags,
        "Socket": contact.socket or NOT_SET,
        "Methods": contact.methods,
        "Ruid": contact.ruid or NOT_SET,
        "Instance": contact.instance or NOT_SET,
        "Reg-Id": contact.reg_id,
        "Server-Id": contact.server_id,
        "Tcpconn-Id": contact.tcpconn_id,
        "Keepalive": contact.keepalive,
        "Last-Keepalive": contact.last_keepalive,
        "KA-Roundtrip": contact.roundtrip,
        "Last-Modified": contact.last_modified,
    }


def is_set(text: str) -> bool:
    """Whether an argument says something; `0` and `.` say nothing."""
    return text not in ("0", ".")


class Commands:
    """See the head of the file."""

    def __init__(self, module: Usrloc) -> None:
        self.module = module

    def _now(self) -> int:
        return int(self.module.core.clock.now())

    def _domain(self, table: str) -> Any:
        domain = self.module.api.domain(table)
        if domain is None:
            raise RpcFault(500, "Domain table not found")
        return domain

    def _aor(self, aor: str) -> str:
        """An address of record as it is kept: with its domain if domains count, and in lower case."""
        if self.module.use_domain:
            if "@" not in aor:
                raise RpcFault(500, "Domain missing in AOR")
        else:
            aor = aor.partition("@")[0]
        return aor if self.module.api.case_sensitive else aor.lower()

    @rpc("ul.dump", "*S", "Dump user location tables")
    def dump(self, call: Call, brief: str = "") -> dict[str, Any]:
        now = self._now()
        domains = Members()
        for name, domain in reversed(self.module.api.domains.items()):
            if domain is None:
                continue
            records, longest, aors = 0, 0, Members()
            for slot in domain.slot_contents():
                records += len(slot)
                longest = max(longest, len(slot))
                for aor, hash, contacts in slot:
                    if brief == "brief":
                        aors.add("AoR", aor)
                        continue
                    shown = Members(("Contact", described(contact, now)) for contact in contacts)
                    aors.add("Info", {"AoR": aor, "HashID": hash, "Contacts": shown})
            stats = {"Records": records, "Max-Slots": longest}
            domains.add("Domain", {"Domain": name, "Size": domain.slots, "AoRs": aors, "Stats": stats})
        return {"Domains": domains}

    @rpc("ul.lookup", "SS", "Lookup one AOR in the usrloc location table", missing=TABLE_AND_AOR)
    def lookup(self, call: Call, table: str, aor: str) -> dict[str, Any]:
        domain = self._domain(table)
        aor = self._aor(aor)
        contacts = domain.contacts(aor)
        if contacts is None:
            raise RpcFault(500, "AOR not found in location table")
        now = self._now()
        shown = Members(("Contact", described(contact, now)) for contact in contacts if contact.valid(now))
        if not shown.pairs:
            raise RpcFault(500, "AOR has no contacts")
        return {"AoR": aor, "Contacts": shown}

    @rpc("ul.rm", "SS", "Delete a address of record including its contacts", missing=TABLE_AND_AOR)
    def remove(self, call: Call, table: str, aor: str) -> None:
        domain = self._domain(table)
        with domain.open(self._aor(aor)) as bindings:
            bindings.clear()
        if bindings.failed:
            raise RpcFault(500, "Failed to delete AOR")

    @rpc(
        "ul.rm_contact",
        "SSS",
        "Delete a contact from an AOR record",
        missing=(500, "Not enough parameters (table, AOR and contact)"),
    )
    def remove_contact(self, call: Call, table: str, aor: str, address: str) -> None:
        domain = self._domain(table)
        with domain.open(self._aor(aor)) as bindings:
            if not bindings.found:
                raise RpcFault(404, "AOR not found")
            try:
                contact = self.module.matcher.find(bindings.contacts, address, CALLID, PATH, CSEQ + 1, self._now())
            except (StaleRequest, RepeatedRequest):
                raise RpcFault(500, "Internal error (can't get contact)") from None
            if contact is None:
                raise RpcFault(404, "Contact not found")
            bindings.delete(contact)
        if bindings.failed:
            raise RpcFault(500, "Internal error (can't delete contact)")

    @rpc("ul.flush", "", "Flush the usrloc memory cache to DB")
    def flush(self, call: Call) -> None:
        self.module.sweep()

    @rpc(
        "ul.add",
        "SSSdfSuuu*SS",
        "Add a new contact for an address of record",
        missing=(500, "Not enough parameters or wrong format"),
    )
    def add(
        self, call: Call, table: str, aor: str, address: str, expires: int, q: float, path: str, flags: int,
        cflags: int, methods: int, received: str = ".", socket: str = ".",
    ) -> None:  # fmt: skip
        module = self.module
        now = self._now()
        listening = module.socket_of(socket) if is_set(socket) else None
        contact = Contact(
            address,
            expires=expires + now if expires else 0,
            q=UNSPECIFIED_Q if q == UNSPECIFIED_Q else int(q * 1000),
            path=path if is_set(path) else "",
            flags=flags,
            cflags=cflags,
            methods=methods,
            received=received if is_set(received) else "",
            socket=str(listening) if listening is not None else "",
            callid=CALLID,
            cseq=CSEQ,
            user_agent=USER_AGENT,
            last_keepalive=now,
        )
        domain = self._domain(table)
        aor = self._aor(aor)
        contact.ruid = module.ruid()
        with domain.open(aor) as bindings:
            try:
                known = module.matcher.find(bindings.contacts, address, CALLID, PATH, CSEQ + 1, now)
            except (StaleRequest, RepeatedRequest):
                raise RpcFault(500, "Can't get record") from None
            if known is not None and not bindings.update(known, contact):
                raise RpcFault(500, "Can't update contact")
            if known is None and not bindings.insert(contact):
                raise RpcFault(500, "Can't insert contact")
        if bindings.failed:
            raise RpcFault(500, "Can't update contact" if known is not None else "Can't insert contact")

    # of the database

    def _rows(self, table: str, columns: list[str], fault: str, expired: bool = False) -> Iterator[Any]:
        """Rows that are not over (or are), of whatever kind of database; RpcFault where it cannot be asked."""
        store = self.module.store
        assert store is not None
        now = self._now()
        column, time = self.module.expires_column, store.time
        conditions = [[(column, "=", time(0))], [(column, ">", time(now))]]
        if expired:
            conditions = [[(column, ">", time(0)), (column, "<=", time(now))]]
        try:
            for where in conditions:
                yield from store.database.query(table, columns, where)
        except DbError:
            raise RpcFault(500, fault) from None

    def _table(self, call: Call) -> str:
        if self.module.db_mode == NO_DB:
            raise RpcFault(500, "Command is not supported in db_mode=0")
        if not call.arguments:
            raise RpcFault(*TABLE)
        table: str = call.scan("S")[0]
        return table

    @rpc(
        "ul.db_users",
        "",
        "Tell number of different unexpired users (AoRs) in database table (db_mode!=0 only)",
    )
    def db_users(self, call: Call) -> int:
        columns = [self.module.user_column, self.module.domain_column]
        return len(set(self._rows(self._table(call), columns, "Failed to query AoR count")))

    @rpc("ul.db_contacts", "", "Tell number of unexpired contacts in database table (db_mode=3 only)")
    def db_contacts(self, call: Call) -> int:
        columns = [self.module.ruid_column]
        return sum(1 for _ in self._rows(self._table(call), columns, "Failed to query contact count"))

    @rpc("ul.db_expired_contacts", "", "Tell number of expired contacts in database table (db_mode=3 only)")
    def db_expired_contacts(self, call: Call) -> int:
        columns = [self.module.ruid_column]
        rows = self._rows(self._table(call), columns, "Failed to query contact count", expired=True)
        return sum(1 for _ in rows)
