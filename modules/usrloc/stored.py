"""Contacts in the database: rows of a domain's table, and of its table of attributes (`<domain>_attrs`).

What is written when is decided by the domains; here a contact becomes a row and a row a contact. Times are DATETIME
columns, or plain numbers with expires_type 1. Takes no lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from kamailio_py.db.values import Time, Value
from kamailio_py.log import get_logger
from kamailio_py.modules.usrloc.contact import ALL_METHODS, MEMORY_ONLY, UNSPECIFIED_Q, Contact
from kamailio_py.modules.usrloc.matching import MatchingMode
from kamailio_py.script.values import parse_int, wrap32

if TYPE_CHECKING:
    from kamailio_py.db.database import Database
    from kamailio_py.modules.usrloc import Usrloc

log = get_logger("usrloc")

VERSION = 9
"""Version of the table location."""
TEXT, NUMBER = 0, 1
"""atype of an attribute."""


class BadRow(Exception):
    """A row that is no contact; the text is what Kamailio would log."""


class Store:
    """See the head of the file."""

    def __init__(self, module: Usrloc, database: Database) -> None:
        self.module = module
        self.database = database
        self.update_as_insert = bool(module.db_update_as_insert)
        self.partitions = 0
        """How many parts keepalives are sent in; 0: all rows are of part 0."""
        self._partition = 0
        self.time: Callable[[int], Value] = int if module.expires_type else Time

    # addresses of record

    def split(self, aor: str) -> tuple[str, str | None]:
        """(username, domain) as they are stored; no domain without use_domain."""
        if not self.module.use_domain:
            return aor, None
        user, at, domain = aor.partition("@")
        return (user, domain) if at else ("", aor)

    def _account(self, aor: str) -> dict[str, Value]:
        user, domain = self.split(aor)
        account: dict[str, Value] = {self.module.user_column: user}
        if domain is not None:
            account[self.module.domain_column] = domain
        return account

    # writing

    def _changing(self, contact: Contact) -> dict[str, Value]:
        """Columns that a REGISTER may change."""
        m, time = self.module, self.time
        return {
            m.expires_column: time(contact.expires),
            m.q_column: -1.0 if contact.q == UNSPECIFIED_Q else contact.q / 1000,
            m.cseq_column: contact.cseq,
            m.flags_column: wrap32(contact.flags),
            m.cflags_column: wrap32(contact.cflags),
            m.user_agent_column: contact.user_agent,
            m.received_column: contact.received or None,
            m.path_column: contact.path or None,
            m.socket_column: contact.socket or None,
            m.methods_column: None if contact.methods == ALL_METHODS else contact.methods,
            "last_modified": time(contact.last_modified),
            m.callid_column: contact.callid,
            m.instance_column: contact.instance or None,
            m.reg_id_column: contact.reg_id,
            m.server_id_column: contact.server_id,
            m.connection_id_column: contact.tcpconn_id,
            m.keepalive_column: contact.keepalive,
            m.contact_column: contact.address,
        }

    def insert(self, domain: str, aor: str, contact: Contact) -> None:
        if contact.flags & MEMORY_ONLY:
            return
        m = self.module
        row = {**self._account(aor), **self._changing(contact), m.ruid_column: contact.ruid}
        if not m.db_insert_null:
            row = {name: value for name, value in row.items() if value is not None}
        row[m.partition_column] = self._next_partition()
        if m.db_insert_update:
            self.database.insert_update(domain, row, [m.ruid_column])
        else:
            self.database.insert(domain, row)
        self._insert_attributes(domain, aor, contact)

    def update(self, domain: str, aor: str, contact: Contact) -> None:
        if contact.flags & MEMORY_ONLY:
            return
        m = self.module
        row = self._changing(contact)
        if not m.db_ops_ruid and not contact.instance:
            row[m.ruid_column] = contact.ruid
        where = self._row_of(aor, contact)
        changed = self.database.update(domain, {k: v for k, v in row.items() if k not in where}, where)
        if m.db_check_update and not changed:
            self.insert(domain, aor, contact)
            return
        self._delete_attributes(domain, contact.ruid)
        self._insert_attributes(domain, aor, contact)

    def delete(self, domain: str, aor: str, contact: Contact) -> None:
        if contact.flags & MEMORY_ONLY:
            return
        self._delete_attributes(domain, contact.ruid)
        if self.module.db_ops_ruid:
            self.database.delete(domain, {self.module.ruid_column: contact.ruid})
        else:
            self.database.delete(domain, self._row_by_address(aor, contact))

    def delete_ruid(self, domain: str, ruid: str) -> int:
        """Delete the row of this id; how many there were."""
        return self.database.delete(domain, {self.module.ruid_column: ruid})

    def _row_of(self, aor: str, contact: Contact) -> dict[str, Value]:
        """What tells the contact's row from others."""
        m = self.module
        if m.db_ops_ruid:
            return {m.ruid_column: contact.ruid}
        if contact.instance:
            return {**self._account(aor), m.instance_column: contact.instance, m.reg_id_column: contact.reg_id}
        return self._row_by_address(aor, contact)

    def _row_by_address(self, aor: str, contact: Contact) -> dict[str, Value]:
        m = self.module
        where = {**self._account(aor), m.contact_column: contact.address}
        if m.matching_mode == MatchingMode.CONTACT_CALLID:
            where[m.callid_column] = contact.callid
        elif m.matching_mode == MatchingMode.CONTACT_PATH:
            where[m.path_column] = contact.path or None
        return where

    def _next_partition(self) -> int:
        if not self.partitions:
            return 0
        self._partition = (self._partition + 1) % self.partitions
        return self._partition

    # attributes: the XAVP kept with a contact

    def _insert_attributes(self, domain: str, aor: str, contact: Contact) -> None:
        if not self.module.xavp_contact or not isinstance(contact.xavp, dict):
            return
        user, host = self.split(aor)
        for name, values in contact.xavp.items():
            for value in values:
                if not isinstance(value, str | int):
                    continue
                row: dict[str, Value] = {
                    "username": user,
                    "ruid": contact.ruid,
                    "last_modified": self.time(int(self.module.core.clock.now())),
                    "aname": name,
                    "atype": NUMBER if isinstance(value, int) else TEXT,
                    "avalue": str(value),
                }
                if host is not None:
                    row["domain"] = host
                self.database.insert(f"{domain}_attrs", row)

    def _delete_attributes(self, domain: str, ruid: str) -> None:
        if self.module.xavp_contact:
            self.database.delete(f"{domain}_attrs", {"ruid": ruid})

    def _attributes(self, rows: Iterator[tuple[Value, ...]]) -> dict[str, dict[str, list[Any]]]:
        """By ruid: the XAVP that rows of (ruid, aname, atype, avalue) make, the last of a name being the newest."""
        found: dict[str, dict[str, list[Any]]] = {}
        for ruid, name, kind, text in rows:
            value: Any = str(text) if kind == TEXT else parse_int(str(text)) if kind == NUMBER else None
            if value is not None:
                found.setdefault(str(ruid), {}).setdefault(str(name), []).insert(0, value)
        return found

    # reading

    @property
    def columns(self) -> list[str]:
        m = self.module
        return [
            m.user_column, m.contact_column, m.expires_column, m.q_column, m.callid_column, m.cseq_column,
            m.flags_column, m.cflags_column, m.user_agent_column, m.received_column, m.path_column, m.socket_column,
            m.methods_column, "last_modified", m.ruid_column, m.instance_column, m.reg_id_column, m.server_id_column,
            m.connection_id_column, m.keepalive_column, m.domain_column,
        ]  # fmt: skip

    def load(self, domain: str) -> Iterator[tuple[str, Contact]]:
        """(address of record, contact) of all rows; those that are no contacts are logged and left out."""
        m = self.module
        own = [(m.server_id_column, "=", m.core.cfg.server_id)] if m.server_id_filter else []
        if m.db_clean_tcp:
            self.database.delete(domain, [(m.connection_id_column, ">", 0), *own])
        attributes: dict[str, dict[str, list[Any]]] = {}
        if m.xavp_contact:
            names = ["ruid", "aname", "atype", "avalue"]
            attributes = self._attributes(self.database.fetch(f"{domain}_attrs", names, chunk=m.fetch_rows))
        for row in self.database.fetch(domain, self.columns, own, chunk=m.fetch_rows):
            try:
                aor, contact = self._contact(domain, row)
            except BadRow as error:
                log.crit(str(error))
                continue
            contact.tcpconn_id = -1
            contact.xavp = attributes.get(contact.ruid)
            yield aor, contact

    def select(self, domain: str, where: Any, order: str = "") -> list[tuple[str, Contact]]:
        """(address of record, contact) of the rows for which `where` holds."""
        found = []
        for row in self.database.query(domain, self.columns, where, order):
            try:
                found.append(self._contact(domain, row))
            except BadRow as error:
                log.err(str(error))
        if self.module.xavp_contact:
            names = ["ruid", "aname", "atype", "avalue"]
            for _, contact in found:
                rows = self.database.query(f"{domain}_attrs", names, {"ruid": contact.ruid})
                contact.xavp = self._attributes(iter(rows)).get(contact.ruid)
        return found

    def of(self, domain: str, aor: str) -> list[Contact]:
        """The contacts of an address of record."""
        m = self.module
        order = "last_modified" if m.desc_time_order else m.q_column
        return [contact for _, contact in self.select(domain, self._account(aor), order)]

    def over(self, now: int) -> list[tuple[str, str, Value]]:
        """What holds for rows of contacts that are over."""
        m = self.module
        limit = now + 1 - m.rm_expired_delay
        own = [(m.server_id_column, "=", m.core.cfg.server_id)] if m.server_id_filter else []
        return [(m.expires_column, "<", self.time(limit)), (m.expires_column, "!=", self.time(0)), *own]

    def _contact(self, domain: str, row: tuple[Value, ...]) -> tuple[str, Contact]:
        user, *rest, host = row
        (
            address, expires, q, callid, cseq, flags, cflags, user_agent, received, path, socket, methods, modified,
            ruid, instance, reg_id, server_id, tcpconn_id, keepalive,
        ) = rest  # fmt: skip
        aor = _text(user)
        if self.module.use_domain:
            if not host:
                raise BadRow(f"empty domain record for user {aor}...skipping")
            aor = f"{aor}@{_text(host)}" if aor else _text(host)
        elif not aor:
            raise BadRow(f"empty username record in table {domain}...skipping")
        for value, name in ((address, "bad contact"), (expires, "empty expire"), (q, "empty q"),
                            (cseq, "empty cseq_nr"), (callid, "bad callid"), (flags, "empty flag"),
                            (cflags, "empty cflag")):  # fmt: skip
            if value is None or value == "":
                raise BadRow(f"{name}: skipping record for {aor} in table {domain}")
        listening = _text(socket)
        if listening and self.module.socket_of(listening) is None:
            log.dbg(f"non-local socket <{listening}>...ignoring")
            if self.module.skip_remote_socket:
                raise BadRow(f"skipping record for {aor} in table {domain}")
            listening = ""
        priority = float(q)  # type: ignore[arg-type]
        return aor, Contact(
            _text(address),
            expires=_number(expires),
            q=UNSPECIFIED_Q if priority < 0 else round(priority * 1000),
            callid=_text(callid),
            cseq=_number(cseq),
            flags=_number(flags),
            cflags=_number(cflags),
            user_agent=_text(user_agent),
            received=_text(received),
            path=_text(path),
            socket=listening,
            methods=ALL_METHODS if methods is None else _number(methods) & 0xFFFFFFFF,
            last_modified=_number(modified),
            last_keepalive=_number(modified),
            ruid=_text(ruid),
            instance=_text(instance),
            reg_id=_number(reg_id),
            server_id=_number(server_id),
            tcpconn_id=-1 if tcpconn_id is None else _number(tcpconn_id),
            keepalive=_number(keepalive),
        )


def _text(value: Value) -> str:
    return "" if value is None else value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _number(value: Value) -> int:
    if value is None:
        return 0
    try:
        return int(value)
    except ValueError:
        raise BadRow(f"no number: {value!r}") from None
