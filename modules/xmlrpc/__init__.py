"""The xmlrpc module: RPC commands in XML, over the TCP and TLS sockets of SIP.

POST and GET requests of HTTP run a route of the config (or its main one), in which dispatch_rpc() runs the command and
answers. The request gets a Via of its sender and an URI that leads nowhere, as in Kamailio. With `mode` 1 the module
takes no requests itself: dispatch_rpc() is called from event_route[xhttp:request].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamailio_py.config.arguments import INT, STR
from kamailio_py.config.host import RouteType
from kamailio_py.config.nodes import RouteKind
from kamailio_py.config.program import MAIN
from kamailio_py.config.without_effect import KEMI
from kamailio_py.engine import http
from kamailio_py.log import get_logger
from kamailio_py.module import Module, ModuleError, Param, Rank, RpcFault, function
from kamailio_py.modules.xmlrpc.document import BadDocument, BadRequest, Double, Writer, read
from kamailio_py.rpc.call import Call, ScanFault, converted
from kamailio_py.rpc.commands import Commands, commands

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.sip.message import Message

log = get_logger("xmlrpc")

NOWHERE = "sip:127.0.0.1:9"
BAD_DOCUMENT = RpcFault(400, "Invalid XML-RPC Document")
NOT_FOUND = RpcFault(500, "Method Not Found")
BAD_TYPE = RpcFault(400, "Invalid Parameter Type")
MISSING = RpcFault(400, "Invalid parameter type")
TYPES = {"s": str, "S": str, "d": int, "u": int, "b": int, "f": float, "{": dict}


class XmlCall(Call):
    """A call whose arguments came as XML: types must be right, unless the command or the config wants conversion."""

    transport = "xmlrpc"

    def __init__(self, arguments: list[Any], writer: Writer, convert: bool) -> None:
        super().__init__(arguments)
        self._writer = writer
        self._convert = convert

    def take(self, letter: str, convert: bool) -> Any:
        if self.position >= len(self.arguments):
            raise ScanFault(self.position, letter, "end of packet encountered", absent=True)
        value = self.arguments[self.position]
        if convert or self._convert:
            value = value.text if isinstance(value, Double) and letter in "sS" else converted(value, letter)
        if not isinstance(value, TYPES[letter]):
            raise ScanFault(self.position, letter, "record doesn't match type", absent=False)
        self.position += 1
        if value.__class__ is bool and letter in "du":
            return int(value)
        return self._writer.taken(value) if isinstance(value, str) else value

    def not_scanned(self, fault: ScanFault) -> None:
        """Kamailio's own fault, unless something was answered already."""
        if not self.values and not self.array:
            self.fail(MISSING if fault.absent else BAD_TYPE)


class Xmlrpc(Module):
    """RPC in XML."""

    name = "xmlrpc"

    route = Param(str)
    autoconversion = Param(int, 0)
    escape_cr = Param(int, 1)
    double_lf_to_crlf = Param(int, 0)
    mode = Param(int, 0)
    url_match = Param(str)
    url_skip = Param(str)
    event_callback = Param(str, unused=KEMI)

    _commands: Commands

    def mod_init(self) -> None:
        core = self.core
        if core.module("sl") is None:
            raise ModuleError("cannot bind to SL API")
        self._writer = Writer(bool(self.escape_cr), bool(self.double_lf_to_crlf))
        self._wanted = http.Wanted(self.url_match, self.url_skip)
        self._entry = core.program.find(RouteKind.REQUEST, self.route or MAIN)
        if self._entry is None:
            raise ModuleError(f"invalid route name: {self.route}")
        if self.mode == 0:
            core.not_sip.append(self.request)

    def child_init(self, rank: int) -> None:
        if rank == Rank.INIT:
            self._commands = commands(self.core)

    def request(self, msg: Message) -> bool | None:
        """Run the route for an HTTP request; None if it is none, or not one of those that are wanted."""
        if msg not in self._wanted:
            return None
        if msg.method not in ("GET", "POST"):
            log.err(f'xmlrpc: bad HTTP request method: "{msg.method}"')
            return False
        known = http.understood(msg, NOWHERE)
        assert self._entry is not None
        return http.run(self.core, self._entry, known) is not False

    # the script

    @function("dispatch_rpc", routes=RouteType.REQUEST)
    def dispatch_rpc(self, ctx: Context) -> int:
        """Run the command in the request's body and answer."""
        return 1 if self._send(ctx, self.answer(ctx.msg.body)) else -1

    @function("xmlrpc_reply", INT, STR, routes=RouteType.REQUEST)
    def xmlrpc_reply(self, ctx: Context, code: int, reason: str) -> int:
        """Answer with the number 1: that is what Kamailio 5.6.3 does, whatever code and reason are."""
        return 1 if self._send(ctx, self._writer.done()) else -1

    def _send(self, ctx: Context, body: str) -> bool:
        ctx.msg.reply_body = body
        if self.core.module("sl").reply(ctx, 200, "OK") < 0:
            log.err("Error while sending reply")
            return False
        return True

    def answer(self, body: str) -> str:
        """The answer's text for the text of a request."""
        try:
            request = read(body.encode("latin-1"))
        except BadDocument:
            log.err(f"Invalid XML-RPC document: \n[{body[:1024]}]")
            return self._fault(BAD_DOCUMENT)
        except BadRequest as bad:
            log.err(str(bad))
            return self._writer.fault(400, str(bad))
        command = self._commands.find(request.method)
        if command is None:
            return self._fault(NOT_FOUND)
        call = XmlCall(request.arguments, self._writer, bool(self.autoconversion))
        self._commands.run(command, call)
        if call.failure is not None:
            return self._fault(call.failure)
        return self._writer.answer(call.values, call.array)

    def _fault(self, fault: RpcFault) -> str:
        return self._writer.fault(fault.code, fault.text)
