"""IP addresses as text: is it one, of which family, and are two the same."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from kamailio_py.sip.remembered import memo

_DIGITS_AND_DOTS = frozenset("0123456789.")


@memo(1024)
def is_ipv4(text: str) -> bool:
    """Four decimal numbers of at most 255 with dots between them."""
    if not 7 <= len(text) <= 15 or not _DIGITS_AND_DOTS.issuperset(text):
        return False
    parts = text.split(".")
    return len(parts) == 4 and all(0 < len(part) <= 3 and int(part) < 256 for part in parts)


@memo(1024)
def is_ipv6(text: str) -> bool:
    """An IPv6 address, with or without brackets."""
    if text[:1] == "[" and text[-1:] == "]":
        text = text[1:-1]
    if ":" not in text:
        return False
    try:
        inet_pton(AF_INET6, text)
    except (OSError, ValueError):
        return False
    return True


def is_ip(text: str) -> bool:
    return is_ipv4(text) or is_ipv6(text)


def is_loopback(text: str) -> bool:
    """An address of this machine's own network."""
    return text.startswith("127.") or text == "::1"


def family(text: str) -> int:
    """AF_INET or AF_INET6 of an address, 0 of anything else."""
    if is_ipv4(text):
        return AF_INET
    return AF_INET6 if is_ipv6(text) else 0


@memo(1024)
def normalise(text: str) -> str:
    """One spelling for each address, without brackets; a host name in lower case."""
    if is_ipv4(text):
        return ".".join(str(int(part)) for part in text.split("."))
    if is_ipv6(text):
        return inet_ntop(AF_INET6, inet_pton(AF_INET6, text.strip("[]")))
    return text.lower()


def is_multicast(text: str) -> bool:
    """Is the IP address one of a group?"""
    return ip_address(text).is_multicast


@lru_cache(256)
def network(text: str) -> IPv4Network | IPv6Network:
    """A network "a.b.c.d/len", "a.b.c.d/mask" or a single address; ValueError if it is none."""
    return ip_network(text.replace("[", "").replace("]", ""), strict=False)
