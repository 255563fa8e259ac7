"""CSeq numbers of requests to the callee where the server has answered challenges for the caller (track_cseq_updates).

A request with credentials is a new one for who asked for them, so its CSeq is one higher than the caller's, and so is
that of everything that follows in the dialog. By how much stands in the dialog's variable `cseq_diff`; the number that
the caller knows travels in the branch parameter of our Via (`.cs1`), by which replies get it back before anybody reads
them. No lock.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from kamailio_py.modules.dialog.record import Inner
from kamailio_py.sip.request import CSEQ_COOKIE

if TYPE_CHECKING:
    from kamailio_py.modules.dialog import Dialogs
    from kamailio_py.modules.dialog.record import View
    from kamailio_py.script.context import Context
    from kamailio_py.sip.message import Message

VARIABLE = "cseq_diff"

_COOKIE = re.compile(
    r"SIP/2\.0 [^\n]*\n(?:(?!via:|v:)[^\n]*\n)*?(?:via|v)[ \t]*:[^,\n]*?;branch=[^;,\s]*?"
    rf"(?P<cookie>{re.escape(CSEQ_COOKIE)}(?P<number>\d+))(?=[;,\s])",
    re.IGNORECASE,
)
_CSEQ = re.compile(r"(?<=\n)cseq[ \t]*:[ \t]*(?P<number>\d+)", re.IGNORECASE)


class CseqTracking:
    """See the head of the file."""

    def __init__(self, module: Dialogs) -> None:
        self.table = module.table
        self.current = module.tracking.current
        module.core.network_in.append(self._received)

    def authenticated(self, ctx: Context) -> None:
        """Credentials were put into a request: its CSeq is another one from now on."""
        view = self.current(ctx)
        msg = ctx.msg
        if view is None or view.direction(msg.from_.tag, msg.to.tag) != 1:
            return
        difference = self._difference(view) + 1
        self.table.set_variable(view.ident, VARIABLE, str(difference))
        self.table.set_bits(view.ident, "iflags", Inner.CSEQ_DIFF)
        msg.new_cseq = str(int(msg.cseq_number) + difference)

    def refresh(self, view: View, direction: int, msg: Message) -> None:
        """A request within: one to the callee goes on with the numbers that the callee knows."""
        difference = self._difference(view)
        if direction == 1 and difference:
            msg.new_cseq = str(int(msg.cseq_number) + difference)

    @staticmethod
    def _difference(view: View) -> int:
        text = view.variables.get(VARIABLE, "") if view.iflags & Inner.CSEQ_DIFF else ""
        return int(text) if text.isdecimal() else 0

    @staticmethod
    def _received(text: str, *where: Any) -> str:
        """Give a reply the CSeq that the request came with."""
        found = _COOKIE.match(text) if text[:8] == "SIP/2.0 " and CSEQ_COOKIE in text else None
        cseq = _CSEQ.search(text, 0) if found is not None else None
        if found is None or cseq is None or len(found["number"]) > len(cseq["number"]):
            return text
        number = found["number"].rjust(len(cseq["number"]))
        edits = [(found.span("cookie"), f";z={found['number']}"), (cseq.span("number"), number)]
        for (start, end), new in sorted(edits, reverse=True):
            text = text[:start] + new + text[end:]
        return text
