"""Which IPv4 addresses are private. Pure functions."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, ip_network

from kamailio_py.sip.ip import is_ipv4

RFC_1918 = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "192.0.0.0/29")
"""RFC 1918, and those of RFC 6598 and 7335 that are used in the same way."""
RESERVED = "192.0.0.0/24"

_PRIVATE = [ip_network(text) for text in RFC_1918]
_WITH_RESERVED = [*_PRIVATE, ip_network(RESERVED)]


@lru_cache(4096)
def is_private(address: str, reserved: bool) -> bool:
    """Is it an IPv4 address of a private network? `reserved`: or of the reserved one."""
    if not is_ipv4(address):
        return False
    number = IPv4Address(address)
    return any(number in network for network in (_WITH_RESERVED if reserved else _PRIVATE))
