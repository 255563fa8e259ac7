"""Signals of the main process arrive one after the other, to stop first, and not at a forked child."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os, signal, sys, time
from kamailio_py.process.arrivals import Arrivals
arrivals = Arrivals()
arrivals.listen()
assert arrivals.wait(0) is None
os.kill(os.getpid(), signal.SIGUSR1)
os.kill(os.getpid(), signal.SIGTERM)
assert {arrivals.wait(5), arrivals.wait(5)} == {signal.SIGUSR1, signal.SIGTERM}
with arrivals.blocked():
    os.kill(os.getpid(), signal.SIGHUP)
    assert arrivals.wait(0) is None
    child = os.fork()
    if child == 0:
        Arrivals.leave()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR2])
        os.kill(os.getpid(), signal.SIGUSR2)
        os._exit(0)
assert {arrivals.wait(5), arrivals.wait(5)} == {signal.SIGHUP, signal.SIGCHLD}
assert os.waitpid(child, 0)[1] == 0
assert arrivals.wait(0) is None, "a signal of the child"
for _ in range(5000):
    os.kill(os.getpid(), signal.SIGCHLD)
os.kill(os.getpid(), signal.SIGTERM)
assert [arrivals.wait(0) for _ in range(3)] == [signal.SIGTERM, signal.SIGCHLD, None]
"""


def test_signals_arrive_in_turn() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
