"""Following dialogs: made by dlg_manage() or the flag, their states driven by tm's events and by rr's Routes.

Each step changes the state under the lock of the dialog's bucket (table.py) and does what follows from it after that:
counts, the database, event routes, whoever registered with Api. Which dialog a run is about stands in the run's notes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from kamailio_py.config.host import RouteType
from kamailio_py.log import get_logger
from kamailio_py.modules.dialog.record import Event, Flag, Ident, Inner, State, View
from kamailio_py.modules.dialog.table import LINGER
from kamailio_py.script.context import Context
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.hash import reverse_hex
from kamailio_py.sip.message import Message
from kamailio_py.sip.nameaddr import NameAddr
from kamailio_py.sip.uri import BadUri, Uri

if TYPE_CHECKING:
    from kamailio_py.modules.dialog import Dialogs
    from kamailio_py.modules.tm.transaction import Transaction

log = get_logger("dialog")

DID_ONLY, DID_FALLBACK, DID_NONE = range(3)
"""dlg_match_mode."""
_COOKIE = re.compile(r"([0-9a-fA-F]+)\.([0-9a-fA-F]+)")


class Notes:
    """What one run knows of its dialog, and what it wants for the one it may make."""

    def __init__(self) -> None:
        self.ident: Ident | None = None
        self.within = False  # the request was found to be one within the dialog
        self.profiles: list[tuple[str, str]] = []
        self.variables: dict[str, str] = {}
        self.ctx: dict[str, Any] = {"on": 0, "dir": 0, "set": 0, "flags": 0, "timeout": 0, "timeout_bye": 0}
        self.timeout_route = ""
        self.untold = ""  # the event of the dialog's beginning, if nobody was told of it yet


class Tracking:
    """See the head of the file."""

    def __init__(self, module: Dialogs) -> None:
        self.module = module
        self.core = module.core
        self.table = module.table
        self.tm = module.tm
        self.rr = module.rr
        self.tm.on("request-in", self._request_in)
        self.tm.on("response-ready", self._response)
        self.tm.on("destroyed", self._gone)
        self.rr.on_route(self.within)

    # which dialog

    @staticmethod
    def notes(ctx: Context) -> Notes:
        notes: Notes = ctx.note("dialog", None) or Notes()
        assert ctx.notes is not None
        ctx.notes["dialog"] = notes
        return notes

    def ident(self, ctx: Context) -> Ident | None:
        """The dialog that this run or its transaction has already been found to belong to."""
        notes = ctx.notes.get("dialog") if ctx.notes else None
        if notes is not None and notes.ident is not None:
            ident: Ident = notes.ident
            return ident
        if ctx.t is not None:
            found = self.tm.notes(ctx.t).get("dialog")
            if found is not None:
                return found[0], found[1]
        return None

    def current(self, ctx: Context) -> View | None:
        """The dialog of this run, found by the message if need be."""
        ident = self.ident(ctx)
        if ident is not None:
            return self.table.get(ident)
        try:
            msg = ctx.msg
            found = self.table.search(msg.call_id, msg.from_.tag, msg.to.tag)
        except BadMessage:
            return None
        return found[0] if found else None

    # making

    def manage(self, ctx: Context) -> int:
        """dlg_manage()."""
        msg = ctx.msg
        try:
            if msg.to.tag:
                self.within(ctx, None)
                return 1
        except BadMessage:
            return -1
        if msg.method != "INVITE" or not self.create(ctx, bool(self.module.initial_cbs_inscript)):
            return -1
        if ctx.t is not None:
            self._attach(ctx, ctx.t)
        return 1

    def create(self, ctx: Context, tell_now: bool = True) -> bool:
        """Make the dialog of an initial INVITE, or find the one of its first pass; False if that cannot be.

        Who registered for that is told now, or when the request makes a transaction.
        """
        msg, module, table = ctx.msg, self.module, self.table
        notes = self.notes(ctx)
        try:
            call_id, from_, to = msg.call_id, msg.from_, msg.to
            contact = _contact(msg)
        except BadMessage as error:
            log.err(f"bad request: {error.reason}")
            return False
        if not from_.tag:
            log.err("missing From-tag")
            return False
        if module.detect_spirals:
            for view in table.of_call(call_id):
                if view.from_tag == from_.tag and view.state != State.DELETED:
                    notes.ident = view.ident
                    self._tell_new(ctx, "spiraled", tell_now)
                    return True
        entry = table.entry_of(call_id)
        ident = entry, table.new_id(entry)
        lifetime = module.lifetime(ctx)
        inner = Inner.TIMEOUT_BYE if notes.ctx["timeout_bye"] or module.send_bye else 0
        inner |= Inner.TIMER_NORESET if module.timeout_noreset else 0
        route = module.route_number(notes.timeout_route)
        socket = msg.socket.index if msg.socket is not None else 0
        fields = {
            "entry": entry, "id": ident[1], "state": State.UNCONFIRMED, "sflags": notes.ctx["flags"], "iflags": inner,
            "toroute": route, "lifetime": lifetime, "init_ts": int(self.core.clock.now()), "caller_socket": socket,
            "callee_socket": socket,
        }  # fmt: skip
        texts = {
            "call_id": call_id, "from_uri": from_.uri, "to_uri": to.uri, "from_tag": from_.tag, "from_contact": contact,
            "from_cseq": msg.cseq[0], "from_rs": ",".join(_routes(msg)), "ruri": module.request_uri(ctx),
            "toroute_name": notes.timeout_route,
        }  # fmt: skip
        if not table.insert(fields, texts):
            return False
        notes.ident = ident
        module.count("processed")
        for name, value in notes.variables.items():
            table.set_variable(ident, name, value)
        table.set_bits(ident, "dflags", off=Flag.CHANGED_VARS)
        for profile, value in notes.profiles:
            module.join(ident, profile, value)
        self._cookie(ctx, ident)
        self._tell_new(ctx, "created", tell_now)
        return True

    def _tell_new(self, ctx: Context, event: str, now: bool) -> None:
        notes = self.notes(ctx)
        notes.untold = "" if now else event
        view = self.table.get(notes.ident) if now and notes.ident is not None else None
        if view is not None:
            self.module.api.run(event, view, ctx.msg, ctx)

    def _cookie(self, ctx: Context, ident: Ident) -> None:
        """The parameter of our Record-Route by which later requests find the dialog."""
        if self.module.dlg_match_mode != DID_NONE:
            did = f"{reverse_hex(ident[0])}.{reverse_hex(ident[1])}"
            self.rr.add_rr_param(ctx, f";{self.module.rr_param}={did}")

    def _request_in(self, ctx: Context, t: Transaction) -> None:
        """A request made a transaction: if it has a dialog, the transaction's replies drive that."""
        msg = ctx.msg
        notes = ctx.notes.get("dialog") if ctx.notes else None
        if msg.method != "INVITE" or msg.to.tag:
            return
        known = notes is not None and notes.ident is not None
        if notes is not None and notes.untold:
            self._tell_new(ctx, notes.untold, True)
        if known or (msg.flags & self.module.flag and self.create(ctx)):
            self._attach(ctx, t)

    def _attach(self, ctx: Context, t: Transaction) -> None:
        notes = self.notes(ctx)
        if notes.ident is not None:
            self.tm.note(t, "dialog", notes.ident)
            self.table.set_bits(notes.ident, "dflags", Flag.TM)

    # replies

    def _response(self, t: Transaction, code: int, reply: Message | None) -> None:
        """A reply of the INVITE is about to be sent upstream."""
        if code <= 100:
            return
        ident = self.tm.notes(t).get("dialog")
        if ident is None:
            return
        event = Event.PROVISIONAL if code < 200 else Event.SUCCESS if code < 300 else Event.FAILURE
        if event == Event.SUCCESS:
            self._learn_callee(ident, t, reply)
        old, new = self.step(ident, event)
        if old == new:
            return
        view = self.table.get(ident)
        if view is None:
            return
        if new == State.CONFIRMED_NA:
            self.module.api.run("confirmed_na", view, reply)
        elif new == State.EARLY:
            self.module.api.run("early", view, reply)
        else:
            self.module.api.run("failed", view, reply)
        self.run_event(view, reply, old, new)
        if new == State.CONFIRMED_NA:
            self.module.stored.confirmed(view)

    def _learn_callee(self, ident: Ident, t: Transaction, reply: Message | None) -> None:
        """Tag, contact and route set of who answered."""
        if reply is None:
            text = t.last_reply()
            reply = Message(text) if text else None
        if reply is None:
            return
        view = self.table.get(ident)
        if view is None or view.to_tag:
            return
        try:
            routes = _routes(reply)
            own = [i for i, route in enumerate(routes) if self._is_own(route)]
            keep = 1 if own and self.module.keep_proxy_rr & 1 else 0
            there = routes[: own[0] + keep] if own else routes
            texts = {"to_tag": reply.to.tag, "to_contact": _contact(reply), "to_cseq": "0"}
            texts["to_rs"] = ",".join(there[::-1])
            if own and self.module.keep_proxy_rr & 2:
                texts["from_rs"] = ",".join(routes[own[-1] :])
        except BadMessage as error:
            log.err(f"bad reply: {error.reason}")
            return
        self.table.set_texts(ident, **texts)
        if reply.socket is not None:
            self.table.change(ident, callee_socket=reply.socket.index)

    def _is_own(self, route: str) -> bool:
        try:
            return bool(self.rr.is_self(Uri.parse(NameAddr(route).uri)))
        except (BadMessage, BadUri):
            return False

    def _gone(self, t: Transaction) -> None:
        """A transaction is freed: a dialog whose INVITE never got a final reply goes with it."""
        ident = self.tm.notes(t).get("dialog")
        if ident is not None:
            old, new = self.step(ident, Event.TRANSACTION_GONE)
            if old != new and (view := self.table.get(ident)) is not None:
                self.module.api.run("failed", view, None)
                self.run_event(view, None, old, new)

    # requests within

    def within(self, ctx: Context, params: str | None) -> None:
        """A request came along our Route with these parameters (None: by dlg_manage())."""
        msg, module = ctx.msg, self.module
        try:
            if not msg.to.tag or self.notes(ctx).ident is not None:
                return
            found = self._match(msg, params)
        except BadMessage:
            return
        if found is None:
            return
        view, direction = found
        notes = self.notes(ctx)
        notes.ident = view.ident
        if module.cseq is not None:
            module.cseq.refresh(view, direction, msg)
        notes.within = True
        method = msg.method
        event = Event.BYE if method == "BYE" else Event.ACK if method == "ACK" else Event.REQUEST
        old, new = self.step(view.ident, event)
        if new == State.DELETED:
            if old != new:
                self.table.set_bits(view.ident, "dflags", Flag.HASBYE)
                self.ended(view.ident, msg, old, ctx=ctx)
            return
        if event == Event.ACK:
            if old != new and (now := self.table.get(view.ident)) is not None:
                self.table.set_bits(view.ident, "dflags", Flag.CHANGED)
                module.api.run("confirmed", now, msg, ctx)
                module.stored.changed(now)
            return
        if new not in (State.CONFIRMED_NA, State.CONFIRMED):
            return
        self._cookie(ctx, view.ident)
        module.api.run("within", view, msg, ctx)
        custom = module.custom_timeout(ctx)
        if custom or not view.iflags & Inner.TIMER_NORESET:
            self.table.set_lifetime(view.ident, custom or view.lifetime)
        changes = {"from_cseq" if direction == 1 else "to_cseq": msg.cseq[0]}
        if method in ("INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY") and (contact := _contact(msg)):
            changes["from_contact" if direction == 1 else "to_contact"] = contact
        self.table.set_texts(view.ident, **changes)
        self.table.set_bits(view.ident, "dflags", Flag.CHANGED)
        module.stored.changed(view)

    def _match(self, msg: Message, params: str | None) -> tuple[View, int] | None:
        """The dialog of a request within one: by the cookie, by tags where the mode says so."""
        mode = self.module.dlg_match_mode if params is not None else DID_NONE
        tags = msg.from_.tag, msg.to.tag
        if mode != DID_NONE:
            ident = _did(params or "", self.module.rr_param)
            if ident is not None:
                view = self.table.get(ident)
                direction = view.direction(*tags) if view is not None and view.call_id == msg.call_id else 0
                if view is not None and direction:
                    return view, direction
                log.warn(f"unable to find dialog for {msg.method} with route param '{self.module.rr_param}'")
            if mode == DID_ONLY:
                return None
        return self.table.search(msg.call_id, *tags)

    # states

    def step(self, ident: Ident, event: int) -> tuple[int, int]:
        """Give an event to a dialog and count what changed: (old, new) state."""
        module = self.module
        # without wait_ack nobody waits for the ACK of a negative reply
        linger = LINGER if event != Event.FAILURE or module.wait_ack else 0
        old, new = self.table.next_state(ident, event, int(self.core.clock.now()), linger)
        if old == new:
            return old, new
        if old == State.EARLY:
            module.count("early", -1)
        if new == State.EARLY:
            module.count("early")
        elif new == State.CONFIRMED_NA:
            module.count("active")
        elif new == State.DELETED:
            if old >= State.CONFIRMED_NA:
                module.count("active", -1)
            else:
                module.count("failed")
            module.leave_all(ident)
        return old, new

    def ended(
        self, ident: Ident, msg: Message | None, old: int, expired: bool = False, ctx: Context | None = None
    ) -> None:
        """A dialog was deleted that had been answered: tell everybody."""
        view = self.table.get(ident)
        if view is None:
            return
        self.module.api.run("expired" if expired else "terminated", view, msg, ctx)
        self.run_event(view, msg, old, State.DELETED)
        self.module.stored.removed(view)

    def run_event(self, view: View, msg: Message | None, old: int, new: int) -> None:
        """The event route of a change of state, on the message that caused it or on a faked one."""
        if new == State.CONFIRMED_NA:
            name = "dialog:start"
        elif new == State.DELETED:
            name = "dialog:end" if old in (State.CONFIRMED_NA, State.CONFIRMED) else "dialog:failed"
        else:
            return
        entry = self.core.event_route(name)
        if entry is None:
            return
        ctx = Context(self.core, msg if msg is not None else self.core.faked_message())
        self.notes(ctx).ident = view.ident
        self.core.run(entry, ctx, RouteType.LOCAL)


def _contact(msg: Message) -> str:
    """URI of the first Contact, "" without one."""
    contacts = msg.contacts
    return contacts[0].uri if isinstance(contacts, list) and contacts else ""


def _routes(msg: Message) -> list[str]:
    """The addresses of all Record-Routes."""
    return [route.strip() for header in msg.headers("record-route") for route in header.split(",")]


def _did(params: str, name: str) -> Ident | None:
    """The dialog that a Route's parameter names."""
    for part in params.split(";"):
        key, _, value = part.partition("=")
        if key.strip() == name:
            cookie = _COOKIE.fullmatch(value.strip())
            return (int(cookie[1][::-1], 16), int(cookie[2][::-1], 16)) if cookie else None
    return None
