"""Values of headers that hold several, separated by commas: "X-List[2].param" in a cfg.

Values are counted from 1 over all headers of the name, from the end with negative numbers; without an index, and with 0
for most, the first is meant. `[*]` means all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from kamailio_py.config.arguments import STR, Fixup
from kamailio_py.config.host import RouteType
from kamailio_py.log import get_logger
from kamailio_py.module import function
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.headers import canonical
from kamailio_py.sip.nameaddr import value_spans

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.sip.message import Message

log = get_logger("textopsx")

ROUTES = RouteType.REQUEST | RouteType.FAILURE | RouteType.ONREPLY | RouteType.BRANCH
_SPEC = re.compile(r"([A-Za-z0-9_+~-]+)[ \t]*(?:\[[ \t]*(\*|-?[0-9]+)[ \t]*\])?(?:\.([^\s.\[\]]+))?[ \t]*\Z")
_SPACE = " \t\r\n"
ALL = -(1 << 31)


class Spec(NamedTuple):
    """`place` is the index, None where the cfg gives none, ALL for `*`."""

    name: str
    written: str
    place: int | None
    param: str


def spec(text: str, star: bool = True, param: bool = True) -> Spec:
    match = _SPEC.match(text)
    if match is None:
        raise ValueError(f"cannot parse header near '{text}'")
    name, index, parameter = match.groups()
    if index == "*" and not star and not (param and parameter):
        raise ValueError("asterisk not supported" if not param else "asterisk not supported without param")
    if parameter and not param:
        raise ValueError("param not supported")
    return Spec(
        canonical(name), name, ALL if index == "*" else int(index) if index else None, (parameter or "").lower()
    )


PLACE = Fixup("header[index]", prepare=lambda text: spec(text, star=False, param=False))
NAME = Fixup("header", prepare=lambda text: spec(text, star=False, param=False))
ASSIGNED = Fixup("header[index].param", prepare=lambda text: spec(text, star=False))
ANY = Fixup("header[index].param", prepare=spec)


class Value(NamedTuple):
    """One value: its header's index, where it stands with the blanks before it, and whether it is its header's only,
    first or last."""

    header: int
    start: int
    end: int
    first: bool
    last: bool


def values(msg: Message, name: str) -> list[Value]:
    found = []
    for i in msg.indexes(name):
        spans = value_spans(msg.text, *msg.value_span(i))
        found += [Value(i, a, b, n == 0, n == len(spans) - 1) for n, (a, b) in enumerate(spans)]
    return found


def inner(msg: Message, value: Value) -> tuple[int, int]:
    """Where the value stands without blanks around it."""
    start, end = value.start, value.end
    text = msg.text
    while start < end and text[start] in _SPACE:
        start += 1
    while end > start and text[end - 1] in _SPACE:
        end -= 1
    return start, end


def chosen(found: list[Value], index: int | None) -> list[Value]:
    if index == ALL:
        return found
    n = index or 1
    if n < 0:
        n += len(found) + 1
    return [found[n - 1]] if 0 < n <= len(found) else []


def remove_values(msg: Message, gone: list[Value]) -> None:
    """Take values out, with a comma, or with the whole header where nothing stays in it."""
    by_header: dict[int, list[Value]] = {}
    for value in gone:
        by_header.setdefault(value.header, []).append(value)
    for i, those in by_header.items():
        if sum(value.first for value in those) and sum(value.last for value in those) and _all_of(those):
            msg.lumps.delete(*msg.span(i))
            continue
        for value in those:
            if value.first:
                msg.lumps.delete(value.start, value.end + 1)
            else:
                msg.lumps.delete(value.start - 1, value.end)


def _all_of(those: list[Value]) -> bool:
    """Do these values follow each other from the first to the last of their header?"""
    return all(a.end + 1 == b.start for a, b in pairwise(those))


def params(msg: Message, start: int, end: int, separator: str) -> list[tuple[str, int, int]]:
    """(name, start, end) of each parameter behind the first separator, from that separator on."""
    text = msg.text
    found = []
    at, quoted = start, False
    marks = []
    while at < end:
        c = text[at]
        if quoted:
            if c == "\\":
                at += 1
            elif c == '"':
                quoted = False
        elif c == '"':
            quoted = True
        elif c == separator:
            marks.append(at)
        at += 1
    for mark, stop in pairwise([*marks, end]):
        name = text[mark + 1 : stop].partition("=")[0].strip(_SPACE).lower()
        found.append((name, mark, stop))
    return found


class HeaderValues:
    """Functions on values."""

    @staticmethod
    def _values(msg: Message, name: str) -> list[Value] | None:
        try:
            msg.require_headers()
            return values(msg, name)
        except BadMessage:
            log.err("error while parsing message headers")
            return None

    @function("append_hf_value", PLACE, STR, routes=ROUTES)
    def append_hf_value(self, ctx: Context, place: Spec, text: str) -> int:
        """Add a value behind the one the index names, or a header of its own at the end."""
        msg = ctx.msg
        found = self._values(msg, place.name)
        if found is None:
            return -1
        which: list[Value] = []
        if place.place is not None:
            which = chosen(found, place.place or -1)
        if which:
            msg.lumps.insert(inner(msg, which[0])[1], f",{text}")
        else:
            msg.lumps.insert(msg.headers_end, f"{place.written}: {text}\r\n")
        return 1

    @function("insert_hf_value", PLACE, STR, routes=ROUTES)
    def insert_hf_value(self, ctx: Context, place: Spec, text: str) -> int:
        """Add a value before the one the index names, or a header of its own before the others of that name."""
        msg = ctx.msg
        found = self._values(msg, place.name)
        if found is None:
            return -1
        if place.place is None or not found:
            at = msg.span(found[0].header)[0] if found else msg.headers_end
            msg.lumps.insert(at, f"{place.written}: {text}\r\n")
            return 1
        which = chosen(found, place.place)
        if not which:
            return -1
        msg.lumps.insert(which[0].start, f"{text},")
        return 1

    @function("remove_hf_value", ANY, routes=ROUTES)
    def remove_hf_value(self, ctx: Context, place: Spec) -> int:
        """Remove a value, or a parameter of it."""
        msg = ctx.msg
        found = self._values(msg, place.name)
        if found is None:
            return -1
        which = chosen(found, place.place)
        if not which:
            return -1
        if not place.param:
            remove_values(msg, which)
            return 1
        result = -1
        for value in which:
            for name, start, end in params(msg, *inner(msg, value), ";"):
                if name == place.param:
                    msg.lumps.delete(start, end)
                    result = 1
                    break
        return result

    @function("assign_hf_value", ASSIGNED, STR, routes=ROUTES)
    def assign_hf_value(self, ctx: Context, place: Spec, text: str) -> int:
        """Put another text in the place of a value or of a parameter's value; a missing parameter is added."""
        msg = ctx.msg
        found = self._values(msg, place.name)
        if found is None:
            return -1
        which = chosen(found, place.place)
        for value in which:
            start, end = inner(msg, value)
            if place.param:
                self._assign_param(msg, start, end, ";", place.param, text)
            else:
                msg.lumps.replace(start, end, text)
        return 1 if which else -1

    @staticmethod
    def _assign_param(msg: Message, start: int, end: int, separator: str, param: str, text: str) -> None:
        for name, first, last in params(msg, start, end, separator):
            if name == param:
                equals = msg.text.find("=", first, last)
                if not text and separator == ";":
                    if equals >= 0:
                        msg.lumps.delete(equals, last)
                elif equals < 0:
                    msg.lumps.insert(last, f"={text}")
                else:
                    msg.lumps.replace(equals + 1, last, text)
                return
        msg.lumps.insert(end, f"{separator}{param}={text}" if text else f"{separator}{param}")

    @function("include_hf_value", NAME, STR, routes=ROUTES)
    def include_hf_value(self, ctx: Context, place: Spec, text: str) -> int:
        """Add a value unless it is there."""
        msg = ctx.msg
        found = self._values(msg, place.name)
        if found is None:
            return -1
        if self._equal(msg, found, text):
            return 1
        if not found:
            msg.lumps.insert(msg.headers_end, f"{place.written}: {text}\r\n")
        else:
            last = [value for value in found if value.header == found[0].header][-1]
            msg.lumps.insert(inner(msg, last)[1], f",{text}")
        return 1

    @function("exclude_hf_value", NAME, STR, routes=ROUTES)
    def exclude_hf_value(self, ctx: Context, place: Spec, text: str) -> int:
        """Remove a value wherever it is."""
        found = self._values(ctx.msg, place.name)
        if found is None:
            return -1
        remove_values(ctx.msg, self._equal(ctx.msg, found, text))
        return 1

    @function("hf_value_exists", NAME, STR, routes=ROUTES)
    def hf_value_exists(self, ctx: Context, place: Spec, text: str) -> int:
        found = self._values(ctx.msg, place.name)
        return 1 if found and self._equal(ctx.msg, found, text) else -1

    @staticmethod
    def _equal(msg: Message, found: list[Value], text: str) -> list[Value]:
        wanted = text.lower()
        return [value for value in found if msg.text[slice(*inner(msg, value))].lower() == wanted]

    # headers like those of authentication: a scheme, then parameters separated by commas

    @function("assign_hf_value2", ASSIGNED, STR, routes=ROUTES)
    def assign_hf_value2(self, ctx: Context, place: Spec, text: str) -> int:
        """The same for a header that is one value with parameters separated by commas ("Digest realm=...")."""
        msg = ctx.msg
        which = self._headers(msg, place)
        for i in which:
            start, end = msg.value_span(i)
            if not place.param:
                msg.lumps.replace(start, end, text)
                continue
            for name, first, last in self._digest(msg, start, end):
                if name == place.param:
                    equals = msg.text.find("=", first, last)
                    msg.lumps.replace(equals + 1, last, text)
                    break
            else:
                msg.lumps.insert(end, f",{place.param}={text}")
        return 1 if which else -1

    @function("remove_hf_value2", ANY, routes=ROUTES)
    def remove_hf_value2(self, ctx: Context, place: Spec) -> int:
        msg = ctx.msg
        which = self._headers(msg, place)
        result = -1
        for i in which:
            if not place.param:
                msg.lumps.delete(*msg.span(i))
                result = 1
                continue
            start, end = msg.value_span(i)
            found = self._digest(msg, start, end)
            for n, (name, first, last) in enumerate(found):
                if name == place.param:
                    if n:
                        msg.lumps.delete(first - 1, last)
                    else:
                        msg.lumps.delete(first, last + 1 if len(found) > 1 else last)
                    result = 1
                    break
        return result

    @staticmethod
    def _headers(msg: Message, place: Spec) -> Sequence[int]:
        try:
            msg.require_headers()
        except BadMessage:
            return []
        found = msg.indexes(place.name)
        if place.place == ALL:
            return found
        n = place.place or 1
        if n < 0:
            n += len(found) + 1
        return [found[n - 1]] if 0 < n <= len(found) else []

    @staticmethod
    def _digest(msg: Message, start: int, end: int) -> list[tuple[str, int, int]]:
        """(name, start, end) of each parameter; the first starts behind the scheme, the others behind their comma."""
        text = msg.text
        scheme = start
        while scheme < end and text[scheme] not in _SPACE:
            scheme += 1
        while scheme < end and text[scheme] in _SPACE:
            scheme += 1
        found = []
        for first, last in value_spans(text, scheme, end):
            name = text[first:last].partition("=")[0].strip(_SPACE).lower()
            found.append((name, first, last))
        return found
