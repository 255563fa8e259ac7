"""The rr module: Record-Route and Route.

What is remembered of a request between calls (parameters of the Route that was ours, its direction, parameters for a
Record-Route still to come) belongs to the message worked on last, as in Kamailio, and lives in this process alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.config.arguments import INT, REGEX, STR, Fixup
from kamailio_py.config.host import RouteType
from kamailio_py.log import get_logger
from kamailio_py.module import Module, ModuleError, Param, function, pvar
from kamailio_py.modules.rr import record
from kamailio_py.modules.rr.loose import PRELOADED, LooseRouter, routes_of
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.uri import BadUri, Uri

if TYPE_CHECKING:
    import re
    from collections.abc import Callable

    from kamailio_py.engine.core import Core
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import Getter, Inner, PVar
    from kamailio_py.sip.message import Message

log = get_logger("rr")

DOWNSTREAM, UPSTREAM = 1, 2
MAX_PENDING = 512
RECORDING = RouteType.REQUEST | RouteType.FAILURE | RouteType.BRANCH


def direction_of(text: str) -> int:
    """The direction an is_direction() asks for."""
    try:
        return {"downstream": DOWNSTREAM, "upstream": UPSTREAM}[text.lower()]
    except KeyError:
        raise ValueError(f"unknown direction '{text}'") from None


DIRECTION = Fixup("direction", prepare=direction_of)


class _Notes:
    """What is known of the message worked on last.

    params      of the Route that was ours (of the R-URI after a strict router); None until that is known
    direction   0 until that is known
    pending     parameters for the Record-Route that has not been added yet
    next_hop    loose_route() found a next hop behind a Route of ours
    """

    __slots__ = ("direction", "key", "next_hop", "params", "pending")

    def __init__(self, key: tuple[int, str]) -> None:
        self.key = key
        self.params: str | None = None
        self.direction = 0
        self.pending = ""
        self.next_hop = False


class Rr(Module):
    """Record-Route and Route."""

    name = "rr"

    append_fromtag = Param(int, 1)
    enable_double_rr = Param(int, 1)
    enable_full_lr = Param(int, 0)
    add_username = Param(int, 0)
    enable_socket_mismatch_warning = Param(int, 1)
    custom_user_avp = Param(str)
    force_send_socket = Param(int, 0)
    ignore_sips = Param(int, 0)
    sockname_mode = Param(int, 0)

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self._listeners: list[Callable[[Context, str], None]] = []

    def mod_init(self) -> None:
        self._notes = _Notes((-1, ""))
        self._style = record.Style(self.enable_double_rr, bool(self.enable_full_lr), bool(self.sockname_mode))
        self._custom_user: PVar | None = None
        if self.custom_user_avp is not None:
            try:
                self._custom_user = self.core.registry.pvar(self.custom_user_avp, True)
            except ValueError:
                self._custom_user = None
            if self._custom_user is None or not self.custom_user_avp.startswith("$avp"):
                raise ModuleError(f"malformed or non AVP custom_user AVP definition in '{self.custom_user_avp}'")

    # what loose.py and other modules use

    def on_route(self, fn: Callable[[Context, str], None]) -> None:
        """Have `fn(ctx, parameters)` called whenever loose_route() finds a Route of ours; before forking."""
        self._listeners.append(fn)

    def is_self(self, uri: Uri) -> bool:
        """Does this Route or R-URI name this server?"""
        return self.core.is_myself(uri.host, uri.port or 5060)

    def note_params(self, msg: Message, params: str, mine: bool = True) -> None:
        """Remember the parameters of our Route."""
        self._of(msg).params = params if mine else None

    def note_next_hop(self, msg: Message) -> None:
        self._of(msg).next_hop = True

    def route_params(self, msg: Message) -> str | None:
        """Parameters of the Route of this request that is ours, None if there is none."""
        notes = self._of(msg)
        if not notes.params and msg.find("route") >= 0:
            try:
                first = Uri.parse(routes_of(msg)[0].uri)
            except BadMessage:
                log.err("failed to parse Route HF")
                return None
            except BadUri as error:
                log.err(f"failed to parse the first route URI: {error.reason}")
                return None
            notes.params = first.params if self.is_self(first) else None
        return notes.params

    def direction(self, msg: Message) -> int:
        """UPSTREAM if the ftag of our Route is another than the From-tag, else DOWNSTREAM."""
        notes = self._of(msg)
        if not notes.direction:
            notes.direction = DOWNSTREAM
            params = self.route_params(msg)
            if params and (ftag := _value(params, "ftag")):
                try:
                    tag = msg.from_.tag
                except BadMessage:
                    tag = ""
                if tag and tag != ftag:
                    notes.direction = UPSTREAM
        return notes.direction

    def _of(self, msg: Message) -> _Notes:
        key = (msg.id, msg.header("call-id") or "")
        if self._notes.key != key:
            self._notes = _Notes(key)
        return self._notes

    # Route

    @function("loose_route", routes=RouteType.REQUEST)
    def loose_route(self, ctx: Context) -> int:
        return self._route(ctx, 0) if "route" in ctx.msg.names else -1

    @function("loose_route_preloaded", routes=RouteType.REQUEST)
    def loose_route_preloaded(self, ctx: Context) -> int:
        """True if the only Route was our own, in a request that starts a dialog."""
        return 1 if self._route(ctx, 0) == PRELOADED else -1

    @function("loose_route_mode", INT, routes=RouteType.REQUEST)
    def loose_route_mode(self, ctx: Context, mode: int) -> int:
        return self._route(ctx, mode)

    def _route(self, ctx: Context, mode: int) -> int:
        msg = ctx.msg
        result = LooseRouter(self, msg).route(mode)
        if self._listeners and (params := self._of(msg).params) is not None:
            for listener in self._listeners:
                listener(ctx, params)
        return result

    @function("check_route_param", REGEX, routes=RouteType.REQUEST)
    def check_route_param(self, ctx: Context, pattern: re.Pattern[str]) -> int:
        """Do the parameters of our Route match?"""
        params = self.route_params(ctx.msg)
        return 1 if params and pattern.search(f";{params}") else -1

    @function("is_direction", DIRECTION, routes=RouteType.REQUEST)
    def is_direction(self, ctx: Context, direction: int) -> int:
        return 1 if self.direction(ctx.msg) == direction else -1

    @function("rr_next_hop_route")
    def rr_next_hop_route(self, ctx: Context) -> int:
        """Did loose_route() find a next hop behind our own Route?"""
        return 1 if self._of(ctx.msg).next_hop else -1

    # Record-Route

    @function("record_route", routes=RECORDING)
    @function("record_route", STR, routes=RECORDING)
    def record_route(self, ctx: Context, params: str = "") -> int:
        what = self._begin(ctx, custom=True)
        if what is None:
            return -1
        scheme, user, tag, pending = what
        record.add(ctx.msg, self._style, scheme, user, tag, params + pending)
        return self._done(ctx)

    @function("record_route_preset", STR, routes=RECORDING)
    @function("record_route_preset", STR, STR, routes=RECORDING)
    def record_route_preset(self, ctx: Context, first: str, second: str | None = None) -> int:
        if second is not None and not self.enable_double_rr and not ctx.msg.rr_added:
            log.err("Attempt to double record-route while 'enable_double_rr' param is disabled")
            return -1
        what = self._begin(ctx, by_sender=True)
        if what is None:
            return -1
        for address in (first, second):
            if address is not None:
                record.add_preset(ctx.msg, self._style, *what, address)
        return self._done(ctx)

    @function("record_route_advertised_address", STR, routes=RECORDING)
    def record_route_advertised_address(self, ctx: Context, address: str) -> int:
        what = self._begin(ctx)
        if what is None:
            return -1
        record.add_advertised(ctx.msg, self._style, *what, address)
        return self._done(ctx)

    @function("add_rr_param", STR, routes=RECORDING)
    def add_rr_param(self, ctx: Context, params: str) -> int:
        """Parameters for the Record-Route, whether it has been added already or will be."""
        msg = ctx.msg
        added = record.count(msg)
        if added:
            wanted = 2 if self.enable_double_rr else 1
            record.append_params(msg, params, wanted)
            if added < wanted:
                log.crit("failed to locate double RR lump")
                return -1
            return 1
        notes = self._of(msg)
        if len(notes.pending) + len(params) > MAX_PENDING:
            log.err("maximum size of rr_param_buf exceeded")
            return -1
        notes.pending += params
        return 1

    @function("remove_record_route", routes=RouteType.REQUEST | RouteType.FAILURE)
    def remove_record_route(self, ctx: Context) -> int:
        record.remove(ctx.msg)
        return 1

    def _begin(
        self, ctx: Context, *, custom: bool = False, by_sender: bool = False
    ) -> tuple[str, str, str, str] | None:
        """Scheme, user, ftag and pending parameters of a new Record-Route; None and an error line if there can be none.

        With `by_sender` the ftag is the From-tag in requests of both directions.
        """
        msg = ctx.msg
        if msg.rr_added:
            log.err("Double attempt to record-route")
            return None
        scheme = "sip"
        try:
            if msg.parsed_uri.scheme == "sips" and not self.ignore_sips:
                scheme = "sips"
        except BadUri:
            pass
        user = tag = ""
        try:
            if self.add_username:
                user = (self._custom(ctx) if custom else "") or _user(msg)
            if self.append_fromtag:
                upstream = not by_sender and self.direction(msg) == UPSTREAM
                tag = (msg.to if upstream else msg.from_).tag
        except BadUri:
            log.err("failed to extract username")
            return None
        except BadMessage as error:
            log.err(f"From or To parsing failed: {error.reason}")
            return None
        return scheme, user, tag, self._of(msg).pending

    def _custom(self, ctx: Context) -> str:
        value = self._custom_user.get(ctx) if self._custom_user is not None else None
        return value if isinstance(value, str) else ""

    def _done(self, ctx: Context) -> int:
        self._of(ctx.msg).pending = ""
        if ctx.route_type != RouteType.BRANCH:
            ctx.msg.rr_added = True
        return 1

    # pseudo-variables

    @pvar("route_uri", type="str")
    def route_uri(self, inner: Inner) -> Getter:
        """$route_uri: the URI of the topmost Route."""

        def get(ctx: Context) -> str | None:
            if "route" not in ctx.msg.names:
                log.info("No route header present.")
                return None
            try:
                return routes_of(ctx.msg)[0].uri
            except BadMessage:
                log.err("Error while parsing Route header")
                return None

        return get

    @pvar("fti", type="str")
    def from_tag_initial(self, inner: Inner) -> Getter:
        """$fti: the From-tag of the request that started the dialog."""
        return lambda ctx: self._tag(ctx, UPSTREAM)

    @pvar("tti", type="str")
    def to_tag_initial(self, inner: Inner) -> Getter:
        """$tti: the To-tag of its reply."""
        return lambda ctx: self._tag(ctx, DOWNSTREAM)

    def _tag(self, ctx: Context, to_when: int) -> str | None:
        msg = ctx.msg
        try:
            return (msg.to if self.direction(msg) == to_when else msg.from_).tag or None
        except BadMessage:
            return None

    @pvar("rdir")
    def rdir(self, inner: Inner) -> Getter:
        """$rdir(id) 1 or 2, $rdir(name) "downstream" or "upstream"."""
        down: int | str
        up: int | str
        if inner.text == "id":
            down, up = DOWNSTREAM, UPSTREAM
        elif inner.text == "name":
            down, up = "downstream", "upstream"
        else:
            log.err(f"unknown PV af key: {inner.text}")
            raise ValueError(f'pvar "rdir" has an invalid name param [{inner.text}]')
        return lambda ctx: up if self.direction(ctx.msg) == UPSTREAM else down


def _value(params: str, name: str) -> str:
    """Value of a Route parameter; names are compared as they are written."""
    for part in params.split(";"):
        key, _, value = part.partition("=")
        if key.strip() == name:
            return value.strip().strip("\"'")
    return ""


def _user(msg: Message) -> str:
    """The user of the R-URI as received, else of the changed one."""
    user = Uri.parse(msg.ruri).user
    return user if user or msg.new_uri is None else Uri.parse(msg.new_uri).user
