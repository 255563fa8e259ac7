"""The rtpengine module: media goes through rtpengine, which is told so over its control protocol ("ng").

Lives here: the script functions, what goes into a request, and what becomes of the answer. Flags are parsed in
flags.py, bencode.py encodes, nodes.py knows the proxies. Which proxy a call is at is kept in shared memory
(engine.kept), so that all of its requests go to the same one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from kamailio_py.config.arguments import INT, STR, Argument
from kamailio_py.config.host import RouteType
from kamailio_py.db.errors import DbError
from kamailio_py.engine.kept import KeptTable
from kamailio_py.engine.shared_value import SharedValue
from kamailio_py.log import get_logger
from kamailio_py.module import Function, Module, ModuleError, Param, RpcFault, function, pvar, rpc
from kamailio_py.modules.rtpengine import flags as flags_of
from kamailio_py.modules.rtpengine.bencode import BadBencode, decode, encode
from kamailio_py.modules.rtpengine.flags import Flags
from kamailio_py.modules.rtpengine.nodes import (
    CAPACITY,
    PERMANENT,
    Line,
    Node,
    Proxies,
    address_of,
    described,
    parse_sets,
)
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.message import Message

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import Getter, Inner

log = get_logger("rtpengine")

TABLE_VERSION = 1
CALLS = 16 << 20
"""Bytes for what is kept of calls."""
WITH_SDP = ("offer", "answer")
FOR_SDP = ("replace", "direction", "rtcp-mux", "SDES", "OSRTP", "codec", "transport-protocol")
"""What only commands with SDP carry."""
WITHOUT_TAGS = (
    "block media", "unblock media", "silence media", "unsilence media", "block DTMF", "unblock DTMF",
    "start forwarding", "stop forwarding",
)  # fmt: skip
"""Commands for a call as a whole, unless flags name a side."""
SIMPLE = {
    "rtpengine_query": "query",
    "start_recording": "start recording",
    "stop_recording": "stop recording",
    "block_media": "block media",
    "unblock_media": "unblock media",
    "silence_media": "silence media",
    "unsilence_media": "unsilence media",
    "block_dtmf": "block DTMF",
    "unblock_dtmf": "unblock DTMF",
    "start_forwarding": "start forwarding",
    "stop_forwarding": "stop forwarding",
    "stop_media": "stop media",
}
"""Functions whose flags may be left out, and their commands."""


def _score_params() -> Iterator[Param]:
    """Where scores of the media's quality would go: accepted, and nothing is put there."""
    names = ["mos_A_label_pv", "mos_B_label_pv"]
    for score, last in (("min", "_at"), ("max", "_at"), ("average", "_samples")):
        for part in ("", "_packetloss", "_jitter", "_roundtrip", "_roundtrip_leg", last):
            names += [f"mos_{score}{part}{side}_pv" for side in ("", "_A", "_B")]
    for name in names:
        param = Param(str, name=name, unused=True)
        param.attribute = name
        yield param


SCORES = {param.name: param for param in _score_params()}


class Rtpengine(Module):
    """Media through rtpengine."""

    name = "rtpengine"

    rtpengine_sock = Param(str, setter="add_sock")
    rtpengine_disable_tout = Param(int, 60)
    aggressive_redetection = Param(int, 1)
    rtpengine_retr = Param(int, 5)
    queried_nodes_limit = Param(int, 30)
    rtpengine_tout_ms = Param(int, 1000)
    rtpengine_allow_op = Param(int, 0)
    control_cmd_tos = Param(int, -1)
    db_url = Param(str)
    table_name = Param(str, "rtpengine")
    setid_col = Param(str, "setid")
    url_col = Param(str, "url")
    weight_col = Param(str, "weight")
    disabled_col = Param(str, "disabled")
    extra_id_pv = Param(str)
    setid_avp = Param(str)
    force_send_interface = Param(str, "", unused=True)
    rtp_inst_pvar = Param(str)
    write_sdp_pv = Param(str)
    read_sdp_pv = Param(str)
    hash_table_tout = Param(int, 3600)
    hash_table_size = Param(int, 256, unused=True)
    setid_default = Param(int, 0)
    media_duration = Param(str)
    hash_algo = Param(int, 0)
    wsapi = Param(str, unused=True)

    def __init__(self, core: Any) -> None:
        super().__init__(core)
        self._lines: list[str] = []

    @classmethod
    def params(cls) -> dict[str, Param]:
        return {**super().params(), **SCORES}

    def add_sock(self, text: str) -> None:
        """A modparam line of `rtpengine_sock`."""
        self._lines.append(text)

    def functions(self) -> Iterable[Function]:
        yield from super().functions()
        for name, command in SIMPLE.items():
            options: tuple[tuple[Argument, ...], ...] = ((), (STR,))
            for arguments in options:
                yield Function(self.name, name, arguments, RouteType.ANY, self._simple(command))
        for name, command in (("play_media", "play media"), ("play_dtmf", "play DTMF")):
            yield Function(self.name, name, (STR,), RouteType.ANY, self._simple(command))

    def _simple(self, command: str) -> Any:
        def call(ctx: Context, flags: str = "") -> int:
            answer = self.command(ctx, command, flags)
            if answer is None:
                return -1
            if command == "play media" and self._duration is not None and "duration" in answer:
                self._duration.set(ctx, answer["duration"])
            return 1

        return call

    # life cycle

    def mod_init(self) -> None:
        if self.core.module("tm") is None:
            log.dbg("could not bind to the TM-functions - auto-generation of via-branch id is disabled")
        self._proxies = Proxies(self.core.shm, self.core.clock)
        self._line = Line()
        self._count = 0
        self._calls = KeptTable(self.core.shm, self.core.clock, "rtpengine.calls", CALLS)
        self._nodes: SharedValue[dict[int, list[Node]]] = SharedValue(
            self.core.shm, "rtpengine", "sets", self._read_nodes, {}
        )
        self._db = self.core.db(self.db_url) if self.db_url else None
        if self._db is not None:
            self._db.check_version(self.table_name, TABLE_VERSION)
        problem = self._load()
        if problem:
            raise ModuleError(f"rtpengine: {problem}")
        self._extra_id, self._read_sdp, self._write_sdp, self._instance, self._duration, self._setid = (
            self.core.registry.pvar(text, True) if text else None
            for text in (
                self.extra_id_pv, self.read_sdp_pv, self.write_sdp_pv, self.rtp_inst_pvar, self.media_duration,
                self.setid_avp,
            )
        )  # fmt: skip

    def _load(self) -> str:
        """Read which proxies there are; "" or what is wrong, and then they are as they were."""
        rows: list[tuple[int, str, int, int]] = []
        try:
            if self._db is None:
                for line in self._lines:
                    set_id, urls = parse_sets(line, self.setid_default)
                    rows += [(set_id, url, weight, 0) for url, weight in urls]
            else:
                columns = [self.setid_col, self.url_col, self.weight_col, self.disabled_col]
                for set_id, url, weight, disabled in self._db.query(self.table_name, columns):
                    if not isinstance(set_id, int) or not isinstance(url, str) or not isinstance(weight, int):
                        raise ValueError(f"bad row in table {self.table_name}: {set_id!r}, {url!r}, {weight!r}")
                    address_of(url)
                    rows.append((set_id, url, weight, 1 if disabled else 0))
        except (DbError, ValueError) as error:
            log.err(str(error))
            return str(error)
        known = {node.url: node.place for nodes in self._nodes.get().values() for node in nodes}
        free = iter(sorted(set(range(CAPACITY)) - set(known.values())))
        data = []
        for set_id, url, weight, disabled in rows:
            if url not in known:
                place = next(free, None)
                if place is None:
                    return f"more than {CAPACITY} proxies"
                known[url] = place
                if disabled:
                    self._proxies.disable(Node(url, set_id, 0, weight, place))
            data.append((set_id, url, weight, known[url]))
        return "" if self._nodes.set(data) else "no more shared memory"

    @staticmethod
    def _read_nodes(data: Any) -> dict[int, list[Node]]:
        sets: dict[int, list[Node]] = {}
        for number, (set_id, url, weight, place) in enumerate(data):
            sets.setdefault(set_id, []).append(Node(url, set_id, number, weight, place))
        return sets

    # one command

    def command(self, ctx: Context, command: str, text: str, more: dict[str, Any] | None = None) -> Any:
        """Ask the proxy of the call; its answer, None, and logged, if there is none or it is an error."""
        msg = ctx.msg
        flags = flags_of.parse(text)
        try:
            call_id = flags.call_id or msg.call_id.strip()
            who = self._who(ctx, command, flags)
            request = {"supports": ["load limit"], **(more or {}), **flags.request, **who}
        except BadMessage as error:
            log.err(f"can't get Call-Id, From tag or To tag from message: {error.reason}")
            return None
        if command not in WITH_SDP:
            for name in FOR_SDP:
                request.pop(name, None)
        request["command"] = command
        branch = str(request.get("via-branch", ""))
        answer, node = self._send(ctx, call_id, branch, request)
        if answer is None or node is None:
            return None
        if self._instance is not None:
            self._instance.set(ctx, node.url)
        if answer.get("result") not in ("ok", "pong"):
            log.err(f"proxy replied with error: {described(answer)}")
            return None
        return answer

    def _who(self, ctx: Context, command: str, flags: Flags) -> dict[str, Any]:
        """Which call, and which side of it: Call-ID, branch, source address and tags."""
        msg = ctx.msg
        found: dict[str, Any] = {"call-id": flags.call_id or msg.call_id.strip()}
        branch = self._branch(ctx, flags.via)
        if branch:
            found["via-branch"] = branch
        source = flags.received_from or msg.src_ip
        found["received-from"] = ["IP6" if ":" in source else "IP4", source]
        from_tag, to_tag = flags.from_tag or msg.from_.tag, flags.to_tag or msg.to.tag
        if flags.received_from:
            flags.request.pop("received-from", None)
        with_to = flags.to or command != "delete"
        if command in WITHOUT_TAGS:
            if flags.directional:
                found["from-tag"] = from_tag
        elif flags.directional:
            found["from-tag"] = from_tag
            if to_tag:
                found["to-tag"] = to_tag
        elif msg.is_request == (command != "answer") or command == "delete":
            found["from-tag"] = from_tag
            if with_to and to_tag:
                found["to-tag"] = to_tag
        else:
            found["from-tag"] = to_tag
            if with_to or command == "answer":
                found["to-tag"] = from_tag
        return found

    def _branch(self, ctx: Context, via: str) -> str:
        msg = ctx.msg
        if via.startswith("auto"):
            kind = via.partition("-")[2]
            if kind:
                via = kind if msg.is_request else "1"
            else:
                via = "1" if msg.is_request else "2"
        if via == "1":
            return msg.via.branch or ""
        if via == "2":
            second = msg.via2
            if second is None:
                raise BadMessage("no second Via")
            return second.branch or ""
        if via == "extra" and self._extra_id is not None:
            value = self._extra_id.get(ctx)
            return "" if value is None else str(value)
        return ""

    def _send(
        self, ctx: Context, call_id: str, branch: str, request: dict[str, Any]
    ) -> tuple[dict[str, Any] | None, Node | None]:
        """Ask the proxies of the set until one answers."""
        nodes = self._nodes.get().get(self._set_of(ctx), [])
        key = f"{call_id}\n{branch}"
        kept = self._calls.get(key)
        node = next((n for n in nodes if kept is not None and n.url == kept.data), None)
        if node is not None and self._proxies.disabled_until(node):
            node = None
        body = encode(request)
        for _ in range(self.queried_nodes_limit):
            if node is None:
                node = self._proxies.select(nodes, call_id, self.hash_algo)
            if node is None and self.aggressive_redetection:
                node = self._redetected(nodes)
            if node is None:
                log.err("can't find any RTPEngine" if nodes else "no available proxies")
                return None, None
            answer = self._ask(node, body)
            if answer is not None and answer.get("result") != "load limit":
                self._note(key, node, str(request["command"]))
                return answer, node
            if answer is None:
                self._proxies.disable(node, self.rtpengine_disable_tout)
                log.err(f"proxy <{node.url}> does not respond, disable it")
                node = None
            else:
                nodes = [other for other in nodes if other.url != node.url]
                node = None
        return None, None

    def _redetected(self, nodes: list[Node]) -> Node | None:
        """A proxy that was out of service and answers again."""
        for node in nodes:
            if self._proxies.disabled_until(node) > 0 and self.ping(node):
                self._proxies.enable(node)
                return node
        return None

    def ping(self, node: Node) -> bool:
        answer = self._ask(node, encode({"command": "ping"}))
        return answer is not None and answer.get("result") == "pong"

    def _ask(self, node: Node, body: str) -> dict[str, Any] | None:
        self._count += 1
        cookie = f"{max(self.core.rank, 0)}_{os.getpid()}_{self._count}"
        timeout = self.rtpengine_tout_ms / 1000
        text = self._line.ask(node, cookie, body, self.rtpengine_retr, timeout, self.control_cmd_tos)
        if text is None:
            return None
        try:
            answer = decode(text)
        except BadBencode as error:
            log.err(f"failed to decode bencoded reply from proxy: {error}")
            return None
        return answer if isinstance(answer, dict) else None

    def _note(self, key: str, node: Node, command: str) -> None:
        """Keep which proxy a call is at, until it ends."""
        if command == "delete":
            self._calls.remove(key)
        elif not self._calls.put(key, node.url, 0, self.core.clock.ms() + self.hash_table_tout * 1000):
            log.err("no room to keep which proxy a call is at")

    def _set_of(self, ctx: Context) -> int:
        if self._setid is not None:
            value = self._setid.get(ctx)
            if isinstance(value, int):
                return value
        chosen = (ctx.notes or {}).get(self.name)
        return self.setid_default if chosen is None else int(chosen)

    # functions that change the SDP

    def _with_sdp(self, ctx: Context, command: str, flags: str) -> int:
        """Offer or answer: the SDP goes to the proxy, and its own comes back."""
        msg = ctx.msg
        if self._read_sdp is not None:
            value = self._read_sdp.get(ctx)
            body = value if isinstance(value, str) else ""
        else:
            body = msg.body if _has_sdp(msg) else ""
        if not body:
            log.err("can't extract body from the message")
            return -1
        answer = self.command(ctx, command, flags, {"sdp": body})
        if answer is None:
            return -1
        sdp = answer.get("sdp")
        if not isinstance(sdp, str):
            log.err("failed to extract sdp body from proxy reply")
            return -1
        if self._write_sdp is not None:
            self._write_sdp.set(ctx, sdp)
        else:
            msg.lumps.replace(msg.body_offset, len(msg.text), sdp)
        return 1

    @function("rtpengine_offer")
    @function("rtpengine_offer", STR)
    def rtpengine_offer(self, ctx: Context, flags: str = "") -> int:
        return self._with_sdp(ctx, "offer", flags)

    @function("rtpengine_info")
    @function("rtpengine_info", STR)
    def rtpengine_info(self, ctx: Context, flags: str = "") -> int:
        """As an offer, for the bodies of INFO (trickle ICE)."""
        return self._with_sdp(ctx, "offer", flags)

    @function("rtpengine_answer")
    @function("rtpengine_answer", STR)
    def rtpengine_answer(self, ctx: Context, flags: str = "") -> int:
        if ctx.msg.is_request and ctx.msg.method not in ("ACK", "PRACK"):
            return -1
        return self._with_sdp(ctx, "answer", flags)

    @function("rtpengine_delete")
    @function("rtpengine_delete", STR)
    def rtpengine_delete(self, ctx: Context, flags: str = "") -> int:
        return 1 if self.command(ctx, "delete", flags) is not None else -1

    @function("rtpengine_manage")
    @function("rtpengine_manage", STR)
    def rtpengine_manage(self, ctx: Context, flags: str = "") -> int:
        """Offer, answer or delete, whichever the message asks for."""
        msg = ctx.msg
        has_sdp = _has_sdp(msg)
        if msg.is_request:
            if msg.method in ("BYE", "CANCEL") or ctx.route_type is RouteType.FAILURE:
                return self.rtpengine_delete(ctx, flags)
            if not has_sdp:
                return -1
            return self._with_sdp(ctx, "answer" if msg.method in ("ACK", "PRACK") else "offer", flags)
        if msg.status >= 300:
            return self.rtpengine_delete(ctx, flags)
        if not has_sdp:
            return -1
        invite_without = ctx.t is not None and msg.method not in ("PRACK", "UPDATE") and not _has_sdp(ctx.t.request())
        return self._with_sdp(ctx, "offer" if invite_without else "answer", flags)

    @function("rtpengine_query_v", STR, STR)
    def rtpengine_query_v(self, ctx: Context, flags: str, variable: str) -> int:
        """Ask about the call and put the answer into a pseudo-variable, as it came."""
        answer = self.command(ctx, "query", flags)
        if answer is None:
            return -1
        return 1 if self.core.registry.pvar(variable, True).set(ctx, encode(answer)) else -1

    @function("set_rtpengine_set", INT)
    @function("set_rtpengine_set", INT, INT)
    def set_rtpengine_set(self, ctx: Context, number: int, second: int | None = None) -> int:
        """Whom this run's commands go to. A second set, to send media through two, is not supported."""
        if number not in self._nodes.get() or second is not None:
            log.err(f"no proxies in set {number}" if second is None else "a second set is not supported")
            return -1
        if ctx.notes is None:
            ctx.notes = {}
        ctx.notes[self.name] = number
        return 1

    # pseudo-variables

    @pvar("rtpestat", type="str", inner=False, index=False)
    @pvar("rtpstat", type="str", inner=False, index=False)
    def pv_stat(self, inner: Inner) -> Getter:
        """What the proxy counted for the call."""

        def get(ctx: Context) -> str | None:
            answer = self.command(ctx, "query", "")
            if answer is None:
                return None
            totals = answer.get("totals")
            if not isinstance(totals, dict):
                return ""
            parts = []
            for name in ("RTP", "RTCP"):
                counted = totals.get(name)
                if isinstance(counted, dict):
                    numbers = (counted.get(key, 0) for key in ("bytes", "packets", "errors"))
                    parts.append("{}: {} bytes, {} packets, {} errors".format(name, *numbers))
            return "; ".join(parts)

        return get

    # RPC commands

    def _named(self, url: str) -> list[Node]:
        nodes = [node for nodes in self._nodes.get().values() for node in nodes if url in ("all", node.url)]
        if not nodes and url != "all":
            raise RpcFault(404, "Instance not found")
        return nodes

    @rpc("rtpengine.reload", "", "Reload rtpengine proxies from database")
    def rpc_reload(self, call: Any) -> None:
        if self._db is None:
            raise RpcFault(500, "No Database URL")
        if self._load():
            raise RpcFault(500, "Failed to reload RTPEngine")

    @rpc("rtpengine.show", "S", "Get state for an rtpengine proxy", missing=(500, "Not enough parameters"))
    def rpc_show(self, call: Any, url: str) -> Iterator[dict[str, Any]]:
        for node in self._named(url):
            until = self._proxies.disabled_until(node)
            yield {
                "url": node.url,
                "set": node.set_id,
                "index": node.index,
                "weight": node.weight,
                "disabled": "1(permanent)" if until == PERMANENT else int(until > 0),
                "recheck_ticks": "N/A" if until == PERMANENT else self._proxies.left(node),
            }

    @rpc("rtpengine.ping", "S", "Ping an rtpengine proxy", missing=(500, "Not enough parameters"))
    def rpc_ping(self, call: Any, url: str) -> dict[str, str]:
        answered = [self.ping(node) for node in self._named(url)]
        return {"url": url, "status": "success" if all(answered) else "fail"}

    @rpc("rtpengine.enable", "Sd", "Enable/disable an rtpengine proxy", missing=(500, "Not enough parameters"))
    def rpc_enable(self, call: Any, url: str, on: int) -> dict[str, str]:
        for node in self._named(url):
            if not on:
                self._proxies.disable(node)
            elif self.ping(node):
                self._proxies.enable(node)
            else:
                return {"url": url, "status": "fail"}
        return {"url": url, "status": "enable" if on else "disable"}

    @rpc("rtpengine.get_hash_total", "", "Get total number of hash table entries")
    def rpc_hash_total(self, call: Any) -> int:
        return sum(1 for _ in self._calls)


def _has_sdp(msg: Message) -> bool:
    kind = msg.header("content-type") or ""
    return bool(msg.body) and kind.partition(";")[0].strip().lower() in (
        "application/sdp",
        "application/trickle-ice-sdpfrag",
    )
