"""What the headers of a message say: each value is parsed when somebody asks for it, and kept.

Also what Kamailio checks of a message before its script sees it, and before it can be answered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kamailio_py.sip.address_lists import ListedAddress, parse_contacts, parse_routes
from kamailio_py.sip.cseq import parse_cseq
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.lazy import lazy, slotted
from kamailio_py.sip.message_text import METHODS, MessageText
from kamailio_py.sip.nameaddr import NameAddr, parse_address
from kamailio_py.sip.shapes import KNOWN, REPLY
from kamailio_py.sip.via import Via

_SPACE = " \t\r\n"
_BLANK = " \t"
_DIGITS = frozenset("0123456789")
_LONGEST = 2147483639
_NONE: list[str] = []
_ONCE = frozenset(("from", "to", "call-id", "cseq", "content-length", "max-forwards"))
"""Headers a message may have once; Kamailio stops reading at the second."""


@slotted()
class MessageValues(MessageText):
    """The parsed values of a message's headers."""

    def _recognise(self, kind: str, text: str, end: int) -> bool:
        for shape in KNOWN.of.get(kind, ()):
            starts = shape.starts(text, end)
            if starts is not None:
                values = shape.values(text, starts)
                if values is None:
                    return False
                self.via, self.to, self.call_id, self.cseq = values
                self._lines = _NONE
                self.starts = starts
                self.layout = shape.layout
                self.names = shape.layout.names
                self.broken = None
                self._headers_start = end + 2
                self.headers_end = stop = starts[-1]
                self.body_offset = stop + 2
                self.is_proven = True
                return True
        return False

    @lazy
    def method(self) -> str:
        """Method of a request; of a reply the method in its CSeq, "" if that is missing."""
        try:
            method = self.cseq_method
        except BadMessage:
            return ""
        upper = method.upper()
        return upper if upper in METHODS else method

    @lazy
    def via(self) -> Via:
        """The top Via; BadMessage if there is none or it is bad."""
        i = self.find("via")
        if i < 0:
            raise BadMessage(self.broken or "no Via")
        start, end = self.value_span(i)
        return Via(self.text, start, end)

    @lazy
    def via2(self) -> Via | None:
        """The second Via, in the same header or in the next one; BadMessage if it is bad."""
        names, first = self.names, self.via
        i = names.index("via")
        if first.more:
            return Via(self.text, self.text.index(",", first.end) + 1, self.value_span(i)[1])
        if "via" not in names[i + 1 :]:
            return None
        return Via(self.text, *self.value_span(names.index("via", i + 1)))

    def vias(self) -> list[Via]:
        """All Vias, top first; BadMessage if one is bad."""
        found = []
        for i, name in enumerate(self.names):
            if name == "via":
                start, end = self.value_span(i)
                while True:
                    via = Via(self.text, start, end)
                    found.append(via)
                    if not via.more:
                        break
                    start = self.text.index(",", via.end) + 1
        return found

    def _address(self, name: str) -> NameAddr:
        i = self.find(name)
        if i < 0:
            raise BadMessage(f"no {name.capitalize()}")
        return parse_address(self.raw_value(i))

    @lazy
    def from_(self) -> NameAddr:
        """From; BadMessage if it is missing or bad."""
        return self._address("from")

    @lazy
    def to(self) -> NameAddr:
        """To; BadMessage if it is missing or bad."""
        return self._address("to")

    @lazy
    def call_id(self) -> str:
        """Call-ID with the blanks that follow it, as it enters Kamailio's hashes; BadMessage if there is none."""
        i = self.find("call-id")
        if i < 0:
            raise BadMessage("no Call-ID")
        return self.raw_value(i)

    @lazy
    def cseq(self) -> tuple[str, str]:
        """CSeq's number and method as written; BadMessage if it is missing or bad."""
        i = self.find("cseq")
        if i < 0:
            raise BadMessage("no CSeq")
        return parse_cseq(self.raw_value(i).rstrip(_SPACE))

    @property
    def cseq_number(self) -> str:
        return self.cseq[0]

    @property
    def cseq_method(self) -> str:
        return self.cseq[1]

    @lazy
    def contacts(self) -> list[ListedAddress] | str:
        """All Contacts in Kamailio's order, of each header the last one first, or "*"; BadMessage if one is bad."""
        found: list[ListedAddress] = []
        for i in self.indexes("contact"):
            value = self.raw_value(i)
            if value[:1] == "*":
                return "*"
            found += parse_contacts(value)
        return found

    @lazy
    def routes(self) -> list[ListedAddress]:
        """All Routes; BadMessage if one is bad."""
        return [route for i in self.indexes("route") for route in parse_routes(self.raw_value(i))]

    @lazy
    def content_length(self) -> int | None:
        """Content-Length, None if there is none; BadMessage if it is no number."""
        value = self.header("content-length")
        return None if value is None else _length(value)

    @property
    def retry_after(self) -> int | None:
        """Seconds of Retry-After, None where it says none."""
        value = self.header("retry-after") or ""
        digits = value[: len(value) - len(value.lstrip("0123456789"))]
        return int(digits) if digits else None

    def check(self) -> None:
        """What Kamailio checks before a message reaches the script; BadMessage: it is discarded without an answer.

        It reads headers until it has seen Via, From, To, Call-ID and CSeq. What is wrong before that is fatal, what is
        wrong later shows only when somebody asks (`require_headers`).
        """
        if self.is_proven or self._is_plain():
            return
        names = self.names
        try:
            last = max(
                names.index("via"), names.index("from"), names.index("to"), names.index("call-id"), names.index("cseq")
            )
        except ValueError:
            raise BadMessage(self.broken or "mandatory header missing") from None
        self._check_headers(last + 1)

    def check_reply(self) -> None:
        """As `check`, for a reply: Kamailio reads headers until it has seen two Vias, or all if there is one only."""
        if self.is_proven:
            return
        names = self.names
        if names[0] == "via" and "via" in names[1:2]:
            self.via2  # noqa: B018  # raises where one of them is bad
        else:
            first = names.index("via")
            second = first
            if not self.via.more:
                second = names.index("via", first + 1) if "via" in names[first + 1 :] else len(names)
            self._check_headers(second + 1)
        layout = self.layout
        if layout is not None and layout.relayed:
            KNOWN.learn(REPLY, layout, self._lines, self.text, self._headers_start - 2)

    def _is_plain(self) -> bool:
        """Whether nothing is wrong, told fast for the usual message: no header twice, each that counts readable."""
        layout = self.layout
        if layout is None or not layout.plain:
            return False
        lines = self._lines
        try:
            if layout.via == 0:
                start, line = self._headers_start, lines[0]
                self.via = via = Via(self.text, start + line.find(":") + 1, start + len(line))
            else:
                via = self.via
            if via.more:
                return False
            line = lines[layout.call_id]
            self.call_id = line[line.find(":") + 1 :].lstrip(_SPACE)
            line = lines[layout.to]
            self.to = parse_address(line[line.find(":") + 1 :].strip(_BLANK))
            name, *words = lines[layout.cseq].split(" ")
            if len(words) == 2 and name[-1] == ":" and words[0].isdecimal() and words[1].isalpha():
                self.cseq = (words[0], words[1])
            else:
                self.cseq  # noqa: B018  # raises where it is bad, as does the next
            if layout.content_length >= 0 and lines[layout.content_length][-3:] != ": 0":
                self.content_length  # noqa: B018
        except BadMessage:
            return False
        self.is_proven = True
        if self.is_request:
            KNOWN.learn(self.method, layout, lines, self.text, self._headers_start - 2)
        return True

    @lazy
    def _wrong(self) -> str:
        """What is wrong with the headers as a whole, or ""."""
        if self.is_proven or self._is_plain():
            return ""
        try:
            self._check_headers(len(self.names))
        except BadMessage as error:
            return error.reason
        return self.broken or ""

    def require_headers(self) -> None:
        """BadMessage unless Kamailio can read all headers: none is bad, and none is double that may not be."""
        if not self.is_proven and self._wrong:
            raise BadMessage(self._wrong)

    def _check_headers(self, end: int) -> None:
        """Parse what Kamailio does as it reads the headers before index `end`; a reply may have any of them twice."""
        seen: set[str] = set()
        once = _ONCE if self.is_request else ()
        for i, name in enumerate(self.names[:end]):
            if name not in seen:
                seen.add(name)
            elif name in once:
                raise BadMessage(f"duplicate {name}")
            elif name in _READ:
                _READ[name](self.raw_value(i).rstrip(_SPACE))
        # each parses on first access and raises where it is bad
        self.via  # noqa: B018
        vias = self.names[:end].count("via")
        if vias > 1 or self.via.more:
            self._check_vias(vias)
        if "to" in seen:
            self.to  # noqa: B018
        if "cseq" in seen:
            self.cseq  # noqa: B018
        if "content-length" in seen:
            self.content_length  # noqa: B018
        if "retry-after" in seen:
            _read_retry_after(self.value(self.find("retry-after")))

    def _check_vias(self, headers: int) -> None:
        for i in self.indexes("via")[:headers]:
            start, end = self.value_span(i)
            via = Via(self.text, start, end)
            while via.more:
                via = Via(self.text, self.text.index(",", via.end) + 1, end)


def _length(value: str) -> int:
    """The number of a Content-Length."""
    if value == "0":
        return 0
    if not value or not _DIGITS.issuperset(value) or len(value.lstrip("0")) > 10 or int(value) > _LONGEST:
        raise BadMessage("bad Content-Length")
    return int(value)


def _read_retry_after(value: str) -> None:
    if value[:1] not in _DIGITS or (value.isdecimal() and len(value) > 10):
        raise BadMessage("bad Retry-After")


_READ: dict[str, Callable[[str], Any]] = {
    "to": parse_address, "cseq": parse_cseq, "content-length": _length, "retry-after": _read_retry_after,
}  # fmt: skip
"""Headers that are taken apart whenever they are met, not only the first of the name."""
