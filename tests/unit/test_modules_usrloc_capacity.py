"""A hundred thousand registered users: they fit, and looking one up costs the same as with a hundred."""

from __future__ import annotations

import time
from typing import Any

from kit.local import Local

from kamailio_py.modules.usrloc.contact import Contact

CFG = """
loadmodule "usrloc"
modparam("usrloc", "preload", "location")
request_route { drop; }
"""
USERS = 100_000


def fill(domain: Any, first: int, last: int) -> None:
    for number in range(first, last):
        contact = Contact(
            f"sip:user{number}@192.0.2.1:5062;transport=udp", received="sip:192.0.2.200:40000",
            callid=f"{number}@192.0.2.1", user_agent="A phone/1.2.3", ruid=f"uloc-6b034e80-11d2-{number:x}",
            expires=1_700_003_600, socket="udp:192.0.2.100:5060",
        )  # fmt: skip
        with domain.open(f"user{number}") as bindings:
            assert bindings.insert(contact)


def cost(domain: Any, step: int) -> float:
    """Seconds of CPU of the fastest of several runs over some users; they are looked up, opened and refreshed."""
    names = [f"user{number * step}" for number in range(100)]
    best = 1e9
    for _ in range(15):
        begun = time.thread_time()
        for name in names:
            [contact] = domain.contacts(name)
            with domain.open(name) as bindings:
                bindings.update(bindings.contacts[0], contact)
        best = min(best, time.thread_time() - begun)
    return best


def test_a_hundred_thousand_users() -> None:
    with Local(CFG, shm=96 << 20) as server:
        domain = server.core.module("usrloc").api.domain("location")
        fill(domain, 0, 100)
        few = cost(domain, 1)
        fill(domain, 100, USERS)
        many = cost(domain, USERS // 100)
        assert domain.users == domain.total == USERS
        assert many < few * 2.5, f"{few * 10_000:.1f} us with a hundred, {many * 10_000:.1f} us with all"
        longest = max(sum(1 for _ in domain._table.walk(bucket)) for bucket in domain._table.filled())
        assert longest <= 24
        begun = time.thread_time()
        domain.sweep(1_700_000_001)
        assert time.thread_time() - begun < 5
        assert domain.users == USERS
        assert server.core.shm.arena.used < 80 << 20
