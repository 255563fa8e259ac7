"""One command to rtpengine: what it says about the call, to whom it goes, and what becomes of the answer.

A command goes to the proxy the call is at, which is kept in shared memory (shm.kept); where that does not answer, to
another one. Base of the module.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from kamailio_py.engine.shared_value import SharedValue
from kamailio_py.log import get_logger
from kamailio_py.module import Module, Param
from kamailio_py.modules.rtpengine import flags as flags_of
from kamailio_py.modules.rtpengine.bencode import BadBencode, decode, encode
from kamailio_py.modules.rtpengine.flags import Flags
from kamailio_py.modules.rtpengine.nodes import Line, Node, Proxies, described
from kamailio_py.shm.kept import KeptTable
from kamailio_py.sip.errors import BadMessage

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import PVar

log = get_logger("rtpengine")

WITH_SDP = ("offer", "answer")
FOR_SDP = ("replace", "direction", "rtcp-mux", "SDES", "OSRTP", "codec", "transport-protocol")
"""What only commands with SDP carry."""
WITHOUT_TAGS = (
    "block media", "unblock media", "silence media", "unsilence media", "block DTMF", "unblock DTMF",
    "start forwarding", "stop forwarding",
)  # fmt: skip
"""Commands for a call as a whole, unless flags name a side."""


class Asking(Module):
    """See the head of the file."""

    rtpengine_disable_tout = Param(int, 60)
    aggressive_redetection = Param(int, 1)
    rtpengine_retr = Param(int, 5)
    rtpengine_allow_op = Param(int, 0)
    queried_nodes_limit = Param(int, 30)
    rtpengine_tout_ms = Param(int, 1000)
    control_cmd_tos = Param(int, -1)
    hash_table_tout = Param(int, 3600)
    setid_default = Param(int, 0)
    hash_algo = Param(int, 0)

    _proxies: Proxies
    _line: Line
    _count: int
    _calls: KeptTable
    _nodes: SharedValue[dict[int, list[Node]]]
    _extra_id: PVar | None
    _instance: PVar | None
    _setid: PVar | None

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
        if node is not None and not self.rtpengine_allow_op and self._proxies.disabled_until(node):
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
