"""The counters module: counters of the script's own, and RPC commands on all statistics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kamailio_py.config.arguments import INT, STR
from kamailio_py.config.host import RouteType
from kamailio_py.engine.statistics import Statistic
from kamailio_py.log import get_logger
from kamailio_py.module import Module, Param, RpcFault, function, rpc

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.rpc.call import Call
    from kamailio_py.script.context import Context

log = get_logger("counters")

COUNTING = RouteType.REQUEST | RouteType.FAILURE | RouteType.ONREPLY | RouteType.ONSEND | RouteType.CORE_ONREPLY


class Counters(Module):
    """Counters of the script's own."""

    name = "counters"

    script_cnt_grp_name = Param(str, "script")
    script_counter = Param(str, setter="add_counter")

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self._declared: list[tuple[str, str, str]] = []

    def add_counter(self, text: str) -> None:
        """`[group.]name [description]`, the description after a space or a colon."""
        name, _, help = text.strip().replace(":", " ", 1).partition(" ")
        group, dot, rest = name.partition(".")
        if not name or (dot and not (group and rest)):
            raise ValueError(f"bad counter definition [{text}]")
        self._declared.append((group, rest, help.strip()) if dot else ("", name, help.strip()))

    def mod_init(self) -> None:
        for group, name, help in self._declared:
            self.core.statistic(group or self.script_cnt_grp_name, name)
            self.core.statistics.describe(group or self.script_cnt_grp_name, name, help or "custom script counter.")
        self._known = {
            (group or self.script_cnt_grp_name, name): self.core.statistic(group or self.script_cnt_grp_name, name)
            for group, name, _ in self._declared
        }

    # functions

    def _counter(self, text: str) -> int:
        """The id of `[group.]name`; -1 with an error line if the config declares no such counter."""
        group, dot, name = text.partition(".")
        key = (group, name) if dot else (self.script_cnt_grp_name, text)
        counter = self._known.get(key, -1)
        if counter < 0:
            log.err(f"counter not found: {text}")
        return counter

    @function("cnt_inc", STR, routes=COUNTING)
    def cnt_inc(self, ctx: Context, name: str) -> int:
        return self.cnt_add(ctx, name, 1)

    @function("cnt_add", STR, INT, routes=COUNTING)
    def cnt_add(self, ctx: Context, name: str, n: int) -> int:
        counter = self._counter(name)
        if counter < 0:
            return -1
        self.core.count(counter, n)
        return 1

    @function("cnt_reset", STR, routes=COUNTING)
    def cnt_reset(self, ctx: Context, name: str) -> int:
        counter = self._counter(name)
        if counter < 0:
            return -1
        self.core.shm.counters.reset(counter)
        return 1

    # RPC

    def _find(self, group: str, name: str) -> Statistic:
        found = self.core.statistics.find(group, name)
        if found is None:
            raise RpcFault(400, f"non-existent counter {group}.{name}\n")
        return found

    @rpc("cnt.get", "s*s", "The value of a counter, or of all of a group.")
    def get(self, call: Call, group: str, name: str | None = None) -> Any:
        return self.get_vars(call, group) if name is None else self._find(group, name).read()

    @rpc("cnt.get_raw", "ss", "The value of a counter as it is counted.")
    def get_raw(self, call: Call, group: str, name: str) -> int:
        return self._find(group, name).read()

    @rpc("cnt.reset", "ss", "Let a counter start from zero.")
    def reset(self, call: Call, group: str, name: str) -> None:
        self.core.statistics.reset(self._find(group, name))

    @rpc("cnt.grps_list", "", "Names of all groups.", array=True)
    @rpc("cnt.list_groups", "", "Names of all groups.", array=True)
    def list_groups(self, call: Call) -> Iterator[str]:
        yield from self.core.statistics.groups()

    @rpc("cnt.var_list", "s", "Names of a group's counters.", array=True)
    @rpc("cnt.list_vars", "s", "Names of a group's counters.", array=True)
    def list_vars(self, call: Call, group: str) -> Iterator[str]:
        yield from (one.name for one in self.core.statistics.of(group))

    @rpc("cnt.grp_get_all", "s", "All counters of a group.")
    @rpc("cnt.get_vars", "s", "All counters of a group.")
    def get_vars(self, call: Call, group: str) -> dict[str, int]:
        return {one.name: one.read() for one in self.core.statistics.of(group)}

    @rpc("cnt.help", "ss", "What a counter counts.")
    def help(self, call: Call, group: str, name: str) -> str:
        return self._find(group, name).help
