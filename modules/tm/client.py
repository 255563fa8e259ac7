"""The client side of a transaction: its branches, each a request that was sent and waits for its final reply.

A branch is built outside the lock and published under it: its number is part of the request's text, so that a branch
which another process added meanwhile makes it be built again. Its timers are set before it is sent; a reply can be here
before `send` has returned.
"""

from __future__ import annotations

import marshal
from typing import TYPE_CHECKING

from kamailio_py import points
from kamailio_py.config.host import RouteType
from kamailio_py.engine.forward import over_stream, too_big, with_flags
from kamailio_py.log import get_logger
from kamailio_py.modules.tm import errors
from kamailio_py.modules.tm.cell import (
    BRANCH_HEAD,
    BRANCH_REST,
    INVITE,
    NONE,
    Branch,
    BranchFlag,
    Cell,
    State,
)  # fmt: skip
from kamailio_py.modules.tm.failover import rest_of
from kamailio_py.shm.trace import What
from kamailio_py.sip.branch import Branch as Place
from kamailio_py.sip.endpoint import Destination, ListenSocket
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.hash import branch_param, char_msg_val
from kamailio_py.sip.message import Message
from kamailio_py.sip.request import build_forward, via_extra, via_line
from kamailio_py.sip.uri import BadUri, Uri

if TYPE_CHECKING:
    from kamailio_py.dns.places import Walk
    from kamailio_py.modules.tm import Tm
    from kamailio_py.modules.tm.transaction import Transaction
    from kamailio_py.script.context import Context

log = get_logger("tm")

_BRANCHES, _STATE, _REFS, _METHOD = Cell.branches >> 2, Cell.state >> 2, Cell.refs >> 2, Cell.method >> 2
_STATUS, _SUSPENDED, _FR = Cell.status >> 2, Cell.suspended >> 2, Cell.fr >> 2
_ROOM_SIZE, _SKELETON_SIZE = Cell.room_size >> 2, Cell.skeleton_size >> 2
_ON_FAILURE, _ON_BRANCH_FAILURE = Cell.on_failure >> 2, Cell.on_branch_failure >> 2
_OFFSETS = Cell.branch >> 3
_RELAYED, _ROUTE = int(What.RELAYED), int(What.ROUTE)
_ROUTES = (Branch.on_failure, Branch.on_reply, Branch.on_branch_failure)
_BLIND = BRANCH_HEAD.pack(0, 0, BranchFlag.BLIND, *(0,) * 6, NONE, *(0,) * 4, b"", b"") + BRANCH_REST


class Client:
    """See the head of the file."""

    def __init__(self, tm: Tm) -> None:
        self.tm = tm
        self.limit = min(tm.core.cfg.max_branches, 31)

    # adding

    def add(
        self, ctx: Context, t: Transaction, place: Place, target: Destination | None = None, proto: str = ""
    ) -> int:
        """Make a branch to `place` (through `target`, a next hop the script gave); its number, or an error number."""
        if t.branches >= self.limit:
            log.err("maximum number of branches exceeded")
            return errors.E_TOO_MANY_BRANCHES
        msg = ctx.msg
        saved = None
        route = t.get(Cell.on_branch)
        if route:
            saved = msg.state()
            if not self._branch_route(ctx, t, place, route):
                msg.restore(saved, self.tm.core.sockets)
                return errors.E_CFG
        try:
            return self._add(t, msg, place, target, proto)
        except BadMessage as error:
            log.err(f"could not build request: {error.reason}")
            return errors.E_BAD_REQ
        finally:
            if saved is not None:
                msg.restore(saved, self.tm.core.sockets)

    def _branch_route(self, ctx: Context, t: Transaction, place: Place, number: int) -> bool:
        """Run the branch_route with the message looking as this branch will; what it set goes into `place`."""
        core = self.tm.core
        msg = ctx.msg
        msg.new_uri = place.uri
        msg.dst_uri = place.dst_uri
        msg.path = place.path
        msg.branch_flags = place.flags
        msg.force_socket = place.force_socket
        msg.ruid, msg.instance, msg.location_ua = place.ruid, place.instance, place.location_ua
        self.tm.server.trace(_ROUTE, t.index, t.label, number)
        branch, route_type, rc = ctx.branch, ctx.route_type, ctx.rc
        ctx.branch = t.branches
        result = core.run(core.program.entries[number], ctx, RouteType.BRANCH)
        dropped = ctx.dropped
        ctx.branch, ctx.route_type, ctx.rc, ctx.dropped = branch, route_type, rc, False
        if dropped:
            return False
        if result < 0:
            log.dbg("negative return code in branch_route")
        place.uri = msg.uri
        place.dst_uri = msg.dst_uri
        place.path = msg.path
        place.flags = msg.branch_flags
        place.force_socket = msg.force_socket
        return True

    def _add(self, t: Transaction, msg: Message, place: Place, target: Destination | None, proto: str) -> int:
        walk = None
        if target is None:
            hop = place.dst_uri or place.uri
            try:
                Uri.parse(hop)
            except BadUri:
                log.err(f"bad_uri: {hop}")
                return errors.E_BAD_URI
            target, walk = self.tm.core.addresses.first(hop, place.force_socket, proto, msg.socket)
            if target is None:
                return errors.E_BAD_ADDRESS if self._unresolvable(hop, proto) else errors.E_NO_SOCKET
        if msg.use_otcpid:
            target = self._over_connection(msg, target)
        extra = via_extra(msg)
        value = self.value(t, msg)
        send = target
        while True:
            number = t.branches
            via = via_line(
                target.socket, branch_param(t.index, value, number), extra, host=msg.set_global_address,
                port=msg.set_global_port,
            )  # fmt: skip
            text = build_forward(msg, via=via, uri=place.uri, path=place.path, send=send.socket, proto=send.proto)
            if self.tm.core.cfg.udp_mtu and too_big(self.tm.core, msg, text, target):
                other = over_stream(self.tm.core, msg, target)
                if other is not target:
                    target = other
                    continue
            result = self.publish(t, number, text, target, place, msg, walk=walk)
            if result != errors.E_SCRIPT:
                return result

    def _unresolvable(self, hop: str, proto: str) -> bool:
        core = self.tm.core
        walk = core.addresses.walk(hop, proto)
        return walk is None or core.places.next(walk) is None

    def _over_connection(self, msg: Message, target: Destination) -> Destination:
        """The end of the connection that tcp_set_otcpid() chose; `target` over UDP, or where that is gone."""
        tcp = self.tm.core.tcp
        record = tcp.connections.record(msg.otcpid) if tcp is not None and target.proto != "udp" else None
        if record is None:
            return target
        return target._replace(host=record.src_host, port=record.src_port, connection=msg.otcpid)

    @staticmethod
    def value(t: Transaction, msg: Message) -> str:
        """The 32 characters that stand for the transaction in branch parameters, computed when first needed."""
        at = t.offset + Cell.md5
        memory = t.tm.memory
        if not t.u32[at >> 2]:
            memory[at : at + 32] = char_msg_val(msg).encode("latin-1")
        return memory[at : at + 32].decode("latin-1")

    def publish(
        self,
        t: Transaction,
        number: int,
        text: str,
        target: Destination,
        place: Place,
        msg: Message | None,
        *,
        walk: Walk | None = None,
        like: int = -1,
    ) -> int:
        """Put a branch into the cell with its timers running; its number, E_SCRIPT if the number is taken meanwhile.

        `walk` is what else may be tried; the routes are those of the branch `like`, else those that are armed now.
        """
        tm = self.tm
        data = text.encode("latin-1")
        meta = marshal.dumps(
            (
                place.uri, place.dst_uri, place.path, place.ruid, place.instance, place.location_ua, place.q,
                rest_of(walk, place.force_socket) if walk else None,
            ),
            2,  # later formats look for what occurs twice
        )  # fmt: skip
        block = tm.arena.alloc(Branch.SIZE + len(data) + len(meta), tm.table.branches)
        if not block:
            log.err("no more share memory")
            return errors.E_OUT_OF_MEM
        now = tm.core.clock.ms()
        due = self.due(t, now, t.get(Cell.fr))
        first = t.get(Cell.retr1)
        flags = BranchFlag.UNRELIABLE if target.proto == "udp" else 0
        routes: tuple[int, ...]
        if like < 0:
            routes = t.get(Cell.on_failure), t.get(Cell.on_reply), t.get(Cell.on_branch_failure)
        else:
            routes = tuple(t.branch_get(like, field) for field in _ROUTES)
        BRANCH_HEAD.pack_into(
            tm.memory, block, t.offset, number, flags, 0, first, due, len(data), len(meta), target.port,
            target.socket.index, *routes, place.flags, target.proto.encode("latin-1"), target.host.encode("latin-1"),
        )  # fmt: skip
        rest = BRANCH_REST + data + meta
        tm.memory[block + BRANCH_HEAD.size : block + BRANCH_HEAD.size + len(rest)] = rest
        result = self._publish(t, number, block)
        if result < 0:
            tm.arena.free(block)
            return result
        points.point("tm.branch.added")
        return number

    def _publish(self, t: Transaction, number: int, block: int) -> int:
        """Make a finished branch reachable and start its timers."""
        u32, word = t.u32, t.word
        wheel, timers = self.tm.wheel, self.tm.timers
        t.lock.acquire()
        if u32[word + _STATE] == State.CANCELED:
            t.lock.release()
            return errors.E_CANCELED
        if u32[word + _BRANCHES] != number:
            t.lock.release()
            return errors.E_SCRIPT
        t.u64[(t.offset >> 3) + _OFFSETS + number] = block
        refs = 1
        wheel.add(block + Branch.fr, t.u64[(block + Branch.fr_due) >> 3], timers.fr_kind)
        if u32[(block + Branch.flags) >> 2] & BranchFlag.UNRELIABLE:
            interval = u32[(block + Branch.interval) >> 2]
            wheel.add(block + Branch.retr, self.tm.core.clock.ms() + interval, timers.retr_kind)
            refs = 2
        u32[word + _REFS] += refs
        u32[word + _BRANCHES] = number + 1
        t.lock.release()
        return number

    def add_blind(self, t: Transaction, state: int, skeleton: bytes = b"") -> int:
        """Add a blind branch, whose timer guards a suspension, and set the cell's state in the same moment.

        Its number, or an error number: E_CANCELED when a CANCEL came first, E_SCRIPT when a final reply was sent.
        `skeleton` is kept in the cell if there is room, see stored.py. For the process whose run it is.
        """
        tm = self.tm
        if t.branches >= self.limit:
            log.err("maximum number of branches exceeded")
            return errors.E_TOO_MANY_BRANCHES
        u32, u64, word = t.u32, t.u64, t.word
        block = own = t.offset + Cell.blind
        if u64[block >> 3]:
            block = tm.arena.alloc(Branch.SIZE, tm.table.branches)
            if not block:
                log.err("no more share memory")
                return errors.E_OUT_OF_MEM
        due = tm.core.clock.ms() + u32[word + _FR]
        tm.memory[block : block + Branch.SIZE] = _BLIND
        u64[(block + Branch.cell) >> 3] = t.offset
        u64[(block + Branch.fr_due) >> 3] = due
        u32[(block + Branch.on_failure) >> 2] = u32[word + _ON_FAILURE]
        u32[(block + Branch.on_branch_failure) >> 2] = u32[word + _ON_BRANCH_FAILURE]
        t.lock.acquire()
        number = u32[word + _BRANCHES]
        refused = 0
        if u32[word + _STATE] == State.CANCELED:
            refused = errors.E_CANCELED
        elif u32[word + _STATUS] >= 200:
            refused = errors.E_SCRIPT
        elif number >= self.limit:
            refused = errors.E_TOO_MANY_BRANCHES
        if refused:
            t.lock.release()
            if block != own:
                tm.arena.free(block)
            return refused
        if skeleton and len(skeleton) <= u32[word + _ROOM_SIZE]:
            room = u64[(t.offset + Cell.room) >> 3]
            tm.memory[room : room + len(skeleton)] = skeleton
            u32[word + _SKELETON_SIZE] = len(skeleton)
        u32[(block + Branch.number) >> 2] = number
        u64[(t.offset >> 3) + _OFFSETS + number] = block
        tm.wheel.add(block + Branch.fr, due, tm.timers.fr_kind)
        u32[word + _REFS] += 1
        u32[word + _SUSPENDED] = number + 1
        u32[word + _BRANCHES] = number + 1
        u32[word + _STATE] = state
        t.lock.release()
        return number

    # sending

    def send(self, t: Transaction, number: int, msg: Message) -> bool:
        """Send a branch that was added, or another to its next address; False when onsend_route or the transport
        refused it and there is no other address. With failure_exec_mode such a one waits for its timeout.
        """
        tm = self.tm
        text = t.branch_text(number)
        target = t.branch_destination(number)
        if target.proto != "udp" or msg.blst_ignored:
            target = with_flags(msg, target)
        points.point("tm.branch.before_send")
        if not self._blocked(t, target) and tm.core.onsend(msg, text, target):
            if tm.core.send(text, target):
                tm.server.trace(_RELAYED, t.index, t.label, number)
                for listener in tm.events["request-out"]:
                    listener(t, number, text)
                return True
            if tm.failure_exec_mode and not tm.core.cfg.use_dns_failover:
                return True
        t.lock.acquire()
        self.stop(t, number)
        t.branch_set(number, Branch.status, 408)
        t.branch_set(number, Branch.flags, t.branch_flags(number) | BranchFlag.UNSENT)
        t.lock.release()
        return tm.failover.again(t, number)

    def _blocked(self, t: Transaction, target: Destination) -> bool:
        """Whether nothing is to be sent there for a while, for methods of blst_methods_lookup."""
        tm = self.tm
        if not tm.core.cfg.use_dst_blocklist or not t.u32[t.word + _METHOD] & tm.blst_methods_lookup:
            return False
        return tm.core.blocklist.holds(target)

    # timers

    def due(self, t: Transaction, now: int, timeout: int) -> int:
        """When a final response timer of this length ends: the transaction's lifetime is the limit."""
        return min(now + timeout, max(t.get_word(Cell.lifetime), now))

    def restart_fr(self, t: Transaction, number: int, timeout: int) -> None:
        """Let the final response timer of a branch start anew. The lock is held."""
        node = t.branch(number) + Branch.fr
        due = self.due(t, self.tm.core.clock.ms(), timeout)
        t.u64[(t.branch(number) + Branch.fr_due) >> 3] = due
        if self.tm.wheel.cancel(node):
            self.tm.wheel.add(node, due, self.tm.timers.fr_kind)
        # otherwise it is being fired at this moment, and its handler will see the new due time

    def stop(self, t: Transaction, number: int) -> None:
        """Stop the timers of a branch. The lock is held."""
        branch = t.branch(number)
        self.stop_node(t, branch + Branch.fr)
        self.stop_node(t, branch + Branch.retr)

    def stop_node(self, t: Transaction, node: int) -> None:
        """Take a pending timer out, with its reference. The lock is held."""
        if self.tm.wheel.cancel(node):
            t.u32[t.word + _REFS] -= 1

    def finish(self, t: Transaction) -> list[int]:
        """A final reply goes upstream: stop all branches; the lock is held. Those still to cancel."""
        pending = []
        u32 = t.u32
        invite = u32[t.word + _METHOD] == INVITE
        for number in range(u32[t.word + _BRANCHES]):
            branch = t.branch(number)
            if u32[(branch + Branch.status) >> 2] >= 200:
                continue  # its timers were stopped with its final reply
            self.stop(t, number)
            if invite and not u32[(branch + Branch.flags) >> 2] & BranchFlag.BLIND:
                pending.append(number)
        return pending


def first_place(msg: Message, uri: str, socket: ListenSocket | None) -> Place:
    """The branch that goes to the request-URI itself."""
    return Place(
        uri, msg.dst_uri, msg.path, msg.q, msg.branch_flags, socket, msg.ruid, msg.location_ua, msg.instance, msg.reg_id
    )
