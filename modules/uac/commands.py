"""RPC commands of remote registrations, with the answers real 5.6 gives. They are there if `reg_db_url` is set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from kamailio_py.log import get_logger
from kamailio_py.module import Command, RpcFault, commands_of, rpc
from kamailio_py.modules.uac.registration import Registration, usable_password
from kamailio_py.modules.uac.registrations import Head
from kamailio_py.modules.uac.remote import Remote

if TYPE_CHECKING:
    from kamailio_py.modules.uac.registrations import Registrations
    from kamailio_py.rpc.call import Call

log = get_logger("uac")

MISSING = (400, "Invalid Parameters")
NONE = RpcFault(404, "Record not found")
ADDED = (
    "l_uuid", "l_username", "l_domain", "r_username", "r_domain", "realm", "auth_username", "auth_password",
    "auth_ha1", "auth_proxy", "expires", "flags", "reg_delay", "socket", "contact_addr",
)  # fmt: skip
"""The arguments of uac.reg_add; a dot stands for a password, HA1 or contact that is not given."""


def shown(one: Registration, now: int) -> dict[str, Any]:
    """What uac.reg_dump shows of a registration."""
    return {
        "l_uuid": one.l_uuid,
        "l_username": one.l_username,
        "l_domain": one.l_domain,
        "r_username": one.r_username,
        "r_domain": one.r_domain,
        "realm": one.realm,
        "auth_username": one.auth_username,
        "auth_password": one.auth_password or "none",
        "auth_ha1": one.auth_ha1 or "none",
        "auth_proxy": one.auth_proxy or "none",
        "expires": one.expires,
        "flags": one.flags,
        "diff_expires": one.timer_expires - now,
        "timer_expires": one.timer_expires,
        "reg_init": one.reg_init,
        "reg_delay": one.reg_delay,
        "contact_addr": one.contact_addr or "none",
        "socket": one.socket,
    }


class Commands(Remote):
    """See the head of the file."""

    def rpcs(self) -> Iterable[Command]:
        return commands_of(self) if self.reg_db_url else ()

    @property
    def _table(self) -> Registrations:
        if self.registrations is None:
            raise RpcFault(500, "Not enabled")
        return self.registrations

    def _found(self, attribute: str, value: str) -> Registration:
        """The registration that a command is about."""
        if not attribute or not value:
            log.err("bad parameter values")
            raise RpcFault(400, "Invalid Parameter Values")
        try:
            one = self._table.find(attribute, value)
        except ValueError:
            raise RpcFault(400, "Unsupported filter attribute") from None
        if one is None:
            raise NONE
        return one

    @rpc("uac.reg_dump", "", "All registrations with other registrars.", array=True)
    def reg_dump(self, call: Call) -> Iterator[dict[str, Any]]:
        now = self.client.now()
        for one in self._table:
            yield shown(one, now)

    @rpc("uac.reg_info", "S.S", "One registration, by an attribute and its value.", missing=MISSING)
    def reg_info(self, call: Call, attribute: str, value: str) -> dict[str, Any]:
        return shown(self._found(attribute, value), self.client.now())

    @rpc("uac.reg_enable", "S.S", "Enable a registration.", missing=MISSING)
    def reg_enable(self, call: Call, attribute: str, value: str) -> None:
        self._set_disabled(attribute, value, False)

    @rpc("uac.reg_disable", "S.S", "Disable a registration.", missing=MISSING)
    def reg_disable(self, call: Call, attribute: str, value: str) -> None:
        self._set_disabled(attribute, value, True)

    def _set_disabled(self, attribute: str, value: str, disabled: bool) -> None:
        table = self._table
        table.count(table.disabled, 1 if disabled else -1)
        self._found(attribute, value)
        self.switch(table, attribute, value, disabled)

    @rpc("uac.reg_reload", "", "Read all registrations anew from the database.")
    def reg_reload(self, call: Call) -> None:
        table, now = self._table, self.client.now()
        if table.head(Head.shifted) > now - self.reg_gc_interval:
            log.err(f"shifting in-memory table is not possible in less than {self.reg_gc_interval} secs")
            raise RpcFault(500, "Failed to shift records - check log messages")
        table.set_head(Head.shifted, now)
        table.reset_counters()
        table.clear()
        if not self.rows.load():
            raise RpcFault(500, "Failed to reload records - check log messages")

    @rpc("uac.reg_refresh", "S", "Read one registration anew from the database.", missing=MISSING)
    def reg_refresh(self, call: Call, uuid: str) -> None:
        found = self.rows.refresh(uuid)
        if found is None:
            raise NONE
        if not found:
            raise RpcFault(500, "Failed to refresh record - check log messages")

    @rpc("uac.reg_remove", "S", "Forget a registration, without telling the registrar.", missing=MISSING)
    def reg_remove(self, call: Call, uuid: str) -> None:
        if self._table.remove(uuid) is None:
            raise NONE

    @rpc("uac.reg_add", "SSSSSSSSSSdddSS", "Add a registration, to memory alone.", missing=MISSING)
    def reg_add(self, call: Call, *values: Any) -> None:
        given = dict(zip(ADDED, values, strict=True))
        for name in ("auth_password", "auth_ha1", "contact_addr"):
            if given[name] == ".":
                given[name] = None
        if not usable_password(given["auth_password"], given["auth_ha1"]):
            raise RpcFault(500, "Failed to add record - invalid password or ha1")
        if self._table.get(given["l_uuid"]) is not None:
            raise RpcFault(409, "uuid already exists")
        if not self.put(Registration(**given)):
            raise RpcFault(500, "Failed to add record - check log messages")

    @rpc("uac.reg_active", "d", "Let registrations be active, or none.", missing=(500, "Missing parameter"))
    def reg_active_mode(self, call: Call, mode: int) -> dict[str, int]:
        table = self._table
        old = table.head(Head.active)
        table.set_head(Head.active, 1 if mode else 0)
        return {"omode": old, "nmode": mode}

    @rpc("uac.reg_unregister", "S.S", "Ask a registrar to forget us.", missing=MISSING)
    def reg_unregister(self, call: Call, attribute: str, value: str) -> None:
        self.client.unregister(self._found(attribute, value).l_uuid)
