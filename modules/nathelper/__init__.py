"""The nathelper module: clients behind a NAT are recognised, their Contact and SDP are corrected, and they are pinged.

Where things stand in Contact is contact.py's business, in SDP sdp.py's; which addresses are private says private.py;
ping.py keeps the way to registered contacts open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamailio_py.config.arguments import INT, PVAR, STR
from kamailio_py.config.host import RouteType
from kamailio_py.config.without_effect import RAW_SOCKETS
from kamailio_py.log import get_logger
from kamailio_py.module import Module, ModuleError, Param, Rank, RpcFault, function, pvar, rpc
from kamailio_py.modules.nathelper import sdp
from kamailio_py.modules.nathelper.contact import (
    Place,
    alias_of,
    alias_uri,
    contact_places,
    first_contact,
    is_changed,
    source_host,
    source_uri,
    without_alias,
)
from kamailio_py.modules.nathelper.ping import Ping
from kamailio_py.modules.nathelper.private import is_private
from kamailio_py.sip.endpoint import PROTOCOLS
from kamailio_py.sip.errors import BadMessage, BadUri
from kamailio_py.sip.ip import is_ip, normalise
from kamailio_py.sip.message import Message
from kamailio_py.sip.nameaddr import split_values
from kamailio_py.sip.reply import address_differs
from kamailio_py.sip.uri import Uri

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import Getter, Inner, PVar

log = get_logger("nathelper")

CONTACT, RECEIVED, VIA, SDP, RPORT, SOURCE, WEBSOCKET, CONTACT_PORT, SDP_LINE, TARGET = (1 << n for n in range(10))
"""Tests of nat_uac_test()."""
ACTIVE, MEDIA_IP, NO_RTPPROXY, ORIGIN_IP = 1, 2, 4, 8
"""What fix_nated_sdp() does."""
SIP_PORT = 5060
CHANGING = RouteType.REQUEST | RouteType.ONREPLY | RouteType.BRANCH | RouteType.LOCAL
WITH_FAILURE = CHANGING | RouteType.FAILURE
ALIASED = RouteType.REQUEST | RouteType.BRANCH | RouteType.LOCAL


class Nathelper(Module):
    """Help with NAT."""

    name = "nathelper"

    natping_interval = Param(int, 0)
    ping_nated_only = Param(int, 0)
    nortpproxy_str = Param(str, "a=nortpproxy:yes")
    received_avp = Param(str)
    force_socket = Param(str)
    sipping_from = Param(str)
    sipping_method = Param(str, "OPTIONS")
    sipping_bflag = Param(int, -1)
    natping_disable_bflag = Param(int, -1)
    natping_processes = Param(int, 1)
    natping_socket = Param(str, unused=RAW_SOCKETS)
    keepalive_timeout = Param(int, 0)
    udpping_from_path = Param(int, 0, unused=RAW_SOCKETS)
    append_sdp_oldmediaip = Param(int, 1)
    filter_server_id = Param(int, 0)
    nat_addr_mode = Param(int, 1)
    alias_name = Param(str, "alias")

    def mod_init(self) -> None:
        self._received: PVar | None = None
        if self.received_avp:
            self._received = self.core.registry.pvar(self.received_avp, True)
            if self._received.name != "avp":
                raise ModuleError(f"malformed or non AVP {self.received_avp} AVP definition")
        self._ping: Ping | None = None
        if self.natping_interval <= 0:
            return
        usrloc = self.core.module("usrloc")
        if usrloc is None:
            raise ModuleError("nathelper: can't bind usrloc (natping_interval needs it)")
        if self.ping_nated_only and not usrloc.api.nat_flag:
            raise ModuleError("nathelper: bad config - ping_nated_only enabled, but no nat bflag set in usrloc module")
        if self.sipping_bflag >= 0 and not self.sipping_from:
            raise ModuleError("nathelper: SIP ping enabled, but SIP ping FROM is empty!")
        self._ping = Ping(self, usrloc)
        if self.sipping_bflag >= 0:
            self.core.reply_handlers.append(self._ping.replied)
        for number in range(self.natping_processes):
            self.core.register_process("TIMER NH", Rank.TIMER, self._ping.process(number))

    # is there a NAT?

    @function("nat_uac_test", INT, routes=WITH_FAILURE)
    def nat_uac_test(self, ctx: Context, tests: int) -> int:
        msg = ctx.msg
        try:
            return 1 if self._is_natted(msg, tests) else -1
        except BadMessage as error:
            log.err(f"cannot test for NAT: {error.reason}")
            return -1

    def _is_natted(self, msg: Message, tests: int) -> bool:
        """Does any of the tests say so?"""
        via = msg.via
        return bool(
            (tests & RPORT and msg.src_port != (via.port or SIP_PORT))
            or (tests & RECEIVED and address_differs(via.host, msg.src_ip))
            or (tests & CONTACT and (place := self._contact(msg)) and self._is_private(place.uri.host))
            or (tests & SDP and self._sdp_is_private(msg.body))
            or (tests & VIA and self._is_private(via.host))
            or (tests & SOURCE and self._is_private(msg.src_ip))
            or (tests & WEBSOCKET and msg.proto in ("ws", "wss"))
            or (tests & CONTACT_PORT and (place := self._contact(msg)) and msg.src_port != (place.uri.port or SIP_PORT))
            or (tests & SDP_LINE and self._sdp_differs(msg))
            or (tests & TARGET and self._target_differs(msg))
        )

    @staticmethod
    def _contact(msg: Message) -> Place | None:
        return first_contact(msg)

    def _is_private(self, host: str) -> bool:
        return is_private(host, self.nat_addr_mode == 1)

    def _sdp_is_private(self, body: str) -> bool:
        for address in sdp.stream_addresses(body):
            if address is None or address.ipv6 or address.is_null:
                return False
            if self._is_private(address.text):
                return True
        return False

    @staticmethod
    def _sdp_differs(msg: Message) -> bool:
        """Is the address in the SDP another one than that the message came from?"""
        if not msg.body:
            return False
        found = sdp.session_address(msg.body) or next(iter(sdp.addresses(msg.body, "c")), None)
        return found is None or found.text != msg.src_ip

    @staticmethod
    def _target_differs(msg: Message) -> bool:
        """Does a request not go where its URI says, or did a reply not come from where its second Via says?"""
        if not msg.is_request:
            via = msg.via2
            if via is None:
                return False
            return via.transport.lower() in ("ws", "wss") or (
                via.received is not None
                and (via.received != via.host or (via.rport or "") != str(via.port or SIP_PORT))
            )
        if not msg.dst_uri:
            return False
        try:
            target, hop = msg.parsed_uri, Uri.parse(msg.dst_uri)
        except BadUri:
            return False
        return hop.transport in ("ws", "wss") or (target.host, target.port or SIP_PORT) != (
            hop.host,
            hop.port or SIP_PORT,
        )

    @function("is_rfc1918", STR)
    def is_rfc1918(self, ctx: Context, address: str) -> int:
        if not address:
            log.err("invalid address parameter")
            return -2
        return 1 if self._is_private(address) else -1

    # Contact

    @function("fix_nated_contact", routes=CHANGING)
    def fix_nated_contact(self, ctx: Context) -> int:
        """Put where the message came from in the place of host and port of the contact."""
        msg = ctx.msg
        place = self._unchanged(msg, "fix_nated_contact")
        if place is None:
            return -1
        text = msg.text
        tail = text[place.host_end : place.end]
        if place.uri.param("maddr"):
            tail = "".join(f";{part}" for part in tail.split(";")[1:] if not part.lower().startswith("maddr="))
        uri = f"{text[place.start : place.host_start]}{source_host(msg)}:{msg.src_port}{tail}"
        msg.new_contact = uri
        msg.lumps.replace(place.start, place.end, uri)
        return 1

    @function("set_contact_alias", routes=CHANGING)
    @function("set_contact_alias", INT, routes=CHANGING)
    def set_contact_alias(self, ctx: Context, trim: int = 0) -> int:
        """Add an alias for where the message came from to the contact, in the place of an older one if `trim`."""
        msg = ctx.msg
        place = self._unchanged(msg, "set_contact_alias")
        if place is None:
            return -1
        uri = place.uri.text
        if trim and (shorter := without_alias(uri, self.alias_name, True)) is not None:
            uri = shorter[0]
        uri += f";{self.alias_name}={alias_of(source_host(msg), msg.src_port, msg.proto)}"
        msg.new_contact = uri
        msg.lumps.replace(place.start, place.end, uri if place.bracketed else f"<{uri}>")
        return 1

    def _unchanged(self, msg: Message, name: str) -> Place | None:
        """The first contact, if nobody rewrote it yet."""
        place = first_contact(msg)
        if place is not None and is_changed(msg, place):
            log.err(f"you can't call {name} twice, check your config!")
            return None
        return place

    @function("add_contact_alias", routes=WITH_FAILURE)
    def add_contact_alias(self, ctx: Context) -> int:
        """Add an alias to the contact unless it says where the message came from; 2: there is nothing to do."""
        msg = ctx.msg
        if msg.find("contact") < 0:
            return 2
        place = first_contact(msg)
        if place is None:
            return -1
        uri = place.uri
        if (
            is_ip(uri.host)
            and normalise(uri.host) == msg.src_ip
            and (uri.port or SIP_PORT) == msg.src_port
            and uri.transport == msg.proto
        ):
            return 2
        return self._add_alias(msg, place, alias_of(source_host(msg), msg.src_port, msg.proto))

    @function("add_contact_alias", STR, STR, STR, routes=WITH_FAILURE)
    def add_contact_alias_of(self, ctx: Context, host: str, port: str, protocol: str) -> int:
        msg = ctx.msg
        if msg.find("contact") < 0:
            return 2
        place = first_contact(msg)
        if place is None:
            return -1
        if not is_ip(host):
            log.err(f"ip param value {host} is not valid IP address")
        elif not port.isdecimal() or not 0 < int(port) < 65536:
            log.err("port param value is not valid port")
        elif protocol.lower() not in PROTOCOLS:
            log.err(f"proto param value {protocol} is not a known protocol")
        else:
            return self._add_alias(msg, place, alias_of(host, port, protocol.lower()))
        return -1

    def _add_alias(self, msg: Message, place: Place, alias: str) -> int:
        if is_changed(msg, place):
            log.err("you can't call add_contact_alias twice, check your config!")
            return -1
        if not place.bracketed:
            msg.lumps.insert(place.start, "<")
        msg.lumps.insert(place.host_end, f";{self.alias_name}={alias}{'' if place.bracketed else '>'}")
        return 1

    @function("handle_ruri_alias", routes=ALIASED)
    @function("handle_ruri_alias", INT, routes=ALIASED)
    def handle_ruri_alias(self, ctx: Context, last: int = 0) -> int:
        """Send the request where the alias in its URI says, and take it out; 2: there is none."""
        msg = ctx.msg
        try:
            msg.parsed_uri  # noqa: B018  # raises where it is bad
        except BadUri:
            log.err("while parsing Request-URI")
            return -1
        found = without_alias(msg.uri, self.alias_name, bool(last))
        if found is None:
            return 2
        uri, alias = found
        target = alias_uri(alias)
        if target is None:
            return -1
        msg.dst_uri = target
        msg.new_uri = uri
        return 1

    @function("set_alias_to_pv", PVAR)
    def set_alias_to_pv(self, ctx: Context, target: PVar) -> int:
        """Put the URI that the alias in Contact stands for into a pseudo-variable."""
        place = first_contact(ctx.msg)
        found = without_alias(place.uri.text, self.alias_name, False) if place is not None else None
        uri = alias_uri(found[1]) if found is not None else None
        if uri is None:
            return -1
        target.set(ctx, uri if ";" in uri else f"{uri};transport=udp")
        return 1

    # registrations

    @function("add_rcv_param", routes=RouteType.REQUEST)
    @function("add_rcv_param", INT, routes=RouteType.REQUEST)
    def add_rcv_param(self, ctx: Context, in_uri: int = 0) -> int:
        """Add where the request came from to all contacts, for another registrar."""
        msg = ctx.msg
        if in_uri and msg.proto != "udp":
            log.err("adding received parameter to Contact URI works only for UDP")
            return -1
        try:
            places = contact_places(msg)
        except (BadMessage, BadUri, ValueError) as error:
            log.err(f"failed to parse Contact: {error}")
            return -1
        for place in places:
            if in_uri:
                msg.lumps.insert(place.end, f";received={source_uri(msg)}")
            else:
                msg.lumps.insert(place.value_end, f';received="{source_uri(msg)}"')
        return 1

    @function("fix_nated_register", routes=RouteType.REQUEST)
    def fix_nated_register(self, ctx: Context) -> int:
        """Tell the registrar where the request came from."""
        if self._received is not None:
            self._received.set(ctx, source_uri(ctx.msg))
        return 1

    # SDP

    @function("fix_nated_sdp", INT, routes=WITH_FAILURE)
    @function("fix_nated_sdp", INT, STR, routes=WITH_FAILURE)
    def fix_nated_sdp(self, ctx: Context, level: int, address: str = "") -> int:
        """Correct the SDP; 1 if addresses were replaced, 2 if not."""
        msg = ctx.msg
        body, start = msg.body, msg.body_offset
        if not body:
            log.err("cannot extract body from msg!")
            return -1
        if body.endswith("\r\n"):
            body = body[:-2]
        if level & ACTIVE:
            for end in sdp.stream_ends(body):
                msg.lumps.insert(start + end, "\r\na=direction:active")
        if level & NO_RTPPROXY and self.nortpproxy_str:
            msg.lumps.insert(start + len(body), f"\r\n{self.nortpproxy_str}")
        replaced = 0
        for bit, line in ((MEDIA_IP, "c"), (ORIGIN_IP, "o")):
            if not level & bit:
                continue
            found = sdp.addresses(body, line)
            if not found:
                log.err(f"can't extract '{line}=' IP from the SDP")
                return -1
            if len({old.ipv6 for old in found}) > 1:
                log.err(f"mismatching address families in '{line}=' SDP")
                return -1
            for old in found:
                replaced += self._replace(msg, old, start, len(body), address or msg.src_ip)
        return 1 if replaced else 2

    def _replace(self, msg: Message, old: sdp.Address, start: int, end: int, new: str) -> int:
        if old.is_null or old.text == new:
            return 0
        if self.append_sdp_oldmediaip:
            msg.lumps.insert(start + end, f"\r\na=oldmediaip{'6' if old.ipv6 else ''}:{old.text}")
        msg.lumps.replace(start + old.start, start + old.end, new)
        return 1

    # pseudo-variables and RPC

    @pvar("rr_count", type="int", inner=False, index=False)
    def pv_rr_count(self, inner: Inner) -> Getter:
        return lambda ctx: sum(len(split_values(value)) for value in ctx.msg.headers("record-route"))

    @pvar("rr_top_count", type="int", inner=False, index=False)
    def pv_rr_top_count(self, inner: Inner) -> Getter:
        """2 for a double Record-Route, 1 for a single one, 0 for none."""

        def get(ctx: Context) -> int:
            value = ctx.msg.header("record-route")
            if value is None:
                return 0
            return 2 if ";r2=" in split_values(value)[0] else 1

        return get

    @rpc("nathelper.enable_ping", "*d", "Set (enable/disable) nat ping")
    def rpc_enable_ping(self, call: Any, on: int | None = None) -> None:
        if self._ping is None:
            raise RpcFault(500, "NATping disabled")
        if on is None:
            raise RpcFault(500, "No parameter")
        self._ping.enable(bool(on))
