"""Edits of a message's text: collected while the script runs, applied once when the message is sent.

An edit is a tuple (offset, length, piece): at `offset` of the text as received `length` characters are taken out and
`piece` is put there. Edits are kept in the order of their offsets; of two at the same place the earlier made comes
first. Where deletions overlap, each character is taken out once, and what is inserted inside a deleted stretch appears
behind it, as in Kamailio.

A piece is a string, or a tuple of what is known only when the message is sent: (condition, part, ...) where a part is a
string, `SEND` or `RECEIVE` for the address of the socket it is sent from or was received on, or such a tuple again.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import itemgetter
from typing import Any

from kamailio_py.sip.endpoint import ListenSocket

Piece = Any
Edit = tuple[int, int, Piece]

ALWAYS, DIFFERENT_SOCKET, SAME_SOCKET, DIFFERENT_PROTO = 0, 1, 2, 3
"""Conditions of a piece: Kamailio's "realms" differ when address, port or protocol do."""
SEND, RECEIVE = 1, 2
"""Parts: host, port and transport of a socket as they stand in a Record-Route URI."""
SEND_PROTO, RECEIVE_PROTO = 3, 4
SEND_IP, RECEIVE_IP = 5, 6
SEND_NAME, RECEIVE_NAME = 7, 8

_offset = itemgetter(0)


def socket_text(socket: ListenSocket) -> str:
    """host[:port][;transport=...] of a socket; port 5060 and UDP go without saying."""
    host = socket.sent_by_host
    text = host if socket.sent_by_port == 5060 else f"{host}:{socket.sent_by_port}"
    return text if socket.proto == "udp" else f"{text};transport={socket.proto}"


def resolve(piece: Piece, send: ListenSocket | None, receive: ListenSocket | None) -> str:
    """Text of a piece."""
    if isinstance(piece, str):
        return piece
    if isinstance(piece, int):
        socket = send if piece in (SEND, SEND_PROTO, SEND_IP, SEND_NAME) else receive
        if socket is None:
            return ""
        if piece in (SEND, RECEIVE):
            return socket_text(socket)
        if piece in (SEND_NAME, RECEIVE_NAME):
            return f";sn={socket.name}" if socket.name else ""
        return socket.proto if piece in (SEND_PROTO, RECEIVE_PROTO) else socket.sent_by_host
    condition = piece[0]
    if condition != ALWAYS:
        same = send is receive or send is None or receive is None
        if condition == DIFFERENT_PROTO:
            same = same or send.proto == receive.proto  # type: ignore[union-attr]
        if same == (condition != SAME_SOCKET):
            return ""
    return "".join(resolve(part, send, receive) for part in piece[1:])


class Lumps:
    """The edits of one message."""

    __slots__ = ("edits",)

    def __init__(self, edits: list[Edit] | None = None) -> None:
        self.edits: list[Edit] = edits or []

    def __bool__(self) -> bool:
        return bool(self.edits)

    def __len__(self) -> int:
        return len(self.edits)

    def copy(self) -> Lumps:
        return Lumps(self.edits[:])

    def replace(self, start: int, end: int, piece: Piece) -> None:
        """Put `piece` in the place of text[start:end]."""
        edits = self.edits
        if not edits or edits[-1][0] <= start:
            edits.append((start, end - start, piece))
        else:
            edits.insert(bisect_right(edits, start, key=_offset), (start, end - start, piece))

    def insert(self, offset: int, piece: Piece) -> None:
        """Put `piece` in at `offset`, after what was inserted there before."""
        self.replace(offset, offset, piece)

    def delete(self, start: int, end: int) -> None:
        self.replace(start, end, "")

    def remove(self, edit: Edit) -> None:
        """Take back an edit, if it is there."""
        if edit in self.edits:
            self.edits.remove(edit)

    def clear(self, start: int = 0) -> None:
        """Forget the edits from offset `start` on."""
        self.edits = [edit for edit in self.edits if edit[0] < start]

    def deleted(self, start: int, end: int) -> bool:
        """Is text[start:end] taken out by one edit?"""
        return any(length and offset <= start and end <= offset + length for offset, length, _ in self.edits)

    def size_change(self, start: int) -> int:
        """By how much the edits from offset `start` on make the text longer."""
        change, position = 0, start
        for offset, length, piece in self.edits:
            if offset < start:
                position = max(position, offset + length)
                continue
            if piece:
                change += len(piece) if isinstance(piece, str) else len(resolve(piece, None, None))
            if offset + length > position:
                change -= offset + length - max(position, offset)
                position = offset + length
        return change

    def apply(
        self, text: str, send: ListenSocket | None = None, receive: ListenSocket | None = None, start: int = 0
    ) -> str:
        """The text from `start` on with all edits there made; they stay, for the next branch."""
        return apply(self.edits, text, send, receive, start)

    def dump(self) -> list[Edit]:
        """The edits as plain data."""
        return self.edits

    @classmethod
    def load(cls, data: list[Edit]) -> Lumps:
        return cls(list(data))


def apply(
    edits: list[Edit],
    text: str,
    send: ListenSocket | None = None,
    receive: ListenSocket | None = None,
    start: int = 0,
) -> str:
    """`text` from `start` on with `edits`, which are in the order of their offsets."""
    out = []
    position = start
    for offset, length, piece in edits:
        if offset < start:
            if offset + length > position:
                position = offset + length
            continue
        if offset > position:
            out.append(text[position:offset])
            position = offset
        if piece:
            # in an overlapping deletion what is inserted waits until its end
            out.append(piece if isinstance(piece, str) else resolve(piece, send, receive))
        if offset + length > position:
            position = offset + length
    out.append(text[position:])
    return "".join(out)
