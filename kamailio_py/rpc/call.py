"""One call of an RPC command: the arguments it reads, and where its values go.

A transport (binrpc, JSON-RPC) makes a subclass that converts arguments in its own way and encodes each value when it is
emitted, so that no answer stands in memory twice. `Call` itself takes plain Python values and keeps plain values: what
tests and callers inside the server use. It knows no socket; it takes no lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from kamailio_py.module import RpcFault

KINDS = {"s": "string", "S": "string", "d": "integer", "u": "integer", "b": "integer", "f": "float", "{": "structure"}
"""Letters of a scan format -> the type's name in faults."""


class ScanFault(RpcFault):
    """The next argument is missing or has the wrong type; the text is binrpc's."""

    def __init__(self, parameter: int, expected: str, reason: str, *, absent: bool) -> None:
        super().__init__(400, f"error at parameter {parameter}: expected {expected} type but {reason}")
        self.absent = absent


class Call:
    """See the head of the file. `values` are those emitted so far, `failure` is the fault, if there is one."""

    transport = "internal"

    def __init__(self, arguments: Iterable[Any] = ()) -> None:
        self.arguments = list(arguments)
        self.position = 0
        self.values: list[Any] = []
        self.failure: RpcFault | None = None
        self.array = False

    # the command's side

    def scan(self, letters: str) -> list[Any]:
        """The next arguments by Kamailio's format; ScanFault for one that is missing or wrong.

        After `*` a missing one ends the list.
        """
        found: list[Any] = []
        optional = convert = False
        for letter in letters:
            if letter == "*":
                optional = True
            elif letter == ".":
                convert = True
            else:
                try:
                    found.append(self.take(letter, convert))
                except ScanFault as fault:
                    if not (optional and fault.absent):
                        raise
                    return found
                convert = False
        return found

    def rest(self, letters: str) -> Iterator[Any]:
        """All arguments that are left, each by the same format."""
        while found := self.scan(letters):
            yield found[0] if len(found) == 1 else found

    # the transport's side

    def take(self, letter: str, convert: bool) -> Any:
        """The next argument as the type of this letter; ScanFault if it is missing or of another type."""
        if self.position >= len(self.arguments):
            raise ScanFault(self.position, KINDS[letter], "end of packet encountered", absent=True)
        value = self.arguments[self.position]
        given = converted(value, letter) if convert else value
        if not isinstance(given, PYTHON[letter]):
            raise ScanFault(self.position, KINDS[letter], "record doesn't match type", absent=False)
        self.position += 1
        return given

    def emit(self, value: Any) -> None:
        """Take one top-level value of the answer."""
        self.values.append(value)

    def fail(self, fault: RpcFault) -> None:
        """The answer is this fault; what was emitted is forgotten."""
        self.failure = fault
        self.values = []

    def not_scanned(self, fault: ScanFault) -> None:
        """The command stopped at an argument, and has no fault of its own for it: what it answered so far stands."""
        if not self.values:
            self.fail(fault)

    def send(self) -> None:
        """The answer is complete."""


PYTHON: dict[str, Any] = {
    "s": str, "S": str, "d": int, "u": int, "b": int, "f": (float, int), "{": dict,
}  # fmt: skip


def converted(value: Any, letter: str) -> Any:
    """The value as autoconversion (`.`) makes it of a string or a number; as it was if it cannot be done."""
    if letter in "sS" and isinstance(value, (int, float)):
        return str(int(value))
    if isinstance(value, str) and letter in "dubf":
        try:
            return float(value) if letter == "f" else int(value, 0)
        except ValueError:
            return value
    if letter in "dub" and isinstance(value, float):
        return int(value)
    return value
