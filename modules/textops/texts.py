"""textops' functions on texts and on what kind of message it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.config.arguments import STR, Fixup
from kamailio_py.log import get_logger
from kamailio_py.module import function
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.message_text import METHODS

if TYPE_CHECKING:
    from kamailio_py.script.context import Context

log = get_logger("textops")

_SPACE = " \t\r\n"
PRIVACY = frozenset(("user", "header", "session", "none", "critical", "id", "history", "path"))


def methods(text: str) -> tuple[frozenset[str], str]:
    """The known methods of "A|B", or the lower-case name of one that Kamailio does not know."""
    if not text:
        raise ValueError("empty method name")
    names = text.replace("|", ",").split(",")
    known = frozenset(name.strip(_SPACE).upper() for name in names)
    if known <= METHODS:
        return known, ""
    if "|" in text or len(names) > 1:
        raise ValueError(f"unknown method in list [{text}] - must be only defined methods")
    return frozenset(), text.lower()


def privacy(text: str) -> str:
    if not text:
        raise ValueError("empty privacy value")
    if text.lower() not in PRIVACY:
        raise ValueError("invalid privacy value")
    return text.lower()


def one_character(text: str) -> str:
    if len(text) != 1:
        raise ValueError("invalid separator parameter")
    return text


SEPARATOR = Fixup("separator", prepare=one_character)


def _compare(first: str, second: str) -> int:
    if first == second:
        return 1
    return -1 if first > second else -2


def _found(at: int) -> int:
    return at + 1 if at >= 0 else -1


class Texts:
    """Comparisons."""

    @function("is_method", Fixup("methods", prepare=methods))
    def is_method(self, ctx: Context, wanted: tuple[frozenset[str], str]) -> int:
        """Is the method (of a reply: in its CSeq) one of these?"""
        method = ctx.msg.method
        if method in wanted[0]:
            return 1
        return 1 if wanted[1] and method.lower() == wanted[1] else -1

    @function("is_privacy", Fixup("privacy", prepare=privacy))
    def is_privacy(self, ctx: Context, value: str) -> int:
        try:
            ctx.msg.require_headers()
        except BadMessage:
            return -1
        for header in ctx.msg.headers("privacy"):
            if value in [part.strip(_SPACE).lower() for part in header.replace(",", ";").split(";")]:
                return 1
        return -1

    @function("in_list", STR, STR, SEPARATOR)
    def in_list(self, ctx: Context, subject: str, texts: str, separator: str) -> int:
        """Is the subject one of the texts between the separators?"""
        if not subject:
            log.err("subject cannot be empty string")
            return -1
        return 1 if texts and subject in [part.strip(_SPACE) for part in texts.split(separator)] else -1

    @function("in_list_prefix", STR, STR, SEPARATOR)
    def in_list_prefix(self, ctx: Context, subject: str, texts: str, separator: str) -> int:
        """Does the subject begin with one of the texts?"""
        if not subject:
            log.err("subject cannot be empty string")
            return -1
        parts = [part.strip(_SPACE) for part in texts.split(separator)]
        return 1 if texts and any(part and subject.startswith(part) for part in parts) else -1

    @function("cmp_str", STR, STR)
    def cmp_str(self, ctx: Context, first: str, second: str) -> int:
        return _compare(first, second)

    @function("cmp_istr", STR, STR)
    def cmp_istr(self, ctx: Context, first: str, second: str) -> int:
        return _compare(first.lower(), second.lower())

    @function("starts_with", STR, STR)
    def starts_with(self, ctx: Context, text: str, start: str) -> int:
        if len(text) < len(start):
            return -1
        return _compare(text[: len(start)], start)

    @function("ends_with", STR, STR)
    def ends_with(self, ctx: Context, text: str, end: str) -> int:
        if len(text) < len(end):
            return -1
        return _compare(text[len(text) - len(end) :], end)

    @function("str_find", STR, STR)
    def str_find(self, ctx: Context, text: str, part: str) -> int:
        """Position of the part in the text, counted from 1; -1 if it is not there."""
        return _found(text.rfind(part) if not part else text.find(part))

    @function("str_ifind", STR, STR)
    def str_ifind(self, ctx: Context, text: str, part: str) -> int:
        return _found(text.lower().find(part.lower()))
