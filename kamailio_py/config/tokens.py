"""The words and signs of the config language: what a token is, which words are keywords.

Keywords are known before identifiers: a keyword can never name a route, a flag or a define's use. Several spellings of
one keyword share a kind, its first spelling. Nothing here reads text; the lexer does.
"""

from __future__ import annotations

from kamailio_py.config.errors import Position
from kamailio_py.config.parameters import PARAMETERS, words

NUMBER, STRING, ID, NUM_ID, PVAR, AVP_OR_PVAR = "NUMBER", "STRING", "ID", "NUM_ID", "PVAR", "AVP_OR_PVAR"
ATTR, SELECT, IPV6, EVENT_NAME, BAD, EOF = "ATTR", "SELECT", "IPV6", "EVENT_NAME", "BAD", "EOF"


class Token:
    """`value` is what it means (int of a number, text of a string after escapes), `text` how it was written."""

    __slots__ = ("column", "end_column", "end_line", "kind", "line", "path", "text", "value")

    kind: str
    value: int | str

    def __init__(
        self, kind: str, value: int | str, text: str, path: str, line: int, column: int, end_line: int, end_column: int
    ) -> None:
        self.kind = kind
        self.value = value
        self.text = text
        self.path = path
        self.line = line
        self.column = column
        self.end_line = end_line
        self.end_column = end_column

    @property
    def position(self) -> Position:
        return Position(self.path, self.line, self.column, self.end_line, self.end_column)

    def describe(self) -> str:
        """For "unexpected ..."."""
        if self.kind == EOF:
            return "end of file"
        if self.kind == STRING:
            text = f"string {self.text}"
        elif self.kind == NUMBER:
            text = f"number {self.text}"
        elif self.kind in KEYWORDS:
            text = f"keyword '{self.text}'"
        else:
            text = f"'{self.text}'"
        return text if len(text) <= 60 else text[:57] + "..."


BOOLEANS = {
    **dict.fromkeys(("yes", "true", "on", "enable"), 1),
    **dict.fromkeys(("no", "false", "off", "disable"), 0),
}
FAMILIES = {
    **dict.fromkeys(("inet", "INET", "ipv4", "IPv4", "IPV4"), 2),
    **dict.fromkeys(("inet6", "INET6", "ipv6", "IPv6", "IPV6"), 10),
}
WORD_NUMBERS = BOOLEANS | FAMILIES

PROTOCOLS = frozenset(("udp", "tcp", "tls", "sctp", "ws", "wss"))

ROUTE_KEYWORDS = frozenset(
    words("request_route failure_route onreply_route reply_route branch_route onsend_route event_route")
)

CORE_FUNCTIONS: dict[str, tuple[str, ...]] = {
    name: tuple(words(spellings))
    for name, spellings in {
        "forward": "forward",
        "forward_udp": "forward_udp",
        "forward_tcp": "forward_tcp",
        "forward_tls": "forward_tls",
        "forward_sctp": "forward_sctp",
        "log": "log",
        "error": "error",
        "exec": "exec",
        "setflag": "setflag",
        "resetflag": "resetflag",
        "isflagset": "isflagset",
        "setavpflag": "setavpflag",
        "resetavpflag": "resetavpflag",
        "isavpflagset": "isavpflagset",
        "rewritehost": "rewritehost sethost seth",
        "rewritehostport": "rewritehostport sethostport sethp",
        "rewritehostporttrans": "rewritehostporttrans sethostporttrans sethpt",
        "rewriteuser": "rewriteuser setuser setu",
        "rewriteuserpass": "rewriteuserpass setuserpass setup",
        "rewriteport": "rewriteport setport setp",
        "rewriteuri": "rewriteuri seturi",
        "revert_uri": "revert_uri",
        "prefix": "prefix",
        "strip": "strip",
        "strip_tail": "strip_tail",
        "userphone": "userphone",
        "remove_branch": "remove_branch",
        "clear_branches": "clear_branches",
        "force_rport": "force_rport add_rport",
        "add_local_rport": "add_local_rport",
        "force_tcp_alias": "force_tcp_alias add_tcp_alias",
        "udp_mtu_try_proto": "udp_mtu_try_proto",
        "set_advertised_address": "set_advertised_address",
        "set_advertised_port": "set_advertised_port",
        "force_send_socket": "force_send_socket",
        "set_forward_no_connect": "set_forward_no_connect",
        "set_reply_no_connect": "set_reply_no_connect",
        "set_forward_close": "set_forward_close",
        "set_reply_close": "set_reply_close",
        "cfg_select": "cfg_select",
        "cfg_reset": "cfg_reset",
    }.items()
}
"""Functions that are keywords, by their first name, with all their spellings."""

OPERANDS: dict[str, tuple[str, ...]] = {
    "method": ("method",),
    "uri": ("uri", "status"),
    **{
        name: (name,)
        for name in words("from_uri to_uri src_ip src_port dst_ip dst_port snd_ip snd_port to_ip to_port proto af")
    },
    "snd_proto": ("snd_proto", "to_proto"),
    "snd_af": ("snd_af", "to_af"),
    "msg:len": ("msg:len",),
    "myself": ("myself",),
}

_OTHERS = {
    **{
        word: word
        for word in words(
            "if else switch case default while break return exit drop route modparam modparamx loadmodule loadmodulex "
            "cfgengine avpflags virtual kemi statistics max_len mod strlen strempty defined selval eq ne ieq ine name "
            "onsend_route_callback reply_route_callback event_route_callback received_route_callback "
            "pre_routing_callback uri:host uri:port"
        )
    },
    **dict.fromkeys(("loadpath", "mpath"), "loadpath"),
    **dict.fromkeys(("flags", "bool"), "flags"),
    **dict.fromkeys(("desc", "descr", "description"), "desc"),
    **dict.fromkeys(("advertise", "ADVERTISE"), "advertise"),
    **dict.fromkeys(("sslv23", "SSLv23", "SSLV23"), "SSLv23"),
    **dict.fromkeys(("sslv2", "SSLv2", "SSLV2"), "SSLv2"),
    **dict.fromkeys(("sslv3", "SSLv3", "SSLV3"), "SSLv3"),
    **dict.fromkeys(("tlsv1", "TLSv1", "TLSV1"), "TLSv1"),
    "and": "&&",
    "or": "||",
    "not": "!",
}

KEYWORDS: dict[str, str] = {
    **{word: parameter.name for parameter in PARAMETERS.values() for word in parameter.names if "." not in word},
    **{word: name for name, words in CORE_FUNCTIONS.items() for word in words},
    **{word: name for name, words in OPERANDS.items() for word in words},
    **_OTHERS,
    **{word: word for word in ROUTE_KEYWORDS},
    **{word: name for name in PROTOCOLS for word in (name, name.upper())},
    **dict.fromkeys(WORD_NUMBERS, NUMBER),
}
"""Every reserved word and the kind of its token."""
