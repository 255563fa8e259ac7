"""Variables of a config's own: `group.name = value`, and the instances of a group, `group[2].name = value`.

What a script reads is the value of the instance that cfg_select() chose for this message, else of the group itself.
Groups of modules are not here (cfg_variables.py), only the instances that were made of them.
"""

from __future__ import annotations

from kamailio_py.config.nodes import CustomParameter

Value = int | str


class Groups:
    """All groups; `selected` is the choice of the message at hand, group -> instance."""

    __slots__ = ("_base", "_base_instances", "_instances", "_values", "descriptions", "selected")

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], Value] = {}
        self._instances: dict[tuple[str, int], dict[str, Value]] = {}
        self._base: dict[tuple[str, str], Value] = {}
        self._base_instances: dict[tuple[str, int], dict[str, Value]] = {}
        self.descriptions: dict[tuple[str, str], str] = {}
        self.selected: dict[str, int] = {}

    def add(self, parameter: CustomParameter) -> None:
        """Take a line of the config; the last one of a name counts."""
        if parameter.instance is None:
            self._values[parameter.group, parameter.name] = parameter.value
            self.descriptions[parameter.group, parameter.name] = parameter.description
        else:
            self._instances.setdefault((parameter.group, parameter.instance), {})[parameter.name] = parameter.value

    def __contains__(self, group: str) -> bool:
        return any(known == group for known, _ in (*self._values, *self._instances))

    def names(self) -> list[str]:
        """Groups, in the order of the config."""
        return list(dict.fromkeys(group for group, _ in self._values))

    def variables(self, group: str) -> list[str]:
        return [name for known, name in self._values if known == group]

    # the config's own values, and back to them

    def note_base(self) -> None:
        """What is there now is what the config says."""
        self._base = dict(self._values)
        self._base_instances = {key: dict(values) for key, values in self._instances.items()}

    def base(self, group: str, name: str) -> Value | None:
        """The value of the config, None for an unknown name."""
        return self._base.get((group, name))

    def restore(self) -> None:
        self._values = dict(self._base)
        self._instances = {key: dict(values) for key, values in self._base_instances.items()}

    # values

    def get(self, group: str, name: str) -> Value | None:
        """The value in force, None for an unknown name."""
        number = self.selected.get(group)
        if number is not None:
            values = self.values_of(group, number)
            if name in values:
                return values[name]
        return self._values.get((group, name))

    def own(self, group: str, name: str) -> Value | None:
        """The group's value, whatever was selected."""
        return self._values.get((group, name))

    def set(self, group: str, name: str, value: Value) -> bool:
        """Change the group's own value; False for a name the config does not have."""
        if (group, name) not in self._values:
            return False
        self._values[group, name] = value
        return True

    # instances

    def has_instance(self, group: str, number: int) -> bool:
        return (group, number) in self._instances

    def values_of(self, group: str, number: int) -> dict[str, Value]:
        """The values an instance has of its own."""
        return self._instances.get((group, number), {})

    def put_instance(self, group: str, number: int, there: bool) -> None:
        """Make an instance, or remove it."""
        if there:
            self._instances.setdefault((group, number), {})
        else:
            self._instances.pop((group, number), None)

    def put(self, group: str, number: int, name: str, value: Value | None) -> None:
        """Give an instance a value of its own; None takes it away."""
        values = self._instances.get((group, number))
        if values is not None and value is None:
            values.pop(name, None)
        elif values is not None and value is not None:
            values[name] = value

    def select(self, group: str, number: int) -> bool:
        """Have an instance's values stand in for the group's; False when there is no such instance."""
        if (group, number) not in self._instances:
            return False
        self.selected[group] = number
        return True

    def reset(self, group: str) -> None:
        """Back to the group's own values."""
        self.selected.pop(group, None)
