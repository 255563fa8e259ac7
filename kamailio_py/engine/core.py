"""The server as a script or module sees it: parameters, modules, program, shared memory, and how to send.

One Core is made by the master before forking; every process works on its own copy and shares only what is in `shm`.
It does no input or output itself: `sender` is given to it by the transport, `clock` and `random` by whoever makes it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kamailio_py import log
from kamailio_py.clock import Clock
from kamailio_py.config.host import RouteType
from kamailio_py.config.nodes import RouteKind
from kamailio_py.db.errors import DbError
from kamailio_py.dns.cache import DnsCache
from kamailio_py.dns.places import DEFAULT_PORT, Places
from kamailio_py.dns.servers import NameServers
from kamailio_py.engine.addresses import Addresses
from kamailio_py.engine.blocklist import SEND, Blocklist
from kamailio_py.engine.cfg_variables import CfgVariables
from kamailio_py.engine.databases import Databases
from kamailio_py.engine.latency import Latency
from kamailio_py.engine.plan import ProcessSpec, TimerSpec
from kamailio_py.engine.registry import Registry
from kamailio_py.engine.settings import GlobalValues
from kamailio_py.engine.statistics import Statistics
from kamailio_py.engine.tasks import TaskQueues
from kamailio_py.module import ModuleError
from kamailio_py.script.context import Context
from kamailio_py.script.control import ScriptDrop, ScriptExit
from kamailio_py.sip import reply, uri
from kamailio_py.sip.endpoint import IGNORED_SHIFT, Destination, ListenSocket
from kamailio_py.sip.headers import accept_in_names
from kamailio_py.sip.message import Message
from kamailio_py.sip.message_text import MessageText

if TYPE_CHECKING:
    from kamailio_py.config.program import Entry, Program
    from kamailio_py.db.database import Database
    from kamailio_py.engine.engine import Engine
    from kamailio_py.module import Module
    from kamailio_py.rpc.commands import Commands
    from kamailio_py.shm.memory import SharedMemory

logger = log.get_logger()

DNS_COUNTERS = {
    "failed_dns_request": "incremented each time a DNS request has failed.",
    "slow_dns_request": "incremented each time a DNS request took longer than dns_slow_query_ms.",
}

FAKED_REQUEST = (
    "OPTIONS sip:you@kamailio.org SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 127.0.0.1\r\n"
    "From: <sip:you@kamailio.org>;tag=123\r\n"
    "To: <sip:you@kamailio.org>\r\n"
    "Call-ID: 123\r\n"
    "CSeq: 1 OPTIONS\r\n"
    "Content-Length: 0\r\n\r\n"
)
"""What a route without a message of its own works on; seen as $mb in event_route[core:worker-one-init]."""


class Core:
    """See the head of the file; INTERFACES of modules are its public attributes and methods."""

    def __init__(self, clock: Clock | None = None, rng: random.Random | None = None) -> None:
        self.clock = clock or Clock()
        self.random = rng or random.Random()
        self.cfg = GlobalValues()
        self.variables = CfgVariables(self)
        self.statistics = Statistics(self)
        self.defines: dict[str, str] = {}
        self.define_modes: dict[str, str] = {}
        self.registry = Registry(self)
        self.addresses = Addresses(self)
        self.dns = DnsCache(self.cfg, self.clock, NameServers(self.cfg, self._count_dns))
        self.places = Places(self.cfg, self.dns, self.random)
        self._dns_counters: dict[str, int] = {}
        self.blocklist = Blocklist(self)
        self.tasks = TaskQueues(self)
        self.latency = Latency(self)
        self.databases = Databases(self)
        self.instance = ""
        self.arguments: list[str] = []  # the command line
        self.program: Program = None  # type: ignore[assignment]  # set by load, before anything runs
        self.shm: SharedMemory = None  # type: ignore[assignment]  # set before mod_init
        self.sender: Callable[[bytes, Destination], bool] = _no_transport
        self.tcp: Any = None  # transport.tcp.Tcp: the connections; None where there is no TCP
        self.tls: Any = None  # what the tls module gives the transport
        self.snd: tuple[str, Destination] | None = None
        self.build_reply: Callable[..., str] = reply.build_reply
        """Replies of this server are made with it (sip.reply)."""
        self.running: Context | None = None  # see follow_runs
        self.server_header = ""
        self.user_agent = ""
        # hooks, filled in mod_init
        self.pre_script: list[Callable[[Context], bool]] = []
        self.post_script: list[Callable[[Context], None]] = []
        self.reply_handlers: list[Callable[[Message], int]] = []
        self.network_in: list[Callable[[str, str, int, ListenSocket], str | None]] = []
        self.reply_out: list[Callable[[Message, str, Destination], bool]] = []
        self.not_sip: list[Callable[[Message], bool | None]] = []
        self.connection_ended: list[Callable[[Any, str], None]] = []
        self.processes: list[ProcessSpec] = []
        self.timers: list[TimerSpec] = []
        self.engine: Engine = None  # type: ignore[assignment]  # made when modules are initialised
        self.commands: Commands | None = None  # made by rpc.commands when a transport asks for it
        self.rank = 0

    # what was loaded

    @property
    def modules(self) -> dict[str, Module]:
        """Loaded modules by name, in load order."""
        return self.registry.modules

    @property
    def sockets(self) -> list[ListenSocket]:
        return self.addresses.sockets

    def module(self, name: str) -> Any:
        """The loaded module, or None."""
        return self.registry.modules.get(name)

    def db(self, url: str) -> Database:
        """The database of a URL, for mod_init and later use in every process; ModuleError if there is no such one."""
        return self.databases.get(url)

    def event_route(self, name: str) -> Entry | None:
        return self.program.find(RouteKind.EVENT, name)

    def prepare(self) -> None:
        """What follows from the global parameters, once they are all read."""
        cfg = self.cfg
        accept_in_names(cfg.hdr_name_extra_chars)
        uri.accept(cfg.uri_host_extra_chars, bool(cfg.phone2tel))
        MessageText.http_replies = bool(cfg.http_reply_hack)
        reply.is_name_of = self.places.is_named_like if cfg.rev_dns else None
        self.build_reply = reply.build_warned if cfg.sip_warning else reply.build_reply
        if not any(":" in socket.host for socket in self.sockets):
            cfg.set("dns_try_ipv6", 0)  # there would be no socket to send from
        if not cfg.dns_cache_init:
            cfg.set("use_dns_cache", 0)
        if not cfg.use_dns_cache:
            cfg.set("use_dns_failover", 0)
        if cfg.server_signature:
            self.server_header = f"{cfg.server_header}\r\n"
            self.user_agent = f"{cfg.user_agent_header}\r\n"

    # running routes

    def run(self, entry: Entry, ctx: Context, route_type: RouteType) -> int:
        """Run a block as a top-level run and give its result; `ctx.dropped` says that it ended by drop.

        Script flags are the run's own. Whatever a function raises ends this run only: it is logged with the line of
        the cfg it came from.
        """
        msg = ctx.msg
        ctx.route_type = route_type
        ctx.rc = 0
        ctx.dropped = False
        script_flags = msg.script_flags
        msg.script_flags = 0
        try:
            return entry.call(ctx)
        except ScriptExit as end:
            ctx.dropped = isinstance(end, ScriptDrop)
            return end.value
        except Exception as error:
            self._report(error)
            return -1
        finally:
            msg.script_flags = script_flags

    def follow_runs(self) -> None:
        """Have `running` say whose route is run, for those deep down who must know; before forking."""
        self.run = self._run_followed  # type: ignore[method-assign]

    def _run_followed(self, entry: Entry, ctx: Context, route_type: RouteType) -> int:
        before, self.running = self.running, ctx
        try:
            return Core.run(self, entry, ctx, route_type)
        finally:
            self.running = before

    def run_event(
        self, name: str, msg: Message | None = None, route_type: RouteType = RouteType.REQUEST
    ) -> Context | None:
        """Run event_route[name] if there is one, on `msg` or on a faked message; the context it ran in."""
        entry = self.event_route(name)
        if entry is None:
            return None
        ctx = Context(self, msg if msg is not None else self.faked_message())
        self.run(entry, ctx, route_type)
        return ctx

    def _report(self, error: Exception) -> None:
        """One line for an error in a script: what, and at which line of the cfg."""
        step, where = error.__traceback__, ""
        while step is not None:
            path = step.tb_frame.f_code.co_filename
            if not path.endswith(".py"):
                where = f"cfg:{path}:{step.tb_lineno}"
            step = step.tb_next
        logger.err(f"run action error at: {where or 'unknown'}: {type(error).__name__}: {error}")
        if logger.enabled(log.Level.DBG):
            import traceback

            logger.dbg("".join(traceback.format_exception(error)))

    @staticmethod
    def faked_message() -> Message:
        msg = Message(FAKED_REQUEST, "127.0.0.1", 5060)
        msg.id = 1
        return msg

    def faked_context(self) -> Context:
        return Context(self, self.faked_message())

    # where things go

    def is_myself(self, host: str, port: int = 0, proto: str = "") -> bool:
        return self.addresses.is_myself(host, port, proto)

    def destination(
        self, uri: str, forced: ListenSocket | None = None, proto: str = "", received: ListenSocket | None = None
    ) -> Destination | None:
        """The next hop of a SIP URI with the socket to send from (addresses.send_socket); None when there is none."""
        return self.addresses.destination(uri, forced, proto, received)

    def send(self, text: str, destination: Destination) -> bool:
        """Hand bytes to the transport; False when it could not take them (already logged)."""
        if self.sender(text.encode("latin-1"), destination):
            return True
        self.blocklist.failed(destination, SEND, destination.flags >> IGNORED_SHIFT)
        return False

    def _onsend_reply(self, msg: Message, text: str, destination: Destination) -> bool:
        """Run onsend_route for a reply on its way back, which those made here are not; False when it dropped it."""
        if msg.is_request or self.onsend(msg, text, destination):
            return True
        host, port, proto = destination.host, destination.port, list(DEFAULT_PORT).index(destination.proto) + 1
        logger.err(f"reply to {host}:{port}({proto}) dropped (onsend_route)")
        return False

    def onsend(self, msg: Message, text: str, destination: Destination) -> bool:
        """Run onsend_route for an outgoing message; False when it dropped it."""
        entry = self.program.main_onsend
        if entry is None:
            return True
        self.snd = (text, destination)
        ctx = Context(self, msg)
        self.run(entry, ctx, RouteType.ONSEND)
        self.snd = None
        return not ctx.dropped

    # what modules register before forking

    def register_process(self, description: str, rank: int, run: Callable[[Any], None], count: int = 1) -> None:
        """`count` processes with this description; `run(process)` is their loop, until `process.stopping`."""
        self.processes.extend(ProcessSpec(description, rank, run) for _ in range(count))

    def register_timer(self, callback: Callable[[], None], seconds: float, slow: bool = False) -> None:
        """Have `callback()` run every `seconds` in the secondary timer process (or the slow timer)."""
        self.timers.append(TimerSpec(callback, seconds, slow))

    # statistics

    def statistic(self, group: str, name: str) -> int:
        """Id of a counter, made if it is new; before forking."""
        return self.shm.counters.counter(group, name)

    def count(self, counter: int, n: int = 1) -> None:
        self.shm.counters.add(counter, n)

    def show_place(self) -> None:
        """Have the script tell in this process's row of the process table which line of the config it executes."""
        shm = self.shm
        place = shm.identity.place
        self.program.namespace["HERE"] = shm.u32[place : place + 1]

    def _count_dns(self, name: str) -> None:
        self.count(self._dns_counters[name])

    def _create_dns(self) -> None:
        """Counters and the cache of host names."""
        for name, help in DNS_COUNTERS.items():
            self._dns_counters[name] = self.statistic("dns", name)
            self.statistics.describe("dns", name, help)
        if self.cfg.dns_cache_init:
            self.dns.create(self.shm)
            if self.cfg.dns_cache_gc_interval:
                self.register_timer(self.dns.collect, self.cfg.dns_cache_gc_interval, slow=True)

    def mod_init(self) -> None:
        """Initialise what is the core's own, and the modules in load order; a ModuleError stops the start."""
        if self.cfg.onsend_route_reply and self.program.main_onsend is not None:
            self.reply_out.append(self._onsend_reply)
        self._create_dns()
        self.blocklist.create()
        self.variables.create()
        for module in self.modules.values():
            for name in module.statistics:
                self.statistic(module.statistics_group or module.name, name)
            try:
                module.mod_init()
            except DbError as error:
                raise ModuleError(f"{module.name}: {error}") from None
            if self.cfg.modinit_delay:
                self.clock.sleep(self.cfg.modinit_delay / 1_000_000)
        self.databases.close()

    def child_init(self, rank: int) -> None:
        self.rank = rank
        for module in self.modules.values():
            module.child_init(rank)


def _no_transport(data: bytes, destination: Destination) -> bool:
    raise RuntimeError("nothing was set to send with")
