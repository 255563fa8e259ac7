"""The debugger module: which actions of the config run, breakpoints, log levels of single modules, dumps.

Where it is loaded the config is compiled so that each action can be traced (config/emitter_traces.py); while nobody
traces, an action looks at one word. Where it is not loaded there is nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kamailio_py import log as output
from kamailio_py.config.arguments import INT, POSITION, RAW, STR
from kamailio_py.config.host import RouteType
from kamailio_py.config.without_effect import MEMORY
from kamailio_py.log import FACILITIES, get_logger
from kamailio_py.module import CfgVariable, Module, ModuleError, Param, RpcFault, function, rpc
from kamailio_py.modules.debugger import dump
from kamailio_py.modules.debugger.levels import Levels
from kamailio_py.modules.debugger.stepper import EVAL, LOG, MOVE, NEXT, SHOW, STOPS, TRACED, Stepper, Traced
from kamailio_py.modules.xlog import LEVEL

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.rpc.call import Call
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import PVar

log = get_logger("debugger")

OK = "200 ok"
MODE = "Enable or disable per module log {} (0 - disabled, 1 - enabled)"
SIZE_HELP = "power of two as size of internal hash table to store levels per module"
COMMANDS = {"next": NEXT, "move": MOVE, "show": SHOW, "eval": EVAL, "log": LOG}
FACILITY_NAMES = {number: name for name, number in FACILITIES.items()}
START = "------------------------- START OF SIP message debug --------------------------\n"
HEADER_DIFFS = "------------------------------ SIP header diffs -------------------------------\n"
BODY_DIFFS = "------------------------------- SIP body diffs --------------------------------\n"
END = "-------------------------- END OF SIP message debug ---------------------------\n"


class Debugger(Module):
    """Tracing the config."""

    name = "debugger"
    cfg_variables = (
        CfgVariable("mod_level_mode", MODE.format("level"), hidden=True),
        CfgVariable("mod_facility_mode", MODE.format("facility"), hidden=True),
        CfgVariable("mod_hash_size", SIZE_HELP, hidden=True, read_only=True),
    )
    cfg_group = "dbg"

    cfgtrace = Param(int, 0)
    cfgtrace_format = Param(int, 0)
    breakpoint = Param(int, 0)
    log_level = Param(int, -1)
    log_facility = Param(str)
    log_prefix = Param(str, "*** cfgtrace:")
    log_level_name = Param(str)
    log_assign = Param(int, 0, unused="shows itself in Kamailio's own debug lines only")
    step_usleep = Param(int, 100000)
    step_loops = Param(int, 200)
    mod_hash_size = Param(int, 0)
    mod_level_mode = Param(int, 0)
    mod_level = Param(str, setter="add_level")
    mod_facility_mode = Param(int, 0)
    mod_facility = Param(str, setter="add_facility")
    reset_msgid = Param(int, 0)
    cfgpkgcheck = Param(int, 0, unused=MEMORY)
    cfgtest = Param(int, 0, unused="belongs to the cfgt module, which is not here yet")

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self._first_levels: dict[str, int] = {}
        self._first_facilities: dict[str, int] = {}
        self._facility = 0
        self._known: dict[str, PVar] = {}
        core.registry.pvars.known = self._known

    def add_level(self, written: str) -> None:
        """modparam mod_level: "tm=3"."""
        module, sign, level = written.partition("=")
        try:
            if not sign or not module:
                raise ValueError
            self._first_levels[module.strip()] = int(level)
        except ValueError:
            log.err(f"invalid parameter - [{written}]")
            raise ValueError("Can't set module parameter") from None

    def add_facility(self, written: str) -> None:
        """modparam mod_facility: "tm=LOG_LOCAL1"."""
        module, sign, name = written.partition("=")
        if not sign or not module or name.strip() not in FACILITIES:
            log.err(f"invalid parameter - [{written}]")
            raise ValueError("Can't set module parameter")
        self._first_facilities[module.strip()] = FACILITIES[name.strip()]

    def mod_init(self) -> None:
        core = self.core
        core.registry.pvars.known = None  # those of the config are known by now
        if self.log_facility is not None:
            if self.log_facility not in FACILITIES:
                raise ModuleError(f"invalid log facility configured ({self.log_facility})")
            self._facility = FACILITIES[self.log_facility]
        self.stepper = Stepper(core, self._write, self.cfgtrace_format == 0, self.step_usleep, self.step_loops)
        wanted = (TRACED if self.cfgtrace else 0) | (STOPS if self.breakpoint else 0)
        for slot in range(core.shm.processes.count):
            self.stepper.put(slot, Traced.set, wanted)
        self.levels = Levels(core.shm, core.clock, "debugger_levels")
        self.facilities = Levels(core.shm, core.clock, "debugger_facilities")
        for module, level in self._first_levels.items():
            self.levels.set(module, level)
        for module, facility in self._first_facilities.items():
            self.facilities.set(module, facility)
        self.cfg_changed()
        if self.reset_msgid:
            core.pre_script.append(self._renumber)

    def child_init(self, rank: int) -> None:
        self.stepper.follow()

    def cfg_changed(self) -> None:
        able = self.mod_hash_size > 0
        output.settings.level_of = self.levels.level_of if able and self.mod_level_mode else None
        output.settings.facility_of = self.facilities.facility_of if able and self.mod_facility_mode else None

    def destroy(self) -> None:
        output.settings.level_of = output.settings.facility_of = None

    def _write(self, text: str) -> None:
        """Log what is traced, under the name of a level of its own if there is one."""
        if output.settings.level < self.log_level:
            return
        if self.log_level_name is None:
            output.emit(self.log_level, f"{self.log_prefix}{text}", self._facility)
        else:
            output.emit(-2, f"{self.log_level_name}: {self.log_prefix}{text}", self._facility)

    def _renumber(self, ctx: Context) -> bool:
        """$mi counts from 1 again after dbg.reset_msgid."""
        stepper, slot = self.stepper, self.core.shm.processes.slot
        if stepper.get(slot, Traced.reset):
            stepper.put(slot, Traced.reset, 0)
            stepper.put(slot, Traced.first, ctx.msg.id - 1)
        ctx.msg.id -= stepper.get(slot, Traced.first)
        return True

    # the script

    @function("dbg_breakpoint", RAW)
    def dbg_breakpoint(self, ctx: Context, mode: str) -> int:
        """As in Kamailio nothing happens here: a process stops where dbg.bp says."""
        return 1

    @function("dbg_pv_dump")
    @function("dbg_pv_dump", INT)
    @function("dbg_pv_dump", INT, LEVEL)
    def dbg_pv_dump(self, ctx: Context, mask: int = dump.ALL, level: int = 3) -> int:
        if output.settings.level >= level:
            text = dump.dump(ctx, self._known, mask)
            output.emit(level, f"debugger [dump.py:0]: dbg_dump_json(): {text}")
        return 1

    @function("dbg_sip_msg", POSITION, routes=RouteType.REQUEST | RouteType.ONREPLY)
    @function("dbg_sip_msg", LEVEL, POSITION, routes=RouteType.REQUEST | RouteType.ONREPLY)
    @function("dbg_sip_msg", LEVEL, STR, POSITION, routes=RouteType.REQUEST | RouteType.ONREPLY)
    def dbg_sip_msg(self, ctx: Context, *arguments: Any) -> int:
        """Log the message as it would go out now, and what the script did to it."""
        *given, (_, line) = arguments
        level = given[0] if given and isinstance(given[0], int) else -1
        facility = FACILITIES.get(str(given[1]), 0) if len(given) > 1 else self._facility
        if output.settings.level < level:
            return 1
        text = f"CONFIG LINE {line}\n{START}{ctx.msg.apply_changes()}{HEADER_DIFFS}"
        if ctx.msg.has_lumps:
            text += "".join(f"{edit}\n" for edit in ctx.msg.lumps.edits)
        output.emit(level, f"debugger [__init__.py:0]: w_dbg_sip_msg(): {text}{BODY_DIFFS}{END}", facility)
        return 1

    # RPC

    def _slots(self, pid: int) -> list[int]:
        """Slots of the process of that pid, or of all for 0."""
        found = [slot for slot, row in self.core.shm.processes.rows() if pid in (0, row.pid)]
        if not found:
            raise RpcFault(500, "No such pid")
        return found

    @rpc("dbg.ls", "", "What is traced and where processes stop.")
    def ls(self, call: Call) -> Iterator[dict[str, int]]:
        given = call.scan("*d")
        for slot in self._slots(given[0] if given else 0):
            get = self.stepper.get
            yield {
                "entry": slot, "pid": self.core.shm.processes.row(slot).pid, "set": get(slot, Traced.set),
                "state": get(slot, Traced.state), "in.pid": get(slot, Traced.pid),
                "in.cmd": get(slot, Traced.command),
            }  # fmt: skip

    def _switch(self, slots: list[int], bit: int, on: bool) -> None:
        for slot in slots:
            kept = self.stepper.get(slot, Traced.set) & ~bit
            self.stepper.put(slot, Traced.set, kept | (bit if on else 0))

    @rpc(
        "dbg.trace",
        "S",
        "Switches tracing on or off, in one process or all.",
        missing=(500, "Config trace command missing"),
    )
    def trace(self, call: Call, command: str) -> str:
        if command not in ("on", "off"):
            raise RpcFault(500, "Unknown trace command")
        given = call.scan("*d")
        self._switch(self._slots(given[0] if given else 0), TRACED, command == "on")
        return OK

    @rpc(
        "dbg.bp", "S", "Breakpoints: on, off, release, keep; move, next, show, eval, log for one process.",
        missing=(500, "Config breakpoint command missing"),
    )  # fmt: skip
    def bp(self, call: Call, command: str) -> str:
        given = call.scan("*d")
        if command in ("on", "off", "release"):
            slots = self._slots(given[0] if given else 0)
            self._switch(slots, STOPS, command == "on")
            return OK
        if command not in COMMANDS and command != "keep":
            if given:
                self._slots(given[0])
            raise RpcFault(500, "Unknown inner command")
        if not given:
            raise RpcFault(500, "Missing pid parameter")
        slot = self._slots(given[0])[0]
        if command == "keep":
            others = [other for other in self._slots(0) if other != slot]
            self._switch(others, STOPS, False)
            return OK
        argument = ""
        if command in ("eval", "log"):
            argument = (call.scan("*S") or [""])[0]
            if not argument:
                raise RpcFault(500, "pv param missing")
        said = self.stepper.ask(slot, COMMANDS[command], argument)
        return said or OK

    @rpc("dbg.set_mod_level", "", "Sets a module's log level.")
    def set_mod_level(self, call: Call) -> str:
        module, level = self._scanned(call, "Sd")
        return self._stored(self.levels, module, level)

    @rpc("dbg.get_mod_level", "", "A module's log level.")
    def get_mod_level(self, call: Call) -> int:
        own = self.levels.get(self._scanned(call, "S")[0]) if self._levels_count else None
        return output.settings.level if own is None else own

    @rpc("dbg.set_mod_facility", "", "Sets a module's log facility.")
    def set_mod_facility(self, call: Call) -> str:
        module, name = self._scanned(call, "SS")
        if name not in FACILITIES:
            raise RpcFault(500, "facility not found")
        return self._stored(self.facilities, module, FACILITIES[name])

    @rpc("dbg.get_mod_facility", "", "A module's log facility.")
    def get_mod_facility(self, call: Call) -> str:
        module = self._scanned(call, "S")[0]
        own = self.facilities.get(module) if self.mod_facility_mode and self.mod_hash_size > 0 else None
        return self.core.cfg.log_facility or "LOG_DAEMON" if own is None else FACILITY_NAMES[own]

    @property
    def _levels_count(self) -> bool:
        return bool(self.mod_level_mode) and self.mod_hash_size > 0

    @staticmethod
    def _scanned(call: Call, letters: str) -> list[str]:
        try:
            return call.scan(letters)
        except RpcFault:
            raise RpcFault(500, "invalid parameters") from None

    def _stored(self, levels: Levels, module: str, number: object) -> str:
        if self.mod_hash_size <= 0 or not levels.set(module, int(str(number))):
            raise RpcFault(500, "cannot store parameter")
        return OK

    @rpc("dbg.reset_msgid", "", "Has $mi of every process begin at 1 again.")
    def rpc_reset_msgid(self, call: Call) -> str:
        if not self.reset_msgid:
            raise RpcFault(500, "reset_msgid is 0. Set it to 1 to enable.")
        for slot in self._slots(0):
            self.stepper.put(slot, Traced.reset, 1)
        return OK
