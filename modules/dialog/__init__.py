"""The dialog module: calls that the server follows from the INVITE to the BYE.

record, table       what a dialog is, and the table of them in shared memory
tracking            how tm's and rr's events change it
cseq                CSeq numbers where the server answered challenges
requests            BYE, REFER and keepalives of the server's own; timeouts
profiles            how many dialogs have something in common; remote_profiles: those of other servers
stored              the database
functions, variables, commands    what scripts and RPC see; api: what modules use
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamailio_py.log import get_logger
from kamailio_py.module import ModuleError, Rank
from kamailio_py.modules.dialog.api import Api
from kamailio_py.modules.dialog.commands import Commands
from kamailio_py.modules.dialog.cseq import CseqTracking
from kamailio_py.modules.dialog.functions import Functions
from kamailio_py.modules.dialog.profiles import Profiles
from kamailio_py.modules.dialog.record import DueDialog, Event, State
from kamailio_py.modules.dialog.remote_profiles import RemoteProfiles
from kamailio_py.modules.dialog.requests import SHORT_LIFE, Requests
from kamailio_py.modules.dialog.stored import Stored, StoredParameters
from kamailio_py.modules.dialog.table import DialogTable
from kamailio_py.modules.dialog.tracking import Tracking
from kamailio_py.modules.dialog.variables import Variables

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.modules.dialog.record import Ident

log = get_logger("dialog")

TIMEOUTS = 8192
"""Dialogs that may wait for the process of timer_procs."""
CLEAN_INTERVAL = 90
"""Seconds between two looks for dialogs that nothing ends."""


class Dialogs(Functions, Variables, Commands, StoredParameters):
    """Dialogs."""

    name = "dialog"
    event_routes = ("dialog:start", "dialog:end", "dialog:failed")
    statistics = ("active_dialogs", "early_dialogs", "processed_dialogs", "expired_dialogs", "failed_dialogs")

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self.api = Api(self)

    def mod_init(self) -> None:
        core = self.core
        tm, self.rr = core.module("tm"), core.module("rr")
        if tm is None:
            raise ModuleError("can't load TM API")
        if self.rr is None:
            raise ModuleError("can't load RR API")
        self.tm = tm.api
        self._check()
        self.counted = {name.removesuffix("_dialogs"): core.statistic("dialog", name) for name in self.statistics}
        self.flag = 1 << self.dlg_flag if self.dlg_flag >= 0 else 0
        start = core.cfg.server_id if self.h_id_start == -1 else self.h_id_start
        self.table = DialogTable(core, 1 << max(self.hash_size - 1, 0).bit_length(), self.h_id_step, start)
        self.profiles = Profiles(core.shm, self.profiles_with_value, self.profiles_no_value)
        self.remote_profiles = RemoteProfiles(core.shm, self.profiles)
        self.tracking = Tracking(self)
        self.cseq = CseqTracking(self) if self.track_cseq_updates else None
        self.requests = Requests(self)
        self.table.timeout = self.requests.timed_out
        self.stored = Stored(self)
        if self.timer_procs > 0:
            self._timeouts = core.shm.queue("dialog.timeouts", TIMEOUTS, DueDialog)
            self.table.timeout = self._hand_over
            core.register_process("Dialog Main Timer", Rank.TIMER, self._timeout_process)
        if self.ka_timer > 0 and self.ka_interval > 0:
            core.register_process("Dialog KA Timer", Rank.TIMER, self._keep_alive_process)
        core.register_process("Dialog Clean Timer", Rank.TIMER, self._clean_process)

    def _check(self) -> None:
        """Parameters that must fit."""
        if not self.rr_param:
            raise ModuleError("empty rr_param")
        if self.dlg_match_mode not in (0, 1, 2):
            raise ModuleError(f"invalid value {self.dlg_match_mode} for seq_match_mode param")
        if self.default_timeout <= 0:
            raise ModuleError("0 default_timeout not accepted")
        try:
            self._timeout = self.core.registry.pvar(self.timeout_avp, True) if self.timeout_avp else None
            self._ruri = self.core.registry.pvar(self.ruri_pvar, True)
        except ValueError as error:
            raise ModuleError(f"malformed timeout_avp or ruri_pvar: {error}") from None
        if self._timeout is not None and self._timeout.name not in ("avp", "xavp", "var"):
            raise ModuleError(f"malformed or non AVP timeout AVP definition in '{self.timeout_avp}'")

    def destroy(self) -> None:
        self.stored.shut_down()

    # processes

    def _hand_over(self, ident: Ident) -> None:
        """The lifetime of a dialog is over: another process works on that, unless it has too much to do."""
        if not self._timeouts.put(0, *ident, 0):
            self.requests.timed_out(ident)

    def _timeout_process(self, process: Any) -> None:
        while not process.stopping:
            with process.idle:
                item = self._timeouts.get()
            if item is not None:
                self.requests.timed_out((item[1], item[2]))
                self._timeouts.done()

    def _clean_process(self, process: Any) -> None:
        while process.every(CLEAN_INTERVAL):
            self.clean()

    def _keep_alive_process(self, process: Any) -> None:
        while process.every(self.ka_timer):
            self.requests.keep_alive()

    def clean(self) -> None:
        """End what nothing else ends: calls that were never answered, or never acknowledged."""
        now = int(self.core.clock.now())
        self.remote_profiles.expire(now)
        for view in self.table.all():
            if view.state in (State.UNCONFIRMED, State.EARLY) and now > view.init_ts + self.early_timeout:
                log.warn(f"dialog in early state is too old ({view.call_id})")
                self.tracking.step(view.ident, Event.TRANSACTION_GONE)
            elif view.state == State.CONFIRMED_NA and now > view.start_ts + self.noack_timeout:
                log.warn(f"confirmed dialog without ACK is too old ({view.call_id})")
                self.table.set_lifetime(view.ident, SHORT_LIFE)
            elif view.state == State.DELETED and now > max(view.end_ts, view.init_ts) + self.end_timeout:
                self.table.bury(view.ident)
