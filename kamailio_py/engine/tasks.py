"""Async task workers: groups of processes that take tasks out of a queue in shared memory.

`async_workers=N` makes the group "default", each `async_workers_group="name=x;workers=n;..."` one more. A task is
a kind (who handles it) and three words; the texts that belong to it lie in the arena.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from kamailio_py.dataclass import dataclass, field
from kamailio_py.engine.plan import ProcessSpec
from kamailio_py.log import get_logger

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.shm.queue import Queue
    from kamailio_py.shm.records import Record

logger = get_logger()

RANK_RPC = -2
CAPACITY = 65536
"""Tasks waiting in one group before `put` answers False. Memory is only touched as far as the queue fills."""


@dataclass(slots=True)
class TaskGroup:
    """One group of workers; `nonblock` and `usleep` are kept for who looks, a full queue is an answer in both modes."""

    name: str
    workers: int
    nonblock: int = 0
    usleep: int = 0
    number: int = field(init=False)
    """Its place in the order of the config."""
    queue: Queue = field(init=False)
    """Both set by TaskQueues.create."""

    def put(self, kind: int, a: int = 0, b: int = 0, c: int = 0) -> bool:
        """Queue a task for one of the group's workers; False when the queue is full."""
        return self.queue.put(kind, a, b, c)


class TaskQueues:
    """All worker groups of the server, in the order of the config, "default" first."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.groups: dict[str, TaskGroup] = {}
        self._handlers: list[Callable[[int, int, int], None]] = []

    def kind(self, name: str, handler: Callable[[int, int, int], None], holds: type[Record] | None = None) -> int:
        """Register who handles tasks of this kind; before forking. `holds` says what their three words are."""
        number = len(self._handlers)
        self._handlers.append(handler)
        self.core.shm.kind(name, number, holds)
        return number

    def group(self, name: str = "default") -> TaskGroup | None:
        return self.groups.get(name)

    def create(self) -> None:
        """Make the groups the config asks for; before mod_init, once shared memory is there."""
        cfg = self.core.cfg
        if cfg.async_workers > 0:
            self._add(TaskGroup("default", cfg.async_workers, cfg.async_nonblock, cfg.async_usleep))
        for text in cfg.async_workers_group:
            self._add(parse_group(text))

    def _add(self, group: TaskGroup) -> None:
        if group.name in self.groups:
            logger.err(f"group name already exists: {group.name}")
            return
        group.number = len(self.groups)
        group.queue = self.core.shm.queue(f"async:{group.name}", CAPACITY)
        self.groups[group.name] = group

    def processes(self) -> list[ProcessSpec]:
        return [
            ProcessSpec(f"Async Task Worker - {group.name}", RANK_RPC, partial(self.work, group))
            for group in self.groups.values()
            for _ in range(group.workers)
        ]

    def work(self, group: TaskGroup, process: Any) -> None:
        """A worker's loop: take a task, handle it, until the process is to stop."""
        queue, handlers, processes = group.queue, self._handlers, self.core.shm.processes
        while not process.stopping:
            with process.idle:
                task = queue.get()
            if task is not None:
                kind, a, b, c = task
                processes.resume()
                handlers[kind](a, b, c)
                queue.done()
                processes.finish()


def parse_group(text: str) -> TaskGroup:
    """`name=reg;workers=4;nonblock=1;usleep=100`; ValueError for anything else."""
    values = {"name": "", "workers": "1", "nonblock": "0", "usleep": "0"}
    for part in text.split(";"):
        if not part.strip():
            continue
        key, separator, value = part.partition("=")
        if not separator or key.strip() not in values:
            raise ValueError(f"invalid async_workers_group parameter: {part.strip()}")
        values[key.strip()] = value.strip()
    if not values["name"]:
        raise ValueError("async_workers_group without a name")
    try:
        return TaskGroup(values["name"], int(values["workers"]), int(values["nonblock"]), int(values["usleep"]))
    except ValueError:
        raise ValueError(f"invalid number in async_workers_group: {text}") from None
