"""Classes of fields, declared as with the standard library's `dataclasses`, for a fraction of what those take to make.

A server makes about a hundred such classes at each start, and `dataclasses` (with `inspect`, which it needs) took a
seventh of the time until the first answer. Lives here: `dataclass`, `field`, `replace`, as far as the house uses them.
Only `__init__` is generated code; comparing, hashing and showing are the same functions for all. `frozen` gives a hash,
and is for the type checker to enforce: at run time it costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform, overload

T = TypeVar("T")

_NONE: Any = object()
"""There is no default."""


class _Field:
    """What `field()` says of one."""

    __slots__ = ("default", "init", "make")

    def __init__(self, default: Any, make: Callable[[], Any] | None, init: bool) -> None:
        self.default = default
        self.make = make
        self.init = init


def field(*, default: Any = _NONE, default_factory: Callable[[], Any] | None = None, init: bool = True) -> Any:
    """A field whose default is made anew for each object, or which is set later than in `__init__`."""
    return _Field(default, default_factory, init)


@overload
def dataclass(cls: type[T], /) -> type[T]: ...


@overload
def dataclass(*, frozen: bool = False, slots: bool = False, eq: bool = True) -> Callable[[type[T]], type[T]]: ...


@dataclass_transform(field_specifiers=(field,))
def dataclass(cls: Any = None, /, *, frozen: bool = False, slots: bool = False, eq: bool = True) -> Any:
    """Give the class an `__init__` of its fields, those of its bases first, and the rest that goes with them."""

    def decorate(given: type) -> type:
        return _decorated(given, frozen, slots, eq)

    return decorate if cls is None else decorate(cls)


def replace(value: T, /, **changes: Any) -> T:
    """A copy with other values in some fields."""
    names = value.__match_args__  # type: ignore[attr-defined]
    return type(value)(**{name: getattr(value, name) for name in names} | changes)


def _decorated(cls: Any, frozen: bool, slots: bool, eq: bool) -> type:
    own: dict[str, _Field] = {}
    for name, annotation in cls.__annotations__.items():
        if "ClassVar" not in str(annotation):
            value = cls.__dict__.get(name, _NONE)
            own[name] = value if isinstance(value, _Field) else _Field(value, None, True)
    fields: dict[str, _Field] = getattr(cls, "__fields__", {}) | own
    names = tuple(name for name, one in fields.items() if one.init)
    if slots:
        cls = _with_slots(cls, own)
    cls.__fields__ = fields
    cls.__match_args__ = names  # type: ignore[misc]  # which is what this decorator is for
    cls.__init__ = _initialiser(cls, fields)
    if "__repr__" not in cls.__dict__:
        cls.__repr__ = _shown
    if eq and "__eq__" not in cls.__dict__:
        key = attrgetter(*names) if names else type
        cls.__eq__ = _comparison(key)
        cls.__hash__ = _hash(key) if frozen else None
    return cls


def _with_slots(cls: type, own: dict[str, _Field]) -> Any:
    """Slots are laid out when a class is made, so it is made again."""
    body = {name: value for name, value in cls.__dict__.items() if name not in own}
    for name in ("__dict__", "__weakref__"):
        body.pop(name, None)
    inherited = {name for base in cls.__mro__[1:] for name in base.__dict__.get("__slots__", ())}
    body["__slots__"] = tuple(name for name in own if name not in inherited)
    made = type(cls)(cls.__name__, cls.__bases__, body)
    made.__qualname__ = cls.__qualname__
    return made


def _initialiser(cls: type, fields: dict[str, _Field]) -> Any:
    """The one function that is compiled for each class: it runs for each object."""
    known: dict[str, Any] = {"_NONE": _NONE}
    given, lines = ["self"], []
    for name, one in fields.items():
        if not one.init:
            continue
        value = name
        if one.make is not None:
            known[f"_make_{name}"] = one.make
            value = f"_make_{name}() if {name} is _NONE else {name}"
            given.append(f"{name}=_NONE")
        elif one.default is not _NONE:
            known[f"_{name}"] = one.default
            given.append(f"{name}=_{name}")
        else:
            given.append(name)
        lines.append(f" self.{name} = {value}\n")
    exec(f"def __init__({', '.join(given)}):\n{''.join(lines) or ' pass'}", known)
    made = known["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made


def _comparison(key: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    def __eq__(self: Any, other: Any) -> Any:
        return key(self) == key(other) if other.__class__ is self.__class__ else NotImplemented

    return __eq__


def _hash(key: Callable[[Any], Any]) -> Callable[[Any], int]:
    return lambda self: hash(key(self))


def _shown(self: Any) -> str:
    values = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
    return f"{type(self).__qualname__}({values})"
