"""CSeq: a number and a method."""

from __future__ import annotations

from kamailio_py.sip.errors import BadMessage

_DIGITS = frozenset("0123456789")


def parse_cseq(value: str) -> tuple[str, str]:
    """(number, method) as written; BadMessage where Kamailio refuses it."""
    parts = value.split()
    if len(parts) != 2 or not _DIGITS.issuperset(parts[0]):
        raise BadMessage("bad CSeq")
    return parts[0], parts[1]
