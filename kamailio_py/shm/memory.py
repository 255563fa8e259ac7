"""The shared memory of one instance: one POSIX object, everything in it found by name.

Lives here: making, attaching and removing the object, and the building of arena, locks, tables, queues, wheel,
counters and process table upon it. The master makes all of them before it forks; children inherit the mapping and set
`processes.slot`. Who attaches from outside reads only: the same structures, built from the directory. Knows nothing
of SIP. Takes no lock.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import struct
from collections.abc import Callable, Mapping
from typing import Any

import posix_ipc

from kamailio_py.clock import Clock
from kamailio_py.constants import over
from kamailio_py.shm import instances, layout
from kamailio_py.shm.arena import CLASSES, Arena, ArenaHead, SizeClass
from kamailio_py.shm.counters import CounterName, Counters
from kamailio_py.shm.errors import InstanceRunning, SharedMemoryError
from kamailio_py.shm.locks import Identity, Lock, LockWord, free_dead, operations
from kamailio_py.shm.names import Name, Names
from kamailio_py.shm.processes import Process, ProcessTable
from kamailio_py.shm.queue import Item, Queue, QueueHead
from kamailio_py.shm.records import Record
from kamailio_py.shm.slabs import SLAB, SlabHead
from kamailio_py.shm.table import Table
from kamailio_py.shm.trace import Trace, TraceEvent
from kamailio_py.shm.wheel import SLOTS, STRIPES, TimerNode, Wheel, WheelHead
from kamailio_py.shm.words import contents, release, words

DEFAULT_SIZE = 64 << 20
SMALLEST = 4 << 20
PROCESSES = 256
OWNERS = 512
KINDS = 128
LAST_LAID_OUT = "wheel.locks"
"""What every segment has and gets last: whoever looks on earlier cannot read it yet."""


class SharedMemory:
    """See the head of the file.

    `memory` is for copying bytes, by slices; `u8`, `u32`, `u64`, `i64` are views whose index is the offset
    divided by the width. `limited` says that the machine had less room than was asked for, `size` is what there is.
    """

    arena: Arena
    counters: Counters
    processes: ProcessTable
    trace: Trace
    wheel: Wheel

    def __init__(self, instance: str, memory: mmap.mmap, writable: bool) -> None:
        self.instance = instance
        self.writable = writable
        self.size = len(memory)
        self.limited = False
        self.identity = Identity()
        self.u8, self.u32, self.u64, self.i64 = (words(memory, code, writable) for code in "BIQq")
        self._mapping = memory
        self.memory = contents(memory, self.u64)
        self._lock_operations = over(operations, words=self.u64, identity=self.identity) if writable else None
        self.structures: dict[str, layout.Structure] = {}
        self.tables: dict[str, Table] = {}
        self.queues: dict[str, Queue] = {}
        self.lock_groups: dict[str, list[Lock]] = {}
        self._lock_at: dict[int, Lock] = {}
        self._spare = (0, 0)

    # making and finding

    @classmethod
    def create(cls, instance: str, size: int = DEFAULT_SIZE, *, processes: int = PROCESSES) -> SharedMemory:
        """Make the segment of an instance; one that a dead server left is replaced, InstanceRunning if it lives."""
        name = instances.object_name(instance)
        if size < SMALLEST:
            raise SharedMemoryError(f"shared memory of {size} bytes is too small, {SMALLEST} are needed")
        while True:
            try:
                shared = posix_ipc.SharedMemory(name, posix_ipc.O_CREX, mode=0o600)
                break
            except posix_ipc.ExistentialError:
                found = instances.find(instance)
                if found is not None and found.live:
                    raise InstanceRunning(f"instance {instance} is running with pid {found.master}") from None
                instances.remove(instance)
        try:
            place = os.fstatvfs(shared.fd)
            # What tmpfs cannot back kills whoever touches it: better an arena that is exhausted early.
            room = (place.f_bavail * place.f_frsize - (1 << 20)) if place.f_blocks else size
            given = min(size, room) // SLAB * SLAB
            if given < SMALLEST:
                raise SharedMemoryError(f"{instances.DIRECTORY} has room for {room} bytes, {SMALLEST} are needed")
            os.ftruncate(shared.fd, given)
            self = cls(instance, mmap.mmap(shared.fd, given), True)
        except BaseException:
            posix_ipc.unlink_shared_memory(name)
            raise
        finally:
            shared.close_fd()
        self.limited = given < size // SLAB * SLAB
        self._lay_out(processes)
        return self

    @classmethod
    def attach(cls, instance: str) -> SharedMemory:
        """Look into a segment, of a live server or of a dead one; read only, no lock is ever taken."""
        try:
            shared = posix_ipc.SharedMemory(instances.object_name(instance), read_only=True)
        except posix_ipc.ExistentialError:
            raise SharedMemoryError(f"no instance {instance}") from None
        try:
            return cls._look_into(instance, shared.fd)
        finally:
            shared.close_fd()

    @classmethod
    def open(cls, path: str) -> SharedMemory:
        """Look into a file: a copy of a segment, or the object of one below /dev/shm; read only."""
        try:
            with open(path, "rb") as file:
                return cls._look_into(path, file.fileno())
        except OSError as error:
            raise SharedMemoryError(f"{path}: {error.strerror}") from None

    @classmethod
    def _look_into(cls, name: str, handle: int) -> SharedMemory:
        try:
            memory = mmap.mmap(handle, 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise SharedMemoryError(f"{name}: not a shared memory segment of kamailio-py") from None
        except OSError as error:
            raise SharedMemoryError(f"{name}: {error.strerror}") from None
        self = None
        try:
            header = layout.read_header(memory)
            if header.size > len(memory):
                raise SharedMemoryError(f"truncated: {len(memory)} of {header.size} bytes are there")
            entries = list(layout.read_entries(memory))
            if not any(structure.name == LAST_LAID_OUT for structure in entries):
                raise SharedMemoryError("still being made")
            self = cls(name, memory, False)
            self._open_all(entries)
        except SharedMemoryError as error:
            raise SharedMemoryError(f"{name}: {error}") from None
        except (LookupError, ValueError, TypeError, struct.error) as error:
            raise SharedMemoryError(f"{name}: damaged: {type(error).__name__}: {error}") from None
        return self

    def _lay_out(self, processes: int) -> None:
        master = os.getpid()
        started = int(Clock.now() * 1000)
        layout.write_header(self.memory, self.instance, self.size, master, instances.process_start(master), started)
        # What the arena itself stands on comes before it; everything else is reserved in it.
        locks = layout.LAYOUT_SIZE
        owners = locks + (CLASSES + 1) * LockWord.SIZE
        arena = -(-(owners + Names.size(OWNERS)) // 64) * 64
        slabs = (self.size - arena - Arena.size(self.size // SLAB)) // SLAB
        first = -(-(arena + Arena.size(slabs)) // SLAB) * SLAB
        slabs = (self.size - first) // SLAB
        self._enter("arena.locks", "locks", locks, (CLASSES + 1) * LockWord.SIZE, LockWord, count=CLASSES + 1)
        self._enter("owners", "names", owners, Names.size(OWNERS), Name, count=OWNERS)
        self._enter("arena", "arena", arena, Arena.size(slabs), ArenaHead, first=first, slabs=slabs)
        self._enter("arena.classes", "records", arena + ArenaHead.SIZE, CLASSES * SizeClass.SIZE, SizeClass)
        self._enter("arena.slabs", "records", Arena.map_of(arena), SlabHead.SIZE + slabs, SlabHead, slabs=slabs)
        self._make_locks("arena.locks", locks, CLASSES + 1)
        self._open_arena()
        self.reserve("counters", "counters", Counters.size(processes), CounterName, processes=processes)
        self.reserve("processes", "processes", processes * Process.SIZE, Process, count=processes)
        self._open_processes()
        ring = Trace.ring_for(self.size, processes)
        self.reserve("trace", "trace", Trace.size(processes, ring), TraceEvent, processes=processes, ring=ring)
        self._open_trace()
        self.reserve("timer kinds", "names", Names.size(KINDS), Name, count=KINDS)
        self.reserve("wheel", "wheel", Wheel.size(), WheelHead, slots=SLOTS)
        self._describe("wheel.node", TimerNode)
        self.locks("wheel.locks", STRIPES)
        self._open_wheel()

    def _open_all(self, entries: list[layout.Structure]) -> None:
        """Build everything from the directory of an attached segment."""
        self.structures = {structure.name: structure for structure in entries}
        for structure in self.structures.values():
            if structure.kind == "locks":
                self._make_locks(structure.name, structure.offset, structure.description["count"])
        self._open_arena()
        self._open_processes()
        self._open_trace()
        self._open_wheel()
        for structure in self.structures.values():
            if structure.kind == "table":
                self._open_table(structure)
            elif structure.kind == "queue":
                self._open_queue(structure)

    # reserving, before forking

    def reserve(self, name: str, kind: str, size: int, record: type[Record] | None = None, **geometry: Any) -> int:
        """Zeroed room for a named structure of the instance, at a multiple of 64; `record` says what lies there."""
        if name in self.structures:
            raise SharedMemoryError(f"shared memory structure {name} exists already")
        room = -(-size // 64) * 64
        at, end = self._spare
        if room <= end - at:
            self._spare = at + room, end
        else:
            at = self.arena.reserve(room)
            if not at:
                raise SharedMemoryError(f"no room for {name}: {size} bytes of {self.size}")
            end = -(-(at + room) // SLAB) * SLAB
            if end - at - room > self._spare[1] - self._spare[0]:
                self._spare = at + room, end
        self._enter(name, kind, at, size, record, **geometry)
        return at

    def lock(self, name: str) -> Lock:
        return self.locks(name, 1)[0]

    def locks(self, name: str, count: int) -> list[Lock]:
        offset = self.reserve(name, "locks", count * LockWord.SIZE, LockWord, count=count)
        return self._make_locks(name, offset, count)

    def table(self, name: str, buckets: int, stripes: int, record: type[Record] | None = None) -> Table:
        """A hash table; `stripes`, the number of its locks, is a power of two not above `buckets`."""
        if stripes & (stripes - 1) or not 0 < stripes <= buckets:
            raise SharedMemoryError(f"table {name}: {stripes} stripes for {buckets} buckets")
        self.reserve(name, "table", Table.size(buckets, stripes), record, buckets=buckets, stripes=stripes)
        self.locks(f"{name}.locks", stripes)
        return self._open_table(self.structures[name])

    def queue(self, name: str, capacity: int, holds: type[Record] | None = None) -> Queue:
        """A queue for so many items; `holds` says what their three values are, where all are of one kind."""
        processes = self.processes.count
        more = {"holds": holds.layout()} if holds is not None else {}
        offset = self.reserve(name, "queue", Queue.size(capacity, processes), QueueHead, capacity=capacity, **more)
        if "queue.item" not in self.structures:
            self._describe("queue.item", Item)
        Queue.lay_out(self.u64, offset, capacity, processes)
        self.lock(f"{name}.lock")
        return self._open_queue(self.structures[name])

    def kind(self, name: str, number: int, holds: type[Record] | None = None) -> None:
        """Say what items of this kind hold in queues whose items are of several kinds: kind `number` is `name`."""
        self._enter(f"task.{name}", "task", 0, 0, holds, number=number)

    def publish(self, name: str, value: Any) -> None:
        """Plain data for those who look on, as JSON; before forking."""
        text = json.dumps(value, separators=(",", ":")).encode("ascii")
        at = self.reserve(name, "json", len(text))
        self.memory[at : at + len(text)] = text

    def published(self, name: str) -> Any:
        """What was published under that name, None if nothing was."""
        found = self.structures.get(name)
        if found is None or found.kind != "json":
            return None
        return json.loads(self.memory[found.offset : found.offset + found.size])

    def _enter(self, name: str, kind: str, at: int, size: int, record: type[Record] | None, **geometry: Any) -> None:
        if record is not None:
            geometry["layout"] = record.layout()
        structure = layout.Structure(name, kind, at, size, geometry)
        layout.add_entry(self.memory, structure)
        # As an outside reader gets it.
        self.structures[name] = layout.Structure(name, kind, at, size, json.loads(json.dumps(geometry)))

    def _describe(self, name: str, record: type[Record]) -> None:
        """The layout of records that do not lie in one place: list them in the directory without a place."""
        self._enter(name, "records", 0, 0, record)

    # building upon what is laid out

    def _make_locks(self, name: str, offset: int, count: int) -> list[Lock]:
        made = self.lock_groups[name] = []
        for number in range(count):
            title = f"{name}[{number}]" if count > 1 else name
            lock = Lock(title, self.u64, offset + number * LockWord.SIZE, self.identity, self._lock_operations)
            made.append(lock)
            self._lock_at[lock.offset] = lock
        return made

    def _open_arena(self) -> None:
        arena, owners = self.structures["arena"], self.structures["owners"]
        self.arena = Arena(
            self.memory, self.u64, arena.offset, arena.description["first"], arena.description["slabs"],
            self.lock_groups["arena.locks"], Names("owners", self.memory, owners.offset, OWNERS), self._describe,
            self._zero,
        )  # fmt: skip

    def _zero(self, offset: int, size: int) -> None:
        """Zero whole pages and let the machine have their memory."""
        self._mapping.madvise(mmap.MADV_REMOVE, offset, size)

    def _open_processes(self) -> None:
        counters, processes = self.structures["counters"], self.structures["processes"]
        count = processes.description["count"]
        self.counters = Counters(self.memory, self.i64, counters.offset, count, self.identity)
        self.processes = ProcessTable(
            self.memory, self.u64, processes.offset, count, self.identity, self.counters, Clock.ns
        )

    def _open_trace(self) -> None:
        trace = self.structures["trace"]
        shape = trace.description
        self.trace = Trace(self.memory, trace.offset, shape["processes"], shape["ring"], self.identity, Clock.ns)

    def _open_wheel(self) -> None:
        kinds = Names("timer kinds", self.memory, self.structures["timer kinds"].offset, KINDS)
        self.wheel = Wheel(
            self.memory, self.u64, self.structures["wheel"].offset, self.lock_groups["wheel.locks"], kinds
        )
        if self.writable:
            self.wheel.open()

    def _open_table(self, structure: layout.Structure) -> Table:
        name, shape = structure.name, structure.description
        locks = self.lock_groups[f"{name}.locks"]
        self.tables[name] = Table(name, self.u64, structure.offset, shape["buckets"], shape["stripes"], locks)
        return self.tables[name]

    def _open_queue(self, structure: layout.Structure) -> Queue:
        name = structure.name
        lock = self.lock_groups[f"{name}.lock"][0]
        queue = Queue(name, self.memory, self.u64, structure.offset, lock, self.identity)
        self.queues[name] = queue
        if self.writable:
            queue.open()
        return queue

    def all_forked(self) -> None:
        """All processes are up: what the header says of it is for those who look on."""
        self.u32[layout.Header.forked >> 2] = 1

    # after a death

    def release_dead(self, slot: int) -> list[str]:
        """Free the locks a dead process held, what they guard made sound first; their names.

        For the master: no lock is taken. The dead one is no longer running when this is called.
        """
        table = self.processes
        every = [lock for group in self.lock_groups.values() for lock in group]
        freed = free_dead(every, slot, lambda: table.intents(without=slot), table.intent(slot))
        table.leave(slot)
        for queue in self.queues.values():
            queue.post_missing()
        return [lock.name for lock in freed]

    def give_back(self, slot: int) -> bool:
        """Put the item that the dead process had in hand back into its queue; whether it had one.

        For a living process, after release_dead(): the queue's lock is taken.
        """
        claim = self.processes.claim_of(slot)
        return any(queue.give_back(claim) for queue in self.queues.values())

    # looking on

    def sample_waits(self) -> None:
        """Note for each lock for which a process waits now that it does; for the timer process.

        Counting where locks are taken would cost those that need not wait, so their share of the time is sampled.
        """
        for intent in self.processes.intents(without=self.processes.slot):
            lock = self._lock_at.get(intent)
            if lock is not None and lock.holder >= 0:
                lock.note_wait()

    @property
    def header(self) -> Any:
        return layout.read_header(self.memory)

    @property
    def live(self) -> bool:
        """Whether the server that made the segment runs."""
        header = self.header
        return instances.is_live(header.master, header.master_start)

    def lock_at(self, offset: int) -> Lock | None:
        """The lock whose word lies there: who a process's intent means."""
        return self._lock_at.get(offset)

    def held(self) -> Mapping[str, int]:
        """Locks that are held at this moment: name -> slot of the holder."""
        return {lock.name: lock.holder for group in self.lock_groups.values() for lock in group if lock.holder >= 0}

    def check(self) -> list[str]:
        """Everything that is wrong with the structures, nobody working on them meanwhile; [] if they are sound."""
        checks: list[Callable[[], list[str]]] = [self.arena.check, self.wheel.check]
        checks += [table.check for table in self.tables.values()]
        checks += [queue.check for queue in self.queues.values()]
        found = [f"lock {name} is held by process {slot}" for name, slot in self.held().items()]
        for check in checks:
            found += check()
        return found

    # the end

    def close(self) -> None:
        """Leave the segment; what was built upon it is of no use afterwards."""
        if self.writable:
            for group in self.lock_groups.values():
                for lock in group:
                    lock.close()
            for queue in self.queues.values():
                queue.close()
            self.wheel.close()
        for view in (self.i64, self.u64, self.u32, self.u8):
            release(view)
        with contextlib.suppress(BufferError):
            self._mapping.close()

    def unlink(self) -> None:
        """Remove the object; processes that have it keep it until they leave."""
        with contextlib.suppress(posix_ipc.ExistentialError):
            posix_ipc.unlink_shared_memory(instances.object_name(self.instance))
