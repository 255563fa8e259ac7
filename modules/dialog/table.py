"""The table of dialogs in shared memory: making, finding, copying, changing and freeing them.

Each operation takes the lock of the dialog's bucket and finds it by its name, so that nobody holds a place in shared
memory between two of them. A dialog that was answered has a pending timer, which is its timeout; a deleted one has a
timer, too, and is freed by it. Profiles are counted by profiles.py.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from kamailio_py.log import get_logger
from kamailio_py.modules.dialog.record import FIELDS, NEXT_STATE, TEXTS, Dialog, Flag, Ident, State, View
from kamailio_py.sip.hash import core_hash

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core

log = get_logger("dialog")

STRIPES = 64
LINGER = 5000
"""Milliseconds that a deleted dialog is still found: repeated requests and late ACKs belong to it."""
_FIRST_IDS = 3 * 1024 * 1024


class DialogTable:
    """See the head of the file."""

    def __init__(self, core: Core, size: int, step: int, start: int) -> None:
        shm = core.shm
        self.size = size
        self._core = core
        self._memory = shm.memory
        self._u32, self._u64 = shm.u32, shm.u64
        self._arena = shm.arena
        self._wheel = shm.wheel
        self._table = shm.table("dialog", size, min(size, STRIPES), Dialog)
        self._ids = shm.reserve("dialog.ids", "words", 4 * size) >> 2
        self._step, self._start = step, start
        for entry in range(size):
            self._u32[self._ids + entry] = core.random.randrange(_FIRST_IDS)
        owner = shm.arena.owner
        self._dialogs = owner("dialog", "dialog", Dialog)
        self._blocks = {name: owner("dialog", name) for name in ("texts", "vars", "profiles")}
        self.timeout: Callable[[Ident], None] = lambda ident: None
        self._kind = shm.wheel.kind("dialog.timeout", self._fired)

    # finding

    def entry_of(self, call_id: str) -> int:
        return core_hash(call_id, "", self.size)

    def _find(self, ident: Ident) -> int:
        """Offset of a dialog, 0 if there is none; the lock is held."""
        u32 = self._u32
        for offset in self._table.walk(ident[0]):
            if u32[(offset + Dialog.id) >> 2] == ident[1]:
                return offset
        return 0

    def _view(self, offset: int) -> View:
        values = Dialog.unpack(self._memory, offset)
        load = self._arena.load
        return View(
            {name: getattr(values, name) for name in FIELDS},
            values.due,
            dict(zip(TEXTS, marshal.loads(load(values.texts)), strict=True)),
            marshal.loads(load(values.vars)) if values.vars else {},
            marshal.loads(load(values.profiles)) if values.profiles else [],
        )

    def get(self, ident: Ident) -> View | None:
        """A copy of a dialog."""
        if not 0 <= ident[0] < self.size:
            return None
        with self._table.lock_of(ident[0]):
            offset = self._find(ident)
            return self._view(offset) if offset else None

    def search(self, call_id: str, from_tag: str, to_tag: str) -> tuple[View, int] | None:
        """The dialog of a Call-ID and these tags, and the direction a message with them has."""
        for view in self.of_call(call_id):
            direction = view.direction(from_tag, to_tag)
            if direction:
                return view, direction
        return None

    def of_call(self, call_id: str) -> list[View]:
        """All dialogs of a Call-ID."""
        entry = self.entry_of(call_id)
        with self._table.lock_of(entry):
            views = [self._view(offset) for offset in self._table.walk(entry)]
        return [view for view in views if view.call_id == call_id]

    def all(self) -> Iterator[View]:
        """Copies of all dialogs, bucket after bucket."""
        for entry in list(self._table.filled()):
            with self._table.lock_of(entry):
                views = [self._view(offset) for offset in self._table.walk(entry)]
            yield from reversed(views)

    def __len__(self) -> int:
        return len(self._table)

    # making

    def new_id(self, entry: int) -> int:
        """The next hash id of an entry."""
        with self._table.lock_of(entry):
            number = self._u32[self._ids + entry] + 1
            self._u32[self._ids + entry] = number & 0xFFFFFFFF
        return (self._start + number * self._step if self._step > 1 else number) & 0xFFFFFFFF or 1

    def insert(self, fields: dict[str, Any], texts: dict[str, str], timer_due: int = 0) -> bool:
        """Put a dialog into the table (`entry` and `id` are among its fields); False without memory.

        With `timer_due`, monotonic milliseconds, its timeout runs already.
        """
        block = self._arena.store(marshal.dumps(tuple(texts.get(name, "") for name in TEXTS)), self._blocks["texts"])
        offset = self._arena.alloc(Dialog.SIZE, self._dialogs) if block else 0
        if not offset:
            log.err("no more shm mem")
            if block:
                self._arena.free(block)
            return False
        self._memory[offset : offset + Dialog.SIZE] = bytes(Dialog.SIZE)
        for name, value in fields.items():
            self._u32[(offset + Dialog.OFFSETS[name]) >> 2] = value
        self._u64[(offset + Dialog.texts) >> 3] = block
        entry = fields["entry"]
        with self._table.lock_of(entry):
            if self._find((entry, fields["id"])):
                self._arena.free(block)
                self._arena.free(offset)
                return False
            self._table.insert(entry, offset)
            if timer_due:
                self._u64[(offset + Dialog.due) >> 3] = timer_due
                self._wheel.add(offset + Dialog.timer, timer_due, self._kind)
        return True

    # changing

    def change(self, ident: Ident, **fields: int) -> bool:
        """Set fields of the record; False if the dialog is gone."""
        with self._table.lock_of(ident[0]):
            offset = self._find(ident)
            for name, value in fields.items() if offset else ():
                if Dialog.FIELDS[name].code == "Q":
                    self._u64[(offset + Dialog.OFFSETS[name]) >> 3] = value
                else:
                    self._u32[(offset + Dialog.OFFSETS[name]) >> 2] = value & 0xFFFFFFFF
        return offset != 0

    def set_bits(self, ident: Ident, field: str, on: int = 0, off: int = 0) -> bool:
        """Set and clear bits of a field of flags."""
        with self._table.lock_of(ident[0]):
            offset = self._find(ident)
            if offset:
                word = (offset + Dialog.OFFSETS[field]) >> 2
                self._u32[word] = (self._u32[word] | on) & ~off
        return offset != 0

    def set_texts(self, ident: Ident, **changes: str) -> bool:
        """Change texts; False if the dialog is gone or there is no memory."""

        def apply(old: Any) -> Any:
            texts = dict(zip(TEXTS, old, strict=True)) | changes
            return tuple(texts[name] for name in TEXTS)

        return self._rewrite(ident, "texts", apply, 0)

    def set_variable(self, ident: Ident, name: str, value: str | None) -> bool:
        """Set a variable, or remove it (None)."""

        def apply(old: Any) -> Any:
            variables = dict(old or {})
            variables.pop(name, None)
            if value is not None:
                variables[name] = value
            return variables

        return self._rewrite(ident, "vars", apply, Flag.CHANGED_VARS)

    def set_profiles(self, ident: Ident, change: Callable[[list[tuple[str, str]]], Any]) -> bool:
        """Have `change` alter the list of the profiles it is in."""

        def apply(old: Any) -> Any:
            profiles = list(old or ())
            change(profiles)
            return profiles

        return self._rewrite(ident, "profiles", apply, Flag.CHANGED_PROFILES)

    def _rewrite(self, ident: Ident, field: str, apply: Callable[[Any], Any], flag: int) -> bool:
        """Replace one of the blocks by what `apply` makes of its contents."""
        with self._table.lock_of(ident[0]):
            offset = self._find(ident)
            if not offset:
                return False
            word = (offset + Dialog.OFFSETS[field]) >> 3
            old = self._u64[word]
            before = marshal.loads(self._arena.load(old)) if old else None
            value = apply(before)
            if (value or None) == before:
                return True
            block = self._arena.store(marshal.dumps(value), self._blocks[field]) if value else 0
            if value and not block:
                log.err("no more shm mem")
                return False
            self._u64[word] = block
            self._u32[(offset + Dialog.dflags) >> 2] |= flag
        if old:
            self._arena.free(old)
        return True

    # states and timers

    def next_state(self, ident: Ident, event: int, now: int, linger: int = LINGER) -> tuple[int, int]:
        """What an event makes of the state: (old, new); (0, 0) if the dialog is gone. `now` in seconds, epoch.

        A deleted dialog is freed `linger` milliseconds later.
        """
        with self._table.lock_of(ident[0]):
            offset = self._find(ident)
            if not offset:
                return 0, 0
            u32 = self._u32
            old = u32[(offset + Dialog.state) >> 2]
            new = NEXT_STATE[event].get(old, old)
            if new == old:
                return old, new
            u32[(offset + Dialog.state) >> 2] = new
            if new == State.CONFIRMED_NA:
                u32[(offset + Dialog.start_ts) >> 2] = now
                u32[(offset + Dialog.dflags) >> 2] |= Flag.NEW
                self._set_due(offset, u32[(offset + Dialog.lifetime) >> 2] * 1000)
            elif new == State.DELETED:
                if old >= State.CONFIRMED_NA:
                    u32[(offset + Dialog.end_ts) >> 2] = now
                self._set_due(offset, linger)
        return old, new

    def set_lifetime(self, ident: Ident, seconds: int) -> bool:
        """Set the lifetime, and let it begin now if the dialog was answered."""
        with self._table.lock_of(ident[0]):
            offset = self._find(ident)
            if not offset:
                return False
            self._u32[(offset + Dialog.lifetime) >> 2] = seconds
            if self._u32[(offset + Dialog.state) >> 2] in (State.CONFIRMED_NA, State.CONFIRMED):
                self._set_due(offset, seconds * 1000)
        return True

    def rest(self, ident: Ident) -> None:
        """Let a dialog live without a timeout."""
        with self._table.lock_of(ident[0]):
            offset = self._find(ident)
            if offset:
                self._wheel.cancel(offset + Dialog.timer)
                self._u64[(offset + Dialog.due) >> 3] = 0

    def bury(self, ident: Ident) -> None:
        """Let a dialog that was deleted without an event be freed."""
        with self._table.lock_of(ident[0]):
            offset = self._find(ident)
            if offset:
                self._u32[(offset + Dialog.state) >> 2] = State.DELETED
                self._set_due(offset, LINGER)

    def _set_due(self, offset: int, ms: int) -> None:
        """Start the timer anew; the lock is held."""
        due = self._core.clock.ms() + ms
        node = offset + Dialog.timer
        self._u64[(offset + Dialog.due) >> 3] = due
        if self._wheel.cancel(node) or not self._wheel.firing(node):
            self._wheel.add(node, due, self._kind)
        # otherwise it is being fired at this moment: its handler sees the new due time

    def _fired(self, node: int) -> None:
        """The timer of a dialog: free it, tell that its time is over, or wait for the time that was set meanwhile."""
        offset = node - Dialog.timer
        u32 = self._u32
        entry = u32[(offset + Dialog.entry) >> 2]
        ident = entry, u32[(offset + Dialog.id) >> 2]
        free: list[int] = []
        with self._table.lock_of(entry):
            due = self._u64[(offset + Dialog.due) >> 3]
            if self._core.clock.ms() < due:
                self._wheel.add(node, due, self._kind)
                return
            if u32[(offset + Dialog.state) >> 2] == State.DELETED:
                self._table.remove(entry, offset)
                free = [self._u64[(offset + place) >> 3] for place in (Dialog.texts, Dialog.vars, Dialog.profiles)]
            else:
                # whoever works on the timeout sets the timer anew; should it die, there is another try
                again = self._core.clock.ms() + LINGER
                self._u64[(offset + Dialog.due) >> 3] = again
                self._wheel.add(node, again, self._kind)
        if free:
            for block in free:
                if block:
                    self._arena.free(block)
            self._arena.free(offset)
        else:
            self.timeout(ident)
