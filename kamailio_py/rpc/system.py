"""RPC commands `system.*`: which commands there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kamailio_py.module import RpcFault, rpc
from kamailio_py.rpc.group import Group

if TYPE_CHECKING:
    from kamailio_py.rpc.call import Call


class System(Group):
    @rpc("system.listMethods", "", "Names of all commands.", array=True)
    def list_methods(self, call: Call) -> Iterator[str]:
        yield from self.commands.names()

    @rpc("system.methodSignature", "", "What a command takes and gives; Kamailio answers that it is not implemented.")
    def method_signature(self, call: Call) -> None:
        raise RpcFault(500, "Not Implemented Yet")

    @rpc("system.methodHelp", "s", "What a command does.", missing=(400, "Method Name Expected"))
    def method_help(self, call: Call, name: str) -> str:
        command = self.commands.find(name)
        if command is None:
            raise RpcFault(400, "command not found")
        if not command.doc:
            raise RpcFault(404, "No documentation")
        return command.doc
