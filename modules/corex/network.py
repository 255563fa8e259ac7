"""event_route[network:msg]: what comes from the network and what goes to it, as text that a script may replace.

The route sees the text as $mb and puts another one into the AVP of `nio_msg_avp`. It has no say about the message's
being processed: dropping it is ignored, an empty text that goes out is not sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.config.host import RouteType
from kamailio_py.log import get_logger
from kamailio_py.script.context import Context
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.message import Message

if TYPE_CHECKING:
    from kamailio_py.config.program import Entry
    from kamailio_py.engine.core import Core
    from kamailio_py.script.pvars import PVar
    from kamailio_py.sip.endpoint import Destination, ListenSocket

log = get_logger("corex")


class Interceptor:
    """Runs the event route; `incoming` tells which way the text goes."""

    def __init__(self, core: Core, entry: Entry, shortest: int, target: PVar | None) -> None:
        self.core = core
        self.incoming = False
        self._entry = entry
        self._shortest = shortest
        self._target = target

    def received(self, text: str, host: str, port: int, socket: ListenSocket) -> str:
        self.incoming = True
        try:
            return self._run(text)
        finally:
            self.incoming = False

    def intercept_sender(self) -> None:
        """Have everything that is sent go through the route first; once, before forking."""
        send = self.core.sender

        def sender(data: bytes, destination: Destination) -> bool:
            text = self._run(data.decode("latin-1"))
            return not text or send(text.encode("latin-1"), destination)

        self.core.sender = sender

    def _run(self, text: str) -> str:
        """The text that the route leaves."""
        if len(text) < self._shortest:
            return text
        try:
            msg = Message(text)
        except BadMessage:
            msg = self.core.faked_message()
            msg.text = text
        ctx = Context(self.core, msg)
        self.core.run(self._entry, ctx, RouteType.REQUEST)
        if self._target is None:
            return text
        value = self._target.get(ctx)
        if value is None:
            log.warn(f"no value set for AVP {self._target.text}, using unmodified message")
            return text
        return str(value)
