"""t_relay() and its relatives: where a request goes on to, as one branch or several.

All branches are added before the first is sent, so that no reply can find the transaction complete too early. In a
request route a failure is not answered at once: the script may still answer, otherwise tm does when the script ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.config.host import RouteType
from kamailio_py.engine.forward import forward_request, forward_to_uri
from kamailio_py.log import get_logger
from kamailio_py.modules.tm import errors
from kamailio_py.modules.tm.cell import Branch, BranchFlag, Cell, Flag
from kamailio_py.modules.tm.client import first_place
from kamailio_py.modules.tm.transaction import ERROR_DELAYED, FORWARDED
from kamailio_py.script.values import parse_int
from kamailio_py.sip.branch import Branch as Place
from kamailio_py.sip.endpoint import Destination

if TYPE_CHECKING:
    from kamailio_py.modules.tm import Tm
    from kamailio_py.modules.tm.transaction import Transaction
    from kamailio_py.script.context import Context
    from kamailio_py.sip.message import Message

log = get_logger("tm")
_FAILURE, _BRANCH_FAILURE = RouteType.FAILURE, RouteType.BRANCH_FAILURE

NO_AUTO_100, NO_ERROR_REPLY = 1, 2
"""Bits of t_relay_to()'s flags; 4, no DNS failover, means nothing where a next hop is given."""


class Forward:
    """See the head of the file."""

    def __init__(self, tm: Tm) -> None:
        self.tm = tm
        names = ((Cell.fr, tm.fr_timer_avp), (Cell.fr_inv, tm.fr_inv_timer_avp))
        self._timers = [(field, tm.core.registry.pvar(name, True)) for field, name in names if name]

    def relay(
        self,
        ctx: Context,
        target: Destination | None = None,
        proto: str = "",
        *,
        replicate: bool = False,
        flags: int = 0,
    ) -> int:
        """t_relay(): 1 sent (or a retransmission was dealt with), negative otherwise."""
        tm = self.tm
        msg = ctx.msg
        t = ctx.t
        if ctx.route_type is _FAILURE or ctx.route_type is _BRANCH_FAILURE:
            if t is None:
                log.crit("undefined T")
                return -1
            result = self.branches(ctx, t, target, proto)
            if result <= 0:
                if result != errors.E_CFG:
                    log.err("t_forward_noack failed")
                t.error = result
                return -1
            return 1
        if msg.method == "CANCEL":
            result = tm.canceling.relay(ctx)
            return self._failed(ctx, result) if result < 0 else result
        if t is None:
            if msg.method != "INVITE":
                flags = 0  # there is nothing yet to put them on, and they are forgotten, as by Kamailio
            made = tm.server.newtran(ctx)
            if made < 0:
                return made
            if made == 0:
                return 1
            t = ctx.t
        if msg.method == "ACK" or t is None:
            return self.stateless(ctx, target, proto)
        if replicate:
            t.set_flags(Flag.LOCAL, 0)
        if flags & NO_AUTO_100:
            t.set_flags(0, Flag.AUTO_INV_100)
        if flags & NO_ERROR_REPLY:
            t.set_flags(Flag.DISABLE_INTERNAL_REPLY, 0)
        if t.flags & (Flag.INVITE | Flag.AUTO_INV_100) == Flag.INVITE | Flag.AUTO_INV_100 and t.status < 100:
            done = t.done
            tm.server.reply(t, msg, 100, tm.auto_inv_100_reason)
            t.done = done
        result = self.branches(ctx, t, target, proto)
        if result <= 0 and not replicate:
            return self._failed(ctx, result)
        return result

    def _failed(self, ctx: Context, error: int) -> int:
        """Remember the error reply that is due if the script sends none."""
        t = ctx.t
        if t is not None:
            if t.flags & Flag.DISABLE_INTERNAL_REPLY:
                t.set_flags(0, Flag.DISABLE_INTERNAL_REPLY)
            else:
                t.error = error
                t.done |= ERROR_DELAYED
        return -1 if error in (errors.E_CANCELED, errors.E_SEND) else error

    def stateless(self, ctx: Context, target: Destination | None = None, proto: str = "") -> int:
        """Send the request on without a transaction: an end-to-end ACK, an unmatched CANCEL."""
        msg = ctx.msg
        core = self.tm.core
        if target is not None:
            result = forward_request(core, msg, target)
        else:
            result = forward_to_uri(core, msg, msg.dst_uri or msg.uri, proto) or errors.E_BAD_ADDRESS
        return result if result in (1, errors.E_BAD_ADDRESS) else -1

    def uri_is_new(self, t: Transaction, msg: Message) -> bool:
        """Was the request-URI not made a branch of yet, or set anew since?"""
        used = t.consumed
        return used is None or msg.new_uri is not used[0] or msg.dst_uri is not used[1]

    def branches(self, ctx: Context, t: Transaction, target: Destination | None = None, proto: str = "") -> int:
        """Add a branch for the request-URI, if it is new, and for each of the message's branches; send them."""
        tm = self.tm
        msg = ctx.msg
        if t.canceled:
            log.dbg("no forwarding on a canceled transaction")
            return errors.E_CANCELED
        if self._timers:
            self._timers_from_avps(ctx, t)
        if not t.branches or not t.get_word(Cell.script):
            # for failure routes: lumps as they are now, addresses as they were when the transaction was made
            self._save(msg, t)
        places: list[Place] = []
        if self.uri_is_new(t, msg):
            places.append(first_place(msg, msg.uri, msg.force_socket))
        places += msg.branches
        lowest = errors.E_UNSPEC
        added: list[int] = []
        for place in places:
            number = tm.client.add(ctx, t, place, target, proto)
            if number == errors.E_CANCELED:
                self._consume(t, msg)
                for other in added:
                    self._give_up(t, other)
                return errors.E_CANCELED
            if number >= 0:
                added.append(number)
            else:
                lowest = min(lowest, number)
        self._consume(t, msg)
        t.set(Cell.on_branch, 0)  # it is armed for one forwarding
        if not added:
            if not places:
                log.err("no branches for forwarding")
                return min(lowest, errors.E_CFG)
            if lowest != errors.E_CFG:
                log.err("failure to add branches")
            return lowest
        t.set(Cell.message_flags, msg.flags)
        if ctx.avps or ctx.xavps or ctx.xavus or ctx.xavis or t.attributes:
            tm.state.save_attributes(ctx, t)
        sent = 0
        for number in added:
            sent += tm.client.send(t, number, msg)
        if not sent:
            return errors.E_SEND
        t.done |= FORWARDED
        return 1

    def _timers_from_avps(self, ctx: Context, t: Transaction) -> None:
        """Final response timeouts in seconds, from the AVPs that fr_timer_avp and fr_inv_timer_avp name."""
        for field, pv in self._timers:
            value = pv.get(ctx)
            seconds = parse_int(value) if isinstance(value, str) else value
            if seconds and seconds > 0:
                t.set(field, seconds * 1000)

    def _save(self, msg: Message, t: Transaction) -> None:
        if (msg.new_uri, msg.dst_uri, msg.path) == t.made_with and not msg.branches:
            self.tm.state.save_script(msg, t)
            return
        now = msg.new_uri, msg.dst_uri, msg.path
        branches = msg.branches
        msg.new_uri, msg.dst_uri, msg.path = t.made_with
        msg.branches = []
        self.tm.state.save_script(msg, t)
        msg.new_uri, msg.dst_uri, msg.path = now
        msg.branches = branches

    @staticmethod
    def _consume(t: Transaction, msg: Message) -> None:
        """The request-URI and the message's branches have become branches of the transaction."""
        t.consumed = (msg.new_uri, msg.dst_uri)
        if msg.branches:
            msg.branches = []

    def _give_up(self, t: Transaction, number: int) -> None:
        """A branch that was added will not be sent: a CANCEL came in between."""
        t.lock.acquire()
        self.tm.client.stop(t, number)
        t.branch_set(number, Branch.status, 487)
        t.branch_set(number, Branch.flags, t.branch_flags(number) | BranchFlag.UNSENT)
        t.lock.release()
