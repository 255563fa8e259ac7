"""Headers that list addresses, taken apart as Kamailio takes them apart: Contact, and Route and its relatives.

Kamailio asks little of a URI and much of parameters. In a Contact what stands between angle brackets is a URI whatever
it looks like, and text behind them makes the brackets part of it; where a name stands before a URI without brackets the
last character of the header is lost. In a Route there must be brackets, and all before them is a name. Addresses do not
change, so those parsed last are remembered.
"""

from __future__ import annotations

import re

from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.remembered import remembered
from kamailio_py.sip.uri import Uri

_SPACE = " \t\r\n"
QUOTED = r'"[^"]*(?:(?<=\\)"[^"]*)*(?<!\\)"'
"""A text in quotes; a backslash before a quote takes its meaning away."""
# Groups are not possessive: before CPython 3.11.5 one that holds an alternative matches too little (gh-106052).
_name = re.compile(rf'((?:[^":;<]++|{QUOTED})*)([:;<])').match
_blank = re.compile(rf"(?:[^\" \t]++|{QUOTED})*[ \t]").match
_uri = re.compile(rf'(?:[^"<>,;]++|{QUOTED}|<(?:[^"<>]++|{QUOTED})*>)*').match
_bracketed = re.compile(rf'((?:[^"<]++|{QUOTED})*)<((?:[^">]++|{QUOTED})*)>').match
_param = re.compile(r"[ \t\r\n]*([^ \t\r\n;,=]*)[ \t\r\n]*(=?)[ \t\r\n]*").match
_token = re.compile(r"[^ \t\r\n;,]+").match
_space = re.compile(r"[ \t\r\n]*").match
_usual = re.compile(r"<([^<> \t\r\n\"',;]+)>").fullmatch


class ListedAddress:
    """One address of a header.

    text        as written, with name and parameters
    start       where that stands in the header's value
    display     the name as written, "" without one
    uri         without its brackets;  uri_start  where it stands in the header's value
    params      (name, value) as written but for the quotes, the value None without one
    """

    __slots__ = ("display", "params", "start", "text", "uri", "uri_start")

    def __init__(
        self, text: str, start: int, display: str, uri: str, uri_start: int, params: tuple[tuple[str, str | None], ...]
    ) -> None:
        self.text = text
        self.start = start
        self.display = display
        self.uri = uri
        self.uri_start = uri_start
        self.params = params

    def __repr__(self) -> str:
        return f"ListedAddress({self.text!r})"

    def param(self, name: str) -> str | None:
        """Value of the first parameter of this name, given in lower case; None if it is not there or has none."""
        return next((value for key, value in self.params if key.lower() == name), None)

    def last_param(self, name: str) -> str | None:
        """As param(), of the last one: Kamailio's way with q, expires, received and others it knows."""
        return next((value for key, value in reversed(self.params) if key.lower() == name), None)

    @property
    def parsed_uri(self) -> Uri:
        """The parts of the URI; BadUri if it has none."""
        return Uri.parse(self.uri)


@remembered
def parse_contacts(value: str) -> list[ListedAddress]:
    """The contacts of a Contact header's value in Kamailio's order, the last one first; BadMessage if there is none, or
    a bad one among them. What begins with a star is not asked for."""
    match = _usual(value)
    if match is not None:
        return [ListedAddress(value, 0, "", match[1], 1, ())]
    found: list[ListedAddress] = []
    at, end = _space(value).end(), len(value)  # type: ignore[union-attr]
    while True:
        if at == end:
            raise BadMessage("no contact after a comma" if found else "empty Contact")
        start = at
        at, end = _after_name(value, at, end)
        uri_end = _uri(value, at, end).end()  # type: ignore[union-attr]
        if uri_end < end and value[uri_end] not in ",;":
            raise BadMessage("bad bracket or quote in a contact")
        uri = value[at:uri_end].strip(_SPACE)
        display = value[start:at].strip(_SPACE)
        if uri[:1] == "<" and uri[-1:] == ">":
            uri = uri[1:-1].strip(_SPACE)
        if not uri:
            raise BadMessage("contact without a URI")
        uri_start = value.index(uri, at)
        params: list[tuple[str, str | None]] = []
        at = uri_end
        if at < end and value[at] == ";":
            at = _read_params(value, at + 1, end, params)
        text = value[start:at].rstrip(_SPACE)
        found.append(ListedAddress(text, start, display, uri, uri_start, tuple(params)))
        if at == end:
            return found[::-1]
        at = _space(value, at + 1, end).end()  # type: ignore[union-attr]


@remembered
def parse_routes(value: str) -> list[ListedAddress]:
    """The addresses of a Route, Record-Route or Path header's value in order; BadMessage if there is none or a bad one
    among them."""
    match = _usual(value)
    if match is not None:
        return [ListedAddress(value, 0, "", match[1], 1, ())]
    found: list[ListedAddress] = []
    start, end = _space(value).end(), len(value)  # type: ignore[union-attr]
    while True:
        match = _bracketed(value, start)
        if match is None:
            raise BadMessage("address without brackets")
        params: list[tuple[str, str | None]] = []
        at = _space(value, match.end()).end()  # type: ignore[union-attr]
        if at < end and value[at] == ";":
            at = _read_params(value, at + 1, end, params)
        text = value[start:at].rstrip(_SPACE)
        found.append(ListedAddress(text, start, match[1].rstrip(_SPACE), match[2], match.start(2), tuple(params)))
        if at == end:
            return found
        if value[at] != ",":
            raise BadMessage("rubbish after an address")
        start = _space(value, at + 1).end()  # type: ignore[union-attr]


def _after_name(value: str, at: int, end: int) -> tuple[int, int]:
    """Where the URI begins, and the end of the header for all that follows."""
    match = _name(value, at, end)
    if match is None:
        raise BadMessage("contact without a URI, or a quote that does not end")
    if match[2] == "<":
        return match.end(1), end
    blank = at
    while (following := _blank(value, blank, match.end(1))) is not None:
        blank = following.end()
    return (at, end) if blank == at else (blank - 1, end - 1)


def _read_params(value: str, at: int, end: int, params: list[tuple[str, str | None]]) -> int:
    """Read the parameters that begin at `at`; where they end: at a comma, or the end."""
    while True:
        match = _param(value, at, end)
        assert match is not None
        name, equals, at = match[1], match[2], match.end()
        if at == end and not name and not equals:
            raise BadMessage("no parameter after a semicolon")
        text: str | None = None
        if equals:
            text = ""
            if at < end and value[at] in "\"'":
                closing = value.find(value[at], at + 1, end)
                if closing < 0:
                    raise BadMessage("quote of a parameter does not end")
                text, at = value[at + 1 : closing], closing + 1
            elif at < end:
                token = _token(value, at, end)
                if token is None:
                    raise BadMessage("parameter without its value")
                text, at = token[0], token.end()
        params.append((name, text))
        at = _space(value, at, end).end()  # type: ignore[union-attr]
        if at == end or value[at] == ",":
            return at
        if value[at] != ";":
            raise BadMessage("rubbish after a parameter")
        at += 1
