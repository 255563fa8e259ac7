"""What the parts of the module share: its parameters, its structures, and small steps that need several of these."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kamailio_py.config.host import RouteType
from kamailio_py.config.nodes import RouteKind
from kamailio_py.config.without_effect import DMQ, KEMI, SAME
from kamailio_py.log import get_logger
from kamailio_py.module import Module, Param
from kamailio_py.modules.dialog.record import Ident, View
from kamailio_py.script.values import parse_int

if TYPE_CHECKING:
    from kamailio_py.modules.dialog.api import Api
    from kamailio_py.modules.dialog.cseq import CseqTracking
    from kamailio_py.modules.dialog.profiles import Profiles
    from kamailio_py.modules.dialog.remote_profiles import RemoteProfiles
    from kamailio_py.modules.dialog.requests import Requests
    from kamailio_py.modules.dialog.stored import Stored
    from kamailio_py.modules.dialog.table import DialogTable
    from kamailio_py.modules.dialog.tracking import Notes, Tracking
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import PVar

log = get_logger("dialog")

LOCAL_ONLY = 1
"""dlg_filter_mode: timeouts and keepalives of dialogs that are ours alone."""


class Parts(Module):
    """See the head of the file."""

    enable_stats = Param(int, 1)
    hash_size = Param(int, 4096)
    rr_param = Param(str, "did")
    dlg_flag = Param(int, -1)
    timeout_avp = Param(str)
    default_timeout = Param(int, 43200)
    early_timeout = Param(int, 300)
    noack_timeout = Param(int, 60)
    end_timeout = Param(int, 300)
    dlg_extra_hdrs = Param(str)
    dlg_match_mode = Param(int, 0)
    detect_spirals = Param(int, 1)
    profiles_with_value = Param(str)
    profiles_no_value = Param(str)
    bridge_controller = Param(str, "sip:controller@kamailio.org")
    bridge_contact = Param(str, "sip:controller@kamailio.org:5060")
    ruri_pvar = Param(str, "$ru")
    initial_cbs_inscript = Param(int, 1)
    send_bye = Param(int, 0)
    wait_ack = Param(int, 1)
    ka_timer = Param(int, 0)
    ka_interval = Param(int, 0)
    ka_failed_limit = Param(int, 1)
    timeout_noreset = Param(int, 0)
    timer_procs = Param(int, 0)
    track_cseq_updates = Param(int, 0)
    xavp_cfg = Param(str, unused=SAME)
    event_callback = Param(str, unused=KEMI)
    enable_dmq = Param(int, 0, unused=DMQ)
    dlg_filter_mode = Param(int, 0)
    lreq_callee_headers = Param(str)
    h_id_start = Param(int, 0)
    h_id_step = Param(int, 1)
    keep_proxy_rr = Param(int, 0)

    api: Api
    table: DialogTable
    tracking: Tracking
    cseq: CseqTracking | None
    requests: Requests
    profiles: Profiles
    remote_profiles: RemoteProfiles
    stored: Stored
    counted: dict[str, int]
    _timeout: PVar | None
    _ruri: PVar

    # counts

    def count(self, name: str, n: int = 1) -> None:
        """Count `name` dialogs ("active"), if the statistics are wanted."""
        if self.enable_stats:
            self.core.count(self.counted[name], n)

    # runs

    def tracking_notes(self, ctx: Context) -> Notes:
        return self.tracking.notes(ctx)

    def custom_timeout(self, ctx: Context) -> int:
        """Seconds of the timeout that the AVP holds, 0 if it holds none."""
        value = self._timeout.get(ctx) if self._timeout is not None else None
        number = parse_int(value) if isinstance(value, str) else value
        return number if number and number > 0 else 0

    def lifetime(self, ctx: Context) -> int:
        """The lifetime of a new dialog in seconds."""
        return self.custom_timeout(ctx) or self.default_timeout

    def request_uri(self, ctx: Context) -> str:
        value = self._ruri.get(ctx)
        return value if isinstance(value, str) else ""

    def route_number(self, name: str) -> int:
        """What the record says of a timeout route: its number plus one; 0 if there is none."""
        entry = self.core.program.find(RouteKind.REQUEST, name) if name else None
        if entry is None:
            if name:
                log.err(f"no route named {name}")
            return 0
        return entry.number + 1

    def run_timeout_route(self, view: View) -> None:
        """Run the route that a dialog has for its timeout."""
        ctx = self.core.faked_context()
        self.tracking.notes(ctx).ident = view.ident
        self.core.run(self.core.program.entries[view.toroute - 1], ctx, RouteType.REQUEST)

    def is_filtered(self, view: View) -> bool:
        """Whether dlg_filter_mode leaves a dialog alone: another server's, whose socket is none of ours."""
        return bool(self.dlg_filter_mode & LOCAL_ONLY) and view.caller_socket >= len(self.core.sockets)

    def socket_text(self, index: int) -> str:
        """A socket as tools and the database have it."""
        sockets = self.core.sockets
        return str(sockets[index]) if index < len(sockets) else ""

    # profiles

    def profile_named(self, name: str) -> str:
        """The profile, for checks at load; ValueError if no parameter defines it."""
        if name not in self.defined_profiles:
            raise ValueError(f"profile <{name}> not defined")
        return name

    @property
    def defined_profiles(self) -> dict[str, bool]:
        """Names of the profiles, and whether they have values; also before shared memory is there."""
        from kamailio_py.modules.dialog.profiles import parse_names

        return dict.fromkeys(parse_names(self.profiles_no_value), False) | dict.fromkeys(
            parse_names(self.profiles_with_value), True
        )

    def join(self, ident: Ident, profile: str, value: str) -> bool:
        """Put a dialog into a profile."""
        value = value if self.profiles.with_value[profile] else ""
        if not self.table.set_profiles(ident, lambda profiles: profiles.append((profile, value))):
            return False
        self.profiles.add(profile, value, 1)
        return True

    def leave(self, ident: Ident, profile: str, value: str) -> bool:
        """Take a dialog out of a profile; False if it is not in it."""
        value = value if self.profiles.with_value[profile] else ""
        left = []

        def change(profiles: list[tuple[str, str]]) -> None:
            if (profile, value) in profiles:
                profiles.remove((profile, value))
                left.append(1)

        self.table.set_profiles(ident, change)
        if not left:
            return False
        self.profiles.add(profile, value, -1)
        return True

    def leave_all(self, ident: Ident) -> None:
        """Take a dialog that has ended out of all profiles."""
        left: list[tuple[str, str]] = []

        def change(profiles: list[tuple[str, str]]) -> None:
            left.extend(profiles)
            profiles.clear()

        self.table.set_profiles(ident, change)
        for profile, value in left:
            self.profiles.add(profile, value, -1)

    def in_profile(self, profile: str, value: str | None) -> Iterator[View]:
        """The dialogs in a profile, with this value or (None) any."""
        wanted = value if self.profiles.with_value[profile] else None
        for view in self.table.all():
            if any(name == profile and wanted in (None, kept) for name, kept in view.profiles):
                yield view
