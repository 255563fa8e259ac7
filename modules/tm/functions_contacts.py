"""Script functions of serial forking (contacts.py), and those that hand a request to a program outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.config.arguments import INT
from kamailio_py.config.host import RouteType
from kamailio_py.log import get_logger
from kamailio_py.module import function
from kamailio_py.modules.tm.contacts import NO_MORE, Contacts

if TYPE_CHECKING:
    from kamailio_py.script.context import Context

log = get_logger("tm")

LOADING = RouteType.REQUEST | RouteType.FAILURE


class ContactFunctions:
    """t_load_contacts(), t_next_contacts(), t_next_contact_flow()."""

    serial: Contacts

    @function("t_load_contacts", routes=LOADING)
    def t_load_contacts(self, ctx: Context) -> int:
        """Put the request-URI and all branches aside, to be tried in the order of their q."""
        return self.serial.load(ctx, 0)

    @function("t_load_contacts", INT, routes=LOADING)
    def t_load_contacts_mode(self, ctx: Context, mode: int) -> int:
        """With 1 they are tried one by one in an order drawn by q as weights."""
        return self.serial.load(ctx, mode)

    @function("t_next_contacts", routes=LOADING)
    def t_next_contacts(self, ctx: Context) -> int:
        """Take up the next of them; -2 when there are none left."""
        return self.serial.next(ctx)

    @function("t_next_contact_flow", routes=RouteType.REQUEST)
    def t_next_contact_flow(self, ctx: Context) -> int:
        """In event_route[tm:branch-failure:...]: take up another flow to the instance that failed."""
        if ctx.t is None or ctx.branch < 0:
            return NO_MORE
        return self.serial.next_flow(ctx, ctx.t.branch_notes(ctx.branch).get("instance", ""))
