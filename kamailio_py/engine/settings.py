"""The values of the global parameters: `core.cfg.children`, `core.cfg.debug`, ...

Variables of the config's own, `group.name`, are in `groups`.
"""

from __future__ import annotations

from typing import Any

from kamailio_py.config.parameters import PARAMETERS
from kamailio_py.engine.groups import Groups

REPEATED = ("async_workers_group",)
"""Parameters of which every line counts; their value is a list."""


class GlobalValues:
    """Every parameter is an attribute under its first name; what the config does not set has Kamailio's default."""

    # PyPy would look so many attributes up in a dictionary; it is there for those with a point in their name
    __slots__ = ("__dict__", "groups", *{one.name for one in PARAMETERS.values() if "." not in one.name})

    def __init__(self) -> None:
        self.groups = Groups()
        for parameter in PARAMETERS.values():
            default: Any = parameter.default
            if default is None:
                default = "" if parameter.kind in ("string", "id", "word", "host", "ipv4", "ipv6") else 0
            setattr(self, parameter.name, [] if parameter.name in REPEATED else default)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"there is no global parameter {name}")

    def set(self, name: str, value: int | str) -> None:
        """Set a parameter by any of its names; ValueError when there is none of that name."""
        parameter = PARAMETERS.get(name)
        if parameter is None:
            raise ValueError(f"unknown config variable {name}")
        if parameter.name in REPEATED:
            getattr(self, parameter.name).append(value)
        else:
            setattr(self, parameter.name, value)
