"""The group module: which users are in which groups, by a table of members or of regular expressions.

Members are asked for by a query each time; the expressions are read once, before forking. No shared memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from kamailio_py.config.arguments import PVAR, RAW, Argument, Fixup
from kamailio_py.config.host import RouteType
from kamailio_py.db.errors import DbError
from kamailio_py.db.values import Value
from kamailio_py.log import get_logger
from kamailio_py.module import Function, Module, ModuleError, Param
from kamailio_py.script.regex import compile_posix
from kamailio_py.sip.digest import username_parts
from kamailio_py.sip.errors import BadMessage, BadUri
from kamailio_py.sip.uri import Uri

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import PVar

log = get_logger("group")

TABLE_VERSION, RE_TABLE_VERSION = 2, 1
ASKING = RouteType.REQUEST | RouteType.FAILURE | RouteType.BRANCH | RouteType.LOCAL
NOT_IN_GROUP, DATABASE_ERROR = -6, -5
SUBJECTS = ("request-uri", "to", "from", "credentials")


def parse_subject(text: str) -> str:
    if text.lower() not in SUBJECTS:
        raise ValueError(f"unsupported User Field identifier <{text}>")
    return text.lower()


SUBJECT = Fixup("user", prepare=parse_subject, pvar=True)


class Group(Module):
    """Groups of users."""

    name = "group"

    db_url = Param(str, "mysql://kamailioro:kamailioro@localhost/kamailio")
    table = Param(str, "grp")
    user_column = Param(str, "username")
    domain_column = Param(str, "domain")
    group_column = Param(str, "grp")
    use_domain = Param(int, 0)
    re_table = Param(str)
    re_exp_column = Param(str, "reg_exp")
    re_gid_column = Param(str, "group_id")
    multiple_gid = Param(int, 1)

    def functions(self) -> Iterable[Function]:
        exports: list[tuple[str, tuple[Argument, ...], Any]] = [
            ("is_user_in", (SUBJECT, RAW), self.is_user_in),
            ("get_user_group", (SUBJECT, PVAR), self.get_user_group),
        ]
        for name, arguments, method in exports:
            yield Function(self.name, name, arguments, ASKING, method)

    def mod_init(self) -> None:
        self._db = self.core.db(self.db_url)
        self._db.check_version(self.table, TABLE_VERSION)
        self._expressions: list[tuple[re.Pattern[str], int]] = []
        if not self.re_table:
            return
        self._db.check_version(self.re_table, RE_TABLE_VERSION)
        for text, group in self._db.query(self.re_table, [self.re_exp_column, self.re_gid_column]):
            if not isinstance(text, str) or not isinstance(group, int):
                raise ModuleError(f"empty or invalid value in table {self.re_table}")
            try:
                self._expressions.insert(0, (compile_posix(text, icase=True, newline=True), group))
            except ValueError as error:
                raise ModuleError(f"bad re {text}: {error}") from None

    def _user(self, ctx: Context, subject: str | PVar) -> tuple[str, str] | None:
        """User and domain of whom the script asks for; None, and logged, if there is no such."""
        msg = ctx.msg
        try:
            if not isinstance(subject, str):
                value = subject.get(ctx)
                if not value:
                    log.err("no AVP found (error in scripts)")
                    return None
                uri = Uri.parse(str(value))
            elif subject == "credentials":
                auth = self.core.module("auth")
                used = auth.used(ctx) if auth is not None else None
                if used is None:
                    log.err("no authorized credentials found (error in script)")
                    return None
                return username_parts(used.credentials)[0], used.credentials["realm"]
            elif subject == "request-uri":
                uri = msg.parsed_uri
            else:
                uri = (msg.to if subject == "to" else msg.from_).parsed_uri
        except (BadMessage, BadUri) as error:
            log.err(f"failed to get username@domain: {error}")
            return None
        return uri.user, uri.host

    def is_user_in(self, ctx: Context, subject: str | PVar, group: str) -> int:
        user = self._user(ctx, subject)
        if user is None or not user[0] or not group:
            return -1
        where: dict[str, Value] = {self.user_column: user[0], self.group_column: group}
        if self.use_domain:
            where[self.domain_column] = user[1]
        try:
            rows = self._db.query(self.table, [self.group_column], where).rows
        except DbError:
            return DATABASE_ERROR
        return 1 if rows else NOT_IN_GROUP

    def get_user_group(self, ctx: Context, subject: str | PVar, target: PVar) -> int:
        """Put the groups whose expressions match the user's URI into a pseudo-variable; how many these are, or -1."""
        user = self._user(ctx, subject)
        if user is None or not user[0]:
            return -1
        uri = f"sip:{user[0]}@{user[1]}"
        count = 0
        for pattern, group in self._expressions:
            if pattern.search(uri):
                target.set(ctx, group)
                count += 1
                if not self.multiple_gid:
                    break
        return count or -1
