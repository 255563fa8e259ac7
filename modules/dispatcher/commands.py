"""RPC commands of the dispatcher, with the answers real 5.6 gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from kamailio_py.module import Module, RpcFault, rpc
from kamailio_py.modules.dispatcher.select import string_hash
from kamailio_py.modules.dispatcher.sets import DestinationState, Entry, Head
from kamailio_py.modules.dispatcher.states import parse_state, state_letters
from kamailio_py.rpc.values import Members
from kamailio_py.sip.endpoint import PROTOCOLS

if TYPE_CHECKING:
    from kamailio_py.modules.dispatcher.sets import Destination, Sets
    from kamailio_py.modules.dispatcher.states import States
    from kamailio_py.rpc.call import Call

MISSING = (500, "Invalid Parameters")


class Commands(Module, ABC):
    """The commands of Dispatcher."""

    sets: Sets
    states: States
    ds_ping_latency_stats: Any
    ds_hash_size: Any
    reload_delta: Any

    @abstractmethod
    def load(self) -> bool: ...

    @rpc("dispatcher.list", "*S", "Return content of dispatcher sets", array=False)
    def rpc_list(self, call: Call, mode: str = "") -> dict[str, Any]:
        with self.sets as sets:
            if not sets:
                raise RpcFault(500, "No Destination Sets")
            records = Members()
            for number, dests in sets.items():
                targets = Members([("DEST", self._described(one, mode)) for one in dests.destinations])
                records.add("SET", {"ID": number, "TARGETS": targets})
            return {"NRSETS": len(sets), "RECORDS": records}

    def _described(self, one: Destination, mode: str) -> dict[str, Any]:
        described: dict[str, Any] = {
            "URI": one.uri,
            "FLAGS": state_letters(self.sets.flags(one)),
            "PRIORITY": one.priority,
        }
        if mode == "full":
            address, port, proto = one.place
            resolved = self.sets.u64[(one.offset + DestinationState.resolved) >> 3]
            described |= {
                "HOST": one.host,
                "IPADDR": f"[{address}]" if ":" in address else address,
                "PORT": port,
                "PROTOID": PROTOCOLS.get(proto, 0),
                "DNSTIME_SEC": resolved // 1_000_000,
                "DNSTIME_USEC": resolved % 1_000_000,
            }
        if one.attrs and mode != "short":
            named = one.named
            described["ATTRS"] = {
                "BODY": one.attrs,
                "DUID": one.duid or None,
                "MAXLOAD": one.maxload,
                "WEIGHT": one.weight,
                "RWEIGHT": one.rweight,
                "SOCKET": named.get("socket"),
                "SOCKNAME": named.get("sockname"),
                "OBPROXY": named.get("obproxy"),
            }
        if self.ds_ping_latency_stats:
            word = self.sets.u64
            at = one.offset
            described["LATENCY"] = {
                "AVG": word[(at + DestinationState.average) >> 3] / 1000,
                "STD": word[(at + DestinationState.deviation) >> 3] / 1000,
                "EST": word[(at + DestinationState.estimate) >> 3] / 1000,
                "MAX": word[(at + DestinationState.longest) >> 3],
                "TIMEOUT": self.sets.get(one, DestinationState.timeouts),
            }
        if self.ds_hash_size > 0:
            described["RUNTIME"] = {"DLGLOAD": self.sets.get(one, DestinationState.load)}
        return described

    @rpc("dispatcher.reload", "", "Reload dispatcher destination sets")
    def rpc_reload(self, call: Call) -> str:
        now = int(self.core.clock.now())
        if self.reload_delta and now < self.sets.head(Head.reloaded) + self.reload_delta:
            raise RpcFault(500, "ongoing reload")
        if not self.load():
            raise RpcFault(500, "Reload Failed")
        return "Ok. Dispatcher successfully reloaded."

    @rpc("dispatcher.set_state", ".SdS", "Set the state of a destination address", missing=MISSING)
    def rpc_set_state(self, call: Call, state: str, number: int, uri: str) -> str:
        return self._set_state(state, number, uri, "uri")

    @rpc("dispatcher.set_duid_state", ".SdS", "Set the state of a destination address using duid", missing=MISSING)
    def rpc_set_duid_state(self, call: Call, state: str, number: int, duid: str) -> str:
        return self._set_state(state, number, duid, "duid")

    def _set_state(self, text: str, number: int, which: str, by: str) -> str:
        try:
            state = parse_state(text)
        except ValueError:
            raise RpcFault(500, "Unknown State Value") from None
        if not self.states.put(number, which, state, by):
            raise RpcFault(500, "State Update Failed")
        return "Ok. Dispatcher state updated."

    @rpc("dispatcher.ping_active", "*d", "Manage setting on/off the pinging (keepalive) of destinations")
    def rpc_ping_active(self, call: Call, state: int = -1) -> dict[str, int]:
        old = self.sets.head(Head.pinging)
        if state == -1:
            return {"OldPingState": old}
        self.sets.set_head(Head.pinging, 1 if state else 0)
        return {"NewPingState": 1 if state else 0, "OldPingState": old}

    @rpc("dispatcher.add", "dS*ddS", "Add a destination address in memory", missing=MISSING)
    def rpc_add(self, call: Call, number: int, uri: str, flags: int = 0, priority: int = 0, attrs: str = "") -> str:
        if not self.sets.replace([*self.sets.entries(), Entry(number, uri, flags, priority, attrs)], keep=True):
            raise RpcFault(500, "Adding dispatcher dst failed")
        return "Ok. Dispatcher destination added."

    @rpc("dispatcher.remove", "dS", "Remove a destination address from memory", missing=MISSING)
    def rpc_remove(self, call: Call, number: int, uri: str) -> str:
        left = [entry for entry in self.sets.entries() if (entry.set, entry.uri) != (number, uri)]
        if not self.sets.replace(left, keep=True):
            raise RpcFault(500, "Removing dispatcher dst failed")
        return "Ok. Dispatcher destination removed."

    @rpc("dispatcher.hash", "d.S*.S", "Compute the hash if the values", missing=MISSING)
    def rpc_hash(self, call: Call, slots: int, first: str, second: str = "") -> dict[str, int]:
        number = string_hash(first, second)
        return {"hashid": number, "slot": number % slots if slots > 0 else 0}
