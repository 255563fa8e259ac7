"""Forwarded requests: our Via on top, `received` and `rport` in the one below, the script's edits made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.sip.lumps import Lumps, apply
from kamailio_py.sip.multipart import mend_boundaries
from kamailio_py.sip.reply import received_param, rport_param

if TYPE_CHECKING:
    from kamailio_py.sip.endpoint import ListenSocket
    from kamailio_py.sip.message import Message

STREAMS = frozenset(("tcp", "tls", "ws", "wss"))
CSEQ_COOKIE = ".cs"
"""What stands in our Via's branch before the CSeq number that a request came with, if it is sent with another one."""
_TRANSPORT = {"udp": "UDP", "tcp": "TCP", "tls": "TLS", "sctp": "SCTP", "ws": "WS", "wss": "WSS"}


def via_line(
    socket: ListenSocket, branch: str, extra: str = "", *, proto: str = "", host: str = "", port: str = ""
) -> str:
    """Our Via header. `extra` are further parameters with their `;`; `host` and `port` stand in for the socket's."""
    where = host or socket.sent_by_host
    if not port:
        number = socket.sent_by_port
        port = f":{number}" if number != 5060 or socket.advertise_port else ""
    else:
        port = f":{port}"
    return f"Via: SIP/2.0/{_TRANSPORT[proto or socket.proto]} {where}{port};branch={branch}{extra}\r\n"


def via_extra(msg: Message) -> str:
    """What our Via has behind the branch when `msg` is forwarded: for one that came over a connection its id."""
    rport = ";rport" if msg.add_local_rport else ""
    return f"{connection_param(msg.connection)}{rport}{msg.via_params}" if msg.connection else rport + msg.via_params


def connection_param(number: int) -> str:
    """`;i=` with the id of a connection: hexadecimal, last digit first, as Kamailio writes it."""
    return ";i=" + f"{number:x}"[::-1]


def connection_of(text: str | None) -> int:
    """The id in a Via's `i`, 0 where it has none."""
    try:
        return int(text[::-1], 16) if text else 0
    except ValueError:
        return 0


def adjust_content_length(msg: Message, lumps: Lumps, proto: str) -> None:
    """Make Content-Length right for what `lumps` do to the body, as Kamailio does.

    Over a stream it is added where it is missing and mended where it is wrong; over UDP it is only changed when it is
    there and the body was edited.
    """
    change = lumps.size_change(msg.headers_end + 1) if lumps else 0
    stream = proto in STREAMS
    if not change and not stream:
        return
    msg.require_headers()
    i = msg.find("content-length")
    if i < 0:
        if stream:
            length = len(msg.text) - msg.body_offset + change
            lumps.insert(msg.headers_end, f"Content-Length: {length}\r\n")
        return
    length = len(msg.text) - msg.body_offset + change
    if change or msg.content_length != length:
        start, end = msg.value_span(i)
        lumps.replace(start, end, str(length))


def applied(msg: Message) -> str:
    """The message with its own edits and request-URI, no Via touched."""
    if msg.is_request:
        return build_forward(msg, via="", update_via=False)
    lumps = msg.lumps.copy()
    adjust_content_length(msg, lumps, "udp")
    return apply(lumps.edits, msg.text, None, msg.socket)


def with_cseq(msg: Message, edits: Lumps, via: str) -> str:
    """Have the request go out with its new CSeq; our Via with the number it came with."""
    number = msg.cseq_number
    start = msg.text.index(number, msg.value_span(msg.find("cseq"))[0])
    edits.replace(start, start + len(number), msg.new_cseq)
    before, name, branch = via.partition(";branch=")
    end = next((i for i, c in enumerate(branch) if c in ";\r"), len(branch))
    return f"{before}{name}{branch[:end]}{CSEQ_COOKIE}{number}{branch[end:]}" if name else via


def build_forward(
    msg: Message,
    *,
    via: str,
    uri: str | None = None,
    path: str | None = None,
    lumps: Lumps | None = None,
    send: ListenSocket | None = None,
    proto: str = "udp",
    update_via: bool = True,
) -> str:
    """The request as it goes to the next hop; BadMessage if its Via cannot be read.

    `via` is our Via line, "" for none; `uri` the new request-URI (else the message's own); `path` the value of a Route
    header to be put in; `lumps` the branch's edits where they are not the message's.
    """
    edits = lumps.copy() if lumps is not None else (msg.lumps.copy() if msg.has_lumps else Lumps())
    if msg.multipart:
        mend_boundaries(msg, edits)
    adjust_content_length(msg, edits, proto)
    i = msg.find("via")
    above = msg.span(i)[0] if i else msg._headers_start
    text = msg.text
    if path:
        route = msg.find("route")
        line = f"Route: {path}\r\n"
        if route >= 0:
            edits.insert(msg.span(route)[0], line)
        else:
            via += line
    if msg.new_cseq:
        via = with_cseq(msg, edits, via)
    if via:
        edits.insert(above, via)
    if update_via:
        top = msg.via
        received, rport = received_param(msg, top), rport_param(msg, top)
        if received:
            if top.received is not None:
                start, end = top.received_span
                if rport and top.rport is None:
                    received, rport = rport + received, ""
                edits.replace(start - 1, end, received)
            elif rport and top.rport is None:
                edits.insert(top.host_end, rport + received)
                rport = ""
            else:
                edits.insert(top.host_end, received)
        if rport:
            if top.rport is not None:
                start, end = top.rport_span
                edits.replace(start - 1, end, rport)
            else:
                edits.insert(top.host_end, rport)
    if uri is None:
        uri = msg.new_uri
    if uri is not None:
        start = msg.first_line_start + len(msg.method_text) + 1
        edits.replace(start, start + len(msg.ruri), uri)
    return apply(edits.edits, text, send, msg.socket)
