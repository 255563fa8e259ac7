"""The flags of rtpengine's functions: what becomes of each in the request to the proxy. Pure functions."""

from __future__ import annotations

from typing import Any

from kamailio_py.dataclass import dataclass, field

TRANSPORTS = {
    "RTP": "", "AVP": "", "RTP/AVP": "RTP/AVP", "SRTP": "S", "RTP/SAVP": "RTP/SAVP", "AVPF": "F",
    "RTP/AVPF": "RTP/AVPF", "RTP/SAVPF": "RTP/SAVPF", "UDP/TLS/RTP/SAVP": "UDP/TLS/RTP/SAVP",
    "UDP/TLS/RTP/SAVPF": "UDP/TLS/RTP/SAVPF",
}  # fmt: skip
LISTS = {"replace": "replace", "rtcp-mux": "rtcp-mux", "SDES": "SDES", "OSRTP": "OSRTP", "T.38": "T.38", "T38": "T.38"}
"""`name-item` puts an item into a list of this name."""
CODECS = ("strip", "offer", "transcode", "mask", "set", "except", "consume", "accept", "ignore")
NUMBERS = ("TOS", "repacketize", "delete-delay", "delay-buffer", "volume", "media-echo")
SIDES = ("internal", "external")


@dataclass(slots=True)
class Flags:
    """What the flags ask for.

    request     keys and values for the proxy
    via         whose branch tells calls apart: "1", "2", "auto", "extra", "next", "auto-next", "auto-extra" or ""
    to          put the To tag in where it is not by itself
    directional put both tags in as they are
    call_id, from_tag, to_tag    instead of those of the message
    """

    request: dict[str, Any] = field(default_factory=dict)
    via: str = ""
    to: bool = False
    directional: bool = False
    call_id: str = ""
    from_tag: str = ""
    to_tag: str = ""
    received_from: str = ""


def parse(text: str) -> Flags:
    """The flags of a text: items between blanks, `name` or `name=value`."""
    flags = Flags()
    request = flags.request
    bits: set[str] = set()
    for item in text.split():
        name, equals, value = item.partition("=")
        if not equals:
            _parse_plain(name, flags, bits)
        elif name == "via-branch":
            flags.via = value
        elif name == "call-id":
            flags.call_id = value
        elif name == "from-tag":
            flags.from_tag = value
        elif name == "to-tag":
            flags.to_tag = value
            flags.to = True
        elif name == "received-from":
            flags.received_from = value
        elif name == "direction":
            request.setdefault("direction", []).append(value)
        elif name.startswith("codec-") and name[6:] in CODECS:
            request.setdefault("codec", {}).setdefault(name[6:], []).append(value)
        elif name in NUMBERS and value.lstrip("-").isdecimal():
            request[name.replace("-", " ") if name == "delete-delay" else name] = int(value)
        else:
            request[name] = value
    if bits:
        secure, feedback = "S" if "SRTP" in bits else "", "F" if "AVPF" in bits else ""
        request["transport-protocol"] = f"RTP/{secure}AVP{feedback}"
    return flags


def _parse_plain(name: str, flags: Flags, bits: set[str]) -> None:
    """An item without value."""
    request = flags.request
    if name == "to-tag":
        flags.to = True
    elif name == "directional":
        flags.directional = True
    elif name in ("RTP", "AVP", "SRTP", "AVPF"):
        bits.add(name)
    elif name in TRANSPORTS:
        request["transport-protocol"] = TRANSPORTS[name]
    elif name in SIDES:
        request.setdefault("direction", []).append(name)
    elif name.startswith("codec-") and name.split("-")[1] in CODECS and name.count("-") > 1:
        _, kind, codec = name.split("-", 2)
        request.setdefault("codec", {}).setdefault(kind, []).append(codec)
    elif name.startswith("transcode-"):
        request.setdefault("codec", {}).setdefault("transcode", []).append(name[10:])
    else:
        prefix, dash, rest = name.partition("-")
        if name.startswith("rtcp-mux-"):
            prefix, dash, rest = "rtcp-mux", "-", name[9:]
        if dash and prefix in LISTS and rest:
            request.setdefault(LISTS[prefix], []).append(rest)
        else:
            request.setdefault("flags", []).append(name)
