"""Requests of the server's own within dialogs: BYE to end them, REFER, keepalives; and the calls of dlg_bridge().

Replies come to the callbacks registered here, in whichever process; what they need travels as plain data with the
request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamailio_py.log import get_logger
from kamailio_py.modules.dialog.record import Event, Ident, Inner, State, View
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.message import Message
from kamailio_py.sip.nameaddr import NameAddr

if TYPE_CHECKING:
    from kamailio_py.modules.dialog import Dialogs
    from kamailio_py.modules.tm.transaction import Transaction

log = get_logger("dialog")

CALLER, CALLEE = "caller", "callee"
GONE = (408, 481)
SHORT_LIFE = 10
"""Seconds that a dialog lives on whose keepalives fail, or whose ACK never came."""


class Requests:
    """See the head of the file."""

    def __init__(self, module: Dialogs) -> None:
        self.module = module
        self.core = module.core
        self.table = module.table
        self.tm = module.tm
        self.tm.callback("dialog.bye", self._bye_answered)
        self.tm.callback("dialog.refer", self._refer_answered)
        self.tm.callback("dialog.bridge", self._bridge_answered)
        self.tm.callback("dialog.bridge.refer", self._bridge_referred)
        self.tm.callback("dialog.ka", self._alive)

    def _send(
        self,
        view: View,
        side: str,
        method: str,
        headers: str,
        *,
        cseq: int,
        from_: str = "",
        to: str = "",
        max_forwards: int = 70,
        callback: str = "",
        data: Any = None,
    ) -> bool:
        """A request to one side of a dialog."""
        to_caller = side == CALLER
        contact = view.from_contact if to_caller else view.to_contact
        routes = view.from_rs if to_caller else view.to_rs
        here = f"<{view.from_uri}>;tag={view.from_tag}"
        there = f"<{view.to_uri}>;tag={view.to_tag}"
        if not contact:
            log.err(f"no contact of the {side} is known")
            return False
        first = routes.split(",")[0].strip() if routes else ""
        try:
            hop = NameAddr(first).uri if first else contact
        except BadMessage:
            hop = contact
        if not to_caller and self.module.lreq_callee_headers:
            headers += self.module.lreq_callee_headers
        sockets = self.core.sockets
        index = view.caller_socket if to_caller else view.callee_socket
        sent = self.tm.request(
            method,
            contact,
            from_ or (there if to_caller else here),
            to or (here if to_caller else there),
            headers=headers,
            next_hop=hop,
            socket=sockets[index] if index < len(sockets) else None,
            call_id=view.call_id,
            cseq=cseq,
            routes=f"Route: {routes}\r\n" if routes else "",
            max_forwards=max_forwards,
            callback=callback,
            data=data,
        )
        return sent is not None

    @staticmethod
    def _cseq(view: View, side: str) -> int:
        """CSeq number of the last request that side got."""
        text = view.to_cseq if side == CALLER else view.from_cseq
        return int(text) if text.isdigit() else 0

    # BYE

    def bye(self, view: View, sides: tuple[str, ...] = (CALLER, CALLEE), headers: str = "") -> bool:
        """End a dialog that was answered with BYEs; False if nothing could be sent."""
        if view.state not in (State.CONFIRMED_NA, State.CONFIRMED):
            log.err("terminating non-confirmed dialogs not supported")
            return False
        module = self.module
        module.api.run("terminated", view, None)
        module.tracking.run_event(view, None, view.state, State.DELETED)
        lines = f"Max-Forwards: 70\r\n{headers}{module.dlg_extra_hdrs or ''}"
        sent = True
        for side in sides:
            cseq = self._cseq(view, side) + 1
            sent &= self._send(
                view, side, "BYE", lines, cseq=cseq, max_forwards=-1, callback="dialog.bye", data=view.ident
            )
        return sent

    def _bye_answered(self, t: Transaction, code: int, reply: Message | None, data: Any) -> None:
        ident = data[0], data[1]
        old, new = self.module.tracking.step(ident, Event.BYE)
        if old != new and (view := self.table.get(ident)) is not None:
            self.module.stored.removed(view)

    # REFER

    def refer(self, view: View, side: str, address: str) -> bool:
        """Have the other one than `side` call an address; From and To are as real 5.6 makes them."""
        target = CALLEE if side == CALLER else CALLER
        addresses = self._crossed(view, target)
        cseq = self._cseq(view, target) + 1
        headers = self._referring(self.module.bridge_controller, address)
        return self._send(
            view, target, "REFER", headers, cseq=cseq, from_=addresses[0], to=addresses[1], callback="dialog.refer",
            data=(*view.ident, target, cseq),
        )  # fmt: skip

    def _referring(self, by: str, to: str) -> str:
        return f"Referred-By: {by}\r\nRefer-To: {to}\r\nContact: <{self.module.bridge_contact}>\r\n"

    @staticmethod
    def _crossed(view: View, target: str) -> tuple[str, str]:
        if target == CALLER:
            return f"<{view.from_uri}>;tag={view.to_tag}", f"<{view.to_uri}>;tag={view.from_tag}"
        return f"<{view.to_uri}>;tag={view.from_tag}", f"<{view.from_uri}>;tag={view.to_tag}"

    def _refer_answered(self, t: Transaction, code: int, reply: Message | None, data: Any) -> None:
        """Who was referred is not needed here any more."""
        entry, number, target, cseq = data
        view = self.table.get((entry, number))
        if view is not None:
            from_, to = self._crossed(view, target)
            self._send(view, target, "BYE", "", cseq=cseq + 1, from_=from_, to=to)

    # keepalives

    def keep_alive(self) -> None:
        """Send the OPTIONS that are due."""
        now = self.core.clock.ms()
        interval = self.module.ka_interval * 1000
        for view in self.table.all():
            if view.state != State.CONFIRMED or self.module.is_filtered(view):
                continue
            for side, bit, last in (
                (CALLER, Inner.KA_CALLER, view.ka_caller),
                (CALLEE, Inner.KA_CALLEE, view.ka_callee),
            ):
                if view.iflags & bit and now - (last or now - interval) >= interval:
                    self.table.change(view.ident, **{f"ka_{side}": now})
                    self._send(
                        view, side, "OPTIONS", "", cseq=max(self._cseq(view, side), 1), callback="dialog.ka",
                        data=view.ident,
                    )  # fmt: skip

    def _alive(self, t: Transaction, code: int, reply: Message | None, data: Any) -> None:
        """A keepalive was answered, or not."""
        ident = data[0], data[1]
        view = self.table.get(ident)
        if view is None or view.state != State.CONFIRMED:
            return
        if code not in GONE:
            if view.ka_failed:
                self.table.change(ident, ka_failed=0)
            return
        self.table.change(ident, ka_failed=view.ka_failed + 1)
        if view.ka_failed + 1 >= self.module.ka_failed_limit:
            self.table.set_lifetime(ident, SHORT_LIFE)

    # a call that the server makes

    def bridge(self, from_: str, to: str, proxy: str, body: str | None) -> bool:
        """Call `from_`, and refer it to `to`."""
        module = self.module
        sdp = BRIDGE_SDP if body is None else body
        headers = f"Contact: <{module.bridge_contact}>\r\n"
        if sdp:
            headers += "Content-Type: application/sdp\r\n"
        sent = self.tm.request(
            "INVITE", from_, f"<{module.bridge_controller}>", f"<{from_}>", headers=headers, body=sdp, next_hop=proxy,
            callback="dialog.bridge", data=(to,),
        )  # fmt: skip
        return sent is not None

    def _bridge_answered(self, t: Transaction, code: int, reply: Message | None, data: Any) -> None:
        if reply is None or not 200 <= code < 300:
            return
        headers = self._referring(self.module.bridge_controller, data[0])
        self._within_bridge(reply, "REFER", headers, "dialog.bridge.refer", 11)

    def _bridge_referred(self, t: Transaction, code: int, reply: Message | None, data: Any) -> None:
        self._within_bridge(Message(data), "BYE", "", "", 12)

    def _within_bridge(self, reply: Message, method: str, headers: str, callback: str, cseq: int) -> None:
        """A request to the one who answered the INVITE, by the 200 it gave."""
        contacts = reply.contacts
        uri = contacts[0].uri if isinstance(contacts, list) and contacts else reply.to.uri
        routes = [route.strip() for header in reply.headers("record-route") for route in header.split(",")][::-1]
        self.tm.request(
            method, uri, reply.from_.text, reply.to.text, headers=headers,
            next_hop=NameAddr(routes[0]).uri if routes else uri, call_id=reply.call_id, cseq=cseq,
            routes="".join(f"Route: {route}\r\n" for route in routes), callback=callback, data=reply.text,
        )  # fmt: skip

    # what the module's timeout does

    def timed_out(self, ident: Ident) -> None:
        """The lifetime of a dialog is over: its route, BYEs if wanted, the end."""
        module = self.module
        view = self.table.get(ident)
        if view is None:
            return
        if module.is_filtered(view):
            self.table.rest(ident)
            return
        if view.toroute:
            module.run_timeout_route(view)
            view = self.table.get(ident)
            if view is None or view.state == State.DELETED or view.due > self.core.clock.ms() + 5000:
                return  # the route has ended it, or given it more time
        module.count("expired")
        if view.iflags & Inner.TIMEOUT_BYE:
            if not self.bye(view):
                self.module.tracking.step(ident, Event.BYE)
            return
        log.warn(f"timeout for dlg with CallID '{view.call_id}' and tags '{view.from_tag}' '{view.to_tag}'")
        old, new = module.tracking.step(ident, Event.BYE)
        if old != new:
            module.tracking.ended(ident, None, old, expired=True)


BRIDGE_SDP = (
    "v=0\r\no=kamailio-bridge 0 0 IN IP4 0.0.0.0\r\ns=kamailio\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
    "m=audio 9 RTP/AVP 8 0\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n"
)
"""A session on hold."""
