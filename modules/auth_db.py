"""The auth_db module: digest authentication with passwords of a database.

How credentials are checked is the auth module's business. Each process has a connection of its own; no shared memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from kamailio_py.config.arguments import INT, VALUE, Argument, Fixup
from kamailio_py.config.host import RouteType
from kamailio_py.db.errors import DbError
from kamailio_py.db.values import Value
from kamailio_py.log import get_logger
from kamailio_py.module import Function, Module, ModuleError, Param, function
from kamailio_py.modules.auth import CHECK_ID, PROXY, WWW, Found, Result
from kamailio_py.sip.digest import username_parts
from kamailio_py.sip.errors import BadUri
from kamailio_py.sip.uri import Uri

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import PVar

log = get_logger("auth_db")

TABLE_VERSION = 7
SKIP_FORWARDED = 2
"""Flag of auth_check(): in requests that may have been forwarded From may name somebody else."""
FORWARDED = ("INVITE", "BYE", "PRACK", "UPDATE", "MESSAGE")
USE_DOMAIN, SKIP_CREDENTIALS = 1, 2
"""Flags of is_subscriber()."""


class AuthDb(Module):
    """Digest authentication against a database."""

    name = "auth_db"
    requires = ("auth",)

    db_url = Param(str, "mysql://kamailioro:kamailioro@localhost/kamailio")
    user_column = Param(str, "username")
    domain_column = Param(str, "domain")
    password_column = Param(str, "ha1")
    password_column_2 = Param(str, "ha1b")
    calculate_ha1 = Param(int, 0)
    use_domain = Param(int, 0)
    load_credentials = Param(str)
    version_table = Param(int, 1)
    force_generate_avps = Param(int, 0)

    def __init__(self, core: Any) -> None:
        super().__init__(core)
        self._tables: list[str] = []

    def functions(self) -> Iterable[Function]:
        yield from super().functions()
        table = Fixup("table", prepare=self._use_table)
        exports: list[tuple[str, Any, tuple[Argument, ...]]] = [
            ("www_authenticate", self.www_authenticate, (VALUE, table)),
            ("www_authenticate", self.www_authenticate, (VALUE, table, VALUE)),
            ("www_authorize", self.www_authenticate, (VALUE, table)),
            ("proxy_authenticate", self.proxy_authenticate, (VALUE, table)),
            ("proxy_authorize", self.proxy_authenticate, (VALUE, table)),
        ]
        for name, method, arguments in exports:
            yield Function(self.name, name, arguments, RouteType.REQUEST, method)

    def _use_table(self, name: str) -> str:
        """A table the cfg names: its version is looked at when the server starts."""
        if not name:
            raise ValueError("empty parameter 2 not allowed")
        if name not in self._tables:
            self._tables.append(name)
        return name

    def mod_init(self) -> None:
        self._auth = self.core.module("auth")
        if self._auth is None:
            raise ModuleError("auth_db: unable to bind auth module (is it loaded?)")
        self._db = self.core.db(self.db_url)
        self._wanted = self._credentials(self.load_credentials or "")
        if self.version_table:
            for table in self._tables:
                self._db.check_version(table, TABLE_VERSION)

    def _credentials(self, text: str) -> list[tuple[str, PVar]]:
        """(column, pseudo-variable) for each part of load_credentials; a column alone goes into the AVP of its name."""
        found = []
        for part in text.split(";"):
            target, equals, column = part.rpartition("=")
            column, target = column.strip(), target.strip()
            if not column or (equals and not target):
                if not part:
                    continue
                raise ModuleError(f'parse failed in "{text}"')
            pvar = self.core.registry.pvar(target or f"$avp({column})", True)
            if not pvar.writable:
                raise ModuleError(f"PV is not writeable: {target}")
            found.append((column, pvar))
        return found[::-1]

    # authentication

    def www_authenticate(self, ctx: Context, realm: str, table: str, method: str | None = None) -> int:
        if method == "":
            log.err("invalid method parameter - empty value")
            return Result.ERROR
        return self._named(ctx, realm, table, WWW, method or "")

    def proxy_authenticate(self, ctx: Context, realm: str, table: str) -> int:
        return self._named(ctx, realm, table, PROXY, "")

    def _named(self, ctx: Context, realm: str, table: str, header: str, method: str) -> int:
        if not realm:
            log.err("invalid realm parameter - empty value")
            return Result.ERROR
        return self.authenticate(ctx, realm, table, header, method)[0]

    def authenticate(
        self, ctx: Context, realm: str, table: str, header: str, method: str = ""
    ) -> tuple[int, Found | None]:
        """Authenticate with the password the table has for the user of the credentials."""
        found = self._auth.pre_auth(ctx, realm, header)
        if not isinstance(found, Found):
            return found, None
        try:
            row = self._row(found, self._auth.strip_realm(realm), table)
        except DbError:
            return Result.ERROR, found
        if row is None:
            return Result.USER_UNKNOWN, found
        password = "" if row[0] is None else str(row[0])
        ha1 = password
        if self.calculate_ha1:
            ha1 = self._auth.ha1(found.credentials["username"], realm, password)
        if self.force_generate_avps:
            self._load(ctx, row[1:])
        result = self._auth.check_response(found, ctx, ha1, method)
        if result == Result.OK:
            self._auth.post_auth(found, ctx, ha1)
            if not self.force_generate_avps:
                self._load(ctx, row[1:])
        return result, found

    def _row(self, found: Found, realm: str, table: str) -> Sequence[Value] | None:
        """Password and wanted columns of the user."""
        user, domain = username_parts(found.credentials)
        column = self.password_column_2 if domain and not self.calculate_ha1 else self.password_column
        where: dict[str, Value] = {self.user_column: user}
        if self.use_domain:
            where[self.domain_column] = domain or realm
        rows = self._db.query(table, [column, *(name for name, _ in self._wanted)], where).rows
        return rows[0] if rows else None

    def _load(self, ctx: Context, values: Sequence[Value]) -> None:
        for (_, pvar), value in zip(self._wanted, values, strict=True):
            if isinstance(value, bytes):
                value = value.decode("latin-1")
            pvar.set(ctx, value if value is None or isinstance(value, int | str) else str(value))

    @function("auth_check", VALUE, VALUE, INT, routes=RouteType.REQUEST)
    def auth_check(self, ctx: Context, realm: str, table: str, flags: int) -> int:
        """Authenticate by the header that suits the method, and with flag 1 see that the user is who he claims."""
        method = ctx.msg.method
        if method in ("ACK", "CANCEL"):
            return Result.OK
        if not realm or not table:
            log.err(f"invalid {'table' if realm else 'realm'} parameter - empty value")
            return Result.ERROR
        result, found = self.authenticate(ctx, realm, table, WWW if method == "REGISTER" else PROXY)
        if result == Result.OK and found is not None and flags & CHECK_ID:
            forwarded = bool(flags & SKIP_FORWARDED) and method in FORWARDED
            return int(self._auth.check_identity(ctx.msg, found, bool(self.use_domain), forwarded))
        return result

    @function("is_subscriber", VALUE, VALUE, INT)
    def is_subscriber(self, ctx: Context, uri: str, table: str, flags: int) -> int:
        """Is there such a user in the table? Loads his credentials unless flag 2 says not to."""
        if not uri or not table:
            log.err(f"invalid {'table' if uri else 'uri'} parameter - empty value")
            return -1
        try:
            parsed = Uri.parse(uri)
        except BadUri:
            log.err("invalid uri parameter format")
            return -1
        where: dict[str, Value] = {self.user_column: parsed.user}
        if flags & USE_DOMAIN and parsed.host:
            where[self.domain_column] = parsed.host
        loads = not flags & SKIP_CREDENTIALS
        columns = [name for name, _ in self._wanted] if loads else [self.user_column]
        try:
            rows = self._db.query(table, columns, where).rows
        except DbError:
            return -1
        if not rows:
            return -2
        if loads and columns:
            self._load(ctx, rows[0])
        return 1
