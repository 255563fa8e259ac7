"""Global parameters that are about sockets and processes, seen from outside."""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from kamailio_py.engine.addresses import IF_INET6
from tests.kit.server import Server, our_command
from tests.kit.waiting import until

TIMERS = 3
GROUP = "239.255.7.9"
ELSEWHERE = "203.0.113.9"
"""An address that no machine of the tests has."""
CFG = """
children=1
auto_aliases=no
disable_tcp=yes
fork_delay=60000
wait_worker1_mode=1
wait_worker1_time={patience}
wait_worker1_usleep=1000
{more}
loadmodule "pv"
loadmodule "sl"
loadmodule "cfgutils"
event_route[core:worker-one-init] {{ usleep("300000"); }}
request_route {{ sl_send_reply("200", "$Ri"); }}
"""
MORE = """
mcast="lo"
mcast_loopback=yes
mcast_ttl=0
auto_bind_ipv6=yes
ip_free_bind=yes
pmtu_discovery=1
mlock_pages=yes
real_time=7
rt_prio=5
rt_policy=1
rt_timer1_prio=7
rt_timer1_policy=2
rt_timer2_prio=8
rt_timer2_policy=1
"""
ASKED = """OPTIONS sip:bob@example.test SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK1;rport
From: <sip:a@b>;tag=1
To: <sip:a@b>
Call-ID: multicast
CSeq: 7 OPTIONS
Content-Length: 0

"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    listen = (f"udp:{GROUP}:{{port}}", "udp:lo:{port}", f"udp:{ELSEWHERE}:{{port}}")
    made = Server("ours", our_command(), CFG.format(patience=5_000_000, more=MORE), listen=listen)
    made.start()
    receivers = len(addresses(made))
    until(lambda: len(processes(made)) == 1 + receivers + TIMERS, 20)
    yield made
    made.stop()


def addresses(server: Server) -> list[str]:
    """What is listened on, as it was told at the start."""
    return re.findall(r"udp: (\S+):\d+$", server.log(), re.MULTILINE)


def processes(server: Server) -> list[int]:
    """The main process and its children, in the order in which they were forked."""
    assert server.process is not None
    main = server.process.pid
    return [main, *map(int, Path(f"/proc/{main}/task/{main}/children").read_text().split())]


def started(pid: int) -> float:
    """Seconds after the machine's start."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def test_the_first_worker_is_waited_for(server: Server) -> None:
    first, second, *_ = [started(pid) for pid in processes(server)[1:]]
    assert second - first >= 0.29


def test_delay_of_forks(server: Server) -> None:
    """There are so many microseconds between any two, and the times of their starts are hundredths of seconds."""
    times = [started(pid) for pid in processes(server)[1:]]
    assert all(later - earlier >= 0.05 for earlier, later in pairwise(times))
    assert times[-1] - times[1] < 0.25 * (len(times) - 2)


def test_addresses_that_are_listened_on(server: Server) -> None:
    expected = {GROUP, "127.0.0.1", ELSEWHERE}
    if IF_INET6.exists():
        expected.add("::1")
    assert set(addresses(server)) == expected


def test_a_group_that_was_joined(server: Server) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind(("127.0.0.1", 0))
        client.settimeout(5)
        loopback = struct.pack("4s4si", bytes(4), bytes(4), socket.if_nametoindex("lo"))
        client.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, loopback)
        asked = ASKED.format(port=client.getsockname()[1]).replace("\n", "\r\n")
        client.sendto(asked.encode(), (GROUP, server.port))
        assert client.recv(4096).startswith(f"SIP/2.0 200 {GROUP}\r\n".encode())


def test_priorities(server: Server) -> None:
    main, *children = processes(server)
    others = (os.SCHED_RR, 5)
    wanted = [others] * len(children)
    timers = len(addresses(server))
    wanted[timers : timers + 2] = [(os.SCHED_RR, 8), (os.SCHED_FIFO, 7)]  # slow timer, timer
    if "could not switch to real time priority" in server.log():
        pytest.fail("these tests need the right to have real-time processes")
    assert [(os.sched_getscheduler(pid), os.sched_getparam(pid).sched_priority) for pid in children] == wanted
    assert (os.sched_getscheduler(main), os.sched_getparam(main).sched_priority) == others


def test_pages_are_locked(server: Server) -> None:
    main = processes(server)[0]
    locked = re.search(r"VmLck:\s+(\d+) kB", Path(f"/proc/{main}/status").read_text())
    assert locked is not None
    assert int(locked[1]) > 64 * 1024


def test_a_first_worker_that_takes_too_long() -> None:
    server = Server("ours", our_command(), CFG.format(patience=50_000, more=""))
    server.start()
    assert server.process is not None
    assert server.process.wait(10) == 255
    assert "waiting for child one too long - wait time: 50000" in server.log()
    server.stop()
