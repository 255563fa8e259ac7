"""The request of a transaction as another process sees it: a Message that is parsed when somebody looks at it.

A route that only answers what it resumed never does. The text of such answers between status line and Server header,
the skeleton, is made when the request is suspended, where everything in it is at hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.message import Message
from kamailio_py.sip.reply import build_reply

if TYPE_CHECKING:
    from kamailio_py.modules.tm.transaction import Transaction

_TAIL = "Content-Length: 0\r\n\r\n"
_FIRST = "SIP/2.0 400 -\r\n"


class StoredRequest(Message):
    """What is not in the object yet is asked of `__getattr__`, which then fills it; no script has changed it."""

    _t: Transaction | None
    __new__ = object.__new__  # no slot is filled

    def __init__(self, t: Transaction, method: str) -> None:
        self._t = t
        self.is_request = True
        self.method = method

    def __getattr__(self, name: str) -> Any:
        t = self._t
        if t is None:
            return super().__getattr__(name)
        self._t = None
        self.fill()
        t.fill(self)
        return getattr(self, name)

    @property
    def untouched(self) -> bool:
        """Has nobody looked at it?"""
        return self._t is not None


def skeleton_of(msg: Message, tag: str) -> str:
    """What all replies to a request have between status line and Server header; "" if it is not the same for all.

    It holds for replies that carry the To-tag, so from 180 on.
    """
    if msg.version != "SIP/2.0" or msg.find("record-route") >= 0 or msg.reply_body or msg.added_headers:
        return ""
    try:
        return build_reply(msg, 400, "-", to_tag=tag)[len(_FIRST) : -len(_TAIL)]
    except BadMessage:
        return ""


def answer(code: int, reason: str, skeleton: str, server: str) -> str:
    """A reply made from a skeleton."""
    return f"SIP/2.0 {code} {reason}\r\n{skeleton}{server}{_TAIL}"
