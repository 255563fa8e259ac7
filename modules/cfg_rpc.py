"""The cfg_rpc module: RPC commands that read and change the variables of the cfg framework.

What they work on is `core.variables` (engine/cfg_variables.py); here are only their arguments, answers and faults.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from kamailio_py.engine.cfg_variables import ChangeRefused
from kamailio_py.module import Module, RpcFault, rpc
from kamailio_py.rpc.call import Call, ScanFault

_GROUP = re.compile(r"(?P<name>[^\[]*)\[(?P<number>.*)\]", re.DOTALL)


def group_instance(text: str) -> tuple[str, int]:
    """`group` or `group[2]` as (name, number), -1 for the group itself; RpcFault if it is neither."""
    match = _GROUP.fullmatch(text)
    if match is None:
        return text, -1
    if not match["number"].isascii() or not match["number"].isdecimal() or int(match["number"]) > 0x7FFFFFFF:
        raise RpcFault(400, 'Wrong group syntax. Use either "group", or "group[id]"')
    return match["name"], int(match["number"])


def instance_only(text: str) -> tuple[str, int]:
    """As group_instance, where there must be a number."""
    try:
        group, number = group_instance(text)
    except RpcFault:
        number = -1
    if number < 0:
        raise RpcFault(400, 'Wrong group syntax. Use "group[id]"')
    return group, number


def attempt(fault: str, do: Callable[..., None], *arguments: Any) -> None:
    """Do it; RpcFault with this text if it is refused."""
    try:
        do(*arguments)
    except ChangeRefused:
        raise RpcFault(400, fault) from None


class CfgRpc(Module):
    """Variables of the running server."""

    name = "cfg_rpc"

    # changing

    @rpc("cfg.set", "SS", "Change a variable now.")
    def set(self, call: Call, group: str, name: str) -> None:
        self._set(call, group, name, self._number_or_text, self.core.variables.set_now)

    @rpc("cfg.set_now_int", "SS", "Change a variable now, by a number.")
    @rpc("cfg.seti", "SS", "Change a variable now, by a number.")
    def set_now_int(self, call: Call, group: str, name: str) -> None:
        self._set(call, group, name, lambda call: call.scan("d")[0], self.core.variables.set_now)

    @rpc("cfg.set_now_string", "SS", "Change a variable now, by a text.")
    @rpc("cfg.sets", "SS", "Change a variable now, by a text.")
    def set_now_string(self, call: Call, group: str, name: str) -> None:
        self._set(call, group, name, lambda call: call.scan("s")[0], self.core.variables.set_now)

    @rpc("cfg.set_delayed", "SS", "Change a variable with the next cfg.commit.")
    def set_delayed(self, call: Call, group: str, name: str) -> None:
        self._set(call, group, name, self._number_or_text, self.core.variables.set_delayed)

    @rpc("cfg.set_delayed_int", "SS", "Change a variable with the next cfg.commit, by a number.")
    def set_delayed_int(self, call: Call, group: str, name: str) -> None:
        self._set(call, group, name, lambda call: call.scan("d")[0], self.core.variables.set_delayed)

    @rpc("cfg.set_delayed_string", "SS", "Change a variable with the next cfg.commit, by a text.")
    def set_delayed_string(self, call: Call, group: str, name: str) -> None:
        self._set(call, group, name, lambda call: call.scan("s")[0], self.core.variables.set_delayed)

    @staticmethod
    def _number_or_text(call: Call) -> int | str:
        try:
            number: int = call.scan("d")[0]
            return number
        except ScanFault:
            text: str = call.scan("s")[0]
            return text

    @staticmethod
    def _set(call: Call, text: str, name: str, value: Callable[[Call], int | str], change: Callable[..., None]) -> None:
        given = value(call)
        attempt("Failed to set the variable", change, *group_instance(text), name, given)

    @rpc("cfg.del", "SS", "Let an instance have its group's value now.")
    def delete(self, call: Call, group: str, name: str) -> None:
        attempt("Failed to delete the value", self.core.variables.delete_now, *instance_only(group), name)

    @rpc("cfg.del_delayed", "SS", "Let an instance have its group's value with the next cfg.commit.")
    def delete_delayed(self, call: Call, group: str, name: str) -> None:
        attempt("Failed to delete the value", self.core.variables.delete_delayed, *instance_only(group), name)

    @rpc("cfg.commit", "", "Make all delayed changes.")
    def commit(self, call: Call) -> None:
        attempt("Failed to commit the changes", self.core.variables.commit)

    @rpc("cfg.rollback", "", "Forget all delayed changes.")
    def rollback(self, call: Call) -> None:
        self.core.variables.rollback()

    @rpc("cfg.reset", "S", "Give all variables of a group the values of the config.")
    def reset(self, call: Call, text: str) -> None:
        """Kamailio stops at the first variable that is a text. It does not survive a group of the config's own."""
        variables = self.core.variables
        group, instance = group_instance(text)
        names = variables.names(group)
        if names and instance >= 0 and not variables.has_instance(group, instance):
            raise RpcFault(500, "Reset failed")
        for name in names:
            declared = variables.declared(group, name)
            assert declared is not None
            own = not variables.is_declared(group)
            if declared.text and not own:
                raise RpcFault(500, "Reset failed" if declared.hidden else "Unsupported input type")
            base = variables.base(group, name)
            if declared.read_only or base is None or base == variables.value(group, name, instance):
                continue
            try:
                variables.set_now(group, instance, name, base)
            except ChangeRefused:
                raise RpcFault(500, "Reset failed") from None

    @rpc("cfg.add_group_inst", "S", "Make an instance of a group.")
    def add_group_instance(self, call: Call, text: str) -> None:
        attempt("Failed to add the group instance", self.core.variables.add_instance, *instance_only(text))

    @rpc("cfg.del_group_inst", "S", "Remove an instance of a group.")
    def delete_group_instance(self, call: Call, text: str) -> None:
        attempt("Failed to delete the group instance", self.core.variables.delete_instance, *instance_only(text))

    # reading

    @rpc(
        "cfg.get",
        "S*S",
        "The value of a variable, or of all of a group.",
        missing=(500, "Failed to get the parameters"),
    )
    def get(self, call: Call, text: str, name: str | None = None) -> Iterator[Any]:
        variables = self.core.variables
        group, instance = group_instance(text)
        if instance >= 0 and not variables.has_instance(group, instance):
            raise RpcFault(400, "Failed to get the variable")
        if name is None:
            yield {
                one: variables.shown_value(group, one, instance)
                for one in variables.names(group)
                if not variables.declared(group, one).hidden  # type: ignore[union-attr]
            }
            return
        declared = variables.declared(group, name)
        if declared is None:
            raise RpcFault(400, "Failed to get the variable")
        if declared.hidden:
            raise RpcFault(400, "Variable exists, but it is not readable via RPC interface")
        yield variables.shown_value(group, name, instance)

    @rpc("cfg.help", "SS", "What a variable is for.")
    def help(self, call: Call, group: str, name: str) -> Iterator[str | None]:
        declared = self.core.variables.declared(group, name)
        if declared is None:
            raise RpcFault(400, "Failed to get the variable description")
        yield declared.help or None
        yield f"(parameter type is {'string' if declared.text else 'integer'})"

    @rpc("cfg.list", "*S", "Names of all variables, or those of a group.", array=True)
    def list(self, call: Call, group: str | None = None) -> Iterator[str]:
        variables = self.core.variables
        for known in variables.groups() if group is None else [group]:
            yield from (f"{known}: {name}" for name in variables.names(known))

    @rpc("cfg.diff", "", "What the next cfg.commit will change.")
    def diff(self, call: Call) -> Iterator[dict[str, Any]]:
        variables = self.core.variables
        for change, old, new in variables.difference():
            row: dict[str, Any] = {"group name": change.group}
            if change.instance >= 0:
                row["group id"] = change.instance
            declared = variables.declared(change.group, change.name)
            shown = declared.shown if declared is not None and declared.shown is not None else lambda value: value
            yield row | {"variable name": change.name, "old value": shown(old), "new value": shown(new)}
