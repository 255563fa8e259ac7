"""What `make run` shows."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

from kamailio_py.demo import bound
from tests.kit.ports import Port

ROOT = Path(__file__).parents[2]


def test_the_timeline_of_a_suspended_request() -> None:
    port = Port()
    command = [sys.executable, "-m", "kamailio_py.demo", "--cfg", "cfg/async.cfg", "--port", str(port.number), "--once"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    port.release()
    assert done.returncode == 0, done.stderr
    shown = done.stdout[done.stdout.index("INFO sip:demo@") :]
    assert re.match(rf"INFO sip:demo@127\.0\.0\.1:{port.number}: 404 Not found after 4\.[01] s\n", shown)
    steps = re.findall(r"^ +([0-9.]+) s  (.*?) +process (\d+) \((.*)\)$", shown, re.MULTILINE)
    assert [re.sub(r"\d+:\d+", "I:L", what) for _, what, _, _ in steps] == [
        "received, transaction I:L created",
        "suspended as I:L at async.cfg:75",
        "timer set, due in 4000 ms",
        "put into the queue",
        "taken out of the queue",
        "resumed, route[RESUME] runs",
        "answered with 404",
    ]
    assert [by.split(" ")[0] for _, _, _, by in steps] == ["udp", "udp", "udp", "timer", "ASYNC", "ASYNC", "ASYNC"]
    received, taken = steps[0][2], steps[4][2]
    assert received != taken
    assert 3.99 < float(steps[3][0]) < 4.2


def test_whoever_ends_it_ends_the_server() -> None:
    port = Port()
    command = [sys.executable, "-m", "kamailio_py.demo", "--cfg", "cfg/async.cfg", "--port", str(port.number)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as demo:
        assert demo.stdout is not None
        assert any(line.startswith("serving on") for line in demo.stdout)
        demo.send_signal(signal.SIGTERM)
        demo.stdout.read()  # until the server has closed it, too
        assert demo.wait(10) == 128 + signal.SIGTERM
    assert not bound(port.number)
    port.release()
