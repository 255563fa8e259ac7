"""Routing by the Route headers of a request: RFC 3261, section 16.12, with all that strict routers make of it.

The Routes are looked at where they stand in the text, because what is taken out of them is: a whole header where its
last address goes, otherwise from the start of the header's value up to the address that stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.log import get_logger
from kamailio_py.sip.address_lists import parse_routes
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.message import Message
from kamailio_py.sip.uri import BadUri, Uri, param_of

if TYPE_CHECKING:
    from kamailio_py.modules.rr import Rr

log = get_logger("rr")

DRIVEN, NOT_DRIVEN, ERROR, PRELOADED = 1, -1, -1, -3
LOOSE_ONLY = 1


class Route:
    """One address of a Route header: where it stands, and its URI."""

    __slots__ = ("end", "header", "last", "start", "uri", "value_start")

    def __init__(self, header: int, value_start: int, start: int, end: int, last: bool, uri: str) -> None:
        self.header = header
        self.value_start = value_start
        self.start = start
        self.end = end
        self.last = last  # of its header
        self.uri = uri


def routes_of(msg: Message) -> list[Route]:
    """All Routes of the request, in order; BadMessage if one is no address."""
    text, found = msg.text, []
    for header in msg.indexes("route"):
        value_start, value_end = msg.value_span(header)
        addresses = parse_routes(text[value_start:value_end])
        for address in addresses:
            start = value_start + address.start
            end = start + len(address.text)
            found.append(Route(header, value_start, start, end, address is addresses[-1], address.uri))
    return found


def is_loose(params: str) -> bool:
    """Is there an lr parameter?"""
    return bool(params) and param_of(params, "lr") is not None


def is_double(params: str) -> bool:
    """Is there r2=on, which says that the next Route is this server's as well?"""
    return "r2=on" in params and "r2=on" in params.split(";")


def next_hop(uri: str, parsed: Uri) -> str:
    """The URI to send to: an maddr parameter wins."""
    maddr = parsed.param("maddr")
    if maddr is None:
        return uri
    return f"sip:{maddr}:{parsed.port_text}" if parsed.port_text else f"sip:{maddr}"


class LooseRouter:
    """loose_route() for one request."""

    def __init__(self, rr: Rr, msg: Message) -> None:
        self.rr = rr
        self.msg = msg

    def route(self, mode: int) -> int:
        """1 routed, -1 no Route or an error, -3 the only Route was our own and the request starts a dialog."""
        msg = self.msg
        if msg.find("route") < 0:
            return ERROR
        try:
            self.routes = routes_of(msg)
        except BadMessage:
            log.err("failed to parse Route HF")
            return ERROR
        try:
            ruri = msg.parsed_uri
        except BadUri:
            log.err("failed to parse Request URI")
            return ERROR
        try:
            preloaded = not msg.to.tag
        except BadMessage:
            log.err("failed to parse To header field")
            return ERROR
        try:
            if not preloaded and not mode & LOOSE_ONLY and self.rr.is_self(ruri):
                return self._after_strict(ruri)
            return self._after_loose(preloaded)
        except BadUri as error:
            log.err(f"failed to parse a route URI: {error.reason}")
            return ERROR

    def _drop(self, i: int) -> None:
        """Take out everything of route i's header up to the end of route i."""
        route, msg = self.routes[i], self.msg
        if route.last:
            msg.lumps.delete(*msg.span(route.header))
        else:
            msg.lumps.delete(route.value_start, self.routes[i + 1].start)

    def _set_socket(self, uri: Uri, warn: bool) -> None:
        """Send from the address that stands in this Route of our own."""
        rr = self.rr
        addresses = rr.core.addresses
        name = uri.param("sn") if rr.sockname_mode else None
        found = addresses.socket_named(name) if name else None
        if found is None:
            default = 5061 if uri.transport == "tls" else 5060
            found = addresses.find_socket(uri.host, uri.port or default, uri.transport)
        if found is not None:
            self.msg.force_socket = found
        elif warn and rr.enable_socket_mismatch_warning:
            log.warn(f"no socket found to match second RR ({uri.text})")
            if not rr.is_self(uri):
                log.warn(f"second RR uri is not myself ({uri.text})")

    def _after_loose(self, preloaded: bool) -> int:
        """The previous hop left the R-URI alone."""
        msg, rr, routes = self.msg, self.rr, self.routes
        at = 0
        uri = Uri.parse(routes[0].uri)
        if rr.is_self(uri):
            rr.note_params(msg, uri.params)
            double = bool(rr.enable_double_rr) and is_double(uri.params)
            if rr.force_send_socket and not double:
                self._set_socket(uri, warn=False)
            mine = 2 if double else 1
            while at < mine:
                if at == 1:
                    self._set_socket(Uri.parse(routes[at].uri), warn=True)
                if routes[at].last:
                    self._drop(at)
                at += 1
                if at == len(routes):
                    return PRELOADED if preloaded else DRIVEN
            uri = Uri.parse(routes[at].uri)
            rr.note_next_hop(msg)
        else:
            rr.note_params(msg, "", mine=False)
        route = routes[at]
        if is_loose(uri.params):
            msg.dst_uri = next_hop(route.uri, uri)
            if route.start != route.value_start:
                msg.lumps.delete(route.value_start, route.start)
        else:
            # A strict router wants its own address in the R-URI, and ours goes to the end of the Routes.
            msg.lumps.insert(msg.headers_end, f"Route: <{msg.ruri}>\r\n")
            msg.new_uri = next_hop(route.uri, uri)
            self._drop(at)
        return DRIVEN

    def _after_strict(self, ruri: Uri) -> int:
        """The previous hop put our Route into the R-URI; the target is the last Route."""
        msg, rr, routes = self.msg, self.rr, self.routes
        at = 0
        uri = Uri.parse(routes[0].uri)
        if rr.enable_double_rr and is_double(uri.params) and rr.is_self(uri):
            self._set_socket(uri, warn=False)
            if routes[0].last:
                self._drop(0)
                if len(routes) == 1:
                    return NOT_DRIVEN
            at = 1
            uri = Uri.parse(routes[1].uri)
        rr.note_params(msg, ruri.params)
        route = routes[at]
        if not is_loose(uri.params):
            # Also the far end of the dialog, which has no lr.
            msg.new_uri = next_hop(route.uri, uri)
            self._drop(at)
            return DRIVEN
        msg.dst_uri = next_hop(route.uri, uri)
        if route.start != route.value_start:
            msg.lumps.delete(route.value_start, route.start)
        last = routes[-1]
        msg.new_uri = next_hop(last.uri, Uri.parse(last.uri))
        previous = routes[-2] if len(routes) > 1 else None
        if previous is not None and previous.header == last.header:
            msg.lumps.delete(previous.end, last.end)
        else:
            msg.lumps.delete(*msg.span(last.header))
        return DRIVEN
