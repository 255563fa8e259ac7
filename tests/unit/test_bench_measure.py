"""The ladder finds what a server holds, a stretch that lost answers is repeated; the server is two numbers here."""

from __future__ import annotations

import pytest

from kamailio_py.bench import measure, scenario
from kamailio_py.bench.figures import saturation
from kamailio_py.bench.samples import Samples
from kamailio_py.bench.traffic import Outcome


class Numbers:
    """Answers at most `capacity` a second, and loses an answer in the first `unlucky` stretches."""

    delay = 0.0

    def __init__(self, capacity: float, unlucky: int = 0) -> None:
        self.capacity = capacity
        self.unlucky = unlucky
        self.asked: list[float] = []

    def paced(self, rate: float, seconds: float) -> Outcome:
        self.asked.append(rate)
        sent = int(rate * seconds)
        lost = 1 if len(self.asked) <= self.unlucky else 0
        made = Outcome(sent=sent, answered=sent - lost, elapsed=sent / min(rate, self.capacity))
        for _ in range(made.answered):
            made.latency.add(0.001)
        return made

    def closed(self, window: int, seconds: float) -> Outcome:
        return self.paced(self.capacity, seconds)

    def count(self, number: int, window: int) -> Outcome:
        return self.paced(self.capacity, number / self.capacity)

    def close(self) -> None:
        pass


@pytest.mark.parametrize("start", [650.0, 800.0, 1000.0, 1300.0, 1700.0])
def test_the_ladder_ends_within_a_step_of_what_is_held(start: float) -> None:
    steps = measure.ladder(Numbers(1000), start, 10)
    assert 1000 / measure.STEP_UP <= saturation(steps) <= 1000
    assert len(steps) <= measure.MOST_STEPS


def test_a_ladder_that_finds_nothing_has_no_saturation() -> None:
    steps = measure.ladder(Numbers(1000), 5000, 10)
    assert len(steps) == measure.MOST_STEPS
    assert saturation(steps) == 0


def at_rates(driver: Numbers) -> Samples:
    samples = Samples()
    one = scenario.load("options-stateless")
    plan = measure.Plan([], [one], rates=(100.0, 900.0))
    samples.rates.append(measure.at_rates(plan, one, driver, 1000.0, samples))
    return samples


def test_a_stretch_that_lost_an_answer_is_repeated() -> None:
    samples = at_rates(driver := Numbers(1000, unlucky=2))
    assert samples.repeated == 2
    assert samples.rates[0][0].complete
    assert driver.asked == [100.0] * 3  # and 900 a second is more than 80 % of 1000


def test_what_is_lost_every_time_is_lost() -> None:
    samples = at_rates(Numbers(1000, unlucky=99))
    assert [step.lost for step in samples.rates[0]] == [1]
