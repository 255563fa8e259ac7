"""Attributes that are computed when they are first read, and from then on are plain attributes of the object.

In a class decorated with `slotted` they are slots: an object has no dictionary to grow then, which costs more than most
of the values in it. Elsewhere they go into the object's `__dict__`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar, overload

T = TypeVar("T")
C = TypeVar("C")


class lazy(Generic[T]):
    """Decorator: the method's result takes its place in the object; deleting it there forgets the result."""

    def __init__(self, method: Callable[[Any], T]) -> None:
        self.method = method
        self.__doc__ = method.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> lazy[T]: ...

    @overload
    def __get__(self, instance: object, owner: type | None = None) -> T: ...

    def __get__(self, instance: object | None, owner: type | None = None) -> lazy[T] | T:
        if instance is None:
            return self
        value = self.method(instance)
        instance.__dict__[self.name] = value
        return value


class Slotted:
    """Base of classes decorated with `slotted`."""

    __slots__ = ()

    lazies: ClassVar[dict[str, Callable[[Any], Any]]] = {}
    """Slots that are computed, by name."""
    slots: ClassVar[tuple[str, ...]] = ()
    """All slots, those of the bases included."""

    def __getattr__(self, name: str) -> Any:
        """A slot that is empty."""
        method = self.lazies.get(name)
        if method is None:
            raise AttributeError(f"{type(self).__name__} has no {name}")
        value = method(self)
        setattr(self, name, value)
        return value

    def become(self, other: Slotted) -> None:
        """Have in the slots what `other` has in its own, and nothing else."""
        for name in self.slots:
            slot = getattr(type(self), name)
            try:
                slot.__set__(self, slot.__get__(other))
            except AttributeError:  # empty there
                with contextlib.suppress(AttributeError):  # and here
                    slot.__delete__(self)


def slotted(*names: str) -> Callable[[type[C]], type[C]]:
    """Decorator of a class derived from Slotted: `names` and its lazy attributes become slots."""

    def make(cls: type[C]) -> type[C]:
        own = {name: value for name, value in vars(cls).items() if name not in ("__dict__", "__weakref__")}
        found = {name: value.method for name, value in own.items() if isinstance(value, lazy)}
        known: tuple[str, ...] = cls.slots  # type: ignore[attr-defined]
        new = tuple(name for name in (*names, *found) if name not in known)
        for name in found:
            del own[name]
        own.update(__slots__=new, slots=known + new, lazies={**cls.lazies, **found})  # type: ignore[attr-defined]
        remake: Any = type(cls)
        return remake(cls.__name__, cls.__bases__, own)

    return make
