"""Variables: `$var $vz $vn` of the process, `$shv` shared by all, `$avp` of the transaction, `$_s(...)`,
`$cnt(...)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from kamailio_py.module import PVarExport
from kamailio_py.script import avp
from kamailio_py.script.context import Context
from kamailio_py.script.pvars import Getter, Inner, Setter
from kamailio_py.script.values import Value
from kamailio_py.script.variables import VARS

if TYPE_CHECKING:
    from .shared import SharedVariables

NULL_VARS: dict[str, Value] = {}
"""The variables `$vn(name)`, null until they are set; for the whole process."""


def _var(inner: Inner) -> Getter:
    name = inner.text.strip()

    def get(ctx: Context) -> Value:
        return VARS[name]

    get.static = name  # type: ignore[attr-defined]
    return get


def _set_var(inner: Inner) -> Setter:
    name = inner.text.strip()

    def set(ctx: Context, value: Value) -> bool:
        VARS[name] = 0 if value is None else value
        return True

    return set


def _null_var(inner: Inner) -> Getter:
    name = inner.text.strip()
    return lambda ctx: NULL_VARS.get(name)


def _set_null_var(inner: Inner) -> Setter:
    name = inner.text.strip()

    def set(ctx: Context, value: Value) -> bool:
        NULL_VARS[name] = value
        return True

    return set


def _string(inner: Inner) -> Getter:
    """`$_s(format)`: the format evaluated."""
    return inner.registry.format(inner.text).evaluate


def _count(inner: Inner) -> Getter:
    """`$cnt($name(...))`: how many values there are."""
    if inner.pvar is None:
        raise ValueError(f"cannot find pv name [{inner.text}]")
    counted = inner.pvar
    if counted.name == "avp":
        name_of = counted.inner.name()
        return lambda ctx: len(ctx.avps.get(name_of(ctx), ()))  # type: ignore[arg-type]
    if counted.name in ("xavp", "xavu", "xavi"):
        return xavp_count(counted.name, counted.inner.text)
    get = counted.get
    return lambda ctx: int(get(ctx) is not None)


def xavp_count(name: str, text: str) -> Getter:
    attribute = name + "s"
    key = text.partition("[")[0].strip()
    if name == "xavi":
        key = key.lower()
    return lambda ctx: len(getattr(ctx, attribute).get(key, ()))


def exports(aliases: Mapping[str, avp.Name], shared: Callable[[], SharedVariables]) -> list[PVarExport]:
    """`aliases` are those of the avp_aliases parameter, `shared` gives the shared variables once they exist."""

    def shv(inner: Inner) -> Getter:
        name = inner.text.strip()
        return lambda ctx: shared().get(name)

    def set_shv(inner: Inner) -> Setter:
        name = inner.text.strip()

        def set(ctx: Context, value: Value) -> bool:
            return shared().set(name, "" if value is None else value)

        return set

    return [
        PVarExport("var", _var, _set_var, inner=True, index=False),
        PVarExport("vz", _var, _set_var, inner=True, index=False),
        PVarExport("vn", _null_var, _set_null_var, inner=True, index=False),
        PVarExport("shv", shv, set_shv, inner=True, index=False),
        PVarExport(
            "avp", lambda inner: avp.bind(inner, aliases), lambda inner: avp.bind_set(inner, aliases), inner=True
        ),
        PVarExport("_s", _string, None, "str", inner=True, index=False),
        PVarExport("cnt", _count, None, "int", inner=True, index=False),
    ]
