"""The statistics as Kamailio's tools know them: groups of named numbers, `core.statistics`.

Those that are counted are counters in shared memory; others a module computes when asked, and cannot be reset. What
only this server counts is left out. Takes no lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from kamailio_py.dataclass import dataclass

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core

UNDESCRIBED = "kamailio statistic (no description)"
OWN_GROUPS = frozenset(("tm",))
OWN = frozenset((("core", "restarted_processes"), ("core", "internal_errors")))
"""What Kamailio has no statistic for."""


@dataclass(frozen=True, slots=True)
class Statistic:
    """One number; `counter` is the id of its counter, -1 for one that is computed."""

    group: str
    name: str
    read: Callable[[], int]
    counter: int = -1
    help: str = UNDESCRIBED
    fixed: bool = False

    @property
    def resettable(self) -> bool:
        return self.counter >= 0 and not self.fixed


class Statistics:
    """See the head of the file."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._helps: dict[tuple[str, str], str] = {}
        self._fixed: set[tuple[str, str]] = set()
        self._computed: dict[tuple[str, str], Callable[[], int]] = {}

    def describe(self, group: str, name: str, help: str = "", *, fixed: bool = False) -> None:
        """Say what a counter counts, or that it is never reset."""
        if help:
            self._helps[group, name] = help
        if fixed:
            self._fixed.add((group, name))

    def compute(self, group: str, name: str, read: Callable[[], int]) -> None:
        """Have a statistic that is no counter of its own."""
        self._computed[group, name] = read

    def groups(self) -> list[str]:
        return sorted({statistic.group for statistic in self._all()})

    def of(self, group: str) -> list[Statistic]:
        """The statistics of a group by name; none if there is no such group."""
        return sorted((one for one in self._all() if one.group == group), key=lambda one: one.name)

    def all(self) -> list[Statistic]:
        return sorted(self._all(), key=lambda one: (one.group, one.name))

    def find(self, group: str, name: str) -> Statistic | None:
        return next((one for one in self._all() if one.group == group and one.name == name), None)

    def named(self, name: str) -> Statistic | None:
        """The statistic of this name, in whichever group it is."""
        return next((one for one in self.all() if one.name == name), None)

    def selected(self, text: str) -> list[Statistic]:
        """What `all`, `group:` or a name stands for."""
        if text == "all":
            return self.all()
        if text.endswith(":"):
            return self.of(text[:-1])
        found = self.named(text)
        return [found] if found is not None else []

    def reset(self, statistic: Statistic) -> None:
        if statistic.resettable:
            self.core.shm.counters.reset(statistic.counter)

    def _all(self) -> Iterator[Statistic]:
        counters = self.core.shm.counters
        for group, name, counter in counters.names():
            if group not in OWN_GROUPS and (group, name) not in OWN:
                key = group, name
                yield Statistic(
                    group, name, partial(counters.total, counter), counter, self._helps.get(key, UNDESCRIBED),
                    key in self._fixed,
                )  # fmt: skip
        for (group, name), read in self._computed.items():
            yield Statistic(group, name, read)
        for module in self.core.modules.values():
            group = module.computed_group or module.name
            for name, read in module.computed_statistics().items():
                yield Statistic(group, name, read)
