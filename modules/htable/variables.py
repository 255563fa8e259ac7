"""The pseudo-variables of htable: $sht, $shtex, $shtcn, $shtcv, $shtinc, $shtdec, $shtrecord, $shtitkey, $shtitval."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kamailio_py.log import get_logger
from kamailio_py.module import Module, pvar
from kamailio_py.modules.htable.iterators import Iterators
from kamailio_py.modules.htable.matching import count_matcher
from kamailio_py.modules.htable.table import HashTable, Value
from kamailio_py.script.pvars import printed
from kamailio_py.script.values import wrap32

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import Getter, Inner, Setter

log = get_logger("htable")


class Variables(Module):
    """The tables of this server, as pseudo-variables see them."""

    def __init__(self, core: Any) -> None:
        super().__init__(core)
        self.tables: dict[str, HashTable] = {}
        self._iterators = Iterators()
        self._record: tuple[str, Value] | None = None
        """Name and value of the item whose expired route runs."""

    def note_expired(self, name: str = "", value: Value | None = None) -> None:
        """Which item $shtrecord() tells of; none any more without a value."""
        self._record = None if value is None else (name, value)

    def _table_and_name(self, inner: Inner) -> tuple[str, Callable[[Context], str]]:
        """`table=>key` of a pseudo-variable: the table's name, and the key at run time."""
        name, arrow, key = inner.text.partition("=>")
        if not arrow:
            raise ValueError(f"Can't get from cache: invalid name param [{inner.text}]")
        format = inner.registry.format(key)
        constant = format.constant
        if constant is not None:
            return name.strip(), lambda ctx: constant
        return name.strip(), format.evaluate

    @pvar("sht", setter="set_sht", inner=True, index=False)
    def sht(self, inner: Inner) -> Getter:
        """$sht(table=>key): an item's value."""
        name, key = self._table_and_name(inner)
        tables = self.tables

        def get(ctx: Context) -> Value | None:
            table = tables.get(name)
            return None if table is None else table.get(key(ctx))

        return get

    def set_sht(self, inner: Inner) -> Setter:
        name, key = self._table_and_name(inner)
        tables = self.tables

        def set(ctx: Context, value: Value | None) -> bool:
            table = tables.get(name)
            if table is None:
                return False
            if value is None:
                table.remove(key(ctx))
                return True
            return table.set(key(ctx), value)

        return set

    @pvar("shtex", type="int", setter="set_shtex", inner=True, index=False)
    def shtex(self, inner: Inner) -> Getter:
        """$shtex(table=>key): seconds an item has left."""
        name, key = self._table_and_name(inner)

        def get(ctx: Context) -> int | None:
            table = self.tables.get(name)
            return None if table is None else wrap32(table.expires_in(key(ctx)))

        def text(ctx: Context) -> str:
            value = get(ctx)
            return "<null>" if value is None else str(value & 0xFFFFFFFF)

        return printed(get, text)

    def set_shtex(self, inner: Inner) -> Setter:
        name, key = self._table_and_name(inner)

        def set(ctx: Context, value: Value | None) -> bool:
            table = self.tables.get(name)
            if table is None:
                return False
            table.set_expires(key(ctx), value if isinstance(value, int) else 0)
            return True

        return set

    @pvar("shtcn", type="int", inner=True, index=False)
    def shtcn(self, inner: Inner) -> Getter:
        """$shtcn(table=>expression): how many items have such a name."""
        return self._counter(inner, HashTable.name_of)

    @pvar("shtcv", type="int", inner=True, index=False)
    def shtcv(self, inner: Inner) -> Getter:
        """$shtcv(table=>expression): how many items have such a value."""
        return self._counter(inner, HashTable.value)

    def _counter(self, inner: Inner, what: Callable[[HashTable, int], Value]) -> Getter:
        name, expression = self._table_and_name(inner)

        def get(ctx: Context) -> int | None:
            table = self.tables.get(name)
            if table is None:
                return None
            try:
                matches = count_matcher(expression(ctx))
            except ValueError as error:
                log.err(str(error))
                return 0
            return 0 if matches is None else table.select(lambda item: matches(what(table, item)))

        return get

    @pvar("shtinc", type="int", inner=True, index=False)
    def shtinc(self, inner: Inner) -> Getter:
        """$shtinc(table=>key): count an item up; its new value."""
        return self._adder(inner, 1)

    @pvar("shtdec", type="int", inner=True, index=False)
    def shtdec(self, inner: Inner) -> Getter:
        """$shtdec(table=>key): count an item down; its new value."""
        return self._adder(inner, -1)

    def _adder(self, inner: Inner, n: int) -> Getter:
        name, key = self._table_and_name(inner)

        def get(ctx: Context) -> int | None:
            table = self.tables.get(name)
            return None if table is None else table.add(key(ctx), n)

        return get

    @pvar("shtrecord", inner=True, index=False)
    def shtrecord(self, inner: Inner) -> Getter:
        """$shtrecord(key), $shtrecord(value): the item that expires."""
        if inner.text not in ("key", "value"):
            log.err(f"unknown pv name {inner.text}")
            raise ValueError(f"Can't get from cache: unknown pv name {inner.text}")
        part = 0 if inner.text == "key" else 1
        return lambda ctx: "" if self._record is None else self._record[part]

    @pvar("shtitkey", inner=True, index=False)
    def shtitkey(self, inner: Inner) -> Getter:
        """$shtitkey(iterator): name of the item it is at."""
        name = inner.registry.format(inner.text).evaluate

        def get(ctx: Context) -> Value | None:
            iterator = self._iterators.find(name(ctx))
            return None if iterator is None else iterator.key

        return get

    @pvar("shtitval", inner=True, index=False)
    def shtitval(self, inner: Inner) -> Getter:
        """$shtitval(iterator): value of the item it is at."""
        name = inner.registry.format(inner.text).evaluate

        def get(ctx: Context) -> Value | None:
            iterator = self._iterators.find(name(ctx))
            return None if iterator is None else iterator.value

        return get
