"""%XX escapes of URIs undone."""

from __future__ import annotations

_HEX = frozenset("0123456789abcdefABCDEF")


def unescaped(text: str) -> str:
    """Text with its %XX put in; ValueError for what is no escape or stands for no printable ASCII character."""
    if "%" not in text:
        return text
    out: list[str] = []
    at = 0
    while True:
        percent = text.find("%", at)
        if percent < 0:
            return "".join(out) + text[at:]
        digits = text[percent + 1 : percent + 3]
        if len(digits) < 2 or not _HEX.issuperset(digits):
            raise ValueError("bad escape")
        code = int(digits, 16)
        if not 32 <= code <= 126:
            raise ValueError("not printable")
        out += [text[at:percent], chr(code)]
        at = percent + 3
