"""Replies: made from a request, and sent on when one comes back through this server."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from kamailio_py.sip.endpoint import CLOSE, IGNORED_SHIFT, NO_CONNECT, Destination
from kamailio_py.sip.header_layout import MANDATORY
from kamailio_py.sip.lumps import apply

if TYPE_CHECKING:
    from kamailio_py.sip.message import Message
    from kamailio_py.sip.via import Via

SIP_PORT = 5060
_COPIED_WITH_ROUTES = MANDATORY | {"record-route"}
_SPACE = " \t\r\n"

is_name_of: Callable[[str, str], bool] | None = None
"""Whether a host name is one of an address, where that counts (rev_dns=yes); set before the first message."""


def address_differs(host: str, ip: str) -> bool:
    """Is the host of a Via not the address the message came from? What is written in another way differs, too."""
    if host == ip or host.strip("[]").lower() == ip:
        return False
    return is_name_of is None or not is_name_of(host, ip)


def received_param(msg: Message, via: Via) -> str:
    """`;received=` for the top Via, "" if it needs none: it does where its host is not the address the request came
    from, where the client asks for rport, and where it has one already."""
    if via.received is None and via.rport is None and not address_differs(via.host, msg.src_ip):
        return ""
    return f";received={msg.src_ip}"


def rport_param(msg: Message, via: Via) -> str:
    """`;rport=` for the top Via where the client asks for it or the script forces it."""
    return f";rport={msg.src_port}" if via.rport is not None or msg.force_rport else ""


def build_reply(
    msg: Message,
    status: int,
    reason: str,
    *,
    to_tag: str = "",
    server: str = "",
    headers: str = "",
    body: str = "",
    warning: str = "",
) -> str:
    """A reply to request `msg`; BadMessage if the request is too bad to be answered.

    `to_tag` replaces the tag in To or is added; `server` and `warning` are whole header lines with CRLF; `headers`
    follow those of append_to_reply(). A body goes with its Content-Type in `headers`.
    """
    msg.require_headers()
    if msg.added_headers:
        headers = "".join(msg.added_headers) + headers
    if not body and msg.reply_body:
        body = msg.reply_body
    head = _head(msg, 180 <= status < 300, to_tag)
    return (
        f"{msg.version} {status:03d} {reason}\r\n{head}{headers}{server}Content-Length: {len(body)}\r\n"
        f"{warning}\r\n{body}"
    )


def build_warned(msg: Message, status: int, reason: str, **parts: str) -> str:
    """As build_reply, and with a header that says what was seen of the request (sip_warning)."""
    return build_reply(msg, status, reason, warning=_warning(msg), **parts)


def _warning(msg: Message) -> str:
    socket = msg.socket
    here = f"{socket.host_text}:{socket.port}" if socket is not None else ""
    return (
        f'Warning: 392 {here} "Noisy feedback tells:  pid={os.getpid()} req_src_ip={msg.src_ip} '
        f'req_src_port={msg.src_port} in_uri={msg.ruri} out_uri={msg.uri} via_cnt=={len(msg.indexes("via"))}"\r\n'
    )


def _head(msg: Message, with_routes: bool, to_tag: str) -> str:
    """The headers that a reply has from its request."""
    layout = msg.layout
    if layout is not None and layout.block >= 0 and not (with_routes and layout.routed) and not (to_tag and msg.to.tag):
        text, starts, first = msg.text, msg.starts, layout.block
        via = _first_via(msg, msg.line(layout.via))
        if not to_tag:
            return f"{via}\r\n{text[starts[first] : starts[first + 4]]}"
        tag = starts[layout.to + 1] - 2
        return f"{via}\r\n{text[starts[first] : tag]};tag={to_tag}{text[tag : starts[first + 4]]}"
    out = []
    copied = _COPIED_WITH_ROUTES if with_routes else MANDATORY
    first = True
    for i, name in enumerate(msg.names):
        if name in copied:
            line = msg.line(i)
            if name == "via":
                if first:
                    first = False
                    line = _first_via(msg, line.rstrip("\r\n"))
                elif not msg.is_sip:
                    continue  # those of an HTTP request are none of ours
                out.append(line.rstrip("\r\n") + "\r\n")
            elif to_tag and name == "to":
                out.append(_tagged(msg, line, to_tag))
            else:
                out.append(line if line[-1] == "\n" else line + "\r\n")
    return "".join(out)


def _first_via(msg: Message, line: str) -> str:
    """The header with the top Via, without its line end, `received` and `rport` put in."""
    via = msg.via
    is_sip = msg.version == "SIP/2.0" or msg.is_sip
    if via.host == msg.src_ip and via.rport is None and via.received is None and not msg.force_rport and is_sip:
        return line
    if via.rport == "" and line.endswith(";rport") and is_sip and via.received is None:
        return f"{line}={msg.src_port};received={msg.src_ip}"
    received, rport = received_param(msg, via), rport_param(msg, via)
    if not is_sip:
        line = "S" + line[1:]
    if rport and via.rport is not None:
        i = msg.find("via")
        base = msg.span(i)[0] if i else msg._headers_start
        start, end = via.rport_span
        return f"{line[: start - 1 - base]}{rport}{line[end - base :]}{received}"
    return f"{line}{rport}{received}"


def _tagged(msg: Message, line: str, tag: str) -> str:
    """The To header with this tag."""
    stripped = line.rstrip("\r\n")
    rest = line[len(stripped) :] or "\r\n"
    if rest[-1] != "\n":
        rest += "\r\n"
    old = msg.to.tag
    if not old:
        return f"{stripped};tag={tag}{rest}"
    at = stripped.rindex(old)
    return f"{stripped[:at]}{tag}{stripped[at + len(old) :]}{rest}"


def reply_destination(msg: Message, reply_to_via: bool = False) -> tuple[str, int]:
    """(host, port) a reply to request `msg` goes to, by its top Via and where it came from."""
    via = msg.via
    if reply_to_via:
        return via.host, via.port or SIP_PORT
    if via.rport is not None or msg.force_rport:
        return msg.src_ip, msg.src_port
    return msg.src_ip, via.port or SIP_PORT


def back_to(msg: Message, host: str, port: int) -> Destination:
    """The destination of a reply to a request that came over a connection: that connection, else the address."""
    flags = (NO_CONNECT if msg.reply_no_connect else 0) | (CLOSE if msg.reply_close else 0)
    flags |= msg.reply_blst_ignored << IGNORED_SHIFT
    assert msg.socket is not None
    return Destination(msg.socket.proto, host, port, msg.socket, msg.connection, flags)


def forward_destination(msg: Message) -> tuple[str, int, str] | None:
    """(host, port, transport) a reply that came in goes on to, by its second Via; None: it was for this server."""
    via = msg.via2
    if via is None:
        return None
    host = via.received or via.host
    port = int(via.rport) if via.rport and via.rport.isdecimal() and via.rport.isascii() else via.port
    return host, port or SIP_PORT, via.transport.lower()


def build_reply_forward(msg: Message, proto: str = "udp") -> str:
    """A reply without its top Via and with the script's edits, to be sent to the Via below over `proto`."""
    via = msg.via
    i = msg.find("via")
    if via.more:
        start, end = via.start, via.end
        end = msg.text.index(",", end) + 1
        while msg.text[end] in _SPACE:
            end += 1
    else:
        start, end = msg.span(i)
    if not msg.has_lumps and proto == "udp":
        return msg.text[:start] + msg.text[end:]
    from kamailio_py.sip.request import adjust_content_length

    edits = msg.lumps.copy()
    adjust_content_length(msg, edits, proto)
    edits.delete(start, end)
    return apply(edits.edits, msg.text, None, msg.socket)
