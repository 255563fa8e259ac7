"""The uri_db module: is a user who he says he is, and does a user exist, by a database.

Every question is a query; each process has a connection of its own. No shared memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.config.arguments import STR
from kamailio_py.config.host import RouteType
from kamailio_py.db.errors import DbError
from kamailio_py.db.values import Value
from kamailio_py.log import get_logger
from kamailio_py.module import Module, ModuleError, Param, function
from kamailio_py.sip.digest import username_parts
from kamailio_py.sip.errors import BadMessage, BadUri
from kamailio_py.sip.uri import Uri

if TYPE_CHECKING:
    from kamailio_py.script.context import Context

log = get_logger("uri_db")

SUBSCRIBER_VERSION, URI_VERSION = 7, 1
NO_CREDENTIALS, NO_USER, QUERY_FAILED, SPOOFED, MISMATCH = -2, -4, -8, -9, -10
EXIST_QUERY_FAILED, EXISTS_NOT = -4, -5


class UriDb(Module):
    """Checks of users against a database."""

    name = "uri_db"

    db_url = Param(str, "mysql://kamailioro:kamailioro@localhost/kamailio")
    db_table = Param(str, "subscriber")
    user_column = Param(str, "username")
    domain_column = Param(str, "domain")
    uriuser_column = Param(str, "uri_user")
    use_uri_table = Param(int, 0)
    use_domain = Param(int, 0)

    def mod_init(self) -> None:
        if not self.db_url:
            if self.use_uri_table:
                raise ModuleError("configuration error - no database URL, but use_uri_table is set!")
            return
        self._db = self.core.db(self.db_url)
        self._db.check_version(self.db_table, URI_VERSION if self.use_uri_table else SUBSCRIBER_VERSION)

    @function("check_from", routes=RouteType.REQUEST)
    def check_from(self, ctx: Context) -> int:
        """Is the user in From the one of the credentials, or one of his in the uri table?"""
        try:
            return self._check(ctx, ctx.msg.from_.parsed_uri)
        except (BadMessage, BadUri):
            log.err("Error while parsing From header")
            return -1

    @function("check_to", routes=RouteType.REQUEST)
    def check_to(self, ctx: Context) -> int:
        try:
            return self._check(ctx, ctx.msg.to.parsed_uri)
        except (BadMessage, BadUri):
            log.err("Error while parsing To header")
            return -1

    @function("check_uri", STR, routes=RouteType.REQUEST)
    @function("check_uri", STR, STR, STR, routes=RouteType.REQUEST)
    def check_uri(self, ctx: Context, uri: str, user: str | None = None, realm: str = "") -> int:
        """The same for any URI, and if they are given for this user and realm instead of those of the credentials."""
        try:
            return self._check(ctx, Uri.parse(uri), None if user is None else (user, realm))
        except BadUri:
            log.err("Error while parsing URI")
            return -1

    def _check(self, ctx: Context, uri: Uri, who: tuple[str, str] | None = None) -> int:
        if not uri.user:
            log.err("Username not found in URI")
            return NO_USER
        if who is None:
            auth = self.core.module("auth")
            used = auth.used(ctx) if auth is not None else None
            if used is None:
                log.err("No authorized credentials found (error in scripts)")
                return NO_CREDENTIALS
            who = username_parts(used.credentials)[0], used.credentials["realm"]
        user, realm = who
        if not self.use_uri_table:
            return 1 if uri.user.lower() == user.lower() else MISMATCH
        where = {self.user_column: user, self.domain_column: realm, self.uriuser_column: uri.user}
        try:
            rows = self._db.query(self.db_table, [self.user_column], where).rows
        except DbError:
            return QUERY_FAILED
        return 1 if rows else SPOOFED

    @function("does_uri_exist", routes=RouteType.REQUEST | RouteType.LOCAL)
    def does_uri_exist(self, ctx: Context) -> int:
        """Is the user of the request-URI one of ours?"""
        try:
            uri = ctx.msg.parsed_uri
        except BadUri:
            log.err("Error while parsing URI")
            return -1
        column = self.uriuser_column if self.use_uri_table else self.user_column
        where: dict[str, Value] = {column: uri.user}
        if self.use_domain:
            where[self.domain_column] = uri.host
        try:
            rows = self._db.query(self.db_table, [column], where).rows
        except DbError:
            return EXIST_QUERY_FAILED
        return 1 if rows else EXISTS_NOT
