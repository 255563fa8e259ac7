"""Reports: noise is no change, a change is one, what the machine did is taken out; they come back from JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kamailio_py.bench import command, compare, page, samples, table
from kamailio_py.bench.command import show
from kamailio_py.bench.samples import Held, Load, Measured, Report, Samples, Scaled, Step

PYTHON = {"version": "3.11.2", "build": "optimised with profiles", "path": "/usr/bin/python3"}


def step(wanted: str, milliseconds: float, lost: int = 0) -> Step:
    made = samples.Histogram()
    for _ in range(100):
        made.add(milliseconds / 1e3)
    return Step(wanted, 1000, 990, 100, lost, 0, True, 0.3, 0.0, made.pack())


def measured(cpu: list[float], rate: float = 5000, milliseconds: float = 1.0) -> Samples:
    return Samples(
        load=[Load(5000, 1.0, value, value / 3, rate, 0.5) for value in cpu],
        rates=[[step("1000", milliseconds)] for _ in cpu],
        ladder=[[step("", 1.0)] for _ in cpu],
        shared=[1 << 20 for _ in cpu],
        private=[1 << 22 for _ in cpu],
        largest_private=[1 << 21 for _ in cpu],
        processes=[5 for _ in cpu],
        started=[0.5 for _ in cpu],
        answers=["SIP/2.0 200 OK"],
    )


def report(ours: Samples, real: Samples | None = None, **other: Any) -> Report:
    servers = {"kamailio-py": ours}
    about: dict[str, Any] = {"kamailio-py": {"command": ["k"], "version": "kamailio-py 0.1", "python": PYTHON}}
    if real is not None:
        servers["Kamailio"] = real
        about["Kamailio"] = {"command": ["kamailio"], "version": "kamailio 5.6.3", "python": None}
    held = Samples(held=[[Held(100, 2000, 0, 50, 60), Held(5000, 2000, 0, 50, 61)]] * 3)
    return Report(
        machine={"cpus": 2, "model": "none", "kernel": "6", "load": "0.1", **other},
        commit="abc",
        version="0.1",
        date="2026-01-01T00:00:00+00:00",
        options={"rounds": 3, "seconds": 0.5, "cfg": "", "rates": [], "suspended": None},
        servers=about,
        generator={"python": PYTHON, "ceiling": {"udp": [90000.0, 91000.0]}},
        scenarios={
            "options-stateless": Measured("options-stateless", "OPTIONS", "request", "requests", 0, servers),
            "suspend-capacity": Measured(
                "suspend-capacity", "Many", "request", "suspended", 0, dict.fromkeys(servers, held)
            ),
        },
    )


def verdicts(before: Report, after: Report, title: str = "CPU") -> list[str]:
    return [
        one.verdict
        for one in compare.changes(before, after)
        if one.measure.title == title and one.server == "kamailio-py" and one.scenario == "options-stateless"
    ]


STEADY = [100.0, 101.0, 99.0]


@pytest.mark.parametrize(
    ("after", "verdict"),
    [
        ([100.0, 102.0, 99.5], "same"),
        ([104.0, 104.0, 104.0], "same"),  # below the threshold, however steady
        ([110.0, 111.0, 109.0], "worse"),
        ([90.0, 91.0, 89.0], "better"),
        ([110.0, 140.0, 95.0], "same"),  # within its own noise
        ([150.0, 151.0], "too few rounds"),
    ],
)
def test_the_rule(after: list[float], verdict: str) -> None:
    assert verdicts(report(measured(STEADY)), report(measured(after))) == [verdict]


def test_more_of_a_rate_is_better() -> None:
    before, after = report(measured(STEADY, rate=5000)), report(measured(STEADY, rate=6000))
    assert verdicts(before, after, "rate, window full") == ["better"]
    assert verdicts(after, before, "rate, window full") == ["worse"]


def test_latency_is_compared_by_rate() -> None:
    before, after = report(measured(STEADY)), report(measured(STEADY, milliseconds=2.0))
    assert verdicts(before, after, "latency p99 at 1000") == ["worse"]


def test_what_the_machine_did_is_taken_out() -> None:
    slow = [130.0, 131.0, 129.0]
    before = report(measured(STEADY), measured([50.0, 50.5, 49.5]))
    assert verdicts(before, report(measured(slow), measured([65.0, 65.5, 64.5]))) == ["same"]
    assert verdicts(before, report(measured(slow), measured([50.0, 50.5, 49.5]))) == ["worse"]
    assert verdicts(before, report(measured(STEADY), measured([65.0, 65.5, 64.5]))) == ["better"]


def test_what_may_not_be_reported_is_not_compared() -> None:
    bad = measured(STEADY)
    bad.problem("3 of 100 lost")
    found = compare.changes(report(measured(STEADY)), report(bad))
    assert {one.scenario for one in found} == {"suspend-capacity"}
    with pytest.raises(compare.NotComparable):
        compare.changes(report(measured(STEADY)), Report(**{**vars(report(measured(STEADY))), "scenarios": {}}))


def test_other_machines_and_pythons_are_noted() -> None:
    one, two = report(measured(STEADY)), report(measured(STEADY), model="other")
    two.servers["kamailio-py"]["python"] = {**PYTHON, "build": "NOT optimised with profiles"}
    assert compare.warnings(one, two) == [
        "different machines: model none and other",
        "kamailio-py ran on Python 3.11.2 (optimised with profiles) and 3.11.2 (NOT optimised with profiles)",
    ]


def test_a_report_comes_back_from_its_file(tmp_path: Path) -> None:
    one = report(measured(STEADY), measured([50.0, 50.5, 49.5]))
    one.save(tmp_path / "deep" / "a.json")
    again = samples.load(tmp_path / "deep" / "a.json")
    assert again.scenarios["options-stateless"].servers["Kamailio"].load[1].cpu_us == 50.5
    again.save(tmp_path / "b.json")
    assert (tmp_path / "deep" / "a.json").read_text() == (tmp_path / "b.json").read_text()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"kambench": 99}', '{"kambench": 2, "usable": true, "scenarios": 3}']
)
def test_what_is_no_report_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(samples.ReportError, match=r"x\.json"):
        samples.load(tmp_path / "x.json")


def run(*arguments: str) -> Any:
    return CliRunner().invoke(command.main, [*arguments])


def test_the_command_says_what_got_worse(tmp_path: Path) -> None:
    for name, cpu in (("a", STEADY), ("b", [120.0, 121.0, 119.0])):
        report(measured(cpu)).save(tmp_path / f"{name}.json")
    worse = run("compare", str(tmp_path / "a.json"), str(tmp_path / "b.json"))
    assert worse.exit_code == 1
    assert "options-stateless  kamailio-py  CPU     100.0 us ±1%  120.0 us ±1%" in worse.output
    assert "+20%" in worse.output
    better = run("compare", str(tmp_path / "b.json"), str(tmp_path / "a.json"))
    assert (better.exit_code, "better" in better.output) == (0, True)
    same = run("compare", str(tmp_path / "a.json"), str(tmp_path / "a.json"))
    assert (same.exit_code, same.output.strip()) == (0, "10 same")
    assert run("compare", str(tmp_path / "a.json"), str(tmp_path / "none.json")).exit_code == 3


def test_the_tables_have_medians_spread_and_ratios(capsys: pytest.CaptureFixture[str]) -> None:
    show(table.render(report(measured(STEADY), measured([50.0, 50.5, 49.5]))))
    out = " ".join(capsys.readouterr().out.split())
    assert "options-stateless, per request 100.0 us ±1% 50.0 us ±1% 2.00" in out
    assert "5,000: shared memory, each 2,000 B ±0%" in out
    assert "Python 3.11.2 (/usr/bin/python3; optimised with profiles)" in out


def test_lost_answers_are_no_latency(capsys: pytest.CaptureFixture[str]) -> None:
    ours = measured(STEADY)
    ours.rates[1] = [step("1000", 1.0, lost=3)]
    made = report(ours)
    show(table.render(made))
    out = capsys.readouterr().out
    assert not made.usable
    assert "3 lost" in out
    assert "kamailio-py: 3 of 100 lost at 1000 a second" in out


def test_the_page_needs_no_network_and_has_plots(tmp_path: Path) -> None:
    report(measured(STEADY), measured([50.0, 50.5, 49.5])).save(tmp_path / "a.json")
    assert run("html", str(tmp_path / "a.json"), str(tmp_path / "a.html")).exit_code == 0
    text = (tmp_path / "a.html").read_text()
    assert text.count("<svg") == 5
    for word in ("src=", "@import", "<script", "<link"):
        assert word not in text
    assert "optimised with profiles" in text


def test_without_matplotlib_the_page_has_the_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    text = page.render(report(measured(STEADY)))
    assert "<svg" not in text
    assert "kamailio-py[plots]" in text
    assert "100.0 us" in text


def with_others(waiting: float = 0.0, generator: float = 0.1, waited: float = 0.0) -> Report:
    """A report that has also receivers and an idle server; how busy the machine and the generator were."""
    made = report(measured(STEADY), measured([50.0, 50.5, 49.5]))
    for steps in made.scenarios["options-stateless"].servers["Kamailio"].rates:
        steps[0].waited = waited
    scaled = Samples(
        scaled=[[Scaled(1, 1000, 900, 0.9, waiting, 0.1), Scaled(2, 1750, 1000, 1.75, waiting, generator)]] * 3
    )
    idle = Samples(
        idle=[0.004, 0.005, 0.006], started=[1.0], shared=[1 << 20], private=[6 << 20], largest_private=[3 << 20],
        median_private=[2 << 20],
    )  # fmt: skip
    for name, made_of in (("scaling", scaled), ("idle", idle)):
        made.scenarios[name] = Measured(name, "", "request", name, 0, dict.fromkeys(made.servers, made_of))
    return made


def shown(made: Report, capsys: pytest.CaptureFixture[str]) -> str:
    show(table.render(made))
    return " ".join(capsys.readouterr().out.split())


def test_growth_by_receivers_has_what_was_possible_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(with_others(), capsys)
    assert "scaling, 2 receivers 1,750/s ±0% on 1.75 cores" in out
    assert "scaling, growth 1.75x ±0%, at most 1.90x" in out
    assert "scaling, growth if each had a core 1.80x ±0%" in out
    assert "leaves no room" not in out
    assert "~" not in out


def test_a_generator_that_needs_the_second_core_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(with_others(generator=0.5), capsys)
    assert "at most 1.50x" in out
    assert "the generator leaves no room for 1.6x beside kamailio-py, Kamailio" in out


@pytest.mark.parametrize(("busy", "figure"), [({"waiting": 0.5}, "~1,000/s"), ({"waited": 0.0006}, "~1.01 /")])
def test_figures_of_a_busy_machine_are_marked(
    busy: dict[str, float], figure: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shown(with_others(**busy), capsys)
    assert figure in out
    assert "~ the machine was busy" in out


def test_an_idle_server_is_in_the_tables_the_page_and_the_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    made = with_others()
    out = shown(made, capsys)
    assert "idle: CPU, of one core 0.50 % ±20%" in out
    assert "idle: private memory of the median process 2.0 MiB" in out
    assert "idle: private memory of the largest process 3.0 MiB" in out
    assert "0.50 % ±20%" in page.render(made)
    titles = {one.measure.title for one in compare.changes(made, made)}
    assert {"CPU without traffic", "receivers together / one"} <= titles


def test_ratios_say_by_colour_who_is_better_off() -> None:
    text = page.render(report(measured(STEADY, rate=9000), measured([50.0, 50.5, 49.5])))
    assert '<td class="bad">2.00</td>' in text  # CPU: twice theirs
    text = page.render(report(measured([50.0]), measured(STEADY)))
    assert '<td class="good">0.50</td>' in text
