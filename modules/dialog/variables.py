"""Pseudo-variables of dialogs: $dlg(...), $dlg_ctx(...), $dlg_var(...), $DLG_status, $DLG_lifetime, $DLG_count."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kamailio_py.log import get_logger
from kamailio_py.module import pvar
from kamailio_py.modules.dialog.parts import Parts
from kamailio_py.modules.dialog.record import State, View
from kamailio_py.script.values import Value

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import Getter, Inner, Setter

log = get_logger("dialog")

_NUMBERS = {
    "h_id": "id", "h_entry": "entry", "state": "state", "lifetime": "lifetime", "sflags": "sflags",
    "dflags": "dflags", "start_ts": "start_ts",
}  # fmt: skip
_TEXTS = {
    "callid": "call_id", "from_uri": "from_uri", "to_uri": "to_uri", "from_tag": "from_tag", "to_tag": "to_tag",
    "from_cseq": "from_cseq", "to_cseq": "to_cseq", "from_contact": "from_contact", "to_contact": "to_contact",
    "from_rs": "from_rs", "to_rs": "to_rs",
}  # fmt: skip
_CTX = ("on", "flags", "timeout", "timeout_bye", "dir", "set")


class Variables(Parts):
    """What Dialogs exports of them."""

    def _getter(self, read: Callable[[View], Value]) -> Getter:
        def get(ctx: Context) -> Value:
            view = self.tracking.current(ctx)
            return None if view is None else read(view)

        return get

    @pvar("dlg")
    def dlg(self, inner: Inner) -> Getter:
        """$dlg(name): an attribute of the dialog of this message."""
        name = inner.text
        if name in _NUMBERS:
            field = _NUMBERS[name]
            return self._getter(lambda view: getattr(view, field))
        if name in _TEXTS:
            field = _TEXTS[name]
            return self._getter(lambda view: getattr(view, field) or None)
        if name in ("from_bindaddr", "to_bindaddr"):
            field = "caller_socket" if name[0] == "f" else "callee_socket"
            return self._getter(lambda view: self.socket_text(getattr(view, field)))
        if name == "toroute":
            return self._getter(lambda view: view.toroute)
        if name == "ref":
            return self._getter(lambda view: 1)
        raise ValueError(f'pvar "dlg" has an invalid name param [{name}]')

    @pvar("dlg_ctx", setter="set_dlg_ctx")
    def dlg_ctx(self, inner: Inner) -> Getter:
        """$dlg_ctx(name): what the dialog that this run makes is to have."""
        name = inner.text
        tracking = self.tracking_notes
        if name in _CTX:
            return lambda ctx: int(tracking(ctx).ctx[name])
        if name == "timeout_route":
            return lambda ctx: tracking(ctx).timeout_route or None
        if name == "timeout_route_id":
            return lambda ctx: self.route_number(tracking(ctx).timeout_route)
        raise ValueError(f'pvar "dlg_ctx" has an invalid name param [{name}]')

    def set_dlg_ctx(self, inner: Inner) -> Setter:
        name = inner.text

        def set(ctx: Context, value: Value) -> bool:
            notes = self.tracking_notes(ctx)
            if name == "timeout_route":
                if value is not None and not isinstance(value, str):
                    log.err(f"unknown type of timeout_route value {value!r}")
                    return False
                notes.timeout_route = value or ""
                return True
            if value is not None and not isinstance(value, int):
                log.err(f"invalid value {value!r} for $dlg_ctx({name})")
                return False
            notes.ctx[name] = value or 0
            return True

        return set

    @pvar("dlg_var", setter="set_dlg_var", inner=True)
    def dlg_var(self, inner: Inner) -> Getter:
        """$dlg_var(key): a text kept with the dialog, or for the one that this run will make."""
        key = inner.name()

        def get(ctx: Context) -> Value:
            name = str(key(ctx))
            view = self.tracking.current(ctx)
            return view.variables.get(name) if view is not None else self.tracking_notes(ctx).variables.get(name)

        return get

    def set_dlg_var(self, inner: Inner) -> Setter:
        key = inner.name()

        def set(ctx: Context, value: Value) -> bool:
            name = str(key(ctx))
            if value is not None and not isinstance(value, str):
                log.err("assigning non-string value to dialog variable")
                return False
            view = self.tracking.current(ctx)
            if view is None:
                variables = self.tracking_notes(ctx).variables
                variables.pop(name, None)
                if value is not None:
                    variables[name] = value
                return True
            done = self.table.set_variable(view.ident, name, value)
            if done and view.state in (State.CONFIRMED_NA, State.CONFIRMED):
                self.stored.changed(view)
            return done

        return set

    def _within(self, read: Callable[[View], Value]) -> Getter:
        """A getter for requests that loose_route() or dlg_manage() found within a dialog; null for others."""

        def get(ctx: Context) -> Value:
            notes = self.tracking_notes(ctx)
            view = self.table.get(notes.ident) if notes.within and notes.ident is not None else None
            return None if view is None else read(view)

        return get

    @pvar("DLG_status", type="int", inner=False)
    def dlg_status(self, inner: Inner) -> Getter:
        """$DLG_status: state of the dialog of a request within one."""
        return self._within(lambda view: view.state)

    @pvar("DLG_lifetime", type="int", inner=False)
    def dlg_lifetime(self, inner: Inner) -> Getter:
        """$DLG_lifetime: seconds since the dialog was answered."""
        now = self.core.clock.now
        return self._within(lambda view: (view.end_ts or int(now())) - view.start_ts if view.start_ts else 0)

    @pvar("DLG_count", type="int", inner=False)
    def dlg_count(self, inner: Inner) -> Getter:
        """$DLG_count: dialogs that are active."""
        return lambda ctx: self.core.shm.counters.total(self.counted["active"])
