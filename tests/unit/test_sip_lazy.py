"""Lazy attributes behave alike whether their slots are empty at first, as on CPython, or filled, as on PyPy."""

from __future__ import annotations

from typing import Any

import pytest

from kamailio_py.sip.lazy import Slotted, lazy, slotted

computed: list[str] = []


@pytest.fixture(autouse=True)
def nothing_computed() -> None:
    computed.clear()


def classes(filled: bool) -> tuple[type[Any], type[Any]]:
    @slotted("text", "kind", filled=filled)
    class Base(Slotted):
        def __init__(self, text: str) -> None:
            self.text = text

        @lazy
        def size(self) -> int:
            """How long the text is."""
            computed.append("size")
            return len(self.text)

    @slotted("rest", filled=filled)
    class Derived(Base):
        @lazy
        def kind(self) -> str:
            computed.append("kind")
            return self.text[:1]

    return Base, Derived


@pytest.fixture(params=[False, True], ids=["empty", "filled"])
def made(request: pytest.FixtureRequest) -> tuple[type[Any], type[Any]]:
    return classes(request.param)


def test_computed_once_and_only_when_asked(made: tuple[type[Any], type[Any]]) -> None:
    one = made[0]("abc")
    assert computed == []
    assert (one.size, one.size) == (3, 3)
    assert computed == ["size"]


def test_what_is_set_is_not_computed(made: tuple[type[Any], type[Any]]) -> None:
    one = made[0]("abc")
    one.size = 7
    assert (one.size, computed) == (7, [])
    one.size = None
    assert (one.size, computed) == (None, [])


def test_a_slot_of_the_base_may_be_lazy_in_what_derives_from_it(made: tuple[type[Any], type[Any]]) -> None:
    one = made[1]("abc")
    assert (one.kind, one.size, one.kind) == ("a", 3, "a")
    assert computed == ["kind", "size"]
    one.kind = "z"
    assert one.kind == "z"


def test_it_becomes_another(made: tuple[type[Any], type[Any]]) -> None:
    one, other = made[1]("abc"), made[1]("defg")
    assert (one.size, other.kind) == (3, "d")
    computed.clear()
    one.become(other)
    assert (one.text, one.kind, computed) == ("defg", "d", [])
    assert one.size == 4  # what the other has not computed is computed anew
    assert computed == ["size"]


def test_nothing_else_is_an_attribute(made: tuple[type[Any], type[Any]]) -> None:
    one = made[1]("abc")
    with pytest.raises(AttributeError):
        _ = one.colour
    with pytest.raises(AttributeError):
        one.colour = "red"


def test_all_objects_get_their_slots_in_one_order() -> None:
    """What PyPy needs: whatever is computed first, nothing is added to the object."""
    _, derived = classes(filled=True)
    one = derived("abc")
    assert {name for name in derived.slots if not hasattr(one, name)} == set()
    assert derived.slots == ("text", "kind", "_of_size", "rest", "_of_kind")


def test_an_error_leaves_it_to_be_computed_again(made: tuple[type[Any], type[Any]]) -> None:
    one = made[0]("abc")
    del one.text
    with pytest.raises(AttributeError):
        _ = one.size
    one.text = "abcd"
    assert one.size == 4
