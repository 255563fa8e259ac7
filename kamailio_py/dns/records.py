"""Records of the DNS as they are kept: one record, and the entry of all records of a type and name.

Data only; knows neither the cache nor a server.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from kamailio_py.dataclass import dataclass, field
from kamailio_py.shm.kept import PERMANENT

TYPES = {"A": 1, "CNAME": 5, "PTR": 12, "TXT": 16, "AAAA": 28, "SRV": 33, "NAPTR": 35, "EBL": 65300}
"""Names of record types -> numbers; EBL is of a draft, and only Kamailio has it."""
NEGATIVE = 1
"""Flag of an entry that says that there is no such record."""


@dataclass(slots=True)
class DnsRecord:
    """One record: `target` is an address or a name, `expires` monotonic milliseconds.

    The three numbers are those of SRV; NAPTR has its order and preference in `priority` and `weight`. `texts` are
    flags, service and regexp of NAPTR, the strings of TXT.
    """

    target: str
    expires: int
    priority: int = 0
    weight: int = 0
    port: int = 0
    texts: list[str] = field(default_factory=list)
    skipped: bool = False
    """Of NAPTR: all places it leads to failed, it is passed over for as long as it is kept."""

    def state(self) -> list[Any]:
        """Plain data, for DnsRecord(*state)."""
        return [self.target, self.expires, self.priority, self.weight, self.port, self.texts, self.skipped]


@dataclass(slots=True)
class DnsEntry:
    """All records of one type and name; times are monotonic milliseconds."""

    type: str
    name: str
    flags: int
    expires: int
    used: int
    size: int
    records: list[DnsRecord]

    @property
    def negative(self) -> bool:
        return bool(self.flags & NEGATIVE)

    @property
    def permanent(self) -> bool:
        return bool(self.flags & PERMANENT)


@dataclass(slots=True)
class RecordSet:
    """Records of one type and name as a server gave them, each with the seconds it may be kept."""

    type: str
    name: str
    records: list[DnsRecord]
    ttls: list[int]


def parse_address(kind: str, text: str) -> str | None:
    """An address of the version that an A or AAAA record has, in its shortest form; None for anything else."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return str(address) if address.version == (4 if kind == "A" else 6) else None


def rank(record: DnsRecord) -> tuple[int, int]:
    """Sorts SRV records: by priority, of one priority the heaviest first; they stay as they come otherwise."""
    return record.priority, -record.weight
