"""How the files of this module say what they export: a table of names with their getters and setters."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kamailio_py.module import PVarExport
from kamailio_py.script.context import Context
from kamailio_py.script.pvars import Getter, Inner, Setter, inline
from kamailio_py.script.values import Value


class Table:
    """Pseudo-variables in the order of their definition."""

    def __init__(self) -> None:
        self.exports: list[PVarExport] = []

    def plain(self, names: str, get: Getter | str, type: str = "str", set: Setter | None = None) -> None:
        """Names without parentheses that share a getter, or a Python expression over `ctx`."""
        getter = inline(get) if isinstance(get, str) else get
        for name in names.split():
            setter = None if set is None else _always(set)
            self.exports.append(PVarExport(name, _always(getter), setter, type, inner=False, index=False))

    def named(
        self,
        names: str,
        bind: Callable[[Inner], Getter],
        type: str = "any",
        set: Callable[[Inner], Setter] | None = None,
        index: bool = False,
    ) -> None:
        """Names with an inner name."""
        for name in names.split():
            self.exports.append(PVarExport(name, bind, set, type, inner=True, index=None if index else False))

    def indexed(self, names: str, bind: Callable[[Inner], Getter], type: str = "str") -> None:
        """Names without inner name that take an index."""
        for name in names.split():
            self.exports.append(PVarExport(name, bind, None, type, inner=False))

    def keyed(
        self, names: str, getters: Mapping[str, Getter], what: str, setters: Mapping[str, Setter] | None = None
    ) -> None:
        """Names whose inner name is one of a fixed set; `what` begins the complaint about another one."""

        def bind(inner: Inner) -> Getter:
            getter = getters.get(inner.text.strip())
            if getter is None:
                raise ValueError(f"{what}: {inner.text}")
            return getter

        def bind_set(inner: Inner) -> Setter:
            return (setters or {}).get(inner.text.strip(), _refuse)

        self.named(names, bind, set=None if setters is None else bind_set)


def _always(value):
    return lambda inner: value


def _refuse(ctx: Context, value: Value) -> bool:
    return False
