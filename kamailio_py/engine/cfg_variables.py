"""The cfg framework: variables that can be changed while the server runs, `core.variables`.

A variable has a group (`core`, `tcp`, a module's name, one of the config's own) and lives where its reader looks for
it: in `core.cfg`, in an attribute of the module, in `core.cfg.groups`. A change is made in shared memory
(cfg_changes.py); each process takes it over before its next message, task or timer (`look()`), so that no script
sees a value change under its hands. Instances of a group, `group[2]`, have values of their own that cfg_select() puts
in force for one message.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

from kamailio_py import log
from kamailio_py.config.parameters import PARAMETERS
from kamailio_py.engine.cfg_changes import Change, Changes
from kamailio_py.engine.cfg_core import CORE, TCP
from kamailio_py.module import CfgVariable

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.module import Module

logger = log.get_logger()

Value = int | str | None


class ChangeRefused(Exception):
    """A change that is not made; the text was logged."""


class Variable:
    """A declared variable and where its value is."""

    __slots__ = ("attribute", "base", "declared", "holder")

    def __init__(self, declared: CfgVariable, holder: Any, attribute: str) -> None:
        self.declared = declared
        self.holder = holder
        self.attribute = attribute
        self.base: Value = None

    def get(self) -> Value:
        return getattr(self.holder, self.attribute)

    def put(self, value: Value) -> None:
        setattr(self.holder, self.attribute, value)


class CfgVariables:
    """See the head of the file."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.known: dict[str, dict[str, Variable]] = {}
        self.changes: Changes = None  # type: ignore[assignment]  # made by create
        self.version = 0
        self._set: dict[tuple[str, str], Value] = {}
        self._watchers: dict[str, list[Callable[[], None]]] = {}
        own = SimpleNamespace()
        for group, prefix, declared in (("core", "", CORE), ("tcp", "tcp_", TCP)):
            self.known[group] = {}
            for one in declared:
                name = one.parameter if one.parameter is not None else f"{prefix}{one.name}"
                holder = core.cfg if name in PARAMETERS else own
                attribute = PARAMETERS[name].name if name in PARAMETERS else f"{group}_{one.name}"
                if holder is own:
                    setattr(own, attribute, one.default)
                self.known[group][one.name] = Variable(one, holder, attribute)
        self.watch("core", self._core_changed)

    def declare(self, module: Module) -> None:
        """Add the variables of a module that was loaded."""
        params = type(module).params()
        if not module.cfg_variables:
            return
        name_of_group = module.cfg_group or module.name
        group = self.known[name_of_group] = {}
        for one in module.cfg_variables:
            name = one.parameter if one.parameter is not None else one.name
            attribute = params[name].attribute if name in params else f"cfg_{one.name}"
            if name not in params:
                setattr(module, attribute, one.default)
            group[one.name] = Variable(one, module, attribute)
        self.watch(name_of_group, module.cfg_changed)

    def watch(self, group: str, changed: Callable[[], None]) -> None:
        """Have `changed()` called in a process whenever it took over changes of this group."""
        self._watchers.setdefault(group, []).append(changed)

    def create(self) -> None:
        """Make the lists in shared memory and note the config's values; before modules are initialised."""
        for group in self.known.values():
            for variable in group.values():
                variable.base = variable.get()
        self.core.cfg.groups.note_base()
        self.changes = Changes(self.core.shm)

    # taking over

    def look(self) -> None:
        """Take over what changed since the last look."""
        if self.changes.words[self.changes.at] != self.version:
            self.take_over()

    def take_over(self) -> None:
        groups = self.core.cfg.groups
        self.version, changes = self.changes.snapshot()
        groups.restore()
        self._set = wanted = {}
        for group, instance, name, value in changes:
            if instance < 0 and group in self.known:
                wanted[group, name] = value
            elif instance < 0:
                groups.set(group, name, value)  # type: ignore[arg-type]
            elif not name:
                groups.put_instance(group, instance, value is not None)
            else:
                groups.put(group, instance, name, value)
        touched = set()
        for group, variables in self.known.items():
            for name, variable in variables.items():
                value = wanted.get((group, name), variable.base)
                if value != variable.get():
                    variable.put(value)
                    touched.add(group)
        self._tell(touched)
        for group, instance in list(groups.selected.items()):
            if not self.select(group, instance):
                self.unselect(group)

    def _tell(self, touched: set[str]) -> None:
        for group in touched:
            for changed in self._watchers.get(group, ()):
                changed()

    def _core_changed(self) -> None:
        cfg = self.core.cfg
        log.settings.level = cfg.debug
        log.set_facility(cfg.log_facility)

    # instances in force for one message

    def select(self, group: str, number: int) -> bool:
        """Have an instance's values stand in for the group's; False when there is no such instance."""
        groups = self.core.cfg.groups
        if not groups.select(group, number):
            return False
        for name, variable in self.known.get(group, {}).items():
            variable.put(groups.values_of(group, number).get(name, self._own(group, name)))
        self._tell({group} & self.known.keys())
        return True

    def unselect(self, group: str) -> None:
        """Back to the group's own values."""
        self.core.cfg.groups.reset(group)
        for name, variable in self.known.get(group, {}).items():
            variable.put(self._own(group, name))
        self._tell({group} & self.known.keys())

    def unselect_all(self) -> None:
        """For the next message."""
        for group in list(self.core.cfg.groups.selected):
            self.unselect(group)

    # reading

    def groups(self) -> list[str]:
        """Names of all groups, those declared last first, as Kamailio lists them."""
        return [*reversed(self.known), *reversed(self.core.cfg.groups.names())]

    def names(self, group: str) -> list[str]:
        """Names of a group's variables, none for a group that does not exist."""
        return list(self.known[group]) if group in self.known else self.core.cfg.groups.variables(group)

    def declared(self, group: str, name: str) -> CfgVariable | None:
        """What is known of a variable, None if there is no such."""
        if group in self.known:
            variable = self.known[group].get(name)
            return variable.declared if variable else None
        groups = self.core.cfg.groups
        value = groups.own(group, name)
        if value is None:
            return None
        return CfgVariable(name, groups.descriptions.get((group, name), ""), text=isinstance(value, str))

    def has_instance(self, group: str, instance: int) -> bool:
        return self.core.cfg.groups.has_instance(group, instance)

    def value(self, group: str, name: str, instance: int = -1) -> Value:
        """The value in force now, or that of an instance; None where there is none."""
        groups = self.core.cfg.groups
        if instance >= 0:
            values = groups.values_of(group, instance)
            return values[name] if name in values else self._own(group, name)
        if group in self.known:
            variable = self.known[group].get(name)
            return variable.get() if variable else None
        return groups.get(group, name)

    def readable(self, group: str, name: str) -> Value:
        """The value in force for a script; None also where Kamailio does not let one read it."""
        declared = self.declared(group, name)
        return None if declared is None or declared.hidden else self.value(group, name)

    def shown_value(self, group: str, name: str, instance: int = -1) -> Value:
        """The value as cfg.get answers it: a text of the core or a module that was never set is no text."""
        value = self.value(group, name, instance)
        return None if value == "" and self.is_declared(group) and self.base(group, name) == "" else value

    def is_declared(self, group: str) -> bool:
        """Is it a group of the core or a module, not one of the config's own?"""
        return group in self.known

    def _own(self, group: str, name: str) -> Value:
        """The group's own value, whatever was selected."""
        if group not in self.known:
            return self.core.cfg.groups.own(group, name)
        return self._set.get((group, name), self.known[group][name].base)

    # changing

    def set_now(self, group: str, instance: int, name: str, value: int | str) -> None:
        """Change a variable in all processes; in this one at once. ChangeRefused, logged, if that cannot be."""
        try:
            stored = self._checked(group, instance, name, value)
            self._make([Change(group, instance, name, stored)])
        except ChangeRefused:
            logger.err(f"failed to set the variable: {group}.{name}")
            raise
        shown = f'"{value}"' if isinstance(value, str) else value
        logger.info(f"{group}.{name} has been changed to {shown}")
        if instance >= 0:
            logger.info(f"group id = {instance}")

    def set_delayed(self, group: str, instance: int, name: str, value: int | str) -> None:
        """Change it when commit() is called."""
        try:
            self._delay(Change(group, instance, name, self._checked(group, instance, name, value, exists=False)))
        except ChangeRefused:
            logger.err(f"failed to set the variable: {group}.{name}")
            raise
        shown = f'"{value}"' if isinstance(value, str) else value
        logger.info(f"{group}.{name} is going to be changed to {shown}")

    def delete_now(self, group: str, instance: int, name: str) -> None:
        """Let the group's own value count for an instance."""
        self._deletable(group, instance, name)
        self._make([Change(group, instance, name, None)])
        logger.info(f"{group}.{name} has been deleted")

    def delete_delayed(self, group: str, instance: int, name: str) -> None:
        self._deletable(group, instance, name, exists=False)
        self._delay(Change(group, instance, name, None))

    def commit(self) -> None:
        """Make all delayed changes at once; ChangeRefused, and none is made, if one of them cannot be."""
        pending = self.changes.pending()
        for change in pending:
            if change.instance >= 0 and not self.has_instance(change.group, change.instance):
                self._refuse(f"global group instance {change.group}[{change.instance}] is not found")
        self._make(pending)
        self.changes.forget_pending()
        logger.info("config changes have been applied")

    def rollback(self) -> None:
        self.changes.forget_pending()
        logger.info("deleting the config changes")

    def difference(self) -> list[tuple[Change, Value, Value]]:
        """Delayed changes, each with the old and the new value; by group, as groups() has them, and instance."""
        order = {group: number for number, group in enumerate(self.groups())}
        found = []
        for change in sorted(self.changes.pending(), key=lambda c: (order.get(c.group, -1), c.instance)):
            old = self.value(change.group, change.name, change.instance)
            new = change.value if change.value is not None else self._own(change.group, change.name)
            found.append((change, old, new))
        return found

    def add_instance(self, group: str, instance: int) -> None:
        if not self.names(group):
            self._refuse("group not found")
        if not self.has_instance(group, instance):
            self._make([Change(group, instance, "", 1)])
        logger.info(f"group instance is added: {group}[{instance}]")

    def delete_instance(self, group: str, instance: int) -> None:
        if not self.has_instance(group, instance):
            self._refuse(f"Failed to delete the group instance: {group}[{instance}]")
        values = self.core.cfg.groups.values_of(group, instance)
        self._make([*(Change(group, instance, name, None) for name in values), Change(group, instance, "", None)])
        logger.info(f"group instance is deleted: {group}[{instance}]")

    def base(self, group: str, name: str) -> Value:
        """The value of the config."""
        return self.known[group][name].base if group in self.known else self.core.cfg.groups.base(group, name)

    # checks

    def _checked(self, group: str, instance: int, name: str, value: int | str, *, exists: bool = True) -> int | str:
        """The value as it is stored; ChangeRefused for a variable or value that is none."""
        declared = self.declared(group, name)
        if declared is None:
            self._refuse(f"variable not found: {group}.{name}")
        if declared.read_only:
            self._refuse("variable is read-only")
        stored: int | str = str(value) if declared.text else self._number(value)
        if isinstance(stored, int) and (
            (declared.low is not None and stored < declared.low)
            or (declared.high is not None and stored > declared.high)
        ):
            self._refuse("integer value is out of range")
        if exists and instance >= 0 and not self.has_instance(group, instance):
            self._refuse(f"global group instance {group}[{instance}] is not found")
        if declared.check is not None:
            try:
                stored = declared.check(stored)
            except ValueError as error:
                logger.err(str(error))
                self._refuse("fixup failed")
        if declared.conflict is not None and (reason := declared.conflict(self.core.cfg, stored)):
            logger.err(reason)
            self._refuse("fixup failed")
        return stored

    def _number(self, value: int | str) -> int:
        try:
            return int(value)
        except ValueError:
            self._refuse(f"cannot convert string to integer '{value}'")

    def _deletable(self, group: str, instance: int, name: str, *, exists: bool = True) -> None:
        if self.declared(group, name) is None:
            self._refuse(f"variable not found: {group}.{name}")
        if exists and not self.has_instance(group, instance):
            self._refuse(f"global group instance {group}[{instance}] is not found")

    def _make(self, changes: Sequence[Change]) -> None:
        if not self.changes.make(changes):
            self._refuse("not enough shm memory")
        self.look()

    def _delay(self, change: Change) -> None:
        if not self.changes.delay(change):
            self._refuse("not enough shm memory")

    @staticmethod
    def _refuse(text: str) -> NoReturn:
        logger.err(text)
        raise ChangeRefused(text)
