"""Control sockets: RPC over binrpc, for kamcmd; the module `ctl` of Kamailio.

Commands are run by one process, `ctl handler`. Sockets are opened before forking, and removed at the end.
"""

from __future__ import annotations

import contextlib
import grp
import pwd
from collections.abc import Iterator
from typing import Any

from kamailio_py.config.without_effect import MEMORY
from kamailio_py.log import get_logger
from kamailio_py.module import Module, Param, Rank, RpcFault, rpc
from kamailio_py.rpc.binrpc import CORRUPTED, BinrpcError, Header, PacketType, fault_packet
from kamailio_py.rpc.binrpc_call import BinrpcCall
from kamailio_py.rpc.call import Call
from kamailio_py.rpc.commands import commands

from .addresses import Listening, Owner, parse_address
from .fifo import Fifo
from .listener import Listener

logger = get_logger()

DEFAULT_SOCKET = "kamailio_ctl"
"""In the runtime directory, where no address is given."""


class Ctl(Module):
    """See the head of the file."""

    name = "ctl"
    binrpc = Param(str, setter="add_binrpc")
    fifo = Param(str, setter="add_fifo")
    mode = Param(int, 0o600)
    user = Param(str, setter="set_user")
    group = Param(str, setter="set_group")
    autoconversion = Param(int, 0)
    binrpc_max_body_size = Param(int, 32)
    binrpc_struct_max_body_size = Param(int, 8)
    binrpc_buffer_size = Param(int, 1024, unused=MEMORY)

    def __init__(self, core: Any) -> None:
        super().__init__(core)
        self.addresses: list[Listening] = []
        self.owner = Owner()
        self.listener: Listener | None = None

    # parameters

    def add_binrpc(self, text: str) -> None:
        self.addresses.append(parse_address(text, "binrpc"))

    def add_fifo(self, text: str) -> None:
        self.addresses.append(parse_address(text, "fifo"))

    def set_user(self, text: str) -> None:
        try:
            self.owner.user = int(text) if text.isdecimal() else pwd.getpwnam(text).pw_uid
        except KeyError:
            raise ValueError(f"ctl: bad user name/uid number {text}") from None

    def set_group(self, text: str) -> None:
        try:
            self.owner.group = int(text) if text.isdecimal() else grp.getgrnam(text).gr_gid
        except KeyError:
            raise ValueError(f"ctl: bad group name/gid number {text}") from None

    # life cycle

    def mod_init(self) -> None:
        self.owner.mode = self.mode
        if not self.addresses:
            self.add_binrpc(f"unix:{self.core.cfg.rundir.rstrip('/')}/{DEFAULT_SOCKET}")
        for listening in self.addresses:
            listening.open(self.owner)
        self.commands = commands(self.core)
        self.listener = Listener(self.addresses, self.answer, Fifo(self.core).read)
        self.core.register_process("ctl handler", Rank.RPC, self.listener.serve)

    def destroy(self) -> None:
        for listening in self.addresses:
            with contextlib.suppress(OSError):
                listening.close()

    # one request

    def answer(self, header: Header, body: bytes, source: Any) -> tuple[bytes, bool]:
        """Run a request; the packet that answers it, and whether its connection goes on."""
        if header.type != PacketType.REQUEST:
            return fault_packet(header.cookie, 400, f"bad request: {CORRUPTED}"), False
        call = BinrpcCall(
            header, body, convert=bool(self.autoconversion), source=source,
            body_limit=self.binrpc_max_body_size << 10, struct_limit=self.binrpc_struct_max_body_size << 10,
        )  # fmt: skip
        try:
            name = call.method()
        except BinrpcError as error:
            logger.err(f"bad rpc request method, binrpc error: {error}")
            return fault_packet(header.cookie, 400, f"bad request method: {error}"), False
        command = self.commands.find(name)
        if command is None:
            call.fail(RpcFault(500, f"command {name} not found"))
        else:
            self.core.shm.processes.begin(f"rpc {name}".encode("latin-1", "replace"))
            self.commands.run(command, call)
        return call.packet, True

    # its own commands

    @rpc("ctl.listen", "", "Addresses on which control clients are served.")
    def listen(self, call: Call) -> Iterator[str]:
        for listening in self.addresses:
            yield from listening.described()

    @rpc("ctl.connections", "", "How many stream connections are open.")
    def connections(self, call: Call) -> int:
        return len(self._of_handler(call).streams)

    @rpc("ctl.who", "", "The open stream connections: protocol, kind, address of the client, address it came to.")
    def who(self, call: Call) -> Iterator[str]:
        streams = self._of_handler(call).streams
        if not streams:
            raise RpcFault(400, "no open stream connection")
        for stream in streams:
            yield from stream.described()

    def _of_handler(self, call: Call) -> Listener:
        """The listener, which knows its connections in the ctl handler alone."""
        if call.transport not in ("binrpc", "fifo") or self.listener is None:
            raise RpcFault(606, "rpc available only over binrpc (ctl)")
        return self.listener
