"""RPC commands of htable: items and tables, read and changed from outside."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kamailio_py.module import RpcFault, rpc
from kamailio_py.modules.htable.stored import Stored
from kamailio_py.modules.htable.table import STRING, HashTable, Value

if TYPE_CHECKING:
    from kamailio_py.rpc.call import Call

NO_TABLE = RpcFault(500, "No such htable")
SET = "Ok. Key set to new value."
MISSING_NAME = (500, "No htable name given")
MISSING_KEY = (500, "Not enough parameters (htable name and key name)")
MISSING_KEY_TO_DELETE = (500, "Not enough parameters (htable name & key name")
MISSING_VALUE = (500, "Not enough parameters (htable name, key name and value)")
MISSING_EXPIRES = (500, "Not enough parameters (htable name, item name and expire)")
MISSING_BOTH = (500, "Not enough parameters (htable name, key name, value and expire)")


class Commands(Stored):
    """What is added to the module's class."""

    def _named(self, name: str) -> HashTable:
        table = self.tables.get(name)
        if table is None:
            raise NO_TABLE
        return table

    @rpc("htable.get", "SS", "One item.", missing=MISSING_KEY)
    def rpc_get(self, call: Call, name: str, key: str) -> dict[str, Any]:
        table = self._named(name)
        found = table.described(key)
        if found is None:
            raise RpcFault(500, "Key name doesn't exist in htable.")
        value, expire = found
        shown = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(expire)) if expire else "NEVER"
        flags = STRING if isinstance(value, str) else 0
        return {"item": {"name": key, "value": value, "flags": flags, "expire": shown}}

    @rpc("htable.delete", "SS", "Remove an item.", missing=MISSING_KEY_TO_DELETE)
    def rpc_delete(self, call: Call, name: str, key: str) -> str:
        if not self._named(name).remove(key):
            raise RpcFault(404, "Key not found in htable.")
        return "Ok. Key deleted."

    @rpc("htable.sets", "SS.S", "Set an item to a text.", missing=MISSING_VALUE)
    def rpc_sets(self, call: Call, name: str, key: str, value: str) -> str:
        return self._rpc_set(name, key, value)

    @rpc("htable.seti", "SS.d", "Set an item to a number.", missing=MISSING_VALUE)
    def rpc_seti(self, call: Call, name: str, key: str, value: int) -> str:
        return self._rpc_set(name, key, value)

    def _rpc_set(self, name: str, key: str, value: Value) -> str:
        if not self._named(name).set(key, value):
            raise RpcFault(500, "Failed to set the item")
        return SET

    @rpc("htable.setex", "SS.d", "Let an item live so many seconds.", missing=MISSING_EXPIRES)
    def rpc_setex(self, call: Call, name: str, key: str, seconds: int) -> str:
        self._named(name).set_expires(key, seconds)
        return "Ok"

    @rpc("htable.setxs", "SS.Sd", "Set an item to a text that lives so many seconds.", missing=MISSING_BOTH)
    def rpc_setxs(self, call: Call, name: str, key: str, value: str, seconds: int) -> str:
        return self._rpc_setx(name, key, value, seconds)

    @rpc("htable.setxi", "SS.dd", "Set an item to a number that lives so many seconds.", missing=MISSING_BOTH)
    def rpc_setxi(self, call: Call, name: str, key: str, value: int, seconds: int) -> str:
        return self._rpc_setx(name, key, value, seconds)

    def _rpc_setx(self, name: str, key: str, value: Value, seconds: int) -> str:
        table = self.tables.get(name)
        if table is None or not table.set(key, value, seconds):
            raise RpcFault(500, "Failed to set the item")
        return SET

    @rpc("htable.dump", "S", "All items of a table.", array=True, missing=MISSING_NAME)
    def rpc_dump(self, call: Call, name: str) -> Iterator[dict[str, Any]]:
        table = self._named(name)
        slots: dict[int, list[dict[str, Any]]] = {}
        for slot, item in table.items():
            value = table.value(item)
            kind = "str" if isinstance(value, str) else "int"
            slots.setdefault(slot, []).append({"name": table.name_of(item), "value": value, "type": kind})
        for slot, items in sorted(slots.items()):
            yield {"entry": slot, "size": len(items), "slot": items}

    @rpc("htable.listTables", "", "All tables.", array=True)
    def rpc_list(self, call: Call) -> Iterator[dict[str, Any]]:
        for table in reversed(self.tables.values()):
            spec = table.spec
            yield {
                "name": table.name, "dbtable": spec.dbtable, "dbmode": spec.dbmode, "expire": table.autoexpire,
                "updateexpire": spec.updateexpire, "size": table.slots, "dmqreplicate": spec.dmqreplicate,
            }  # fmt: skip

    @rpc("htable.stats", "", "Slots and items of all tables.", array=True)
    def rpc_stats(self, call: Call) -> Iterator[dict[str, Any]]:
        for table in reversed(self.tables.values()):
            counts: dict[int, int] = {}
            for slot, _ in table.items():
                counts[slot] = counts.get(slot, 0) + 1
            filled = list(counts.values())
            fewest = min(filled) if len(filled) == table.slots else 0
            yield {
                "name": table.name, "slots": table.slots, "all": sum(filled), "min": fewest,
                "max": max(filled, default=0),
            }  # fmt: skip

    @rpc("htable.reload", "*S", "Load a table from its database.")
    def rpc_reload(self, call: Call, name: str | None = None) -> str:
        return self.reload_table(self._stored_name(name))

    @rpc("htable.store", "*S", "Store a table to its database.")
    def rpc_store(self, call: Call, name: str | None = None) -> str:
        return self.store_table(self._stored_name(name))

    def _stored_name(self, name: str | None) -> str:
        if name is None and self.db_url:
            raise RpcFault(*MISSING_NAME)
        return name or ""

    @rpc("htable.flush", "S", "Remove all items of a table.", missing=MISSING_NAME)
    def rpc_flush(self, call: Call, name: str) -> str:
        self._named(name).remove_if(lambda item: True)
        return "Ok. Htable flushed."
