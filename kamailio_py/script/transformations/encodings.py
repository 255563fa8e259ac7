"""Encodings and escapes of the `s` transformations: text in, text out, None where Kamailio refuses the text.

Texts are latin-1, one character for each byte.
"""

from __future__ import annotations

import base64
import re

_ALNUM = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_USER = frozenset(_ALNUM + "!$&'()*+,-.;=?_~")
_PARAM = frozenset(_ALNUM + "!$&'()*+-./:[]_~")
_URL = frozenset(_ALNUM + "-._~")
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE64 = {char: n for n, char in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")}
_BASE64URL = re.compile("[A-Za-z0-9_-]*")
_HEX = frozenset("0123456789abcdefABCDEF")
_COMMON = {"'": "\\'", '"': '\\"', "\\": "\\\\", "\0": "\\0"}
_UNCOMMON = re.compile(r"\\(['\"\\0])")


def encode_hexa(text: str) -> str:
    return text.encode("latin-1").hex()


def decode_hexa(text: str) -> str | None:
    """Pairs of hex digits; an odd one at the end is left out."""
    if not _HEX.issuperset(text[: len(text) & ~1]):
        return None
    return bytes.fromhex(text[: len(text) & ~1]).decode("latin-1")


def encode_7bit(text: str) -> str:
    """Seven bits of each character packed, as SMS have them, in upper-case hex."""
    bits = 0
    for at, char in enumerate(text):
        bits |= (ord(char) & 0x7F) << (7 * at)
    return bits.to_bytes((7 * len(text) + 7) // 8, "little").hex().upper()


def decode_7bit(text: str) -> str | None:
    if not _HEX.issuperset(text) or len(text) % 2:
        return None
    data = bytes.fromhex(text)
    bits = int.from_bytes(data, "little")
    return "".join([chr(bits >> (7 * at) & 0x7F) for at in range(len(data) * 8 // 7)])


def encode_base58(text: str) -> str:
    rest = text.lstrip("\0")
    number = int.from_bytes(rest.encode("latin-1"), "big")
    out = ""
    while number:
        number, digit = divmod(number, 58)
        out = _BASE58[digit] + out
    return "1" * (len(text) - len(rest)) + out


def decode_base58(text: str) -> str | None:
    rest = text.lstrip("1")
    number = 0
    for char in rest:
        digit = _BASE58.find(char)
        if digit < 0:
            return None
        number = number * 58 + digit
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return "\0" * (len(text) - len(rest)) + data.decode("latin-1")


def encode_base64(text: str) -> str:
    return base64.b64encode(text.encode("latin-1")).decode("latin-1")


def encode_base64t(text: str) -> str:
    """Without the padding."""
    return encode_base64(text).rstrip("=")


def encode_base64url(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode("latin-1")).decode("latin-1")


def encode_base64urlt(text: str) -> str:
    return encode_base64url(text).rstrip("=")


def decode_base64(text: str) -> str | None:
    """As Kamailio's decoder, which wants whole groups of four and lets any character pass as all bits set."""
    if len(text) % 4:
        return None
    out = bytearray()
    for at in range(0, len(text), 4):
        a, b, c, d = (_BASE64.get(char, 0xFF) for char in text[at : at + 4])
        group = (a << 18 | b << 12 | c << 6 | d) & 0xFFFFFF
        out += group.to_bytes(3, "big")
    if text[-1:] == "=":
        del out[-2 if text[-2:-1] == "=" else -1 :]
    return out.decode("latin-1")


def decode_base64t(text: str) -> str | None:
    return decode_base64(text + "=" * (-len(text) % 4))


def decode_base64url(text: str) -> str | None:
    """The alphabet for URLs, with or without padding; strict about the characters."""
    digits = text.rstrip("=")
    if not _BASE64URL.fullmatch(digits) or len(digits) < 2:
        return None
    if len(digits) % 4 == 1:
        digits = digits[:-1]
    return base64.urlsafe_b64decode(digits + "=" * (-len(digits) % 4)).decode("latin-1")


def escape_common(text: str) -> str:
    return "".join([_COMMON.get(char, char) for char in text])


def unescape_common(text: str) -> str:
    return _UNCOMMON.sub(lambda found: "\0" if found[1] == "0" else found[1], text)


def _percent(text: str, keep: frozenset[str]) -> str | None:
    """Percent escapes for what is not in `keep`; control characters and those above ASCII are refused."""
    out = []
    for char in text:
        if char in keep:
            out.append(char)
        elif " " <= char < "\x7f":
            out.append(f"%{ord(char):02x}")
        else:
            return None
    return "".join(out)


def escape_user(text: str) -> str | None:
    return _percent(text, _USER)


def escape_param(text: str) -> str | None:
    return _percent(text, _PARAM)


def unescape_percent(text: str) -> str | None:
    """Percent escapes resolved; None when one is broken or stands for a control character."""
    parts = text.split("%")
    out = [parts[0]]
    for part in parts[1:]:
        digits = part[:2]
        if len(digits) < 2 or not _HEX.issuperset(digits):
            return None
        char = chr(int(digits, 16))
        if not " " <= char < "\x7f":
            return None
        out.append(char + part[2:])
    return "".join(out)


def urlencode(text: str) -> str:
    return "".join([char if char in _URL else f"%{ord(char):02x}" for char in text])


def urldecode(text: str) -> str:
    """Percent escapes resolved and `+` made a blank; as in Kamailio nothing is an error, letters count on from f."""
    parts = text.replace("+", " ").split("%")
    out = [parts[0]]
    for part in parts[1:]:
        if len(part) < 2:
            out.append(part)
        else:
            out.append(chr((_digit(part[0]) << 4 | _digit(part[1])) & 0xFF) + part[2:])
    return "".join(out)


def _digit(char: str) -> int:
    return ord(char) - 48 if "0" <= char <= "9" else ord(char.lower()) - 87


def escape_csv(text: str) -> str:
    doubled = text.replace('"', '""')
    return f'"{doubled}"'
