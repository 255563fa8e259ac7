"""Via headers: host, port and the parameters that decide where a reply goes.

A `Via` knows the places in the message where Kamailio puts `received` and `rport`, so that a forwarded request or
a reply can be made without touching the other bytes. One header may hold several Vias separated by commas.
"""

from __future__ import annotations

import re

from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.lazy import Slotted, lazy, slotted
from kamailio_py.sip.remembered import memo

_HEAD = re.compile(
    r"[ \t\r\n]*(SIP)[ \t\r\n]*/[ \t\r\n]*(2\.0)[ \t\r\n]*/[ \t\r\n]*([^ \t\r\n/]+)[ \t\r\n]+"
    r"(\[[0-9A-Fa-f:.]+\]|[^ \t\r\n:;,\[\](]+)[ \t\r\n]*(?::[ \t\r\n]*([0-9]{1,5}))?[ \t\r\n]*",
    re.IGNORECASE,
)
_HOSTPORT = re.compile(r"([^ \t\r\n:;,\[\](]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")
_USUAL_HEAD = re.compile(r"( ?)SIP/2\.0/([A-Z]+) ([^ \t\r\n;,(\"]+)(;rport)?")
_UNUSUAL = re.compile(r'["(, \t\r\n]')
_SPACE = " \t\r\n"
_BLANK = frozenset(_SPACE)
_value = re.compile(r'"(?:[^"\\]|\\.)*"|[^" \t\r\n]*', re.DOTALL).fullmatch

# how Kamailio's Via parser treats the parameters it knows, some by accident
_NEVER_WITH_VALUE = frozenset(("hidden", "alias", "a"))
_NEVER_BARE = frozenset(("ttl", "branch", "maddr", "received", "i", "al"))


@memo(4096)
def _hostport(text: str) -> tuple[str, str, int] | None:
    """Host, port as text and port of "host:port" written without blanks."""
    match = _HOSTPORT.fullmatch(text)
    if match is None:
        return None
    host, port = match.groups()
    return host, port or "", int(port) & 0xFFFF if port else 0


@memo(4096)
def _usual_head(text: str) -> tuple[int, str, str, str, int, int, bool] | None:
    """What stands before the branch, as nearly every client writes it: transport, host and port, perhaps rport.

    Where the Via begins, transport, host, port as text, port, where host and port end, whether rport follows.
    """
    match = _USUAL_HEAD.fullmatch(text)
    found = _hostport(match[3]) if match is not None else None
    if match is None or found is None:
        return None
    return match.end(1), match[2], *found, match.end(3), match[4] is not None


@slotted(
    "host", "port_text", "port", "branch", "received", "received_span", "rport", "transport", "more", "start",
    "host_end", "end", "_text",
)  # fmt: skip
class Via(Slotted):
    """One Via value of a message.

    start, end      where the value stands in the text it was parsed from; `end` excludes a following comma
    host_end        where `received` goes in: the first `;`, or the end of host and port
    params_start    position after the first `;`, or -1
    received, rport, branch, i, alias    None when absent, "" without value
    *_span          where that parameter stands, without the `;` before it but with blanks after that
    more            another Via follows in the same header
    """

    host: str
    port_text: str
    port: int
    branch: str | None
    received: str | None
    received_span: tuple[int, int]
    rport: str | None
    transport: str
    more: bool
    start: int
    host_end: int
    end: int
    _text: str

    # what is not set when the Via is a usual one, see usual_via

    @lazy
    def params_start(self) -> int:
        return self.host_end + 1

    @lazy
    def params(self) -> str:
        return self._text[self.host_end + 1 : self.end]

    @lazy
    def rport_span(self) -> tuple[int, int]:
        start = self.host_end + 1 if self._text.startswith(";rport;", self.host_end) else self.end - 5
        return start, start + 5

    @lazy
    def i(self) -> str | None:
        return None

    @lazy
    def alias(self) -> str | None:
        return None

    def __init__(self, text: str, start: int, end: int) -> None:
        """Parse the Via at text[start:end], or the first of several there; BadMessage if it is none."""
        self.branch = self.received = self.rport = None
        if text[start : start + 1] == " ":
            start += 1
        if text.startswith("SIP/2.0/", start):
            blank = text.find(" ", start, end)
            semicolon = text.find(";", blank, end)
            if 0 < blank < semicolon:
                found = _hostport(text[blank + 1 : semicolon])
                if found is not None:
                    params = text[semicolon + 1 : end]
                    transport = text[start + 8 : blank]
                    if transport.isalnum() and _UNUSUAL.search(params) is None:
                        self.host, self.port_text, self.port = found
                        self.transport = transport
                        self.start = start
                        self.end = end
                        self.host_end = semicolon
                        self.params_start = semicolon + 1
                        self.params = params
                        self.more = False
                        self._plain_params(params, semicolon + 1)
                        return
        self._parse(text, start, end)

    def _plain_params(self, params: str, at: int) -> None:
        """Parameters without quotes, blanks and commas; `at` is where they stand in the message."""
        for part in params.split(";"):
            name, equals, value = part.partition("=")
            end = at + len(part)
            if name == "branch" and value and "=" not in value:
                self.branch = value
            else:
                self._param(name.lower(), equals, value, at, end, end == self.end)
            at = end + 1

    def _param(self, name: str, equals: str, value: str, start: int, end: int, last: bool) -> None:
        """Note a parameter; BadMessage where Kamailio refuses it. `last`: nothing follows it."""
        if not name or (equals and name in _NEVER_WITH_VALUE) or ("=" in value and value[0] != '"'):
            raise BadMessage("bad parameter in Via")
        if not value and name in _NEVER_BARE and (not equals or last):
            raise BadMessage("parameter without value in Via")
        if name == "received":
            self.received = value
            self.received_span = (start, end)
        elif name == "branch":
            self.branch = value or None
        elif name == "rport":
            self.rport = value
            self.rport_span = (start, end)
        elif name == "i":
            self.i = value
        elif name == "alias":
            self.alias = value

    def _parse(self, text: str, start: int, end: int) -> None:
        """Vias with blanks, quotes, comments, without parameters, or followed by another."""
        match = _HEAD.match(text, start, end)
        if match is None:
            raise BadMessage("bad Via")
        _, _, self.transport, self.host, port = match.groups()
        self.port_text = port or ""
        self.port = int(port) & 0xFFFF if port else 0
        self.start = match.start(1)
        self.host_end = match.end(5) if port else match.end(4)
        self.params = ""
        self.params_start = -1
        self.more = False
        at = match.end()
        if at < end and text[at] == ";":
            self.host_end = at
            self.params_start = at + 1
            at = self._any_params(text, at + 1, end)
        if at < end and text[at] == "(":
            at = _after_comment(text, at, end)
        self.end = at
        if at < end:
            if text[at] != ",":
                raise BadMessage("rubbish after Via")
            self.more = True
        while text[self.end - 1] in _SPACE:
            self.end -= 1

    def _any_params(self, text: str, at: int, end: int) -> int:
        """Walk over the parameters from `at`; the position where they end."""
        begin = at
        while True:
            stop = _param_end(text, at, end)
            name, equals, value = text[at:stop].partition("=")
            name = name.strip(_SPACE).lower()
            value = value.strip(_SPACE)
            if not _BLANK.isdisjoint(name) or _value(value) is None:
                raise BadMessage("bad parameter in Via")
            last = stop
            while text[last - 1] in _SPACE:
                last -= 1
            self._param(name, equals, value, at, last, stop >= end or text[stop] == ",")
            if stop >= end or text[stop] != ";":
                self.params = text[begin:last]
                return stop
            at = stop + 1

    def written(self, text: str) -> str:
        """The Via as it stands in the text it was parsed from, with the comma if another one follows."""
        return text[self.start : text.index(",", self.end) + 1 if self.more else self.end]

    def param(self, name: str) -> str | None:
        """Value of a parameter without its quotes, None if it has none or is not there."""
        at, params = 0, self.params
        while at < len(params):
            stop = _param_end(params, at, len(params))
            key, _, value = params[at:stop].partition("=")
            if key.strip(_SPACE).lower() == name:
                value = value.strip(_SPACE)
                return value[1:-1] if value[:1] == '"' else value or None
            at = stop + 1
        return None


def _param_end(text: str, at: int, end: int) -> int:
    """Where a parameter ends that may have a quoted value: at `;`, `,`, `(` or the end."""
    quoted = False
    while at < end:
        c = text[at]
        if quoted:
            if c == "\\":
                at += 1
            elif c == '"':
                quoted = False
            elif c == ",":
                raise BadMessage("comma in a quoted Via parameter")
        elif c == '"':
            quoted = True
        elif c in ";,(":
            return at
        at += 1
    if quoted:
        raise BadMessage("quote in Via does not end")
    return end


def _after_comment(text: str, at: int, end: int) -> int:
    depth = 0
    while at < end:
        c = text[at]
        if c == "\\":
            at += 1
        elif c == "(":
            depth += 1
        elif c == ")":
            depth -= 1
            if not depth:
                at += 1
                while at < end and text[at] in _SPACE:
                    at += 1
                return at
        at += 1
    raise BadMessage("comment in Via does not end")


def usual_via(text: str, start: int, end: int) -> Via | None:
    """The Via at text[start:end] if nearly every client writes it like this.

    Before the branch stands what `_usual_head` knows, behind it nothing or rport.
    """
    cut = text.find(";branch=", start, end)
    known = _usual_head(text[start:cut]) if cut > 0 else None
    if known is None:
        return None
    blank, transport, host, port_text, port, host_end, rport = known
    branch = text[cut + 8 : end]
    if ";" in branch:
        branch, _, rest = branch.partition(";")
        if rest != "rport" or rport:
            return None
        rport = True
    if "=" in branch or '"' in branch or "," in branch or "(" in branch:
        return None
    if not branch or " " in branch or "\t" in branch or "\r" in branch:
        return None
    via = Via.__new__(Via)
    via._text = text
    via.start = start + blank
    via.host_end = start + host_end
    via.end = end
    via.transport = transport
    via.host = host
    via.port_text = port_text
    via.port = port
    via.branch = branch
    via.received = None
    via.rport = "" if rport else None
    via.more = False
    return via
