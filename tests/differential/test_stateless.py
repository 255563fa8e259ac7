"""Stateless replies and forwarding."""

from __future__ import annotations

from kit.room import Room
from kit.scene import Scene

room = Room("stateless")


@room.case("""
route[sl_reply] {
    sl_send_reply("200", "OK");
    xlog("L_NOTICE", "after reply $rc\\n");
}
""")
def test_sl_reply(s: Scene) -> None:
    alice = s.agent("alice")
    alice.request("OPTIONS")
    alice.expect(200)
