"""What a script sets for its transaction before there is one: routes, timeouts, flags.

Kept in `ctx.tm` until the transaction is made, which takes it over; afterwards the same functions write to the cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kamailio_py.modules.tm import Tm
    from kamailio_py.script.context import Context


class Armed:
    """Zero stands for "not set" everywhere; route fields hold the number of the route."""

    __slots__ = (
        "flags_off", "flags_on", "fr", "fr_inv", "inv_lifetime", "noninv_lifetime", "on_branch", "on_branch_failure",
        "on_failure", "on_reply", "retr1", "retr2",
    )  # fmt: skip

    def __init__(self) -> None:
        self.on_failure = 0
        self.on_reply = 0
        self.on_branch = 0
        self.on_branch_failure = 0
        self.fr = 0
        self.fr_inv = 0
        self.retr1 = 0
        self.retr2 = 0
        self.inv_lifetime = 0
        self.noninv_lifetime = 0
        self.flags_on = 0
        self.flags_off = 0

    @classmethod
    def of(cls, ctx: Context) -> Armed:
        """The notes of a run, made at first use."""
        if ctx.tm is None:
            ctx.tm = cls()
        return ctx.tm

    def fields(self, tm: Tm) -> tuple[int, int, int, int, int, int, int, int]:
        """The cell's fields from on_failure to retr2."""
        return (
            self.on_failure, self.on_reply, self.on_branch, self.on_branch_failure, self.fr or tm.fr_timer,
            self.fr_inv or tm.fr_inv_timer, self.retr1 or tm.retr_timer1, self.retr2 or tm.retr_timer2,
        )  # fmt: skip

    def lifetime(self, tm: Tm, invite: bool) -> int:
        """Milliseconds after which no final timer of a branch goes on."""
        if invite:
            return self.inv_lifetime or tm.max_inv_lifetime
        return self.noninv_lifetime or tm.max_noninv_lifetime
