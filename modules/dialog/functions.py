"""What scripts call: dlg_manage(), flags, timeouts, BYE and REFER, profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.config.arguments import INT, PVAR, STR, Fixup
from kamailio_py.config.host import RouteType
from kamailio_py.dataclass import replace
from kamailio_py.log import get_logger
from kamailio_py.module import Function, function
from kamailio_py.modules.dialog.parts import Parts
from kamailio_py.modules.dialog.record import Inner, View
from kamailio_py.modules.dialog.requests import CALLEE, CALLER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import PVar

log = get_logger("dialog")

SIDES = {"caller": (CALLER,), "callee": (CALLEE,), "all": (CALLER, CALLEE)}
PROPERTIES = {"ka-src": Inner.KA_CALLER, "ka-dst": Inner.KA_CALLEE, "timeout-noreset": Inner.TIMER_NORESET}


def sides_of(text: str) -> tuple[str, ...]:
    """The sides that get a BYE."""
    try:
        return SIDES[text.lower()]
    except KeyError:
        raise ValueError(f'invalid param "{text}": caller, callee or all expected') from None


def side_of(text: str) -> str:
    """The side that is referred."""
    sides = sides_of(text)
    if len(sides) != 1:
        raise ValueError(f'invalid param "{text}": caller or callee expected')
    return sides[0]


SIDE = Fixup("side", prepare=sides_of)
ONE_SIDE = Fixup("side", prepare=side_of)
PROFILE = Fixup("profile")


class Functions(Parts):
    """The functions of Dialogs."""

    def functions(self) -> Iterable[Function]:
        """With the profiles that the parameters define: others are errors at load."""
        known = Fixup("profile", prepare=self.profile_named)
        for one in super().functions():
            yield replace(
                one, arguments=tuple(known if argument is PROFILE else argument for argument in one.arguments)
            )

    # making and finding

    @function("dlg_manage", routes=RouteType.REQUEST)
    def dlg_manage(self, ctx: Context) -> int:
        """Make the dialog of an initial INVITE, or find the one of a request within."""
        return self.tracking.manage(ctx)

    @function("is_known_dlg")
    def is_known_dlg(self, ctx: Context) -> int:
        """Does the message belong to a dialog?"""
        return 1 if self.tracking.current(ctx) is not None else -1

    @function("dlg_get", STR, STR, STR)
    def dlg_get(self, ctx: Context, call_id: str, from_tag: str, to_tag: str) -> int:
        """Make the dialog with these the one of this run."""
        found = self.table.search(call_id, from_tag, to_tag) if to_tag else None
        if found is None:
            return -1
        self.tracking_notes(ctx).ident = found[0].ident
        return 1

    @function("dlg_set_ruri")
    def dlg_set_ruri(self, ctx: Context) -> int:
        """Make the Contact of the other side the request-URI."""
        view = self.tracking.current(ctx)
        if view is None:
            return -1
        downstream = view.direction(ctx.msg.from_.tag, ctx.msg.to.tag) == 1
        contact = view.to_contact if downstream else view.from_contact
        if not contact:
            return -1
        ctx.msg.new_uri = contact
        return 1

    @function("dlg_db_load_callid", STR)
    def dlg_db_load_callid(self, ctx: Context, call_id: str) -> int:
        """Load the dialogs of a Call-ID from the database."""
        return 1 if self.stored.load(call_id) else -1

    @function("dlg_db_load_extra")
    def dlg_db_load_extra(self, ctx: Context) -> int:
        """Load the dialogs from the database that are not in memory."""
        return 1 if self.stored.load() else -1

    # flags, timeouts, properties

    @function("dlg_setflag", INT)
    def dlg_setflag(self, ctx: Context, flag: int) -> int:
        return self._flags(ctx, flag, True)

    @function("dlg_resetflag", INT)
    def dlg_resetflag(self, ctx: Context, flag: int) -> int:
        return self._flags(ctx, flag, False)

    def _flags(self, ctx: Context, flag: int, on: bool) -> int:
        """Set or clear a flag: of the dialog, or of the one to come."""
        if not 0 <= flag < 32:
            return -1
        bit = 1 << flag
        view = self.tracking.current(ctx)
        notes = self.tracking_notes(ctx)
        notes.ctx["flags"] = notes.ctx["flags"] | bit if on else notes.ctx["flags"] & ~bit
        if view is not None:
            self.table.set_bits(view.ident, "sflags", bit if on else 0, 0 if on else bit)
        return 1

    @function("dlg_isflagset", INT)
    def dlg_isflagset(self, ctx: Context, flag: int) -> int:
        if not 0 <= flag < 32:
            return -1
        view = self.tracking.current(ctx)
        flags = view.sflags if view is not None else self.tracking_notes(ctx).ctx["flags"]
        return 1 if flags & 1 << flag else -1

    @function("dlg_set_timeout", INT)
    @function("dlg_set_timeout", INT, INT, INT)
    def dlg_set_timeout(self, ctx: Context, seconds: int, entry: int | None = None, number: int = 0) -> int:
        """Set the lifetime of the dialog, which begins anew."""
        if seconds <= 0:
            return -1
        if entry is not None:
            return 1 if self.table.set_lifetime((entry, number), seconds) else -1
        view = self.tracking.current(ctx)
        return 1 if view is not None and self.table.set_lifetime(view.ident, seconds) else -1

    @function("dlg_set_timeout_by_profile", PROFILE, INT)
    @function("dlg_set_timeout_by_profile", PROFILE, STR, INT)
    def dlg_set_timeout_by_profile(self, ctx: Context, profile: str, *rest: str | int) -> int:
        """Set the lifetime of all dialogs in a profile."""
        seconds = rest[-1]
        value = str(rest[0]) if len(rest) == 2 else None
        for view in self.in_profile(profile, value):
            self.table.set_lifetime(view.ident, int(seconds))
        return 1

    @function("dlg_set_property", STR)
    def dlg_set_property(self, ctx: Context, name: str) -> int:
        return self._property(ctx, name, True)

    @function("dlg_reset_property", STR)
    def dlg_reset_property(self, ctx: Context, name: str) -> int:
        return self._property(ctx, name, False)

    def _property(self, ctx: Context, name: str, on: bool) -> int:
        bit = PROPERTIES.get(name)
        view = self.tracking.current(ctx)
        if bit is None or view is None:
            if bit is None:
                log.err(f"property value not valid: {name}")
            return -1
        self.table.set_bits(view.ident, "iflags", bit if on else 0, 0 if on else bit)
        return 1

    # requests of the server's own

    @function("dlg_bye", SIDE)
    def dlg_bye(self, ctx: Context, sides: tuple[str, ...]) -> int:
        """Send BYE to one or both sides."""
        view = self.tracking.current(ctx)
        return 1 if view is not None and self.requests.bye(view, sides) else -1

    @function("dlg_refer", ONE_SIDE, STR)
    def dlg_refer(self, ctx: Context, side: str, address: str) -> int:
        view = self.tracking.current(ctx)
        return 1 if view is not None and self.requests.refer(view, side, address) else -1

    @function("dlg_bridge", STR, STR, STR)
    def dlg_bridge(self, ctx: Context, from_: str, to: str, proxy: str) -> int:
        """Call one address and refer it to another."""
        return 1 if self.requests.bridge(from_, to, proxy, None) else -1

    # profiles

    @function("set_dlg_profile", PROFILE)
    @function("set_dlg_profile", PROFILE, STR)
    def set_dlg_profile(self, ctx: Context, profile: str, value: str = "") -> int:
        """Put the dialog, or the one to come, into a profile."""
        if self.profiles.with_value[profile] and not value:
            log.err("failed to get string for value")
            return -1
        view = self.tracking.current(ctx)
        if view is None:
            self.tracking_notes(ctx).profiles.append((profile, value))
            return 1
        return 1 if self.join(view.ident, profile, value) else -1

    @function("unset_dlg_profile", PROFILE, routes=RouteType.ANY)
    @function("unset_dlg_profile", PROFILE, STR, routes=RouteType.ANY)
    def unset_dlg_profile(self, ctx: Context, profile: str, value: str = "") -> int:
        """Take the dialog out of a profile; not in a request route."""
        if ctx.route_type == RouteType.REQUEST:
            log.err("dialog delete profile cannot be used in request route")
            return -1
        view = self.tracking.current(ctx)
        return 1 if view is not None and self.leave(view.ident, profile, value) else -1

    @function("dlg_remote_profile", STR, STR, STR, STR, INT)
    def dlg_remote_profile(self, ctx: Context, command: str, profile: str, value: str, uid: str, expires: int) -> int:
        """Count a dialog of another server in a profile ("add"), or no longer ("rm")."""
        if not command or not profile or not uid:
            log.err("invalid parameters")
            return -1
        with_value = self.profiles.with_value.get(profile)
        if with_value is None:
            log.err(f"profile [{profile}] not found")
            return -1
        if with_value and not value:
            log.err(f"profile [{profile}] requires a value")
            return -1
        kept = value if with_value else ""
        if command == "add":
            return 1 if self.remote_profiles.add(profile, kept, uid, expires) else -1
        if command == "rm":
            self.remote_profiles.remove(profile, kept, uid)
            return 1
        log.err(f"unknown command [{command}]")
        return -1

    @function("is_in_profile", PROFILE)
    @function("is_in_profile", PROFILE, STR)
    def is_in_profile(self, ctx: Context, profile: str, value: str | None = None) -> int:
        view = self.tracking.current(ctx)
        if view is None:
            return -1
        return 1 if self.holds(view, profile, value) else -1

    @function("get_profile_size", PROFILE, PVAR)
    @function("get_profile_size", PROFILE, STR, PVAR)
    def get_profile_size(self, ctx: Context, profile: str, *rest: str | PVar) -> int:
        """How many dialogs are in a profile; one with values is asked for a value, as in real 5.6."""
        value = str(rest[0]) if len(rest) == 2 else None
        result: PVar = rest[-1]  # type: ignore[assignment]
        if value is None and self.profiles.with_value[profile]:
            log.err("invalid value parameter")
            return -1
        return 1 if result.set(ctx, self.profiles.size(profile, value)) else -1

    def holds(self, view: View, profile: str, value: str | None) -> bool:
        """Is the dialog in a profile? One with values is asked for a value."""
        if not self.profiles.with_value[profile]:
            return any(name == profile for name, _ in view.profiles)
        return value is not None and (profile, value) in view.profiles
