"""textops' functions that search and replace in the whole message, its headers or its body."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kamailio_py.config.arguments import INT, PVAR, RAW, REGEX, REGEX_FORMAT, STR, Fixup
from kamailio_py.config.host import RouteType
from kamailio_py.log import get_logger
from kamailio_py.module import function
from kamailio_py.script.regex import compile_posix
from kamailio_py.sip.errors import BadMessage, BadUri
from kamailio_py.sip.uri import with_user

from .headers import HNAME, chosen, readable
from .subst import Subst, checked

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import PVar
    from kamailio_py.sip.message import Message

log = get_logger("textops")

NOT_EVENTS = RouteType.REQUEST | RouteType.FAILURE | RouteType.ONREPLY | RouteType.BRANCH

AT_ONCE = Fixup("regex", prepare=lambda text: compile_posix(text, icase=True))
"""A regex for the text as a whole: `.` matches line ends, `^` and `$` only the ends."""
EXPRESSION = Fixup("substitution", prepare=checked)
"""Text of a substitution; it is parsed when it is first used."""


def header_start(msg: Message) -> int:
    """Where the first line ends."""
    return msg._headers_start


def body_start(msg: Message) -> int:
    """Where the body starts; -1 if it is empty or cannot be found."""
    try:
        msg.require_headers()
    except BadMessage:
        log.err("failed to get the message body")
        return -1
    return msg.body_offset if msg.body_offset < len(msg.text) else -1


class Search:
    """Functions on the text of the message."""

    core: Core
    _expressions: dict[str, Subst]

    # searching

    @function("search", REGEX)
    def search(self, ctx: Context, pattern: re.Pattern[str]) -> int:
        return 1 if pattern.search(ctx.msg.text) else -1

    @function("search_body", REGEX)
    def search_body(self, ctx: Context, pattern: re.Pattern[str]) -> int:
        start = body_start(ctx.msg)
        return 1 if start >= 0 and pattern.search(ctx.msg.text[start:]) else -1

    @function("search_str", STR, REGEX_FORMAT)
    def search_str(self, ctx: Context, text: str, pattern: re.Pattern[str]) -> int:
        if not text:
            return -2
        return 1 if pattern.search(text) else -1

    @function("search_append", REGEX, RAW)
    def search_append(self, ctx: Context, pattern: re.Pattern[str], text: str) -> int:
        """Put a text behind the first match."""
        return self._append(ctx.msg, header_start(ctx.msg), pattern, text)

    @function("search_append_body", REGEX, RAW)
    def search_append_body(self, ctx: Context, pattern: re.Pattern[str], text: str) -> int:
        return self._append(ctx.msg, body_start(ctx.msg), pattern, text)

    @staticmethod
    def _append(msg: Message, start: int, pattern: re.Pattern[str], text: str) -> int:
        if start < 0:
            return -1
        match = pattern.search(msg.text[start:])
        if match is None:
            return -1
        msg.lumps.insert(start + match.end(), text)
        return 1

    # replacing what a regex matches

    @staticmethod
    def _replace(msg: Message, start: int, end: int, pattern: re.Pattern[str], text: str, every: bool) -> int:
        if start < 0:
            return -1
        result = -1
        for match in pattern.finditer(msg.text[start:end]):
            if every and match.start() == match.end():
                log.err("matched string is empty... invalid regexp?")
                return -1
            msg.lumps.replace(start + match.start(), start + match.end(), text)
            result = 1
            if not every:
                break
        return result

    @function("replace", REGEX, RAW)
    def replace(self, ctx: Context, pattern: re.Pattern[str], text: str) -> int:
        """Replace the first match after the first line."""
        return self._replace(ctx.msg, header_start(ctx.msg), len(ctx.msg.text), pattern, text, every=False)

    @function("replace_all", REGEX, RAW)
    def replace_all(self, ctx: Context, pattern: re.Pattern[str], text: str) -> int:
        return self._replace(ctx.msg, header_start(ctx.msg), len(ctx.msg.text), pattern, text, every=True)

    @function("replace_hdrs", REGEX, RAW)
    def replace_hdrs(self, ctx: Context, pattern: re.Pattern[str], text: str) -> int:
        """Replace the first match in the headers."""
        msg = ctx.msg
        if not readable(msg):
            return -1
        return self._replace(msg, header_start(msg), msg.headers_end, pattern, text, every=False)

    @function("replace_body", REGEX, RAW)
    def replace_body(self, ctx: Context, pattern: re.Pattern[str], text: str) -> int:
        return self._replace(ctx.msg, body_start(ctx.msg), len(ctx.msg.text), pattern, text, every=False)

    @function("replace_body_all", REGEX, RAW)
    @function("replace_body_atonce", AT_ONCE, RAW)
    def replace_body_all(self, ctx: Context, pattern: re.Pattern[str], text: str) -> int:
        return self._replace(ctx.msg, body_start(ctx.msg), len(ctx.msg.text), pattern, text, every=True)

    # replacing a plain text

    @staticmethod
    def _replace_text(msg: Message, start: int, old: str, new: str, mode: str) -> int:
        if start < 0 or not old:
            return -1
        at = msg.text.find(old, start)
        while at >= 0:
            msg.lumps.replace(at, at + len(old), new)
            if mode[:1] == "f":
                break
            at = msg.text.find(old, at + len(old))
        return 1

    @function("replace_str", STR, STR, STR)
    def replace_str(self, ctx: Context, old: str, new: str, mode: str) -> int:
        """Replace a text in headers and body: the first with mode `f`, else all; 1 also if there is none."""
        return self._replace_text(ctx.msg, header_start(ctx.msg), old, new, mode)

    @function("replace_hdrs_str", STR, STR, STR)
    def replace_hdrs_str(self, ctx: Context, old: str, new: str, mode: str) -> int:
        """The same; in 5.6.3 the body is not spared."""
        msg = ctx.msg
        if not readable(msg):
            return -1
        return self._replace_text(msg, header_start(msg), old, new, mode)

    @function("replace_body_str", STR, STR, STR)
    def replace_body_str(self, ctx: Context, old: str, new: str, mode: str) -> int:
        return self._replace_text(ctx.msg, body_start(ctx.msg), old, new, mode)

    # substitution expressions

    def expression(self, text: str) -> Subst:
        """The parsed expression, remembered."""
        found = self._expressions.get(text)
        if found is None:
            found = self._expressions[text] = Subst(text, self.core.registry.pvars)
        return found

    def _substitute(self, ctx: Context, start: int, end: int, expression: str) -> int:
        if start < 0:
            return -1
        msg = ctx.msg
        found = self.expression(expression).run(ctx, msg.text[start:end])
        for first, last, text in found:
            msg.lumps.replace(start + first, start + last, text)
        return 1 if found else -1

    @function("subst", EXPRESSION)
    def subst(self, ctx: Context, expression: str) -> int:
        return self._substitute(ctx, header_start(ctx.msg), len(ctx.msg.text), expression)

    @function("subst_body", EXPRESSION)
    def subst_body(self, ctx: Context, expression: str) -> int:
        return self._substitute(ctx, body_start(ctx.msg), len(ctx.msg.text), expression)

    @function("subst_hf", HNAME, EXPRESSION, RAW)
    def subst_hf(self, ctx: Context, name: str, expression: str, flags: str) -> int:
        """In the values of the headers of that name: all, with `f` the first, with `l` the last."""
        msg = ctx.msg
        if not readable(msg):
            return -1
        results = [self._substitute(ctx, *msg.value_span(i), expression) for i in chosen(msg, name, flags)]
        return 1 if 1 in results else -1

    @function("subst_uri", EXPRESSION, routes=NOT_EVENTS)
    def subst_uri(self, ctx: Context, expression: str) -> int:
        result = self.expression(expression).replace(ctx, ctx.msg.uri)
        if result is None:
            return -1
        ctx.msg.new_uri = result
        return 1

    @function("subst_user", EXPRESSION, routes=NOT_EVENTS)
    def subst_user(self, ctx: Context, expression: str) -> int:
        msg = ctx.msg
        try:
            result = self.expression(expression).replace(ctx, msg.parsed_uri.user)
            if result is None:
                return -1
            msg.new_uri = with_user(msg.uri, result)
        except BadUri:
            return -1
        return 1

    @function("regex_substring", STR, STR, INT, INT, PVAR, routes=NOT_EVENTS)
    def regex_substring(self, ctx: Context, text: str, expression: str, index: int, count: int, target: PVar) -> int:
        """Put a group of the match into a pseudo-variable; `count` is how many there are, the whole match included."""
        try:
            pattern = compile_posix(expression)
        except ValueError:
            log.err(f"failed to compile regex: {expression}")
            return -1
        match = pattern.search(text)
        if match is None or not 0 <= index < count or index > pattern.groups or match.group(index) is None:
            return -1
        target.set(ctx, match.group(index))
        return 1
