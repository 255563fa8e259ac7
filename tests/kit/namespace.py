"""Tests that need a network of their own: a loopback with nobody else on it, and an /etc/resolv.conf and /etc/hosts.

A test file marked `pytest.mark.own_network` is run by a second pytest inside new user, network and mount namespaces,
which takes no privileges; what became of each test there is what becomes of it here (see tests/conftest.py). There a
name server can have 127.0.0.1:53, which is all that the C library's resolver lets one choose.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

INSIDE = "KAMAILIO_OWN_NETWORK"
"""In the environment of the second pytest: the file for its outcomes."""
RESOLV_CONF = "nameserver 127.0.0.1\nsearch search.test\noptions timeout:1 attempts:1\n"
HOSTS = "127.0.0.1 localhost\n127.0.0.1 in-hosts.test\n"
LIMIT = 280
"""Seconds that all tests of one file may take."""
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


def inside() -> bool:
    return INSIDE in os.environ


def loopback_up() -> None:
    """A new network's loopback is down at first."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        flags = struct.unpack("16sH14x", fcntl.ioctl(handle, _SIOCGIFFLAGS, struct.pack("16sH14x", b"lo", 0)))[1]
        fcntl.ioctl(handle, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))


class Outcomes:
    """Runs the marked tests of each file once, when the first of them is due, and knows what became of them."""

    def __init__(self) -> None:
        self._of: dict[str, dict[str, str]] = {}

    def report(self, item: pytest.Item) -> None:
        """Pass, skip or fail as the test did inside."""
        path = str(item.path)
        if path not in self._of:
            wanted = [other.nodeid for other in item.session.items if other.path == item.path]
            self._of[path] = _run(wanted)
        outcome = self._of[path].get(item.nodeid.rpartition("::")[2], self._of[path].get("", "it was not run"))
        kind, _, text = outcome.partition(" ")
        if kind == "skipped":
            pytest.skip(text)
        if kind != "passed":
            pytest.fail(text or kind, pytrace=False)


def _run(names: list[str]) -> dict[str, str]:
    """Names of tests -> "passed", "skipped why" or "failed report"; "" -> what is wrong with the whole run."""
    with tempfile.TemporaryDirectory() as directory:
        outcomes = Path(directory) / "outcomes"
        outcomes.touch()
        for name, text in (("resolv.conf", RESOLV_CONF), ("hosts", HOSTS)):
            (Path(directory) / name).write_text(text)
        mounts = " && ".join(f"mount --bind {directory}/{name} /etc/{name}" for name in ("resolv.conf", "hosts"))
        command = [
            "unshare", "--user", "--map-root-user", "--net", "--mount",
            "sh", "-c", f'{mounts} && exec "$0" -m pytest "$@"', sys.executable, *names,
        ]  # fmt: skip
        environment = {**os.environ, INSIDE: str(outcomes)}
        for name in [name for name in environment if name.startswith("PYTEST_")]:
            del environment[name]  # this run is no worker of the other one
        try:
            ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False)
            said = ran.stdout + ran.stderr
        except subprocess.TimeoutExpired:
            said = f"the tests took longer than {LIMIT} s"
        found: dict[str, str] = {}
        for line in outcomes.read_text().splitlines():
            entry = json.loads(line)
            found[entry["name"]] = f"{entry['outcome']} {entry['text']}"
    if not found:
        refused = "unshare" in said or "mount" in said
        if refused and os.environ.get("KAMAILIO_REQUIRED") != "1":
            return {"": f"skipped namespaces are not permitted here: {said}"}
        return {"": f"failed {said}"}
    return found


def write_outcome(report: Any) -> None:
    """Inside: note what became of a test."""
    if report.when == "call" or report.outcome != "passed":
        text = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else report.longreprtext
        entry = {"name": report.nodeid.rpartition("::")[2], "outcome": report.outcome, "text": text}
        with open(os.environ[INSIDE], "a") as file:
            file.write(json.dumps(entry) + "\n")
