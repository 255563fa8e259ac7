"""Requests this server makes itself: ACK and CANCEL of a branch, and requests of its own."""

from __future__ import annotations

from kamailio_py.sip.message import Message

_KEPT = frozenset(("from", "to", "call-id", "cseq", "route", "max-forwards"))


def _hop_request(invite: str, method: str, to: str, headers: str, prefix: str) -> str:
    """A request that follows an INVITE we sent, hop by hop: its top Via and what identifies it, in its order."""
    msg = Message(invite)
    out = [f"{method} {msg.ruri} {msg.version}\r\n"]
    via_done = length_done = False
    for i, name in enumerate(msg.names):
        if name == "via":
            if not via_done:
                via_done = True
                out.append(_ended(msg.raw(i)))
        elif name == "content-length":
            length_done = True
            out.append("Content-Length: 0\r\n")
        elif name == "cseq":
            out.append(_cseq(msg, i, method))
        elif name == "to" and to:
            out.append(to)
        elif name in _KEPT or (prefix and msg.name_text(i).startswith(prefix)):
            out.append(_ended(msg.raw(i)))
    if not length_done:
        out.append("Content-Length: 0\r\n")
    out.append(f"{headers}\r\n")
    return "".join(out)


def _cseq(msg: Message, i: int, method: str) -> str:
    line = msg.raw(i).rstrip("\r\n")
    return line[: line.rindex(msg.cseq_method)] + method + "\r\n"


def _ended(line: str) -> str:
    return line if line.endswith("\n") else line + "\r\n"


def _to(reply: Message) -> str:
    i = reply.find("to")
    return _ended(reply.raw(i)) if i >= 0 else ""


def build_ack(invite: str, reply: Message, headers: str = "", prefix: str = "") -> str:
    """The ACK for a reply of 300 or more to an INVITE we sent as `invite`; its To is the reply's.

    `headers` and `prefix` as in `build_cancel`.
    """
    return _hop_request(invite, "ACK", _to(reply), headers, prefix)


def build_cancel(invite: str, headers: str = "", prefix: str = "") -> str:
    """The CANCEL of an INVITE we sent as `invite`.

    `headers` are further header lines (Reason); headers of the INVITE whose names begin with `prefix` are copied, as
    tm's parameter ac_extra_hdrs says.
    """
    return _hop_request(invite, "CANCEL", "", headers, prefix)


def build_hop_of_received(
    received: Message, invite: str, method: str, user_agent: str, headers: str = "", reply: Message | None = None
) -> str:
    """ACK (of `reply`) or CANCEL as it was made before INVITEs were read once more: from the one that was received.

    Of the one that was sent, `invite`, it has the URI and the Via; `user_agent` and `headers` are header lines.
    """
    sent = Message(invite)
    out = [f"{method} {sent.ruri} {sent.version}\r\n", _ended(sent.raw(sent.find("via")))]
    for name in ("from", "call-id", "to"):
        to = _to(reply) if name == "to" and reply is not None else ""
        out.append(to or _ended(received.raw(received.find(name))))
    out += [_cseq(received, received.find("cseq"), method), "Max-Forwards: 70\r\n"]
    out += [_ended(received.raw(i)) for i, name in enumerate(received.names) if name == "route"]
    out.append(f"{user_agent}Content-Length: 0\r\n{headers}\r\n")
    return "".join(out)


def build_request(
    method: str,
    uri: str,
    *,
    via: str,
    from_: str,
    to: str,
    call_id: str,
    cseq: str,
    user_agent: str = "",
    max_forwards: int = 70,
    routes: str = "",
    headers: str = "",
    body: str = "",
) -> str:
    """A request of our own in the order of Kamailio's uac.

    `via`, `user_agent`, `routes` and `headers` are whole header lines with CRLF; `from_` and `to` are values with their
    tags; a `max_forwards` below 0 leaves that header out.
    """
    hops = f"Max-Forwards: {max_forwards}\r\n" if max_forwards >= 0 else ""
    return (
        f"{method} {uri} SIP/2.0\r\n{via}To: {to}\r\nFrom: {from_}\r\nCSeq: {cseq} {method}\r\nCall-ID: {call_id}\r\n"
        f"{routes}{hops}Content-Length: {len(body)}\r\n{user_agent}{headers}\r\n{body}"
    )
