"""CSeq: a number and a method."""

from __future__ import annotations

from kamailio_py.sip.errors import BadMessage


def parse_cseq(value: str) -> tuple[str, str]:
    """(number, method) as written; BadMessage where Kamailio refuses it.

    `value` is raw: there may be no line break in it. That the number is one is not checked, Kamailio hashes its text.
    """
    number, blank, method = value.partition(" ")
    if not blank or " " in method or "\t" in value or "\n" in value:
        if "\n" in value:
            raise BadMessage("line break in CSeq")
        parts = [part for part in value.replace("\t", " ").split(" ") if part]
        if len(parts) != 2:
            raise BadMessage("bad CSeq")
        number, method = parts
    return number, method
