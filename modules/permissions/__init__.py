"""The permissions module: who may call whom, register what, and which addresses are trusted.

Rules are in files (rules.py) and read before forking. The address and trusted tables come from a database or a file
(addresses.py, trusted.py); they lie in shared memory as one value each, which a reload replaces.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from kamailio_py.config.arguments import INT, PVAR, STR, Argument, Fixup
from kamailio_py.config.host import RouteType
from kamailio_py.config.without_effect import MEMORY
from kamailio_py.db.database import Database
from kamailio_py.db.errors import DbError
from kamailio_py.engine.shared_value import SharedValue
from kamailio_py.log import get_logger
from kamailio_py.module import Function, Module, ModuleError, Param, RpcFault, function, rpc
from kamailio_py.modules.permissions import addresses, trusted
from kamailio_py.modules.permissions.addresses import Addresses, Row, slot_of
from kamailio_py.modules.permissions.rules import Rule, found, read_rules
from kamailio_py.modules.permissions.trusted import PROTOCOLS, Peer, Trusted
from kamailio_py.rpc.values import Struct
from kamailio_py.sip.errors import BadMessage, BadUri
from kamailio_py.sip.hash import core_hash
from kamailio_py.sip.message import Message
from kamailio_py.sip.uri import Uri

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import PVar

log = get_logger("permissions")

ADDRESS_VERSION, TRUSTED_VERSION = 6, 6
LOAD_ADDRESS, LOAD_TRUSTED, LOAD_ALLOW, LOAD_DENY = 1, 2, 4, 8
NOT_ENOUGH = (500, "Not enough parameters (basename, URI and contact)")

Files = tuple[str, str]
"""An allow file and a deny file, by their paths."""


class Permissions(Module):
    """Who may do what, by rules, address or database."""

    name = "permissions"

    default_allow_file = Param(str, "permissions.allow")
    default_deny_file = Param(str, "permissions.deny")
    check_all_branches = Param(int, 1)
    allow_suffix = Param(str, ".allow")
    deny_suffix = Param(str, ".deny")
    db_url = Param(str)
    db_mode = Param(int, 0)
    trusted_table = Param(str, "trusted")
    source_col = Param(str, "src_ip")
    proto_col = Param(str, "proto")
    from_col = Param(str, "from_pattern")
    ruri_col = Param(str, "ruri_pattern")
    tag_col = Param(str, "tag")
    priority_col = Param(str, "priority")
    peer_tag_avp = Param(str)
    peer_tag_mode = Param(int, 0)
    address_table = Param(str, "address")
    address_file = Param(str)
    grp_col = Param(str, "grp")
    ip_addr_col = Param(str, "ip_addr")
    mask_col = Param(str, "mask")
    port_col = Param(str, "port")
    max_subnets = Param(int, 512)
    load_backends = Param(int, 0xFFFF)
    reload_delta = Param(int, 5)
    trusted_cleanup_interval = Param(int, 60, unused=MEMORY)

    def __init__(self, core: Any) -> None:
        super().__init__(core)
        self._basenames: list[str] = []
        self._files: list[str] = []
        self._rules: dict[str, list[Rule]] = {}

    def functions(self) -> Iterable[Function]:
        yield from super().functions()
        basename = Fixup("basename", prepare=self._use_basename)
        file = Fixup("file", prepare=self._use_file)
        registering = RouteType.REQUEST | RouteType.FAILURE
        exports: list[tuple[str, tuple[Argument, ...], RouteType, Any]] = [
            ("allow_routing", (), RouteType.ANY, self.allow_routing_default),
            ("allow_routing", (basename,), RouteType.ANY, self.allow_routing_basename),
            ("allow_routing", (file, file), RouteType.ANY, self.allow_routing),
            ("allow_register", (basename,), registering, self.allow_register_basename),
            ("allow_register", (file, file), registering, self.allow_register),
            ("allow_uri", (basename, PVAR), registering, self.allow_uri),
        ]
        for name, arguments, routes, method in exports:
            yield Function(self.name, name, arguments, routes, method)

    def _use_basename(self, text: str) -> str:
        self._basenames.append(text)
        return text

    def _use_file(self, text: str) -> str:
        self._files.append(text)
        return text

    # life cycle

    def mod_init(self) -> None:
        if self.db_mode not in (0, 1):
            raise ModuleError(f"invalid db_mode value: {self.db_mode}")
        default = (self.default_allow_file, self.default_deny_file)
        wanted = zip(default, (LOAD_ALLOW, LOAD_DENY), strict=True)
        files = [name for name, backend in wanted if self.load_backends & backend]
        files += [f"{base}{suffix}" for base in self._basenames for suffix in (self.allow_suffix, self.deny_suffix)]
        for name in [*files, *self._files]:
            path = self._path(name)
            if path not in self._rules:
                self._rules[path] = read_rules(path)
        self._tag = self._tag_avp()
        self._db: Database | None = self.core.db(self.db_url) if self.db_url else None
        shm = self.core.shm
        self._reloaded = shm.reserve("permissions.reloaded", "word", 8) >> 3
        self._addresses: SharedValue[Addresses] | None = None
        self._trusted: SharedValue[Trusted] | None = None
        if self.load_backends & LOAD_ADDRESS and (self._db is not None or self.address_file):
            if self._db is not None and not self.address_file:
                self._db.check_version(self.address_table, ADDRESS_VERSION)
            self._addresses = SharedValue(shm, "permissions", "addresses", self._read_addresses, Addresses())
            self._load(self._addresses, self._address_rows, "address")
        elif self._db is None:
            log.info("db_url parameter of permissions module not set, disabling allow_address")
        if self.load_backends & LOAD_TRUSTED and self._db is not None:
            self._db.check_version(self.trusted_table, TRUSTED_VERSION)
            if self.db_mode == 1:
                self._trusted = SharedValue(shm, "permissions", "trusted", Trusted, Trusted())
                self._load(self._trusted, self._trusted_rows, "trusted")
        elif self._db is None:
            log.info("db_url parameter of permissions module not set, disabling allow_trusted")

    def _path(self, name: str) -> str:
        """A name without slashes is a file beside the config."""
        return name if "/" in name else os.path.join(os.path.dirname(self.core.program.path), name)

    def _tag_avp(self) -> PVar | None:
        if not self.peer_tag_avp:
            return None
        pvar = self.core.registry.pvar(self.peer_tag_avp, True)
        if pvar.name != "avp":
            raise ModuleError(f"malformed or non AVP {self.peer_tag_avp} AVP definition")
        return pvar

    # tables

    def _read_addresses(self, rows: Any) -> Addresses:
        return Addresses(rows, self.max_subnets)

    def _address_rows(self) -> list[Row]:
        if self.address_file:
            return addresses.read_file(self._path(self.address_file))
        assert self._db is not None
        columns = [self.grp_col, self.ip_addr_col, self.mask_col, self.port_col, self.tag_col]
        return [addresses.check_row(row) for row in self._db.query(self.address_table, columns)]

    def _trusted_rows(self) -> list[Peer]:
        assert self._db is not None
        columns = [self.source_col, self.proto_col, self.from_col, self.ruri_col, self.tag_col, self.priority_col]
        return [trusted.check_row(row) for row in self._db.query(self.trusted_table, columns)]

    def _load(self, table: SharedValue[Any], read: Any, name: str) -> None:
        """Load a table at the start."""
        problem = self._reload(table, read)
        if problem:
            raise ModuleError(f"reload of {name} table failed: {problem}")

    @staticmethod
    def _reload(table: SharedValue[Any], read: Any) -> str:
        """Load a table; "" or what is wrong, and then the table is as it was."""
        try:
            rows = [tuple(row) for row in read()]
        except (DbError, ValueError, OSError) as error:
            log.err(f"database problem - {error}")
            return str(error)
        if not table.set(rows):
            log.err("no more shared memory")
            return "no more shared memory"
        return ""

    def _matched(self, ctx: Context, tag: str | None) -> None:
        """Leave the tag of what was matched in the AVP for it."""
        if self._tag is not None and tag is not None:
            self._tag.set(ctx, tag)

    # rules

    def _pair(self, allow: str, deny: str) -> tuple[list[Rule], list[Rule]]:
        return self._rules.get(self._path(allow), []), self._rules.get(self._path(deny), [])

    def _of_basename(self, base: str) -> Files:
        return f"{base}{self.allow_suffix}", f"{base}{self.deny_suffix}"

    def allow_routing_default(self, ctx: Context) -> int:
        return self.allow_routing(ctx, self.default_allow_file, self.default_deny_file)

    def allow_routing_basename(self, ctx: Context, base: str) -> int:
        return self.allow_routing(ctx, *self._of_basename(base))

    def allow_routing(self, ctx: Context, allow_file: str, deny_file: str) -> int:
        """May the sender call this URI, and the URIs of all branches?"""
        allow, deny = self._pair(allow_file, deny_file)
        if not allow and not deny:
            return 1
        msg = ctx.msg
        try:
            from_uri = msg.from_.uri
            uri = msg.parsed_uri
            targets = [f"sip:{uri.user}@{uri.host}"]
            if self.check_all_branches:
                targets += [_plain(branch.uri) for branch in msg.branches]
        except (BadMessage, BadUri):
            log.err("uri parsing failed")
            return -1
        for target in targets:
            if not found(allow, from_uri, target) and found(deny, from_uri, target):
                return -1
        return 1

    def allow_register_basename(self, ctx: Context, base: str) -> int:
        return self.allow_register(ctx, *self._of_basename(base))

    def allow_register(self, ctx: Context, allow_file: str, deny_file: str) -> int:
        """May the user of To have these contacts?"""
        allow, deny = self._pair(allow_file, deny_file)
        if not allow and not deny:
            return 1
        try:
            to_uri = ctx.msg.to.uri
            contacts = ctx.msg.contacts
            if contacts == "*":
                return 1
            targets = [_plain(contact.uri) for contact in contacts if not isinstance(contact, str)]
        except (BadMessage, BadUri):
            log.err("failed to parse headers")
            return -1
        for target in targets:
            allowed = self.check_all_branches and found(allow, to_uri, target)
            if not allowed and found(deny, to_uri, target):
                return -1
        return 1

    def allow_uri(self, ctx: Context, base: str, source: PVar) -> int:
        """May the sender have this URI?"""
        allow, deny = self._pair(*self._of_basename(base))
        if not allow and not deny:
            return 1
        uri = source.get(ctx)
        if not isinstance(uri, str):
            log.err("cannot get pseudo variable value" if uri is None else "pseudo variable value is not string")
            return -1
        try:
            from_uri = ctx.msg.from_.uri
        except BadMessage:
            log.err("failed to parse From body")
            return -1
        return -1 if not found(allow, from_uri, uri) and found(deny, from_uri, uri) else 1

    # addresses

    def _find(self, ctx: Context, address: str, port: int, group: int | None) -> int:
        """The group of the first row for an address, or -1."""
        row = self._addresses.get().find(address, port, group) if self._addresses is not None else None
        if row is None:
            return -1
        if group is not None or row.is_address:
            self._matched(ctx, row.tag)
        return row.group

    @function("allow_address", INT, STR, INT)
    def allow_address(self, ctx: Context, group: int, address: str, port: int) -> int:
        return 1 if self._find(ctx, address, port, group) >= 0 else -1

    @function("allow_source_address")
    @function("allow_source_address", INT)
    def allow_source_address(self, ctx: Context, group: int = 1) -> int:
        return self.allow_address(ctx, group, ctx.msg.src_ip, ctx.msg.src_port)

    @function("allow_address_group", STR, INT)
    def allow_address_group(self, ctx: Context, address: str, port: int) -> int:
        return self._find(ctx, address, port, None)

    @function("allow_source_address_group")
    def allow_source_address_group(self, ctx: Context) -> int:
        return self._find(ctx, ctx.msg.src_ip, ctx.msg.src_port, None)

    # trusted peers

    @function("allow_trusted")
    def allow_trusted(self, ctx: Context) -> int:
        return self._trust(ctx, ctx.msg.src_ip, ctx.msg.proto, self._from_uri(ctx.msg))

    @function("allow_trusted", STR, STR)
    def allow_trusted_source(self, ctx: Context, source: str, protocol: str) -> int:
        return self.allow_trusted_from(ctx, source, protocol, self._from_uri(ctx.msg))

    @function("allow_trusted", STR, STR, STR)
    def allow_trusted_from(self, ctx: Context, source: str, protocol: str, from_uri: str | None) -> int:
        if protocol.lower() not in PROTOCOLS:
            log.err(f"unknown protocol {protocol}")
            return -1
        return self._trust(ctx, source, protocol.lower(), from_uri)

    @staticmethod
    def _from_uri(msg: Message) -> str | None:
        try:
            return msg.from_.uri
        except BadMessage:
            return None

    def _trust(self, ctx: Context, source: str, protocol: str, from_uri: str | None) -> int:
        """How many peers match, 1 unless peer_tag_mode asks for all; -1 if none does."""
        if from_uri is None:
            return -1
        count = 0
        for peer in self._peers(source):
            if peer.is_for(protocol) and peer.matches(from_uri, ctx.msg.ruri):
                self._matched(ctx, peer.tag)
                count += 1
                if not self.peer_tag_mode:
                    break
        return count or -1

    def _peers(self, source: str) -> Iterator[Peer]:
        if self._trusted is not None:
            yield from self._trusted.get().peers.get(source, ())
        elif self._db is not None:
            columns = [self.proto_col, self.from_col, self.ruri_col, self.tag_col]
            try:
                rows = self._db.query(self.trusted_table, columns, {self.source_col: source}, self.priority_col).rows
                for row in rows:
                    yield trusted.check_row((source, *row, 0))
            except (DbError, ValueError) as error:
                log.err(f"failed to query database: {error}")

    # RPC commands

    def _may_reload(self) -> None:
        """Fault if the last reload was just now."""
        words, now = self.core.shm.i64, int(self.core.clock.now())
        if words[self._reloaded] and words[self._reloaded] > now - self.reload_delta:
            log.err("ongoing reload")
            raise RpcFault(500, "ongoing reload")
        words[self._reloaded] = now

    @rpc("permissions.trustedReload", "", "Reload permissions trusted table")
    def rpc_trusted_reload(self, call: Any) -> str:
        self._may_reload()
        if self._trusted is None or self._reload(self._trusted, self._trusted_rows):
            raise RpcFault(500, "Reload failed.")
        return "Reload OK"

    @rpc("permissions.addressReload", "", "Reload permissions address table")
    def rpc_address_reload(self, call: Any) -> str:
        self._may_reload()
        if self._addresses is None or self._reload(self._addresses, self._address_rows):
            raise RpcFault(500, "Reload failed.")
        return "Reload OK"

    def _dumped(self, what: str) -> Addresses:
        if self._addresses is None:
            raise RpcFault(500, f"No {what} list" if what == "domain name" else f"No {what} table")
        return self._addresses.get()

    @rpc("permissions.trustedDump", "", "Dump permissions trusted table")
    def rpc_trusted_dump(self, call: Any) -> Iterator[Any]:
        if self._trusted is None:
            raise RpcFault(500, "No trusted table")
        answer = Struct()
        for slot, peer in self._trusted.get().by_slot():
            answer.add("table", slot)
            item = {
                "ip": peer.source,
                "proto": PROTOCOLS.index(peer.protocol),
                "pattern": "NULL" if peer.from_pattern is None else peer.from_pattern,
                "ruri_pattern": "NULL" if peer.uri_pattern is None else peer.uri_pattern,
                "tag": peer.tag or "NULL",
                "priority": peer.priority,
            }
            answer.add("item", item)
        yield answer

    @rpc("permissions.addressDump", "", "Dump permissions address table", array=True)
    def rpc_address_dump(self, call: Any) -> Iterator[Any]:
        for slot, row in _by_slot(self._dumped("address").single, slot_of):
            item = {"ip": row.address, "port": row.port, "tag": row.tag or "NULL"}
            yield {"table": slot, "group": row.group, "item": item}

    @rpc("permissions.subnetDump", "", "Dump permissions subnet table", array=True)
    def rpc_subnet_dump(self, call: Any) -> Iterator[Any]:
        for number, row in enumerate(self._dumped("subnet").subnets):
            item = {"ip": row.address, "mask": row.mask, "port": row.port, "tag": row.tag or ""}
            yield {"id": number, "group": row.group, "item": item}

    @rpc("permissions.domainDump", "", "Dump permissions domain name table")
    def rpc_domain_dump(self, call: Any) -> Iterator[Any]:
        answer = Struct()
        names = self._dumped("domain name").names
        for slot, row in _by_slot(names, lambda name: core_hash(name, "", addresses.HASH_SIZE)):
            answer.add("table", slot)
            answer.add("group", row.group)
            answer.add("item", {"domain_name": row.address, "port": row.port, "tag": row.tag or "NULL"})
        yield answer

    @rpc(
        "permissions.testUri",
        "SSS",
        "Tests if (URI, Contact) pair is allowed according to the rules",
        missing=NOT_ENOUGH,
    )
    @rpc(
        "permissions.allowUri",
        "SSS",
        "Tests if (URI, Contact) pair is allowed according to the rules",
        missing=NOT_ENOUGH,
    )
    def rpc_test_uri(self, call: Any, base: str, uri: str, contact: str) -> str:
        allow_file, deny_file = self._of_basename(base)
        if self._path(allow_file) not in self._rules:
            log.err(f"File <{self._path(allow_file)}> has not been loaded")
            return "Denied"
        allow, deny = self._pair(allow_file, deny_file)
        return "Denied" if not found(allow, uri, contact) and found(deny, uri, contact) else "Allowed"


def _plain(text: str) -> str:
    """A URI without everything but user and host."""
    uri = Uri.parse(text)
    return f"sip:{uri.user}@{uri.host}" if uri.user else f"sip:{uri.host}"


def _by_slot(table: dict[str, list[Row]], slot: Any) -> list[tuple[int, Row]]:
    """Rows with the slot of Kamailio's table that they are in."""
    found = [(slot(key), row) for key, rows in table.items() for row in rows]
    found.sort(key=lambda entry: entry[0])
    return found
