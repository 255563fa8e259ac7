"""Every scenario that ships runs on real Kamailio and on ours, both say the same, and nothing is lost.

A machine that is busy with other things may keep a server from its socket for so long that datagrams are lost; then the
measurement is repeated, as whoever runs kambench would have to.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from kit.programs import program

from kamailio_py.bench import measure, scenario, servers

SHORT = {"rounds": 1, "seconds": 0.2, "settle": 0.05, "most_suspended": 200, "rates": (20.0,)}


def groups() -> list[list[scenario.Scenario]]:
    shipped = [replace(scenario.load(name), watch=0.2) for name in scenario.shipped()]
    return measure.Plan([], shipped).groups()


@pytest.mark.parametrize("group", groups(), ids=lambda group: "+".join(one.name for one in group))
def test_scenarios_run_alike_on_both(group: list[scenario.Scenario]) -> None:
    program("kamailio")
    if any(one.kind == "sipp" for one in group):
        program("sipp")
    plan = measure.Plan([*servers.ours(), servers.real()[0]], group, **SHORT)  # type: ignore[arg-type]
    for _ in range(3):
        found = measure.run(plan, lambda *what: None)
        if not any("lost" in text for one in found.values() for text in one.problems):
            break
    for name, one in found.items():
        assert one.problems == [], name
        for samples in one.servers.values():
            if one.kind == "suspended":
                assert [held.count for held in samples.held[0]] == [100, 200]
            elif one.kind == "scaling":
                assert [step.receivers for step in samples.scaled[0]] == [1, 2]
                assert all(step.rate > 10 and step.cpu_us > 0 for step in samples.scaled[0])
            elif one.kind == "idle":
                assert 0 < samples.idle[0] < 0.2
            else:
                assert samples.load[0].answered > 10
                assert samples.load[0].cpu_us > 0
                assert samples.rates[0][0].sent
