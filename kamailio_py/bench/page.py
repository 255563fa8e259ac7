"""The report as one HTML file that opens without a network: the tables, and the plots where matplotlib is installed."""

from __future__ import annotations

import html
import importlib.util
import io

from rich.console import Console, RenderableType
from rich.table import Table

from kamailio_py.bench import table
from kamailio_py.bench.samples import Report

_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>kambench</title><style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.6rem; margin-bottom: 0 } h2 { font-size: 1.15rem; margin-top: 2.6rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .85rem }
th, td { padding: .25rem 0 .25rem 1.2rem; border-bottom: 1px solid #ddd; text-align: right; vertical-align: top;
  white-space: nowrap }
th:first-child, td:first-child { text-align: left; padding-left: 0 }
.about td, .about th { text-align: left; white-space: normal } .scroll { overflow-x: auto }
td.good { font-weight: 600; background: #e6f2ea } td.bad { font-weight: 600; background: #fbeae5 }
svg { max-width: 100%; height: auto; margin-top: 1rem } .plots { display: grid }
.note { color: #555; font-size: .85rem }
pre { background: #f6f4ef; padding: .6rem; white-space: pre-wrap; font-size: .85rem }
</style></head><body>
"""


def render(report: Report) -> str:
    """The whole file."""
    first, *others = report.servers
    heading = f"{first} beside {' and '.join(others)}" if others else first
    parts = [
        _HEAD, f"<h1>{html.escape(heading)}</h1>", f'<p class="note">kambench, {html.escape(report.date)}</p>',
        _table(table.about(report), "about"),
    ]  # fmt: skip
    problems = _text(table.verdict(report)).strip()
    if problems:
        parts.append(f"<pre>{html.escape(problems)}</pre>")
    drawn = _plots(report)
    for title, note, made, plots in (
        ("CPU per request", CPU, table.cpu(report), drawn.get("ratios", []) + drawn.get("cpu", [])),
        ("Throughput", THROUGHPUT, table.throughput(report), drawn.get("throughput", [])),
        ("Latency", LATENCY, table.latency(report), drawn.get("latency", [])),
        ("Suspended at once", SUSPENDED, table.suspended(report), drawn.get("suspended", [])),
        ("More receivers", RECEIVERS, table.scaling(report), []),
        ("The servers under load", SERVERS, table.resources(report), []),
        ("Without traffic", IDLE, table.idle(report), []),
    ):
        if made is not None:
            parts.append(f'<h2>{title}</h2><p class="note">{html.escape(note)}</p>{_table(made)}')
            parts.append(f'<div class="plots">{"".join(plots)}</div>')
    if not drawn:
        parts.append("<p>For plots: pip install 'kamailio-py[plots]', and `kambench html` on the JSON file.</p>")
    parts.append(f"<h2>The scenarios</h2>{_table(table.scenarios(report), 'about')}")
    return "\n".join([*parts, "</body></html>\n"])


CPU = (
    "Median of the rounds; ± is half of what lies between the smallest and the largest. In the last columns ours is "
    "divided by theirs: below 1 we take less. Of all figures it depends least on what else the machine does."
)
THROUGHPUT = (
    "The highest rate at which every request is answered in time; above 1 we manage more. It needs a free core."
)
LATENCY = "From when a request was due, whatever the generator was doing then, to its answer."
SUSPENDED = "Transactions that wait for their time at once: what each takes, and what another request costs meanwhile."
RECEIVERS = (
    "What several receivers manage together, and the most they can while the generator needs its part of a core."
)
SERVERS = "Private is what a process has beyond what it shares with the others since they were forked."
IDLE = "All processes of the server, CPU in percent of one core."


def _plots(report: Report) -> dict[str, list[str]]:
    if importlib.util.find_spec("matplotlib") is None:
        return {}
    from kamailio_py.bench import plots

    return {
        "ratios": plots.ratios(report),
        "cpu": plots.cpu(report),
        "throughput": plots.throughput(report),
        "latency": plots.latency(report),
        "suspended": plots.suspended(report),
    }


def _table(made: Table, kind: str = "") -> str:
    """A table of the terminal's as one of HTML; ratios have a colour that says who is better off."""
    heads = [_text(column.header) for column in made.columns]
    less_is_better = heads[0] != "Saturation"
    head = "".join(f"<th>{html.escape(text)}</th>" for text in heads) if made.show_header else ""
    columns = [[_text(cell) for cell in column.cells] for column in made.columns]
    body = ""
    for row in zip(*columns, strict=True):
        cells = ""
        for text, title in zip(row, heads, strict=True):
            mark = _mark(text, less_is_better) if title.startswith("/ ") else ""
            cells += f"<td{mark}>{html.escape(text)}</td>"
        body += f"<tr>{cells}</tr>"
    return f'<div class="scroll"><table class="{kind}"><tr>{head}</tr>{body}</table></div>'


def _mark(text: str, less_is_better: bool) -> str:
    """The class of a cell with a ratio."""
    try:
        ratio = float(text)
    except ValueError:
        return ""
    return ' class="good"' if (ratio <= 1) == less_is_better or ratio == 1 else ' class="bad"'


def _text(what: RenderableType) -> str:
    out = Console(file=io.StringIO(), width=1000, no_color=True, highlight=False)
    with out.capture() as captured:
        out.print(what)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())
