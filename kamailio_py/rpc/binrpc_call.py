"""A call that came as a binrpc packet: arguments are read from its bytes, values are encoded as they are emitted.

Limits are those of Kamailio's ctl: what stands outside of structs, and what stands directly in one struct.
"""

from __future__ import annotations

from typing import Any

from kamailio_py.module import RpcFault
from kamailio_py.rpc import binrpc
from kamailio_py.rpc.binrpc import BinrpcError, Kind, PacketType
from kamailio_py.rpc.call import Call, ScanFault
from kamailio_py.rpc.values import Struct

KINDS = {"s": Kind.STR, "S": Kind.STR, "d": Kind.INT, "u": Kind.INT, "b": Kind.INT, "f": Kind.DOUBLE, "{": Kind.STRUCT}
LETTERS = {str: "s", float: "f", type(None): "s", dict: "{", list: "[", Struct: "{"}
NAMES_BY_NUMBER = {int(kind): name for kind, name in binrpc.NAMES.items()}
UNKNOWN = "<unknown/error>"


class BinrpcCall(Call):
    """One request. `packet` is the answer once it is finished; `source` is whatever the listener keeps with it."""

    transport = "binrpc"

    def __init__(
        self,
        header: binrpc.Header,
        body: bytes,
        *,
        convert: bool = False,
        body_limit: int = 32 << 10,
        struct_limit: int = 8 << 10,
        source: Any = None,
    ) -> None:
        super().__init__()
        self.cookie = header.cookie
        self.source = source
        self._request = body
        self._at = 0
        self._convert = convert
        self._room = body_limit
        self._struct_limit = struct_limit
        self._body = bytearray()

    def method(self) -> str:
        """The command's name, the first value of the request; BinrpcError when there is none."""
        if not self._request:
            raise BinrpcError(binrpc.END_OF_PACKET)
        found = binrpc.token(self._request, 0)
        if found.kind != Kind.STR:
            raise BinrpcError("record doesn't match type")
        self._at = found.end
        return found.value

    def take(self, letter: str, convert: bool) -> Any:
        wanted = KINDS[letter]
        convert = convert or self._convert
        try:
            found = binrpc.token(self._request, self._at)
            if found.kind == wanted and found.value is not binrpc.CLOSE:
                if found.value is None:
                    value, self._at = binrpc.read(self._request, self._at)
                else:
                    value, self._at = found.value, found.end
                self.position += 1
                return value
        except BinrpcError as error:
            raise ScanFault(self.position, binrpc.NAMES[wanted], str(error), absent=error.more) from None
        name = NAMES_BY_NUMBER.get(found.kind, UNKNOWN)
        if found.value is binrpc.CLOSE:
            raise ScanFault(self.position, name, binrpc.BAD_RECORD, absent=False)
        reason = "record doesn't match type"
        if convert:
            value = converted(found.value, wanted)
            if value is not None:
                self._at = found.end
                self.position += 1
                return value
            if found.kind == Kind.DOUBLE:
                reason = "bug -- internal error"
        else:
            name = binrpc.NAMES[wanted]
        raise ScanFault(self.position, name, reason, absent=False)

    def emit(self, value: Any) -> None:
        before = len(self._body)
        if isinstance(value, (dict, list, Struct)):
            self._fits(value)
            binrpc.write(self._body, value)
        else:
            binrpc.write(self._body, value)
            self._room -= len(self._body) - before
            if self._room < 0:
                raise _too_much(value)

    def _fits(self, struct: Any) -> None:
        """RpcFault if the scalar members of a struct, or of one in it, are longer than Kamailio takes."""
        room = self._struct_limit
        unnamed = isinstance(struct, list)
        for name, member in (("", each) for each in struct) if unnamed else struct.items():
            if isinstance(member, (dict, list, Struct)):
                self._fits(member)
                continue
            room -= len(name) + (len(member) + 8 if isinstance(member, str) else 12)
            if room < 0:
                raise _too_much(member)

    def not_scanned(self, fault: ScanFault) -> None:
        """What was answered so far stands; only a call without an answer gets the fault."""
        if not self._body:
            self.fail(fault)

    def fail(self, fault: RpcFault) -> None:
        self.failure = fault
        self._body.clear()

    @property
    def packet(self) -> bytes:
        """The answer as it goes out."""
        if self.failure is not None:
            return binrpc.fault_packet(self.cookie, self.failure.code, self.failure.text)
        return binrpc.packet(PacketType.REPLY, self.cookie, self._body)


def converted(value: Any, wanted: Kind) -> Any:
    """A value of another type, as Kamailio's ctl converts it; None when it does not.

    A negative int becomes the text of the 64-bit number without a sign, as there.
    """
    if wanted == Kind.STR and isinstance(value, int):
        return str(value & 0xFFFFFFFFFFFFFFFF)
    if wanted == Kind.INT:
        if isinstance(value, float):
            return int(value)
        if isinstance(value, str) and (value.removeprefix("-").isdecimal() or not value):
            return int(value or 0)
    if wanted == Kind.DOUBLE and isinstance(value, int):
        return float(value)
    return None


def _too_much(value: Any) -> RpcFault:
    letter = LETTERS.get(type(value), "d")
    return RpcFault(500, f"Internal server error processing '{letter}': buffer too small (overflow) (-2)")
