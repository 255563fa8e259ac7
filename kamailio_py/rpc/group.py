"""A group of the core's own RPC commands: methods marked with @rpc, as a module has them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from kamailio_py.module import Command, commands_of

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.rpc.commands import Commands


class Group:
    """Made once for a server, with its core and all its commands."""

    def __init__(self, core: Core, commands: Commands) -> None:
        self.core = core
        self.commands = commands

    def rpcs(self) -> Iterable[Command]:
        return commands_of(self)
