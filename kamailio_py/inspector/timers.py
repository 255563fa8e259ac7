"""`kamshm timers`: what pends on the wheel, by kind and by due time, and how late timers have been fired."""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType
from rich.text import Text

from kamailio_py.inspector.output import duration, facts, table, together
from kamailio_py.inspector.segment import Segment

SPANS = ((0, "overdue"), (100, "within 100 ms"), (1000, "within 1 s"), (5000, "within 5 s"), (60_000, "within 1 min"))
LATER = "later"


def collect(segment: Segment) -> dict[str, Any]:
    """Counts by kind and span, the lateness distribution, and how far the wheel is."""
    wheel = segment.memory.wheel
    now = segment.now_ms
    kinds: dict[str, dict[str, Any]] = {}
    spans = {name: 0 for _, name in SPANS} | {LATER: 0}
    names = {number: name for name, number in wheel.kinds.numbers.items()}
    for _, due, kind in wheel.nodes():
        name = names.get(kind, f"kind {kind}")
        row = kinds.setdefault(name, {"kind": name, "pending": 0, "next_seconds": None})
        row["pending"] += 1
        left = (due - now) / 1000
        row["next_seconds"] = left if row["next_seconds"] is None else min(left, row["next_seconds"])
        spans[next((title for limit, title in SPANS if due - now <= limit), LATER)] += 1
    late = wheel.lateness
    return {
        "pending": sum(spans.values()),
        "fired": wheel.fired,
        "late_ms": wheel.late_ms,
        "longest_run_ms": wheel.longest_run,
        "behind_ms": max(0, now - wheel.done_ms),
        "kinds": sorted(kinds.values(), key=lambda row: -row["pending"]),
        "due": spans,
        "late": [{"below_ms": 1 << n if n < len(late) - 1 else None, "timers": count} for n, count in enumerate(late)],
    }


def percentile(late: list[dict[str, Any]], share: float) -> int | None:
    """Upper bound in ms of the lateness of that share of the timers; None if it is not known or none were fired."""
    total = sum(row["timers"] for row in late)
    seen = 0
    for row in late:
        seen += row["timers"]
        if total and seen >= share * total:
            bound: int | None = row["below_ms"]
            return bound
    return None


def render(data: dict[str, Any]) -> RenderableType:
    late = data["late"]
    fired = sum(row["timers"] for row in late)
    used = [row for row in late if row["timers"]]
    median, tail = percentile(late, 0.5), percentile(late, 0.99)
    return together(
        facts(
            (
                ("pending", data["pending"]),
                ("fired", data["fired"]),
                ("late", f"half below {median} ms, 99 % below {tail} ms" if fired and tail else ""),
                ("longest run", f"{data['longest_run_ms']} ms"),
                ("wheel behind", f"{data['behind_ms']} ms"),
            )
        ),
        Text(""),
        table(
            "KIND", "PENDING>", "NEXT>",
            rows=((row["kind"], row["pending"], duration(row["next_seconds"])) for row in data["kinds"]),
        ),
        Text(""),
        table("DUE", "TIMERS>", rows=data["due"].items()),
        Text(""),
        table(
            "FIRED LATE BY", "TIMERS>", "SHARE>",
            rows=(
                (
                    f"less than {row['below_ms']} ms" if row["below_ms"] else "more", row["timers"],
                    f"{100 * row['timers'] / fired:.1f} %",
                )
                for row in used
            ),
        ),
    )  # fmt: skip
