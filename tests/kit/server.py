"""Servers under test: real Kamailio and kamailio-py, started with the same options on a cfg, each in its own directory.

Only processes this started are ever signalled: the master by its pid, and what is left of the process group it leads.
A server is listening when its UDP port is bound and all its processes sleep, waiting for something to do.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from kamailio_py.inspector import check
from kamailio_py.inspector.segment import attached
from kamailio_py.shm import instances
from kamailio_py.shm.errors import SharedMemoryError

from .ports import Port
from .programs import program

START_PATIENCE = 30.0
_LINE = re.compile(r"^ *\d+\(\d+\) ")
_SCRIPT = re.compile(r"^ *\d+\(\d+\) (?P<level>[A-Z]*):? ?(?P<prefix>.*?)<script>: (?P<text>.*)$", re.DOTALL)


def real_command() -> list[str]:
    """The installed Kamailio; the test is skipped, or fails with KAMAILIO_REQUIRED=1, where there is none."""
    return [program("kamailio")]


def our_command() -> list[str]:
    """This server, by the Python of the tests or by the one that KAMAILIO_PY_PYTHON names."""
    python = os.environ.get("KAMAILIO_PY_PYTHON", sys.executable)
    path = Path(python).parent / "kamailio-py"
    return [str(path)] if path.exists() else [python, "-m", "kamailio_py.server"]


class StartFailed(Exception):
    """The server did not come up; the text is what it said."""


class Server:
    """One daemon: `start()`, `stop()`, its log, and the port it listens on.

    `@DIR@` in the cfg is a directory of its own, in which `prepare(directory)` may put what the server needs.
    `fence` is the user part of a request-URI at which the cfg answers an OPTIONS with 200, "" the server itself.
    """

    fence = "fence"

    def __init__(
        self,
        name: str,
        command: list[str],
        cfg: str,
        options: list[str] | None = None,
        prepare: Callable[[Path], None] | None = None,
        *,
        listen: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.directory = Path(tempfile.mkdtemp(prefix=f"sip-test-{name}-"))
        self.cfg_path = self.directory / "test.cfg"
        self.cfg_path.write_text(cfg.replace("@DIR@", str(self.directory)), encoding="latin-1")
        if prepare is not None:
            prepare(self.directory)
        self.log_path = self.directory / "log"
        self._port = Port()
        self.port = self._port.number
        self.address = ("127.0.0.1", self.port)
        runtime = self.directory / "run"
        runtime.mkdir()
        self.arguments = [*command, "-f", str(self.cfg_path), "-DD", "-E", "-m", "64", "-Y", str(runtime)]
        self.arguments += ["-l", f"udp:127.0.0.1:{self.port}", *(options or [])]
        for where in listen:
            self.arguments += ["-l", where.format(port=self.port) if "{port}" in where else f"{where}:{self.port}"]
        self.process: subprocess.Popen[bytes] | None = None
        self._shared_before: set[str] = set()

    def start(self) -> Server:
        self._shared_before = _shared_objects()
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                self.arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_PATIENCE
        settled = 0
        while settled < 3:
            if self.process.poll() is not None:
                said = self.log(-3000)
                self.stop()
                raise StartFailed(f"{self.name} ended with {self.process.returncode}:\n{said}")
            if time.monotonic() > deadline:
                said = self.log(-3000)
                self.stop()
                raise StartFailed(f"{self.name} is not listening after {START_PATIENCE:g} s:\n{said}")
            time.sleep(0.02)
            settled = settled + 1 if _bound(self.port) and _all_sleep(self.process.pid) else 0
        return self

    @property
    def ctl(self) -> str:
        """The control socket, where ctl has it unless the cfg says otherwise."""
        return str(self.directory / "run" / "kamailio_ctl")

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self) -> int | None:
        """Stop with SIGTERM, clean up whatever is left; the exit status of the master."""
        faults: list[str] = []
        if self.process is not None:
            if self.alive:
                faults = inconsistencies(self.process.pid)
                self.process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self._remove_shared()
        self._port.release()
        status = self.process.returncode if self.process else None
        shutil.rmtree(self.directory, ignore_errors=True)
        assert not faults, f"shared memory of {self.name}: {faults}"
        return status

    def _remove_shared(self) -> None:
        """Remove what a killed server left in /dev/shm: objects made since the start that carry its pid or port."""
        assert self.process is not None
        marks = (str(self.process.pid), str(self.port), self.directory.name)
        for name in _shared_objects() - self._shared_before:
            if any(mark in name for mark in marks):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"/dev/shm/{name}")

    def settle(self, patience: float = 0.5) -> None:
        """Wait until all processes sleep: what they were asked before is done, and logged."""
        assert self.process is not None
        deadline = time.monotonic() + patience
        asleep = 0
        while asleep < 2 and time.monotonic() < deadline:
            asleep = asleep + 1 if _all_sleep(self.process.pid) else 0
            time.sleep(0.002)

    # -- the log

    def log(self, offset: int = 0) -> str:
        """The log from `offset` on, or its last -offset characters."""
        if not self.log_path.exists():
            return ""
        # Bytes, not text: universal newlines would shift the offsets.
        return self.log_path.read_bytes().decode("latin-1")[offset:]

    def log_size(self) -> int:
        return self.log_path.stat().st_size

    def log_contains(self, text: str, offset: int = 0) -> bool:
        return text in self.log(offset)

    def wait_log(self, text: str, offset: int = 0, timeout: float = 8.0) -> bool:
        """Wait until the log has `text` after `offset`."""
        deadline = time.monotonic() + timeout
        while not self.log_contains(text, offset):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def script_lines(self, offset: int = 0) -> list[str]:
        """What xlog wrote since `offset`, as `LEVEL: text`, lines of one call together."""
        return script_lines(self.log(offset))


def inconsistencies(master: int) -> list[str]:
    """What `kamshm check` finds in the shared memory of that server; [] for one that has none, as real Kamailio."""
    for found in instances.instances():
        if found.master == master and found.live:
            try:
                with attached(found.name) as segment:
                    return check.faults(segment) if segment.header.forked else []
            except SharedMemoryError:
                return []  # it stops at this moment
    return []


def script_lines(log: str) -> list[str]:
    entries: list[str] = []
    for line in log.replace("\r\n", "\n").removesuffix("\n").split("\n"):
        if _LINE.match(line) or not entries:
            entries.append(line)
        else:
            entries[-1] += "\n" + line
    found = []
    for entry in entries:
        match = _SCRIPT.match(entry)
        if match:
            found.append(f"{match['level']}: {match['prefix']}{match['text']}")
    return found


def _shared_objects() -> set[str]:
    try:
        return set(os.listdir("/dev/shm"))
    except FileNotFoundError:
        return set()


def _bound(port: int) -> bool:
    wanted = f"0100007F:{port:04X}"
    with open("/proc/net/udp") as table:
        return any(line.split()[1] == wanted for line in table if ":" in line)


def process_tree(pid: int) -> list[int]:
    """`pid` and its descendants."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError), open(f"/proc/{parent}/task/{parent}/children") as children:
            found += [int(word) for word in children.read().split()]
    return found


def _all_sleep(pid: int) -> bool:
    tree = process_tree(pid)
    for number in tree:
        try:
            with open(f"/proc/{number}/stat") as stat:
                if stat.read().rpartition(")")[2].split()[0] != "S":
                    return False
        except OSError:
            return False
    return len(tree) > 1


@contextlib.contextmanager
def both(cfg: str) -> Iterator[list[Server]]:
    """Real Kamailio and ours, running on the same cfg."""
    servers = [Server("real", real_command(), cfg), Server("ours", our_command(), cfg)]
    try:
        yield [server.start() for server in servers]
    finally:
        for server in servers:
            server.stop()
