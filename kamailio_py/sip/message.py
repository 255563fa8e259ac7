"""A SIP message: its text, where its headers start, and what a script does to it.

Construction finds the first line and the headers, nothing more; every value is parsed when somebody asks for it. The
text never changes: edits go into `lumps`, and the request line, destination and branches that the script sets
stand beside it until the message is sent. A message belongs to one run in one process; `state()` and `restore()` carry
what the script did over to another.

Class attributes are the values of a fresh message, so that making one costs nothing for what is not used.
"""

from __future__ import annotations

from typing import Any

from kamailio_py.sip.branch import Branch
from kamailio_py.sip.changes import collector, detector
from kamailio_py.sip.endpoint import ListenSocket
from kamailio_py.sip.lumps import Lumps
from kamailio_py.sip.message_values import MessageValues
from kamailio_py.sip.uri import Uri

STATE = (
    "new_uri", "dst_uri", "path", "q", "branch_flags", "ruid", "location_ua", "instance", "reg_id", "flags",
    "script_flags", "force_rport", "add_local_rport", "set_global_address", "set_global_port", "udp_mtu_proto",
    "reply_no_connect", "reply_close", "forward_no_connect", "forward_close", "no_reply", "rr_added", "reply_body",
    "add_srvid", "multipart", "via_params", "new_contact", "new_cseq", "blst_ignored", "reply_blst_ignored",
    "otcpid", "use_otcpid",
)  # fmt: skip
"""Script state that is plain data and is saved as it stands."""

KEPT = (
    "dst_uri", "path", "q", "branch_flags", "flags", "script_flags", "_xflags", "force_rport", "add_local_rport",
    "set_global_address", "set_global_port", "udp_mtu_proto", "reply_no_connect", "reply_close", "forward_no_connect",
    "forward_close", "no_reply", "add_srvid", "via_params", "added_branches", "force_socket", "id", "src_proto", "time",
    "connection", "blst_ignored", "reply_blst_ignored",
)  # fmt: skip
"""What stays when the text is replaced."""


class Message(MessageValues):
    """One request or reply, with what the script makes of it."""

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
    blst_ignored: int = 0  # reasons (bits) for which nothing that this is forwarded to is put on the blocklist
    reply_blst_ignored: int = 0
    no_reply: bool = False
    rr_added: bool = False
    reply_body: str | None = None
    add_srvid: bool = False
    multipart: bool = False
    via_params: str = ""
    new_contact: str = ""  # the URI that was put in the place of the first contact's
    new_cseq: str = ""  # the CSeq number to send it with
    otcpid: int = 0  # the connection to send it over
    use_otcpid: bool = False  # whether that counts
    src_proto: str = ""
    time: float = 0.0
    connection: int = 0

    @property
    def proto(self) -> str:
        """Transport it came over: the socket's, or "ws"/"wss" on top of that."""
        return self.src_proto or (self.socket.proto if self.socket is not None else "udp")

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

    # what a script may add to; None as long as nobody asked for it
    added_branches: list[Branch] | None = None
    _lumps: Lumps | None = None
    added_headers: list[str] | None = None
    _xflags: list[int] | None = None

    @property
    def branches(self) -> list[Branch]:
        """Additional branches of append_branch(), the first has index 1 where branches are numbered from the R-URI."""
        branches = self.added_branches
        if branches is None:
            branches = self.added_branches = []
        return branches

    @branches.setter
    def branches(self, branches: list[Branch]) -> None:
        self.added_branches = branches

    @property
    def lumps(self) -> Lumps:
        """Edits of the text."""
        lumps = self._lumps
        if lumps is None:
            lumps = self._lumps = Lumps()
        return lumps

    @lumps.setter
    def lumps(self, lumps: Lumps) -> None:
        self._lumps = lumps

    @property
    def reply_headers(self) -> list[str]:
        """Headers for replies to this request, each with its CRLF (append_to_reply)."""
        headers = self.added_headers
        if headers is None:
            headers = self.added_headers = []
        return headers

    @property
    def xflags(self) -> list[int]:
        """Extended flags: two words of 32."""
        flags = self._xflags
        if flags is None:
            flags = self._xflags = [0, 0]
        return flags

    @property
    def has_lumps(self) -> bool:
        """Has anything been edited? Asking does not make the collection."""
        lumps = self._lumps
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
        self.become(fresh)

    def apply_changes(self) -> str:
        """The text with the script's edits and request-URI in it, as $msg_buf and msg_apply_changes() have it."""
        from kamailio_py.sip.request import applied

        return applied(self)

    @property
    def is_changed(self) -> bool:
        """Is there anything that `state()` would carry over?"""
        return _is_changed(self)

    def state(self) -> tuple[Any, ...]:
        """All script state as plain data that marshal can write."""
        lumps = self._lumps
        return (
            _values(self),
            self.force_socket.index if self.force_socket is not None else -1,
            list(lumps.edits) if lumps is not None else [],
            [branch.state() for branch in self.added_branches or ()],
            list(self.added_headers or ()),
            list(self._xflags or ()),
        )

    def restore(self, data: tuple[Any, ...], sockets: list[ListenSocket]) -> None:
        """Put back what `state()` gave; `sockets` are the server's, by index."""
        values, socket, edits, branches, reply_headers, xflags = data
        for name, fresh in _FRESH.items():
            value = values.get(name, fresh)
            if getattr(self, name) != value:
                setattr(self, name, value)
        self.force_socket = sockets[socket] if socket >= 0 else None
        self._lumps = Lumps(list(edits))
        self.added_branches = [Branch.restore(branch, sockets) for branch in branches]
        self.added_headers = list(reply_headers)
        self._xflags = list(xflags) or None


_FRESH = {name: getattr(Message, name) for name in STATE}
_PARTS = ("force_socket", "_lumps", "added_branches", "added_headers", "_xflags")
_values = collector(_FRESH)
_is_changed = detector({name: getattr(Message, name) for name in (*STATE, *_PARTS) if name != "script_flags"})
