"""Where ctl listens: `[proto:]name[:port]` as the parameters write it, and the socket made of it.

proto is unix (or unixs), unixd, tcp, udp, fifo; without one, a name with a slash is a unix stream socket and anything
else UDP. Knows nothing of what is said over a socket.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Callable

from kamailio_py.dataclass import dataclass
from kamailio_py.module import ModuleError
from kamailio_py.sip.ip import is_ip

DEFAULT_PORT = 2049
BACKLOG = 512
KINDS = {"unix": "unix_stream", "unixs": "unix_stream", "unixd": "unix_dgram", "fifo": "fifo"}


@dataclass(slots=True)
class Owner:
    """Who may use the sockets in the file system: -1 leaves user or group as they are."""

    mode: int = 0o600
    user: int = -1
    group: int = -1


class Listening:
    """One address; `descriptor` is its socket, or the file descriptor of a fifo, once `open()` was called."""

    def __init__(self, protocol: str, kind: str, name: str, port: int = 0) -> None:
        self.protocol = protocol
        self.kind = kind
        self.name = name
        self.port = port
        self.socket: socket.socket | None = None
        self.fifo = -1

    @property
    def is_file(self) -> bool:
        return self.kind in ("unix_stream", "unix_dgram", "fifo")

    @property
    def is_stream(self) -> bool:
        return self.kind in ("unix_stream", "tcp")

    def described(self) -> list[str]:
        """As ctl.listen answers: protocol, kind, name, port."""
        return [self.protocol, self.kind, self.name, "" if self.is_file else str(self.port)]

    def open(self, owner: Owner) -> None:
        """Bind it; ModuleError when the system refuses."""
        try:
            if self.kind == "fifo":
                self._open_fifo()
            elif self.is_file:
                self._open_unix()
            else:
                self._open_inet()
            if self.is_file:
                os.chmod(self.name, owner.mode)
                if (owner.user, owner.group) != (-1, -1):
                    os.chown(self.name, owner.user, owner.group)
        except OSError as error:
            self.close()
            raise ModuleError(f"ctl: init ctrl. sockets failed: {self}: {error.strerror or error}") from None

    def _open_fifo(self) -> None:
        _remove(self.name, stat.S_ISFIFO)
        os.mkfifo(self.name, 0o600)
        # Opened for writing as well, so that the last writer's leaving is no end of file.
        self.fifo = os.open(self.name, os.O_RDWR | os.O_NONBLOCK)

    def _open_unix(self) -> None:
        _remove(self.name, stat.S_ISSOCK)
        made = socket.SOCK_STREAM if self.is_stream else socket.SOCK_DGRAM
        self.socket = socket.socket(socket.AF_UNIX, made)
        mask = os.umask(0o177)  # nobody gets in between bind and chmod
        try:
            self.socket.bind(self.name)
        finally:
            os.umask(mask)
        self._listen()

    def _open_inet(self) -> None:
        made = socket.SOCK_STREAM if self.is_stream else socket.SOCK_DGRAM
        self.socket = socket.socket(socket.AF_INET, made)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("" if self.name == "*" else self.name, self.port))
        self._listen()

    def _listen(self) -> None:
        assert self.socket is not None
        self.socket.setblocking(False)
        if self.is_stream:
            self.socket.listen(BACKLOG)

    def close(self) -> None:
        """Close it and remove what it left in the file system."""
        opened = self.socket is not None or self.fifo >= 0
        if self.socket is not None:
            self.socket.close()
            self.socket = None
        if self.fifo >= 0:
            os.close(self.fifo)
            self.fifo = -1
        if self.is_file and opened:
            with contextlib.suppress(OSError):
                os.unlink(self.name)

    def __str__(self) -> str:
        return self.name if self.is_file else f"{self.kind}:{self.name}:{self.port}"


def parse_address(text: str, protocol: str) -> Listening:
    """An address of a parameter; ValueError with Kamailio's words."""
    bad = ValueError(f'ctl: bad listen socket: "{text}"' if protocol == "binrpc" else f'ctl: bad fifo: "{text}"')
    proto, colon, rest = text.partition(":")
    if colon and proto in KINDS:
        kind, name = KINDS[proto], rest
    elif protocol == "fifo":
        kind, name = "fifo", text
    elif "/" in text:
        kind, name = "unix_stream", text
    else:
        return _inet(text, protocol, bad)
    if not name or (kind == "fifo") != (protocol == "fifo"):
        raise bad
    return Listening(protocol, kind, name)


def _inet(text: str, protocol: str, bad: ValueError) -> Listening:
    parts = text.split(":")
    proto = parts.pop(0) if parts[0] in ("tcp", "udp") else "udp"
    if not 1 <= len(parts) <= 2 or (len(parts) == 2 and not parts[1].isdecimal()):
        raise bad
    name, port = parts[0], parts[1] if len(parts) == 2 else None
    if port is None and name.isdecimal():
        name, port = "*", name
    if name != "*" and not is_ip(name):
        raise ValueError(f"ctl: bad address {name}")
    return Listening(protocol, proto, name, int(port or DEFAULT_PORT) & 0xFFFF)


def _remove(path: str, is_kind: Callable[[int], bool]) -> None:
    """Remove what an earlier server left at this path, if it is of the same kind; OSError is left to the caller."""
    with contextlib.suppress(FileNotFoundError):
        if is_kind(os.lstat(path).st_mode):
            os.unlink(path)
