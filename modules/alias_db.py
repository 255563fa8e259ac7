"""The alias_db module: aliases of users in a database, and users' aliases.

Every look-up is a query; each process has a connection of its own. No shared memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from kamailio_py.config.arguments import PVAR, STR, Argument, Fixup
from kamailio_py.config.host import RouteType
from kamailio_py.db.errors import DbError
from kamailio_py.db.values import Value
from kamailio_py.log import get_logger
from kamailio_py.module import Function, Module, Param
from kamailio_py.sip.branch import Branch
from kamailio_py.sip.errors import BadUri
from kamailio_py.sip.uri import Uri, without_prefix

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import PVar

log = get_logger("alias_db")

LOOKUP = RouteType.REQUEST | RouteType.FAILURE
FIND = LOOKUP | RouteType.ONREPLY | RouteType.BRANCH | RouteType.LOCAL


def parse_flags(text: str) -> str:
    """Flags in lower case: d without domain, u with it, r the other way round."""
    for flag in text:
        if flag not in "dDrRuU":
            raise ValueError(f"unsupported flag '{flag}'")
    return text.lower()


FLAGS = Fixup("flags", prepare=parse_flags)


class AliasDb(Module):
    """Aliases in a database."""

    name = "alias_db"

    db_url = Param(str, "mysql://kamailioro:kamailioro@localhost/kamailio")
    user_column = Param(str, "username")
    domain_column = Param(str, "domain")
    alias_user_column = Param(str, "alias_username")
    alias_domain_column = Param(str, "alias_domain")
    use_domain = Param(int, 0)
    domain_prefix = Param(str)
    append_branches = Param(int, 0)

    def functions(self) -> Iterable[Function]:
        exports: list[tuple[str, tuple[Argument, ...], RouteType, Any]] = [
            ("alias_db_lookup", (STR,), LOOKUP, self.lookup),
            ("alias_db_lookup", (STR, FLAGS), LOOKUP, self.lookup),
            ("alias_db_find", (STR, PVAR, PVAR), FIND, self.find),
            ("alias_db_find", (STR, PVAR, PVAR, FLAGS), FIND, self.find),
        ]
        for name, arguments, routes, method in exports:
            yield Function(self.name, name, arguments, routes, method)

    def mod_init(self) -> None:
        self._db = self.core.db(self.db_url)

    def lookup(self, ctx: Context, table: str, flags: str = "") -> int:
        """Put the user in the place of the alias that the request-URI is; further users become branches."""
        try:
            uri = ctx.msg.parsed_uri
        except BadUri:
            return -1
        found = self._query(table, uri, flags)
        for number, target in enumerate(found):
            if number == 0:
                ctx.msg.new_uri = target
            elif self.append_branches:
                ctx.msg.branches.append(Branch(target, q=0))
        return 1 if found else -1

    def find(self, ctx: Context, table: str, source: PVar, target: PVar, flags: str = "") -> int:
        """The user of the alias in one pseudo-variable into another one."""
        value = source.get(ctx)
        if not isinstance(value, str):
            log.err("PV vals is not string")
            return -1
        try:
            uri = Uri.parse(value)
        except BadUri:
            log.err(f"failed to parse uri {value}")
            return -1
        found = self._query(table, uri, flags)
        for alias in found if self.append_branches else found[:1]:
            target.set(ctx, alias)
        return 1 if found else -1

    def _query(self, table: str, uri: Uri, flags: str) -> list[str]:
        """URIs of the users of an alias, or with flag r of the aliases of a user."""
        users, aliases = (self.user_column, self.domain_column), (self.alias_user_column, self.alias_domain_column)
        keys, columns = (users, aliases) if "r" in flags else (aliases, users)
        where: dict[str, Value] = {keys[0]: uri.user}
        with_domain = bool(self.use_domain)
        for flag in flags:
            with_domain = flag == "u" if flag in "du" else with_domain
        if with_domain:
            where[keys[1]] = without_prefix(uri.host, self.domain_prefix)
        try:
            rows = self._db.query(table, columns, where).rows
        except DbError:
            return []
        if rows and rows[0][0] is None:
            return []
        return [f"sip:{user!s}@{domain!s}" for user, domain in rows]
