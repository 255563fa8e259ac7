"""dbg_pv_dump(): the pseudo-variables that the config uses, with their values, as JSON. Takes no lock."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import PVar

NULL, AVP, VAR, XAVP, OTHER = 1, 2, 4, 8, 16
"""Bits of the mask: show what is null, AVPs, script variables, XAVPs, all others."""
ALL = 31
KINDS = {"avp": AVP, "var": VAR, "xavp": XAVP}
LEFT_OUT = frozenset(("ru", "rU", "rd", "fu", "tu", "du", "ds", "br", "bR", "bf", "null", "$"))
"""What Kamailio never shows; it calls their kinds by names of their own."""


def dump(ctx: Context, known: dict[str, PVar], mask: int) -> str:
    """A JSON object of all that the mask has."""
    shown: dict[str, Any] = {}
    name: str
    value: Any
    for pvar in known.values():
        kind = KINDS.get(pvar.name, OTHER)
        if not mask & kind or pvar.name in LEFT_OUT or pvar.transformed:
            continue
        if kind == AVP:
            plain = pvar.inner.text.partition("[")[0].removeprefix("s:")
            name, value = f"$avp({plain})", ctx.avps.get(plain, [])
        elif kind == XAVP:
            plain = pvar.inner.text.partition("=>")[0].partition("[")[0]
            name, value = f"$xavp({plain})", [_fields(one) for one in ctx.xavps.get(plain, [])]
        else:
            name, value = pvar.text, pvar.get(ctx)
            if pvar.get_int is not None and value is not None:
                value = pvar.get_int(ctx)
        if value or isinstance(value, (int, str)) or mask & NULL:
            shown[name] = value
    return json.dumps(shown, separators=(",", ":"))


def _fields(value: Any) -> Any:
    return {name: list(values) for name, values in value.items()} if isinstance(value, dict) else value
