"""textops' functions that add, remove and look for headers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kamailio_py.config.arguments import INT, RAW, REGEX, REGEX_FORMAT, STR, Fixup
from kamailio_py.config.host import RouteType
from kamailio_py.log import get_logger
from kamailio_py.module import function
from kamailio_py.script.regex import compile_posix
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.headers import canonical

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.sip.message import Message

log = get_logger("textops")

CHANGING = RouteType.REQUEST | RouteType.FAILURE | RouteType.BRANCH


def header_name(text: str) -> str:
    """A constant header name as the header index has it."""
    if not text:
        raise ValueError("empty header name parameter")
    return canonical(text)


HNAME = Fixup("header name", prepare=header_name)


def readable(msg: Message) -> bool:
    """Can all headers be read? Says so in the log where they cannot."""
    try:
        msg.require_headers()
    except BadMessage:
        log.err("error while parsing message headers")
        return False
    return True


def chosen(msg: Message, name: str, flags: str) -> Sequence[int]:
    """Indexes of the headers of a name: all, with `f` the first, with `l` the last."""
    found = msg.indexes(name)
    return found[:1] if flags[:1] == "f" else found[-1:] if flags[:1] == "l" else found


def remove(msg: Message, indexes: Sequence[int]) -> int:
    """Take out the headers with these indexes; 1, or -1 if there are none."""
    for i in indexes:
        msg.lumps.delete(*msg.span(i))
    return 1 if indexes else -1


class Headers:
    """Functions on headers as a whole."""

    def _add(self, ctx: Context, text: str, name: str, after: bool) -> int:
        msg = ctx.msg
        if not readable(msg):
            return -1
        if not text:
            log.info("nothing to add")
            return -1
        found = msg.indexes(name) if name else []
        if found:
            at = msg.span(found[-1])[1] if after else msg.span(found[0])[0]
        else:
            at = msg.headers_end if after else msg.span(0)[0]
        msg.lumps.insert(at, text)
        return 1

    @function("append_hf", STR)
    @function("append_hf", STR, HNAME)
    def append_hf(self, ctx: Context, text: str, name: str = "") -> int:
        """Add a header at the end, or behind the last of that name."""
        return self._add(ctx, text, name, after=True)

    @function("insert_hf", STR)
    @function("insert_hf", STR, HNAME)
    def insert_hf(self, ctx: Context, text: str, name: str = "") -> int:
        """Add a header at the beginning, or before the first of that name."""
        return self._add(ctx, text, name, after=False)

    @function("append_urihf", RAW, RAW, routes=CHANGING)
    def append_urihf(self, ctx: Context, prefix: str, suffix: str) -> int:
        """Add the received request-URI between two texts."""
        return self._add(ctx, f"{prefix}{ctx.msg.ruri}{suffix}", "", after=True)

    @function("append_to_reply", STR, routes=CHANGING)
    def append_to_reply(self, ctx: Context, text: str) -> int:
        """Headers for replies that are made here."""
        if not text:
            log.err("unable to add lump_rl")
            return -1
        ctx.msg.reply_headers.append(text)
        return 1

    # removing

    @function("remove_hf", HNAME)
    def remove_hf(self, ctx: Context, name: str) -> int:
        msg = ctx.msg
        return remove(msg, msg.indexes(name)) if readable(msg) else -1

    @function("remove_hf_pv", STR)
    def remove_hf_pv(self, ctx: Context, name: str) -> int:
        return self.remove_hf(ctx, canonical(name)) if name else -1

    @function("remove_hf_re", REGEX)
    @function("remove_hf_re_pv", REGEX_FORMAT)
    def remove_hf_re(self, ctx: Context, pattern: re.Pattern[str]) -> int:
        """Remove the headers whose names match."""
        msg = ctx.msg
        if not readable(msg):
            return -1
        return remove(msg, [i for i in range(len(msg.names)) if pattern.search(msg.name_text(i))])

    @function("remove_hf_exp", REGEX, REGEX)
    @function("remove_hf_exp_pv", REGEX_FORMAT, REGEX_FORMAT)
    def remove_hf_exp(self, ctx: Context, pattern: re.Pattern[str], skip: re.Pattern[str]) -> int:
        """Remove the headers whose names match the first and not the second pattern."""
        msg = ctx.msg
        if not readable(msg):
            return -1
        names = [msg.name_text(i) for i in range(len(msg.names))]
        return remove(msg, [i for i, name in enumerate(names) if not skip.search(name) and pattern.search(name)])

    @function("remove_hf_idx", STR, INT)
    def remove_hf_idx(self, ctx: Context, name: str, index: int) -> int:
        """Remove the header of that name with this index, from the end if it is negative.

        2 if there is none with that index; 1 if there are some, but not as many to count from the end.
        """
        msg = ctx.msg
        if not readable(msg):
            return -1
        found = msg.indexes(canonical(name))
        if index >= len(found) or not found:
            return 2
        return remove(msg, [found[index]]) if index >= -len(found) else 1

    @function("remove_hf_match", STR, STR, STR)
    def remove_hf_match(self, ctx: Context, name: str, operator: str, expression: str) -> int:
        """Remove the headers of that name whose value compares so; -2 if none does.

        eq, ne, in (it holds the text) or re.
        """
        msg = ctx.msg
        if not name or not readable(msg):
            return -1
        operator = operator.lower()
        values = [(i, msg.raw_value(i)) for i in msg.indexes(canonical(name))]
        if operator == "eq":
            found = [i for i, value in values if value == expression]
        elif operator == "ne":
            found = [i for i, value in values if value != expression]
        elif operator == "in":
            found = [i for i, value in values if expression in value]
        elif operator == "re":
            try:
                pattern = compile_posix(expression, icase=True, newline=True)
            except ValueError:
                log.err(f"failed to compile regex: {expression}")
                return -1
            found = [i for i, value in values if pattern.search(value)]
        else:
            log.err(f"unknown operator: {operator}")
            return -1
        return 1 if remove(msg, found) > 0 else -2

    # looking

    @function("is_present_hf", HNAME)
    def is_present_hf(self, ctx: Context, name: str) -> int:
        msg = ctx.msg
        if not readable(msg):
            return -1
        return 1 if name in msg.names else -1

    @function("is_present_hf_pv", STR)
    def is_present_hf_pv(self, ctx: Context, name: str) -> int:
        return self.is_present_hf(ctx, canonical(name)) if name else -1

    @function("is_present_hf_re", REGEX)
    @function("is_present_hf_re_pv", REGEX_FORMAT)
    def is_present_hf_re(self, ctx: Context, pattern: re.Pattern[str]) -> int:
        msg = ctx.msg
        if not readable(msg):
            return -1
        return 1 if any(pattern.search(msg.name_text(i)) for i in range(len(msg.names))) else -1

    @function("search_hf", HNAME, REGEX, RAW)
    def search_hf(self, ctx: Context, name: str, pattern: re.Pattern[str], flags: str) -> int:
        """Does the value of a header of that name match: of any, with `f` of the first, with `l` of the last?"""
        msg = ctx.msg
        if not readable(msg):
            return -1
        return 1 if any(pattern.search(msg.raw_value(i)) for i in chosen(msg, name, flags)) else -1
