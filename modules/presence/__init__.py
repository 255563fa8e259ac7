"""The presence module: a presence server (RFC 3856, 3903, 6665). PUBLISH, SUBSCRIBE, NOTIFY for any event package.

Subscriptions and publications are in shared memory or a database (subscriptions.py, publications.py), what is
particular to an event package comes from other modules (events.py). Here are the parameters, the life cycle, what the
script and RPC see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from kamailio_py.config.arguments import INT, STR
from kamailio_py.config.host import RouteType
from kamailio_py.config.program import Entry
from kamailio_py.config.without_effect import DMQ
from kamailio_py.db.database import Database
from kamailio_py.db.errors import DbError
from kamailio_py.engine.unique_ids import UniqueIds
from kamailio_py.log import FACILITIES, get_logger
from kamailio_py.module import Module, ModuleError, Param, RpcFault, function, pvar, rpc
from kamailio_py.modules.presence.events import Event, Events
from kamailio_py.modules.presence.marks import Marks
from kamailio_py.modules.presence.notifier import Notifier
from kamailio_py.modules.presence.notifiers import Notifiers
from kamailio_py.modules.presence.publications import CachedPublications, Publication, Publications, StoredPublications
from kamailio_py.modules.presence.publish import Publishing
from kamailio_py.modules.presence.refreshing import FILES, Refreshing
from kamailio_py.modules.presence.rows import Rows
from kamailio_py.modules.presence.subscribe import Subscribing
from kamailio_py.modules.presence.subscription import Subscription
from kamailio_py.modules.presence.subscriptions import WRITE_BACK, Subscriptions
from kamailio_py.modules.presence.watchers import Watchers
from kamailio_py.script.context import Context

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.rpc.call import Call
    from kamailio_py.script.pvars import Getter, Inner
    from kamailio_py.sip.endpoint import ListenSocket
    from kamailio_py.sip.message import Message

log = get_logger("presence")

EVENT_ROUTE = "presence:notify-reply"
VERSIONS = {"presentity": 5, "active_watchers": 12, "watchers": 3}
CACHE_ONLY = 2
WAITN_TIME, POLL_RATE = 5, 10
"""Defaults, also in place of what is not above 0."""
DAY = 86400
FIELDS: dict[str, Callable[[Subscription, int], int | str]] = {
    "uri": lambda s, expires: s.presentity_uri, "pres_uri": lambda s, expires: s.presentity_uri,
    "expires": lambda s, expires: expires, "sockinfo": lambda s, expires: s.socket_info,
    **{name: (lambda s, expires, name=name: getattr(s, name))  # type: ignore[misc]
       for name in Subscription._fields if name not in ("presentity_uri", "expires", "socket_info")},
}  # fmt: skip


class Api:
    """What event packages use: `core.module("presence").api`."""

    def __init__(self, presence: Presence) -> None:
        self._presence = presence

    def add_event(self, event: Event) -> None:
        """In mod_init."""
        self._presence.events.add(event)

    @property
    def sphere_check(self) -> bool:
        """Whether rules are to look where a presentity is."""
        return bool(self._presence.enable_sphere_check)

    def bodies(self, user: str, domain: str, event: str) -> list[str]:
        """What is published of a presentity now, oldest first; DbError where the database fails."""
        return [p.body for p in self._presence.publications.of(user, domain, event)]


class Presence(Module):
    """Presence."""

    name = "presence"
    event_routes = (EVENT_ROUTE,)

    db_url = Param(str)
    presentity_table = Param(str, "presentity")
    active_watchers_table = Param(str, "active_watchers")
    watchers_table = Param(str, "watchers")
    clean_period = Param(int, 100)
    db_update_period = Param(int, 100)
    waitn_time = Param(int, WAITN_TIME)
    notifier_poll_rate = Param(int, POLL_RATE)
    notifier_processes = Param(int, 1)
    force_delete = Param(int, 0)
    startup_mode = Param(int, 1, unused="publications are looked up in the database, not copied from it")
    expires_offset = Param(int, 0)
    max_expires = Param(int, 3600)
    min_expires = Param(int, 0)
    min_expires_action = Param(int, 1)
    server_address = Param(str)
    subs_htable_size = Param(int, 9)
    pres_htable_size = Param(int, 9)
    subs_db_mode = Param(int, WRITE_BACK)
    publ_cache = Param(int, 1)
    enable_sphere_check = Param(int, 0)
    timeout_rm_subs = Param(int, 1)
    send_fast_notify = Param(int, 1)
    fetch_rows = Param(int, 500)
    db_table_lock_type = Param(int, 1, unused="rows are changed by single statements, which need no lock of a table")
    local_log_level = Param(int, 2)
    local_log_facility = Param(str)
    subs_remove_match = Param(int, 0, unused="a subscription is known by all three parts of its dialog")
    xavp_cfg = Param(str)
    retrieve_order = Param(int, 0)
    retrieve_order_by = Param(str, "priority")
    sip_uri_match = Param(int, 0)
    cseq_offset = Param(int, 0)
    enable_dmq = Param(int, 0, unused=DMQ)
    pres_subs_mode = Param(int, 1)
    delete_same_subs = Param(int, 0)
    timer_mode = Param(int, 1, unused="what modules do regularly has a process of its own, the secondary timer")
    subs_respond_200 = Param(int, 1)

    publications: Publications
    subscriptions: Subscriptions
    notifier: Notifier
    reply_route: Entry | None = None

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self.events = Events()
        self.api = Api(self)
        self.unique_id = UniqueIds(core, "pres")

    def mod_init(self) -> None:
        core = self.core
        if core.module("tm") is None or core.module("sl") is None:
            raise ModuleError("cannot bind to TM or SL API")
        db = core.db(self.db_url) if self.db_url else None
        if self.local_log_facility is not None and self.local_log_facility not in FACILITIES:
            raise ModuleError(f"invalid log facility configured ({self.local_log_facility})")
        if db is None and (self.publ_cache != CACHE_ONLY or self.subs_db_mode):
            raise ModuleError("db_url is not set, which publ_cache and subs_db_mode need")
        if db is not None:
            for name, version in VERSIONS.items():
                db.check_version(getattr(self, f"{name}_table"), version)
        shm = core.shm
        if self.publ_cache == CACHE_ONLY or db is None:
            order = "priority" if self.retrieve_order else "received_time"
            self.publications = CachedPublications(Rows(shm, "publications", self.pres_htable_size), order)
        else:
            order = self.retrieve_order_by if self.retrieve_order else "received_time"
            self.publications = StoredPublications(db, self.presentity_table, order)
        rows = Rows(shm, "subscriptions", self.subs_htable_size)
        dialogs = Rows(shm, "dialogs", self.subs_htable_size)
        self.subscriptions = Subscriptions(
            rows, dialogs, db, self.active_watchers_table, self.subs_db_mode, fold=bool(self.sip_uri_match),
            chunk=self.fetch_rows,
        )  # fmt: skip
        self.subscriptions.load(self.now())
        self.watchers = Watchers(db, self.watchers_table)
        self.notifier = Notifier(self, self._notifiers(db))
        self.publishing = Publishing(self)
        self.subscribing = Subscribing(self)
        self.refreshing = Refreshing(self)
        self.reply_route = core.event_route(EVENT_ROUTE)
        if self.clean_period > 0:
            core.register_timer(self.clean, self.clean_period)
        if self.db_update_period > 0:
            core.register_timer(self.update, self.db_update_period)

    def _notifiers(self, db: Database | None) -> Notifiers | None:
        """The processes that tell what changes, where subscriptions are in the database alone."""
        if db is None or self.subscriptions.in_memory or self.notifier_processes <= 0:
            return None
        rate = self.notifier_poll_rate if self.notifier_poll_rate > 0 else POLL_RATE
        seconds = self.waitn_time if self.waitn_time > 0 else WAITN_TIME
        return Notifiers(self, Marks(db, self.active_watchers_table), self.notifier_processes, rate, seconds)

    def child_init(self, rank: int) -> None:
        self.unique_id.restart()

    def destroy(self) -> None:
        if hasattr(self, "subscriptions"):
            self.subscriptions.store(self.now())

    # what the parts use

    def now(self) -> int:
        return int(self.core.clock.now())

    def lifetime(self, header: str | None, event: Event) -> int:
        """Seconds asked for, as far as they are granted."""
        try:
            asked = int(header) if header is not None else event.default_expires
        except ValueError:
            asked = event.default_expires
        return min(max(asked, 0), self.max_expires)

    def reply(self, ctx: Context, code: int, reason: str, headers: str = "") -> None:
        if headers:
            ctx.msg.reply_headers.append(headers)
        self.core.module("sl").reply_either(ctx, code, reason)

    def to_tag(self, ctx: Context) -> str:
        """The To-tag that the answer to this request will have."""
        sl = self.core.module("sl")
        if ctx.t is not None and sl.bind_tm:
            tag: str = self.core.module("tm").api.to_tag(ctx.msg)
        else:
            tag = sl.totag(ctx.msg)
        return tag

    def local_contact(self, socket: ListenSocket) -> str:
        host = f"[{socket.host}]" if ":" in socket.host else socket.host
        return self.server_address or f"sip:{host}:{socket.port};transport={socket.proto}"

    def note(self, ctx: Context, s: Subscription, expires: int, reply: Message | None = None) -> None:
        """Have $subs and $notify_reply speak of this in the run; `expires` are the seconds it lasts."""
        known = {"subscription": s, "expires": expires} if self.pres_subs_mode else {}
        ctx.note("presence", {}).update(known, reply=reply)

    def ended(self, p: Publication, among: list[Publication], event: Event, sender: str = "") -> None:
        """Tell everybody that a publication is there no more; `among` are all that there were."""
        left = event.offline(p.body) if event.offline is not None else ""
        shown = [p._replace(body=left) if other.etag == p.etag else other for other in among]
        self.notifier.everybody(p.uri, event, found=[other for other in shown if other.body], sender=sender)

    # timers

    def clean(self) -> None:
        """Publications that are over, and watchers who waited too long for a decision."""
        now = self.now()
        try:
            for p in self.publications.over(now):
                event = self.events.known.get(p.event)
                if self.publications.remove(p) and event is not None and not self.force_delete:
                    self.notifier.everybody(p.uri, event)
            self.watchers.forget(now, DAY)
        except DbError:
            return  # logged; the next time

    def update(self) -> None:
        """Subscriptions that are over, and the database."""
        now = self.now()
        for s in self.subscriptions.over(now - self.expires_offset):
            event = self.events.known.get(s.event)
            if event is None:
                continue
            if self.notifier.later is not None:
                ended = self.subscriptions.change(s, Subscription.ended)
                if ended is not None:
                    self.notifier.later.mark(ended)
            elif self.subscriptions.remove(s):
                ended = s.told().ended()
                self.notifier.send(ended, event, body="")
                self.notifier.watched(ended)
        self.subscriptions.store(self.now())

    # the script

    @function("handle_publish", routes=RouteType.REQUEST)
    @function("handle_publish", STR, routes=RouteType.REQUEST)
    def handle_publish(self, ctx: Context, sender: str = "") -> int:
        return self.publishing.handle(ctx, sender)

    @function("handle_subscribe", routes=RouteType.REQUEST)
    @function("handle_subscribe", STR, routes=RouteType.REQUEST)
    def handle_subscribe(self, ctx: Context, watcher: str = "") -> int:
        return self.subscribing.handle(ctx, watcher)

    @function("pres_auth_status", STR, STR, routes=RouteType.REQUEST)
    def pres_auth_status(self, ctx: Context, watcher: str, presentity: str) -> int:
        """The status of a watcher by the rules for presence; -1 when they say nothing."""
        event = self.events.known.get("presence")
        user, at, domain = watcher.partition(":")[2].partition("@")
        if event is None or event.authorize is None or not at:
            return -1
        return int(self.watchers.by_rules(presentity, user, domain, event).status)

    @function("pres_has_subscribers", STR, STR)
    def pres_has_subscribers(self, ctx: Context, presentity: str, name: str) -> int:
        if name not in self.events.known:
            log.err(f"event {name} is not registered")
            return -1
        return 1 if self.subscriptions.of(presentity, name) else -1

    @function("pres_refresh_watchers", STR, STR, INT)
    def pres_refresh_watchers(self, ctx: Context, presentity: str, name: str, kind: int) -> int:
        return 1 if self.refreshing.everybody(presentity, name, kind) else -1

    @function("pres_refresh_watchers", STR, STR, INT, STR, STR)
    def pres_refresh_files(
        self, ctx: Context, presentity: str, name: str, kind: int, file_uri: str, filename: str
    ) -> int:
        return 1 if self.refreshing.everybody(presentity, name, kind) else -1

    @function("pres_update_watchers", STR, STR)
    def pres_update_watchers(self, ctx: Context, presentity: str, name: str) -> int:
        return 1 if self.refreshing.decide(presentity, name) else -1

    @pvar("subs", inner=True, index=False)
    def pv_subs(self, inner: Inner) -> Getter:
        """$subs(pres_uri) and so on of the subscription that this run has handled, or whose NOTIFY was answered."""
        read = FIELDS.get(inner.text)
        if read is None:
            raise ValueError(f"unknown subscription field: {inner.text}")

        def get(ctx: Context) -> int | str | None:
            notes = (ctx.notes or {}).get("presence") or {}
            return read(notes["subscription"], notes["expires"]) if "subscription" in notes else None

        return get

    @pvar("notify_reply", inner=True, index=False)
    def pv_notify_reply(self, inner: Inner) -> Getter:
        """$notify_reply($rs): a variable, of the answer to a NOTIFY; in event_route[presence:notify-reply]."""
        wanted = inner.pvar
        if wanted is None:
            raise ValueError(f"$notify_reply({inner.text}): a pseudo-variable is expected")

        def get(ctx: Context) -> Any:
            reply = ((ctx.notes or {}).get("presence") or {}).get("reply")
            return wanted.get(Context(self.core, reply)) if reply is not None else None

        return get

    # RPC

    @rpc("presence.cleanup", "", "Deals with what is over now.")
    def rpc_cleanup(self, call: Call) -> str:
        self.clean()
        self.update()
        return "Reload OK"

    @rpc("presence.refreshWatchers", "", "Tells the watchers of a presentity: its URI, event, 0 for other rules, 1.")
    def rpc_refresh(self, call: Call) -> dict[str, str]:
        presentity, name, kind = self._scanned(call, "SSu")
        if kind == FILES and len(call.scan("*SS")) < 2:
            log.err("empty file uri or name parameters")
            raise RpcFault(500, "No file uri or name parameters")
        if not self.refreshing.everybody(presentity, name, kind):
            raise RpcFault(500, "Execution failed")
        return {}

    @rpc("presence.updateWatchers", "", "Looks at the rules of a presentity again: its URI, event.")
    def rpc_update(self, call: Call) -> dict[str, str]:
        presentity, name = self._scanned(call, "SS")
        if not self.refreshing.decide(presentity, name):
            raise RpcFault(500, "Processing error")
        return {}

    @staticmethod
    def _scanned(call: Call, letters: str) -> list[Any]:
        try:
            return call.scan(letters)
        except RpcFault:
            raise RpcFault(500, "Not enough parameters") from None

    @rpc("presence.presentity_list", "", "What is published, of shared memory; with `full` all of it.", array=True)
    def rpc_list(self, call: Call) -> Iterator[dict[str, int | str]]:
        full = call.scan("*S") == ["full"]
        if isinstance(self.publications, StoredPublications):
            return
        for p in self.publications.every():
            shown: dict[str, int | str] = {
                "user": p.username, "domain": p.domain, "event": p.event, "etag": p.etag, "sender": p.sender,
                "expires": p.expires,
            }  # fmt: skip
            if full:
                shown |= {"received_time": p.received_time, "priority": p.priority, "ruid": p.ruid, "body": p.body}
            yield shown
