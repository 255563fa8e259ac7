"""The statistics module: statistics of the script's own, in the group `script`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.config.arguments import STR
from kamailio_py.config.host import RouteType
from kamailio_py.engine.statistics import Statistic
from kamailio_py.log import get_logger
from kamailio_py.module import Module, Param, function

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.script.context import Context

log = get_logger("statistics")

GROUP = "script"
RESETTING = (
    RouteType.REQUEST | RouteType.FAILURE | RouteType.ONREPLY | RouteType.BRANCH | RouteType.LOCAL
    | RouteType.CORE_ONREPLY
)  # fmt: skip


class Statistics(Module):
    """Statistics of the script's own."""

    name = "statistics"

    variable = Param(str, setter="add_variable")

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self._declared: dict[str, bool] = {}
        self._found: dict[str, Statistic | None] = {}

    def add_variable(self, text: str) -> None:
        """`name`, or `name/no_reset` for one that is never reset."""
        name, slash, flag = text.strip().partition("/")
        if not name or (slash and flag.lower() != "no_reset"):
            log.err(f'unsupported flag "{flag}"')
            raise ValueError(f"bad statistic [{text}]")
        self._declared[name] = bool(slash)

    def mod_init(self) -> None:
        for name, fixed in self._declared.items():
            self.core.statistic(GROUP, name)
            self.core.statistics.describe(GROUP, name, fixed=fixed)

    def _statistic(self, name: str) -> Statistic | None:
        """A counter of any module, by its name; remembered."""
        if name not in self._found:
            found = self.core.statistics.named(name)
            self._found[name] = found if found is not None and found.counter >= 0 else None
        if self._found[name] is None:
            log.err(f"variable <{name}> not defined")
        return self._found[name]

    @function("update_stat", STR, STR)
    def update_stat(self, ctx: Context, name: str, value: str) -> int:
        """Add a number, which may have a sign."""
        statistic = self._statistic(name)
        try:
            n = int(value)
        except ValueError:
            log.err(f"value <{value}> is not an integer")
            return -1
        if statistic is None or not n:
            return -1
        self.core.count(statistic.counter, n)
        return 1

    @function("reset_stat", STR, routes=RESETTING)
    def reset_stat(self, ctx: Context, name: str) -> int:
        statistic = self._statistic(name)
        if statistic is None:
            return -1
        self.core.statistics.reset(statistic)
        return 1
