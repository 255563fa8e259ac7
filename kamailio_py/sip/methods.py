"""The numbers of methods: one bit each, as Kamailio has them in flags, databases and pseudo-variables."""

from __future__ import annotations

NUMBERS = {
    "INVITE": 1, "CANCEL": 2, "ACK": 4, "BYE": 8, "INFO": 16, "REGISTER": 32, "SUBSCRIBE": 64, "NOTIFY": 128,
    "MESSAGE": 256, "OPTIONS": 512, "PRACK": 1024, "UPDATE": 2048, "REFER": 4096, "PUBLISH": 8192, "KDMQ": 16384,
    "GET": 32768, "POST": 65536, "PUT": 131072, "DELETE": 262144,
}  # fmt: skip
OTHER = 524288


def number_of(method: str) -> int:
    """The bit of a method, in any case; all unknown ones share one."""
    return NUMBERS.get(method.upper(), OTHER)


def numbers_of(text: str) -> int:
    """The bits of methods separated by commas, as Allow has them."""
    bits = 0
    for part in text.split(","):
        method = part.strip(" \t\r\n")
        if method:
            bits |= number_of(method)
    return bits
