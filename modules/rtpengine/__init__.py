"""The rtpengine module: media goes through rtpengine, which is told so over its control protocol ("ng").

Lives here: the script functions, what goes into a request, and what becomes of the answer. Flags are parsed in
flags.py, bencode.py encodes, nodes.py knows the proxies. Which proxy a call is at is kept in shared memory
(shm.kept), so that all of its requests go to the same one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from kamailio_py.config.arguments import INT, PVAR, STR, Argument
from kamailio_py.config.host import RouteType
from kamailio_py.config.without_effect import MEMORY
from kamailio_py.db.errors import DbError
from kamailio_py.engine.shared_value import SharedValue
from kamailio_py.log import get_logger
from kamailio_py.module import CfgVariable, Function, ModuleError, Param, RpcFault, function, pvar, rpc
from kamailio_py.modules.rtpengine.asking import Asking
from kamailio_py.modules.rtpengine.nodes import (
    CAPACITY,
    PERMANENT,
    Line,
    Node,
    Proxies,
    address_of,
    parse_sets,
)
from kamailio_py.modules.rtpengine.scores import SCORE_PARAMS, Scores
from kamailio_py.shm.kept import KeptTable
from kamailio_py.sip.message import Message

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import Getter, Inner, PVar

log = get_logger("rtpengine")

TABLE_VERSION = 1
CALLS = 16 << 20
"""Bytes for what is kept of calls."""
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


class Rtpengine(Asking):
    """Media through rtpengine."""

    name = "rtpengine"
    cfg_variables = (
        CfgVariable(
            "rtpengine_disable_tout",
            "The time after which rtpengine module will try to communicate with an RTPEngine instance after it has "
            "been marked disabled automatically. ",
        ),
        CfgVariable(
            "aggressive_redetection",
            "Determines if the sip proxy should force a query of all nodes when all RTPEngine instances seem "
            "unavailable.",
            low=0, high=1,
        ),
        CfgVariable(
            "rtpengine_tout_ms",
            "The total number of nodes inside a set to be queried before giving up establishing a session",
        ),
        CfgVariable(
            "queried_nodes_limit",
            "Timeout value expressed in milliseconds to wait for reply from RTPEngine",
            low=0, high=30,
        ),
        CfgVariable(
            "rtpengine_retr",
            "How many times the module should retry to send and receive after timeout was generated",
        ),
    )  # fmt: skip

    rtpengine_sock = Param(str, setter="add_sock")
    db_url = Param(str)
    table_name = Param(str, "rtpengine")
    setid_col = Param(str, "setid")
    url_col = Param(str, "url")
    weight_col = Param(str, "weight")
    disabled_col = Param(str, "disabled")
    extra_id_pv = Param(str)
    setid_avp = Param(str)
    force_send_interface = Param(str, "")
    rtp_inst_pvar = Param(str)
    write_sdp_pv = Param(str)
    read_sdp_pv = Param(str)
    hash_table_size = Param(int, 256, unused=MEMORY)
    media_duration = Param(str)
    wsapi = Param(str, unused="control over WebSocket needs the lwsc module, which is not here yet")

    def __init__(self, core: Any) -> None:
        super().__init__(core)
        self._lines: list[str] = []

    @classmethod
    def params(cls) -> dict[str, Param]:
        return {**super().params(), **SCORE_PARAMS}

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
            if command == "query" and self._scores:
                self._scores.fill(ctx, answer)
            if command == "play media" and self._duration is not None and "duration" in answer:
                self._duration.set(ctx, answer["duration"])
            return 1

        return call

    # life cycle

    def mod_init(self) -> None:
        if self.core.module("tm") is None:
            log.dbg("could not bind to the TM-functions - auto-generation of via-branch id is disabled")
        self._proxies = Proxies(self.core.shm, self.core.clock)
        self._line = Line(source=self.force_send_interface)
        self._count = 0
        self._calls = KeptTable(self.core.shm, self.core.clock, "rtpengine.calls", CALLS)
        self._nodes: SharedValue[dict[int, list[Node]]] = SharedValue(
            self.core.shm, "rtpengine", "sets", self._read_nodes, {}
        )
        self._scores = Scores(self)
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
        answer = self.command(ctx, "delete", flags)
        if answer is None:
            return -1
        if self._scores:
            self._scores.fill(ctx, answer)
        return 1

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

    @function("rtpengine_query_v", STR, PVAR)
    def rtpengine_query_v(self, ctx: Context, format: str, variable: PVar) -> int:
        """Ask about the call and put the answer into a pseudo-variable as JSON, which is format "j"."""
        answer = self.command(ctx, "query", "")
        if answer is None or format != "j":
            return -1
        return 1 if variable.set(ctx, json.dumps(answer, separators=(",", ":"), ensure_ascii=False)) else -1

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
