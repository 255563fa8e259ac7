"""Digest credentials as Authorization and Proxy-Authorization carry them (RFC 7616)."""

from __future__ import annotations

from kamailio_py.sip.nameaddr import split_values

Credentials = dict[str, str]


def parse_credentials(value: str) -> Credentials | None:
    """The parameters of a Digest header value, names in lower case, quotes taken off; None for another scheme."""
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() != "digest":
        return None
    found: Credentials = {}
    for part in split_values(rest):
        name, _, text = part.partition("=")
        text = text.strip()
        if len(text) > 1 and text[0] == '"' == text[-1]:
            text = text[1:-1]
        found.setdefault(name.strip().lower(), text)
    return found
