"""The parameters of the registrar, and what of them the script may set for one request in the XAVP of `xavp_cfg`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamailio_py.config.without_effect import KEMI
from kamailio_py.module import CfgVariable, Module, Param
from kamailio_py.script.xavp import field, newest

if TYPE_CHECKING:
    from kamailio_py.script.context import Context

PATH_OFF, PATH_LAZY, PATH_STRICT = range(3)
"""Parameter path_mode."""
OUTBOUND_NONE, OUTBOUND_SUPPORTED, OUTBOUND_REQUIRED = range(3)
"""Parameter outbound_mode."""
SHOW_RUID, SHOW_CONTACT, SHOW_EXPIRES, SHOW_RECEIVED, SHOW_PATH = 1, 2, 4, 8, 16
"""Bits of xavp_rcd_mask: what is left out."""

CFG_VARIABLES = (
    CfgVariable("realm_pref", "prefix of hosts that is taken off addresses of record", text=True,
                parameter="realm_prefix"),
    CfgVariable("default_expires", "seconds a contact is kept whose sender does not say how long"),
    CfgVariable("default_expires_range", "percent by which the default may be less, at random"),
    CfgVariable("expires_range", "percent by which what was asked for may be less, at random"),
    CfgVariable("min_expires", "shortest time in seconds a contact is kept"),
    CfgVariable("max_expires", "longest time in seconds a contact is kept, 0 for no limit"),
    CfgVariable("max_contacts", "most contacts of an address of record, 0 for no limit"),
    CfgVariable("retry_after", "seconds in Retry-After of a 5xx reply, 0 for no such header"),
    CfgVariable("case_sensitive", "users are compared with case"),
    CfgVariable("default_q", "q in thousandths of a contact without one, -1 for none"),
    CfgVariable("append_branches", "lookup() adds a branch for each further contact"),
    CfgVariable("use_expired_contacts", "lookup() takes contacts that are over, too"),
)  # fmt: skip


class Settings(Module):
    """See the head of the file."""

    cfg_variables = CFG_VARIABLES

    default_expires = Param(int, 3600)
    default_expires_range = Param(int, 0)
    expires_range = Param(int, 0)
    default_q = Param(int, -1)
    append_branches = Param(int, 1)
    case_sensitive = Param(int, 0)
    realm_prefix = Param(str)
    min_expires = Param(int, 60)
    min_expires_mode = Param(int, 0)
    max_expires = Param(int, 0)
    received_param = Param(str, "received")
    received_avp = Param(str)
    max_contacts = Param(int, 0)
    retry_after = Param(int, 0)
    sock_mode = Param(int, 0)
    sock_flag = Param(int, -1)
    sock_hdr_name = Param(str)
    method_filtering = Param(int, 0)
    use_path = Param(int, 0)
    path_mode = Param(int, PATH_STRICT)
    path_use_received = Param(int, 0)
    path_check_local = Param(int, 0)
    xavp_cfg = Param(str)
    xavp_rcd = Param(str)
    xavp_rcd_mask = Param(int, 0)
    gruu_enabled = Param(int, 1)
    outbound_mode = Param(int, OUTBOUND_NONE)
    regid_mode = Param(int, 0)
    flow_timer = Param(int, 0)
    contact_max_size = Param(int, 512)
    event_callback = Param(str, unused=KEMI)
    lookup_filter_mode = Param(int, 0)
    use_expired_contacts = Param(int, 0)

    def set_for_request(self, ctx: Context, name: str, kind: type) -> Any:
        """`$xavp(<xavp_cfg>=>name)` if it is of this kind, else None."""
        return field(ctx.xavps, self.xavp_cfg, name, kind) if self.xavp_cfg else None

    def show_record(self, ctx: Context, contact: Any, now: int) -> None:
        """Put what is known of a contact into `$xavp(<xavp_rcd>=>...)`."""
        if not self.xavp_rcd:
            return
        mask = self.xavp_rcd_mask
        shown: list[tuple[int, str, Any]] = [
            (SHOW_RUID, "ruid", contact.ruid),
            (SHOW_RECEIVED, "received", contact.received),
            (SHOW_CONTACT, "contact", contact.address),
            (SHOW_EXPIRES, "expires", contact.expires - now),
            (SHOW_PATH, "path", contact.path),
        ]
        fields = newest(ctx.xavps, self.xavp_rcd)
        if not isinstance(fields, dict):
            fields = {}
            ctx.xavps.setdefault(self.xavp_rcd, []).insert(0, fields)
        for bit, name, value in shown:
            if not mask & bit and value != "":
                fields.setdefault(name, []).insert(0, value)
