"""RPC commands of dialogs, with the answers real 5.6 gives."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from kamailio_py.module import RpcFault, rpc
from kamailio_py.modules.dialog.parts import Parts
from kamailio_py.modules.dialog.record import State, View

if TYPE_CHECKING:
    from kamailio_py.rpc.call import Call

_KEYS: dict[str, Callable[[View], str | int]] = {
    "ruri": lambda view: view.ruri,
    "furi": lambda view: view.from_uri,
    "turi": lambda view: view.to_uri,
    "callid": lambda view: view.call_id,
    "start_ts": lambda view: view.start_ts,
}
_BRIEF: tuple[tuple[str, str, Callable[[View], str | int]], ...] = (
    ("f", "from_uri", lambda view: view.from_uri),
    ("t", "to_uri", lambda view: view.to_uri),
    ("c", "call-id", lambda view: view.call_id),
    ("F", "from_tag", lambda view: view.from_tag),
    ("T", "to_tag", lambda view: view.from_tag),  # as real 5.6 has it
    ("I", "init_ts", lambda view: view.init_ts),
    ("S", "start_ts", lambda view: view.start_ts),
    ("E", "end_ts", lambda view: view.end_ts),
    ("s", "state", lambda view: view.state),
)
IGNORED = ("", ".")
"""What stands for an argument that is not given."""


class Commands(Parts):
    """The commands of Dialogs."""

    def _described(self, view: View) -> dict[str, Any]:
        """A dialog as dlg.list shows it."""
        now = self.core.clock.now()
        timeout = 0
        if view.due and view.state in (State.CONFIRMED_NA, State.CONFIRMED):
            timeout = int(now + (view.due - self.core.clock.ms()) / 1000)
        duration = ((view.end_ts or int(now)) - view.start_ts) if view.start_ts else 0
        return {
            "h_entry": view.entry,
            "h_id": view.id,
            "ref": 2 if timeout else 1,
            "call-id": view.call_id,
            "from_uri": view.from_uri,
            "to_uri": view.to_uri,
            "state": view.state,
            "start_ts": view.start_ts,
            "init_ts": view.init_ts,
            "end_ts": view.end_ts,
            "duration": duration,
            "timeout": timeout,
            "lifetime": view.lifetime,
            "dflags": view.dflags,
            "sflags": view.sflags,
            "iflags": view.iflags,
            "caller": {
                "tag": view.from_tag,
                "contact": view.from_contact,
                "cseq": view.from_cseq,
                "route_set": view.from_rs,
                "socket": self.socket_text(view.caller_socket) or None,
            },
            "callee": {
                "tag": view.to_tag,
                "contact": view.to_contact,
                "cseq": view.to_cseq,
                "route_set": view.to_rs,
                "socket": (self.socket_text(view.callee_socket) or None) if view.to_tag else "",
            },
            "profiles": [{name: value} for name, value in reversed(view.profiles)],
            "variables": [{name: value} for name, value in reversed(view.variables.items())],
        }

    def _flat(self, view: View) -> dict[str, Any]:
        """The same as dlg.dump_file writes it."""
        described = {name.replace("-", "_"): value for name, value in self._described(view).items()}
        del described["duration"]
        described["profiles"] = dict(reversed(view.profiles))
        described["variables"] = dict(reversed(view.variables.items()))
        return described

    # lists

    @rpc("dlg.list", "", "Print all dialogs", array=True)
    def rpc_list(self, call: Call) -> Iterator[dict[str, Any]]:
        for view in self.table.all():
            yield self._described(view)

    @rpc("dlg.list_ctx", "", "Print all dialogs with associated context", array=True)
    def rpc_list_ctx(self, call: Call) -> Iterator[dict[str, Any]]:
        return self.rpc_list(call)

    @rpc("dlg.dlg_list", ".S*.S", "Print dialog based on callid and fromtag", array=True)
    def rpc_dlg_list(self, call: Call, call_id: str, from_tag: str | None = None) -> Iterator[dict[str, Any]]:
        for view in self.table.of_call(call_id):
            if from_tag in (None, view.from_tag):
                yield self._described(view)

    @rpc("dlg.dlg_list_ctx", ".S*.S", "Print dialog with associated context based on callid and fromtag", array=True)
    def rpc_dlg_list_ctx(self, call: Call, call_id: str, from_tag: str | None = None) -> Iterator[dict[str, Any]]:
        return self.rpc_dlg_list(call, call_id, from_tag)

    @rpc("dlg.list_match", "SSS*d", "Print matching dialogs", array=True, missing=(500, "Invalid parameters"))
    def rpc_list_match(self, call: Call, key: str, op: str, value: str, most: int = 0) -> Iterator[dict[str, Any]]:
        matches = _matcher(key, op, value)
        found = 0
        for view in self.table.all():
            if matches(view):
                yield self._described(view)
                found += 1
                if found == most:
                    break
        if not found:
            raise RpcFault(404, "Not found")

    @rpc("dlg.list_match_ctx", "SSS*d", "Print matching dialogs with associated context", array=True,
         missing=(500, "Invalid parameters"))  # fmt: skip
    def rpc_list_match_ctx(self, call: Call, key: str, op: str, value: str, most: int = 0) -> Iterator[dict[str, Any]]:
        return self.rpc_list_match(call, key, op, value, most)

    @rpc("dlg.briefing", "*S", "List the summary of dialogs", array=True)
    def rpc_briefing(self, call: Call, attributes: str = "ftcFT") -> Iterator[dict[str, Any]]:
        for view in self.table.all():
            brief: dict[str, Any] = {"h_entry": view.entry, "h_id": view.id}
            for letter, name, read in _BRIEF:
                if letter in attributes:
                    brief[name] = read(view)
            yield brief

    @rpc("dlg.dump_file", "S", "Print all dialogs to json file")
    def rpc_dump_file(self, call: Call, path: str) -> None:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
            with os.fdopen(handle, "w", encoding="latin-1") as file:
                for view in self.table.all():
                    file.write(json.dumps(self._flat(view), separators=(",", ":")) + "\n")
        except OSError as error:
            raise RpcFault(500, f"Failed to open file {path}: {error.strerror}") from None

    # one dialog

    @rpc("dlg.is_alive", ".S.S.S", "Check if a dialog is alive",
         missing=(400, "Too few parameters (required callid, from-tag, to-tag)"))  # fmt: skip
    def rpc_is_alive(self, call: Call, call_id: str, from_tag: str, to_tag: str) -> str:
        found = self.table.search(call_id, from_tag, to_tag)
        if found is None:
            raise RpcFault(404, "Dialog not found")
        if found[0].state != State.CONFIRMED:
            raise RpcFault(500, "Dialog not in confirmed state")
        return "Alive"

    @rpc("dlg.end_dlg", "dd*S", "End a given dialog based on [h_entry] [h_id]", missing=(500, "Invalid parameters"))
    def rpc_end_dlg(self, call: Call, entry: int, number: int, headers: str = "") -> None:
        view = self.table.get((entry, number & 0xFFFFFFFF))
        if view is None:
            raise RpcFault(404, "Dialog not found")
        self.requests.bye(view, headers=headers)

    @rpc("dlg.terminate_dlg", ".S.S.S", "End a given dialog based on callid",
         missing=(400, "Too few parameters (required callid, from-tag, to-tag)"))  # fmt: skip
    def rpc_terminate_dlg(self, call: Call, call_id: str, from_tag: str, to_tag: str) -> None:
        found = self.table.search(call_id, from_tag, to_tag)
        if found is None:
            raise RpcFault(500, "Couldnt find callid in dialog")
        if not self.requests.bye(found[0]):
            raise RpcFault(500, "Couldnt terminate the dialog")

    @rpc("dlg.set_state", ".S.S.Sd", "Set state of a dialog based on callid",
         missing=(400, "Too few parameters (required callid, from-tag, to-tag, state)"))  # fmt: skip
    def rpc_set_state(self, call: Call, call_id: str, from_tag: str, to_tag: str, state: int) -> None:
        found = self.table.search(call_id, from_tag, to_tag)
        if found is None:
            raise RpcFault(500, "Dialog not found")
        if not State.UNCONFIRMED <= state <= State.DELETED:
            raise RpcFault(500, "Invalid state value")
        view = found[0]
        if state == State.DELETED:
            if State.CONFIRMED_NA <= view.state < State.DELETED:
                self.count("active", -1)
            self.leave_all(view.ident)
            self.table.bury(view.ident)
        else:
            self.table.change(view.ident, state=state)

    @rpc("dlg.bridge_dlg", "SS*SS", "Bridge two SIP addresses in a call using INVITE(hold)-REFER-BYE mechanism",
         missing=(500, "Invalid parameters"))  # fmt: skip
    def rpc_bridge_dlg(self, call: Call, from_: str, to: str, proxy: str = "", body: str = ".") -> None:
        sdp = None if body == "." else "" if body in ("", "_") else body
        if not self.requests.bridge(from_, to, "" if proxy in IGNORED else proxy, sdp):
            raise RpcFault(500, "Failed to bridge")

    # counts

    @rpc("dlg.stats_active", "*d", "Get stats about active dialogs")
    def rpc_stats_active(self, call: Call, local: int = 0) -> dict[str, int]:
        counts = [0] * (State.DELETED + 1)
        for view in self.table.all():
            counts[view.state] += 1
        names = ("starting", "connecting", "answering", "ongoing")
        answer = dict(zip(names, counts[State.UNCONFIRMED : State.DELETED], strict=True))
        return {**answer, "all": sum(answer.values())}

    def _profile(self, name: str) -> str:
        if name not in self.profiles.with_value:
            raise RpcFault(404, f"Profile not found: {name}")
        return name

    @rpc("dlg.profile_get_size", ".S*.S", "Returns the number of dialogs belonging to a profile")
    def rpc_profile_get_size(self, call: Call, profile: str, value: str | None = None) -> int:
        return self.profiles.size(self._profile(profile), value)

    @rpc("dlg.profile_list", ".S*.S", "Lists all the dialogs belonging to a profile", array=True)
    def rpc_profile_list(self, call: Call, profile: str, value: str | None = None) -> Iterator[dict[str, Any]]:
        for view in self.in_profile(self._profile(profile), value):
            yield self._described(view)


def _matcher(key: str, op: str, value: str) -> Callable[[View], bool]:
    """What dlg.list_match compares; RpcFault for what it cannot."""
    read = _KEYS.get(key)
    if read is None:
        raise RpcFault(500, "Invalid matching key parameter")
    if op in ("gt", "lt"):
        if key != "start_ts" or not value.lstrip("-").isdigit():
            raise RpcFault(500, "Invalid matching operator parameter")
        limit = int(value)
        return lambda view: view.start_ts > limit if op == "gt" else view.start_ts < limit
    if op == "eq":
        return lambda view: str(read(view)) == value
    if op == "sw":
        return lambda view: str(read(view)).startswith(value)
    if op == "re":
        try:
            search = re.compile(value).search
        except re.error:
            raise RpcFault(500, "Invalid matching value parameter") from None
        return lambda view: search(str(read(view))) is not None
    raise RpcFault(500, "Invalid matching operator parameter")
