"""What a modparam("htable", "htable", "name=>size=8;autoexpire=300") line says of a table. Takes no lock."""

from __future__ import annotations

from kamailio_py.dataclass import dataclass
from kamailio_py.log import get_logger

log = get_logger("htable")

SMALLEST, LARGEST = 2, 31
"""Bounds of `size`, the exponent of the number of slots."""

NUMBERS = {
    "autoexpire": "autoexpire",
    "updateexpire": "updateexpire",
    "dmqreplicate": "dmqreplicate",
    "dbmode": "dbmode",
}
TEXTS = {"dbtable": "dbtable", "cols": "cols"}


@dataclass(slots=True)
class TableSpec:
    """One table as configured.

    size            exponent of the number of slots
    autoexpire      seconds an item lives, 0 for ever
    updateexpire    setting an item starts its time anew
    initval         what an item that is not there holds; None: null
    """

    name: str
    size: int = SMALLEST
    autoexpire: int = 0
    updateexpire: int = 1
    initval: int | None = None
    dbtable: str = ""
    dbmode: int = 0
    cols: str = ""
    dmqreplicate: int = 0


def parse(text: str) -> TableSpec:
    """The table a parameter describes; ValueError (and an error line) when it describes none."""
    name, arrow, settings = text.partition("=>")
    if not arrow:
        log.err(f"failed parsing: {text}")
        raise ValueError(f"invalid htable parameter [{text}]")
    spec = TableSpec(name.strip())
    for part in settings.split(";"):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not key and not equals:
            continue
        if not equals or not _apply(spec, key, value):
            log.err(f"invalid htable parameter [{text}]")
            raise ValueError(f"invalid htable parameter [{text}]")
    if not spec.dbtable:
        spec.cols = ""
    if spec.cols and "," not in spec.cols:
        log.err("there must be at least two columns (prefix, value)")
        raise ValueError("there must be at least two columns (prefix, value)")
    return spec


def _apply(spec: TableSpec, key: str, value: str) -> bool:
    """Set one property; False if there is none of that name or it takes no such value."""
    value = value.strip("\"'")
    if key in ("size", "initval") or key in NUMBERS:
        number = _number(value)
        if number is None or (number < 0 and key != "initval"):
            return False
        setattr(spec, key, min(max(number, SMALLEST), LARGEST) if key == "size" else number)
        return True
    if key in TEXTS:
        setattr(spec, key, value)
        return True
    return False


def _number(text: str) -> int | None:
    """A decimal number, 0 where nothing is written."""
    if not text:
        return 0
    digits = text.lstrip("+-")
    return int(text) if digits.isdecimal() and len(text) - len(digits) <= 1 else None
