"""ACKs this server makes: hop by hop for every negative reply to an INVITE branch, end to end for its own INVITEs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.log import get_logger
from kamailio_py.modules.tm.cell import Branch, Cell
from kamailio_py.sip.endpoint import Destination
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.hash import branch_param
from kamailio_py.sip.local import build_ack, build_hop_of_received, build_request
from kamailio_py.sip.message import Message
from kamailio_py.sip.request import via_line

if TYPE_CHECKING:
    from kamailio_py.modules.tm import Tm
    from kamailio_py.modules.tm.transaction import Transaction

log = get_logger("tm")


class Acks:
    """See the head of the file."""

    def __init__(self, tm: Tm) -> None:
        self.tm = tm

    def send_hop(self, t: Transaction, number: int, reply: Message) -> None:
        """Acknowledge a reply >= 300 to the next hop; every copy of it, for the last ACK may have been lost."""
        tm = self.tm
        text = t.branch_text(number)
        if not text:
            return
        try:
            if tm.reparse_invite or t.is_local:
                ack = build_ack(text, reply, prefix=tm.ac_extra_hdrs)
            else:
                ack = build_hop_of_received(t.request(), text, "ACK", tm.core.user_agent, reply=reply)
        except BadMessage as error:
            log.err(f"failed to build ACK: {error.reason}")
            return
        target = t.branch_destination(number)
        if tm.local_ack_mode:
            # 1: where the INVITE's next hop would be found anew, 2: where the reply came from
            found = (
                Destination(target.proto, reply.src_ip, reply.src_port, target.socket)
                if tm.local_ack_mode == 2
                else tm.core.destination(Message(text).ruri, target.socket, target.proto)
            )
            target = found or target
        tm.core.send(ack, target)

    def send_end_to_end(self, t: Transaction, number: int, reply: Message) -> None:
        """Acknowledge a 2xx to an INVITE of our own, along its route set, and keep the ACK for its repetitions."""
        tm = self.tm
        invite = Message(t.branch_text(number))
        contacts = reply.contacts
        uri = contacts[0].uri if isinstance(contacts, list) and contacts else invite.ruri
        routes = [value for header in reply.headers("record-route") for value in header.split(",")][::-1]
        hop = routes[0].strip().strip("<>").partition(">")[0] if routes else uri
        target = tm.core.destination(hop, t.branch_destination(number).socket)
        if target is None:
            log.err(f"no way to send the ACK to {hop}")
            return
        value = tm.memory[t.offset + Cell.md5 : t.offset + Cell.md5 + 32].decode("latin-1")
        ack = build_request(
            "ACK",
            uri,
            via=via_line(target.socket, branch_param(t.index, value, number)),
            from_=reply.header("from") or "",
            to=reply.header("to") or "",
            call_id=invite.call_id,
            cseq=invite.cseq[0],
            user_agent=tm.core.user_agent,
            routes="".join(f"Route: {route.strip()}\r\n" for route in routes),
        )
        where = f"{target.proto} {target.host} {target.port} {target.socket.index}\n"
        block = tm.arena.store((where + ack).encode("latin-1"), tm.table.replies)
        if block:
            word = (t.branch(number) + Branch.ack) >> 3
            t.lock.acquire()
            old, t.u64[word] = t.u64[word], block
            t.lock.release()
            if old:
                tm.arena.free(old)
        tm.core.send(ack, target)

    def again(self, t: Transaction, number: int) -> None:
        """The 2xx of an INVITE of our own came once more: so does its ACK."""
        tm = self.tm
        t.lock.acquire()
        block = t.u64[(t.branch(number) + Branch.ack) >> 3]
        stored = tm.arena.load(block).decode("latin-1") if block else ""
        t.lock.release()
        if not stored:
            return
        where, _, ack = stored.partition("\n")
        proto, host, port, socket = where.split(" ")
        tm.core.send(ack, Destination(proto, host, int(port), tm.core.sockets[int(socket)]))
