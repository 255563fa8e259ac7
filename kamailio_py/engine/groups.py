"""Variables of a config's own: `group.name = value`, and the instances of a group, `group[2].name = value`.

What a script reads is the value of the instance that cfg_select() chose for this message, else of the group itself.
"""

from __future__ import annotations

from kamailio_py.config.nodes import CustomParameter

Value = int | str


class Groups:
    """All groups; `selected` is the choice of the message at hand, group -> instance."""

    __slots__ = ("_instances", "_values", "selected")

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], Value] = {}
        self._instances: dict[tuple[str, int], dict[str, Value]] = {}
        self.selected: dict[str, int] = {}

    def add(self, parameter: CustomParameter) -> None:
        """Take a line of the config; the last one of a name counts."""
        if parameter.instance is None:
            self._values[parameter.group, parameter.name] = parameter.value
        else:
            self._instances.setdefault((parameter.group, parameter.instance), {})[parameter.name] = parameter.value

    def __contains__(self, group: str) -> bool:
        return any(known == group for known, _ in (*self._values, *self._instances))

    def get(self, group: str, name: str) -> Value | None:
        """The value in force, None for an unknown name."""
        number = self.selected.get(group)
        if number is not None:
            values = self._instances[group, number]
            if name in values:
                return values[name]
        return self._values.get((group, name))

    def set(self, group: str, name: str, value: Value) -> bool:
        """Change the group's own value; False for a name the config does not have."""
        if (group, name) not in self._values:
            return False
        self._values[group, name] = value
        return True

    def select(self, group: str, number: int) -> bool:
        """Have an instance's values stand in for the group's; False when there is no such instance."""
        if (group, number) not in self._instances:
            return False
        self.selected[group] = number
        return True

    def reset(self, group: str) -> None:
        """Back to the group's own values."""
        self.selected.pop(group, None)
