"""Attributes that are computed when they are first read, and from then on are plain attributes of the object.

They are slots: an object has no dictionary to grow then, which costs more than most of the values in it.

On CPython a slot that is empty is asked of `__getattr__`. On PyPy it counts in which order an object gets attributes:
in another one than before it is rebuilt each time, for ten microseconds, and its compiler makes code for each order. So
there all slots are filled at once when an object is made, those of lazy attributes with a mark that they are empty.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from kamailio_py.constants import namespace

T = TypeVar("T")
C = TypeVar("C")

_EMPTY: Any = type("Empty", (), {"__repr__": lambda self: "empty"})()


class lazy(Generic[T]):
    """Decorator of a method in a class decorated with `slotted`: an attribute that is its result."""

    def __init__(self, method: Callable[[Any], T]) -> None:
        self.method = method

    if TYPE_CHECKING:  # what `slotted` puts in its place

        def __get__(self, instance: object, owner: type | None = None) -> T: ...


class Slotted:
    """Base of classes decorated with `slotted`."""

    __slots__ = ()

    lazies: ClassVar[dict[str, Callable[[Any], Any]]] = {}
    """Slots that are computed, by name."""
    slots: ClassVar[tuple[str, ...]] = ()
    """All slots, those of the bases included."""

    def fill(self) -> None:
        """Where slots are filled, all of them are marked as empty; done when an object is made."""

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


def slotted(*names: str, filled: bool = sys.implementation.name == "pypy") -> Callable[[type[C]], type[C]]:
    """Decorator of a class derived from Slotted: `names` and its lazy attributes become slots.

    `filled` as for PyPy, see the head of the file; bases have to be of the same kind.
    """

    def make(cls: type[C]) -> type[C]:
        own = {name: value for name, value in vars(cls).items() if name not in ("__dict__", "__weakref__")}
        found = {name: value.method for name, value in own.items() if isinstance(value, lazy)}
        known: tuple[str, ...] = cls.slots  # type: ignore[attr-defined]
        inherited: dict[str, Callable[[Any], Any]] = cls.lazies  # type: ignore[attr-defined]
        for name in found:
            del own[name]
        if filled:
            own.update({name: _place(name, method) for name, method in found.items()})
            places = (*names, *(_kept(name) for name in found))
            new = tuple(name for name in places if name not in known)
            own.update(__slots__=new, slots=known + new, __new__=_new, fill=_filler(known + new))
        else:
            new = tuple(name for name in (*names, *found) if name not in known)
            own.update(__slots__=new, slots=known + new, lazies={**inherited, **found})
        remake: Any = type(cls)
        return remake(cls.__name__, cls.__bases__, own)

    return make


def _kept(name: str) -> str:
    """The slot behind a lazy attribute where slots are filled."""
    return f"_of_{name}"


def _place(name: str, method: Callable[[Any], Any]) -> property:
    """A lazy attribute before a slot that is filled; with code of its own, in which the slot's name is a constant."""
    place = f"self.{_kept(name)}"
    scope = namespace(empty=_EMPTY, method=method)
    exec(
        f"def get(self):\n    value = {place}\n"
        f"    if value is empty:\n        {place} = value = method(self)\n    return value\n"
        f"def put(self, value):\n    {place} = value",
        scope,
    )
    return property(scope["get"], scope["put"], doc=method.__doc__)


def _filler(slots: tuple[str, ...]) -> Callable[[Any], None]:
    """What fills these slots; as one statement, since a loop would be one in the compiled code, too."""
    scope = namespace(empty=_EMPTY)
    exec(f"def fill(self):\n    {' = '.join(f'self.{name}' for name in slots)} = empty", scope)
    filler: Callable[[Any], None] = scope["fill"]
    return filler


def _new(cls: type[Slotted], *_: Any, **__: Any) -> Slotted:
    made: Slotted = object.__new__(cls)
    made.fill()
    return made
