"""DNS failover: when a branch fails, its request goes to the next address of where it was going, as a new branch.

A branch keeps what is left to be tried of its destination's name (dns.places.Walk) with its notes. It fails by an
address that cannot be sent to, by no reply in time, or by 503 (RFC 3263 section 4.3). For the process that works on the
transaction: the one that forwards it, or the one that has the turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamailio_py.dns.places import Walk
from kamailio_py.log import get_logger
from kamailio_py.modules.tm import errors
from kamailio_py.modules.tm.cell import Branch, BranchFlag, Cell, Flag
from kamailio_py.sip.branch import Branch as Place
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.hash import branch_param
from kamailio_py.sip.message import Message
from kamailio_py.sip.request import build_forward, via_extra, via_line

if TYPE_CHECKING:
    from kamailio_py.modules.tm import Tm
    from kamailio_py.modules.tm.transaction import Transaction
    from kamailio_py.sip.endpoint import Destination, ListenSocket

log = get_logger("tm")


def rest_of(walk: Walk, forced: ListenSocket | None) -> tuple[int, tuple[Any, ...]]:
    """What a branch keeps of its walk: the index of the socket the script forced, or -1, and the walk's state."""
    return forced.index if forced is not None else -1, walk.state()


class Failover:
    """See the head of the file."""

    def __init__(self, tm: Tm) -> None:
        self.tm = tm

    def again(self, t: Transaction, number: int) -> bool:
        """Send a failed branch's request to the next address, as a new branch; False if it went nowhere.

        It goes out from the socket the script forced, with dns_reuse_rcv_socket from where the request came in.
        """
        tm = self.tm
        core = tm.core
        if not core.cfg.use_dns_failover or t.flags & (Flag.DISABLE_FAILOVER | Flag.SIX_SEEN):
            return False
        over = t.status >= 200 or t.canceled or core.clock.ms() >= t.get_word(Cell.lifetime)
        if over or t.branch_flags(number) & BranchFlag.CANCELED:
            return False
        notes = t.branch_notes(number)
        rest = notes.pop("rest", None)
        if rest is None:
            return False
        index, state = rest
        walk = Walk(*state)
        forced = core.sockets[index] if index >= 0 else None
        preferred = forced or (t.socket() if tm.dns_reuse_rcv_socket else None)
        target = core.addresses.next_of(walk, preferred)
        if target is None:
            return False
        place = Place(**notes, flags=t.branch_get(number, Branch.branch_flags), force_socket=forced)
        request = t.request()
        added = self._add(t, number, place, target, walk, request)
        return added >= 0 and tm.client.send(t, added, request)

    def _add(self, t: Transaction, failed: int, place: Place, target: Destination, walk: Walk, request: Message) -> int:
        """Make the new branch, with the routes of the one that failed; its number, or an error number."""
        client = self.tm.client
        value = client.value(t, request)
        while True:
            number = t.branches
            if number >= client.limit:
                log.err("maximum number of branches exceeded")
                return errors.E_TOO_MANY_BRANCHES
            via = via_line(
                target.socket, branch_param(t.index, value, number), "" if t.is_local else via_extra(request),
                host=request.set_global_address, port=request.set_global_port,
            )  # fmt: skip
            try:
                text = self._text(t, failed, place, target, via, request)
            except BadMessage as error:
                log.err(f"could not build request: {error.reason}")
                return errors.E_BAD_REQ
            result = client.publish(t, number, text, target, place, request, walk=walk, like=failed)
            if result != errors.E_SCRIPT:
                return result

    def _text(self, t: Transaction, failed: int, place: Place, target: Destination, via: str, request: Message) -> str:
        """With reparse_on_dns_failover what was sent, under another Via; else the request built anew."""
        if not self.tm.reparse_on_dns_failover and not t.is_local:
            return build_forward(
                request, via=via, uri=place.uri, path=place.path, send=target.socket, proto=target.proto
            )
        text = t.branch_text(failed)
        sent = Message(text)
        start, end = sent.span(sent.find("via"))
        return f"{text[:start]}{via}{text[end:]}"
