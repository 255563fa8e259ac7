"""The dispatcher module: requests distributed to sets of destinations, with failover and probing.

sets        the list, and the state of each destination in shared memory; order: in which sets are looked at
select      the algorithms
states      marks, and the event routes that tell of them
probing     requests that find out who is alive
loads       which call went where
resolving   where destinations are, by their names
sources     whether a request comes from one of them
commands    RPC
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamailio_py.config.arguments import INT, STR, VALUE
from kamailio_py.config.host import RouteType
from kamailio_py.config.without_effect import KEMI, ONE_TIMER
from kamailio_py.log import get_logger
from kamailio_py.module import CfgVariable, ModuleError, Param, function, pvar
from kamailio_py.modules.dispatcher.commands import Commands
from kamailio_py.modules.dispatcher.loading import Loading
from kamailio_py.modules.dispatcher.loads import Loads
from kamailio_py.modules.dispatcher.probing import Probing, parse_codes
from kamailio_py.modules.dispatcher.resolving import FROM_TIME_TO_TIME, Resolving
from kamailio_py.modules.dispatcher.select import LOAD, PARALLEL, Selector
from kamailio_py.modules.dispatcher.sets import Destination, Sets
from kamailio_py.modules.dispatcher.sources import Sources
from kamailio_py.modules.dispatcher.states import States, parse_state
from kamailio_py.script.xavp import newest, push, remove
from kamailio_py.sip.branch import Branch
from kamailio_py.sip.errors import BadMessage

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import Getter, Inner
    from kamailio_py.script.values import Value
    from kamailio_py.sip.endpoint import ListenSocket

log = get_logger("dispatcher")

FAILOVER = 2
"""Bit of the parameter `flags`."""
DST_URI, REQUEST_URI, NOTHING = range(3)
"""Where the first choice goes."""
SKIP_ATTRS, ADD_SOCKET, ADD_SOCKNAME = 1, 2, 4
"""xavp_dst_mode."""
ROUTING = RouteType.REQUEST | RouteType.FAILURE
MARKING = ROUTING | RouteType.ONREPLY


class Dispatcher(Loading, Sources, Commands):
    """Destinations."""

    name = "dispatcher"
    event_routes = ("dispatcher:dst-down", "dispatcher:dst-up")
    cfg_variables = (
        CfgVariable("probing_threshold", "Number of failed requests, before a destination is set to probing.",
                    low=0, parameter="ds_probing_threshold"),
        CfgVariable("inactive_threshold", "Number of successful requests, before a destination is set to active.",
                    low=0, parameter="ds_inactive_threshold"),
        CfgVariable("ping_reply_codes", "Additional, valid reply codes for the PINGs", text=True,
                    parameter="ds_ping_reply_codes", default=""),
    )  # fmt: skip

    force_dst = Param(int, 1)
    flags = Param(int, 0)
    use_default = Param(int, 0)
    xavp_dst = Param(str, "_dsdst_")
    xavp_dst_mode = Param(int, 0)
    xavp_ctx = Param(str, "_dsctx_")
    xavp_ctx_mode = Param(int, 0)
    hash_pvar = Param(str)
    setid_pvname = Param(str)
    attrs_pvname = Param(str)
    ds_probing_threshold = Param(int, 1)
    ds_inactive_threshold = Param(int, 1)
    ds_ping_method = Param(str, "OPTIONS")
    ds_ping_from = Param(str, "sip:dispatcher@localhost")
    ds_ping_interval = Param(int, 0)
    ds_ping_latency_stats = Param(int, 0)
    ds_latency_estimator_alpha = Param(int, 900)
    ds_ping_reply_codes = Param(str)
    ds_probing_mode = Param(int, 0)
    ds_hash_size = Param(int, 0)
    ds_hash_expire = Param(int, 7200)
    ds_hash_initexpire = Param(int, 7200)
    ds_hash_check_interval = Param(int, 30)
    outbound_proxy = Param(str)
    ds_default_socket = Param(str)
    ds_default_sockname = Param(str)
    ds_timer_mode = Param(int, 0, unused=ONE_TIMER)
    event_callback = Param(str, unused=KEMI)
    ds_dns_mode = Param(int, 1)
    ds_dns_interval = Param(int, 600)
    ds_dns_ttl = Param(int, 0)

    def mod_init(self) -> None:
        core = self.core
        registry = core.registry
        try:
            self._hash = registry.format(self.hash_pvar) if self.hash_pvar else None
            self._setid = registry.pvar(self.setid_pvname, True) if self.setid_pvname else None
            self._attrs = registry.pvar(self.attrs_pvname, True) if self.attrs_pvname else None
            parse_codes(self.ds_ping_reply_codes)
        except ValueError as error:
            raise ModuleError(f"bad parameter: {error}") from None
        self._default = self._default_socket()
        self.resolving = Resolving(core, self.ds_dns_mode, self.ds_dns_ttl)
        self.sets = Sets(core, self.resolving.at_load, "none=yes" if self.ds_attrs_none else "")
        if self.ds_dns_mode & FROM_TIME_TO_TIME:
            core.register_timer(lambda: self.resolving.refresh(self.sets), self.ds_dns_interval)
        self.states = States(self)
        self.selector = Selector(self)
        self.loads: Loads | None = None
        if self.ds_hash_size > 0:
            power = min(self.ds_hash_size, 14)
            self.loads = Loads(core, self.sets, power, self.ds_hash_initexpire, self.ds_hash_expire)
            core.register_timer(self.loads.expire, self.ds_hash_check_interval)
        self.probing = Probing(self)
        if self.ds_ping_interval > 0:
            if self.probing.tm is None:
                raise ModuleError("could not load the TM-functions - disabling ping")
            core.register_timer(self.probing.probe, self.ds_ping_interval)
        self.load_first()

    def cfg_changed(self) -> None:
        try:
            self.probing.codes = parse_codes(self.ds_ping_reply_codes)
        except ValueError as error:
            log.err(str(error))

    def _default_socket(self) -> ListenSocket | None:
        if self.ds_default_sockname:
            found = self.core.addresses.socket_named(self.ds_default_sockname)
        elif self.ds_default_socket:
            found = self.core.addresses.listening(self.ds_default_socket)
        else:
            return None
        if found is None:
            raise ModuleError(f"non-local socket <{self.ds_default_sockname or self.ds_default_socket}>")
        return found

    def socket_of(self, one: Destination) -> ListenSocket | None:
        """The socket that requests to a destination leave from, None for any."""
        name, text = one.named.get("sockname"), one.named.get("socket")
        if name:
            return self.core.addresses.socket_named(name) or self._default
        return (self.core.addresses.listening(text) if text else None) or self._default

    def hash_text(self, ctx: Context) -> str:
        """What the algorithm over variables hashes."""
        return self._hash.evaluate(ctx) if self._hash is not None else ""

    @function("ds_reload")
    def ds_reload(self, ctx: Context) -> int:
        return 1 if self.load() else -1

    # selecting

    @function("ds_select_dst", INT, INT, routes=ROUTING)
    @function("ds_select_dst", INT, INT, INT, routes=ROUTING)
    def ds_select_dst(self, ctx: Context, number: int, algorithm: int, limit: int = 0) -> int:
        """Make a destination of a set the next hop."""
        return self._select(ctx, [(number, algorithm)], DST_URI, limit)

    @function("ds_select_domain", INT, INT, routes=ROUTING)
    @function("ds_select_domain", INT, INT, INT, routes=ROUTING)
    def ds_select_domain(self, ctx: Context, number: int, algorithm: int, limit: int = 0) -> int:
        """Put a destination of a set into the request-URI."""
        return self._select(ctx, [(number, algorithm)], REQUEST_URI, limit)

    @function("ds_select", INT, INT)
    @function("ds_select", INT, INT, INT, routes=ROUTING)
    def ds_select(self, ctx: Context, number: int, algorithm: int, limit: int = 0) -> int:
        """Put the destinations of a set into the XAVP only."""
        return self._select(ctx, [(number, algorithm)], NOTHING, limit)

    @function("ds_select_routes", STR, STR, routes=ROUTING)
    @function("ds_select_routes", STR, STR, INT, routes=ROUTING)
    def ds_select_routes(self, ctx: Context, rules: str, mode: str, limit: int = 0) -> int:
        """Destinations of several sets, one after the other: "set=algorithm;set=algorithm"."""
        modes = {"0": DST_URI, "d": DST_URI, "1": REQUEST_URI, "r": REQUEST_URI, "2": NOTHING, "x": NOTHING}
        where = modes.get(mode[:1].lower())
        try:
            pairs = [part.split("=") for part in rules.split(";") if part]
            wanted = [(int(number), int(algorithm)) for number, algorithm in pairs]
        except ValueError:
            where = None
        if where is None:
            log.err(f"invalid rules or mode: {rules!r} {mode!r}")
            return -1
        return self._select(ctx, wanted, where, limit)

    def _select(self, ctx: Context, wanted: list[tuple[int, int]], where: int, limit: int) -> int:
        msg = ctx.msg
        if where == DST_URI and not self.force_dst and msg.dst_uri:
            log.err(f"destination already set [{msg.dst_uri}]")
            return -1
        chosen: list[tuple[int, int, Destination]] = []
        with self.sets as sets:
            for number, algorithm in wanted:
                dests = sets.get(number)
                if dests is None or not dests.destinations:
                    log.err(f"destination set [{number}] not found")
                    continue
                order = self.selector.choose(ctx, dests, algorithm)
                chosen += [(number, algorithm, one) for one in order]
        if not chosen:
            return -1
        number, algorithm, first = chosen[0]
        if algorithm == PARALLEL:
            return self._fork(ctx, [one for _, _, one in chosen])
        if algorithm == LOAD and self.loads is not None:
            self.loads.put(msg.call_id, number, first)
        self._go(ctx, first.uri, self.socket_of(first), where)
        if self.flags & FAILOVER:
            kept = chosen
            if limit > 0:
                kept = chosen[:limit]
                if self.use_default and limit > 1 and chosen[-1] not in kept:
                    kept = [*chosen[: limit - 1], chosen[-1]]
            records = [self._record(number, one) for number, _, one in kept]
            ctx.xavps[self.xavp_dst] = records + ctx.xavps.get(self.xavp_dst, [])
            if not self.xavp_ctx_mode & 1:
                push(ctx.xavps, self.xavp_ctx, {"cnt": [len(kept)]})
        return 1

    def _record(self, number: int, one: Destination) -> dict[str, list[Any]]:
        """What the XAVP says of a destination."""
        mode = self.xavp_dst_mode
        record: dict[str, list[Any]] = {"uri": [one.uri], "grp": [number]}
        if one.attrs and not mode & SKIP_ATTRS:
            record["attrs"] = [one.attrs]
        if one.duid:
            record["dstid"] = [one.duid]
        socket = self.socket_of(one)
        if socket is not None:
            record["sock"] = [socket.index]
            if mode & ADD_SOCKET:
                record["socket"] = [str(socket)]
            if mode & ADD_SOCKNAME and socket.name:
                record["sockname"] = [socket.name]
        return record

    def _fork(self, ctx: Context, chosen: list[Destination]) -> int:
        """All destinations at once."""
        msg = ctx.msg
        self._go(ctx, chosen[0].uri, self.socket_of(chosen[0]), DST_URI)
        for one in chosen[1:]:
            msg.branches.append(Branch(msg.uri, one.uri, force_socket=self.socket_of(one)))
        return 1

    def _go(self, ctx: Context, uri: str, socket: ListenSocket | None, where: int) -> None:
        msg = ctx.msg
        if where == DST_URI:
            msg.dst_uri = uri
        elif where == REQUEST_URI:
            scheme, _, rest = msg.uri.partition(":")
            user = rest.partition("@")[0] + "@" if "@" in rest else ""
            msg.new_uri = f"{scheme}:{user}{uri.partition(':')[2]}"
        if socket is not None and where != NOTHING:
            msg.force_socket = socket

    # the next one

    @function("ds_next_dst", routes=ROUTING)
    def ds_next_dst(self, ctx: Context) -> int:
        """Make the next destination of the XAVP the next hop."""
        return self._use(ctx, DST_URI, following=True)

    @function("ds_next_domain", routes=ROUTING)
    def ds_next_domain(self, ctx: Context) -> int:
        return self._use(ctx, REQUEST_URI, following=True)

    @function("ds_set_dst", routes=ROUTING)
    def ds_set_dst(self, ctx: Context) -> int:
        """Make the current destination of the XAVP the next hop."""
        return self._use(ctx, DST_URI, following=False)

    @function("ds_set_domain", routes=ROUTING)
    def ds_set_domain(self, ctx: Context) -> int:
        return self._use(ctx, REQUEST_URI, following=False)

    def _use(self, ctx: Context, where: int, following: bool) -> int:
        if not self.flags & FAILOVER:
            log.warn("failover support disabled")
            return -1
        if following:
            remove(ctx.xavps, self.xavp_dst)
        current = self._current(ctx)
        if current is None:
            return -1
        number, uri, record = current
        index = (record.get("sock") or [-1])[0]
        sockets = self.core.sockets
        self._go(ctx, uri, sockets[index] if isinstance(index, int) and 0 <= index < len(sockets) else None, where)
        if self.loads is not None and record.get("dstid") and ctx.msg.method == "INVITE":
            with self.sets as sets:
                found = [one for one in sets[number].destinations if one.uri == uri] if number in sets else []
            if found:
                self.loads.put(ctx.msg.call_id, number, found[0])
        return 1

    def _current(self, ctx: Context) -> tuple[int, str, dict[str, list[Any]]] | None:
        """Set and URI of the destination in use."""
        record = newest(ctx.xavps, self.xavp_dst)
        if not isinstance(record, dict):
            return None
        number, uri = (record.get("grp") or [None])[0], (record.get("uri") or [None])[0]
        return (number, uri, record) if isinstance(number, int) and isinstance(uri, str) else None

    # states

    @function("ds_mark_dst", routes=MARKING)
    @function("ds_mark_dst", VALUE, routes=MARKING)
    def ds_mark_dst(self, ctx: Context, state: str = "i") -> int:
        """Mark the destination in use."""
        try:
            flags = parse_state(state)
        except ValueError:
            log.warn(f"Failed to parse flag: {state}")
            return -1
        current = self._current(ctx)
        if current is None:
            return -1
        return 1 if self.states.change(current[0], current[1], flags, msg=ctx.msg) else -1

    @function("ds_list_exists", INT)
    @function("ds_list_exist", INT)
    def ds_list_exists(self, ctx: Context, number: int) -> int:
        with self.sets as sets:
            return 1 if number in sets else -1

    @function("ds_is_active", INT)
    @function("ds_is_active", INT, STR)
    def ds_is_active(self, ctx: Context, number: int, uri: str = "") -> int:
        """Is any destination of the set usable, or this one?"""
        with self.sets as sets:
            dests = sets.get(number)
            for one in dests.destinations if dests is not None else ():
                if self.sets.is_usable(one) and uri in ("", one.uri):
                    return 1
        return -1

    # call load

    @function("ds_load_update")
    def ds_load_update(self, ctx: Context) -> int:
        """A BYE or CANCEL ends a call, a 2xx makes it last."""
        if self.loads is None:
            log.err("call load dispatching is not enabled: ds_hash_size is 0")
            return -1
        msg = ctx.msg
        try:
            if msg.is_request:
                if msg.method in ("BYE", "CANCEL"):
                    self.loads.drop(msg.call_id)
            elif msg.cseq[1] == "INVITE" and 200 <= msg.status < 300:
                self.loads.answered(msg.call_id)
        except BadMessage:
            return -1
        return 1

    @function("ds_load_unset")
    def ds_load_unset(self, ctx: Context) -> int:
        """The call counts no more."""
        if self.loads is None:
            return -1
        self.loads.drop(ctx.msg.call_id)
        return 1

    # $dsv

    @pvar("dsv")
    def dsv(self, inner: Inner) -> Getter:
        """$dsv(code), $dsv(reason), $dsv(flags): why an event route of the dispatcher runs."""
        name = inner.text
        if name not in ("code", "reason", "flags"):
            raise ValueError(f'pvar "dsv" has an invalid name param [{name}]')

        def get(ctx: Context) -> Value:
            notes = ctx.notes.get("dispatcher") if ctx.notes else None
            code, reason = notes["dsv"] if notes and "dsv" in notes else (0, "")
            if name == "code":
                return int(code)
            return (reason or None) if name == "reason" else 0

        return get

    _hash: Any
