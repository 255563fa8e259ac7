"""What follows from the order of a message's headers alone, whatever they say.

Clients send the same few orders again and again, so it is worked out once for each and looked up from then on. Knows
names only, no values.
"""

from __future__ import annotations

MANDATORY = frozenset(("via", "from", "to", "call-id", "cseq"))
_MOST = 1024
"""Orders remembered; a sender of ever new ones makes them be forgotten and begun anew."""


class HeaderLayout:
    """An order of headers.

    names       canonical names, "" for a line that is no header by itself
    lines       no line is without a name
    whole       the five headers every message has are there
    plain       so they are, no header twice, none that is looked at closely
    relayed     the same but for a second Via: what a reply has that goes on to another server
    via, from_, to, call_id, cseq, content_length   their places, -1 where one is missing
    places      all places of each name
    routed      there is a Record-Route
    block       of a plain one: the place of the first of From, To, Call-ID and CSeq where these follow each other
                behind Via, in any order, else -1; a reply copies them
    """

    __slots__ = (
        "block", "call_id", "content_length", "cseq", "from_", "lines", "names", "places", "plain", "relayed", "routed",
        "to", "via", "whole",
    )  # fmt: skip

    def __init__(self, names: tuple[str, ...]) -> None:
        different = set(names)
        self.names = names
        self.lines = "" not in different
        self.whole = different >= MANDATORY
        usual = self.whole and "retry-after" not in different
        self.plain = usual and len(different) == len(names)
        self.relayed = usual and len(different) == len(names) - 1 and names.count("via") == 2
        self.places: dict[str, tuple[int, ...]] = {}
        for i, name in enumerate(names):
            self.places[name] = (*self.places.get(name, ()), i)
        self.via, self.from_, self.to, self.call_id, self.cseq, self.content_length = (
            self.places.get(name, (-1,))[0] for name in ("via", "from", "to", "call-id", "cseq", "content-length")
        )
        self.routed = "record-route" in different
        copied = [i for i, name in enumerate(names) if name in MANDATORY and name != "via"]
        together = self.plain and copied[3] - copied[0] == 3 and self.via < copied[0]
        self.block = copied[0] if together else -1


class _Layouts(dict[tuple[str, ...], HeaderLayout]):
    """Names in order -> their layout; learns."""

    def __missing__(self, names: tuple[str, ...]) -> HeaderLayout:
        if len(self) >= _MOST:
            self.clear()
        layout = self[names] = HeaderLayout(names)
        return layout


LAYOUTS = _Layouts()
