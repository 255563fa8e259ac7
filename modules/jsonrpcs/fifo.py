"""Requests from a FIFO; each answer goes to a FIFO of the caller's, named in the request, in `fifo_reply_dir`.

Bytes come as a stream: a document ends with the brace that closes it. One that stays incomplete for a second, or is
longer than any request, is thrown away, so that no caller spoils it for the next one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import stat
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from kamailio_py.log import get_logger
from kamailio_py.module import ModuleError
from kamailio_py.modules.jsonrpcs import files
from kamailio_py.modules.jsonrpcs.call import Answer

if TYPE_CHECKING:
    from kamailio_py.process.process import Process

log = get_logger("jsonrpcs")

LONGEST = 1 << 20
PATIENCE = 1.0
"""Seconds for the rest of a request, and for a caller to read its answer."""
FORBIDDEN = frozenset("/\\.~")


class Documents:
    """Cuts a stream of bytes into documents: whatever ends with the brace that closes the first one."""

    def __init__(self) -> None:
        self.rest = b""
        self._at = self._depth = 0
        self._quoted = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The documents that are complete now."""
        self.rest += data
        while self._at < len(self.rest):
            byte = self.rest[self._at]
            self._at += 1
            if self._quoted:
                if byte == 0x5C:
                    self._at += 1
                elif byte == 0x22:
                    self._quoted = False
            elif byte == 0x22 and self._depth:
                self._quoted = True
            elif byte == 0x7B:
                self._depth += 1
            elif byte == 0x7D and self._depth:
                self._depth -= 1
                if not self._depth:
                    found, self.rest, self._at = self.rest[: self._at], self.rest[self._at :], 0
                    yield found
        if len(self.rest) > LONGEST:
            log.err(f"request of more than {LONGEST} bytes: thrown away")
            self.forget()

    def forget(self) -> None:
        """Begin anew with what comes next."""
        if self.rest.strip():
            log.err(f"incomplete request of {len(self.rest)} bytes: thrown away")
        self.rest, self._at, self._depth, self._quoted = b"", 0, 0, False


class Fifo:
    """See the head of the file."""

    def __init__(self, path: str, reply_dir: str, mode: int, user: int | str, group: int | str) -> None:
        self.path = path
        self.reply_dir = reply_dir
        if not os.path.isdir(reply_dir):
            raise ModuleError(f"Directory stat for MI Fifo reply failed: {os.strerror(errno.ENOENT)}")
        owners = files.user_id(user), files.group_id(group)
        files.remove(path, stat.S_IFIFO)
        try:
            os.mkfifo(path, mode)
            files.hand_over(path, mode, *owners)
            # a writer of our own: without one, each caller's end would be the stream's end
            self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        except OSError as error:
            raise ModuleError(f"Can't create FIFO: {error.strerror} (mode={mode})") from None

    def serve(self, run: Callable[[bytes], Answer | None], process: Process) -> None:
        """The process's loop."""
        documents = Documents()
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        while not process.stopping:
            with process.idle:
                ready = poll.poll(PATIENCE * 1000 if documents.rest else None)
            if not ready:
                documents.forget()
                continue
            try:
                data = os.read(self._fd, 65536)
            except BlockingIOError:
                continue
            for request in documents.feed(data):
                answer = run(request)
                if answer is None:
                    log.err("failed to execute the json document from fifo stream")
                else:
                    self._reply(answer)

    def _reply(self, answer: Answer) -> None:
        name = answer.reply_name
        if not name or FORBIDDEN.intersection(name):
            log.err(f"Forbidden reply fifo filename: {name}")
            log.err(f"cannot open reply fifo: {name}")
            return
        path = os.path.join(self.reply_dir, name)
        try:
            fd = _open_writer(path)
        except OSError as error:
            log.err(f"open error ({path}): {error.strerror}")
            log.err(f"cannot open reply fifo: {name}")
            return
        try:
            _write(fd, answer.body.encode("latin-1"))
        except OSError as error:
            log.err(f"the reader of {path} is gone: {error.strerror}")
        finally:
            os.close(fd)

    def remove(self) -> None:
        os.close(self._fd)
        with contextlib.suppress(OSError):
            os.unlink(self.path)


def _open_writer(path: str) -> int:
    """Open a caller's FIFO once it reads from it; OSError if it does not within a second, or if it is no FIFO."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno != errno.ENXIO or time.monotonic() > until:
                raise
            time.sleep(0.02)
            continue
        if stat.S_ISFIFO(os.fstat(fd).st_mode):
            return fd
        os.close(fd)
        raise OSError(errno.EINVAL, "not a FIFO")


def _write(fd: int, data: Any) -> None:
    """Write everything; OSError if the reader is gone or takes nothing for a second."""
    view = memoryview(data)
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    while view:
        if not poll.poll(PATIENCE * 1000):
            raise OSError(errno.EAGAIN, "nothing was read for a second")
        view = view[os.write(fd, view) :]
