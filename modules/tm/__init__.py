"""The tm module: transactions.

A transaction is a cell in shared memory (cell.py) that any process may work on; nothing of it is private but a handle
(transaction.py) while a script runs. The module itself only holds the parts together:

    table, matching        where cells are, which one a message belongs to
    server, client         the two sides of RFC 3261's state machines
    forward, canceling     t_relay(), CANCEL
    replies, turns         replies of branches, one at a time; failures: the routes they run
    suspension             t_suspend() and t_continue()
    serial                 contacts tried one after the other
    state                  what of a run is kept in shared memory
    timers                 what the timer process does
    uac                    requests of our own
    functions_*            what scripts call; api: what modules call
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from kamailio_py.config.host import RouteType
from kamailio_py.config.nodes import RouteKind
from kamailio_py.log import get_logger
from kamailio_py.module import Command, Module, commands_of
from kamailio_py.modules.tm.acks import Acks
from kamailio_py.modules.tm.api import EVENTS, Api
from kamailio_py.modules.tm.cancel import Canceling
from kamailio_py.modules.tm.cfg import CFG_VARIABLES
from kamailio_py.modules.tm.client import Client
from kamailio_py.modules.tm.commands import Commands
from kamailio_py.modules.tm.contacts import Contacts
from kamailio_py.modules.tm.failover import Failover
from kamailio_py.modules.tm.failure import Failures
from kamailio_py.modules.tm.forward import Forward
from kamailio_py.modules.tm.functions_armed import ArmedFunctions
from kamailio_py.modules.tm.functions_contacts import ContactFunctions
from kamailio_py.modules.tm.functions_query import QueryFunctions
from kamailio_py.modules.tm.functions_relay import RelayFunctions
from kamailio_py.modules.tm.functions_server import ServerFunctions
from kamailio_py.modules.tm.matching import Matching
from kamailio_py.modules.tm.parameters import Parameters
from kamailio_py.modules.tm.reply import Replies
from kamailio_py.modules.tm.server import Server
from kamailio_py.modules.tm.state import State
from kamailio_py.modules.tm.suspend import Suspension
from kamailio_py.modules.tm.table import CellTable
from kamailio_py.modules.tm.timers import Timers
from kamailio_py.modules.tm.turn import Turns
from kamailio_py.modules.tm.uac import Uac
from kamailio_py.modules.tm.write import WriteFunctions
from kamailio_py.script.context import Context

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.sip.message import Message

log = get_logger("tm")


class Tm(
    ArmedFunctions,
    ServerFunctions,
    RelayFunctions,
    QueryFunctions,
    ContactFunctions,
    WriteFunctions,
    Parameters,
    Module,
):
    """Transactions: stateful forwarding and answering, suspension."""

    name = "tm"
    cfg_variables = CFG_VARIABLES
    event_routes = ("tm:branch-failure:", "tm:local-request", "tm:local-response")

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self.api = Api(self)
        self.commands = Commands(self)
        self.events: dict[str, list[Callable[..., Any]]] = {name: [] for name in EVENTS}
        self.appends: dict[str, list[tuple[str, str, str]]] = {}

    def mod_init(self) -> None:
        core = self.core
        shm = core.shm
        self.memory = shm.memory
        self.u32 = shm.u32
        self.u64 = shm.u64
        self.arena = shm.arena
        self.wheel = shm.wheel
        self.table = CellTable(self)
        self.state = State(self)
        self.matching = Matching(self)
        self.server = Server(self)
        self.client = Client(self)
        self.failover = Failover(self)
        self.timers = Timers(self)
        self.acks = Acks(self)
        self.canceling = Canceling(self)
        self.forward = Forward(self)
        self.failures = Failures(self)
        self.replies = Replies(self)
        self.turns = Turns(self, self.replies.work)
        self.suspension = Suspension(self)
        self.uac = Uac(self)
        self.commands.register()
        self.serial = Contacts(core, self.contacts_avp, self.contact_flows_avp, self.xavp_contact)
        core.post_script.append(self.server.finish)
        core.reply_handlers.append(self.replies.received)

    def cfg_changed(self) -> None:
        self.table.cfg_changed()

    def rpcs(self) -> Iterable[Command]:
        return commands_of(self.commands)

    def child_init(self, rank: int) -> None:
        self.matching.interested_in_acks = bool(self.events["e2e-ack"])

    @property
    def slot(self) -> int:
        """This process's slot in the process table."""
        return self.core.shm.processes.slot

    def stateless_reply(self, msg: Message) -> int:
        """A reply without a transaction: the onreply_route `on_sl_reply` names may drop it; 1 to forward it."""
        if not self.on_sl_reply:
            return 1
        entry = self.core.program.find(RouteKind.REPLY, self.on_sl_reply)
        if entry is None:
            log.err(f"no onreply_route named {self.on_sl_reply}")
            return 1
        ctx = Context(self.core, msg)
        return 1 if self.core.run(entry, ctx, RouteType.CORE_ONREPLY) > 0 and not ctx.dropped else 0
