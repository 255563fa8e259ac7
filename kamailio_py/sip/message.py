"""A SIP message: its text, where its headers start, and what a script does to it.

Construction finds the first line and the headers, nothing more; every value is parsed when somebody asks for it. The
text never changes: edits go into `lumps`, and the request line, destination and branches that the script sets
stand beside it until the message is sent. A message belongs to one run in one process; `state()` and `restore()` carry
what the script did over to another.

Class attributes are the values of a fresh message, so that making one costs nothing for what is not used.
"""

from __future__ import annotations

from itertools import accumulate, repeat
from typing import Any

from kamailio_py.sip.branch import Branch
from kamailio_py.sip.cseq import parse_cseq
from kamailio_py.sip.endpoint import ListenSocket
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.headers import CANON
from kamailio_py.sip.lazy import lazy
from kamailio_py.sip.lumps import Lumps
from kamailio_py.sip.nameaddr import NameAddr, parse_address, split_values
from kamailio_py.sip.uri import Uri
from kamailio_py.sip.via import Via

_partition = str.partition
_COLON = repeat(":")
_SPACE = " \t\r\n"
_BLANK = " \t"
_DIGITS = frozenset("0123456789")
_LONGEST = 2147483639
_MANDATORY = frozenset(("via", "from", "to", "call-id", "cseq"))
_ONCE = frozenset(("from", "to", "call-id", "cseq", "content-length", "max-forwards"))
"""Headers a message may have once; Kamailio stops reading at the second."""

METHODS = frozenset(
    {
        "INVITE", "CANCEL", "ACK", "BYE", "INFO", "REGISTER", "SUBSCRIBE", "NOTIFY", "MESSAGE", "OPTIONS", "PRACK",
        "UPDATE", "REFER", "PUBLISH", "KDMQ", "GET", "POST", "PUT", "DELETE",
    }
)  # fmt: skip
"""Methods Kamailio knows; it knows them in any case, `invite` is an INVITE."""

STATE = (
    "new_uri", "dst_uri", "path", "q", "branch_flags", "ruid", "location_ua", "instance", "reg_id", "flags",
    "script_flags", "force_rport", "add_local_rport", "set_global_address", "set_global_port", "udp_mtu_proto",
    "reply_no_connect", "reply_close", "forward_no_connect", "forward_close", "no_reply", "rr_added", "reply_body",
    "add_srvid", "multipart", "via_params",
)  # fmt: skip
"""Script state that is plain data and is saved as it stands."""

KEPT = (
    "dst_uri", "path", "q", "branch_flags", "flags", "script_flags", "xflags", "force_rport", "add_local_rport",
    "set_global_address", "set_global_port", "udp_mtu_proto", "reply_no_connect", "reply_close", "forward_no_connect",
    "forward_close", "no_reply", "add_srvid", "via_params", "branches", "force_socket", "id", "src_proto", "time",
    "connection",
)  # fmt: skip
"""What stays when the text is replaced."""


class Message:
    """One request or reply.

    names           canonical header names in order ("via", "call-id")
    broken          None, or what is wrong with the header line where the index ends before the empty line does
    body_offset     where the body starts; the end of the text when the headers do not end
    headers_end     where a header can be appended: before the empty line
    """

    # what the script sets
    new_uri: str | None = None
    dst_uri: str | None = None
    path: str | None = None
    q: int | None = None  # thousandths; None is Kamailio's unspecified
    branch_flags: int = 0
    ruid: str = ""
    location_ua: str = ""
    instance: str = ""
    reg_id: int = 0
    force_socket: ListenSocket | None = None
    flags: int = 0
    script_flags: int = 0
    id: int = 0  # $mi
    force_rport: bool = False
    add_local_rport: bool = False
    set_global_address: str = ""
    set_global_port: str = ""
    udp_mtu_proto: str = ""
    reply_no_connect: bool = False
    reply_close: bool = False
    forward_no_connect: bool = False
    forward_close: bool = False
    no_reply: bool = False
    rr_added: bool = False
    reply_body: str | None = None
    add_srvid: bool = False
    multipart: bool = False
    via_params: str = ""
    src_proto: str = ""
    time: float = 0.0
    connection: int = 0

    is_request: bool
    method_text: str
    ruri: str
    version: str
    status: int = 0
    reason: str = ""
    names: list[str]
    broken: str | None

    def __init__(self, text: str, src_ip: str = "", src_port: int = 0, socket: ListenSocket | None = None) -> None:
        """Find first line and headers; BadMessage if this is no SIP message."""
        self.text = text
        self.src_ip = src_ip
        self.src_port = src_port
        self.socket = socket
        end = text.find("\r\n")
        if end < 0 or text[0] in "\r\n\t \0":
            end = self._find_first_line(text)
            line = self._line
        else:
            line = text[:end]
        parts = line.split(" ")
        if len(parts) == 3 and parts[2] == "SIP/2.0" and parts[0] in METHODS and parts[1]:
            self.is_request = True
            self.method = self.method_text = parts[0]
            self.ruri = parts[1]
            self.version = "SIP/2.0"
        else:
            self._parse_first_line(line)
        eoh = text.find("\r\n\r\n", end)
        if eoh >= 0:
            head = text[end + 2 : eoh]
            lines = head.split("\r\n")
            # a folded line has no name of its own; a lone LF is found by counting
            names = [CANON[name] if colon else "" for name, colon, _ in map(_partition, lines, _COLON)]
            if "" not in names and head.count("\n") == len(lines) - 1:
                self._lines = lines
                self._headers_start = end + 2
                self.headers_end = eoh + 2
                self.body_offset = eoh + 4
                self.names = names
                self.broken = None
                return
        self._index_slowly(end)

    def __repr__(self) -> str:
        what = f"{self.method} {self.ruri}" if self.is_request else f"{self.status} {self.reason}"
        return f"<Message {what}>"

    # the first line

    _line: str

    def _find_first_line(self, text: str) -> int:
        """Skip what may stand before the first line; where that line ends, before its CRLF or LF."""
        start = len(text) - len(text.lstrip("\r\n\t \0"))
        self.first_line_start = start
        newline = text.find("\n", start)
        if newline < 0:
            raise BadMessage("no line end in the message")
        end = newline - 1 if text[newline - 1] == "\r" else newline
        self._line = text[start:end]
        self._line_end = newline + 1
        return end

    first_line_start = 0
    _line_end = 0

    def _parse_first_line(self, line: str) -> None:
        """First lines that are not quite the usual ones, and replies."""
        if len(self.text) - self.first_line_start <= 16:
            raise BadMessage("message too short")
        if line[:8].upper() == "SIP/2.0 ":
            code, reason = line[8:11], line[11:]
            if not _DIGITS.issuperset(code) or len(code) != 3 or reason[:1] not in (" ", "\t"):
                raise BadMessage("bad status line")
            self.is_request = False
            self.version = line[:7]
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

    @lazy
    def method(self) -> str:
        """Method of a request; of a reply the method in its CSeq, "" if that is missing."""
        try:
            method = self.cseq_method
        except BadMessage:
            return ""
        upper = method.upper()
        return upper if upper in METHODS else method

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
        self.names = names
        self._lines = lines
        self._starts = starts

    @lazy
    def _starts(self) -> list[int]:
        """Offset of each header, and at the end that of the empty line; for headers that are one CRLF line each."""
        return list(accumulate((len(line) + 2 for line in self._lines), initial=self._headers_start))

    def find(self, name: str, start: int = 0) -> int:
        """Index of the first header of that name from index `start` on, or -1."""
        try:
            return self.names.index(name, start)
        except ValueError:
            return -1

    def indexes(self, name: str) -> list[int]:
        """Indexes of all headers of that name."""
        return [i for i, n in enumerate(self.names) if n == name]

    def value(self, i: int) -> str:
        """Value of a header, folding undone."""
        line = self._lines[i]
        value = line[line.find(":") + 1 :].strip(_SPACE)
        if "\n" in value:
            return " ".join(part.strip(_SPACE) for part in value.split("\n"))
        return value

    def raw_value(self, i: int) -> str:
        """Value of a header as written: line breaks of folding and blanks at the end belong to it."""
        line = self._lines[i]
        return line[line.find(":") + 1 :].lstrip(_SPACE).rstrip("\r\n")

    def header(self, name: str) -> str | None:
        """Value of the first header of that name."""
        try:
            return self.value(self.names.index(name))
        except ValueError:
            return None

    def headers(self, name: str) -> list[str]:
        """Values of all headers of that name."""
        return [self.value(i) for i, n in enumerate(self.names) if n == name]

    def span(self, i: int) -> tuple[int, int]:
        """Where the whole header stands, its line end included."""
        starts = self._starts
        return starts[i], starts[i + 1]

    def value_span(self, i: int) -> tuple[int, int]:
        """Where the value stands, without the blanks around it."""
        start, end = self.span(i)
        text = self.text
        start = text.find(":", start) + 1
        while start < end and text[start] in _SPACE:
            start += 1
        while end > start and text[end - 1] in _SPACE:
            end -= 1
        return start, end

    def raw(self, i: int) -> str:
        """The whole header as written."""
        start, end = self.span(i)
        return self.text[start:end]

    def name_text(self, i: int) -> str:
        """The name as written."""
        line = self._lines[i]
        return line[: line.find(":")].rstrip(_BLANK)

    def overwrite(self, i: int, start: int, value: str) -> None:
        """Put as many other characters at `start`, in header `i`, into the received text itself.

        The one exception to edits being lumps: Kamailio counts Max-Forwards down in place.
        """
        text = self.text
        at = start - self.span(i)[0]
        line = self._lines[i]
        self.text = f"{text[:start]}{value}{text[start + len(value) :]}"
        self._lines[i] = f"{line[:at]}{value}{line[at + len(value) :]}"

    @property
    def body(self) -> str:
        """What follows the empty line."""
        return self.text[self.body_offset :]

    # values

    @lazy
    def via(self) -> Via:
        """The top Via; BadMessage if there is none or it is bad."""
        names = self.names
        if names and names[0] == "via" and "_starts" not in self.__dict__:
            start = self._headers_start
            line = self._lines[0]
            return Via(self.text, start + line.find(":") + 1, start + len(line))
        i = self.find("via")
        if i < 0:
            raise BadMessage(self.broken or "no Via")
        start, end = self.value_span(i)
        return Via(self.text, start, end)

    @lazy
    def via2(self) -> Via | None:
        """The second Via, in the same header or in the next one."""
        vias = self.vias()
        return vias[1] if len(vias) > 1 else None

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
    def contacts(self) -> list[NameAddr] | str:
        """All Contacts, or "*"; BadMessage if one is bad."""
        found: list[NameAddr] = []
        for value in self.headers("contact"):
            if value == "*":
                return "*"
            found += [NameAddr(part) for part in split_values(value) if part]
        return found

    @lazy
    def routes(self) -> list[NameAddr]:
        """All Routes; BadMessage if one is bad."""
        return [NameAddr(part) for value in self.headers("route") for part in split_values(value)]

    @lazy
    def content_length(self) -> int | None:
        """Content-Length, None if there is none; BadMessage if it is no number."""
        value = self.header("content-length")
        if value is None:
            return None
        if value == "0":
            return 0
        if not value or not _DIGITS.issuperset(value) or len(value.lstrip("0")) > 10 or int(value) > _LONGEST:
            raise BadMessage("bad Content-Length")
        return int(value)

    def check(self) -> None:
        """What Kamailio checks before a message reaches the script; BadMessage: it is discarded without an answer.

        It reads headers until it has seen Via, From, To, Call-ID and CSeq. What is wrong before that is fatal, what is
        wrong later shows only when somebody asks (`require_headers`).
        """
        names = self.names
        if self.broken is None and "_wrong" not in self.__dict__ and self._is_plain(names):
            return
        try:
            last = max(
                names.index("via"), names.index("from"), names.index("to"), names.index("call-id"), names.index("cseq")
            )
        except ValueError:
            raise BadMessage(self.broken or "mandatory header missing") from None
        self._check_headers(last + 1)

    def _is_plain(self, names: list[str]) -> bool:
        """Whether nothing is wrong, told fast for the usual message: no header twice, each that counts readable."""
        different = set(names)
        if len(different) != len(names) or not different >= _MANDATORY or "retry-after" in different:
            return False
        lines = self._lines
        own = self.__dict__
        try:
            if self.via.more:
                return False
            line = lines[names.index("to")]
            own["to"] = parse_address(line[line.find(":") + 1 :].strip(_BLANK))
            name, *words = lines[names.index("cseq")].split(" ")
            if len(words) == 2 and name[-1] == ":" and words[0].isdecimal() and words[1].isalpha():
                own["cseq"] = (words[0], words[1])
            else:
                self.cseq  # noqa: B018  # raises where it is bad, as does the next
            self.content_length  # noqa: B018
        except BadMessage:
            return False
        own["_wrong"] = ""
        return True

    @lazy
    def _wrong(self) -> str:
        """What is wrong with the headers as a whole, or ""."""
        if self.broken is None and self._is_plain(self.names):
            return ""
        try:
            self._check_headers(len(self.names))
        except BadMessage as error:
            return error.reason
        return self.broken or ""

    def require_headers(self) -> None:
        """BadMessage unless Kamailio can read all headers: none is bad, and none is double that may not be."""
        if self._wrong:
            raise BadMessage(self._wrong)

    def _check_headers(self, end: int) -> None:
        """Parse what Kamailio parses while it reads the headers before index `end`."""
        seen = set()
        vias = 0
        for name in self.names[:end]:
            if name in _ONCE:
                if name in seen:
                    raise BadMessage(f"duplicate {name}")
                seen.add(name)
            elif name == "via":
                vias += 1
            elif name == "retry-after":
                seen.add(name)
        # each parses on first access and raises where it is bad
        self.via  # noqa: B018
        if vias > 1 or self.via.more:
            self._check_vias(vias)
        if "to" in seen:
            self.to  # noqa: B018
        if "cseq" in seen:
            self.cseq  # noqa: B018
        if "content-length" in seen:
            self.content_length  # noqa: B018
        if "retry-after" in seen:
            value = self.value(self.find("retry-after"))
            if value[:1] not in _DIGITS or (value.isdecimal() and len(value) > 10):
                raise BadMessage("bad Retry-After")

    def _check_vias(self, headers: int) -> None:
        for i in self.indexes("via")[:headers]:
            start, end = self.value_span(i)
            via = Via(self.text, start, end)
            while via.more:
                via = Via(self.text, self.text.index(",", via.end) + 1, end)

    @property
    def proto(self) -> str:
        """Transport it came over: the socket's, or "ws"/"wss" on top of that."""
        return self.src_proto or (self.socket.proto if self.socket is not None else "udp")

    # script state

    @property
    def uri(self) -> str:
        """The request-URI as the script left it."""
        uri = self.new_uri
        return self.ruri if uri is None else uri

    _parsed_uri: Uri | None = None

    @property
    def parsed_uri(self) -> Uri:
        """The parts of `uri`; BadUri if it has none."""
        uri = self.new_uri
        if uri is None:
            uri = self.ruri
        parsed = self._parsed_uri
        if parsed is None or parsed.text is not uri:
            parsed = Uri.parse(uri)
            self._parsed_uri = parsed
        return parsed

    @lazy
    def branches(self) -> list[Branch]:
        """Additional branches of append_branch(), the first has index 1 where branches are numbered from the R-URI."""
        return []

    @lazy
    def lumps(self) -> Lumps:
        """Edits of the text."""
        return Lumps()

    @lazy
    def reply_headers(self) -> list[str]:
        """Headers for replies to this request, each with its CRLF (append_to_reply)."""
        return []

    @lazy
    def xflags(self) -> list[int]:
        """Extended flags: two words of 32."""
        return [0, 0]

    @property
    def has_lumps(self) -> bool:
        """Has anything been edited? Asking does not make the collection."""
        lumps = self.__dict__.get("lumps")
        return lumps is not None and bool(lumps.edits)

    def replace_text(self, text: str) -> None:
        """Go on with another text, parsed anew: edits are gone, what the script set beside them stays but for the URI.

        BadMessage where the new text is no SIP message; this one is then as it was.
        """
        fresh = Message(text, self.src_ip, self.src_port, self.socket)
        fresh.check()
        own = self.__dict__
        for name in KEPT:
            if name in own:
                fresh.__dict__[name] = own[name]
        self.__dict__ = fresh.__dict__

    def apply_changes(self) -> str:
        """The text with the script's edits and request-URI in it, as $msg_buf and msg_apply_changes() have it."""
        from kamailio_py.sip.request import applied

        return applied(self)

    def state(self) -> tuple[Any, ...]:
        """All script state as plain data that marshal can write."""
        own = self.__dict__
        values = {name: own[name] for name in STATE if name in own}
        lumps = own.get("lumps")
        branches = own.get("branches")
        return (
            values,
            self.force_socket.index if self.force_socket is not None else -1,
            list(lumps.edits) if lumps is not None else [],
            [branch.state() for branch in branches] if branches else [],
            list(own.get("reply_headers", ())),
            list(own.get("xflags", ())),
        )

    def restore(self, data: tuple[Any, ...], sockets: list[ListenSocket]) -> None:
        """Put back what `state()` gave; `sockets` are the server's, by index."""
        values, socket, edits, branches, reply_headers, xflags = data
        own = self.__dict__
        for name in STATE:
            own.pop(name, None)
        own.update(values)
        self.force_socket = sockets[socket] if socket >= 0 else None
        own["lumps"] = Lumps(list(edits))
        own["branches"] = [Branch.restore(branch, sockets) for branch in branches]
        own["reply_headers"] = list(reply_headers)
        if xflags:
            own["xflags"] = list(xflags)
