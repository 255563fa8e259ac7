"""The jsonrpcs module: RPC commands in JSON, over a FIFO, datagrams and HTTP, and from the script.

Each transport has processes of its own, so that no command keeps a SIP process waiting; jsonrpc_exec() and
jsonrpc_dispatch() run theirs where they are called.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from kamailio_py.config.arguments import STR
from kamailio_py.config.host import RouteType
from kamailio_py.log import get_logger
from kamailio_py.module import Module, ModuleError, Param, Rank, function, pvar, rpc
from kamailio_py.modules.jsonrpcs.call import Answer, answer
from kamailio_py.modules.jsonrpcs.datagram import Datagrams
from kamailio_py.modules.jsonrpcs.fifo import Fifo
from kamailio_py.rpc.call import Call
from kamailio_py.rpc.commands import Commands, commands

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import Getter, Inner
    from kamailio_py.script.values import Value

log = get_logger("jsonrpcs")

HTTP, FIFO, DATAGRAM = 1, 2, 4
CONTENT_TYPE = "application/json"


class Jsonrpcs(Module):
    """RPC in JSON."""

    name = "jsonrpcs"

    pretty_format = Param(int, 1)
    transport = Param(int, FIFO | DATAGRAM)
    fifo_name = Param(str, "kamailio_rpc.fifo")
    fifo_mode = Param(int, 0o660)
    fifo_group = Param((int, str), -1)
    fifo_user = Param((int, str), -1)
    fifo_reply_dir = Param(str, "/tmp/")
    dgram_socket = Param(str, "kamailio_rpc.sock")
    dgram_workers = Param(int, 1)
    dgram_timeout = Param(int, 2000)
    dgram_mode = Param(int, 0o660)
    dgram_group = Param((int, str), -1)
    dgram_user = Param((int, str), -1)

    _commands: Commands
    _http: Any = None
    _last: Answer | None = None

    def mod_init(self) -> None:
        core = self.core
        self._servers: list[Fifo | Datagrams] = []
        xhttp = core.module("xhttp")
        if self.transport == 0 or self.transport & HTTP:
            if xhttp is not None:
                self._http = xhttp.api
            elif self.transport:
                raise ModuleError("cannot bind to XHTTP API")
        if (self.transport == 0 or self.transport & FIFO) and self.fifo_name:
            fifo = Fifo(
                self._path(self.fifo_name), self.fifo_reply_dir, self.fifo_mode, self.fifo_user, self.fifo_group
            )
            self._serve("JSONRPCS FIFO", fifo, 1, fifo=True)
        if (self.transport == 0 or self.transport & DATAGRAM) and self.dgram_socket:
            path = self._path(self.dgram_socket)
            datagrams = Datagrams(
                self.dgram_socket, path, self.dgram_timeout, self.dgram_mode, self.dgram_user, self.dgram_group
            )
            self._serve("JSONRPCS DATAGRAM", datagrams, self.dgram_workers)

    def _path(self, name: str) -> str:
        """The file of that name; in the runtime directory, if it is a name only."""
        return name if name.startswith("/") else os.path.join(self.core.cfg.rundir, name)

    def _serve(self, description: str, server: Fifo | Datagrams, count: int, *, fifo: bool = False) -> None:
        self._servers.append(server)
        self.core.register_process(
            description, Rank.RPC, lambda process: server.serve(lambda data: self._run(data, fifo=fifo), process), count
        )

    def child_init(self, rank: int) -> None:
        if rank == Rank.INIT:
            # all modules are initialised by now
            self._commands = commands(self.core)

    def destroy(self) -> None:
        for server in self._servers:
            server.remove()

    def _run(self, data: bytes, *, fifo: bool = False) -> Answer | None:
        return answer(self._commands, data, bool(self.pretty_format), fifo=fifo)

    # the script

    @function("jsonrpc_exec", STR)
    def execute(self, ctx: Context, text: str) -> int:
        """Run a request; what is answered is in $jsonrpl(...) until the next one."""
        found = self._run(text.encode("latin-1"))
        if found is None:
            return -1
        self._last = found
        return 1

    @function("jsonrpc_dispatch", routes=RouteType.REQUEST)
    def dispatch(self, ctx: Context) -> int:
        """Answer the HTTP request of event_route[xhttp:request]; -1, and no answer, if it has no document."""
        if self._http is None:
            log.err("XHTTP API not available")
            return -1
        found = self._run(ctx.msg.body.encode("latin-1"))
        if found is None:
            return -1
        self._http.reply(ctx, found.code, found.reason, CONTENT_TYPE, found.body)
        return 1

    @pvar("jsonrpl", inner=True, index=False)
    def jsonrpl(self, inner: Inner) -> Getter:
        """$jsonrpl(code), $jsonrpl(text), $jsonrpl(body) of the last jsonrpc_exec() in this process."""
        reads: dict[str, Callable[[Answer], Value]] = {
            "code": lambda found: found.code,
            "text": lambda found: found.reason,
            "body": lambda found: found.body,
        }
        if inner.text not in reads:
            log.err(f"unknown PV key: {inner.text}")
            raise ValueError(f"unknown PV key: {inner.text}")
        read = reads[inner.text]
        return lambda ctx: read(self._last) if self._last is not None else None

    # the module's own command

    @rpc("jsonrpc.echo", "", "Answers with its arguments.", array=True)
    def echo(self, call: Call) -> Iterator[str | int]:
        yield from call.scan("*.S")
        yield from call.scan("*.d")
