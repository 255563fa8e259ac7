"""The `s` transformations: texts cut, counted, searched, hashed and put into other forms."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

from kamailio_py.script.context import Context
from kamailio_py.script.transformations import encodings
from kamailio_py.script.transformations.base import Apply, Cursor, Factory, log, members, on_text, typed
from kamailio_py.script.values import Value, parse_int
from kamailio_py.sip.hash import core_hash

BLANKS = " \t\r\n"
_NO_BLANKS = str.maketrans("", "", BLANKS)
_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_UPPER = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_PAIRS = {"<": ">", "(": ")", "[": "]", "{": "}"}


def _digest(name: str) -> Factory:
    return on_text(lambda text: hashlib.new(name, text.encode("latin-1"), usedforsecurity=False).hexdigest())


def _number(text: str) -> int | None:
    """As Kamailio's own conversion: a lone sign or nothing is 0, what has no place in 32 bits is no number."""
    if text in ("", "-", "+"):
        return 0
    digits = text[1:] if text[0] in "-+" else text
    if not digits.isdigit() or not digits.isascii():
        return None
    number = int(text)
    return number if -0x80000000 <= number <= 0x7FFFFFFF else None


def _int(cursor: Cursor) -> Apply:
    """The number in a text; a format prints the text it was."""

    def apply(ctx: Context, value: Value) -> Value:
        return _number(value) if isinstance(value, str) else value

    def text(ctx: Context, value: Value) -> Value:
        return None if apply(ctx, value) is None else value

    return typed(apply, "int", text)


def _substr(cursor: Cursor) -> Apply:
    cursor.expect_comma()
    start_of = cursor.number()
    cursor.expect_comma()
    written = cursor.pos
    length = cursor.constant()
    if length is not None and length < 0:
        raise ValueError("substr negative offset")
    cursor.pos = written
    length_of = cursor.number()

    def apply(ctx: Context, value: Value) -> Value:
        if value is None:
            return None
        text = str(value)
        start, length = start_of(ctx), length_of(ctx)
        if start is None or length is None:
            log.err("substr cannot get p1 or p2")
            return None
        if start < 0:
            start += len(text)
        if not 0 <= start < len(text):
            log.err("substr out of range")
            return None
        if length < 0:
            log.err("substr negative offset")
            return None
        return text[start : start + length] if length else text[start:]

    return typed(apply, "str")


def _select(cursor: Cursor) -> Apply:
    cursor.expect_comma()
    index_of = cursor.number()
    cursor.expect_comma()
    separator = cursor.separator()

    def apply(ctx: Context, value: Value) -> Value:
        if value is None:
            return None
        index = index_of(ctx)
        if index is None:
            log.err("select cannot get p1")
            return None
        items = str(value).split(separator)
        return items[index] if -len(items) <= index < len(items) else ""

    return typed(apply, "str")


def _numbered(cut: Callable[[str, int], str]) -> Factory:
    """A member with one number: `cut(text, number)`, the whole text for a number below one."""

    def make(cursor: Cursor) -> Apply:
        cursor.expect_comma()
        number_of = cursor.number()

        def apply(ctx: Context, value: Value) -> Value:
            if value is None:
                return None
            number = number_of(ctx)
            if number is None:
                log.err("select cannot get p1")
                return None
            text = str(value)
            return cut(text, number) if number > 0 else text

        return typed(apply, "str")

    return make


def _searched(find: Callable[[str, str], Value], type: str = "str") -> Factory:
    """A member with one text: `find(text, searched)`."""

    def make(cursor: Cursor) -> Apply:
        cursor.expect_comma()
        searched_of = cursor.string()

        def apply(ctx: Context, value: Value) -> Value:
            searched = searched_of(ctx)
            if value is None or searched is None:
                return None
            return find(str(value), searched)

        return typed(apply, type)

    return make


def _separated(find: Callable[[str, str], Value], type: str = "str") -> Factory:
    """A member with one character: `find(text, character)`; a pseudo-variable gives it with its first one."""

    def make(cursor: Cursor) -> Apply:
        cursor.expect_comma()
        if cursor.char() == "$":
            separator_of = cursor.string()
        else:
            char = cursor.separator()
            separator_of = lambda ctx: char  # noqa: E731

        def apply(ctx: Context, value: Value) -> Value:
            separator = separator_of(ctx)
            if value is None or not separator:
                return None
            return find(str(value), separator[0])

        return typed(apply, type)

    return make


def _stripto(text: str, char: str) -> str:
    at = text.find(char)
    return text[at:] if at >= 0 else ""


def _replace(cursor: Cursor) -> Apply:
    cursor.expect_comma()
    old_of = cursor.string()
    cursor.expect_comma()
    new_of = cursor.string()

    def apply(ctx: Context, value: Value) -> Value:
        old, new = old_of(ctx), new_of(ctx)
        if value is None or old is None or new is None:
            return None
        return str(value).replace(old, new) if old else str(value)

    return typed(apply, "str")


def _ftime(cursor: Cursor) -> Apply:
    cursor.expect_comma()
    format_of = cursor.string()

    def apply(ctx: Context, value: Value) -> Value:
        seconds = parse_int(value) if value.__class__ is str else value
        form = format_of(ctx)
        if seconds is None or form is None:
            if value is not None:
                log.err("value is not numeric")
            return None
        return time.strftime(form, time.localtime(seconds))  # type: ignore[arg-type]

    return typed(apply, "str")


def _corehash(cursor: Cursor) -> Apply:
    size_of = cursor.number() if cursor.comma() else lambda ctx: 0

    def apply(ctx: Context, value: Value) -> Value:
        if value is None:
            return None
        return str(core_hash(str(value), "", size_of(ctx) or 0))

    return typed(apply, "str")


def _prefixes(quote: str) -> Factory:
    def make(cursor: Cursor) -> Apply:
        most_of = cursor.number() if cursor.comma() else lambda ctx: 0

        def apply(ctx: Context, value: Value) -> Value:
            if value is None:
                return None
            text = str(value)
            most = most_of(ctx) or 0
            end = most if 0 < most < len(text) else len(text)
            return ",".join([f"{quote}{text[:size]}{quote}" for size in range(1, end + 1)])

        return typed(apply, "str")

    return make


def _lines(blank: str) -> Factory:
    """`fmtlines` and `fmtlinet`: as they are in 5.6, the first p1 - 1 characters stand on lines of their own."""

    def make(cursor: Cursor) -> Apply:
        cursor.expect_comma()
        size_of = cursor.number()
        cursor.expect_comma()
        indent_of = cursor.number()

        def apply(ctx: Context, value: Value) -> Value:
            if value is None:
                return None
            size, indent = size_of(ctx), indent_of(ctx)
            if size is None or indent is None or size <= 0 or indent < 0:
                log.err("fmtline with invalid parameters")
                return None
            text = str(value)
            lines = [*text[: size - 1], text[size - 1 :]]
            if not lines[-1]:
                del lines[-1]
            return f"\r\n{blank * indent}".join(lines)

        return typed(apply, "str")

    return make


def _enclosed(pairs: Callable[[str], str | None]) -> Factory:
    """A member that takes one character off both ends; what is too short stays as it is."""

    def apply(ctx: Context, value: Value) -> Value:
        if value is None:
            return None
        text = str(value)
        if len(text) < 2:
            return value
        return text[1:-1] if pairs(text[0]) == text[-1] else text

    return lambda cursor: apply


def _after(text: str, char: str) -> str:
    return text.partition(char)[2]


def _rbefore(text: str, char: str) -> str:
    at = text.rfind(char)
    return text[:at] if at >= 0 else text


def _rafter(text: str, char: str) -> str:
    """Nothing, whatever the text: so does 5.6.3, though its guide promises what follows the last `char`."""
    return ""


STRINGS = members(
    {
        "len": on_text(len, "int"),
        "int": _int,
        "md5": _digest("md5"),
        "sha256": _digest("sha256"),
        "sha384": _digest("sha384"),
        "sha512": _digest("sha512"),
        "rmws": on_text(lambda text: text.translate(_NO_BLANKS)),
        "tolower": on_text(lambda text: text.translate(_LOWER)),
        "toupper": on_text(lambda text: text.translate(_UPPER)),
        "numeric": on_text(lambda text: "".join([char for char in text if char in "0123456789"])),
        "encode.hexa": on_text(encodings.encode_hexa),
        "decode.hexa": on_text(encodings.decode_hexa),
        "encode.7bit": on_text(encodings.encode_7bit),
        "decode.7bit": on_text(encodings.decode_7bit),
        "encode.base58": on_text(encodings.encode_base58),
        "decode.base58": on_text(encodings.decode_base58),
        "encode.base64": on_text(encodings.encode_base64),
        "decode.base64": on_text(encodings.decode_base64),
        "encode.base64t": on_text(encodings.encode_base64t),
        "decode.base64t": on_text(encodings.decode_base64t),
        "encode.base64url": on_text(encodings.encode_base64url),
        "decode.base64url": on_text(encodings.decode_base64url),
        "encode.base64urlt": on_text(encodings.encode_base64urlt),
        "decode.base64urlt": on_text(encodings.decode_base64url),
        "escape.common": on_text(encodings.escape_common),
        "unescape.common": on_text(encodings.unescape_common),
        "escape.user": on_text(encodings.escape_user),
        "unescape.user": on_text(encodings.unescape_percent),
        "escape.param": on_text(encodings.escape_param),
        "unescape.param": on_text(encodings.unescape_percent),
        "escape.csv": on_text(encodings.escape_csv),
        "urlencode.param": on_text(encodings.urlencode),
        "urldecode.param": on_text(encodings.urldecode),
        "prefixes": _prefixes(""),
        "prefixes.quoted": _prefixes("'"),
        "substr": _substr,
        "select": _select,
        "strip": _numbered(lambda text, count: text[count:]),
        "striptail": _numbered(lambda text, count: text[:-count]),
        "stripto": _separated(_stripto),
        "ftime": _ftime,
        "replace": _replace,
        "rm": _searched(lambda text, part: text.replace(part, "") if part else text),
        "corehash": _corehash,
        "trim": on_text(lambda text: text.strip(BLANKS)),
        "rtrim": on_text(lambda text: text.rstrip(BLANKS)),
        "ltrim": on_text(lambda text: text.lstrip(BLANKS)),
        "unquote": _enclosed(lambda char: char if char in "\"'" else None),
        "unbracket": _enclosed(_PAIRS.get),
        "count": _separated(lambda text, char: text.count(char), "int"),
        "before": _separated(lambda text, char: text.partition(char)[0]),
        "after": _separated(_after),
        "rbefore": _separated(_rbefore),
        "rafter": _separated(_rafter),
        "fmtlines": _lines(" "),
        "fmtlinet": _lines("\t"),
    }
)
