"""pike on both servers: who is blocked after how many requests, and unblocked when they end."""

from __future__ import annotations

import time

from kit.kamcmd import kamcmd
from kit.room import Room
from kit.scene import Scene

slow = Room("pike", modules="ctl pike", params="""
modparam("pike", "sampling_time_unit", 600)
modparam("pike", "reqs_density_per_unit", 9)
modparam("pike", "remove_latency", 1000)
""")  # fmt: skip
quick = Room("pike_quick", modules="ctl pike", params="""
modparam("pike", "sampling_time_unit", 1)
modparam("pike", "reqs_density_per_unit", 5)
modparam("pike", "remove_latency", 3)
""")  # fmt: skip


@slow.case("""
route[flood] {
    pike_check_req();
    xlog("L_NOTICE", "$rc\\n");
    sl_send_reply("200", "Fine");
}
""")
def test_flood(s: Scene) -> None:
    s.mask(r"expires: \d+")
    alice = s.agent("alice")
    s.tell("pike.top", "pike.list")
    for _ in range(24):
        alice.request("OPTIONS")
        alice.expect(200)
    s.tell("pike.top", "pike.list", "pike.top HOT", "pike.top ALL", "pike.top nothing")
    s.tell("pike.top WARM", "stats.get_statistics pike:")


@slow.case("""
route[addresses] {
    $var(i) = 0;
    while ($var(i) < $(hdr(X-Times){s.int})) {
        pike_check_ip("$hdr(X-IP)");
        xlog("L_NOTICE", "$hdr(X-IP) $var(i): $rc\\n");
        $var(i) = $var(i) + 1;
    }
    sl_send_reply("200", "Fine");
}
""")
def test_addresses(s: Scene) -> None:
    s.mask(r"expires: \d+")
    alice = s.agent("alice")
    for ip, times in (
        ("10.0.0.1", 5), ("10.0.0.2", 20), ("10.0.0.1", 14), ("10.0.1.1", 20), ("10.200.1.1", 8), ("250.1.1.1", 30),
        ("nonsense", 1), ("2001:db8::1", 1), ("250.1.1.2", 12), ("10.0.0.2", 1),
    ):  # fmt: skip
        alice.request("OPTIONS", headers=f"X-IP: {ip}\nX-Times: {times}")
        alice.expect(200)
    s.tell("pike.top ALL", "pike.top HOT")


@quick.case("""
route[unblocked] {
    if (pike_check_ip("10.1.1.1")) { sl_send_reply("200", "Fine"); } else { sl_send_reply("503", "Blocked"); }
}
""")
def test_unblocked(s: Scene) -> None:
    """Blocked while requests come, let in again after two quiet time units, forgotten after the latency."""
    alice = s.agent("alice")
    for _ in range(60):
        alice.request("OPTIONS")
        alice.drain()
    s.fence()
    alice.drain()
    s.note(f"some were refused: {any(arrival.message.status == 503 for arrival in alice.arrivals)}")
    s.note(f"blocked: {'10.1.1.1' in kamcmd(s.server.ctl, 'pike.top', 'HOT')}")
    deadline = time.monotonic() + 12
    hot_until = 0.0
    start = time.monotonic()
    while "10.1.1.1" in kamcmd(s.server.ctl, "pike.top", "ALL"):
        if "10.1.1.1" in kamcmd(s.server.ctl, "pike.top", "HOT"):
            hot_until = time.monotonic() - start
        assert time.monotonic() < deadline
        time.sleep(0.1)
    gone = time.monotonic() - start
    s.note(f"no longer hot soon: {hot_until < 5}, gone within the latency: {1.5 < gone < 9}")
    alice.request("OPTIONS", call_id="afterwards")
    alice.listen(0.3)
    last = alice.arrivals[-1].message
    s.note(f"afterwards: {last.start} {last.call_id}")
    alice.arrivals.clear()
