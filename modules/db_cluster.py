"""The db_cluster module: several databases as one, with a spare for each that fails.

    modparam("db_cluster", "connection", "c1=>mysql://kamailio:pw@db1/kamailio")
    modparam("db_cluster", "connection", "c2=>mysql://kamailio:pw@db2/kamailio")
    modparam("db_cluster", "cluster", "k1=>c1=9s9p;c2=8s9p")
    modparam("usrloc", "db_url", "cluster://k1")

Each connection of a cluster says where it stands for reads and for writes: a priority, 9 before 0, and a mode: `s` the
first of a priority that works, `r` they take turns, `p` (writes) all of them. One that fails is left out for
`inactive_interval` seconds, by all processes: that is a word for each connection in shared memory.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kamailio_py.dataclass import dataclass, field
from kamailio_py.db.connection import Connection
from kamailio_py.db.errors import DbError
from kamailio_py.db.url import DbUrl
from kamailio_py.db.values import Result, Row, Value, Where
from kamailio_py.log import get_logger
from kamailio_py.module import Module, Param, RpcFault, rpc

if TYPE_CHECKING:
    from kamailio_py.db.database import Database

log = get_logger("db_cluster")

_PLACE = re.compile(r"(?P<reads>\d)(?P<read>[srSR])(?P<writes>\d)(?P<write>[srpSRP])")
NOT_ENOUGH = "Not enough parameters"


class Member:
    """One connection of the clusters."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.url = url
        self.database: Database = None  # type: ignore[assignment]  # made by mod_init
        self.word = 0
        """Where in shared memory it says until when it is left out."""


@dataclass
class Group:
    """The connections of one priority, and how they share the work."""

    mode: str
    members: list[Member] = field(default_factory=list)
    turn: int = 0

    def in_turn(self) -> list[Member]:
        """The members in the order in which they are to be tried."""
        if self.mode == "r":
            self.turn = (self.turn + 1) % len(self.members)
            return self.members[self.turn :] + self.members[: self.turn]
        return self.members


@dataclass
class Cluster:
    """A cluster's connections by priority, the highest first."""

    name: str
    members: list[Member]
    reads: list[Group]
    writes: list[Group]


class ClusterConnection(Connection):
    """A cluster as a connection: each operation is done by the databases whose turn it is."""

    cannot = frozenset({"begin"})

    def __init__(self, cluster: Cluster, module: DbCluster) -> None:
        self._cluster = cluster
        self._module = module
        self._written: Database | None = None

    def close(self) -> None:
        for member in self._cluster.members:
            member.database.close()

    def query(self, table: str, columns: Sequence[str], where: Where, order: str) -> Result:
        result: Result = self._read(lambda database: database.query(table, columns, where, order))
        return result

    def fetch(self, table: str, columns: Sequence[str], where: Where, order: str, chunk: int) -> Iterator[Row]:
        def begin(database: Database) -> Iterator[Row]:
            rows = database.fetch(table, columns, where, order, chunk)
            first = list(itertools.islice(rows, 1))  # this is where it fails, if it does
            return itertools.chain(first, rows)

        rows: Iterator[Row] = self._read(begin)
        return rows

    def raw(self, statement: str) -> Result:
        def run(database: Database) -> Result:
            result = database.raw(statement)
            self.affected = database.affected
            return result

        result: Result = self._read(run)
        return result

    def insert(self, table: str, row: Mapping[str, Value]) -> int:
        return self._write(lambda database: database.insert(table, row))

    def update(self, table: str, row: Mapping[str, Value], where: Where) -> int:
        return self._write(lambda database: database.update(table, row, where))

    def delete(self, table: str, where: Where) -> int:
        return self._write(lambda database: database.delete(table, where))

    def replace(self, table: str, row: Mapping[str, Value], keys: Sequence[str]) -> int:
        return self._write(lambda database: database.replace(table, row, keys))

    def insert_update(self, table: str, row: Mapping[str, Value], keys: Sequence[str]) -> int:
        return self._write(lambda database: database.insert_update(table, row, keys))

    @property
    def last_id(self) -> int:  # type: ignore[override]
        return self._written.last_id if self._written is not None else 0

    def _read(self, work: Callable[[Database], Any]) -> Any:
        for group in self._cluster.reads:
            for member in group.in_turn():
                done, result = self._try(member, work)
                if done:
                    return result
        raise DbError(f"no successful read on cluster [{self._cluster.name}]")

    def _write(self, work: Callable[[Database], Any]) -> int:
        for group in self._cluster.writes:
            written = None
            for member in group.in_turn():
                done, _ = self._try(member, work)
                if done:
                    written = written or member.database
                    if group.mode != "p":
                        break
            if written is not None:
                self._written = written
                return written.affected
        raise DbError(f"no successful write on cluster [{self._cluster.name}]")

    def _try(self, member: Member, work: Callable[[Database], Any]) -> tuple[bool, Any]:
        """Whether a member did it, and what it gave; one that fails or takes too long is left out from now on."""
        module = self._module
        if not module.is_active(member):
            return False, None
        clock = module.core.clock
        began = clock.ms()
        done, result = True, None
        try:
            result = work(member.database)
        except DbError:
            done = False
        if not done or 0 < module.max_query_length * 1000 < clock.ms() - began:
            log.warn(f"disable connection [{member.name}] for {module.inactive_interval} seconds")
            module.leave_out(member, module.inactive_interval)
        return done, result


class DbCluster(Module):
    """Gives `core.db("cluster://...")` its connections."""

    name = "db_cluster"
    statistics_group = "cluster"

    connection = Param(str, setter="add_connection")
    cluster = Param(str, setter="add_cluster")
    inactive_interval = Param(int, 300)
    max_query_length = Param(int, 0)

    def __init__(self, core: Any) -> None:
        super().__init__(core)
        self._members: dict[str, Member] = {}
        self._clusters: dict[str, Cluster] = {}
        self._started = 0

    # parameters

    def add_connection(self, text: str) -> None:
        """`name=>url`."""
        name, arrow, url = (part.strip() for part in text.partition("=>"))
        if not (arrow and name and url):
            raise ValueError(f"invalid connection parameter [{text}]: it is name=>url")
        if name in self._members:
            raise ValueError(f"duplicate connection name [{name}]")
        self._members[name] = Member(name, url)

    def add_cluster(self, text: str) -> None:
        """`name=>connection=9s8p;...`: priority and mode of reads, then those of writes."""
        name, arrow, places = (part.strip() for part in text.partition("=>"))
        if not (arrow and name and places):
            raise ValueError(f"invalid cluster parameter [{text}]: it is name=>connection=9s9s;...")
        if name in self._clusters:
            raise ValueError(f"duplicate cluster name [{name}]")
        members: list[Member] = []
        reads: dict[int, Group] = {}
        writes: dict[int, Group] = {}
        for part in filter(None, (part.strip() for part in places.split(";"))):
            identity, _, place = (word.strip() for word in part.partition("="))
            if identity not in self._members:
                raise ValueError(f"invalid connection id [{identity}] in cluster [{name}]")
            match = _PLACE.fullmatch(place)
            if match is None:
                raise ValueError(f"invalid parameter [{place}] for connection id [{identity}]: it is like 9s9s")
            member = self._members[identity]
            members.append(member)
            reads.setdefault(int(match["reads"]), Group(match["read"].lower())).members.append(member)
            writes.setdefault(int(match["writes"]), Group(match["write"].lower())).members.append(member)
        self._clusters[name] = Cluster(name, members, _by_priority(reads), _by_priority(writes))

    # life cycle

    def mod_init(self) -> None:
        self._started = self.core.clock.ms()
        arena = self.core.shm.arena
        owner = arena.owner("db_cluster", "connection")
        for member in self._members.values():
            member.database = self.core.db(member.url)
            member.word = arena.alloc(8, owner) >> 3
            self.core.shm.u64[member.word] = 0

    def connect(self, url: DbUrl) -> ClusterConnection:
        cluster = self._clusters.get(url.rest)
        if cluster is None:
            raise DbError(f"invalid url for cluster module [{url.text}]: there is no such cluster")
        return ClusterConnection(cluster, self)

    # which connections are in use

    def is_active(self, member: Member) -> bool:
        return self.core.shm.u64[member.word] <= self.core.clock.ms()

    def leave_out(self, member: Member, seconds: int) -> None:
        self.core.shm.u64[member.word] = self.core.clock.ms() + seconds * 1000

    def _find(self, cluster: str, connection: str) -> tuple[Cluster, Member]:
        found = self._clusters.get(cluster)
        if found is None:
            raise RpcFault(500, "Cluster not found")
        for member in found.members:
            if member.name == connection:
                return found, member
        raise RpcFault(500, "Cluster connection not found")

    # RPC

    @rpc("dbcl.list_clusters", "", "Print all clusters")
    def list_clusters(self, call: Any) -> Iterator[dict[str, Any]]:
        if not self._clusters:
            raise RpcFault(500, "Clusters not found")
        for name in reversed(self._clusters):
            yield {"cluster": name}

    @rpc("dbcl.list_connections", "S", "Print all database connections of a cluster",
         missing=(500, f"{NOT_ENOUGH} (cluster)"))  # fmt: skip
    def list_connections(self, call: Any, name: str) -> Iterator[dict[str, Any]]:
        cluster = self._clusters.get(name)
        if cluster is None:
            log.err(f"cluster not found [{name}]")
            raise RpcFault(500, "Cluster not found")
        for member in reversed(cluster.members):
            until = self.core.shm.u64[member.word]
            active = self.is_active(member)
            yield {
                "connection": member.name,
                "url": str(member.database.url),
                "flags": 1,
                "state": "active" if active else "disabled",
                "ticks": 0 if active else (until - self._started) // 1000,
                "ref": 1,
            }

    @rpc("dbcl.disable_connection", "SSd", "Disable a connection of a cluster for a period",
         missing=(500, f"{NOT_ENOUGH} (cluster) (connection) (seconds)"))  # fmt: skip
    def disable_connection(self, call: Any, name: str, connection: str, seconds: int) -> str:
        cluster, member = self._find(name, connection)
        again = not self.is_active(member)
        if not again and sum(map(self.is_active, cluster.members)) == 1:
            raise RpcFault(500, "Cannot disable last active connection in a cluster")
        self.leave_out(member, seconds)
        return f"Ok. Cluster connection {'re-' if again else ''}disabled."

    @rpc("dbcl.enable_connection", "SS", "Enable a connection of a cluster",
         missing=(500, f"{NOT_ENOUGH} (cluster) (connection)"))  # fmt: skip
    def enable_connection(self, call: Any, name: str, connection: str) -> str:
        _, member = self._find(name, connection)
        self.core.shm.u64[member.word] = 0
        return "Ok. Cluster connection enabled."


def _by_priority(groups: dict[int, Group]) -> list[Group]:
    return [groups[priority] for priority in sorted(groups, reverse=True)]
