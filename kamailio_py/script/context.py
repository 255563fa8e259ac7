"""The context of one run of a route: the message and everything private to its processing.

A context lives in one process and ends with the script. What must survive a suspension is saved by tm into the
transaction's cell (AVPs, XAVPs, flags, lumps, branches) and put into a new context when another process resumes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamailio_py.config.host import RouteType

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.sip.message import Message


class Context:
    """What every script function gets first.

    core        the server: parameters, modules, shared memory, clock
    msg         the message being processed
    route_type  kind of the running route (one bit of RouteType)
    rc          `$rc`: result of the last module function or route; 0 at the start of a run
    dropped     the run ended by `drop`
    avps        name (str or int) -> values, newest first; values are str or int
    xavps, xavus, xavis   name -> list of values, newest first; a value is str, int or a dict of the same kind
    t           the transaction this run belongs to (modules.tm's object), or None
    tm          tm's own notes before a transaction exists (armed routes, timers), or None
    branch      index of the branch in branch, failure and reply routes, -1 otherwise
    task_data   `$async(data)` of a task without message, else None
    task_group  `$async(gname)`
    notes       other modules' notes for this run, by module name; made by `note()`
    """

    __slots__ = (
        "avps", "branch", "core", "dropped", "msg", "notes", "rc", "route_type", "t", "task_data", "task_group",
        "tm", "xavis", "xavps", "xavus",
    )  # fmt: skip

    def __init__(self, core: Core, msg: Message, route_type: RouteType = RouteType.REQUEST) -> None:
        self.core = core
        self.msg = msg
        self.route_type = route_type
        self.rc = 0
        self.dropped = False
        self.avps: dict[str | int, list[Any]] = {}
        self.xavps: dict[str, list[Any]] = {}
        self.xavus: dict[str, list[Any]] = {}
        self.xavis: dict[str, list[Any]] = {}
        self.t: Any = None
        self.tm: Any = None
        self.branch = -1
        self.task_data: str | None = None
        self.task_group: str | None = None
        self.notes: dict[str, Any] | None = None

    def note(self, module: str, default: Any) -> Any:
        """The notes of `module` for this run, made from `default` at first use."""
        if self.notes is None:
            self.notes = {}
        return self.notes.setdefault(module, default)
