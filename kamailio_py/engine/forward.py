"""Stateless forwarding: a request to its next hop with a new top Via, a reply back along its Vias."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.log import get_logger
from kamailio_py.sip.endpoint import CLOSE, IGNORED_SHIFT, NO_CONNECT, Destination
from kamailio_py.sip.hash import branch_param, char_msg_val, transaction_index
from kamailio_py.sip.message import Message
from kamailio_py.sip.reply import build_reply_forward, forward_destination
from kamailio_py.sip.request import build_forward, connection_of, via_extra, via_line

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core

logger = get_logger()


def forward_to_uri(core: Core, msg: Message, uri: str, proto: str = "") -> int:
    """Send the request on to where a URI leads; with use_dns_failover to its next address if one cannot be sent to.

    1 when it was handed to the transport, negative when it was not, 0 when the URI leads nowhere.
    """
    addresses = core.addresses
    if not core.cfg.use_dns_failover:
        destination = addresses.destination(uri, msg.force_socket, proto, msg.socket)
        return forward_request(core, msg, destination) if destination is not None else 0
    walk = addresses.walk(uri, proto)
    result = 0
    while walk is not None and (destination := addresses.next_of(walk, msg.force_socket, msg.socket)) is not None:
        result = forward_request(core, msg, destination)
        if result > 0:
            return result
    if not result:
        logger.err(f"resolving {uri} failed")
    return result


def forward_request(core: Core, msg: Message, destination: Destination) -> int:
    """Send the request on without state; 1 when it was handed to the transport, negative otherwise."""
    index = transaction_index(msg.call_id, msg.cseq_number)
    branch = branch_param(index, char_msg_val(msg), 0)

    def build(target: Destination) -> str:
        extra, host, port = via_extra(msg), msg.set_global_address, msg.set_global_port
        via = via_line(target.socket, branch, extra, host=host, port=port)
        # a request that goes over a stream for its size is otherwise what it would be over UDP, as Kamailio has it
        return build_forward(msg, uri=msg.uri, via=via, send=destination.socket, proto=destination.proto)

    text = build(destination)
    if core.cfg.udp_mtu and too_big(core, msg, text, destination):
        other = over_stream(core, msg, destination)
        text = build(other)
        destination = other
    if destination.proto != "udp" or msg.blst_ignored:
        destination = with_flags(msg, destination)
    if core.blocklist.holds(destination):
        logger.dbg(f"blocklisted destination {destination.proto}:{destination.host}:{destination.port}")
        return -1
    if not core.onsend(msg, text, destination):
        return 1
    return 1 if core.send(text, destination) else -1


def too_big(core: Core, msg: Message, text: str, destination: Destination) -> bool:
    """Whether the request is longer than udp_mtu and another transport is to be tried for that."""
    return destination.proto == "udp" and len(text) > core.cfg.udp_mtu and bool(msg.udp_mtu_proto)


def over_stream(core: Core, msg: Message, destination: Destination) -> Destination:
    """The same place over the transport of udp_mtu_try_proto; `destination` itself where no socket is for it."""
    proto = msg.udp_mtu_proto.lower()
    sender = core.addresses.send_socket(proto, destination.host, msg.force_socket, msg.socket)
    return destination if sender is None else Destination(proto, destination.host, destination.port, sender)


def with_flags(msg: Message, destination: Destination) -> Destination:
    """The destination with what set_forward_no_connect(), set_forward_close() and blst_set_ignore() ask for."""
    flags = (NO_CONNECT if msg.forward_no_connect else 0) | (CLOSE if msg.forward_close else 0)
    flags |= msg.blst_ignored << IGNORED_SHIFT
    return destination._replace(flags=flags) if flags else destination


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
    sender = core.addresses.send_socket(proto, host, msg.force_socket, msg.socket)
    if sender is None:
        logger.err(f"no socket to send a reply over {proto} to {host}")
        return -1
    destination = Destination(proto, host, port, sender)
    if proto != "udp":
        flags = (NO_CONNECT if msg.reply_no_connect else 0) | (CLOSE if msg.reply_close else 0)
        flags |= msg.reply_blst_ignored << IGNORED_SHIFT
        destination = Destination(proto, host, port, sender, connection_of(via.i), flags)
    text = build_reply_forward(msg, proto)
    if core.reply_out and not all(allow(msg, text, destination) for allow in core.reply_out):
        return -1
    return 1 if core.send(text, destination) else -1
