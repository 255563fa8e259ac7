"""Remote registrations: their parameters, the functions a script has for them, and the process that registers.

The registrations are read from a database by that process and lie in shared memory, where every process finds them.
Without `reg_db_url` there are none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamailio_py.config.arguments import INT, PVAR, STR
from kamailio_py.config.host import RouteType
from kamailio_py.log import get_logger
from kamailio_py.module import Module, ModuleError, Param, Rank, function
from kamailio_py.modules.uac.registrar_client import RegistrarClient
from kamailio_py.modules.uac.registration import State
from kamailio_py.modules.uac.registration_rows import Rows
from kamailio_py.modules.uac.registrations import Head, Registrations
from kamailio_py.sip.uri import BadUri, Uri

if TYPE_CHECKING:
    from kamailio_py.modules.uac.registration import Registration
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import PVar

log = get_logger("uac")

BY_USER, HA1 = 1, 2
"""Bits of the mode of uac_reg_request_to()."""


class Remote(Module):
    """See the head of the file."""

    reg_db_url = Param(str)
    reg_db_table = Param(str, "uacreg")
    reg_contact_addr = Param(str)
    reg_timer_interval = Param(int, 90)
    reg_retry_interval = Param(int, 0)
    reg_keep_callid = Param(int, 0)
    reg_random_delay = Param(int, 0)
    reg_active = Param(int, 1)
    reg_gc_interval = Param(int, 150)
    reg_hash_size = Param(int, 4)
    reg_use_domain = Param(int, 0)

    registrations: Registrations | None = None
    client: RegistrarClient
    rows: Rows
    _avps: list[PVar]

    def init_remote(self) -> None:
        """What mod_init does for this part."""
        if not self.reg_db_url:
            return
        if not self.reg_contact_addr:
            raise ModuleError("contact address parameter not set")
        core = self.core
        try:
            database = core.db(self.reg_db_url)
        except ModuleError as error:
            log.err(str(error))
            database = None
        self.registrations = Registrations(core, 1 << min(max(self.reg_hash_size, 2), 14), bool(self.reg_active))
        self.client = RegistrarClient(self, self.registrations)
        self.rows = Rows(database, self.reg_db_table, self.registrations, self.put)
        core.register_process("TIMER UAC REG", Rank.TIMER, self._register)

    def _register(self, process: Any) -> None:
        """Read the table, unless another process before this one did, and register from time to time."""
        assert self.registrations is not None
        if not self.registrations.head(Head.loaded):
            self.rows.load()
            self.registrations.set_head(Head.loaded, 1)
        self.client.round()
        while process.every(max(self.reg_timer_interval, 1)):
            self.client.round()

    def put(self, registration: Registration) -> bool:
        """Put a new one in, with what the parameters add to it; False without memory."""
        assert self.registrations is not None
        registration.contact_addr = registration.contact_addr or self.reg_contact_addr
        registration.auth_ha1 = registration.auth_ha1 and registration.auth_ha1.lower()
        registration.reg_init = self.client.now()
        if not registration.reg_delay and self.reg_random_delay > 0:
            registration.reg_delay = self.core.random.randrange(self.reg_random_delay)
        return self.registrations.add(registration)

    # functions

    def _known(self) -> Registrations | None:
        if self.registrations is None:
            log.err("reg hash table not initialized")
        return self.registrations

    def _of_user(self, known: Registrations, text: str) -> Registration | None:
        """The registration of the local user of a URI; BadUri if it is none."""
        uri = Uri.parse(text)
        return known.of_user(uri.user, uri.host if self.reg_use_domain else None)

    @function("uac_reg_lookup", STR, PVAR)
    def uac_reg_lookup(self, ctx: Context, uuid: str, result: PVar) -> int:
        """The local URI of a registration."""
        known = self._known()
        one = known.get(uuid) if known is not None else None
        if one is None:
            return -1
        return 1 if result.set(ctx, f"sip:{one.l_username}@{one.l_domain}") else -1

    @function("uac_reg_lookup_uri", STR, PVAR)
    def uac_reg_lookup_uri(self, ctx: Context, uri: str, result: PVar) -> int:
        """The uuid of the registration of a local URI."""
        known = self._known()
        if known is None:
            return -1
        try:
            one = self._of_user(known, uri)
        except BadUri:
            log.err("failed to parse uri")
            return -2
        return 1 if one is not None and result.set(ctx, one.l_uuid) else -1

    @function("uac_reg_status", STR)
    def uac_reg_status(self, ctx: Context, uuid: str) -> int:
        """1 registered, -2 under way, -3 disabled, -99 none of these, -1 there is no such registration."""
        known = self._known()
        one = known.get(uuid) if known is not None else None
        return one.status(self.client.now()) if one is not None else -1

    @function("uac_reg_request_to", STR, INT, routes=RouteType.REQUEST | RouteType.FAILURE | RouteType.BRANCH)
    def uac_reg_request_to(self, ctx: Context, which: str, mode: int) -> int:
        """Send the request to where a registration is, and have uac_auth() use its credentials."""
        known = self._known()
        if known is None:
            return -1
        if mode & ~(BY_USER | HA1):
            log.err(f"unknown mode: {mode}")
            return -1
        try:
            if not mode & BY_USER:
                one = known.get(which)
            elif self.reg_use_domain:
                one = self._of_user(known, which)
            else:
                one = known.of_user(which)
        except BadUri:
            log.err("failed to parse uri")
            return -2
        if one is None:
            return -1
        ctx.msg.new_uri, ctx.msg.dst_uri = one.address, one.auth_proxy
        secret = one.auth_ha1 if mode & HA1 else one.auth_password
        for avp, value in zip(self._avps, (one.realm, one.auth_username, secret), strict=False):  # there may be none
            avp.set(ctx, value or "")
        return 1

    @function("uac_reg_enable", STR, STR)
    def uac_reg_enable(self, ctx: Context, attribute: str, value: str) -> int:
        return self._switch(attribute, value, False)

    @function("uac_reg_disable", STR, STR)
    def uac_reg_disable(self, ctx: Context, attribute: str, value: str) -> int:
        return self._switch(attribute, value, True)

    def _switch(self, attribute: str, value: str, disabled: bool) -> int:
        known = self.registrations
        if known is None:
            log.err("uac remote registrations not enabled")
            return -1
        known.count(known.disabled, 1 if disabled else -1)
        if not attribute or not value:
            log.err("bad parameter values")
            return -1
        try:
            return 1 if self.switch(known, attribute, value, disabled) else -2
        except ValueError:
            return -3

    def switch(self, known: Registrations, attribute: str, value: str, disabled: bool) -> bool:
        """Enable or disable a registration; False if there is none, ValueError for a bad attribute."""
        one = known.find(attribute, value)
        now = self.client.now()

        def set(registration: Registration) -> None:
            if disabled:
                registration.flags |= State.DISABLED
            else:
                registration.flags &= ~State.DISABLED
            registration.timer_expires = now + 1

        return one is not None and known.change(one.l_uuid, set) is not None

    @function("uac_reg_refresh", STR)
    def uac_reg_refresh(self, ctx: Context, uuid: str) -> int:
        """Read one registration anew from the database."""
        if self._known() is None:
            return -1
        if not uuid:
            log.err("invalid parameters")
            return -1
        found = self.rows.refresh(uuid)
        if found is None:
            log.warn(f"record not found: {uuid}")
        elif not found:
            log.warn(f"failed to refresh record: {uuid} - check log messages")
        return 1 if found else -1
