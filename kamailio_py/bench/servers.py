"""The servers that are measured: how each is started on a cfg and a port, and stopped; not what they are asked."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kamailio_py import __version__
from kamailio_py.bench import interpreter, processes

START_PATIENCE = 30.0
WITHOUT_BYTECODE = "PYTHONDONTWRITEBYTECODE"
"""Not passed on: an installed server finds its modules compiled, and so is this one to, from its second start on."""
COMPILING = 20.0
"""Seconds of full load that a Python which compiles what runs often (PyPy) gets before it is measured."""


class StartFailed(Exception):
    """The server did not come up; the text is what it said."""


@dataclass(frozen=True)
class Kind:
    """One server to compare: its name in reports and its command line.

    Kamailio's own options for cfg, port, memory and, if it is said, the number of receivers are added, unless the
    command has a `{port}` to be filled in (then also `{cfg}`, `{transport}`, `{receivers}` and `{directory}`).
    """

    name: str
    command: tuple[str, ...]
    version: str = ""
    python: interpreter.Interpreter | None = None
    warm_up: float = 0.3
    """Seconds of full load before it is measured."""

    def as_json(self) -> dict[str, Any]:
        """What a report says of it. Others read reports, so of ours it does not say where its modules lie."""
        if self.python is None:
            return {"command": list(self.command), "version": self.version, "python": None}
        return {"command": ["kamailio-py"], "version": self.version, "python": asdict(self.python)}

    def arguments(
        self, cfg: Path, transport: str, port: int, memory: int, receivers: int | None, directory: Path
    ) -> list[str]:
        if any("{port}" in word for word in self.command):
            places = {
                "cfg": cfg, "transport": transport, "port": port, "receivers": receivers or 1, "directory": directory,
            }  # fmt: skip
            return [word.format(**places) for word in self.command]
        listen = f"{transport}:127.0.0.1:{port}"
        options = ["-f", str(cfg), "-DD", "-E", "-m", str(memory), "-M", "16", "-Y", str(directory), "-l", listen]
        return [*self.command, *options, *([] if receivers is None else ["-n", str(receivers)])]


def ours(pythons: Sequence[str] = ()) -> list[Kind]:
    """This server, run by each of those Pythons or by the one that runs kambench.

    With several the implementation is part of the name, and from the second one of a kind on its path.
    """
    made: list[Kind] = []
    for path in pythons or (sys.executable,):
        described = interpreter.describe(path)
        name = f"kamailio-py {described.implementation}" if len(pythons) > 1 else "kamailio-py"
        if any(name == other.name for other in made):
            name = f"kamailio-py {path}"
        warm_up = Kind.warm_up if described.implementation == "CPython" else COMPILING
        command = tuple(interpreter.command(path))
        made.append(Kind(name, command, f"kamailio-py {__version__}", described, warm_up))
    return made


def real() -> list[Kind]:
    """The installed Kamailio, as it starts by default and with its fastest memory manager; [] where there is none."""
    path = shutil.which("kamailio")
    if path is None:
        return []
    version = subprocess.run([path, "-v"], capture_output=True, text=True, timeout=30).stdout
    version = version.partition("\n")[0].removeprefix("version: ")
    return [Kind("Kamailio", (path,), version), Kind("Kamailio -x fm", (path, "-x", "fm", "-X", "fm"), version)]


def custom(text: str) -> Kind:
    """A server by its command line, `NAME=COMMAND` or `COMMAND`."""
    name, equals, rest = text.partition("=")
    if not equals or "/" in name or " " in name.strip():
        name, rest = "", text
    words = tuple(shlex.split(rest))
    if not words or shutil.which(words[0]) is None:
        raise StartFailed(f"{text}: there is no such command")
    return Kind(name.strip() or Path(words[0]).name, words, "")


class Server:
    """One server running on 127.0.0.1:`port`. `started` is seconds from fork to the first answer, `started_cpu`
    what its processes have used by then.

    `receivers` is the number of its processes that receive, where it is not the cfg's.
    """

    def __init__(
        self, kind: Kind, cfg: Path, transport: str, port: int, memory: int = 256, receivers: int | None = None
    ) -> None:
        self.kind = kind
        self.port = port
        self.started = self.started_cpu = 0.0
        self._directory = Path(tempfile.mkdtemp(prefix="kambench-"))
        self._arguments = kind.arguments(cfg.resolve(), transport, port, memory, receivers, self._directory)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, answers: Callable[[], bool]) -> None:
        """Start it and ask `answers()` until that is true. StartFailed with what the server said if it never is."""
        log = self._directory / "log"
        begun = time.perf_counter()
        with log.open("wb") as stream:
            self._process = subprocess.Popen(
                self._arguments, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True,
                env={name: value for name, value in os.environ.items() if name != WITHOUT_BYTECODE},
            )  # fmt: skip
        while not answers():
            if self._process.poll() is not None or time.perf_counter() - begun > START_PATIENCE:
                text = " | ".join(line[:200] for line in log.read_text(errors="replace").splitlines()[-4:])
                how = "did not answer" if self._process.poll() is None else f"ended with {self._process.returncode}"
                self.stop()
                raise StartFailed(f"{self.kind.name} {how}: {text or 'it said nothing'}")
            time.sleep(0.005)
        self.started = time.perf_counter() - begun
        self.started_cpu = processes.cpu(self._process.pid).total

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


def free_port() -> int:
    """A port below the kernel's ephemeral ones that nobody has bound, neither UDP nor TCP."""
    for number in range(20000 + os.getpid() % 9000, 32000):
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            contextlib.suppress(OSError),
        ):
            udp.bind(("127.0.0.1", number))
            tcp.bind(("127.0.0.1", number))
            return number
    raise RuntimeError("no free port")
