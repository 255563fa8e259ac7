"""A process that is killed while it changes contacts leaves them sound, and nobody's contact is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kit.local import Local
from kit.memory import killed_at

from kamailio_py.modules.usrloc.bindings import Bindings
from kamailio_py.modules.usrloc.contact import Contact

CFG = """
loadmodule "usrloc"
modparam("usrloc", "preload", "location")
request_route { drop; }
"""


def insert(bindings: Bindings) -> None:
    bindings.insert(Contact("new", q=600, ruid="new"))


def refresh(bindings: Bindings) -> None:
    bindings.update(bindings.contacts[1], Contact("b", q=500, ruid="x", user_agent="longer than it was before"))


def refresh_in_place(bindings: Bindings) -> None:
    bindings.update(bindings.contacts[1], Contact("b", q=500, expires=7))


def move_up(bindings: Bindings) -> None:
    bindings.update(bindings.contacts[2], Contact("c", q=800, ruid="x"))


def move_down(bindings: Bindings) -> None:
    bindings.update(bindings.contacts[0], Contact("a", q=50, ruid="x"))


def delete(bindings: Bindings) -> None:
    bindings.delete(bindings.contacts[1])


def clear(bindings: Bindings) -> None:
    bindings.clear()


MAY_GO = {delete: {"b"}, clear: {"a", "b", "c"}}


@pytest.mark.parametrize("change", [insert, refresh, refresh_in_place, move_up, move_down, delete, clear])
def test_killed_at_every_step(change: Callable[[Bindings], None]) -> None:
    with Local(CFG) as server:
        domain: Any = server.core.module("usrloc").api.domain("location")
        shm = server.core.shm

        def act() -> None:
            with domain.open("alice") as bindings:
                change(bindings)

        step, died = 0, True
        while died:
            with domain.open("alice") as bindings:
                bindings.clear()
                for name, q in (("a", 900), ("b", 500), ("c", 100)):
                    bindings.insert(Contact(name, q=q, ruid=name))
            died = killed_at(shm, 5, step, act, also="modules/usrloc")
            shm.release_dead(5)
            assert shm.check() == []
            left = [contact.address for contact in domain.contacts("alice") or ()]
            assert {"a", "b", "c"} - set(left) <= MAY_GO.get(change, set()), f"step {step}: {left}"
            with domain.open("alice") as bindings:
                bindings.clear()
            assert domain.contacts("alice") is None
            step += 23
        assert step > 200
