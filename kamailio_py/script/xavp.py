"""XAVPs: named values in lists, newest first, whose values may hold named values themselves.

Plain data, so that a transaction can keep them: a store (`ctx.xavps`, `ctx.xavus`, `ctx.xavis`) is a dict from name
to list of values; a value is `None`, an int, a text, or a dict of the same kind as the store. Names of XAVIs are
compared without case: `ctx.xavis` holds them in lower case. XAVUs hold one value for each name.
"""

from __future__ import annotations

from typing import Any

Store = dict[str, list[Any]]


def newest(store: Store, name: str, index: int = 0) -> Any:
    """The value `index` steps below the newest; negative indexes count from the oldest. None if there is none."""
    values = store.get(name)
    if not values:
        return None
    try:
        return values[index]
    except IndexError:
        return None


def field(store: Store, name: str, inner: str, kind: type) -> Any:
    """`$xavp(name=>inner)` if it is of this kind, which is how modules look for what the script has set; else None."""
    fields = newest(store, name)
    value = newest(fields, inner) if isinstance(fields, dict) else None
    return value if isinstance(value, kind) else None


def push(store: Store, name: str, value: Any) -> None:
    """Put a value on top."""
    values = store.get(name)
    if values is None:
        store[name] = [value]
    else:
        values.insert(0, value)


def remove(store: Store, name: str, index: int = 0) -> bool:
    """Take one value out; False if it is not there."""
    values = store.get(name)
    if not values or not -len(values) <= index < len(values):
        return False
    del values[index]
    if not values:
        del store[name]
    return True


def copied(value: Any) -> Any:
    """A value of its own, all levels."""
    if isinstance(value, dict):
        return {name: [copied(item) for item in items] for name, items in value.items()}
    return value
