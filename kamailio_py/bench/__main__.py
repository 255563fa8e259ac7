"""`python -m kamailio_py.bench`: what a request costs on kamailio-py and on real Kamailio, as a table or as JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from typing import Any

from .measure import FEW, WORKS, Cost, Suspended, rounds, suspended
from .servers import KINDS, TITLES, Server, StartFailed, server
from .traffic import Lost


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m kamailio_py.bench", description=__doc__)
    made.add_argument(
        "--servers", default=",".join(KINDS), help="which of ours, default, fm (default: all that are here)"
    )
    made.add_argument("--work", default=",".join(WORKS), help="which of %s" % ", ".join(WORKS))
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--requests", type=int, default=4000, help="requests in a round")
    made.add_argument("--suspended", type=int, default=20000, help="transactions suspended at once, 0 for none")
    made.add_argument("--json", metavar="FILE", help="write the figures there too, - for the standard output alone")
    return made


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def start(kind: str, memory: int = 256) -> Server | None:
    made = server(kind, memory)
    if made is None:
        say(f"{TITLES[kind]} is not installed")
        return None
    try:
        made.start()
    except StartFailed as error:
        say(str(error))
        return None
    return made


def measure_costs(kinds: list[str], works: list[str], number: int, count: int) -> dict[str, dict[str, Cost]]:
    running: dict[str, Server] = {}
    try:
        for kind in kinds:
            started = start(kind)
            if started is not None:
                running[kind] = started
        return rounds(running, works, number, count, say)
    finally:
        for started in running.values():
            started.stop()


def measure_suspended(kinds: list[str], count: int) -> dict[str, Suspended]:
    found = {}
    for kind in kinds:
        # Real Kamailio takes some 13 KB for each; pages nobody writes to cost nothing.
        started = start(kind, max(256, count * 16 // 1024))
        if started is None:
            continue
        try:
            found[kind] = suspended(started, count, 2000, say)
        except Lost as error:
            say(f"{started.name}: {error}")
        finally:
            started.stop()
    return found


def cost_lines(costs: dict[str, dict[str, Cost]]) -> list[str]:
    kinds = list(dict.fromkeys(kind for by_kind in costs.values() for kind in by_kind))
    lines = [f"{'CPU per request, all processes':34}" + "".join(f"{TITLES[kind]:>24}" for kind in kinds)]
    if "ours" in kinds:
        lines[0] += "".join(f"{'/ ' + TITLES[kind]:>18}" for kind in kinds if kind != "ours")
    for work, by_kind in costs.items():
        line = f"{WORKS[work][0]:34}"
        for kind in kinds:
            cost = by_kind[kind]
            if not cost.microseconds:
                line += f"{'-':>24}"
                continue
            lost = f" {cost.lost} lost" if cost.lost else ""
            line += f"{cost.per_request:9.1f} us {cost.rate:8.0f}/s{lost}".rjust(24)
        ours = by_kind.get("ours")
        if ours is not None:
            for kind in kinds:
                if kind != "ours":
                    both = ours.microseconds and by_kind[kind].microseconds
                    line += f"{ours.per_request / by_kind[kind].per_request:18.2f}" if both else f"{'-':>18}"
        lines.append(line)
    return lines


def suspended_lines(found: dict[str, Suspended]) -> list[str]:
    if not found:
        return []
    count = next(iter(found.values())).count
    lines = [f"{f'{count} suspended at once':34}" + "".join(f"{TITLES[kind]:>24}" for kind in found)]
    rows = (
        ("shared memory each", "bytes_each", " B"),
        ("suspending, among the first", "put_aside", " us"),
        ("suspending, among the last", "put_aside_last", " us"),
        (f"INFO while {FEW} are suspended", "request_at_first", " us"),
        ("INFO while all are suspended", "request_at_last", " us"),
    )
    for title, name, unit in rows:
        lines.append(f"{title:34}" + "".join(f"{getattr(one, name):.1f}{unit}".rjust(24) for one in found.values()))
    return lines


def as_json(costs: dict[str, dict[str, Cost]], found: dict[str, Suspended]) -> dict[str, Any]:
    return {
        "machine": {"python": platform.python_version(), "cpus": os.cpu_count(), "kernel": platform.release()},
        "costs": {
            work: {
                kind: {
                    "cpu_us": round(cost.per_request, 2),
                    "rounds_us": [round(value, 2) for value in cost.microseconds],
                    "per_second": round(cost.rate),
                    "answered": cost.answered,
                    "lost": cost.lost,
                }
                for kind, cost in by_kind.items()
                if cost.microseconds
            }
            for work, by_kind in costs.items()
        },
        "suspended": {kind: vars(one) for kind, one in found.items()},
    }


def main() -> int:
    options = parser().parse_args()
    kinds, works = options.servers.split(","), options.work.split(",")
    for word, known in [(word, KINDS) for word in kinds] + [(word, WORKS) for word in works]:
        if word not in known:
            say(f"{word} is none of {', '.join(known)}")
            return 2
    costs = measure_costs(kinds, works, options.rounds, options.requests)
    found = measure_suspended(kinds, options.suspended) if options.suspended else {}
    if options.json:
        text = json.dumps(as_json(costs, found), indent=2)
        if options.json == "-":
            print(text)
            return 0
        with open(options.json, "w") as stream:
            stream.write(text + "\n")
    print("\n".join([*cost_lines(costs), "", *suspended_lines(found)]))
    return 0 if any(cost.microseconds for by_kind in costs.values() for cost in by_kind.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
