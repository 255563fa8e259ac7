"""The text protocol of ctl's fifo: `:command:reply-fifo`, a line for each argument, an empty line.

The answer goes to the named fifo in the directory of temporary files: `200 OK` and a line for each value, a struct as
`{name:value,name:value}`; or the fault's code and text. Lines are those of Kamailio; what real 5.6.3 writes for values
is memory that it has freed already, so the form of structs was read from what can still be made out of it.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

from kamailio_py.log import get_logger
from kamailio_py.module import RpcFault
from kamailio_py.rpc.binrpc import NULL_STRING
from kamailio_py.rpc.call import Call
from kamailio_py.rpc.commands import commands
from kamailio_py.rpc.values import Struct

from .addresses import Listening

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core

logger = get_logger()

DIRECTORY = "/tmp"
MAX_TEXT = 64 << 10
"""Bytes of one request."""
ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0", ":": "\\o", ",": "\\c"})


class FifoCall(Call):
    """One request of a fifo: every argument is text, and becomes what the command asks for."""

    transport = "fifo"

    def take(self, letter: str, convert: bool) -> Any:
        return super().take(letter, True)


class Fifo:
    """Gathers what comes over the fifos until a request is whole, and answers it."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._pending: dict[str, bytes] = {}

    def read(self, listening: Listening, data: bytes) -> None:
        """More bytes came over this fifo."""
        pending = (self._pending.pop(listening.name, b"") + data).replace(b"\r\n", b"\n")
        while b"\n\n" in pending:
            request, pending = pending.split(b"\n\n", 1)
            self._request(request.strip(b"\n").decode("latin-1"))
            pending = pending.lstrip(b"\n")
        if len(pending) > MAX_TEXT:
            logger.err(f"a request of more than {MAX_TEXT} bytes on {listening} is dropped")
        elif pending:
            self._pending[listening.name] = pending

    def _request(self, text: str) -> None:
        first, *arguments = text.split("\n")
        parts = first.split(":", 2)
        if len(parts) != 3 or parts[0]:
            logger.err(f"command must begin with ':': {first[:80]!r}")
            return
        _, name, reply = parts
        known = commands(self.core)
        command = known.find(name)
        call = FifoCall(arguments)
        if command is None:
            call.fail(RpcFault(500, f"Command '{name}' not found"))
        else:
            known.run(command, call)
        if call.failure is not None:
            answer = f"{call.failure.code} {call.failure.text}\n"
        else:
            answer = "200 OK\n" + "".join(f"{line(value)}\n" for value in call.values)
        if reply:
            _send(reply, answer.encode("latin-1", "replace"))


def line(value: Any) -> str:
    """One value as a line of the answer."""
    if isinstance(value, (dict, Struct)):
        return "{" + ",".join(f"{name}:{_inner(member)}" for name, member in value.items()) + "}"
    if isinstance(value, list):
        return "{" + ",".join(_inner(member) for member in value) + "}"
    if value is None:
        return NULL_STRING
    return f"{value:f}" if isinstance(value, float) else str(int(value)) if isinstance(value, int) else str(value)


def _inner(value: Any) -> str:
    return line(value).translate(ESCAPES) if isinstance(value, str) else line(value)


def _send(reply: str, answer: bytes) -> None:
    """Write to the reply fifo, which must exist and be read already: nobody is waited for."""
    path = os.path.join(DIRECTORY, reply)
    if "/" in reply or reply.startswith("."):
        logger.err(f"forbidden reply fifo: {reply}")
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        logger.err(f"open reply fifo {path}: {error.strerror}")
        return
    try:
        if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            logger.err(f"{path} is no fifo")
            return
        sent = os.write(descriptor, answer)
        if sent < len(answer):
            logger.err(f"reply fifo {path} took {sent} of {len(answer)} bytes")
    except OSError as error:
        logger.err(f"write to reply fifo {path}: {error.strerror}")
    finally:
        os.close(descriptor)
