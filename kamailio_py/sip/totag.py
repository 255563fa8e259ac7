"""The To-tag of a reply made here: computed from the request, so that its ACK can be recognised without memory."""

from __future__ import annotations

from binascii import crc_hqx
from typing import TYPE_CHECKING

from kamailio_py.sip.md5 import md5

if TYPE_CHECKING:
    from kamailio_py.sip.endpoint import ListenSocket
    from kamailio_py.sip.message import Message


_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_DIGITS = [f"{_REVERSED[byte] ^ 0xFF:02x}"[::-1] for byte in range(256)]
SL_SIGNATURE, SL_SEPARATOR = "KAMAILIO-stateless", "."
TM_SIGNATURE, TM_SEPARATOR = "SER-TM/tags", "-"


def crc_digits(text: str) -> str:
    """CRC-16/X-25 in hex, the least significant digit first.

    By way of the standard library's CRC-CCITT, which has the bits the other way round.
    """
    crc = crc_hqx(text.encode("latin-1").translate(_REVERSED), 0xFFFF)
    return _DIGITS[crc >> 8] + _DIGITS[crc & 0xFF]


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
        if not port:
            # Kamailio's checksum over several strings ends at the first empty one, and the second begins with the port
            return f"{self.prefix}{crc_digits(via.host)}0000"
        first = crc_digits(f"{via.host}{port}{via.branch or ''}")
        return f"{self.prefix}{first}{crc_digits(f'{port}{via.host}{msg.call_id}')}"
