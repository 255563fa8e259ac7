"""What rtpproxy's module reads from an SDP body and writes into it. Pure functions over text."""

from __future__ import annotations

import re

from kamailio_py.dataclass import dataclass, field

_LINE = re.compile(r"[^\r\n]+")
_ADDRESS = re.compile(r"([co])=[^\r\n]*?IP([46])[ \t]+([^ \t\r\n/]+)")
_MEDIA = re.compile(r"m=\S+[ \t]+(\d+)(?:/\d+)?[ \t]+(\S+)[ \t]*([^\r\n]*)")
_CANDIDATE = re.compile(r"a=candidate:\S+[ \t]+\d+[ \t]+\S+[ \t]+\d+[ \t]+\S+[ \t]+\d+")
_RTCP = re.compile(r"a=rtcp:(\d+)")


@dataclass(slots=True)
class Span:
    """A piece of text and where it stands; `six` for addresses."""

    text: str
    start: int
    end: int
    six: bool = False
    family_at: int = 0


@dataclass(slots=True)
class Stream:
    """One m= section."""

    port: Span
    transport: str
    payloads: str
    address: Span | None = None
    rtcp: Span | None = None
    candidate_at: int | None = None
    """Where its last candidate of ICE begins."""


@dataclass(slots=True)
class Sdp:
    """What there is of a body."""

    origin: list[Span] = field(default_factory=list)
    connections: list[Span] = field(default_factory=list)
    session: Span | None = None
    streams: list[Stream] = field(default_factory=list)


def read(body: str) -> Sdp:
    """The addresses and streams of a body."""
    found = Sdp()
    for line in _LINE.finditer(body):
        text, at = line[0], line.start()
        kind = text[:2]
        if kind in ("c=", "o="):
            match = _ADDRESS.match(text)
            if match is None:
                continue
            span = Span(match[3], at + match.start(3), at + match.end(3), match[2] == "6", at + match.start(2))
            if kind == "o=":
                found.origin.append(span)
                continue
            found.connections.append(span)
            if found.streams:
                found.streams[-1].address = span
            else:
                found.session = span
        elif kind == "m=":
            media = _MEDIA.match(text)
            if media is not None:
                port = Span(media[1], at + media.start(1), at + media.end(1))
                found.streams.append(Stream(port, media[2], media[3].strip()))
        elif found.streams and _CANDIDATE.match(text):
            found.streams[-1].candidate_at = at
        elif found.streams and (rtcp := _RTCP.match(text)) is not None:
            found.streams[-1].rtcp = Span(rtcp[1], at + rtcp.start(1), at + rtcp.end(1))
    return found


def is_null(address: Span) -> bool:
    return set(address.text) <= {"0", ":"} if address.six else address.text == "0.0.0.0"


def relay_candidates(host: str, port: int, preference: int) -> str:
    """The lines that make the proxy a candidate of ICE (RFC 8445, 5.1.2); `preference` is that of its type."""
    foundation = host.replace(".", "").replace(":", "")
    lines = (
        f"a=candidate:{foundation} {component} UDP {(preference << 24) + (65535 << 8) + 256 - component} "
        f"{host} {port + component - 1} typ relay\r\n"
        for component in (2, 1)
    )
    return "".join(lines)


def codecs(stream: Stream) -> str:
    """The payload types as the proxy wants them."""
    return ",".join(stream.payloads.split())
