"""Requests put aside by the async module: the room its cases are played in, and a request that is answered later."""

from __future__ import annotations

from .room import Room
from .scene import Scene


def async_room(name: str) -> Room:
    """Two groups of workers, one of each, and short times."""
    return Room(
        name,
        modules="async",
        globals_="""
async_workers=1
async_workers_group="name=fast;workers=1;nonblock=0;usleep=0"
async_workers_group="name=slow;workers=1"
""",
        params="""
modparam("async", "workers", 1)
modparam("async", "ms_timer", 10)
modparam("tm", "wt_timer", 1000)
modparam("tm", "fr_timer", 4000)
modparam("htable", "htable", "t=>size=4;")
""",
    )


def answered(s: Scene, status: int = 200, method: str = "MESSAGE") -> None:
    """One request that gets this reply."""
    alice = s.agent("alice")
    sent = alice.request(method)
    reply = alice.expect(status, method)
    if method == "INVITE" and status >= 300:
        alice.ack(sent, reply)
