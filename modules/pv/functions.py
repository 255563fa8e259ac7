"""The script functions of this module: types of values, XAVPs as a whole, parameter lists, the static branch."""

from __future__ import annotations

from typing import Any

from kamailio_py.config.arguments import FORMAT, INT, PVAR, STR, VALUE, Fixup
from kamailio_py.log import get_logger
from kamailio_py.module import Module, function
from kamailio_py.script.context import Context
from kamailio_py.script.pvars import Format, PVar
from kamailio_py.script.transformations.params import parse_params
from kamailio_py.script.values import Value
from kamailio_py.script.variables import VARS
from kamailio_py.script.xavp import Store, copied, newest, push, remove
from kamailio_py.sip.branch import Branch

from .branches import Static

log = get_logger("pv")


def _kind(text: str) -> str:
    """What typeof() asks for: the first letter decides."""
    kinds = {"i": "int", "s": "str", "n": "null", "a": "avp", "x": "xavp"}
    kind = kinds.get(text[:1])
    if kind is None:
        raise ValueError(f"unknown type [{text}]")
    return kind


KIND = Fixup("type of a value", prepare=_kind)


class PvFunctions(Module):
    """See the head of the file."""

    # values

    @function("is_int", PVAR)
    def is_int(self, ctx: Context, pvar: PVar) -> int:
        value = pvar.get(ctx)
        return 1 if isinstance(value, int) or (value is not None and pvar.get_int is not None) else -1

    @function("typeof", PVAR, KIND)
    def typeof(self, ctx: Context, pvar: PVar, kind: str) -> int:
        value = pvar.get(ctx)
        if value is None:
            # a transformation of null is an error to Kamailio, and that is no null
            found = "null" if pvar.get_text is None else "str"
        else:
            found = "int" if isinstance(value, int) else "str"
        return 1 if found == kind else -1

    @function("not_empty", PVAR)
    def not_empty(self, ctx: Context, pvar: PVar) -> int:
        value = pvar.get(ctx)
        return 1 if isinstance(value, str) and value else -1

    @function("pv_isset", PVAR)
    def pv_isset(self, ctx: Context, pvar: PVar) -> int:
        return -1 if pvar.get(ctx) is None else 1

    @function("pv_unset", PVAR)
    def pv_unset(self, ctx: Context, pvar: PVar) -> int:
        return 1 if pvar.set(ctx, None) else -1

    @function("pv_evalx", PVAR, FORMAT)
    def pv_evalx(self, ctx: Context, pvar: PVar, form: Format) -> int:
        """Evaluate twice: what comes of the first time may hold pseudo-variables again."""
        text = form.evaluate(ctx)
        try:
            value = self.core.registry.pvars.format(text).evaluate(ctx)
        except ValueError:
            log.err(f"failed to parse evaluated format [{text}]")
            return -1
        return 1 if pvar.set(ctx, value) else -1

    # XAVPs as a whole

    @function("xavp_rm", STR)
    def xavp_rm(self, ctx: Context, name: str) -> int:
        remove(ctx.xavps, name)
        return 1

    @function("xavi_rm", STR)
    def xavi_rm(self, ctx: Context, name: str) -> int:
        remove(ctx.xavis, name.lower())
        return 1

    @function("xavp_child_seti", STR, STR, INT)
    @function("xavp_child_sets", STR, STR, STR)
    def xavp_child_set(self, ctx: Context, name: str, key: str, value: int | str) -> int:
        return _set_child(ctx.xavps, name, key, value)

    @function("xavi_child_seti", STR, STR, INT)
    @function("xavi_child_sets", STR, STR, STR)
    def xavi_child_set(self, ctx: Context, name: str, key: str, value: int | str) -> int:
        return _set_child(ctx.xavis, name.lower(), key.lower(), value)

    @function("xavp_child_rm", STR, STR)
    def xavp_child_rm(self, ctx: Context, name: str, key: str) -> int:
        return _remove_child(ctx.xavps, name, key)

    @function("xavi_child_rm", STR, STR)
    def xavi_child_rm(self, ctx: Context, name: str, key: str) -> int:
        return _remove_child(ctx.xavis, name.lower(), key.lower())

    @function("xavp_copy", VALUE, INT, VALUE)
    def xavp_copy(self, ctx: Context, source: str, index: int, destination: str) -> int:
        values = ctx.xavps.get(source, [])
        if not 0 <= index < len(values):
            log.err(f"missing can not find source xavp [{source}]")
            return -1
        if not destination:
            log.err("missing destination name")
            return -1
        # the copy goes behind those that are there
        ctx.xavps.setdefault(destination, []).append(copied(values[index]))
        return 1

    @function("xavp_copy", VALUE, INT, VALUE, INT)
    def xavp_copy_to(self, ctx: Context, source: str, index: int, destination: str, at: int) -> int:
        values = ctx.xavps.get(source, [])
        if not 0 <= index < len(values):
            log.err(f"missing can not find source xavp [{source}]")
            return -1
        there = ctx.xavps.get(destination, [])
        if not 0 <= at < len(there):
            log.err(f"xavp_copy: missing can not find destination xavp [{destination}]")
            return -1
        there[at] = copied(values[index])
        return 1

    @function("pv_xavp_print")
    def pv_xavp_print(self, ctx: Context) -> int:
        return _print(ctx.xavps, "XAVP")

    @function("pv_xavi_print")
    def pv_xavi_print(self, ctx: Context) -> int:
        return _print(ctx.xavis, "XAVI")

    @function("pv_xavu_print")
    def pv_xavu_print(self, ctx: Context) -> int:
        return _print(ctx.xavus, "XAVU")

    # XAVPs and variables

    @function("pv_var_to_xavp", STR, STR)
    def pv_var_to_xavp(self, ctx: Context, variable: str, name: str) -> int:
        """Copy a `$var`, or with "*" all of them, into the xavp of that name, in place of what it was."""
        if variable == "*":
            names = list(VARS)
        elif variable in VARS:
            names = [variable]
        else:
            log.err(f"script var [{variable}] not found")
            return -1
        ctx.xavps[name] = [{key: [VARS[key]] for key in names}]
        return 1

    @function("pv_xavp_to_var", STR)
    def pv_xavp_to_var(self, ctx: Context, name: str) -> int:
        values = newest(ctx.xavps, name)
        if not isinstance(values, dict):
            log.err(f"xavp [{name}] not found")
            return -1
        for key, items in values.items():
            if items and not isinstance(items[0], dict):
                VARS[key] = 0 if items[0] is None else items[0]
        return 1

    # lists of parameters

    @function("xavp_params_explode", STR, STR)
    def xavp_params_explode(self, ctx: Context, text: str, name: str) -> int:
        params = parse_params(text)
        if not params or not name:
            log.err("invalid parameters")
            return -1
        exploded: Store = {}
        for key, value in params:
            exploded.setdefault(key, []).append(value)
        push(ctx.xavps, name, exploded)
        return 1

    @function("xavu_params_explode", STR, STR)
    def xavu_params_explode(self, ctx: Context, text: str, name: str) -> int:
        params = parse_params(text)
        if not params or not name:
            log.err("invalid parameters")
            return -1
        exploded: Store = {}
        for key, value in params:
            exploded.setdefault(key, [value])
        ctx.xavus[name] = [exploded]
        return 1

    @function("xavp_params_implode", STR, PVAR)
    def xavp_params_implode(self, ctx: Context, name: str, pvar: PVar) -> int:
        return _implode(ctx, newest(ctx.xavps, name), pvar)

    @function("xavu_params_implode", STR, PVAR)
    def xavu_params_implode(self, ctx: Context, name: str, pvar: PVar) -> int:
        return _implode(ctx, newest(ctx.xavus, name), pvar)

    @function("xavp_slist_explode", STR, STR, STR, STR)
    def xavp_slist_explode(self, ctx: Context, text: str, separator: str, mode: str, name: str) -> int:
        """`a,b` becomes values of the key `v`; with mode "t" blanks around them are taken off."""
        if not text or not separator or not name:
            log.err("invalid parameters")
            return -1
        items = [text]
        for char in separator:
            items = [part for item in items for part in item.split(char)]
        if "t" in mode or "T" in mode:
            items = [item.strip(" \t\r\n") for item in items]
        push(ctx.xavps, name, {"v": [item for item in items if item]})
        return 1

    # the static branch

    @function("sbranch_append")
    def sbranch_append(self, ctx: Context) -> int:
        branch = Static.branch
        if branch is None or not branch.uri:
            return -1
        ctx.msg.branches.append(_copy(branch))
        return 1

    @function("sbranch_reset")
    def sbranch_reset(self, ctx: Context) -> int:
        Static.reset()
        return 1

    @function("sbranch_set_ruri")
    def sbranch_set_ruri(self, ctx: Context) -> int:
        branch = Static.branch
        if branch is None or not branch.uri:
            return -1
        msg = ctx.msg
        msg.new_uri = branch.uri
        msg.dst_uri = branch.dst_uri
        msg.path = branch.path
        msg.q = branch.q
        msg.branch_flags = branch.flags
        msg.force_socket = branch.force_socket
        msg.ruid = branch.ruid
        msg.location_ua = branch.location_ua
        msg.instance = branch.instance
        return 1


def _copy(branch: Branch) -> Branch:
    return Branch(
        branch.uri, branch.dst_uri, branch.path, branch.q, branch.flags, branch.force_socket, branch.ruid,
        branch.location_ua, branch.instance, branch.reg_id, branch.otcpid,
    )  # fmt: skip


def _set_child(store: Store, name: str, key: str, value: int | str) -> int:
    """Set the newest value of a key of the newest value of that name; both are made where missing."""
    item = newest(store, name)
    if item is None:
        push(store, name, {key: [value]})
        return 1
    if not isinstance(item, dict):
        store[name][0] = {key: [value]}
        return 1
    values = item.get(key)
    if values:
        values[0] = value
    else:
        item[key] = [value]
    return 1


def _remove_child(store: Store, name: str, key: str) -> int:
    item = newest(store, name)
    if isinstance(item, dict):
        remove(item, key)
    return 1


def _implode(ctx: Context, values: Any, pvar: PVar) -> int:
    """The keys of a value as `a=1;b=2;`, the last made first."""
    if not isinstance(values, dict) or not values:
        return -1
    text = ""
    for key in reversed(values):
        for item in values[key]:
            value: Value = None if isinstance(item, dict) else item
            if value is None:
                continue
            text += f"{key}={value};" if value != "" else f"{key};"
    return 1 if pvar.set(ctx, text) else -1


def _print(store: Store, what: str, level: int = 0) -> int:
    """Write all values to the log, as a tree."""
    if not level:
        log.info(f"+++++ start {what} list: {id(store):#x}")
    for name, values in store.items():
        for value in values:
            indent = "     " * level
            log.info(f"{indent}*** {what} name: {name}")
            if isinstance(value, dict):
                log.info(f"{indent}     {what} value: <xavp>")
                _print(value, what, level + 1)
            elif isinstance(value, int):
                log.info(f"{indent}     {what} value: <int: {value}>")
            else:
                log.info(f"{indent}     {what} value: <str: {value}>")
    if not level:
        log.info(f"----- end {what} list")
    return 1
