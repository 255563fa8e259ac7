"""Header names: the long canonical name of what stands before a colon.

`CANON` is indexed with the text before the colon ("Via", "v", "From ") and gives the lower-case long name ("via",
"from"), or "" where this is no header name. It learns spellings as they are met, up to a bound, so that
naming a header costs one dictionary look-up. `NAMES` lists what Kamailio knows; other names keep their own spelling
in lower case.
"""

from __future__ import annotations

_USUAL = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-._+~")
NAME_CHARACTERS = set(_USUAL)
"""What is accepted in a header name: what Kamailio does, and what the config adds."""

COMPACT = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}

KNOWN = frozenset(
    {
        "accept", "accept-contact", "accept-language", "allow", "allow-events", "authorization", "call-id",
        "call-info", "contact", "content-disposition", "content-encoding", "content-length", "content-type",
        "cseq", "date", "diversion", "event", "expires", "from", "identity", "identity-info", "max-forwards",
        "min-expires", "min-se", "organization", "path", "priority", "privacy", "proxy-authenticate",
        "proxy-authorization", "proxy-require", "p-preferred-identity", "p-asserted-identity", "reason",
        "record-route", "refer-to", "referred-by", "reject-contact", "remote-party-id", "request-disposition",
        "require", "retry-after", "route", "server", "session-expires", "sip-if-match", "subject",
        "subscription-state", "supported", "to", "unsupported", "user-agent", "via", "www-authenticate",
    }
)  # fmt: skip
"""The long names that have a type of their own in Kamailio's parser; all others are "other" headers."""

_LONGEST = 64
_MOST = 4096


class _Canon(dict[str, str]):
    """Text before the colon -> canonical name; learns."""

    def __missing__(self, text: str) -> str:
        name = text.rstrip(" \t")
        if not name or not NAME_CHARACTERS.issuperset(name):
            return ""
        name = canonical(name)
        if len(self) < _MOST and len(text) <= _LONGEST:
            self[text] = name
        return name


def canonical(name: str) -> str:
    """The long lower-case name of a header name, compact forms expanded."""
    name = name.lower()
    return COMPACT.get(name, name)


CANON = _Canon({"": ""})


def accept_in_names(characters: str) -> None:
    """Have these in header names, too; before the first message."""
    wanted = _USUAL.union(characters)
    if wanted != NAME_CHARACTERS:
        NAME_CHARACTERS.clear()
        NAME_CHARACTERS.update(wanted)
        CANON.clear()
        CANON[""] = ""
