"""The server: `$pp $sid $version(...) $ksr(...) $stat(...) $ccp(...) $sel(...)`, and constants."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from kamailio_py import KAMAILIO_VERSION
from kamailio_py.engine.cfg_variables import ChangeRefused
from kamailio_py.log import get_logger
from kamailio_py.script.context import Context
from kamailio_py.script.pvars import Getter, Inner, Setter
from kamailio_py.script.selects import null_getter
from kamailio_py.script.values import Value

from .table import Table

log = get_logger("pv")

PVARS = Table()

_MAJOR, _MINOR, _PATCH = (int(part) for part in KAMAILIO_VERSION.split("."))

PVARS.plain("pp", lambda ctx: os.getpid(), "int")
PVARS.plain("sid", "ctx.core.cfg.server_id", "int")
PVARS.plain("true", "1", "int")
PVARS.plain("err.class err.level err.info err.rcode err.rreason", "None", "any")


def _constant(value: int | str) -> Getter:
    return lambda ctx: value


PVARS.keyed(
    "version",
    {
        "num": _constant(KAMAILIO_VERSION),
        "full": _constant(f"kamailio {KAMAILIO_VERSION} (x86_64/linux) "),
        "hash": _constant("unknown "),
    },
    "unknown PV version name",
)
PVARS.keyed(
    "ksr",
    {"ver": _constant(KAMAILIO_VERSION), "verval": _constant(_MAJOR * 1_000_000 + _MINOR * 1000 + _PATCH)},
    "unknown PV ksr key",
)


# statistics


def statistic(core: Any, name: str) -> Callable[[], int] | None:
    """What gives the statistic of that name, in whatever group it is."""
    counters = core.shm.counters
    for (_, known), number in counters.ids.items():
        if known == name:
            return lambda: counters.total(number)
    found = core.statistics.named(name)
    return found.read if found is not None else None


def _stat(inner: Inner) -> Getter:
    name_of = inner.name()
    found: dict[str, Callable[[], int]] = {}

    def get(ctx: Context) -> Value:
        name = str(name_of(ctx))
        read = found.get(name)
        if read is None:
            read = statistic(ctx.core, name)
            if read is None:
                log.warn(f"No stat variable ``{name}''")
                return None
            found[name] = read
        return read()

    return get


PVARS.named("stat", _stat, "int")


# parameters that can change while the server runs


def _parameter(inner: Inner) -> tuple[str, str]:
    group, dot, name = inner.text.strip().partition(".")
    if not dot or not group or not name:
        raise ValueError(f"invalid PV ccp key: {inner.text}")
    return group, name


def _ccp(inner: Inner) -> Getter:
    group, name = _parameter(inner)
    return lambda ctx: ctx.core.variables.readable(group, name)


def _set_ccp(inner: Inner) -> Setter:
    group, name = _parameter(inner)

    def set(ctx: Context, value: Value) -> bool:
        if value is None:
            return False
        try:
            ctx.core.variables.set_now(group, -1, name, value)
        except ChangeRefused:
            return False
        return True

    return set


PVARS.named("ccp", _ccp, "any", set=_set_ccp)


# selects


def _sel(inner: Inner) -> Getter:
    try:
        return null_getter(inner.text)
    except ValueError:
        raise ValueError(f"invalid select name [{inner.text}]") from None


PVARS.named("sel", _sel, "str")
