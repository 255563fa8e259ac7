"""All RPC commands of the server by name, and running one.

`commands(core)` gives the server's one Commands: the core's own from this room, and those of the loaded modules. It
is made when a transport's mod_init asks for it, before forking. Any process may run any command; which one does is the
transport's business: `ctl handler`, a JSONRPCS process, or a SIP worker through jsonrpc_exec(). Takes no lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING

from kamailio_py.log import get_logger
from kamailio_py.module import Command, RpcFault
from kamailio_py.rpc.call import Call, ScanFault
from kamailio_py.rpc.core_info import Info
from kamailio_py.rpc.core_processes import Processes
from kamailio_py.rpc.core_sockets import Sockets
from kamailio_py.rpc.dns import Dns
from kamailio_py.rpc.dst_blocklist import DstBlocklist
from kamailio_py.rpc.system import System

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core

logger = get_logger()

CORE = (System, Info, Processes, Sockets, Dns, DstBlocklist)
"""Classes whose methods are the core's own commands."""


class Commands:
    """See the head of the file."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._known: dict[str, Command] = {}
        for group in CORE:
            for command in group(core, self).rpcs():
                self.add(command)
        for module in core.modules.values():
            for command in module.rpcs():
                self.add(command)

    def add(self, command: Command) -> None:
        """Export one more; a name that exists keeps its first command, as with Kamailio."""
        if command.name in self._known:
            logger.err(f'duplicate rpc name "{command.name}"')
            return
        self._known[command.name] = command

    def find(self, name: str) -> Command | None:
        return self._known.get(name)

    def names(self) -> list[str]:
        """Sorted, as system.listMethods has them."""
        return sorted(self._known)

    def __iter__(self) -> Iterator[Command]:
        return iter(self._known.values())

    def run(self, command: Command, call: Call) -> None:
        """Run the command to its end; the call has the answer then, or a fault. Never raises.

        Sending is left to the caller (`call.send()`), which may be asked for many calls at once.
        """
        call.array = command.array
        shm = self.core.shm
        with shm.processes.doing(f"rpc {command.name}") if shm is not None else nullcontext():
            self._run(command, call)

    def _run(self, command: Command, call: Call) -> None:
        try:
            try:
                arguments = call.scan(command.scan)
            except ScanFault:
                if command.missing is not None:
                    raise RpcFault(*command.missing) from None
                raise
            result = command.call(call, *arguments)
            if hasattr(result, "__next__"):
                for value in result:
                    call.emit(value)
            elif result is not None:
                call.emit(result)
        except ScanFault as fault:
            call.not_scanned(fault)
        except RpcFault as fault:
            call.fail(fault)
        except Exception as error:
            step = error.__traceback__
            while step is not None and step.tb_next is not None:
                step = step.tb_next
            where = f"{step.tb_frame.f_code.co_filename}:{step.tb_lineno}" if step is not None else "?"
            logger.bug(f"rpc {command.name}: {type(error).__name__}: {error} at {where}")
            call.fail(RpcFault(500, "Internal error"))
            shm = self.core.shm
            if shm is not None and shm.processes.slot in shm.held().values():
                raise


def commands(core: Core) -> Commands:
    """The Commands of this server, made when first asked for."""
    if core.commands is None:
        core.commands = Commands(core)
    return core.commands
