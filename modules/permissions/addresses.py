"""The address table: single addresses, networks and domain names, each with a group, a port and a tag.

Lives here: reading it from the database or a file into plain data that goes into shared memory, and what a process
looks up in it. An `Addresses` is never changed; a reload makes another one. Takes no lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, NamedTuple

from kamailio_py.log import get_logger
from kamailio_py.sip.hash import core_hash
from kamailio_py.sip.ip import is_ipv4, is_ipv6, normalise

log = get_logger("permissions")

HASH_SIZE = 128
"""Slots of Kamailio's tables, which its dumps number."""


class Row(NamedTuple):
    """A row of the table; `address` of one address or name is normalised."""

    group: int
    address: str
    mask: int
    port: int
    tag: str | None

    @property
    def is_address(self) -> bool:
        """Not a domain name."""
        return is_ipv4(self.address) or is_ipv6(self.address)


@lru_cache(4096)
def _number(address: str) -> int:
    return int(ip_address(address))


def slot_of(address: str) -> int:
    """The slot of Kamailio's table that an address is in: the hash of its first four bytes."""
    return core_hash(ip_address(address).packed[:4].decode("latin-1"), "", HASH_SIZE)


def check_row(values: Sequence[Any]) -> Row:
    """A row as it is read from a database or a file; ValueError if it is none."""
    group, address, mask, port, tag = values
    if not all(isinstance(value, int) for value in (group, mask, port)) or group <= 0 or not isinstance(address, str):
        raise ValueError(f"invalid record: {group}, {address}, {mask}, {port}")
    four, six = is_ipv4(address), is_ipv6(address)
    bits = 32 if four else 128
    if (four or six) and not 0 <= mask <= bits:
        raise ValueError(f"invalid mask {mask} of {address}")
    return Row(group, normalise(address) if four or six else address, mask or bits, port, tag)


def read_file(path: str) -> list[Row]:
    """The rows of an address file: group, address and what may be left out: mask, port, tag."""
    rows = []
    with open(path, encoding="latin-1") as file:
        for number, line in enumerate(file, 1):
            words = line.partition("#")[0].split()
            if not words:
                continue
            try:
                if len(words) == 1:
                    raise ValueError("address is missing")
                group, address, mask, port = [*words, "0", "0"][:4]
                rows.append(check_row((int(group), address, int(mask), int(port), words[4] if words[4:] else None)))
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
    return rows


class Addresses:
    """What one process looks up."""

    def __init__(self, rows: Iterable[Sequence[Any]] = (), max_subnets: int = 512) -> None:
        self.single: dict[str, list[Row]] = {}
        self.names: dict[str, list[Row]] = {}
        self.subnets: list[Row] = []
        for values in rows:
            row = Row(*values)
            if not row.is_address:
                self.names.setdefault(row.address, []).insert(0, row)
            elif row.mask == (128 if ":" in row.address else 32):
                self.single.setdefault(row.address, []).insert(0, row)
            elif len(self.subnets) >= max_subnets:
                log.crit("subnet table is full")
            else:
                self.subnets.append(row)
        self.subnets.sort(key=lambda row: row.group)
        self._networks = [self._network(row) for row in self.subnets]

    @staticmethod
    def _network(row: Row) -> tuple[bool, int, int]:
        """(IPv6?, bits of the host part, the network as a number)"""
        six = ":" in row.address
        rest = (128 if six else 32) - row.mask
        return six, rest, _number(row.address) >> rest

    def find(self, address: str, port: int, group: int | None = None) -> Row | None:
        """The first row for an address or domain name, of this group if one is asked for; a row's port 0 is any."""
        for row in self._candidates(address):
            if (row.port == 0 or row.port == port) and (group is None or row.group == group):
                return row
        return None

    def _candidates(self, address: str) -> Iterator[Row]:
        four = is_ipv4(address)
        if not four and not is_ipv6(address):
            yield from self.names.get(address, ())
            return
        address = normalise(address)
        yield from self.single.get(address, ())
        number = _number(address)
        for row, (six, rest, network) in zip(self.subnets, self._networks, strict=True):
            if six != four and number >> rest == network:
                yield row
