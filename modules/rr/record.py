"""Record-Route headers: how they are made, and found again among the edits of a request.

Which socket a request leaves from is known when it is sent, for each branch anew; so a Record-Route is a lump whose
parts are filled in then, and its second one appears only if it leaves elsewhere than it came in (RFC 5658).
"""

from __future__ import annotations

from typing import Any

from kamailio_py.sip.lumps import (
    ALWAYS,
    DIFFERENT_PROTO,
    DIFFERENT_SOCKET,
    RECEIVE,
    RECEIVE_NAME,
    RECEIVE_PROTO,
    SEND,
    SEND_NAME,
    SEND_PROTO,
)
from kamailio_py.sip.message import Message

START = "Record-Route: <"
END = ">\r\n"
SUFFIXES = (";lr", ";ftag=")
"""How the part after address and r2 may begin."""


class Style:
    """What the module's parameters say of all Record-Routes."""

    __slots__ = ("different_proto", "different_socket", "double", "lr", "name")

    def __init__(self, double: int, full_lr: bool, socket_name: bool) -> None:
        self.double = double > 0
        self.different_socket = ALWAYS if double == 2 else DIFFERENT_SOCKET
        self.different_proto = ALWAYS if double == 2 else DIFFERENT_PROTO
        self.lr = ";lr=on" if full_lr else ";lr"
        self.name = socket_name


def add(msg: Message, style: Style, scheme: str, user: str, tag: str, params: str) -> None:
    """Record-Route with the address the request leaves from, and the one it came in on."""
    start = f"{START}{scheme}:{user}@" if user else f"{START}{scheme}:"
    suffix = f"{style.lr};ftag={tag}{params}" if tag else f"{style.lr}{params}"
    at = msg.span(0)[0]
    if not style.double:
        received: tuple[Any, ...] = (RECEIVE, RECEIVE_NAME) if style.name else (RECEIVE,)
        msg.lumps.insert(at, (ALWAYS, start, *received, suffix, END))
        return
    r2 = (style.different_socket, ";r2=on")
    if style.name:
        msg.lumps.insert(at, (style.different_socket, start, SEND, SEND_NAME, r2, suffix, END))
        msg.lumps.insert(at, (ALWAYS, start, RECEIVE, RECEIVE_NAME, r2, suffix, END))
    else:
        msg.lumps.insert(at, (style.different_socket, start, SEND, ";r2=on", suffix, END))
        msg.lumps.insert(at, (ALWAYS, start, RECEIVE, r2, suffix, END))


def add_preset(msg: Message, style: Style, scheme: str, user: str, tag: str, params: str, address: str) -> None:
    """Record-Route with an address from the script."""
    who = f"{user}@" if user else ""
    ftag = f";ftag={tag}" if tag else ""
    msg.lumps.insert(msg.span(0)[0], (ALWAYS, f"{START}{scheme}:{who}{address}{ftag}{params}", style.lr, END))


def add_advertised(msg: Message, style: Style, scheme: str, user: str, tag: str, params: str, address: str) -> None:
    """Record-Route with an address from the script; a second one if the request leaves over another transport."""
    start = f"{START}{scheme}:{user}@{address}" if user else f"{START}{scheme}:{address}"
    suffix = f";ftag={tag}{style.lr}{params}" if tag else f"{style.lr}{params}"
    r2: tuple[Any, ...] = ((style.different_socket, ";r2=on"),) if style.double else ()
    at = msg.span(0)[0]
    if style.double:
        transport = (style.different_proto, ";transport=", SEND_PROTO)
        msg.lumps.insert(at, (style.different_proto, start, transport, *r2, suffix, END))
    transport = (style.different_proto, ";transport=", RECEIVE_PROTO)
    msg.lumps.insert(at, (ALWAYS, start, transport, *r2, suffix, END))


def is_record_route(piece: Any) -> bool:
    """Was this edit made here?"""
    return isinstance(piece, tuple) and len(piece) > 2 and isinstance(piece[1], str) and piece[1].startswith(START)


def count(msg: Message) -> int:
    """How many Record-Routes were added."""
    return sum(1 for edit in msg.lumps.edits if is_record_route(edit[2])) if msg.has_lumps else 0


def append_params(msg: Message, params: str, most: int) -> None:
    """Put parameters into the first `most` Record-Routes that were added."""
    edits = msg.lumps.edits
    for i, (offset, length, piece) in enumerate(edits):
        if most and is_record_route(piece):
            edits[i] = (offset, length, (*piece[:-1], params, piece[-1]))
            most -= 1


def remove(msg: Message) -> None:
    """Take back the Record-Routes that were added; not quite.

    Kamailio takes the beginning of each header out of its edits and forgets the end, `;lr;ftag=...>`, which goes out
    as a line of its own before the Via. Whoever tries a config here is to see that.
    """
    if not msg.has_lumps:
        return
    edits = msg.lumps.edits
    for i, (offset, length, piece) in enumerate(edits):
        if is_record_route(piece):
            end = next(
                n for n, part in enumerate(piece) if n > 1 and isinstance(part, str) and part.startswith(SUFFIXES)
            )
            edits[i] = (offset, length, (piece[0], *piece[end:]))
