"""Which reply of several goes upstream: RFC 3261 section 16.7, with Kamailio's order of preference.

Lives here: the choice among final replies, by reading branches of a cell whose turn the caller has. Nothing is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.modules.tm.cell import BranchFlag

if TYPE_CHECKING:
    from kamailio_py.modules.tm.transaction import Transaction

PENDING = -2
NOBODY = -1
_URGENT = frozenset((401, 407, 415, 420, 484))
"""4xx that tell the client how to repair its request go before others."""
_SKIPPED = BranchFlag.BLIND | BranchFlag.DROPPED | BranchFlag.UNSENT


def priority(code: int) -> int:
    """The lower, the better."""
    hundreds, rest = divmod(code, 100)
    if hundreds == 2:
        return 0
    if hundreds == 6:
        return 1000 + rest
    if hundreds == 3:
        return 3000 + rest
    if hundreds == 4:
        return 4000 + rest if code in _URGENT else 4100 + rest
    if hundreds == 5:
        return 5000 + rest
    return 10000


def pick(t: Transaction, faked_priority: int, current: int = NOBODY) -> int:
    """Number of the branch with the best final reply; PENDING while one is open, NOBODY if no branch has a reply.

    `current` is a branch whose reply was just made or received: it takes part whatever it is.
    """
    best, winner = 1 << 30, NOBODY
    for number in range(t.branches):
        flags = t.branch_flags(number)
        if flags & _SKIPPED and number != current:
            continue
        status = t.branch_status(number)
        if status < 200 or flags & (BranchFlag.SUSPENDED | BranchFlag.CONTINUING):
            return PENDING
        rank = priority(status) + (faked_priority if flags & BranchFlag.FAKED else 0)
        if rank < best:
            best, winner = rank, number
    return winner


def open_branches(t: Transaction) -> bool:
    """Does any branch, a blind one too, still wait for something?"""
    return any(t.branch_status(number) < 200 for number in range(t.branches))


def challenges(t: Transaction) -> list[int]:
    """Branches whose reply asks for credentials."""
    return [
        number
        for number in range(t.branches)
        if not t.branch_flags(number) & (_SKIPPED | BranchFlag.FAKED) and t.branch_status(number) in (401, 407)
    ]
