"""The table of connections in shared memory: which there are, where they lead, who has them, what waits on them.

Knows no file descriptor. A connection belongs to one tcp receiver, its reader, from the beginning to its end; others
find it here and put what they want to send into the reader's queue. It is found by its id or by an alias, a port at the
other end's address: the port it comes from, and those that Via's `alias` names (RFC 5923). The lock of the connections
is taken before that of the aliases; every method takes what it needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

from kamailio_py.shm.records import Record, i64, text, u32, u64
from kamailio_py.shm.words import numbers
from kamailio_py.sip.endpoint import LONGEST_SERVER_NAME

if TYPE_CHECKING:
    from kamailio_py.shm.memory import SharedMemory
    from kamailio_py.sip.endpoint import ListenSocket

BUCKETS = 1024
MAX_ALIASES = 12
"""Of one connection, its own port included."""
CLOSED_EVENT = 1
"""Flag: event_route[tcp:closed] is to run for it."""


class State:
    """Where a connection stands."""

    CONNECTING = 1
    OK = 2
    CLOSING = 3
    NAMES = {1: "CONN_CONNECT", 2: "CONN_OK", 3: "CONN_EOF"}


class Connection(Record):
    """One connection."""

    next = u64("next connection of the bucket")
    prev = u64("previous connection of the bucket")
    id = u32("number it is known by, as $conid shows it")
    state = u32("1 connecting, 2 open, 3 to be closed")
    reader = u32("number of the tcp receiver that has it")
    socket = u32("index of the socket it came in on or was opened from")
    src_port = u32("port of the other end")
    dst_port = u32("port of this end")
    flags = u32("1: its end is an event for the script")
    outgoing = u32("1 if it was opened from here")
    lifetime = u32("milliseconds it lives without traffic")
    queued = u32("bytes that wait until the other end takes them")
    opened = i64("monotonic milliseconds when it was made")
    timeout = i64("monotonic milliseconds when it ends unless something comes or goes")
    aliases = u64("first of its aliases")
    src_host = text(48, "address of the other end")
    dst_host = text(48, "address of this end")
    cipher = text(128, "cipher of TLS, empty before the handshake is over")
    server_name = text(LONGEST_SERVER_NAME, "name that the other end of TLS is asked for, when it is opened from here")
    profile = u32("number of the TLS profile it was opened with")


class Alias(Record):
    """A port under which a connection is found."""

    next = u64("next alias of the bucket")
    prev = u64("previous alias of the bucket")
    sibling = u64("next alias of the same connection")
    connection = u32("id of the connection")
    port = u32("port at the other end's address")


class TcpHead(Record):
    """What all connections have in common."""

    last_id = u32("id of the newest connection")
    opened = u32("connections there are")
    opened_tls = u32("those of them over TLS")


class Found(NamedTuple):
    """A connection as it was found."""

    id: int
    reader: int


_ID, _READER, _QUEUED = Connection.id >> 2, Connection.reader >> 2, Connection.queued >> 2
_SOCKET, _STATE, _LIFETIME, _FLAGS = (
    getattr(Connection, name) >> 2 for name in ("socket", "state", "lifetime", "flags")
)
_TIMEOUT, _ALIASES = Connection.timeout >> 3, Connection.aliases >> 3
_LAST_ID, _OPENED, _OPENED_TLS = TcpHead.last_id >> 2, TcpHead.opened >> 2, TcpHead.opened_tls >> 2
_MAX_ID = 0x7FFFFFFF


class Connections:
    """See the head of the file; made before forking."""

    def __init__(self, shm: SharedMemory, sockets: list[ListenSocket], readers: int) -> None:
        self._memory = shm.memory
        self._u32 = shm.u32
        self._u64 = shm.u64
        self._i64 = shm.i64
        self._arena = shm.arena
        self._sockets = sockets
        self._head = shm.reserve("tcp", "records", TcpHead.SIZE, TcpHead) >> 2
        self._table = shm.table("tcp.connections", BUCKETS, 1, Connection)
        self._aliases = shm.table("tcp.aliases", BUCKETS, 1, Alias)
        self._owner = shm.arena.owner("tcp", "connections", Connection)
        self._alias_owner = shm.arena.owner("tcp", "aliases", Alias)
        self._lock = self._table.lock_of(0)
        self._alias_lock = self._aliases.lock_of(0)
        self._load = shm.reserve("tcp.load", "word", 4 * max(readers, 1)) >> 2
        self.readers = readers
        self._mend_table = self._lock.mend
        self._lock.mend = self._mend

    # making and ending

    def add(
        self, socket: ListenSocket, source: tuple[str, int], local: tuple[str, int], now: int, lifetime: int, *,
        outgoing: bool = False, state: int = State.OK, reader: int | None = None, replace: bool = True,
        profile: int = 0, server_name: str = "",
    ) -> Found | None:  # fmt: skip
        """Enter a connection with the other end `source`; it belongs to the reader with the fewest unless told.

        None where there is no memory.
        """
        block = self._arena.alloc(Connection.SIZE, self._owner)
        if not block:
            return None
        u32 = self._u32
        host, port = source
        with self._lock:
            number = u32[self._head + _LAST_ID] % _MAX_ID + 1
            u32[self._head + _LAST_ID] = number
            if reader is None:
                loads = numbers(u32, self._load, self._load + self.readers)
                first = (number - 1) % self.readers  # of several with as few, each has its turn
                loads = loads[first:] + loads[:first]
                reader = (first + loads.index(min(loads))) % self.readers
            Connection.STRUCT.pack_into(
                self._memory, block, 0, 0, number, state, reader, socket.index, port, local[1], 0, outgoing, lifetime,
                0, now, now + lifetime, 0, host.encode("latin-1"), local[0].encode("latin-1"), b"",
                server_name.encode("latin-1"), profile,
            )  # fmt: skip
            self._table.insert(number % BUCKETS, block)
            self._count(socket, reader, 1)
            if not self._add_alias(block, host, port, replace):
                self._remove(block)
                return None
        return Found(number, reader)

    def remove(self, number: int) -> None:
        """Forget a connection."""
        with self._lock:
            block = self._find(number)
            if block:
                self._remove(block)

    def _remove(self, block: int) -> None:
        """The aliases first: one that a death leaves behind names an id that is not found."""
        u32 = self._u32
        index = block >> 2
        self._remove_aliases(block)
        self._table.remove(u32[index + _ID] % BUCKETS, block)
        self._count(self._sockets[u32[index + _SOCKET]], u32[index + _READER], -1)
        self._arena.free(block)

    def _remove_aliases(self, block: int) -> None:
        first = (block >> 3) + _ALIASES
        host = self._host(block)
        with self._alias_lock:
            while alias := self._u64[first]:
                self._u64[first] = self._u64[(alias + Alias.sibling) >> 3]
                self._aliases.remove(self._bucket(host, self._u32[(alias + Alias.port) >> 2]), alias)
                self._arena.free(alias)

    def _count(self, socket: ListenSocket, reader: int, change: int) -> None:
        u32 = self._u32
        u32[self._load + reader] += change
        u32[self._head + _OPENED] += change
        if socket.proto == "tls":
            u32[self._head + _OPENED_TLS] += change

    def _mend(self) -> None:
        """After the death of who held the lock: what is counted, from what there is."""
        if self._mend_table is not None:
            self._mend_table()
        u32 = self._u32
        u32[self._head + _OPENED] = u32[self._head + _OPENED_TLS] = 0
        for reader in range(self.readers):
            u32[self._load + reader] = 0
        for bucket in self._table.filled():
            for block in self._table.walk(bucket):
                self._count(self._sockets[u32[(block >> 2) + _SOCKET]], u32[(block >> 2) + _READER], 1)

    def forget_reader(self, reader: int, kept: set[int], before: int) -> list[Any]:
        """Remove what a reader should have for longer than since `before` and has not; the records."""
        gone = [c for c in self.all() if c.reader == reader and c.id not in kept and c.opened < before]
        for connection in gone:
            self.remove(connection.id)
        return gone

    # finding

    def _find(self, number: int) -> int:
        u32 = self._u32
        block = self._table.head(number % BUCKETS)
        while block and u32[(block >> 2) + _ID] != number:
            block = self._u64[block >> 3]
        return block

    def _find_to(self, proto: str, host: str, port: int, socket: int, only: bool = False) -> int:
        """The connection that leads to an address; one on that socket is preferred, or `only` such a one taken."""
        u32, u64 = self._u32, self._u64
        found = 0
        with self._alias_lock:
            alias = self._aliases.head(self._bucket(host, port))
            while alias:
                if u32[(alias + Alias.port) >> 2] == port:
                    block = self._find(u32[(alias + Alias.connection) >> 2])
                    if block and self._leads(block, proto, host):
                        if u32[(block >> 2) + _SOCKET] == socket:
                            return block
                        found = found or (0 if only else block)
                alias = u64[alias >> 3]
        return found

    def _leads(self, block: int, proto: str, host: str) -> bool:
        index = block >> 2
        return (
            self._u32[index + _STATE] != State.CLOSING
            and self._sockets[self._u32[index + _SOCKET]].proto == proto
            and self._host(block) == host
        )

    def _host(self, block: int) -> str:
        at = block + Connection.src_host
        return self._memory[at : at + 48].rstrip(b"\0").decode("latin-1")

    @staticmethod
    def _bucket(host: str, port: int) -> int:
        return (crc32(host.encode("latin-1")) + port) % BUCKETS

    def record(self, number: int) -> Any:
        """The record of a connection, texts as str; None where there is none of this id."""
        with self._lock:
            block = self._find(number)
            return self._values(block) if block else None

    def id_to(self, proto: str, host: str, port: int) -> int:
        """The id of a connection that leads to an address, 0 without one."""
        with self._lock:
            block = self._find_to(proto, host, port, -1)
            return self._u32[(block >> 2) + _ID] if block else 0

    def all(self) -> Iterator[Any]:
        """Records of all connections, oldest last, each as it was at one moment."""
        with self._lock:
            records = [self._values(block) for bucket in self._table.filled() for block in self._table.walk(bucket)]
        return iter(sorted(records, key=lambda record: record.id))

    def _values(self, block: int) -> Any:
        values = Connection.unpack(self._memory, block)
        return values._replace(
            src_host=values.src_host.rstrip(b"\0").decode("latin-1"),
            dst_host=values.dst_host.rstrip(b"\0").decode("latin-1"),
            cipher=values.cipher.rstrip(b"\0").decode("latin-1"),
            server_name=values.server_name.rstrip(b"\0").decode("latin-1"),
        )

    def proto(self, record: Any) -> str:
        """ "tcp" or "tls"."""
        return self._sockets[record.socket].proto

    @staticmethod
    def state(record: Any) -> str:
        """Kamailio's name of the state."""
        return State.NAMES.get(record.state, "CONN_BAD")

    def counts(self) -> tuple[int, int]:
        """(connections, those of them over TLS)."""
        return self._u32[self._head + _OPENED], self._u32[self._head + _OPENED_TLS]

    # sending

    def leading(self, number: int, proto: str, host: str, port: int, socket: int, only: bool = False) -> Found | None:
        """The connection of this id, else one that leads to the address; None where there is neither.

        With `only` (tcp_connection_match) it must be one of the socket of this index.
        """
        u32 = self._u32
        with self._lock:
            block = self._find(number) if number else 0
            if not block or u32[(block >> 2) + _STATE] == State.CLOSING:
                block = self._find_to(proto, host, port, socket, only)
                if not block:
                    return None
            return Found(u32[(block >> 2) + _ID], u32[(block >> 2) + _READER])

    # changes

    def add_alias(self, number: int, port: int, replace: bool = False) -> bool:
        """Let the connection be found under a further port of the other end's address; False where it cannot."""
        with self._lock:
            block = self._find(number)
            return bool(block) and self._add_alias(block, self._host(block), port, replace)

    def _add_alias(self, block: int, host: str, port: int, replace: bool) -> bool:
        """One port leads to one connection of an address: another's alias gives way to a new one, or stays."""
        u32, u64 = self._u32, self._u64
        bucket = self._bucket(host, port)
        first = (block >> 3) + _ALIASES
        proto = self._sockets[u32[(block >> 2) + _SOCKET]].proto
        with self._alias_lock:
            count, sibling = 0, u64[first]
            while sibling:
                count, sibling = count + 1, u64[(sibling + Alias.sibling) >> 3]
            other = self._aliases.head(bucket)
            while other:
                if u32[(other + Alias.port) >> 2] == port:
                    owner = self._find(u32[(other + Alias.connection) >> 2])
                    if owner == block:
                        return True
                    if owner and count and not replace and self._leads(owner, proto, host):
                        return False
                other = u64[other >> 3]
            if count >= MAX_ALIASES:
                return False
            alias = self._arena.alloc(Alias.SIZE, self._alias_owner)
            if not alias:
                return False
            Alias.STRUCT.pack_into(self._memory, alias, 0, 0, u64[first], u32[(block >> 2) + _ID], port)
            # in front of older ones: the newest is found
            self._aliases.insert(bucket, alias)
            u64[first] = alias
        return True

    def set_state(self, number: int, state: int) -> None:
        self._set(number, _STATE, state)

    def set_source(self, number: int, source: tuple[str, int]) -> None:
        """Another than the next machine is at the other end, and by that one it is found."""
        host, port = source
        with self._lock:
            block = self._find(number)
            if not block:
                return
            self._remove_aliases(block)
            at = block + Connection.src_host
            self._memory[at : at + 48] = host.encode("latin-1").ljust(48, b"\0")
            self._u32[(block + Connection.src_port) >> 2] = port
            self._add_alias(block, host, port, True)

    def set_lifetime(self, number: int, lifetime: int, now: int) -> bool:
        """Let it live so many ms without traffic, from now on; False without such a connection."""
        with self._lock:
            block = self._find(number)
            if not block:
                return False
            self._u32[(block >> 2) + _LIFETIME] = lifetime
            self._i64[(block >> 3) + _TIMEOUT] = now + lifetime
        return True

    def set_flags(self, number: int, flags: int) -> bool:
        return self._set(number, _FLAGS, flags)

    def _set(self, number: int, field: int, value: int) -> bool:
        with self._lock:
            block = self._find(number)
            if block:
                self._u32[(block >> 2) + field] = value
        return bool(block)

    # for the reader, which alone writes what waits and moves the timeout

    def place(self, number: int) -> int:
        """Where the record lies, for as long as the reader does not remove it."""
        with self._lock:
            return self._find(number)

    def set_cipher(self, block: int, text: str) -> None:
        """What TLS has agreed on."""
        at = block + Connection.cipher
        self._memory[at : at + 128] = text.encode("latin-1")[:128].ljust(128, b"\0")

    def set_queued(self, block: int, size: int) -> None:
        """So many bytes wait to be written."""
        self._u32[(block >> 2) + _QUEUED] = size

    def touch(self, block: int, now: int) -> None:
        """Something came or went: its lifetime begins anew."""
        self._i64[(block >> 3) + _TIMEOUT] = now + self._u32[(block >> 2) + _LIFETIME]

    def timeout_of(self, block: int) -> int:
        return self._i64[(block >> 3) + _TIMEOUT]
