"""Drives exchanges over a link: as many at once as a window holds, or by a schedule that waits for nobody.

Every answer is looked at. Latency is counted from the moment an exchange was due by the schedule, so that a server
which stalls cannot hide it by stalling the generator, too.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

from kamailio_py.bench.exchange import Exchange
from kamailio_py.bench.histogram import Histogram
from kamailio_py.bench.link import BATCH, Link

PATIENCE = 1.0
"""Seconds without any answer after which what is in flight counts as lost."""

LATE = 0.5
"""Seconds, T1 of RFC 3261, after which a client would have sent its request again."""


@dataclass
class Outcome:
    """What became of one stretch of traffic.

    `elapsed` is seconds from the first request to the last answer, `busy` the part of a core the generator used.
    """

    sent: int = 0
    answered: int = 0
    late: int = 0
    dropped: int = 0
    elapsed: float = 0.0
    busy: float = 0.0
    latest_send: float = 0.0
    wrong: list[str] = field(default_factory=list)
    latency: Histogram = field(default_factory=Histogram)

    @property
    def lost(self) -> int:
        return self.sent - self.answered

    @property
    def rate(self) -> float:
        return self.answered / self.elapsed if self.elapsed > 0 else 0.0


class Driver:
    """Drives one kind of exchange over one link.

    `delay` is how many seconds the cfg itself makes every exchange wait: it is no latency.
    """

    def __init__(self, link: Link, exchange: Exchange, delay: float = 0.0) -> None:
        self.link = link
        self.exchange = exchange
        self.delay = delay

    def close(self) -> None:
        self.link.close()

    def closed(self, window: int, seconds: float) -> Outcome:
        """Keep `window` exchanges in flight for so long, then wait for the last ones."""
        begun = time.perf_counter()
        end = begun + seconds

        def allowed(now: float, sent: int, answered: int) -> tuple[int, float]:
            return (window - sent + answered, end - now) if now < end else (-1, 0.0)

        return self._drive(allowed, None)

    def paced(self, rate: float, seconds: float) -> Outcome:
        """Begin `rate` exchanges per second by the clock for so long, whatever becomes of them."""
        total = max(int(rate * seconds), 1)
        begun = time.perf_counter() + 0.001

        def allowed(now: float, sent: int, answered: int) -> tuple[int, float]:
            if sent >= total:
                return -1, 0.0
            due = int((now - begun) * rate) + 1 if now >= begun else 0
            return min(due, total) - sent, begun + sent / rate - now

        return self._drive(allowed, (begun, rate))

    def count(self, number: int, window: int) -> Outcome:
        """`number` exchanges, `window` of them in flight."""

        def allowed(now: float, sent: int, answered: int) -> tuple[int, float]:
            return (min(window - sent + answered, number - sent), PATIENCE) if sent < number else (-1, 0.0)

        return self._drive(allowed, None)

    def _drive(
        self, allowed: Callable[[float, int, int], tuple[int, float]], schedule: tuple[float, float] | None
    ) -> Outcome:
        """`allowed(now, sent, answered)`: how many may be sent now (-1: never again), and how long to wait if none."""
        made = Outcome()
        first = self.exchange.next
        done = array("b")
        clock, link, exchange = time.perf_counter, self.link, self.exchange
        react, send = exchange.react, link.send
        dropped = link.dropped()
        exchange.wrong.clear()
        start, used = clock(), time.process_time()
        last = start
        sent = answered = 0
        heard = start
        while True:
            now = clock()
            room, wait = allowed(now, sent, answered)
            if room > 0:
                if schedule is not None:
                    behind = now - schedule[0] - sent / schedule[1]
                    made.latest_send = max(made.latest_send, behind)
                for number in range(first + sent, first + sent + min(room, BATCH)):
                    done.append(0)
                    exchange.begin(number, send)
                sent += min(room, BATCH)
                wait = 0.0
            elif room < 0:
                if answered == sent or now - heard > PATIENCE + self.delay:
                    break
                wait = PATIENCE
            elif schedule is None and now - heard > PATIENCE + self.delay:
                break
            batch = link.receive(min(wait, PATIENCE) if wait > 0 else 0.0)
            if not batch:
                continue
            heard = clock()
            for data in batch:
                place = react(data, send) - first
                if 0 <= place < sent and not done[place]:
                    done[place] = 1
                    answered += 1
                    last = heard
                    if schedule is not None:
                        latency = heard - schedule[0] - place / schedule[1] - self.delay
                        made.latency.add(latency)
                        if latency > LATE:
                            made.late += 1
        exchange.next = first + sent
        made.sent, made.answered, made.elapsed = sent, answered, last - start
        made.busy = (time.process_time() - used) / max(clock() - start, 1e-9)
        made.dropped = link.dropped() - dropped
        made.wrong = list(exchange.wrong)
        return made
