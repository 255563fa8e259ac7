"""Stateless forwarding: a request to its next hop with a new top Via, a reply back along its Vias."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.log import get_logger
from kamailio_py.sip.endpoint import Destination
from kamailio_py.sip.hash import branch_param, char_msg_val, transaction_index
from kamailio_py.sip.message import Message
from kamailio_py.sip.reply import build_reply_forward, forward_destination
from kamailio_py.sip.request import build_forward, via_line

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core

logger = get_logger()


def forward_request(core: Core, msg: Message, destination: Destination) -> int:
    """Send the request on without state; 1 when it was handed to the transport, negative otherwise."""
    index = transaction_index(msg.call_id, msg.cseq_number)
    branch = branch_param(index, char_msg_val(msg), 0)
    extra = (";rport" if msg.add_local_rport else "") + msg.via_params
    via = via_line(destination.socket, branch, extra, host=msg.set_global_address, port=msg.set_global_port)
    text = build_forward(msg, uri=msg.uri, via=via)
    if core.blocklist.holds(destination):
        logger.dbg(f"blocklisted destination {destination.proto}:{destination.host}:{destination.port}")
        return -1
    if not core.onsend(msg, text, destination):
        return 1
    return 1 if core.send(text, destination) else -1


def forward_reply(core: Core, msg: Message) -> int:
    """Send a reply to the address of its second Via, without the first; negative when there is none."""
    via = msg.via
    if core.cfg.check_via and not core.is_myself(via.host, via.port, via.transport.lower()):
        logger.info("reply not for us: top Via is not ours")
        return -1
    target = forward_destination(msg)
    if target is None:
        return -1
    name, port, proto = target
    host = core.addresses.resolve(name)
    if host is None:
        logger.err(f"forward reply failed - could not resolve {name}")
        return -1
    sender = core.addresses.send_socket(proto, host, msg.force_socket or msg.socket)
    if sender is None:
        logger.err(f"no socket to send a reply over {proto} to {host}")
        return -1
    return 1 if core.send(build_reply_forward(msg), Destination(proto, host, port, sender)) else -1
