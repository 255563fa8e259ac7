"""The house's dataclass means what the standard library's does: the same declarations made with both."""

from __future__ import annotations

import dataclasses
from types import ModuleType
from typing import Any, ClassVar

import pytest

from kamailio_py import dataclass as ours


def classes(library: ModuleType) -> Any:
    """Some classes, by the decorator of a library."""
    dataclass, field = library.dataclass, library.field

    class Made:
        library: ClassVar[Any]

        @dataclass(slots=True)
        class Base:
            at: int
            name: str = "none"
            kinds: ClassVar[int] = 3

        @dataclass(slots=True)
        class Derived(Base):
            items: list[int] = field(default_factory=list)
            late: int = field(init=False)
            end: int = 7

            def twice(self) -> int:
                return self.at * 2

        @dataclass(frozen=True, slots=True)
        class Key:
            host: str
            port: int = 5060

        @dataclass
        class Open:
            value: Any
            more: dict[str, int] = field(default_factory=dict)

        @dataclass(slots=True, eq=False)
        class Itself:
            value: int

        @dataclass(slots=True)
        class Nothing:
            pass

    Made.library = library
    return Made


@pytest.fixture(params=[ours, dataclasses], ids=["ours", "standard"])
def made(request: pytest.FixtureRequest) -> Any:
    return classes(request.param)


def test_fields_in_their_order_those_of_the_base_first(made: Any) -> None:
    one = made.Derived(1, "x", [2], 3)
    assert (one.at, one.name, one.items, one.end, one.twice()) == (1, "x", [2], 3, 2)
    assert made.Derived(at=5).name == "none"
    assert made.Derived.__match_args__ == ("at", "name", "items", "end")
    assert made.Derived.kinds == 3
    for wrong in ((), (1, 2, 3, 4, 5)):
        with pytest.raises(TypeError):
            made.Derived(*wrong)
    with pytest.raises(TypeError):
        made.Derived(1, late=2)


def test_a_factory_makes_one_for_each(made: Any) -> None:
    first, second = made.Derived(1), made.Derived(1)
    first.items.append(4)
    assert second.items == []
    first.late = 9
    assert first.late == 9
    with pytest.raises(AttributeError):
        _ = second.late


def test_slots(made: Any) -> None:
    with pytest.raises(AttributeError):
        made.Base(1).other = 2
    assert not hasattr(made.Derived(1), "__dict__")
    made.Open(1).other = 2


def test_comparing_and_hashing(made: Any) -> None:
    assert made.Base(1) == made.Base(1, "none")
    assert made.Base(1) != made.Base(2)
    assert made.Base(1) != made.Derived(1)
    assert made.Nothing() == made.Nothing()
    assert {made.Key("a"): 1}[made.Key("a", 5060)] == 1
    with pytest.raises(TypeError):
        hash(made.Base(1))
    assert made.Itself(1) != made.Itself(1)
    assert len({made.Itself(1), made.Itself(1)}) == 2


def test_showing_and_matching(made: Any) -> None:
    assert repr(made.Key("a")).endswith("Key(host='a', port=5060)")
    match made.Key("a", 1):
        case made.Key("a", port):
            assert port == 1
        case _:
            pytest.fail("does not match")


def test_replacing(made: Any) -> None:
    replace = made.library.replace
    assert replace(made.Key("a", 1), port=2) == made.Key("a", 2)
    opened = replace(made.Open(1, {"a": 1}), value=2)
    assert (opened.value, opened.more) == (2, {"a": 1})
