"""xhttp: HTTP requests that come over the TCP and TLS sockets of SIP, given to event_route[xhttp:request].

The request is turned into something the rest of the server understands by a Via of its sender; its answer carries that
as "Sia". Requests without a body mostly have no Content-Length, which needs `tcp_accept_no_cl=yes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.config.arguments import INT, STR
from kamailio_py.config.host import RouteType
from kamailio_py.config.without_effect import KEMI
from kamailio_py.engine import http
from kamailio_py.log import get_logger
from kamailio_py.module import Module, ModuleError, Param, function, pvar
from kamailio_py.script.transformations.base import members, on_text
from kamailio_py.sip.message import Message

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import Getter, Inner

log = get_logger("xhttp")

EVENT = "xhttp:request"


URL = members(
    {
        "path": on_text(lambda text: text.partition("?")[0]),
        "querystring": on_text(lambda text: text.partition("?")[2]),
    }
)
"""The transformation {url.path}, {url.querystring}."""


class XhttpApi:
    """What other modules use: jsonrpcs, xmlrpc, ..."""

    def __init__(self, core: Core) -> None:
        self.core = core

    def reply(self, ctx: Context, code: int, reason: str, ctype: str = "", body: str = "") -> int:
        """Answer the HTTP request of this run; 1, or negative when nothing was sent. `ctype` is a Content-Type."""
        msg = ctx.msg
        if ctype:
            msg.reply_headers.append(f"Content-Type: {ctype}\r\n")
        if body:
            msg.reply_body = body
        if self.core.module("sl").reply(ctx, code, reason) < 0:
            log.err("Error while sending reply")
            return -1
        return 1


class Xhttp(Module):
    """HTTP requests over SIP's connections."""

    name = "xhttp"
    event_routes = (EVENT,)
    transformations = {"url": URL}
    url_match = Param(str, "")
    url_skip = Param(str, "")
    event_callback = Param(str, "", unused=KEMI)

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self.api = XhttpApi(core)

    def mod_init(self) -> None:
        entry = self.core.event_route(EVENT)
        if entry is None:
            raise ModuleError(f"failed to find event_route[{EVENT}]")
        if self.core.module("sl") is None:
            raise ModuleError("cannot bind to SL API")
        self._entry = entry
        self._wanted = http.Wanted(self.url_match, self.url_skip)
        self.core.not_sip.append(self.request)

    def request(self, msg: Message) -> bool | None:
        """Run the event route for an HTTP request; None if it is none, or not one of those that are wanted."""
        if msg not in self._wanted:
            return None
        passed = http.run(self.core, self._entry, http.understood(msg))
        if passed is False:
            log.warn("error while trying script")
        return passed is not False

    @function("xhttp_reply", INT, STR, STR, STR, routes=RouteType.REQUEST)
    def xhttp_reply(self, ctx: Context, code: int, reason: str, ctype: str, body: str) -> int:
        if code < 100 or code > 700:
            log.err("invalid code parameter")
            return -1
        if not reason:
            log.err("invalid reason parameter")
            return -1
        return self.api.reply(ctx, code, reason, ctype, body)

    @pvar("hu", type="str", inner=False, index=False)
    def url(self, inner: Inner) -> Getter:
        """$hu: the URL as it stands in the request, of a SIP request too; null in replies."""
        return lambda ctx: ctx.msg.ruri if ctx.msg.is_request else None
