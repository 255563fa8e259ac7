"""What a dialog is: its record in shared memory, its states, and a copy of it to work with.

Declarations only. A record is reached under the lock of its bucket; `View` is a copy that stays readable without it.
"""

from __future__ import annotations

from typing import Any

from kamailio_py.shm.records import Record, embedded, u32, u64
from kamailio_py.shm.wheel import TimerNode

Ident = tuple[int, int]
"""Hash entry and hash id: a dialog's name."""


class State:
    """Kamailio's numbers."""

    UNCONFIRMED = 1
    EARLY = 2
    CONFIRMED_NA = 3  # answered, the ACK has not come yet
    CONFIRMED = 4
    DELETED = 5


class Event:
    """What changes a dialog's state."""

    TRANSACTION_GONE, PROVISIONAL, SUCCESS, FAILURE, ACK, BYE, REQUEST = range(7)


NEXT_STATE: dict[int, dict[int, int]] = {
    Event.TRANSACTION_GONE: {State.UNCONFIRMED: State.DELETED, State.EARLY: State.DELETED},
    Event.PROVISIONAL: {State.UNCONFIRMED: State.EARLY},
    Event.SUCCESS: {State.UNCONFIRMED: State.CONFIRMED_NA, State.EARLY: State.CONFIRMED_NA},
    Event.FAILURE: {State.UNCONFIRMED: State.DELETED, State.EARLY: State.DELETED},
    Event.ACK: {State.CONFIRMED_NA: State.CONFIRMED},
    Event.BYE: {State.CONFIRMED_NA: State.DELETED, State.CONFIRMED: State.DELETED},
    Event.REQUEST: {},
}


NOT_OURS = 0xFFFFFFFF
"""Index of a socket that this server does not have: of a dialog that was another server's."""


class Flag:
    """Bits of a dialog's own flags, as $dlg(dflags) shows them."""

    NEW = 1 << 0  # not in the database yet
    CHANGED = 1 << 1
    HASBYE = 1 << 2
    CHANGED_VARS = 1 << 7
    TM = 1 << 9  # a transaction is followed
    CHANGED_PROFILES = 1 << 10


class Inner:
    """Bits of what was asked for, `iflags` of RPC and database."""

    TIMEOUT_BYE = 1 << 0
    KA_CALLER = 1 << 1
    KA_CALLEE = 1 << 2
    TIMER_NORESET = 1 << 3
    CSEQ_DIFF = 1 << 4  # the callee knows other CSeq numbers than the caller


class DueDialog(Record):
    """An item of the queue of dialogs whose lifetime is over."""

    a = u64("hash entry of the dialog")
    b = u64("hash id of the dialog")
    c = u64("unused")


class Dialog(Record):
    """One dialog."""

    next = u64("next dialog of the bucket")
    prev = u64("previous dialog of the bucket")
    entry = u32("hash entry: the bucket")
    id = u32("hash id; entry and id are the dialog's name")
    state = u32("see State")
    dflags = u32("see Flag")
    sflags = u32("flags of the script")
    iflags = u32("see Inner")
    toroute = u32("number of the route that runs at the timeout plus one, 0 for none")
    lifetime = u32("seconds from the last request on")
    init_ts = u32("when it began, seconds since the epoch")
    start_ts = u32("when it was answered")
    end_ts = u32("when it ended")
    caller_socket = u32("index of the socket of the caller's side")
    callee_socket = u32("index of the socket of the callee's side")
    ka_failed = u32("keepalives in a row that failed")
    ka_caller = u64("monotonic milliseconds of the last keepalive to the caller")
    ka_callee = u64("the same for the callee")
    due = u64("monotonic milliseconds of the timeout, or, of a deleted one, when it is freed")
    texts = u64("block with the texts, see Texts, as marshal wrote them")
    vars = u64("block with the variables, 0 if there are none")
    profiles = u64("block with the profiles it is in, 0 if there are none")
    timer = embedded(TimerNode, "timeout")


FIELDS = tuple(
    name for name in Dialog.FIELDS if name not in ("next", "prev", "texts", "vars", "profiles", "timer", "due")
)
TEXTS = (
    "call_id", "from_uri", "to_uri", "from_tag", "to_tag", "from_contact", "to_contact", "from_cseq", "to_cseq",
    "from_rs", "to_rs", "ruri", "toroute_name",
)  # fmt: skip


class View:
    """A copy of a dialog: the fields of its record and its texts as attributes, variables and profiles as they were."""

    entry: int
    id: int
    state: int
    dflags: int
    sflags: int
    iflags: int
    toroute: int
    lifetime: int
    init_ts: int
    start_ts: int
    end_ts: int
    caller_socket: int
    callee_socket: int
    ka_failed: int
    ka_caller: int
    ka_callee: int
    call_id: str
    from_uri: str
    to_uri: str
    from_tag: str
    to_tag: str
    from_contact: str
    to_contact: str
    from_cseq: str
    to_cseq: str
    from_rs: str
    to_rs: str
    ruri: str
    toroute_name: str

    def __init__(
        self,
        fields: dict[str, Any],
        due: int,
        texts: dict[str, str],
        variables: dict[str, str],
        profiles: list[tuple[str, str]],
    ) -> None:
        self.__dict__.update(fields)
        self.__dict__.update(texts)
        self.due = due
        self.variables = variables
        self.profiles = profiles

    @property
    def ident(self) -> Ident:
        return self.entry, self.id

    def direction(self, from_tag: str, to_tag: str) -> int:
        """1 a message of the caller has these tags, 2 one of the callee, 0 another dialog's."""
        if not self.to_tag:
            return 1 if self.from_tag == from_tag else 2 if self.from_tag == to_tag else 0
        if (self.from_tag, self.to_tag) == (from_tag, to_tag):
            return 1
        return 2 if (self.from_tag, self.to_tag) == (to_tag, from_tag) else 0
