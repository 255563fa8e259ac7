"""The kex module: flags of script and branches, destination URI, debug level, statistics of the core and of memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kamailio_py import log as output
from kamailio_py.config.arguments import FORMAT, INT, PVAR, STR
from kamailio_py.engine.unique_ids import UniqueIds
from kamailio_py.module import function, pvar
from kamailio_py.modules.kex.commands import Commands
from kamailio_py.sip.errors import BadUri
from kamailio_py.sip.uri import Uri

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import Format, Getter, Inner, PVar
    from kamailio_py.sip.message import Message

FLAGS = 32
REQUESTS = (
    "invite", "cancel", "ack", "bye", "info", "register", "subscribe", "notify", "message", "options", "prack",
    "update", "refer", "publish",
)  # fmt: skip
CLASSES = ("1xx", "18x", "2xx", "3xx", "4xx", "401", "404", "407", "480", "486", "5xx", "6xx")
REPLIED = {
    "INVITE": "invite", "CANCEL": "cancel", "BYE": "bye", "REGISTER": "reg", "MESSAGE": "message", "PRACK": "prack",
    "UPDATE": "update", "REFER": "refer",
}  # fmt: skip
GENERAL = (
    "fwd_requests", "fwd_replies", "drop_requests", "drop_replies", "err_requests", "err_replies", "bad_URIs_rcvd",
    "unsupported_methods", "bad_msg_hdr",
)  # fmt: skip


class Kex(Commands):
    """Extensions of Kamailio's core."""

    name = "kex"
    statistics = (
        "rcv_requests", *(f"rcv_requests_{method}" for method in REQUESTS), "rcv_replies",
        *(f"rcv_replies_{status}" for status in CLASSES), *GENERAL,
        *(f"rcv_replies_{n}xx_{method}" for method in REPLIED.values() for n in range(1, 7)),
    )  # fmt: skip
    statistics_group = "core"
    computed_group = "shmem"

    def mod_init(self) -> None:
        core = self.core
        self._requests = {method.upper(): core.statistic("core", f"rcv_requests_{method}") for method in REQUESTS}
        self._classes = {status: core.statistic("core", f"rcv_replies_{status}") for status in CLASSES}
        self._methods = {
            (method, n): core.statistic("core", f"rcv_replies_{n}xx_{name}")
            for method, name in REPLIED.items()
            for n in range(1, 7)
        }
        core.pre_script.append(self._count_request)
        core.reply_handlers.insert(0, self._count_reply)
        self._sruid = UniqueIds(core, "srid")

    def child_init(self, rank: int) -> None:
        self._sruid.restart()

    # statistics

    def _count_request(self, ctx: Context) -> bool:
        counter = self._requests.get(ctx.msg.method)
        if counter is not None:
            self.core.count(counter)
        return True

    def _count_reply(self, msg: Message) -> int:
        status, count = msg.status, self.core.count
        first = status // 100
        if 1 <= first <= 6:
            count(self._classes[f"{first}xx"])
            counter = self._methods.get((msg.method, first))
            if counter is not None:
                count(counter)
        special = self._classes.get("18x" if 180 <= status < 190 else str(status))
        if special is not None:
            count(special)
        return 1

    def computed_statistics(self) -> dict[str, Callable[[], int]]:
        """Those of shared memory."""
        arena = self.core.shm.arena
        return {
            "total_size": lambda: arena.total,
            "used_size": lambda: arena.used,
            "real_used_size": lambda: arena.taken,
            "max_used_size": lambda: arena.peak,
            "free_size": lambda: arena.total - arena.used,
            "fragments": lambda: sum(free for _, _, free in arena.classes()),
        }

    @pvar("sruid", type="str", inner=False)
    def sruid(self, inner: Inner) -> Getter:
        """$sruid: another unique text each time."""
        return lambda ctx: self._sruid()

    # script flags

    @function("setsflag", INT)
    def setsflag(self, ctx: Context, flag: int) -> int:
        if not 0 <= flag < FLAGS:
            return -1
        ctx.msg.script_flags |= 1 << flag
        return 1

    @function("resetsflag", INT)
    def resetsflag(self, ctx: Context, flag: int) -> int:
        if not 0 <= flag < FLAGS:
            return -1
        ctx.msg.script_flags &= ~(1 << flag)
        return 1

    @function("issflagset", INT)
    def issflagset(self, ctx: Context, flag: int) -> int:
        return 1 if 0 <= flag < FLAGS and ctx.msg.script_flags >> flag & 1 else -1

    # branch flags: branch 0 is the request-URI's, the others are those appended

    @function("setbflag", INT)
    @function("setbflag", INT, INT)
    def setbflag(self, ctx: Context, flag: int, branch: int = 0) -> int:
        flags = self._branch_flags(ctx, flag, branch)
        return -1 if flags is None else self._set_branch_flags(ctx, branch, flags | 1 << flag)

    @function("resetbflag", INT)
    @function("resetbflag", INT, INT)
    def resetbflag(self, ctx: Context, flag: int, branch: int = 0) -> int:
        flags = self._branch_flags(ctx, flag, branch)
        return -1 if flags is None else self._set_branch_flags(ctx, branch, flags & ~(1 << flag))

    @function("isbflagset", INT)
    @function("isbflagset", INT, INT)
    def isbflagset(self, ctx: Context, flag: int, branch: int = 0) -> int:
        flags = self._branch_flags(ctx, flag, branch)
        return 1 if flags is not None and flags >> flag & 1 else -1

    @staticmethod
    def _branch_flags(ctx: Context, flag: int, branch: int) -> int | None:
        """Flags of a branch; None if there is no such flag or branch."""
        if not 0 <= flag < FLAGS or not 0 <= branch <= len(ctx.msg.branches):
            return None
        return ctx.msg.branches[branch - 1].flags if branch else ctx.msg.branch_flags

    @staticmethod
    def _set_branch_flags(ctx: Context, branch: int, flags: int) -> int:
        if branch:
            ctx.msg.branches[branch - 1].flags = flags
        else:
            ctx.msg.branch_flags = flags
        return 1

    # destination URI

    @function("setdsturi", STR)
    def setdsturi(self, ctx: Context, uri: str) -> int:
        ctx.msg.dst_uri = uri or None
        return 1

    @function("resetdsturi")
    def resetdsturi(self, ctx: Context) -> int:
        ctx.msg.dst_uri = None
        return 1

    @function("isdsturiset")
    def isdsturiset(self, ctx: Context) -> int:
        return 1 if ctx.msg.dst_uri else -1

    @function("is_myself", STR)
    def is_myself(self, ctx: Context, uri: str) -> int:
        """Is this URI, or this host, one of this server?"""
        if uri[:4] != "sip:" and uri[:5] != "sips:":
            return 1 if uri and self.core.is_myself(uri) else -1
        try:
            parsed = Uri.parse(uri)
        except BadUri:
            return -1
        proto = (parsed.param("transport") or "").lower()
        return 1 if self.core.is_myself(parsed.host, parsed.port, proto) else -1

    # the rest

    @function("pv_printf", PVAR, FORMAT)
    @function("avp_printf", PVAR, FORMAT)
    def pv_printf(self, ctx: Context, target: PVar, text: Format) -> int:
        """Assign a formatted text."""
        return 1 if target.set(ctx, text.evaluate(ctx)) else -1

    @function("setdebug", INT)
    def setdebug(self, ctx: Context, level: int) -> int:
        """Set the debug level of this process."""
        output.settings.level = level
        return 1

    @function("resetdebug")
    def resetdebug(self, ctx: Context) -> int:
        output.settings.level = self.core.cfg.debug
        return 1
