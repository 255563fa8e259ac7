"""multipart/mixed bodies: the boundary, the parts, and making the boundary lines right after edits."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from kamailio_py.sip.uri import param_of

if TYPE_CHECKING:
    from kamailio_py.sip.lumps import Lumps
    from kamailio_py.sip.message import Message


def boundary_of(content_type: str) -> str | None:
    """The boundary parameter of a Content-Type, None if it has none."""
    _, semicolon, params = content_type.partition(";")
    return param_of(params, "boundary") if semicolon else None


def find_line(text: str, start: str, at: int) -> int:
    """Position of the first line from position `at` that begins with `start`, or -1."""
    while not text.startswith(start, at):
        newline = text.find("\r\n", at)
        if newline < 0:
            return -1
        at = newline + 2
    return at


def mend_boundaries(msg: Message, lumps: Lumps) -> None:
    """Make every boundary line of the edited body a plain one and the last a closing one.

    The boundary is that of the Content-Type as received; without one nothing is done. Parts were added or taken out
    by edits that do not know whether they are the last.
    """
    boundary = boundary_of(msg.header("content-type") or "")
    if not boundary:
        return
    body = lumps.apply(msg.text, start=msg.body_offset)
    mark = f"--{boundary}"
    places = []
    at = find_line(body, mark, 0)
    while at >= 0:
        places.append(at)
        at = find_line(body, mark, body.find("\r\n", at) + 2) if body.find("\r\n", at) >= 0 else -1
    if len(places) < 2:
        return
    out = []
    for at, following in pairwise(places):
        end = body.find("\r\n", at) + 2
        out.append(f"{mark}\r\n{body[end:following]}")
    out.append(f"{mark}--\r\n")
    lumps.clear(msg.body_offset)
    lumps.replace(msg.body_offset, len(msg.text), "".join(out))
