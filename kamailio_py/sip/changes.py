"""What an object has of its own that its class has not: told of a message after a script, many times a second.

CPython looks at the few names in its `__dict__`. On PyPy to list what an object has of its own costs as much as to make
a reply, but to look at every name costs nothing, since its compiler knows which ones the object does not have. So there
it is one expression with all of them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from kamailio_py.constants import namespace

BY_NAME = sys.implementation.name == "pypy"


def detector(defaults: Mapping[str, Any], by_name: bool = BY_NAME) -> Callable[[Any], bool]:
    """A function that says whether one of these attributes of an object is not its default."""
    scope = namespace()
    exec(f"def differs(one):\n    return {' or '.join(map(_test, defaults.items()))}", scope)
    looked_at: Callable[[Any], bool] = scope["differs"]
    if by_name:
        return looked_at
    names = frozenset(defaults)
    return lambda one: not names.isdisjoint(one.__dict__) and looked_at(one)


def collector(defaults: Mapping[str, Any], by_name: bool = BY_NAME) -> Callable[[Any], dict[str, Any]]:
    """A function that gives those attributes of an object that are not their defaults."""
    if not by_name:
        return lambda one: {n: v for n, v in one.__dict__.items() if n in defaults and v != defaults[n]}
    steps = (f"    if {_test(item)}:\n        found[{item[0]!r}] = one.{item[0]}\n" for item in defaults.items())
    scope = namespace()
    exec(f"def collect(one):\n    found = {{}}\n{''.join(steps)}    return found", scope)
    collect: Callable[[Any], dict[str, Any]] = scope["collect"]
    return collect


def _test(item: tuple[str, Any]) -> str:
    name, default = item
    return f"one.{name} is not None" if default is None else f"one.{name} != {default!r}"
