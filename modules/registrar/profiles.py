"""$ulc(profile=>attribute): contacts that reg_fetch_contacts() copied, by profile; `exp` is the one that has expired.

They belong to the process, as in Kamailio: what one request fetched another one still sees.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from kamailio_py.log import get_logger
from kamailio_py.script.pvars import printed
from kamailio_py.script.values import wrap32

if TYPE_CHECKING:
    from kamailio_py.modules.usrloc.contact import Contact
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import Getter, Inner, Setter
    from kamailio_py.script.values import Value

log = get_logger("registrar")

EXPIRED = "exp"


class Profile(NamedTuple):
    """The contacts of an address of record as they were."""

    domain: str
    aor: str
    contacts: list[Contact]


_TEXTS = {
    "addr": "address", "path": "path", "received": "received", "callid": "callid", "user_agent": "user_agent",
    "ruid": "ruid",
}  # fmt: skip
_NUMBERS = {
    "expires": "expires", "q": "q", "cseq": "cseq", "flags": "flags", "cflags": "cflags", "modified": "last_modified",
    "methods": "methods", "regid": "reg_id", "server_id": "server_id",
}  # fmt: skip
_UNSIGNED = ("expires", "flags", "cflags", "modified", "methods", "regid", "server_id")


def _connection(contact: Contact) -> int | None:
    streams = ("tcp", "tls", "ws", "wss")
    return contact.tcpconn_id if contact.socket.partition(":")[0] in streams else None


def _reader(name: str) -> Callable[[Profile, Contact], Any]:
    """What gives an attribute; ValueError for an unknown one."""
    if name in _TEXTS:
        field = _TEXTS[name]
        return lambda profile, contact: getattr(contact, field)
    if name in ("instance", "socket"):
        return lambda profile, contact: getattr(contact, name) or None
    if name in _NUMBERS:
        field = _NUMBERS[name]
        return lambda profile, contact: getattr(contact, field)
    readers: dict[str, Callable[[Profile, Contact], Any]] = {
        "aor": lambda profile, contact: profile.aor,
        "domain": lambda profile, contact: profile.domain,
        "aorhash": lambda profile, contact: 0,  # Kamailio never sets it
        "count": lambda profile, contact: len(profile.contacts),
        "conid": lambda profile, contact: _connection(contact),
    }
    if name not in readers:
        raise ValueError(name)
    return readers[name]


class Profiles:
    """The profiles of this process."""

    def __init__(self) -> None:
        self.known: dict[str, Profile] = {}

    def ulc(self, inner: Inner) -> Getter:
        """$ulc(profile=>attribute), with an index for the contacts after the first."""
        name, arrow, attribute = inner.text.partition("=>")
        if not arrow or not attribute:
            log.err(f"invalid contact pv name {inner.text}")
            raise ValueError(f'pvar "ulc" has an invalid name param [{inner.text}]')
        try:
            read = _reader(attribute)
        except ValueError:
            log.err(f"unknown contact attr name in {inner.text}")
            raise ValueError(f'pvar "ulc" has an invalid name param [{inner.text}]') from None
        position = inner.position()
        known = self.known

        def value(ctx: Context) -> Any:
            profile = known.get(name)
            if profile is None:
                return None
            index = max(position(ctx) or 0, 0)
            return read(profile, profile.contacts[index]) if index < len(profile.contacts) else None

        def get(ctx: Context) -> Value:
            found = value(ctx)
            return wrap32(found) if isinstance(found, int) else found

        if attribute not in _UNSIGNED:
            return get

        def text(ctx: Context) -> str:
            found = value(ctx)
            return "<null>" if found is None else str(found)

        return printed(get, text)

    def set_ulc(self, inner: Inner) -> Setter:
        """It may be assigned to, which does nothing."""
        return lambda ctx, value: True
