"""What other modules may do with dialogs: `core.module("dialog").api`.

api.on("confirmed", fn)      # fn(view, msg, ctx): one of EVENTS, in the process where it happens; before forking
view = api.current(ctx)      # a copy of the dialog of this run, or None
api.set_variable(view.ident, "name", "value")
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kamailio_py.script.context import Context

if TYPE_CHECKING:
    from kamailio_py.modules.dialog import Dialogs
    from kamailio_py.modules.dialog.record import Ident, View
    from kamailio_py.sip.message import Message

    Listener = Callable[[View, Message | None, Context | None], Any]

EVENTS = (
    "created",  # of an initial INVITE
    "spiraled",  # the INVITE passed once more
    "early",  # a provisional reply
    "confirmed_na",  # answered
    "confirmed",  # the ACK came
    "failed",  # answered negatively, or not at all
    "within",  # a request within, neither ACK nor BYE
    "terminated",  # ended by a BYE
    "expired",  # ended by the timeout
)


class Api:
    """See the head of the file."""

    def __init__(self, module: Dialogs) -> None:
        self.module = module
        self._listeners: dict[str, list[Listener]] = {name: [] for name in EVENTS}

    def on(self, event: str, fn: Listener) -> None:
        """Have `fn` called with a copy of the dialog, the message and the run that work on it, None for none.

        Before forking.
        """
        if event not in EVENTS:
            raise ValueError(f"dialog has no event {event}")
        self._listeners[event].append(fn)

    def run(self, event: str, view: View, msg: Message | None, ctx: Context | None = None) -> None:
        """Tell those who registered."""
        for listener in self._listeners[event]:
            listener(view, msg, ctx)

    def current(self, ctx: Context) -> View | None:
        """A copy of the dialog of this run."""
        return self.module.tracking.current(ctx)

    def context(self, view: View, msg: Message | None) -> Context:
        """A context whose dialog this is, on the message or a faked one; for variables, not for routes."""
        core = self.module.core
        ctx = Context(core, msg if msg is not None else core.faked_message())
        self.module.tracking.notes(ctx).ident = view.ident
        return ctx

    def get(self, ident: Ident) -> View | None:
        return self.module.table.get(ident)

    def set_variable(self, ident: Ident, name: str, value: str | None) -> bool:
        """Set a variable of a dialog, or remove it (None)."""
        return self.module.table.set_variable(ident, name, value)

    def authenticated(self, ctx: Context) -> None:
        """Credentials were put into the request of this run, for who is called."""
        if self.module.cseq is not None:
            self.module.cseq.authenticated(ctx)

    def terminate(self, view: View, headers: str = "") -> bool:
        """End a dialog with BYEs to both sides; `headers` are complete lines."""
        return self.module.requests.bye(view, headers=headers)
