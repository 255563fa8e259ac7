"""The To-tag of a reply made here: computed from the request, so that its ACK can be recognised without memory."""

from __future__ import annotations

from hashlib import md5
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kamailio_py.sip.endpoint import ListenSocket
    from kamailio_py.sip.message import Message


def _table() -> list[int]:
    """CRC-16/X-25, byte by byte."""
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x8408 if crc & 1 else crc >> 1
        table.append(crc)
    return table


_TABLE = _table()
SL_SIGNATURE, SL_SEPARATOR = "KAMAILIO-stateless", "."
TM_SIGNATURE, TM_SEPARATOR = "SER-TM/tags", "-"


def crc16(text: str) -> int:
    crc = 0xFFFF
    table = _TABLE
    for byte in text.encode("latin-1"):
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFF


def _four(crc: int) -> str:
    """Hex digits, the least significant first, filled with zeros to four."""
    return f"{crc:x}"[::-1].ljust(4, "0")


class ToTag:
    """To-tags of one module of one server; `socket` is the first one the server listens on."""

    __slots__ = ("prefix",)

    def __init__(self, signature: str, separator: str, socket: ListenSocket | None) -> None:
        where = f"{socket.host}{socket.port}" if socket is not None else ""
        self.prefix = md5(f"{signature}{where}".encode("latin-1")).hexdigest() + separator

    def tag(self, msg: Message) -> str:
        """The tag for replies to this request, the same for its retransmissions."""
        via = msg.via
        port = via.port_text
        first = crc16(f"{via.host}{port}{via.branch or ''}")
        second = crc16(f"{port}{via.host}{msg.call_id}")
        return f"{self.prefix}{_four(first)}{_four(second)}"
