"""The htable module: hash tables in shared memory, $sht(table=>key).

Tables are named by modparams and made in mod_init; items live in table.py, what a database has to do with them in
stored.py. DMQ parameters are accepted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kamailio_py.config.arguments import INT, STR, Fixup
from kamailio_py.config.without_effect import DMQ, KEMI
from kamailio_py.log import get_logger
from kamailio_py.module import Param, Rank, function
from kamailio_py.modules.htable.commands import Commands
from kamailio_py.modules.htable.matching import regex, text_matcher
from kamailio_py.modules.htable.spec import parse
from kamailio_py.modules.htable.table import HashTable, Value
from kamailio_py.script.pvars import Format
from kamailio_py.sip.hash import case_hash

if TYPE_CHECKING:
    from kamailio_py.script.context import Context

log = get_logger("htable")


def table_and_key(text: str) -> tuple[str, str]:
    """`table=>key` as functions have it."""
    name, arrow, key = text.partition("=>")
    if not arrow:
        raise ValueError("invalid parameter 1")
    return name.strip(), key


KEY = Fixup("htable=>key", prepare=table_and_key)
REMOVING = ("re", "sw")
MATCHING = ("eq", "ne", "re", "sw")


def log_item(table: HashTable, item: int) -> None:
    """An item as Kamailio logs it, with the size it would have there."""
    name, value = table.name_of(item), table.value(item)
    text = isinstance(value, str)
    size = 72 + len(name) + 1 + (len(str(value)) + 1 if text else 0)
    log.err(f"\tcell: {name}")
    log.err(f"\thid: {table.hash_of(item)} msize: {size} flags: {2 if text else 0} expire: {table.expire_of(item)}")
    log.err(f"\tv-{'s' if text else 'i'}:{value}")


class Htable(Commands):
    """Hash tables in shared memory."""

    name = "htable"
    event_routes = ("htable:mod-init", "htable:expired:")

    htable = Param(str, setter="add_table")
    timer_interval = Param(int, 20)
    enable_dmq = Param(int, 0, unused=DMQ)
    dmq_init_sync = Param(int, 0, unused=DMQ)
    timer_procs = Param(int, 0)
    event_callback = Param(str, unused=KEMI)
    event_callback_mode = Param(int, 0, unused=KEMI)

    def __init__(self, core: Any) -> None:
        super().__init__(core)
        self._formats: dict[str, Format] = {}

    def add_table(self, text: str) -> None:
        """A modparam line of `htable`."""
        spec = parse(text)
        if spec.name in self.tables:
            log.err(f"htable already configured [{spec.name}]")
            raise ValueError(f"htable already configured [{spec.name}]")
        self.tables[spec.name] = HashTable(spec)

    # life cycle

    def mod_init(self) -> None:
        for table in self.tables.values():
            table.create(self.core.shm, self.core.clock)
        self.load_tables()
        if not any(table.autoexpire for table in self.tables.values()):
            return
        if self.timer_procs <= 0:
            self.core.register_timer(self.sweep, self.timer_interval)
        for number in range(self.timer_procs):
            self.core.register_process("HTable Timer", Rank.TIMER, self._timer_process(number))

    def child_init(self, rank: int) -> None:
        if rank == Rank.INIT:
            self.core.run_event("htable:mod-init")

    def destroy(self) -> None:
        self.store_tables()

    def _timer_process(self, number: int) -> Callable[[Any], None]:
        def run(process: Any) -> None:
            while process.every(self.timer_interval):
                self.sweep(number, self.timer_procs)

        return run

    def sweep(self, first: int = 0, step: int = 1) -> None:
        """Remove what is over, running event_route[htable:expired:<table>] for each item."""
        for table in self.tables.values():
            if table.autoexpire:
                table.sweep(self._expired_route(table), first, step)

    def _expired_route(self, table: HashTable) -> Callable[[int], None] | None:
        event = f"htable:expired:{table.name}"
        if self.core.event_route(event) is None:
            return None

        def run(item: int) -> None:
            self.note_expired(table.name_of(item), table.value(item))
            self.core.run_event(event)
            self.note_expired()

        return run

    # functions on items

    def _key(self, ctx: Context, text: str) -> str:
        """The key of a `table=>key` argument."""
        format = self._formats.get(text)
        if format is None:
            format = self._formats[text] = self.core.registry.format(text)
        return format.evaluate(ctx)

    @function("sht_rm", STR, STR)
    def rm(self, ctx: Context, name: str, item: str) -> int:
        if not name or not item:
            log.err("cannot get the item table name" if not item else "cannot get the hash table name")
            return -1
        table = self._table(name)
        if table is None:
            return -1
        table.remove(item)
        return 1

    @function("sht_setxs", STR, STR, STR, INT)
    def setxs(self, ctx: Context, name: str, item: str, value: str, expires: int) -> int:
        """Set a text with a life of its own."""
        return 1 if self._setx(name, item, value, expires) else -1

    @function("sht_setxi", STR, STR, INT, INT)
    def setxi(self, ctx: Context, name: str, item: str, value: int, expires: int) -> int:
        """Set a number with a life of its own; Kamailio's ends the script when it has done so."""
        return 0 if self._setx(name, item, value, expires) else -1

    def _setx(self, name: str, item: str, value: Value, expires: int) -> bool:
        table = self.tables.get(name)
        if table is None:
            log.err(f"No such htable: {name}")
            return False
        return table.set(item, value, expires)

    @function("sht_lock", KEY)
    def lock(self, ctx: Context, which: tuple[str, str]) -> int:
        """Lock the slot of an item until sht_unlock()."""
        table = self.tables.get(which[0])
        if table is None:
            log.err("cannot get $sht root")
            return -11
        table.enter(table.slot_of(self._key(ctx, which[1])))
        return 1

    @function("sht_unlock", KEY)
    def unlock(self, ctx: Context, which: tuple[str, str]) -> int:
        table = self.tables.get(which[0])
        if table is None:
            log.err("cannot get $sht root")
            return -11
        table.leave(table.slot_of(self._key(ctx, which[1])))
        return 1

    # functions on tables

    def _table(self, name: str) -> HashTable | None:
        table = self.tables.get(name)
        if table is None:
            log.err(f"cannot get hash table [{name}]")
        return table

    @function("sht_print")
    def print(self, ctx: Context) -> int:
        """Log all items."""
        for table in self.tables.values():
            log.err(f"htable[{table.name}] hid: {case_hash(table.name)} exp: {table.autoexpire}>")
            slots: dict[int, list[int]] = {}
            for slot, item in table.items():
                slots.setdefault(slot, []).append(item)
            for slot in range(table.slots):
                log.err(f"htable[{slot}] -- <{len(slots.get(slot, ()))}>")
                for item in slots.get(slot, ()):
                    log_item(table, item)
        return 1

    @function("sht_reset", STR)
    def reset(self, ctx: Context, name: str) -> int:
        table = self._table(name)
        if table is None:
            return -1
        table.remove_if(lambda item: True)
        return 1

    @function("sht_rm_name_re", KEY)
    def rm_name_re(self, ctx: Context, which: tuple[str, str]) -> int:
        return self._rm_re(ctx, which, HashTable.name_of)

    @function("sht_rm_value_re", KEY)
    def rm_value_re(self, ctx: Context, which: tuple[str, str]) -> int:
        return self._rm_re(ctx, which, HashTable.value)

    def _rm_re(self, ctx: Context, which: tuple[str, str], what: Callable[[HashTable, int], Value]) -> int:
        table = self.tables.get(which[0])
        if table is None:
            return -1
        try:
            found = regex(self._key(ctx, which[1])).search
        except ValueError as error:
            log.err(str(error))
            return -1
        table.remove_if(lambda item: isinstance(value := what(table, item), str) and found(value) is not None)
        return 1

    @function("sht_rm_name", STR, STR, STR)
    def rm_name(self, ctx: Context, name: str, op: str, value: str) -> int:
        return self._rm_items(name, op, value, HashTable.name_of)

    @function("sht_rm_value", STR, STR, STR)
    def rm_value(self, ctx: Context, name: str, op: str, value: str) -> int:
        return self._rm_items(name, op, value, HashTable.value)

    @function("sht_match_name", STR, STR, STR)
    @function("sht_has_name", STR, STR, STR)
    def has_name(self, ctx: Context, name: str, op: str, value: str) -> int:
        return self._has_items(name, op, value, HashTable.name_of)

    @function("sht_match_str_value", STR, STR, STR)
    @function("sht_has_str_value", STR, STR, STR)
    def has_str_value(self, ctx: Context, name: str, op: str, value: str) -> int:
        return self._has_items(name, op, value, HashTable.value)

    def _rm_items(self, name: str, op: str, value: str, what: Callable[[HashTable, int], Value]) -> int:
        found = self._matcher(name, op, value, what, REMOVING)
        if found is None:
            return -1
        table, matches = found
        table.remove_if(matches)
        return 1

    def _has_items(self, name: str, op: str, value: str, what: Callable[[HashTable, int], Value]) -> int:
        found = self._matcher(name, op, value, what, MATCHING)
        if found is None:
            return -1
        table, matches = found
        return 1 if table.select(matches) else -1

    def _matcher(
        self, name: str, op: str, value: str, what: Callable[[HashTable, int], Value], among: tuple[str, ...]
    ) -> tuple[HashTable, Callable[[int], bool]] | None:
        """The table and a test for its items; None, with a log line, if there is no such thing."""
        if not value:
            log.err("cannot the get match value")
            return None
        table = self._table(name)
        if table is None:
            return None
        try:
            matches = text_matcher(op, value, among)
        except LookupError as error:
            log.warn(error.args[0])
            return None
        except ValueError as error:
            log.err(str(error))
            return None
        return table, lambda item: matches(what(table, item))

    # iterators

    @function("sht_iterator_start", STR, STR)
    def iterator_start(self, ctx: Context, iterator: str, name: str) -> int:
        if not iterator or not name:
            log.err("cannot get iterator name" if not iterator else "cannot get hash table name")
            return -1
        return 1 if self._iterators.start(iterator, self.tables.get(name), name) else -1

    @function("sht_iterator_next", STR)
    def iterator_next(self, ctx: Context, name: str) -> int:
        iterator = self._iterators.get(name)
        return 1 if iterator is not None and iterator.next() else -1

    @function("sht_iterator_end", STR)
    def iterator_end(self, ctx: Context, name: str) -> int:
        return 1 if self._iterators.end(name) else -1

    @function("sht_iterator_rm", STR)
    def iterator_rm(self, ctx: Context, name: str) -> int:
        iterator = self._iterators.used(name)
        if iterator is None:
            return -1
        iterator.remove()
        return 1

    @function("sht_iterator_seti", STR, INT)
    def iterator_seti(self, ctx: Context, name: str, value: int) -> int:
        return self._iterator_set(name, value)

    @function("sht_iterator_sets", STR, STR)
    def iterator_sets(self, ctx: Context, name: str, value: str) -> int:
        return self._iterator_set(name, value)

    def _iterator_set(self, name: str, value: Value) -> int:
        iterator = self._iterators.used(name)
        return 1 if iterator is not None and iterator.set(value) else -1

    @function("sht_iterator_setex", STR, INT)
    def iterator_setex(self, ctx: Context, name: str, seconds: int) -> int:
        iterator = self._iterators.used(name)
        if iterator is None:
            return -1
        iterator.expire_in(seconds)
        return 1
