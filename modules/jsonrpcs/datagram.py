"""Requests in datagrams, over a socket in the file system or over UDP: one datagram each, one for the answer."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kamailio_py.log import get_logger
from kamailio_py.module import ModuleError
from kamailio_py.modules.jsonrpcs import files
from kamailio_py.modules.jsonrpcs.call import Answer

if TYPE_CHECKING:
    from kamailio_py.process.process import Process

log = get_logger("jsonrpcs")

LONGEST = 1 << 20
BUFFER = 1 << 20


class Datagrams:
    """See the head of the file; `timeout` is how long an answer may take to be sent, in milliseconds."""

    def __init__(self, name: str, path: str, timeout: int, mode: int, user: int | str, group: int | str) -> None:
        self.path = ""
        self.timeout = timeout
        if name.startswith("udp:"):
            self._socket = self._udp(name.removeprefix("udp:"))
        else:
            self._socket = self._unix(path, mode, files.user_id(user), files.group_id(group))
            self.path = path
        self._socket.setblocking(False)
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            self._socket.setsockopt(socket.SOL_SOCKET, option, BUFFER)

    @staticmethod
    def _udp(address: str) -> socket.socket:
        host, colon, port = address.rpartition(":")
        if not colon:
            raise ModuleError("no port specified")
        if not port.isdecimal() or int(port) > 65535:
            raise ModuleError("there is not a valid number port")
        try:
            family, *_, target = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)[0]
            made = socket.socket(family, socket.SOCK_DGRAM)
            made.bind(target)
        except OSError as error:
            raise ModuleError(f"bind: {error.strerror or error}") from None
        return made

    @staticmethod
    def _unix(path: str, mode: int, user: int, group: int) -> socket.socket:
        files.remove(path, stat.S_IFSOCK)
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            made.bind(path)
            files.hand_over(path, mode, user, group)
        except OSError as error:
            raise ModuleError(f"bind: {error.strerror or error}") from None
        return made

    def serve(self, run: Callable[[bytes], Answer | None], process: Process) -> None:
        """The process's loop."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        while not process.stopping:
            with process.idle:
                poll.poll()
            try:
                data, caller = self._socket.recvfrom(LONGEST)
            except BlockingIOError:  # another worker was faster
                continue
            except OSError as error:
                log.err(f"recvfrom: ({error.errno}) {error.strerror}")
                continue
            answer = run(data)
            if answer is None:
                log.err("failed to execute the json document from datagram")
            elif caller:
                self._send(answer.body.encode("latin-1"), caller)

    def _send(self, data: bytes, caller: Any) -> None:
        """Send an answer, waiting for a caller whose queue is full, but not for ever."""
        try:
            try:
                self._socket.sendto(data, caller)
            except BlockingIOError:
                self._socket.settimeout(self.timeout / 1000)
                self._socket.sendto(data, caller)
        except TimeoutError:
            log.err("timeout: the answer was not taken")
        except OSError as error:
            log.err(f"failed to send the response: {error.strerror} ({error.errno})")
        finally:
            self._socket.setblocking(False)

    def remove(self) -> None:
        self._socket.close()
        if self.path:
            with contextlib.suppress(OSError):
                os.unlink(self.path)
