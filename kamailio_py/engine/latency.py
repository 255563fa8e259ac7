"""What takes long is told in the log: actions, routes, database statements (latency_limit_action, _cfg and _db).

Times are microseconds. Nothing is measured unless the config asks for it: actions and statements where their limit is
set when the config is loaded, routes while lines of the level latency_cfg_log are shown.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from kamailio_py import log
from kamailio_py.config.emitter_traces import MODULE_FUNCTION, Action
from kamailio_py.db.connection import Connection

if TYPE_CHECKING:
    from kamailio_py.config.host import RouteType
    from kamailio_py.config.program import Entry
    from kamailio_py.engine.core import Core
    from kamailio_py.script.context import Context

logger = log.get_logger()

MODULE_FUNCTIONS = range(MODULE_FUNCTION, MODULE_FUNCTION + 7)


class Latency:
    """See the head of the file; `cfg` may change while the server runs."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.cfg = core.cfg

    @property
    def of_actions(self) -> Callable[[int, Action], None] | None:
        """What the compiled script calls after each action, with when it began; None where nobody wants to know."""
        return self._action if self.cfg.latency_limit_action > 0 else None

    def _action(self, begun: int, action: Action) -> None:
        took = (perf_counter_ns() - begun) // 1000
        limit = self.cfg.latency_limit_action
        if 0 < limit <= took:
            name = action.name if action.number in MODULE_FUNCTIONS else "corefunc"
            where = f"{action.path}:{action.line}"
            logger.at(
                self.cfg.latency_log,
                f"alert - action [{name} ({action.number})] cfg [{where}] took too long [{took} us]",
            )

    @property
    def of_routes(self) -> Callable[[Entry, Context, RouteType], int]:
        """Runs a top-level route: `core.run`, or what tells how long that took."""
        return self._run if logger.enabled(self.cfg.latency_cfg_log) else self.core.run

    def _run(self, entry: Entry, ctx: Context, route_type: RouteType) -> int:
        kind = "request" if ctx.msg.is_request else "reply"
        begun = perf_counter_ns()
        result = self.core.run(entry, ctx, route_type)
        took = (perf_counter_ns() - begun) // 1000
        if took >= self.cfg.latency_limit_cfg:
            logger.at(self.cfg.latency_cfg_log, f"{kind}-route executed in: {took} usec")
        return result

    def watched(self, open: Callable[[Any], Connection]) -> Callable[[Any], Connection]:
        """`open`, whose connections tell of statements that take long, where the config wants that."""
        return self._opener(open) if self.cfg.latency_limit_db > 0 else open

    def _opener(self, open: Callable[[Any], Connection]) -> Callable[[Any], Connection]:
        def opened(url: Any) -> Connection:
            connection = open(url)
            execute = getattr(connection, "execute", None)
            if execute is not None:  # it speaks SQL
                connection.execute = lambda statement, values: self._statement(execute, statement, values)  # type: ignore[attr-defined]
            return connection

        return opened

    def _statement(self, execute: Callable[..., Any], statement: str, values: Any) -> Any:
        begun = perf_counter_ns()
        try:
            return execute(statement, values)
        finally:
            took = (perf_counter_ns() - begun) // 1000
            if took >= self.cfg.latency_limit_db:
                logger.at(self.cfg.latency_log, f"alert - query execution too long [{took} us] for [{statement[:50]}]")
