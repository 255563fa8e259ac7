"""The text of a SIP message: its first line and where its headers start. Knows no header's meaning.

The way of the usual message, whose headers are one CRLF line each, is one split and one look-up per header; whatever is
folded, ends in LF alone or is no header goes the slow way.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import ClassVar

from kamailio_py.sip.endpoint import ListenSocket
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.header_layout import LAYOUTS, HeaderLayout
from kamailio_py.sip.headers import CANON
from kamailio_py.sip.lazy import Slotted, lazy, slotted
from kamailio_py.sip.shapes import REPLY

_partition = str.partition
_COLON = repeat(":")
_SPACE = " \t\r\n"
_BLANK = " \t"

_HTTP = ("HTTP/1.0 ", "HTTP/1.1 ")

METHODS = frozenset(
    {
        "INVITE", "CANCEL", "ACK", "BYE", "INFO", "REGISTER", "SUBSCRIBE", "NOTIFY", "MESSAGE", "OPTIONS", "PRACK",
        "UPDATE", "REFER", "PUBLISH", "KDMQ", "GET", "POST", "PUT", "DELETE",
    }
)  # fmt: skip
"""Methods Kamailio knows; it knows them in any case, `invite` is an INVITE."""


@slotted(
    "text", "src_ip", "src_port", "socket", "is_request", "method", "method_text", "ruri", "version",
    "names", "layout", "broken", "headers_end", "body_offset", "is_proven",
    "_headers_start", "_lines",
)  # fmt: skip
class MessageText(Slotted):
    """A message as it was received.

    names           canonical header names in order ("via", "call-id")
    layout          what follows from that order; None unless each header is one line that ends in CRLF
    broken          None, or what is wrong with the header line where the index ends before the empty line does
    is_proven       it is known that nothing is wrong with the headers
    body_offset     where the body starts; the end of the text when the headers do not end
    headers_end     where a header can be appended: before the empty line
    """

    http_replies: ClassVar[bool] = False
    """Whether replies of HTTP are taken for SIP's (http_reply_hack); set before the first message."""

    is_request: bool
    method: str
    method_text: str
    ruri: str
    version: str
    names: Sequence[str]
    layout: HeaderLayout | None
    broken: str | None
    is_proven: bool
    _lines: list[str]
    """The headers, without their line ends where there is a layout; of a message that was recognised none, the text
    tells."""

    def __init__(self, text: str, src_ip: str = "", src_port: int = 0, socket: ListenSocket | None = None) -> None:
        """Find first line and headers; BadMessage if this is no SIP message."""
        self.text = text
        self.src_ip = src_ip
        self.src_port = src_port
        self.socket = socket
        self.is_proven = False
        end = text.find("\r\n")
        if end < 0 or text[0] in "\r\n\t \0":
            end, line = self._find_first_line(text)
        else:
            line = text[:end]
        parts = line.split(" ")
        if len(parts) == 3 and parts[2] == "SIP/2.0" and parts[0] in METHODS and parts[1]:
            self.is_request = True
            self.method = self.method_text = parts[0]
            self.ruri = parts[1]
            self.version = "SIP/2.0"
            if self._recognise(self.method, text, end):
                return
        else:
            self._parse_first_line(line)
            if not self.is_request and self._recognise(REPLY, text, end):
                return
        eoh = text.find("\r\n\r\n", end)
        if eoh >= 0:
            head = text[end + 2 : eoh]
            lines = head.split("\r\n")
            # a folded line has no name of its own; a lone LF is found by counting
            layout = LAYOUTS[tuple([CANON[name] if colon else "" for name, colon, _ in map(_partition, lines, _COLON)])]
            if layout.lines and head.count("\n") == len(lines) - 1:
                self._lines = lines
                self._headers_start = end + 2
                self.headers_end = eoh + 2
                self.body_offset = eoh + 4
                self.layout = layout
                self.names = layout.names
                self.broken = None
                return
        self._index_slowly(end)

    def __repr__(self) -> str:
        what = f"{self.method} {self.ruri}" if self.is_request else f"{self.status} {self.reason}"
        return f"<Message {what}>"

    # the first line

    @lazy
    def status(self) -> int:
        """Status of a reply, 0 for a request."""
        return 0

    @lazy
    def reason(self) -> str:
        """Reason phrase of a reply."""
        return ""

    @lazy
    def first_line_start(self) -> int:
        """Where the first line begins."""
        return 0

    def _find_first_line(self, text: str) -> tuple[int, str]:
        """Skip what may stand before the first line; where that line ends, before its CRLF or LF, and the line."""
        start = len(text) - len(text.lstrip("\r\n\t \0"))
        self.first_line_start = start
        newline = text.find("\n", start)
        if newline < 0:
            raise BadMessage("no line end in the message")
        end = newline - 1 if text[newline - 1] == "\r" else newline
        return end, text[start:end]

    def _parse_first_line(self, line: str) -> None:
        """First lines that are not quite the usual ones, and replies."""
        if len(self.text) - self.first_line_start <= 16:
            raise BadMessage("message too short")
        if line[:8].upper() == "SIP/2.0 " or (self.http_replies and line[:9] in _HTTP):
            version, _, rest = line.partition(" ")
            code, reason = rest[:3], rest[3:]
            if len(code) != 3 or not code.isdecimal() or not code.isascii() or reason[:1] not in (" ", "\t"):
                raise BadMessage("bad status line")
            self.is_request = False
            self.version = version
            self.status = int(code)
            self.reason = reason.lstrip(_BLANK)
            self.ruri = self.method_text = ""
            return
        method, space, rest = line.partition(" ")
        if not space or not method or "\t" in method:
            raise BadMessage("bad first line")
        uri, space, version = rest.replace("\t", " ").partition(" ")
        version = version.strip(" ")
        if not space or not version or " " in version or "\r" in line:
            raise BadMessage("bad request line")
        self.is_request = True
        self.method_text = method
        self.method = method.upper() if method.upper() in METHODS else method
        self.ruri = uri
        self.version = version

    @property
    def is_sip(self) -> bool:
        """Is the version SIP's? HTTP requests have the same shape and go to event_route[xhttp:request]."""
        return self.version[:7].upper() == "SIP/2.0"

    # the header index

    def _index_slowly(self, end: int) -> None:
        """Index headers that are folded, end in LF alone, or are no headers."""
        text = self.text
        size = len(text)
        start = text.find("\n", end) + 1
        self._headers_start = start
        lines, names, starts = [], [], []
        self.broken = None
        while start < size:
            if text[start] in "\r\n":
                self.headers_end = start
                self.body_offset = start + 2 if text.startswith("\r\n", start) else start + 1
                break
            newline = text.find("\n", start)
            while 0 <= newline < size - 1 and text[newline + 1] in _BLANK:
                newline = text.find("\n", newline + 1)
            stop = newline + 1 if newline >= 0 else size
            name, colon, _ = text[start:stop].partition(":")
            name = CANON[name] if colon else ""
            if not name or newline < 0:
                self.broken = "header without end" if name else "bad header"
                self.headers_end = start
                self.body_offset = size
                break
            names.append(name)
            starts.append(start)
            lines.append(text[start:stop])
            start = stop
        else:
            self.headers_end = self.body_offset = size
        starts.append(self.headers_end)
        self.layout = None
        self.names = names
        self._lines = lines
        self.starts = starts

    def _recognise(self, kind: str, text: str, end: int) -> bool:
        """Whether the headers, which begin behind the CRLF at `end`, are those of a known shape, and all is set.

        `kind` is the method, or REPLY.
        """
        return False

    @lazy
    def starts(self) -> list[int]:
        """Offset of each header, and at the end that of the empty line; for headers that are one CRLF line each."""
        at = self._headers_start
        starts = [at]
        for line in self._lines:
            at += len(line) + 2
            starts.append(at)
        return starts

    def find(self, name: str) -> int:
        """Index of the first header of that name, or -1."""
        found = self.indexes(name)
        return found[0] if found else -1

    def indexes(self, name: str) -> Sequence[int]:
        """Indexes of all headers of that name."""
        layout = self.layout
        if layout is not None:
            return layout.places.get(name, ())
        return [i for i, n in enumerate(self.names) if n == name]

    def line(self, i: int) -> str:
        """A header, without its line end where there is a layout."""
        lines = self._lines
        if lines:
            return lines[i]
        starts = self.starts
        return self.text[starts[i] : starts[i + 1] - 2]

    def value(self, i: int) -> str:
        """Value of a header, folding undone."""
        line = self.line(i)
        value = line[line.find(":") + 1 :].strip(_SPACE)
        if "\n" in value:
            return " ".join(part.strip(_SPACE) for part in value.split("\n"))
        return value

    def raw_value(self, i: int) -> str:
        """Value of a header as written: line breaks of folding and blanks at the end belong to it."""
        line = self.line(i)
        return line[line.find(":") + 1 :].lstrip(_SPACE).rstrip("\r\n")

    def header(self, name: str) -> str | None:
        """Value of the first header of that name."""
        i = self.find(name)
        return self.value(i) if i >= 0 else None

    def headers(self, name: str) -> list[str]:
        """Values of all headers of that name."""
        return [self.value(i) for i in self.indexes(name)]

    def span(self, i: int) -> tuple[int, int]:
        """Where the whole header stands, its line end included."""
        starts = self.starts
        return starts[i], starts[i + 1]

    def value_span(self, i: int) -> tuple[int, int]:
        """Where the value stands, without the blanks around it."""
        start, end = self.span(i)
        line = self.line(i)
        rest = line[line.find(":") + 1 :]
        value = rest.lstrip(_SPACE)
        if not value:
            return end, end
        start += len(line) - len(value)
        return start, start + len(value.rstrip(_SPACE))

    def raw(self, i: int) -> str:
        """The whole header as written."""
        start, end = self.span(i)
        return self.text[start:end]

    def name_text(self, i: int) -> str:
        """The name as written."""
        line = self.line(i)
        return line[: line.find(":")].rstrip(_BLANK)

    def overwrite(self, i: int, start: int, value: str) -> None:
        """Put as many other characters at `start`, in header `i`, into the received text itself.

        The one exception to edits being lumps: Kamailio counts Max-Forwards down in place.
        """
        text = self.text
        at = start - self.span(i)[0]
        line = self.line(i)
        self.text = f"{text[:start]}{value}{text[start + len(value) :]}"
        if self._lines:
            self._lines[i] = f"{line[:at]}{value}{line[at + len(value) :]}"

    @property
    def body(self) -> str:
        """What follows the empty line."""
        return self.text[self.body_offset :]
