"""The timer processes: "timer" turns the wheel, "secondary timer" and "slow timer" call what modules registered.

Only the timer process takes entries off the wheel, so what a wheel handler does is never done twice at once.
"""

from __future__ import annotations

import time

from kamailio_py.engine.core import Core
from kamailio_py.engine.plan import ProcessSpec, TimerSpec
from kamailio_py.log import get_logger
from kamailio_py.module import Rank
from kamailio_py.process.process import Process
from kamailio_py.process.realtime import FAST_TIMER, SLOW_TIMER, take_priority

logger = get_logger()

GRAIN = 0.005
"""Seconds that run_timers() sleeps at the least."""


def specs(core: Core) -> list[ProcessSpec]:
    slow = [timer for timer in core.timers if timer.slow]
    regular = [timer for timer in core.timers if not timer.slow]
    return [
        ProcessSpec("slow timer", Rank.TIMER, lambda process: run_slow_timers(process, slow)),
        ProcessSpec("timer", Rank.TIMER, turn_wheel),
        ProcessSpec("secondary timer", Rank.TIMER, lambda process: run_timers(process, regular)),
    ]


def turn_wheel(process: Process) -> None:
    """Fire what is due when it is due."""
    take_priority(process.core.cfg, FAST_TIMER)
    shm, now = process.core.shm, process.core.clock.ms
    wheel, processes = shm.wheel, shm.processes
    while not process.stopping:
        with process.idle:
            wheel.wait(wheel.next() / 1000 - time.monotonic())
        processes.begin(b"timers")
        begun = now()
        wheel.run(begun)
        wheel.note_run(now() - begun)
        shm.sample_waits()
        processes.finish()


def run_slow_timers(process: Process, timers: list[TimerSpec]) -> None:
    take_priority(process.core.cfg, SLOW_TIMER)
    run_timers(process, timers)


def run_timers(process: Process, timers: list[TimerSpec]) -> None:
    """Call each timer's callback when its interval has passed; one that raises is logged and stays."""
    clock, processes = process.core.clock, process.core.shm.processes
    due = {id(timer): clock.ms() + timer.seconds * 1000 for timer in timers}
    pause = min([1.0, *(timer.seconds for timer in timers)])
    while process.every(max(pause, GRAIN)):
        processes.beat(clock.ms())
        for timer in timers:
            if clock.ms() >= due[id(timer)]:
                due[id(timer)] += timer.seconds * 1000
                name = getattr(timer.callback, "__qualname__", str(timer.callback))
                with processes.doing(f"timer {name}"):
                    try:
                        timer.callback()
                    except Exception as error:
                        logger.err(f"timer {name}: {error}")
