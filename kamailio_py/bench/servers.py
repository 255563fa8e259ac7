"""The servers that are measured: started on one cfg, stopped, and their CPU time and shared memory read from /proc.

CPU time is that of every process of the server, user and system, in nanoseconds from /proc/<pid>/schedstat. Shared
memory is what the server has touched of its shared mappings: the shares of all its processes summed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CFG = """#!KAMAILIO
debug=-1
log_stderror=yes
children=1
disable_tcp=yes
auto_aliases=no
dns=no
rev_dns=no
async_workers=1
loadmodule "tm.so"
loadmodule "tmx.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "async.so"
modparam("tm", "fr_timer", 200000)
modparam("tm", "fr_inv_timer", 200000)
modparam("tm", "max_noninv_lifetime", 300000)
modparam("tm", "wt_timer", 2000)

request_route {
    if (is_method("OPTIONS")) {
        sl_send_reply("200", "OK");
        exit;
    }
    if (is_method("MESSAGE")) {
        t_newtran();
        t_reply("200", "OK");
        exit;
    }
    if (is_method("INFO")) {
        async_task_route("RESUME");
        exit;
    }
    if (is_method("NOTIFY")) {
        async_route("RESUME", "99");
        exit;
    }
    if (has_totag()) {
        if (loose_route()) {
            t_relay();
        }
        exit;
    }
    record_route();
    t_relay();
}

route[RESUME] {
    t_reply("200", "OK");
}
"""


class StartFailed(Exception):
    """The server did not come up; the text is what it said."""


class Server:
    """One server under measurement, listening on `port`."""

    def __init__(self, name: str, command: list[str], memory: int) -> None:
        self.name = name
        self._command = command
        self._memory = memory
        self._process: subprocess.Popen[bytes] | None = None
        self._directory = Path(tempfile.mkdtemp(prefix="kamailio-bench-"))
        self.port = _free_port()

    def start(self) -> None:
        cfg = self._directory / "bench.cfg"
        cfg.write_text(CFG)
        arguments = [*self._command, "-f", str(cfg), "-DD", "-E", "-m", str(self._memory), "-M", "16"]
        arguments += ["-Y", str(self._directory), "-l", f"udp:127.0.0.1:{self.port}"]
        log = self._directory / "log"
        with log.open("wb") as stream:
            self._process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True
            )
        deadline = time.monotonic() + 30
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                text = log.read_text(errors="replace")[-2000:]
                self.stop()
                raise StartFailed(f"{self.name} did not start:\n{text}")

    def _answers(self) -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(0.2)
            probe.connect(("127.0.0.1", self.port))
            host = "%s:%d" % probe.getsockname()
            text = (
                f"OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {host};branch=z9hG4bKprobe\r\n"
                "From: <sip:p@p>;tag=p\r\nTo: <sip:p@p>\r\nCall-ID: probe\r\nCSeq: 1 OPTIONS\r\n"
                "Content-Length: 0\r\n\r\n"
            )
            try:
                probe.send(text.encode())
                return probe.recv(4096).startswith(b"SIP/2.0 200")
            except ConnectionRefusedError:
                time.sleep(0.02)
            except TimeoutError:
                pass
            return False

    def stop(self) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(30)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    def processes(self) -> list[int]:
        assert self._process is not None
        found = [self._process.pid]
        for pid in found:
            with contextlib.suppress(OSError):
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
                found += [int(word) for word in children.split()]
        return found

    def cpu(self) -> float:
        """CPU seconds used so far."""
        total = 0
        for pid in self.processes():
            with contextlib.suppress(OSError):
                total += int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
        return total / 1e9

    def shared(self) -> int:
        """Bytes of shared memory touched so far."""
        total = 0
        for pid in self.processes():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss_Shmem:"):
                        total += int(line.split()[1]) * 1024
        return total


KINDS = ("ours", "default", "fm")
TITLES = {"ours": "kamailio-py", "default": "Kamailio", "fm": "Kamailio -x fm"}


def server(kind: str, memory: int = 256) -> Server | None:
    """A server of the kind, None where it is not installed. `memory` is the size of its shared memory in MiB."""
    if kind == "ours":
        command = Path(sys.executable).parent / "kamailio-py"
        if command.exists():
            return Server(TITLES[kind], [str(command)], memory)
        return Server(TITLES[kind], [sys.executable, "-m", "kamailio_py.server"], memory)
    path = shutil.which("kamailio")
    if path is None:
        return None
    return Server(TITLES[kind], [path, *(("-x", "fm", "-X", "fm") if kind == "fm" else ())], memory)


def _free_port() -> int:
    """A port below the kernel's ephemeral ones that nobody has bound."""
    for number in range(20000 + os.getpid() % 9000, 32000):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", number))
            return number
    raise RuntimeError("no free port")
