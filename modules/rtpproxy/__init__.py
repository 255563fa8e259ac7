"""The rtpproxy module: media goes through rtpproxy, which is told so over its control protocol.

A command is a line of text behind a cookie; the answer is a port and perhaps an address, which are put into the SDP
(sdp.py). Which proxies there are and which is out of service is kept as for rtpengine.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kamailio_py.config.arguments import INT, STR
from kamailio_py.config.host import RouteType
from kamailio_py.db.errors import DbError
from kamailio_py.log import get_logger
from kamailio_py.module import Module, ModuleError, Param, RpcFault, function, pvar, rpc
from kamailio_py.modules.rtpengine.nodes import CAPACITY, PERMANENT, Line, Node, Proxies, address_of, parse_sets
from kamailio_py.modules.rtpproxy import sdp
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.message import Message

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import Getter, Inner

log = get_logger("rtpproxy")

TABLE_VERSION = 1
BASE_VERSION = "20040107"
CODECS_VERSION = "20081102"
"""What a proxy must have to be told payload types."""
NO_PROXY, ALREADY = -3, -2
OPTIONS = {"a": "A", "A": "A", "i": "I", "I": "I", "e": "E", "E": "E", "w": "S", "W": "S"}
"""Flags that are passed on, by what they are to the proxy."""
ACCEPTED = "rRxXcCoObBfFpP"
"""Flags that matter here, or that have no effect any more."""


_PTIME = re.compile(r"[zZ]\d*")


HIGH, LOW = 1, 2
"""Values of the variable that ice_candidate_priority_avp names."""
RELAY_FIRST, RELAY_LAST = 130, 0
"""Preferences of candidates that are relays."""


class BadFlags(ValueError):
    """A flag there is none of."""


class Rtpproxy(Module):
    """Media through rtpproxy."""

    name = "rtpproxy"

    nortpproxy_str = Param(str, "a=nortpproxy:yes")
    rtpproxy_sock = Param(str, setter="add_sock")
    rtpproxy_disable_tout = Param(int, 60)
    rtpproxy_retr = Param(int, 5)
    rtpproxy_tout = Param(int, 1)
    timeout_socket = Param(str)
    ice_candidate_priority_avp = Param(str)
    extra_id_pv = Param(str)
    db_url = Param(str)
    table_name = Param(str, "rtpproxy")
    rtp_inst_pvar = Param(str)

    def __init__(self, core: Any) -> None:
        super().__init__(core)
        self._socks: list[str] = []
        self._sets: dict[int, list[Node]] = {}

    def add_sock(self, text: str) -> None:
        """A modparam line of `rtpproxy_sock`."""
        self._socks.append(text)

    def mod_init(self) -> None:
        self._proxies = Proxies(self.core.shm, self.core.clock, "rtpproxy")
        self._line = Line("rtpproxy")
        self._count = 0
        self._with_codecs: dict[str, bool] = {}
        registry = self.core.registry
        self._extra_id = registry.pvar(self.extra_id_pv, True) if self.extra_id_pv else None
        self._ice = registry.pvar(self.ice_candidate_priority_avp, True) if self.ice_candidate_priority_avp else None
        self._instance = registry.pvar(self.rtp_inst_pvar, True) if self.rtp_inst_pvar else None
        rows: list[tuple[int, str, int, int]] = []
        try:
            for line in self._socks:
                set_id, urls = parse_sets(line, 0)
                rows += [(set_id, url, weight, 0) for url, weight in urls]
            if self.db_url:
                db = self.core.db(self.db_url)
                db.check_version(self.table_name, TABLE_VERSION)
                for set_id, url, flags, weight, _ in db.query(
                    self.table_name, ["setid", "url", "flags", "weight", "description"]
                ):
                    if not isinstance(set_id, int) or not isinstance(url, str) or not isinstance(weight, int):
                        raise ValueError(f"bad row in table {self.table_name}: {set_id!r}, {url!r}, {weight!r}")
                    address_of(url)
                    rows.append((set_id, url, weight, 1 if flags else 0))
        except (DbError, ValueError) as error:
            raise ModuleError(f"rtpproxy: {error}") from None
        if len(rows) > CAPACITY:
            raise ModuleError(f"rtpproxy: more than {CAPACITY} proxies")
        for place, (set_id, url, weight, disabled) in enumerate(rows):
            node = Node(url, set_id, place, weight, place)
            self._sets.setdefault(set_id, []).append(node)
            if disabled:
                self._proxies.disable(node)

    # proxies

    def _select(self, ctx: Context, call_id: str) -> Node | None:
        """The proxy of a call, tested when this process uses it for the first time."""
        chosen = (ctx.notes or {}).get(self.name)
        nodes = self._sets.get(0 if chosen is None else int(chosen), [])
        for _ in range(len(nodes)):
            node = self._proxies.select(nodes, call_id, 0)
            if node is None:
                break
            if node.url in self._with_codecs or self._test(node):
                if self._instance is not None:
                    self._instance.set(ctx, node.url)
                return node
        log.err("no available proxies")
        return None

    def _test(self, node: Node) -> bool:
        """Does the proxy speak the protocol, and what does it know? It is out of service if not."""
        answer = self._ask(node, "V")
        if answer is None:
            return False
        version = answer.strip()
        if version != BASE_VERSION:
            log.warn(
                f"unsupported version of RTP proxy <{node.url}> found: {BASE_VERSION} supported, {version} present"
            )
            self._proxies.disable(node, self.rtpproxy_disable_tout)
            return False
        self._with_codecs[node.url] = (self._ask(node, f"VF {CODECS_VERSION}") or "").strip() == "1"
        return True

    def _ask(self, node: Node, command: str) -> str | None:
        """The answer of a proxy; None if there is none, and then it is out of service for some time."""
        cookie = f"{os.getpid()}_{self._count}"
        self._count += 1
        answer = self._line.ask(node, cookie, command, self.rtpproxy_retr, float(self.rtpproxy_tout))
        if answer is None:
            log.err(f"proxy <{node.url}> does not respond, disable it")
            self._proxies.disable(node, self.rtpproxy_disable_tout)
            self._with_codecs.pop(node.url, None)
            return None
        return answer

    # what a command is about

    def _call(self, ctx: Context, flags: str) -> str:
        """The Call-ID, with a branch where the flags ask for one; BadMessage if it cannot be read."""
        msg = ctx.msg
        call_id = msg.call_id.strip()
        branch: str | None = None
        which = next((c for c in _PTIME.sub("", flags) if c in "123bB"), "")
        if not which:
            return call_id
        if which in "bB":
            value = self._extra_id.get(ctx) if self._extra_id is not None else None
            branch = None if value is None else str(value)
        elif which == "1" or (which == "3" and msg.is_request):
            branch = msg.via.branch
        elif msg.via2 is not None:
            branch = msg.via2.branch
        if not branch:
            log.err("can't get Via branch")
            raise BadMessage("no branch")
        return f"{call_id};{branch}"

    def _simple(self, ctx: Context, command: str, flags: str = "", *, needs_to: bool = False, swapped: bool = False,
                numbered: bool = False, middle: str = "") -> str | None:  # fmt: skip
        """A command about the whole call; its answer, None if there is none."""
        msg = ctx.msg
        try:
            call, from_tag, to_tag = self._call(ctx, flags), msg.from_.tag, msg.to.tag
        except BadMessage as error:
            log.err(f"can't get Call-Id, From tag or To tag from message: {error.reason}")
            return None
        if not from_tag or (needs_to and not to_tag):
            log.err("can't get tags from message")
            return None
        node = self._select(ctx, msg.call_id.strip())
        if node is None:
            return None
        tags = [tag for tag in ((to_tag, from_tag) if swapped else (from_tag, to_tag)) if tag]
        ends = [f"{tag};1" for tag in tags] if numbered else tags
        return self._ask(node, " ".join([command, call, *([middle] if middle else []), *ends]))

    # SDP

    def _force(self, ctx: Context, flags: str, address: str, offer: bool) -> int:
        """Ask for a port for each stream, and put what comes into the SDP."""
        msg = ctx.msg
        try:
            options, trust, again = _parse(flags)
            call = self._call(ctx, flags)
            tags = self._tags(msg, offer)
            preference = self._preference(ctx)
        except BadFlags as error:
            log.err(str(error))
            return -1
        except BadMessage as error:
            log.err(f"can't get Call-Id or tags from message: {error.reason}")
            return -1
        body = msg.body
        if not _has_sdp(msg):
            log.err("can't extract body from the message")
            return -1
        if not again and self.nortpproxy_str and self.nortpproxy_str in body:
            return ALREADY
        found = sdp.read(body)
        if not found.streams or not (found.session or all(stream.address for stream in found.streams)):
            log.err("can't extract media streams from the SDP")
            return -1
        node = self._select(ctx, msg.call_id.strip())
        if node is None:
            return NO_PROXY
        where = ""
        for number, stream in enumerate(found.streams, 1):
            media = stream.address or found.session
            assert media is not None
            six = "6" if media.six else ""
            source = media.text if trust else msg.src_ip
            codecs = f"c{sdp.codecs(stream)}" if self._with_codecs[node.url] and stream.payloads else ""
            ends = " ".join(f"{tag};{number}" for tag in tags)
            notify = f" {self.timeout_socket}" if offer and self.timeout_socket else ""
            command = "U" if offer else "L"
            answer = self._ask(
                node, f"{command}{options}{six}{codecs} {call} {source} {stream.port.text} {ends}{notify}"
            )
            words = (answer or "").split()
            if not words or not words[0].isdecimal() or words[0] == "0":
                log.err(f"incorrect port {answer} in reply from rtp proxy")
                return -1
            where = address or (words[1] if len(words) > 1 else address_of(node.url)[1])
            if stream.port.text != "0":
                self._put(msg, stream.port, words[0])
                if stream.rtcp is not None:
                    self._put(msg, stream.rtcp, str(int(words[0]) + 1))
                if preference is not None and stream.candidate_at is not None:
                    lines = sdp.relay_candidates(where, int(words[0]), preference)
                    msg.lumps.insert(msg.body_offset + stream.candidate_at, lines)
        for span in [*found.connections, *found.origin]:
            if not sdp.is_null(span):
                self._put(msg, span, where)
                if span.six != (":" in where):
                    at = msg.body_offset + span.family_at
                    msg.lumps.replace(at, at + 1, "6" if ":" in where else "4")
        if self.nortpproxy_str and self.nortpproxy_str not in body:
            end = msg.body_offset + len(body.rstrip("\r\n"))
            msg.lumps.insert(end, f"\r\n{self.nortpproxy_str}")
        return 1

    def _preference(self, ctx: Context) -> int | None:
        """That of the proxy among the candidates of ICE; None where it is to be none of them."""
        if self._ice is None:
            return None
        value = self._ice.get(ctx)
        if value not in (None, HIGH, LOW):
            raise BadFlags(f"invalid ice candidate priority value {value}")
        return RELAY_FIRST if value == HIGH else RELAY_LAST

    @staticmethod
    def _tags(msg: Message, offer: bool) -> list[str]:
        """Tags in the order the proxy wants them: of whom the SDP is for in a request's answer first."""
        from_tag, to_tag = msg.from_.tag, msg.to.tag
        if not from_tag:
            raise BadMessage("no From tag")
        if offer == msg.is_request:
            return [from_tag, to_tag] if to_tag else [from_tag]
        if not to_tag:
            raise BadMessage("no To tag")
        return [to_tag, from_tag] if msg.is_request or offer else [from_tag, to_tag]

    @staticmethod
    def _put(msg: Message, span: sdp.Span, text: str) -> None:
        msg.lumps.replace(msg.body_offset + span.start, msg.body_offset + span.end, text)

    @function("rtpproxy_offer")
    @function("rtpproxy_offer", STR)
    @function("rtpproxy_offer", STR, STR)
    def rtpproxy_offer(self, ctx: Context, flags: str = "", address: str = "") -> int:
        if "l" in flags or "L" in flags:
            return -1
        return self._force(ctx, flags, address, True)

    @function("rtpproxy_answer")
    @function("rtpproxy_answer", STR)
    @function("rtpproxy_answer", STR, STR)
    def rtpproxy_answer(self, ctx: Context, flags: str = "", address: str = "") -> int:
        if ctx.msg.is_request and ctx.msg.method not in ("ACK", "PRACK"):
            return -1
        return self._force(ctx, flags.replace("l", "").replace("L", ""), address, False)

    @function("rtpproxy_destroy")
    @function("rtpproxy_destroy", STR)
    @function("unforce_rtp_proxy")
    @function("unforce_rtp_proxy", STR)
    def rtpproxy_destroy(self, ctx: Context, flags: str = "") -> int:
        return 1 if self._simple(ctx, "D", flags) is not None else -1

    @function("rtpproxy_manage")
    @function("rtpproxy_manage", STR)
    @function("rtpproxy_manage", STR, STR)
    def rtpproxy_manage(self, ctx: Context, flags: str = "", address: str = "") -> int:
        """Offer, answer or end, whichever the message asks for."""
        msg = ctx.msg
        if msg.is_request:
            if msg.method in ("BYE", "CANCEL") or ctx.route_type is RouteType.FAILURE:
                return self.rtpproxy_destroy(ctx, flags)
            if not _has_sdp(msg):
                return -1
            return self._force(ctx, flags, address, msg.method != "ACK")
        if msg.status >= 300:
            return self.rtpproxy_destroy(ctx, flags)
        if not _has_sdp(msg):
            return -1
        offer = ctx.t is not None and msg.method not in ("PRACK", "UPDATE") and not _has_sdp(ctx.t.request())
        return self._force(ctx, flags, address, offer)

    # the rest

    @function("start_recording")
    def start_recording(self, ctx: Context) -> int:
        return 1 if self._simple(ctx, "R") is not None else -1

    @function("rtpproxy_stream2uac", STR, INT)
    def stream2uac(self, ctx: Context, prompt: str, count: int) -> int:
        """Play a prompt to the caller, `count` times; -1 for ever."""
        return self._stream(ctx, f"P{count}", True, prompt)

    @function("rtpproxy_stream2uas", STR, INT)
    def stream2uas(self, ctx: Context, prompt: str, count: int) -> int:
        return self._stream(ctx, f"P{count}", False, prompt)

    @function("rtpproxy_stop_stream2uac")
    def stop_stream2uac(self, ctx: Context) -> int:
        return self._stream(ctx, "S", True)

    @function("rtpproxy_stop_stream2uas")
    def stop_stream2uas(self, ctx: Context) -> int:
        return self._stream(ctx, "S", False)

    def _stream(self, ctx: Context, command: str, to_caller: bool, prompt: str = "") -> int:
        msg = ctx.msg
        swapped = to_caller != msg.is_request
        middle = f"{prompt} session" if prompt else ""
        answer = self._simple(ctx, command, needs_to=True, swapped=swapped, numbered=True, middle=middle)
        return 1 if answer is not None and not answer.startswith("E") else -1

    @function("set_rtp_proxy_set", INT)
    def set_rtp_proxy_set(self, ctx: Context, number: int) -> int:
        """Whom this run's commands go to."""
        if number not in self._sets:
            log.err(f"script error - no rtp proxy set {number}")
            return -1
        if ctx.notes is None:
            ctx.notes = {}
        ctx.notes[self.name] = number
        return 1

    @pvar("rtppstat", type="str", inner=False, index=False)
    @pvar("rtpstat", type="str", inner=False, index=False)
    def pv_stat(self, inner: Inner) -> Getter:
        """What the proxy counted for the call."""

        def get(ctx: Context) -> str | None:
            msg = ctx.msg
            try:
                call, from_tag, to_tag = msg.call_id.strip(), msg.from_.tag, msg.to.tag
            except BadMessage:
                return None
            node = self._select(ctx, call)
            if node is None:
                return None
            return self._ask(node, f"Q {call} {from_tag};1{f' {to_tag}' if to_tag else ''}")

        return get

    @rpc("rtpproxy.list", "", "Lists all of the RTP proxies", array=True)
    def rpc_list(self, call: Any) -> Iterator[dict[str, Any]]:
        for nodes in self._sets.values():
            for node in nodes:
                until = self._proxies.disabled_until(node)
                recheck = 0 if not until else -1 if until == PERMANENT else self._proxies.left(node)
                yield {
                    "setid": node.set_id,
                    "url": node.url,
                    "index": node.index,
                    "disabled": int(bool(until)),
                    "weight": node.weight,
                    "recheck": recheck,
                }

    @rpc("rtpproxy.enable", "Sd", "Enables/disables an RTP proxy", missing=(500, "Not enough parameters"))
    def rpc_enable(self, call: Any, url: str, on: int) -> None:
        found = [node for nodes in self._sets.values() for node in nodes if node.url == url]
        if not found:
            raise RpcFault(404, "RTPProxy not found")
        for node in found:
            if on:
                self._proxies.enable(node)
            else:
                self._proxies.disable(node)


def _parse(flags: str) -> tuple[str, bool, bool]:
    """(what is passed on, whether the address in the SDP is believed, whether a body is changed a second time)"""
    options, trust, again = [], False, False
    i = 0
    while i < len(flags):
        c = flags[i]
        i += 1
        if c in OPTIONS:
            options.append(OPTIONS[c])
            trust = trust or c in "aA"
        elif c in "xX":
            options.append("IE")
        elif c in "zZ":
            start = i
            while i < len(flags) and flags[i].isdecimal():
                i += 1
            options.append(f"Z{flags[start:i]}")
        elif c in "rR":
            trust = True
        elif c in "fF":
            again = True
        elif c not in ACCEPTED and c not in "123 ":
            raise BadFlags(f"unknown option `{c}'")
    return "".join(options), trust, again


def _has_sdp(msg: Message) -> bool:
    kind = (msg.header("content-type") or "").partition(";")[0].strip().lower()
    return bool(msg.body) and kind == "application/sdp"
