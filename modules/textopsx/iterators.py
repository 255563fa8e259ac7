"""Iterators over headers and over the lines of the body, and their pseudo-variables.

An iterator has a name in the cfg and stands in the notes of the run: a list of places in the text and an index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.config.arguments import STR
from kamailio_py.log import get_logger
from kamailio_py.module import function, pvar
from kamailio_py.sip.errors import BadMessage

if TYPE_CHECKING:
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import Getter, Inner

log = get_logger("textopsx")


class Iterator:
    """Spans of the text, and which of them is the present one."""

    __slots__ = ("at", "gone", "spans")

    def __init__(self, spans: list[tuple[int, int]]) -> None:
        self.spans = spans
        self.at = -1
        self.gone = False

    @property
    def span(self) -> tuple[int, int] | None:
        return self.spans[self.at] if 0 <= self.at < len(self.spans) else None

    def move(self, step: int) -> int:
        """1, or -1 at the end; from there next() starts again from the beginning."""
        self.at += step
        self.gone = False
        if 0 <= self.at < len(self.spans):
            return 1
        self.at = -1
        return -1


class Iterators:
    """hf_iterator_* and bl_iterator_*."""

    @staticmethod
    def _get(ctx: Context, kind: str, name: str) -> Iterator | None:
        iterator: Iterator | None = ctx.note("textopsx", {}).get((kind, name))
        if iterator is None:
            log.err(f"iterator not available [{name}]")
        return iterator

    def _start(self, ctx: Context, kind: str, name: str, spans: list[tuple[int, int]]) -> int:
        ctx.note("textopsx", {})[kind, name] = Iterator(spans)
        return 1

    def _move(self, ctx: Context, kind: str, name: str, step: int) -> int:
        iterator = self._get(ctx, kind, name)
        return iterator.move(step) if iterator is not None else -1

    def _end(self, ctx: Context, kind: str, name: str) -> int:
        if self._get(ctx, kind, name) is None:
            return -1
        del ctx.note("textopsx", {})[kind, name]
        return 1

    def _remove(self, ctx: Context, kind: str, name: str) -> int:
        iterator = self._get(ctx, kind, name)
        if iterator is None or iterator.span is None:
            return -1
        if not iterator.gone:
            ctx.msg.lumps.delete(*iterator.span)
            iterator.gone = True
        return 1

    def _insert(self, ctx: Context, kind: str, name: str, text: str, after: bool) -> int:
        iterator = self._get(ctx, kind, name)
        if iterator is None or iterator.span is None or not text:
            return -1
        ctx.msg.lumps.insert(iterator.span[1 if after else 0], text)
        return 1

    # headers

    @function("hf_iterator_start", STR)
    def hf_iterator_start(self, ctx: Context, name: str) -> int:
        msg = ctx.msg
        try:
            msg.require_headers()
        except BadMessage:
            log.err("error while parsing message headers")
            return -1
        return self._start(ctx, "hf", name, [msg.span(i) for i in range(len(msg.names))])

    @function("hf_iterator_next", STR)
    def hf_iterator_next(self, ctx: Context, name: str) -> int:
        return self._move(ctx, "hf", name, 1)

    @function("hf_iterator_prev", STR)
    def hf_iterator_prev(self, ctx: Context, name: str) -> int:
        """The header before; 1 also where there is none, but then the iterator stands before the first."""
        iterator = self._get(ctx, "hf", name)
        if iterator is None:
            return -1
        iterator.move(-1)
        return 1

    @function("hf_iterator_end", STR)
    def hf_iterator_end(self, ctx: Context, name: str) -> int:
        return self._end(ctx, "hf", name)

    @function("hf_iterator_rm", STR)
    def hf_iterator_rm(self, ctx: Context, name: str) -> int:
        return self._remove(ctx, "hf", name)

    @function("hf_iterator_append", STR, STR)
    def hf_iterator_append(self, ctx: Context, name: str, text: str) -> int:
        return self._insert(ctx, "hf", name, text, after=True)

    @function("hf_iterator_insert", STR, STR)
    def hf_iterator_insert(self, ctx: Context, name: str, text: str) -> int:
        return self._insert(ctx, "hf", name, text, after=False)

    # lines of the body

    @function("bl_iterator_start", STR)
    def bl_iterator_start(self, ctx: Context, name: str) -> int:
        msg = ctx.msg
        spans = []
        start = msg.body_offset
        while start < len(msg.text):
            newline = msg.text.find("\n", start)
            end = newline + 1 if newline >= 0 else len(msg.text)
            spans.append((start, end))
            start = end
        return self._start(ctx, "bl", name, spans)

    @function("bl_iterator_next", STR)
    def bl_iterator_next(self, ctx: Context, name: str) -> int:
        return self._move(ctx, "bl", name, 1)

    @function("bl_iterator_end", STR)
    def bl_iterator_end(self, ctx: Context, name: str) -> int:
        return self._end(ctx, "bl", name)

    @function("bl_iterator_rm", STR)
    def bl_iterator_rm(self, ctx: Context, name: str) -> int:
        return self._remove(ctx, "bl", name)

    @function("bl_iterator_append", STR, STR)
    def bl_iterator_append(self, ctx: Context, name: str, text: str) -> int:
        return self._insert(ctx, "bl", name, text, after=True)

    @function("bl_iterator_insert", STR, STR)
    def bl_iterator_insert(self, ctx: Context, name: str, text: str) -> int:
        return self._insert(ctx, "bl", name, text, after=False)

    # pseudo-variables

    def _text(self, ctx: Context, kind: str, name: str) -> tuple[Iterator, str] | None:
        iterator = ctx.note("textopsx", {}).get((kind, name))
        if iterator is None or iterator.span is None:
            return None
        return iterator, ctx.msg.text[slice(*iterator.span)]

    @pvar("hfitname", type="str")
    def hfitname(self, inner: Inner) -> Getter:
        """Name of the present header of an iterator."""

        def get(ctx: Context) -> str | None:
            found = self._text(ctx, "hf", inner.text)
            return found[1].partition(":")[0].rstrip(" \t") if found else None

        return get

    @pvar("hfitbody", type="str")
    def hfitbody(self, inner: Inner) -> Getter:
        """Value of the present header of an iterator."""

        def get(ctx: Context) -> str | None:
            found = self._text(ctx, "hf", inner.text)
            return found[1].partition(":")[2].lstrip(" \t\r\n").rstrip("\r\n") if found else None

        return get

    @pvar("blitval", type="str")
    def blitval(self, inner: Inner) -> Getter:
        """The present line of an iterator, with its line end."""

        def get(ctx: Context) -> str | None:
            found = self._text(ctx, "bl", inner.text)
            return found[1] if found else None

        return get
