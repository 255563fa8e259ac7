"""From, To, Contact, Route and their like: display name, URI and parameters."""

from __future__ import annotations

import re

from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.remembered import LONGEST, memo
from kamailio_py.sip.uri import Uri, param_of, split_params

_SPACE = " \t\r\n"
_NOT_IN_URI = frozenset(' \t\r\n"<>\\')
_NOT_IN_NAME = frozenset('";\\')
_PLAIN = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-._+~!%*`'@:/$")

_QUOTED = r'"(?:[^"\\]++|\\.)*"'
_value = re.compile(rf'(?:[^",<]++|{_QUOTED}|<(?:[^">]++|{_QUOTED})*(?:>|\Z|(?=")))*', re.DOTALL).match
_usual = re.compile(r"""((?:"[^"\\\r\n<>]*"[ ]?|[A-Za-z0-9 .!%*_+`'~-]*))<([^ \t\r\n"<>\\]+)>""").fullmatch


class NameAddr:
    """One address of a header value.

    text        the value as written, stripped
    display     as written, with its quotes
    uri         text of the URI, without brackets
    params      text after the URI, without the first `;`
    """

    __slots__ = ("_tag", "display", "params", "text", "uri")

    def __init__(self, text: str) -> None:
        """Parse the value of a header that holds one address; BadMessage if it holds none."""
        text = text.strip(_SPACE)
        self.text = text
        self._tag: str | None = None
        left = _bracket(text)
        if left >= 0:
            right = text.find(">", left)
            if right < 0:
                raise BadMessage("address without closing bracket")
            self.display = display = text[:left].rstrip(_SPACE)
            if display and (display[-1] != '"' if display[0] == '"' else not _NOT_IN_NAME.isdisjoint(display)):
                raise BadMessage("bad display name")
            self.uri = text[left + 1 : right].strip(" \t")
            if not _NOT_IN_URI.isdisjoint(self.uri):
                raise BadMessage("bad character in a URI")
            rest = text[right + 1 :].lstrip(_SPACE)
            if not rest:
                self.params = ""
                return
            if rest[0] != ";":
                raise BadMessage("rubbish after an address")
            self.params = rest[1:]
        else:
            self.display = ""
            uri, _, params = text.partition(";")
            self.uri = uri.rstrip(_SPACE)
            self.params = params
            if not self.uri or not _NOT_IN_URI.isdisjoint(self.uri):
                raise BadMessage("bad address")

    def __repr__(self) -> str:
        return f"NameAddr({self.text!r})"

    @property
    def tag(self) -> str:
        """The tag parameter, "" if there is none."""
        tag = self._tag
        if tag is None:
            params = self.params
            if params[:4] == "tag=" and ";" not in params and '"' not in params:
                tag = params[4:].rstrip(_SPACE)
            else:
                tag = ""
                if params:
                    for part in split_params(params):
                        key, _, value = part.partition("=")
                        if key.strip(_SPACE).lower() == "tag":
                            value = value.strip(_SPACE)
                            tag = value[1:-1] if value[:1] == '"' == value[-1:] and len(value) > 1 else value
            self._tag = tag
        return tag

    def param(self, name: str) -> str | None:
        """Value of a parameter: "" if it has none, None if it is not there; quotes are taken off."""
        return param_of(self.params, name) if self.params else None

    @property
    def parsed_uri(self) -> Uri:
        """The parts of the URI; BadUri if it has none."""
        return Uri.parse(self.uri)

    @property
    def name(self) -> str:
        """The display name without its quotes."""
        display = self.display
        return display[1:-1] if len(display) > 1 and display[0] == '"' == display[-1] else display


@memo(1024)
def _usual_parts(text: str) -> tuple[str, str] | None:
    """Display name and URI of an address without parameters, as nearly everybody writes it."""
    match = _usual(text)
    return None if match is None else (match[1].strip(" "), match[2])


def usual_address(text: str) -> NameAddr | None:
    """The address of From or To if it is as nearly everybody writes it: nothing is wrong with it, and it has no
    parameter or its tag alone."""
    if len(text) > LONGEST:
        return None
    left, cut, tag = text.partition(">;tag=")
    if cut:
        if not tag or ";" in tag or '"' in tag or "=" in tag or " " in tag or "\t" in tag or "\r" in tag:
            return None
        found = _usual_parts(f"{left}>")
    else:
        found = _usual_parts(text)
    if found is None:
        return None
    address = NameAddr.__new__(NameAddr)
    address.text = text
    address.display, address.uri = found
    address._tag = tag
    address.params = text[len(left) + 2 :]
    return address


def parse_address(text: str) -> NameAddr:
    """The address of From or To, whose parameters Kamailio checks; BadMessage if it is bad."""
    usual = usual_address(text)
    if usual is not None:
        return usual
    address = NameAddr(text)
    if not address.uri:
        raise BadMessage("empty address")
    if address.display[:1] == '"' and "\n" in address.display:
        raise BadMessage("line break in a quoted name")
    params = address.params
    if params:
        if params[:4] == "tag=" and _PLAIN.issuperset(params[4:]):
            return address
        for part in split_params(params):
            name, _, value = part.partition("=")
            name, value = name.strip(_SPACE), value.strip(_SPACE)
            if not name or " " in name or "," in name or '"' in name:
                raise BadMessage("bad parameter of an address")
            if value[:1] == '"':
                if len(value) < 2 or value.find('"', 1) != len(value) - 1 or "\\" in value:
                    raise BadMessage("bad quoted parameter of an address")
            elif " " in value or '"' in value or "=" in value or ("," in value and name.lower() != "tag"):
                raise BadMessage("bad parameter of an address")
    elif address.text[-1:] == ";":
        raise BadMessage("bad parameter of an address")
    return address


def _bracket(text: str) -> int:
    """Position of the `<` outside quotes, or -1."""
    left = text.find("<")
    if left < 0:
        if text[:1] == '"':
            raise BadMessage("name without address")
        return -1
    quote = text.find('"', 0, left)
    if quote < 0:
        return left
    while quote >= 0:
        at = quote + 1
        while True:
            closing = text.find('"', at)
            if closing < 0:
                raise BadMessage("quoted name does not end")
            slashes = 0
            while text[closing - 1 - slashes] == "\\":
                slashes += 1
            at = closing + 1
            if slashes % 2 == 0:
                break
        left = text.find("<", at)
        if left < 0:
            raise BadMessage("name without address")
        quote = text.find('"', at, left)
    return left


def split_values(text: str) -> list[str]:
    """The values of a header that may hold several, separated by commas outside of quotes and brackets; stripped."""
    return [text[a:b].strip(_SPACE) for a, b in value_spans(text, 0, len(text))]


def value_spans(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """(start, end) of each comma-separated value of text[start:end]."""
    if text.find(",", start, end) < 0:
        return [(start, end)]
    found = []
    while True:
        at = _value(text, start, end).end()  # type: ignore[union-attr]
        found.append((start, at))
        if at == end:
            return found
        if text[at] != ",":
            raise BadMessage("quoted name does not end")
        start = at + 1


def parse_list(text: str) -> list[NameAddr]:
    """All addresses of one header value."""
    return [NameAddr(value) for value in split_values(text)]
