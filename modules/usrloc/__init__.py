"""The usrloc module: where users can be reached, by address of record.

Contacts live in domains (domain.py in memory, stored_domain.py in the database alone); the registrar and others put
them there through api.py. Here are the parameters, the life cycle and the timer. Shared memory is made in mod_init,
where contacts are loaded, too, before anybody can ask for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from kamailio_py.config.without_effect import BEFORE_FORKING, ORACLE
from kamailio_py.engine.unique_ids import UniqueIds
from kamailio_py.log import get_logger
from kamailio_py.module import Command, Module, ModuleError, Param, Rank, commands_of
from kamailio_py.modules.usrloc.api import Api
from kamailio_py.modules.usrloc.domain import DB_ONLY, DB_READONLY, NO_DB, WRITE_BACK, WRITE_THROUGH, Domain
from kamailio_py.modules.usrloc.keepalive import Keepalive
from kamailio_py.modules.usrloc.matching import Matcher, MatchingMode
from kamailio_py.modules.usrloc.rpc import Commands
from kamailio_py.modules.usrloc.stored import VERSION, Store
from kamailio_py.modules.usrloc.stored_domain import StoredDomain

if TYPE_CHECKING:
    from kamailio_py.sip.endpoint import ListenSocket

log = get_logger("usrloc")


class Usrloc(Module):
    """User location."""

    name = "usrloc"

    ruid_column = Param(str, "ruid")
    user_column = Param(str, "username")
    domain_column = Param(str, "domain")
    contact_column = Param(str, "contact")
    expires_column = Param(str, "expires")
    q_column = Param(str, "q")
    callid_column = Param(str, "callid")
    cseq_column = Param(str, "cseq")
    flags_column = Param(str, "flags")
    cflags_column = Param(str, "cflags")
    user_agent_column = Param(str, "user_agent")
    received_column = Param(str, "received")
    path_column = Param(str, "path")
    socket_column = Param(str, "socket")
    methods_column = Param(str, "methods")
    instance_column = Param(str, "instance")
    reg_id_column = Param(str, "reg_id")
    server_id_column = Param(str, "server_id")
    connection_id_column = Param(str, "connection_id")
    keepalive_column = Param(str, "keepalive")
    partition_column = Param(str, "partition")
    db_url = Param(str, "mysql://kamailio:kamailiorw@localhost/kamailio")
    db_mode = Param(int, NO_DB)
    db_load = Param(int, 1)
    db_insert_update = Param(int, 0)
    db_update_as_insert = Param(int, 0)
    db_check_update = Param(int, 0)
    db_ops_ruid = Param(int, 1)
    db_raw_fetch_type = Param(int, 0, unused=ORACLE)
    db_insert_null = Param(int, 0)
    db_timer_clean = Param(int, 0)
    db_clean_tcp = Param(int, 0)
    expires_type = Param(int, 0)
    version_table = Param(int, 1)
    fetch_rows = Param(int, 2000)
    load_rank = Param(int, 1, unused=BEFORE_FORKING)
    server_id_filter = Param(int, 0)
    rm_expired_delay = Param(int, 0)
    skip_remote_socket = Param(int, 0)
    timer_interval = Param(int, 60)
    timer_procs = Param(int, 0)
    use_domain = Param(int, 0)
    desc_time_order = Param(int, 0)
    matching_mode = Param(int, MatchingMode.CONTACT_ONLY)
    cseq_delay = Param(int, 20)
    hash_size = Param(int, 10)
    nat_bflag = Param(int, -1)
    handle_lost_tcp = Param(int, 0)
    close_expired_tcp = Param(int, 0)
    preload = Param(str, setter="add_preload")
    xavp_contact = Param(str)
    ka_mode = Param(int, 0)
    ka_from = Param(str, "sip:server@kamailio.org")
    ka_domain = Param(str, "kamailio.org")
    ka_method = Param(str, "OPTIONS")
    ka_filter = Param(int, 0)
    ka_timeout = Param(int, 0)
    ka_loglevel = Param(int, 255)
    ka_logmsg = Param(str, " to-uri: [$tu] remote-addr: [$sas]")

    def __init__(self, core: Any) -> None:
        super().__init__(core)
        self.api = Api(self)
        self.ready = False
        """Shared memory is there: domains can be made."""
        self.nat_flag = 0
        self.store: Store | None = None
        self._commands = Commands(self)
        self._keepalive: Keepalive | None = None
        self._sockets: dict[str, ListenSocket] = {}
        self._names: dict[int, str] = {}

    def add_preload(self, name: str) -> None:
        """A modparam line of `preload`."""
        self.api.register(name)

    # life cycle

    def mod_init(self) -> None:
        self._check()
        core = self.core
        self.nat_flag = 1 << self.nat_bflag if self.nat_bflag >= 0 else 0
        self.slots = 1 << self.hash_size if self.hash_size > 1 else 512
        self.matcher = Matcher(self.matching_mode, self.cseq_delay)
        self.ruid = UniqueIds(core, "ulcx")
        self.api.keepalive_timeout = self.ka_timeout
        if self.db_mode != NO_DB:
            self.store = Store(self, core.db(self.db_url))
        self.ready = True
        for name in self.api.domains:
            self.api.register(name)
        if self.ka_mode:
            self._keepalive = Keepalive(self)
            core.reply_handlers.append(self._keepalive.replied)
        for number in range(max(self.timer_procs, 0)):
            core.register_process("USRLOC Timer", Rank.TIMER, self._timer_process(number))
        if self.timer_procs <= 0 and self.timer_interval > 0:
            core.register_timer(self.sweep, self.timer_interval)
        if self.db_timer_clean and self.db_mode in (WRITE_THROUGH, WRITE_BACK):
            core.register_timer(self.clean, self.timer_interval)

    def _check(self) -> None:
        if self.rm_expired_delay and self.db_mode != DB_ONLY:
            raise ModuleError("usrloc: rm expired delay feature is available for db only mode")
        if self.rm_expired_delay < 0:
            log.warn(f"rm expired delay value is negative ({self.rm_expired_delay}) - setting it to 0")
            self.rm_expired_delay = 0
        if self.matching_mode not in tuple(MatchingMode):
            log.err(f"invalid matching mode {self.matching_mode}")
        if self.nat_bflag >= 32:
            raise ModuleError(f"usrloc: bflag index ({self.nat_bflag}) too big!")
        if self.db_mode != NO_DB and self.fetch_rows <= 0:
            raise ModuleError(f"usrloc: invalid fetch_rows number '{self.fetch_rows}'")
        if self.handle_lost_tcp and self.db_mode == DB_ONLY:
            log.warn("handle_lost_tcp option makes nothing in DB_ONLY mode")

    def make_domain(self, name: str) -> Domain | StoredDomain:
        """A domain with what the database has of it; DbError or ModuleError stop the start."""
        store, core = self.store, self.core
        if store is not None and self.version_table:
            store.database.check_version(name, VERSION)
        order = bool(self.desc_time_order)
        if self.db_mode == DB_ONLY:
            assert store is not None
            return StoredDomain(core, name, self.slots, store, self.api.tell, order)
        domain = Domain(core, name, self.slots, self.db_mode, store, self.api.tell, order)
        domain.alive = self.connection_alive if self.handle_lost_tcp else None
        domain.close_connection = self.close_connection if self.close_expired_tcp else None
        if store is not None and (self.db_load or self.db_mode == DB_READONLY):
            domain.load()
        return domain

    def child_init(self, rank: int) -> None:
        self.ruid.restart()

    def destroy(self) -> None:
        if self.db_mode in (WRITE_THROUGH, WRITE_BACK):
            for domain in self.api.domains.values():
                if domain is not None:
                    domain.flush()

    # the timer

    def _timer_process(self, number: int) -> Callable[[Any], None]:
        def run(process: Any) -> None:
            while process.every(self.timer_interval):
                self.sweep(number, self.timer_procs)

        return run

    def sweep(self, first: int = 0, step: int = 1) -> None:
        """Remove what is over and bring the database up to date, in every `step`-th slot; then send keepalives."""
        now = int(self.core.clock.now())
        for domain in self.api.domains.values():
            if domain is not None:
                domain.sweep(now, first, step)
        if self._keepalive is not None:
            self._keepalive.round(first, step)

    def clean(self) -> None:
        """Delete rows that are over, whoever wrote them."""
        store = self.store
        assert store is not None
        over = store.over(int(self.core.clock.now()))
        for name in self.api.domains:
            store.database.delete(name, over)

    # connections

    def connection_alive(self, number: int) -> bool:
        """Whether the connection of a contact is still there; one that has none is no connection lost."""
        tcp = self.core.tcp
        return number < 0 or (tcp is not None and tcp.connections.record(number) is not None)

    def close_connection(self, number: int) -> None:
        if number > 0 and self.core.tcp is not None:
            self.core.tcp.close_connection(number)

    def name_of(self, socket: ListenSocket) -> str:
        """What a socket is called in records."""
        name = self._names.get(socket.index)
        if name is None:
            name = self._names[socket.index] = str(socket)
        return name

    def socket_of(self, text: str) -> ListenSocket | None:
        """The socket that is called so (udp:127.0.0.1:5060), None if it is none of ours."""
        if not self._sockets:
            self._sockets = {str(socket): socket for socket in self.core.sockets}
        return self._sockets.get(text)

    # what is exported

    def computed_statistics(self) -> dict[str, Callable[[], int]]:
        def users(domain: Domain | StoredDomain) -> Callable[[], int]:
            return lambda: domain.users

        end = f"{self.core.cfg.stats_name_separator}users"
        known = {name: domain for name, domain in self.api.domains.items() if domain is not None}
        found: dict[str, Callable[[], int]] = {f"{name}{end}": users(domain) for name, domain in known.items()}
        found["registered_users"] = lambda: sum(domain.users for domain in known.values())
        return found

    def rpcs(self) -> Iterable[Command]:
        return commands_of(self._commands)
