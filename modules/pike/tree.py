"""The tree of addresses that pike counts requests in, byte by byte of the address, in shared memory.

Nodes are made where requests come from: one for the first byte, the next one below it when it is hit often enough, down
to the whole address, whose leaf hits decide whether it is blocked. Each first byte is a branch; 32 locks guard the
branches. Nodes of one father form a chain from its `kids`; a node becomes reachable, and goes, by one word, so that
nothing is to be mended after a death.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum

from kamailio_py.dataclass import dataclass
from kamailio_py.shm.memory import SharedMemory
from kamailio_py.shm.records import Record, u8, u16, u32, u64

BRANCHES = 256
STRIPES = 32
LEAF, RED = 4, 8
"""Flags: a whole address; it is blocked."""
MOST_HITS = 65534


class Node(Record):
    """One byte of an address."""

    next = u64("the next node below the same father, 0 at the end")
    kids = u64("the first node below this one")
    expires = u32("second after which it goes, by the clock of the wheel")
    leaf_hits_prev = u16("requests from this address in the last time unit")
    leaf_hits_curr = u16("requests from this address in this time unit")
    hits_prev = u16("requests in the last time unit that ended here for want of nodes below")
    hits_curr = u16("requests in this time unit that ended here")
    byte = u8("the byte")
    flags = u8("4: whole address, 8: blocked")


class Mark(Enum):
    """What one more request makes of its address."""

    FINE = 1
    BLOCKED = -1
    NEWLY_BLOCKED = -2


@dataclass(slots=True)
class Address:
    """An address of the tree, as it is shown."""

    ip: bytes
    leaf_hits_prev: int
    leaf_hits_curr: int
    expires: int
    hot: bool
    warm: bool


class Tree:
    """See the head of the file; `density` is how many requests per time unit are too many, `latency` in seconds."""

    def __init__(self, shm: SharedMemory, now: Callable[[], int], density: int, latency: int) -> None:
        self.density = density
        self._warm = density >> 2
        self._latency = latency
        self._now = now
        self._arena = shm.arena
        self._owner = shm.arena.owner("pike", "node", Node)
        self._memory, self._bytes = shm.memory, shm.u8
        self._words = shm.u64
        self._u32 = shm.u32
        self._heads = shm.reserve("pike.branches", "words", 8 * BRANCHES) >> 3
        self._locks = shm.locks("pike.locks", STRIPES)

    # fields: hits are 16 bits wide

    def _get(self, node: int, field: int) -> int:
        at = node + field
        return self._bytes[at] | self._bytes[at + 1] << 8

    def _put(self, node: int, field: int, value: int) -> None:
        self._memory[node + field : node + field + 2] = value.to_bytes(2, "little")

    def _add(self, node: int, field: int) -> None:
        value = self._get(node, field)
        if value < MOST_HITS:
            self._put(node, field, value + 1)

    def _flags(self, node: int) -> int:
        return self._bytes[node + Node.flags]

    def _chain(self, head: int) -> Iterator[int]:
        """Nodes of the chain that starts in this word."""
        node = self._words[head]
        while node:
            following = self._words[(node + Node.next) >> 3]
            yield node
            node = following

    def _find(self, head: int, byte: int) -> int:
        return next((node for node in self._chain(head) if self._bytes[node + Node.byte] == byte), 0)

    def _over(self, node: int, prev: int, curr: int, limit: int) -> bool:
        before, now = self._get(node, prev), self._get(node, curr)
        return before >= limit or now >= limit or (before + now) >> 1 >= limit

    def _is_hot(self, node: int) -> bool:
        return self._over(node, Node.leaf_hits_prev, Node.leaf_hits_curr, self.density)

    # one more request

    def mark(self, ip: bytes) -> Mark:
        """Count a request from an address; FINE also if there is no memory to do so."""
        with self._locks[ip[0] % STRIPES]:
            return self._mark(ip)

    def _mark(self, ip: bytes) -> Mark:
        head, node, depth = self._heads + ip[0], 0, 0
        while depth < len(ip):
            kid = self._find(head, ip[depth])
            if not kid:
                break
            node, depth = kid, depth + 1
            head = (node + Node.kids) >> 3
        if depth < len(ip):
            self._grow(head, node, ip[depth])
            return Mark.FINE
        flags = self._flags(node) | LEAF
        self._add(node, Node.leaf_hits_curr)
        mark = Mark.BLOCKED if flags & RED else Mark.FINE
        if not flags & RED and self._is_hot(node):
            flags |= RED
            mark = Mark.NEWLY_BLOCKED
        self._bytes[node + Node.flags] = flags
        self._touch(node)
        return mark

    def _grow(self, head: int, father: int, byte: int) -> None:
        """A request that ends in a node above its address: count it there, and go one byte deeper if it is worth it."""
        if not father:
            self._new(head, byte, 1, 0)
            return
        self._add(father, Node.hits_curr)
        if self._over(father, Node.hits_prev, Node.hits_curr, self._warm):
            below = max(self._get(father, Node.hits_curr) - 1, 0)
            leaf = self._get(father, Node.leaf_hits_prev) - 1 if self._get(father, Node.leaf_hits_curr) else 0
            self._new(head, byte, below, max(leaf, 0))
        elif self._get(father, Node.hits_curr) >= self._warm and not self._words[head]:
            self._touch(father)

    def _new(self, head: int, byte: int, hits: int, leaf_hits_prev: int) -> None:
        node = self._arena.alloc(Node.SIZE, self._owner)
        if not node:
            return
        Node.STRUCT.pack_into(
            self._memory, node, self._words[head], 0, self._now() + self._latency, leaf_hits_prev, 0, 0, hits, byte, 0
        )
        self._words[head] = node

    def _touch(self, node: int) -> None:
        self._u32[(node + Node.expires) >> 2] = self._now() + self._latency

    # time passes

    def next_unit(self) -> list[bytes]:
        """A time unit is over; addresses that are no longer blocked."""
        unblocked: list[bytes] = []
        for branch in range(BRANCHES):
            if self._words[self._heads + branch]:
                with self._locks[branch % STRIPES]:
                    for node, ip in list(self._below(self._heads + branch, b"")):
                        self._shift(node)
                        if self._flags(node) & RED and not self._is_hot(node):
                            self._bytes[node + Node.flags] &= ~RED & 0xFF
                            unblocked.append(ip)
        return unblocked

    def _shift(self, node: int) -> None:
        for prev, curr in ((Node.leaf_hits_prev, Node.leaf_hits_curr), (Node.hits_prev, Node.hits_curr)):
            self._put(node, prev, self._get(node, curr))
            self._put(node, curr, 0)

    def clean(self) -> None:
        """Remove the nodes whose time is over."""
        now = self._now()
        for branch in range(BRANCHES):
            if self._words[self._heads + branch]:
                with self._locks[branch % STRIPES]:
                    self._clean(self._heads + branch, 0, now)

    def _clean(self, head: int, father: int, now: int) -> None:
        before = head
        for node in list(self._chain(head)):
            kids = (node + Node.kids) >> 3
            if self._words[kids]:
                self._clean(kids, node, now)
            elif self._u32[(node + Node.expires) >> 2] <= now:
                self._words[before] = self._words[(node + Node.next) >> 3]
                self._arena.free(node)
                continue
            before = (node + Node.next) >> 3
        if father and not self._words[head]:
            self._touch(father)

    # looking

    def _below(self, head: int, path: bytes) -> Iterator[tuple[int, bytes]]:
        """All nodes under a word, with the bytes that lead to them."""
        for node in self._chain(head):
            here = path + bytes((self._bytes[node + Node.byte],))
            yield node, here
            yield from self._below((node + Node.kids) >> 3, here)

    def addresses(self) -> list[Address]:
        """All whole addresses, in the order of the tree."""
        now = self._now()
        found = []
        for branch in range(BRANCHES):
            with self._locks[branch % STRIPES]:
                for node, ip in self._below(self._heads + branch, b""):
                    if self._flags(node) & LEAF:
                        values = Node.unpack(self._memory, node)
                        warm = values.hits_curr >= self._warm
                        leaf = values.leaf_hits_prev, values.leaf_hits_curr
                        found.append(Address(ip, *leaf, values.expires - now, self._is_hot(node), warm))
        return found
