"""The speeddial module: short numbers of users, in a database.

Every look-up is a query; each process has a connection of its own. No shared memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.config.arguments import STR
from kamailio_py.config.host import RouteType
from kamailio_py.db.errors import DbError
from kamailio_py.db.values import Value
from kamailio_py.log import get_logger
from kamailio_py.module import Module, Param, function
from kamailio_py.sip.errors import BadMessage, BadUri
from kamailio_py.sip.uri import Uri, without_prefix

if TYPE_CHECKING:
    from kamailio_py.script.context import Context

log = get_logger("speeddial")


class Speeddial(Module):
    """Short numbers."""

    name = "speeddial"

    db_url = Param(str, "mysql://kamailioro:kamailioro@localhost/kamailio")
    user_column = Param(str, "username")
    domain_column = Param(str, "domain")
    sd_user_column = Param(str, "sd_username")
    sd_domain_column = Param(str, "sd_domain")
    new_uri_column = Param(str, "new_uri")
    use_domain = Param(int, 0)
    domain_prefix = Param(str)

    def mod_init(self) -> None:
        self._db = self.core.db(self.db_url)

    @function("sd_lookup", STR, routes=RouteType.REQUEST)
    @function("sd_lookup", STR, STR, routes=RouteType.REQUEST)
    def sd_lookup(self, ctx: Context, table: str, owner: str = "") -> int:
        """Put what the short number in the request-URI stands for in its place.

        Whose number it is says From, or `owner`. The domain counts with use_domain 1, with 2 also that of the number;
        domain_prefix is taken off the latter only, as in Kamailio.
        """
        if not table:
            log.err("invalid table parameter")
            return -1
        try:
            user = Uri.parse(owner) if owner else ctx.msg.from_.parsed_uri
        except (BadMessage, BadUri):
            log.err("bad owner SIP address!" if owner else "failed to parse FROM header")
            return -1
        try:
            number = ctx.msg.parsed_uri
        except BadUri:
            log.err("failed to parsing Request-URI")
            return -1
        where: dict[str, Value] = {self.user_column: user.user}
        if self.use_domain >= 1:
            where[self.domain_column] = user.host
        where[self.sd_user_column] = number.user
        if self.use_domain >= 2:
            where[self.sd_domain_column] = without_prefix(number.host, self.domain_prefix)
        try:
            rows = self._db.query(table, [self.new_uri_column], where).rows
        except DbError:
            return -1
        if not rows or rows[0][0] is None:
            return -1
        uri = str(rows[0][0])
        ctx.msg.new_uri = uri if uri.startswith("sip:") else f"sip:{uri}"
        return 1
