"""`kamshm prometheus`: the text exposition format, version 0.0.4, of what the other subcommands show.

Counters of the server keep Kamailio's names as labels, so one rule finds them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kamailio_py.inspector import locks, memory, processes, queues, timers
from kamailio_py.inspector.cells import Cells
from kamailio_py.inspector.segment import Segment

PREFIX = "kamailio_py"
Sample = tuple[Mapping[str, Any], float]


class Exposition:
    """The metrics, family by family."""

    def __init__(self, instance: str) -> None:
        self.instance = instance
        self.families: list[dict[str, Any]] = []

    def family(self, name: str, kind: str, help: str, samples: Iterable[Sample]) -> None:
        """One metric with all its samples; of a histogram a sample's label `__name__` is its suffix."""
        made = []
        for labels, value in samples:
            own = {key: str(found) for key, found in labels.items() if key != "__name__"}
            full = f"{PREFIX}_{name}{labels.get('__name__', '')}"
            made.append({"name": full, "labels": {"instance_name": self.instance, **own}, "value": value})
        self.families.append({"name": f"{PREFIX}_{name}", "type": kind, "help": help, "samples": made})


def text(families: list[dict[str, Any]]) -> str:
    """The exposition format."""
    lines = []
    for family in families:
        lines += [f"# HELP {family['name']} {family['help']}", f"# TYPE {family['name']} {family['type']}"]
        for sample in family["samples"]:
            labels = ",".join(f'{key}="{_label(found)}"' for key, found in sample["labels"].items())
            value = sample["value"]
            lines.append(f"{sample['name']}{{{labels}}} {int(value) if value == int(value) else value}")
    return "\n".join(lines) + "\n"


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def collect(segment: Segment) -> list[dict[str, Any]]:
    """All families of metrics."""
    out = Exposition(segment.name)
    out.family("up", "gauge", "Whether the server that the segment belongs to runs.", [({}, float(segment.live))])
    _processes(segment, out)
    _memory(segment, out)
    _queues(segment, out)
    _transactions(segment, out)
    _timers(segment, out)
    _locks(segment, out)
    counters = segment.memory.counters
    out.family(
        "statistic", "untyped", "Kamailio's statistics, by group and name.",
        [({"group": group, "name": name}, counters.total(number)) for group, name, number in counters.names()],
    )  # fmt: skip
    return out.families


def _processes(segment: Segment, out: Exposition) -> None:
    rows = processes.collect(segment)
    who = [({"pid": row["pid"], "slot": row["slot"], "description": row["description"]}, row) for row in rows]
    out.family(
        "process_up", "gauge", "Whether the process runs.",
        [(labels, float(row["state"] in ("running", "stopped"))) for labels, row in who],
    )  # fmt: skip
    out.family(
        "process_busy_seconds", "gauge", "How long the process has had what it has in hand, 0 if it waits.",
        [(labels, row["busy_seconds"] or 0.0) for labels, row in who],
    )  # fmt: skip
    out.family(
        "process_heartbeat_seconds", "gauge", "Since the process began something or looked for something to do.",
        [(labels, row["heartbeat_seconds"] or 0.0) for labels, row in who],
    )  # fmt: skip


def _memory(segment: Segment, out: Exposition) -> None:
    found = memory.collect(segment)
    out.family(
        "memory_bytes", "gauge", "Bytes of the arena.",
        [({"kind": kind}, found[kind]) for kind in ("total", "used", "free", "taken", "unused_in_slabs")],
    )  # fmt: skip
    out.family("memory_exhausted_total", "counter", "Allocations that failed.", [({}, found["exhausted"])])
    owners = found["owners"]
    out.family("memory_owner_bytes", "gauge", "Bytes by owner.", [({"owner": r["owner"]}, r["bytes"]) for r in owners])
    out.family(
        "memory_owner_blocks", "gauge", "Blocks by owner.", [({"owner": r["owner"]}, r["blocks"]) for r in owners]
    )


def _queues(segment: Segment, out: Exposition) -> None:
    rows = queues.collect(segment)
    for name, kind, help, field in (
        ("queue_depth", "gauge", "Items that wait.", "depth"),
        ("queue_high_water", "gauge", "Most items that ever waited.", "high_water"),
        ("queue_capacity", "gauge", "Items the queue accepts.", "capacity"),
        ("queue_rejected_total", "counter", "Times it was full.", "rejected"),
        ("queue_taken_total", "counter", "Items that were taken.", "taken"),
        ("queue_oldest_seconds", "gauge", "How long the first item has waited.", "oldest_seconds"),
    ):
        out.family(name, kind, help, [({"queue": row["queue"]}, row[field] or 0) for row in rows])


def _transactions(segment: Segment, out: Exposition) -> None:
    states = Cells(segment).count()
    out.family(
        "transactions", "gauge", "Transactions by state.", [({"state": state}, n) for state, n in states.items()]
    )


def _timers(segment: Segment, out: Exposition) -> None:
    found = timers.collect(segment)
    out.family(
        "timers_pending", "gauge", "Pending timers by kind.",
        [({"kind": row["kind"]}, row["pending"]) for row in found["kinds"]],
    )  # fmt: skip
    seen, buckets = 0, []
    for row in found["late"]:
        seen += row["timers"]
        bound = f"{row['below_ms'] / 1000:g}" if row["below_ms"] else "+Inf"
        buckets.append(({"__name__": "_bucket", "le": bound}, seen))
    out.family(
        "timer_lateness_seconds", "histogram", "How late timers were when the run that fired them began.",
        [*buckets, ({"__name__": "_sum"}, found["late_ms"] / 1000), ({"__name__": "_count"}, seen)],
    )  # fmt: skip


def _locks(segment: Segment, out: Exposition) -> None:
    found = locks.collect(segment)
    out.family(
        "lock_waits_total", "counter", "Samples, 200 a second, in which a process waited for a lock of the group.",
        [({"group": row["group"]}, row["waits_sampled"]) for row in found["groups"]],
    )  # fmt: skip
    out.family(
        "locks_of_dead_processes", "gauge", "Locks held by a process that is dead.", [({}, len(locks.dead(found)))]
    )
