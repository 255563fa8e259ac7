"""XAVPs: `$xavp(name[i]=>key[j])`, and their sisters `$xavu` with single values and `$xavi` with names without case.

Without an index on the name an assignment to a key makes a new value of that name; with `[0]` it goes into the newest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kamailio_py.log import get_logger
from kamailio_py.module import PVarExport
from kamailio_py.script.context import Context
from kamailio_py.script.pvars import Getter, Inner, Setter
from kamailio_py.script.values import Value, parse_int
from kamailio_py.script.xavp import Store, newest, push, remove

log = get_logger("pv")

ALL = "*"

Index = Callable[[Context], int | str | None]
"""What an index is at run time: a number, `*`, or None where it is none."""


class Place:
    """`name[index]`, one of the two steps of a path."""

    __slots__ = ("given", "index", "name")

    def __init__(self, inner: Inner, text: str, fold: bool) -> None:
        name, bracket, rest = text.partition("[")
        name = name.strip()
        self.name = name.lower() if fold else name
        self.given = bool(bracket)
        self.index: Index = _index(inner, rest, text) if bracket else lambda ctx: 0


def _index(inner: Inner, rest: str, text: str) -> Index:
    written = rest.rstrip().removesuffix("]")
    if written == rest.rstrip():
        raise ValueError(f'idx "{text}" has an invalid index param')
    if written == ALL:
        return lambda ctx: ALL
    if written[:1] == "$":
        get = inner.registry.parse(written).get

        def read(ctx: Context) -> int | None:
            value = get(ctx)
            return value if isinstance(value, int) else None

        return read
    number = parse_int(written, hexadecimal=False)
    if number is None or written[0] == "+":
        raise ValueError(f'idx "{text}" has an invalid index param [{written}]')
    return lambda ctx: number


def shown(value: Any) -> Value:
    """A value as scripts see it: one with keys is a text that only says what it is."""
    if isinstance(value, dict):
        return f"<<xavp:{id(value):#x}>>" if value else "<<xavp:(nil)>>"
    return value


def _paths(inner: Inner, fold: bool) -> tuple[Place, Place | None]:
    root, arrow, key = inner.text.partition("=>")
    if arrow and not key.strip():
        raise ValueError(f'pvar "xavp" has an invalid name param [{inner.text}]')
    return Place(inner, root, fold), Place(inner, key, fold) if arrow else None


class Lists:
    """`$xavp` or `$xavi`: lists of values, in the store that the context has under `attribute`."""

    def __init__(self, attribute: str, fold: bool) -> None:
        self.attribute = attribute
        self.fold = fold

    def bind(self, inner: Inner) -> Getter:
        attribute = self.attribute
        root, key = _paths(inner, self.fold)
        name, index_of = root.name, root.index
        if key is None:

            def get_root(ctx: Context) -> Value:
                index = index_of(ctx)
                return shown(newest(getattr(ctx, attribute), name, 0 if index == ALL else index or 0))  # type: ignore[arg-type]

            return get_root
        child, child_index_of = key.name, key.index
        if not root.given and not key.given:

            def get_newest(ctx: Context) -> Value:
                values = getattr(ctx, attribute).get(name)
                if not values or values[0].__class__ is not dict:
                    return None
                values = values[0].get(child)
                return shown(values[0]) if values else None

            return get_newest

        def get(ctx: Context) -> Value:
            index = index_of(ctx)
            item = newest(getattr(ctx, attribute), name, 0 if index == ALL else index or 0)  # type: ignore[arg-type]
            if item.__class__ is not dict:
                return None
            at = child_index_of(ctx)
            if at == ALL:
                values = item.get(child)
                return ", ".join([str(shown(value)) for value in values]) if values else None
            return shown(newest(item, child, at or 0))  # type: ignore[arg-type]

        return get

    def bind_set(self, inner: Inner) -> Setter:
        attribute = self.attribute
        root, key = _paths(inner, self.fold)

        def set(ctx: Context, value: Value) -> bool:
            store: Store = getattr(ctx, attribute)
            index = root.index(ctx)
            if index is None:
                return False
            if key is None:
                return _set_root(store, root, index, value)
            if index == ALL or value is None:
                return _clear_keys(ctx, store, root, index, key) if value is None else False
            if not root.given:
                push(store, root.name, {key.name: [value]})
                return True
            item = newest(store, root.name, index)  # type: ignore[arg-type]
            if item.__class__ is not dict:
                return False
            at = key.index(ctx)
            if not key.given:
                push(item, key.name, value)
                return True
            values = item.get(key.name, ())
            if not isinstance(at, int) or not -len(values) <= at < len(values):
                return False
            values[at] = value
            return True

        return set


def _set_root(store: Store, root: Place, index: int | str, value: Value) -> bool:
    """Assign to a name without key."""
    if value is None:
        if index == ALL:
            store.pop(root.name, None)
        else:
            remove(store, root.name, index)  # type: ignore[arg-type]
        return True
    if not root.given:
        push(store, root.name, value)
        return True
    values = store.get(root.name, ())
    if not isinstance(index, int) or not -len(values) <= index < len(values):
        return False
    values[index] = value  # type: ignore[index]
    return True


def _clear_keys(ctx: Context, store: Store, root: Place, index: int | str, key: Place) -> bool:
    """Assign null to a key of one value or of all values of a name."""
    if index == ALL:
        items = store.get(root.name, [])
    else:
        items = [newest(store, root.name, index)]  # type: ignore[arg-type]
    at = key.index(ctx)
    for item in items:
        if item.__class__ is dict:
            if at == ALL:
                item.pop(key.name, None)
            else:
                remove(item, key.name, at or 0)  # type: ignore[arg-type]
    return True


class Singles:
    """`$xavu`: one value for each name, and one for each key of it."""

    def bind(self, inner: Inner) -> Getter:
        root, key = _paths(inner, False)
        name = root.name
        if key is None:
            return lambda ctx: shown(newest(ctx.xavus, name))
        child = key.name

        def get(ctx: Context) -> Value:
            item = newest(ctx.xavus, name)
            return shown(newest(item, child)) if item.__class__ is dict else None

        return get

    def bind_set(self, inner: Inner) -> Setter:
        root, key = _paths(inner, False)
        name = root.name

        def set(ctx: Context, value: Value) -> bool:
            store = ctx.xavus
            if key is None:
                if value is None:
                    store.pop(name, None)
                else:
                    store[name] = [value]
                return True
            item = newest(store, name)
            if value is None:
                if item.__class__ is dict:
                    item.pop(key.name, None)
                return True
            if item.__class__ is not dict:
                item = {}
                store[name] = [item]
            item[key.name] = [value]
            return True

        return set


def exports() -> list[PVarExport]:
    xavp, xavi, xavu = Lists("xavps", False), Lists("xavis", True), Singles()
    return [
        PVarExport("xavp", xavp.bind, xavp.bind_set, inner=True, index=False),
        PVarExport("xavi", xavi.bind, xavi.bind_set, inner=True, index=False),
        PVarExport("xavu", xavu.bind, xavu.bind_set, inner=True, index=False),
    ]
