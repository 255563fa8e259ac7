"""RPC commands called inside the test's own process, with plain values."""

from __future__ import annotations

from typing import Any

from kamailio_py.engine.core import Core
from kamailio_py.rpc.call import Call
from kamailio_py.rpc.commands import commands


def invoke(core: Core, name: str, *arguments: Any) -> list[Any]:
    """The top-level values that the command answers with; its RpcFault is raised."""
    known = commands(core)
    command = known.find(name)
    assert command is not None, f"there is no RPC command {name}"
    call = Call(arguments)
    known.run(command, call)
    if call.failure is not None:
        raise call.failure
    return call.values
