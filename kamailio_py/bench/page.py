"""The report as one HTML file that opens without a network: the tables, and the plots where matplotlib is installed."""

from __future__ import annotations

import html
import importlib.util
import io
from collections.abc import Iterable

from rich.console import Console, RenderableType
from rich.table import Table

from kamailio_py.bench import table
from kamailio_py.bench.samples import Report

_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>kambench</title><style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem }
th, td { padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #ddd; text-align: right; vertical-align: top }
th:first-child, td:first-child { text-align: left } .about td { text-align: left }
svg { max-width: 100%; height: auto } .plots { display: grid; gap: 1rem }
pre { background: #fff3f0; padding: .6rem; white-space: pre-wrap }
</style></head><body>
"""


def render(report: Report) -> str:
    """The whole file."""
    parts = [_HEAD, "<h1>kambench</h1>", f"<p>{html.escape(report.date)}</p>", _table(table.about(report), "about")]
    problems = _text(table.verdict(report)).strip()
    if problems:
        parts.append(f"<pre>{html.escape(problems)}</pre>")
    drawn = _plots(report)
    for title, made, plots in (
        ("CPU per request", table.cpu(report), drawn.get("cpu", [])),
        ("Throughput at saturation", table.throughput(report), drawn.get("throughput", [])),
        ("Latency from when a request was due", table.latency(report), drawn.get("latency", [])),
        ("Suspended at once", table.suspended(report), drawn.get("suspended", [])),
        ("The servers", table.resources(report), []),
    ):
        if made is not None:
            parts.append(f"<h2>{title}</h2>{_table(made)}")
            parts.append(f'<div class="plots">{"".join(plots)}</div>')
    if not drawn:
        parts.append("<p>For plots: pip install 'kamailio-py[plots]', and `kambench html` on the JSON file.</p>")
    return "\n".join([*parts, "</body></html>\n"])


def _plots(report: Report) -> dict[str, list[str]]:
    if importlib.util.find_spec("matplotlib") is None:
        return {}
    from kamailio_py.bench import plots

    return {
        "cpu": plots.cpu(report),
        "throughput": plots.throughput(report),
        "latency": plots.latency(report),
        "suspended": plots.suspended(report),
    }


def _table(made: Table, kind: str = "") -> str:
    """A table of the terminal's as one of HTML."""
    columns = [[_text(cell) for cell in column.cells] for column in made.columns]
    head = (
        "".join(f"<th>{html.escape(_text(column.header))}</th>" for column in made.columns) if made.show_header else ""
    )
    rows: Iterable[tuple[str, ...]] = zip(*columns, strict=True)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<table class="{kind}"><tr>{head}</tr>{body}</table>'


def _text(what: RenderableType) -> str:
    out = Console(file=io.StringIO(), width=1000, no_color=True, highlight=False)
    with out.capture() as captured:
        out.print(what)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())
