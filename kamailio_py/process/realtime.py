"""Real-time priorities of processes and memory that is not paged out. What the system refuses is said in the log."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

from kamailio_py.log import get_logger

if TYPE_CHECKING:
    from kamailio_py.engine.settings import GlobalValues

logger = get_logger()

FAST_TIMER, SLOW_TIMER, ALL = 1, 2, 4
"""Bits of `real_time`: the timer, the slow timer, everybody."""
POLICIES = {1: os.SCHED_RR, 2: os.SCHED_FIFO}
MCL_CURRENT, MCL_FUTURE = 1, 2


def take_priority(cfg: GlobalValues, whose: int) -> None:
    """Give this process the priority that the config has for `whose`, if it has one."""
    if not cfg.real_time & whose:
        return
    priority, policy = {
        FAST_TIMER: (cfg.rt_timer1_prio, cfg.rt_timer1_policy),
        SLOW_TIMER: (cfg.rt_timer2_prio, cfg.rt_timer2_policy),
        ALL: (cfg.rt_prio, cfg.rt_policy),
    }[whose]
    try:
        os.sched_setscheduler(0, POLICIES.get(policy, os.SCHED_OTHER), os.sched_param(priority))
    except (OSError, ValueError) as error:
        logger.err(f"could not switch to real time priority {priority}, policy {policy}: {error}")


def lock_pages() -> None:
    """Keep all memory of this process, and with it what it shares with its children, out of the swap."""
    if ctypes.CDLL(None, use_errno=True).mlockall(MCL_CURRENT | MCL_FUTURE):
        logger.warn(f"failed to lock the memory pages (disable swapping): {os.strerror(ctypes.get_errno())}")
