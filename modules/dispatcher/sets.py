"""Sets of destinations: read from a list, kept in shared memory so that all processes see the same state of each.

What a list says (address, priority, attributes) is one block that is replaced as a whole; each process keeps a parsed
copy of it, made anew when the version has changed. What changes while the server runs (flags, failures, load, latency,
whose turn it is) lies in records beside it. One lock guards all of it; `with sets:` holds it and brings the copy up to
date.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from kamailio_py.dns.places import Place
from kamailio_py.log import get_logger
from kamailio_py.modules.dispatcher.order import order_of
from kamailio_py.shm.records import Record, u32, u64
from kamailio_py.sip.endpoint import PROTOCOLS
from kamailio_py.sip.uri import BadUri, Uri

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core

log = get_logger("dispatcher")

INACTIVE, TRYING, DISABLED, PROBING, NO_DNS = 1, 2, 4, 8, 16
UNUSABLE = INACTIVE | DISABLED
WEIGHTS = 100


class Head(Record):
    """The list in force."""

    version = u64("counts up with every list")
    data = u64("block with the list, as marshal wrote it")
    pinging = u64("1 if destinations are probed")
    reloaded = u64("when a list was read last, seconds since the epoch")


class SetState(Record):
    """Whose turn it is in a set."""

    last = u32("next destination of round robin")
    weight = u32("next slot of the weights")
    relative = u32("next slot of the relative weights")
    spare = u32("unused")


class DestinationState(Record):
    """What is known of a destination now."""

    flags = u32("see the list's flags")
    failures = u32("probes and marks in a row that speak against the state it is in")
    load = u32("calls")
    timeouts = u32("probes that were not answered")
    average = u64("weighted average of the latency, microseconds")
    deviation = u64("its standard deviation, microseconds")
    estimate = u64("short term estimate of the latency, microseconds")
    longest = u64("largest latency, milliseconds")
    probes = u64("probes that were answered")
    resolved = u64("when the timer looked its name up last, microseconds since the epoch")


class Entry(NamedTuple):
    """One line of a list."""

    set: int
    uri: str
    flags: int = 0
    priority: int = 0
    attrs: str = ""


class Destination:
    """One destination as a process has it; its state is in shared memory at `offset`."""

    __slots__ = (
        "attrs", "duid", "host", "maxload", "named", "offset", "place", "priority", "resolvable", "rweight", "uri",
        "weight",
    )  # fmt: skip

    def __init__(
        self, uri: str, priority: int, attrs: str, place: tuple[str, int, str], resolvable: bool, offset: int
    ) -> None:
        self.uri = uri
        self.priority = priority
        self.attrs = attrs
        self.place = Place(*place)
        """Its address, "" while that is not known; port and transport, 0 and "" where the URI has none."""
        self.resolvable = resolvable
        self.offset = offset
        self.host = Uri.parse(uri).host
        self.named = attributes(attrs)
        self.duid = self.named.get("duid", "")
        self.maxload = _number(self.named.get("maxload"))
        self.weight = _percent(self.named.get("weight"))
        self.rweight = _percent(self.named.get("rweight"))

    @property
    def key(self) -> tuple[int, str]:
        """It for `Sets.set_places`; one of another list, in whose place it lies, has another."""
        return self.offset, self.uri

    def data(self, places: dict[tuple[int, str], Place]) -> tuple[Any, ...]:
        """Plain data, for Destination(*data); where `places` says so, elsewhere."""
        place = places.get(self.key, self.place)
        return self.uri, self.priority, self.attrs, tuple(place), self.resolvable, self.offset


class DestinationSet:
    """One set: its destinations, the first choice first."""

    __slots__ = ("destinations", "id", "offset", "weights")

    def __init__(self, number: int, offset: int, weights: list[int], destinations: list[Destination]) -> None:
        self.id = number
        self.offset = offset
        self.weights = weights
        self.destinations = destinations


def named(uri: Uri) -> Place:
    """What a URI itself says of the place it leads to."""
    return Place("", uri.port, uri.transport if uri.transport in PROTOCOLS else "")


def attributes(text: str) -> dict[str, str]:
    """Attributes by name."""
    pairs = (part.partition("=") for part in text.split(";") if part)
    return {name.strip(): value.strip().strip('"') for name, _, value in pairs}


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0


def _percent(text: str | None) -> int:
    number = _number(text)
    return number if number <= WEIGHTS else 0


def parse_line(line: str) -> Entry | None:
    """One line of a list file, `set uri [flags [priority [attributes]]]`; None for a comment; ValueError for others."""
    line = line.partition("#")[0].strip()
    if not line:
        return None
    words = line.split(None, 4)
    if len(words) < 2:
        raise ValueError("no destination uri")
    attrs = words[4] if len(words) > 4 else ""
    flags = int(words[2]) if len(words) > 2 else 0
    priority = int(words[3]) if len(words) > 3 else 0
    return Entry(int(words[0]), words[1], flags, priority, attrs)


class Sets:
    """See the head of the file."""

    def __init__(self, core: Core, resolve: Callable[[Uri], Place | None], default_attrs: str = "") -> None:
        """`resolve(uri)` says where a destination is; None if that was to be found out and cannot be."""
        shm = core.shm
        self._core = core
        self._resolve = resolve
        self._arena = shm.arena
        self._memory = shm.memory
        self.u32, self.u64 = shm.u32, shm.u64
        self._lock = shm.lock("dispatcher")
        self._head = shm.reserve("dispatcher.head", "words", Head.SIZE, Head)
        owner = shm.arena.owner
        self._lists = owner("dispatcher", "list")
        self._states = owner("dispatcher", "destination", DestinationState)
        self._sets = owner("dispatcher", "set", SetState)
        self._version = -1
        self._default_attrs = default_attrs
        self.sets: dict[int, DestinationSet] = {}
        self.u64[(self._head + Head.pinging) >> 3] = 1

    def __enter__(self) -> dict[int, DestinationSet]:
        self._lock.acquire()
        if self.u64[(self._head + Head.version) >> 3] != self._version:
            self._read()
        return self.sets

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def head(self, field: int) -> int:
        """A word of the head: `sets.head(Head.pinging)`."""
        return self.u64[(self._head + field) >> 3]

    def set_head(self, field: int, value: int) -> None:
        self.u64[(self._head + field) >> 3] = value

    # states; the lock is held

    def get(self, destination: Destination, field: int) -> int:
        return self.u32[(destination.offset + field) >> 2]

    def set(self, destination: Destination, field: int, value: int) -> None:
        self.u32[(destination.offset + field) >> 2] = value & 0xFFFFFFFF

    def flags(self, destination: Destination) -> int:
        return self.u32[(destination.offset + DestinationState.flags) >> 2]

    def is_usable(self, destination: Destination) -> bool:
        return not self.flags(destination) & UNUSABLE

    # lists

    def _read(self) -> None:
        """Make this process's copy; the lock is held."""
        block = self.u64[(self._head + Head.data) >> 3]
        data = marshal.loads(self._arena.load(block)) if block else []
        self.sets = {}
        for number, offset, weights, destinations in data:
            self.sets[number] = DestinationSet(number, offset, weights, [Destination(*one) for one in destinations])
        self._version = self.u64[(self._head + Head.version) >> 3]

    def entries(self) -> list[Entry]:
        """The list in force, in order."""
        with self as sets:
            return [
                Entry(number, one.uri, self.flags(one) | (0 if one.resolvable else NO_DNS), one.priority, one.attrs)
                for number, dests in sets.items()
                for one in dests.destinations
            ]

    def replace(self, entries: Iterable[Entry], *, strict: bool = False, keep: bool = False) -> bool:
        """Put another list into force; False if there is no memory, and the old one stays.

        Within a set destinations are ordered by priority; of equal ones the last comes first. With `keep` the
        destinations that stay keep loads and latencies. With `strict` one that is no URI or cannot be found is a
        ValueError, without it is left out.
        """
        ordered: dict[int, list[tuple[Entry, Place]]] = {}
        for entry in entries:
            place = self._place(entry)
            if place is None:
                said = f"unable to add destination {entry.uri} to set {entry.set}"
                if strict:
                    raise ValueError(said)
                log.warn(f"{said} -- skipping")
                continue
            if not entry.attrs and self._default_attrs:
                entry = entry._replace(attrs=self._default_attrs)
            members = ordered.setdefault(entry.set, [])
            at = next((i for i, (other, _) in enumerate(members) if other.priority <= entry.priority), len(members))
            members.insert(at, (entry, place))
        with self:
            return self._store(ordered, keep)

    def _place(self, entry: Entry) -> Place | None:
        """Where the destination of an entry is; None if it is no SIP URI or cannot be found."""
        try:
            uri = Uri.parse(entry.uri)
            if not entry.uri.startswith(("sip:", "sips:")) or not uri.host:
                raise BadUri("no SIP URI")
        except BadUri as error:
            log.err(f"bad uri [{entry.uri}]: {error.reason}")
            return None
        return named(uri) if entry.flags & NO_DNS else self._resolve(uri)

    def _store(self, ordered: dict[int, list[tuple[Entry, Place]]], keep: bool) -> bool:
        """Make the new list's records and let them take the place of the old ones; the lock is held."""
        known = {(number, one.uri): one for number, dests in self.sets.items() for one in dests.destinations}
        turns = {number: dests.offset for number, dests in self.sets.items()}
        data: list[tuple[int, int, list[int], list[tuple[Any, ...]]]] = []
        made: list[int] = []

        def record(size: int, owner: int) -> int:
            offset = self._arena.alloc(size, owner)
            if offset:
                made.append(offset)
                self._memory[offset : offset + size] = bytes(size)
            return offset

        block = 0
        for number in order_of(ordered):
            members = ordered[number]
            offset = record(SetState.SIZE, self._sets)
            destinations = []
            for entry, place in members:
                state = record(DestinationState.SIZE, self._states)
                if not state or not offset:
                    break
                old = known.get((number, entry.uri))
                if keep and old is not None:
                    size = DestinationState.SIZE
                    self._memory[state : state + size] = self._memory[old.offset : old.offset + size]
                self.u32[(state + DestinationState.flags) >> 2] = entry.flags & ~NO_DNS
                resolvable = not entry.flags & NO_DNS
                destinations.append((entry.uri, entry.priority, entry.attrs, tuple(place), resolvable, state))
            if len(destinations) < len(members):
                break
            if keep and number in turns:
                size = SetState.SIZE
                self._memory[offset : offset + size] = self._memory[turns[number] : turns[number] + size]
            data.append((number, offset, self._weights([entry for entry, _ in members]), destinations))
        else:
            block = self._arena.store(marshal.dumps(data), self._lists)
        if not block:
            log.err("no more shm memory")
            for offset in made:
                self._arena.free(offset)
            return False
        self._put(block)
        return True

    def _put(self, block: int) -> None:
        """Put a new list into force, and free the states of the old one; the lock is held."""
        before = [one.offset for dests in self.sets.values() for one in dests.destinations]
        before += [dests.offset for dests in self.sets.values()]
        self._swap(block)
        for offset in before:
            self._arena.free(offset)

    def _swap(self, block: int) -> None:
        """Put a block in the place of the one that was there; the lock is held."""
        word = (self._head + Head.data) >> 3
        old, self.u64[word] = self.u64[word], block
        self.u64[(self._head + Head.version) >> 3] += 1
        self._read()
        if old:
            self._arena.free(old)

    def _weights(self, members: list[Entry]) -> list[int]:
        """The hundred slots of the weights, in an order by chance; [] if there are none."""
        slots: list[int] = []
        for i, entry in enumerate(members):
            slots += [i] * _percent(attributes(entry.attrs).get("weight"))
        if not slots:
            return []
        slots = slots[:WEIGHTS]
        slots += [len(members) - 1] * (WEIGHTS - len(slots))
        self._core.random.shuffle(slots)
        return slots

    def set_places(self, places: dict[tuple[int, str], Place], when: int = 0) -> None:
        """Put destinations, by their keys, elsewhere; `when` the timer has found that out, or 0."""
        with self as sets:
            moved = False
            for one in (one for dests in sets.values() for one in dests.destinations if one.key in places):
                moved |= places[one.key] != one.place
                if when:
                    self.u64[(one.offset + DestinationState.resolved) >> 3] = when
            fresh = [
                (dests.id, dests.offset, dests.weights, [one.data(places) for one in dests.destinations])
                for dests in sets.values()
            ]
            block = self._arena.store(marshal.dumps(fresh), self._lists) if moved else 0
            if block:
                self._swap(block)
