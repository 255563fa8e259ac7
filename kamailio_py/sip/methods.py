"""The numbers of methods: one bit each, as Kamailio has them in flags, databases and pseudo-variables."""

from __future__ import annotations

from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.remembered import remembered

NUMBERS = {
    "INVITE": 1, "CANCEL": 2, "ACK": 4, "BYE": 8, "INFO": 16, "REGISTER": 32, "SUBSCRIBE": 64, "NOTIFY": 128,
    "MESSAGE": 256, "OPTIONS": 512, "PRACK": 1024, "UPDATE": 2048, "REFER": 4096, "PUBLISH": 8192, "KDMQ": 16384,
    "GET": 32768, "POST": 65536, "PUT": 131072, "DELETE": 262144,
}  # fmt: skip
OTHER = 524288
_KNOWN = tuple(NUMBERS)
_METHOD = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-.!%*_+`'~")
_SPACE = " \t\r\n"


def number_of(method: str) -> int:
    """The bit of a method, in any case; all unknown ones share one."""
    return NUMBERS.get(method.upper(), OTHER)


@remembered
def numbers_of(text: str) -> int:
    """The bits of methods separated by commas, as Allow has them; those that are none are left out."""
    bits = 0
    for part in text.split(","):
        method = part.strip(_SPACE)
        if method:
            bits |= number_of(method)
    return bits


def strict_numbers_of(text: str) -> int:
    """The bits of methods separated by commas, one of which may end the list; BadMessage where one is none.

    No method begins with the name of one that Kamailio knows.
    """
    parts = text.strip(_SPACE).split(",")
    if parts[-1] == "":
        parts.pop()
    bits = 0
    for part in parts:
        method = part.strip(_SPACE)
        number = NUMBERS.get(method.upper(), 0)
        if not number and (not _METHOD.issuperset(method) or not method or method.upper().startswith(_KNOWN)):
            raise BadMessage("bad method")
        bits |= number or OTHER
    return bits
