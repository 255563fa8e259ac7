"""The pseudo-variables of the core: `$rc $retcode $? $null $env $envn $def $defn`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from kamailio_py.module import PVarExport
from kamailio_py.script import avp
from kamailio_py.script.pvars import Getter, Inner, PVarRegistry, inline
from kamailio_py.script.values import parse_int


def registry(defines: Mapping[str, str]) -> PVarRegistry:
    """A registry that holds the core's names; `defines` are the `#!define`s, read each time one is asked for."""
    made = PVarRegistry()
    for export in exports(defines):
        made.add(export)
    made.fallback = avp.fallback
    return made


def exports(defines: Mapping[str, str]) -> Iterable[PVarExport]:
    def rc(inner: Inner) -> Getter:
        return inline("ctx.rc")

    def null(inner: Inner) -> Getter:
        return inline("None")

    def env(inner: Inner) -> Getter:
        name = inner.text
        return lambda ctx: os.environ.get(name)

    def envn(inner: Inner) -> Getter:
        name = inner.text
        return lambda ctx: _number(os.environ.get(name))

    def define(inner: Inner) -> Getter:
        name = inner.text
        return lambda ctx: defines.get(name)

    def define_number(inner: Inner) -> Getter:
        name = inner.text
        return lambda ctx: _number(defines.get(name))

    for name in ("?", "rc", "retcode"):
        yield PVarExport(name, rc, None, "int", inner=False, index=False)
    yield PVarExport("null", null, None, inner=False, index=False)
    yield PVarExport("env", env, None, "str", inner=True, index=False)
    yield PVarExport("envn", envn, None, "int", inner=True, index=False)
    yield PVarExport("def", define, None, "str", inner=True, index=False)
    yield PVarExport("defn", define_number, None, "int", inner=True, index=False)


def _number(text: str | None) -> int | None:
    """A text as a number: 0 when it is none, null when there is no text."""
    return None if text is None else parse_int(text) or 0
