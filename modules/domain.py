"""The domain module: the domains this server is responsible for, with attributes, from a database.

The tables lie in shared memory as one value, which domain.reload replaces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamailio_py.config.arguments import STR
from kamailio_py.config.host import RouteType
from kamailio_py.db.errors import DbError
from kamailio_py.engine.shared_value import SharedValue
from kamailio_py.log import get_logger
from kamailio_py.module import Module, ModuleError, Param, RpcFault, function, rpc
from kamailio_py.script.values import parse_int
from kamailio_py.sip.errors import BadMessage, BadUri
from kamailio_py.sip.hash import case_hash
from kamailio_py.sip.uri import Uri

if TYPE_CHECKING:
    from kamailio_py.script.context import Context

log = get_logger("domain")

DOMAIN_VERSION, ATTRS_VERSION = 2, 1
HASH_SIZE = 128
INT, STRING = 0, 2
"""Types of attributes."""
ASKING = RouteType.REQUEST | RouteType.FAILURE | RouteType.BRANCH | RouteType.LOCAL


class Domains:
    """What one process looks up: domains with their ids, attributes of an id, the newest first."""

    def __init__(self, data: Any = ((), ())) -> None:
        domains, attributes = data
        self.ids: dict[str, str] = {domain.lower(): did for domain, did in domains}
        self.names = [domain for domain, _ in domains]
        self.attributes: dict[str, list[tuple[str, int | str]]] = {}
        for did, name, value in attributes:
            self.attributes.setdefault(did, []).insert(0, (name, value))


class Domain(Module):
    """Which domains are local."""

    name = "domain"

    db_url = Param(str, "mysql://kamailioro:kamailioro@localhost/kamailio")
    domain_table = Param(str, "domain")
    domain_attrs_table = Param(str, "domain_attrs")
    did_col = Param(str, "did")
    domain_col = Param(str, "domain")
    name_col = Param(str, "name")
    type_col = Param(str, "type")
    value_col = Param(str, "value")
    register_myself = Param(int, 0)

    def mod_init(self) -> None:
        self._db = self.core.db(self.db_url)
        self._db.check_version(self.domain_table, DOMAIN_VERSION)
        self._db.check_version(self.domain_attrs_table, ATTRS_VERSION)
        self._domains: SharedValue[Domains] = SharedValue(self.core.shm, "domain", "domains", Domains, Domains())
        problem = self._reload()
        if problem:
            raise ModuleError(f"reload_tables failed: {problem}")
        if self.register_myself:
            self.core.addresses.local_domains.append(self.is_local)

    def _reload(self) -> str:
        """Read the tables; "" or what is wrong, and then everything is as it was."""
        try:
            columns = [self.did_col, self.name_col, self.type_col, self.value_col]
            attributes = [_attribute(*row) for row in self._db.query(self.domain_attrs_table, columns)]
            domains = [_domain(*row) for row in self._db.query(self.domain_table, [self.domain_col, self.did_col])]
        except (DbError, ValueError) as error:
            log.err(str(error))
            return str(error)
        return "" if self._domains.set((domains, attributes)) else "no more shared memory"

    def is_local(self, host: str) -> bool:
        """Is this one of the domains? Without regard to case."""
        return host.lower() in self._domains.get().ids

    # script functions

    @function("is_from_local", routes=ASKING)
    def is_from_local(self, ctx: Context) -> int:
        try:
            host = ctx.msg.from_.parsed_uri.host
        except (BadMessage, BadUri):
            log.err("Error while parsing From header")
            return -2
        return self.is_domain_local(ctx, host)

    @function("is_uri_host_local", routes=ASKING)
    def is_uri_host_local(self, ctx: Context) -> int:
        """The host of the request-URI; in a failure route that of the first branch."""
        try:
            if ctx.route_type is not RouteType.FAILURE:
                return self.is_domain_local(ctx, ctx.msg.parsed_uri.host)
            if not ctx.msg.branches:
                log.err("branch is missing, error in script")
                return -1
            return self.is_domain_local(ctx, Uri.parse(ctx.msg.branches[0].uri).host)
        except BadUri:
            log.err("error while parsing R-URI")
            return -1

    @function("is_domain_local", STR, routes=ASKING)
    def is_domain_local(self, ctx: Context, domain: str) -> int:
        return 1 if self.is_local(domain) else -1

    @function("lookup_domain", STR, routes=ASKING)
    @function("lookup_domain", STR, STR, routes=ASKING)
    def lookup_domain(self, ctx: Context, domain: str, prefix: str = "") -> int:
        """As is_domain_local(), and the domain's attributes and its id become AVPs."""
        domains = self._domains.get()
        did = domains.ids.get(domain.lower())
        if did is None:
            return -1
        for name, value in [*domains.attributes.get(did, ()), ("did", did)]:
            ctx.avps.setdefault(f"{prefix}{name}", []).insert(0, value)
        return 1

    # RPC commands

    @rpc("domain.reload", "", "Reload domain tables from database")
    def rpc_reload(self, call: Any) -> None:
        if self._reload():
            raise RpcFault(400, "Reload of domain tables failed")

    @rpc("domain.dump", "", "Return the contents of domain and domain_attrs tables")
    def rpc_dump(self, call: Any) -> dict[str, Any]:
        domains = self._domains.get()
        names = domains.names[::-1]  # Kamailio's table has the newest first in a slot
        names.sort(key=lambda name: case_hash(name, "", HASH_SIZE))
        return {
            "domains": [{"domain": name, "did": domains.ids[name.lower()]} for name in names],
            "attributes": [
                {"did": did, "attrs": [name for name, _ in attributes]}
                for did, attributes in reversed(domains.attributes.items())
            ],
        }


def _domain(domain: Any, did: Any) -> tuple[str, str]:
    """A row of the domain table; ValueError if it is none."""
    if not isinstance(domain, str) or not domain:
        raise ValueError("domain is null, empty or not string")
    if did is not None and not (isinstance(did, str) and did):
        raise ValueError(f"did of {domain} is empty or not string")
    return domain, domain if did is None else did


def _attribute(did: Any, name: Any, kind: Any, value: Any) -> tuple[str, str, int | str]:
    """A row of the table of attributes; ValueError if it is none."""
    if not all(isinstance(text, str) for text in (did, name, value)) or not did or not name:
        raise ValueError("did, name or value of an attribute is null, empty or not string")
    if kind not in (INT, STRING):
        raise ValueError(f"unknown type <{kind}> of attribute {name}")
    if kind == STRING:
        return did, name, value
    number = parse_int(value)
    if number is None:
        raise ValueError(f"value of attribute {name} is invalid int")
    return did, name, number
