"""One request in JSON: reading it, running its command, and the answer's text. Knows no transport; takes no lock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from kamailio_py.log import get_logger
from kamailio_py.module import RpcFault
from kamailio_py.modules.jsonrpcs import document
from kamailio_py.rpc.call import KINDS, Call, ScanFault

if TYPE_CHECKING:
    from kamailio_py.rpc.commands import Commands

log = get_logger("jsonrpcs")

NOT_FOUND = RpcFault(500, "Method Not Found")
TYPES = {False: 0, True: 1, None: 2}
"""Numbers of the types in the log; 3 a number, 4 a text, 5 an array, 6 an object."""


class JsonCall(Call):
    """A call whose arguments came as JSON: numbers and texts are taken for each other where Kamailio does so."""

    transport = "json"

    def take(self, letter: str, convert: bool) -> Any:
        if self.position >= len(self.arguments):
            raise ScanFault(self.position, KINDS[letter], "end of packet encountered", absent=True)
        value = self.arguments[self.position]
        if letter == "u":
            given: Any = _unsigned(value)
        elif letter in "db":
            given = _integer(value)
        elif letter == "f":
            given = float(value) if isinstance(value, (int, float)) else 0.0
        elif letter == "{":
            given = value if isinstance(value, dict) else None
        elif isinstance(value, str):
            given = value
        elif convert and isinstance(value, (int, float)) and not isinstance(value, bool):
            given = str(int(value))
        else:
            given = None
        if given is None:
            log.err(f"field is not a string - type {_type(value)}")
            raise ScanFault(self.position, letter, "record doesn't match type", absent=False)
        self.position += 1
        return given

    def not_scanned(self, fault: ScanFault) -> None:
        """The answer is what was emitted so far, be it nothing: no fault, as with Kamailio."""
        if fault.absent:
            log.err("no more fields to scan")

    def result(self) -> Any:
        """All values where the command gives several, else the last one."""
        if self.array:
            return self.values
        return self.values[-1] if self.values else {}


def _integer(value: Any) -> int:
    """What a number, true or false is as an int; 0 for what is none, texts among them."""
    if not isinstance(value, (int, float)) or value != value:
        return 0
    return int(value) if -(2**31) <= value < 2**31 else -(2**31)


def _unsigned(value: Any) -> int:
    """The same for an unsigned one: its lower 32 bits, 0 where it has no 64."""
    if not isinstance(value, (int, float)) or not -(2**63) <= value < 2**63:
        return 0
    return int(value) & 0xFFFFFFFF


def _type(value: Any) -> int:
    if value is None or isinstance(value, bool):
        return TYPES[value]
    return (
        3 if isinstance(value, (int, float)) else 4 if isinstance(value, str) else 5 if isinstance(value, list) else 6
    )


class Answer(NamedTuple):
    """Status and reason of an answer, as $jsonrpl has them, its text, and where a FIFO's answer goes."""

    code: int
    reason: str
    body: str
    reply_name: str = ""


def answer(commands: Commands, data: bytes, pretty: bool, *, fifo: bool = False) -> Answer | None:
    """Run the request that stands in `data`; None, with a line in the log, if there is no document in it.

    A document that is no request is answered with an empty result, as with Kamailio; there are no batches, and what has
    no id is answered without one.
    """
    try:
        request = document.read(data)
    except document.BadDocument:
        log.err(f"invalid json doc [[{data[:1024].decode('latin-1')}]]")
        return None
    fields: Mapping[str, Any] = request if isinstance(request, dict) else {}
    call = JsonCall(_arguments(fields.get("params")))
    code, reason = 200, "OK"
    reply_name = fields.get("reply_name")
    name = _method(fields, fifo)
    if name is not None:
        command = commands.find(name)
        if command is None:
            log.err(f"method callback not found [{name}]")
            call.fail(NOT_FOUND)
        else:
            commands.run(command, call)
    reply: dict[str, Any] = {"jsonrpc": "2.0"}
    if call.failure is not None:
        code, reason = call.failure.code, call.failure.text
        reply["error"] = {"code": code, "message": reason}
    else:
        reply["result"] = call.result()
    if "id" in fields:
        reply["id"] = _id(fields["id"])
    return Answer(code, reason, document.write(reply, pretty), reply_name if isinstance(reply_name, str) else "")


def _arguments(params: Any) -> list[Any]:
    if isinstance(params, dict):
        return list(params.values())
    return params if isinstance(params, list) else []


def _method(fields: Mapping[str, Any], fifo: bool) -> str | None:
    """The method to run; None, with a line in the log, if this is no request."""
    version = fields.get("jsonrpc")
    if version is None:
        log.err("missing jsonrpc field in request")
        return None
    if not isinstance(version, str) or len(version) != 3 or version != "2.0":
        log.err(f"unsupported jsonrpc version [{version}]")
        return None
    if fifo and not fields.get("reply_name"):
        log.err("missing reply_name field in request")
        return None
    method = fields.get("method")
    if not isinstance(method, str):
        log.err("missing jsonrpc method field in request")
        return None
    return method


def _id(value: Any) -> Any:
    if isinstance(value, str):
        return value
    return value + 0 if isinstance(value, (int, float)) else 0
