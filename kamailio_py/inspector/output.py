"""How things are shown to people: tables, durations, sizes; on a terminal with colours, elsewhere as plain lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 400
"""Columns where nobody looks: lines are not folded, and what stands to the right of them is not padded."""


def table(*columns: str, rows: Iterable[Sequence[Any]], title: str = "") -> Table:
    """A table without frames; a column whose title ends in `>` stands to the right, a row may have Text in it."""
    made = Table(box=None, pad_edge=False, title=title or None, title_justify="left", header_style="bold")
    for column in columns:
        right = column.endswith(">")
        made.add_column(column.rstrip(">"), justify="right" if right else "left", no_wrap=True)
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text("" if cell is None else str(cell)) for cell in row))
    return made


def facts(pairs: Iterable[tuple[str, Any]]) -> Table:
    """Names and values under each other, those without a value left out."""
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs:
        if value is not None and value != "":
            made.add_row(name, value if isinstance(value, Text) else Text(str(value)))
    return made


def together(*parts: RenderableType | None) -> Group:
    """One under the other."""
    return Group(*(part for part in parts if part is not None))


def alarm(text: str) -> Text:
    """What is wrong, in red."""
    return Text(text, style="bold red")


def quiet(text: str) -> Text:
    return Text(text, style="dim")


def duration(seconds: float | None) -> str:
    """`850 us`, `12 ms`, `3.4 s`, `5:07`, `2 h 13 min`, `4 d 2 h`."""
    if seconds is None:
        return ""
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    if seconds < 0.001:
        return f"{sign}{seconds * 1e6:.0f} us"
    if seconds < 1:
        return f"{sign}{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{sign}{seconds:.1f} s"
    whole = int(seconds)
    if whole < 3600:
        return f"{sign}{whole // 60}:{whole % 60:02d}"
    if whole < 86400:
        return f"{sign}{whole // 3600} h {whole % 3600 // 60} min"
    return f"{sign}{whole // 86400} d {whole % 86400 // 3600} h"


def size(number: float) -> str:
    """`512 B`, `3.4 KiB`, `64.0 MiB`."""
    for unit in ("B", "KiB", "MiB"):
        if abs(number) < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} GiB"


def console() -> Console:
    """Standard output: coloured if it is a terminal, of any width if it is not."""
    made = Console(highlight=False, soft_wrap=False)
    return made if made.is_terminal else Console(highlight=False, width=PIPE_WIDTH, no_color=True)


def show(what: RenderableType) -> None:
    """Print it."""
    out = console()
    if out.is_terminal:
        out.print(what)
        return
    with out.capture() as captured:
        out.print(what)
    for line in captured.get().splitlines():
        print(line.rstrip())
