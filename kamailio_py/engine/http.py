"""HTTP requests that came over the sockets of SIP, made into messages that the script and its functions understand.

What takes such requests (modules xhttp, xmlrpc) is a hook of core.not_sip. No lock, no socket.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kamailio_py.config.host import RouteType
from kamailio_py.module import ModuleError
from kamailio_py.script.context import Context
from kamailio_py.script.regex import compile_posix
from kamailio_py.sip.message import Message

if TYPE_CHECKING:
    from kamailio_py.config.program import Entry
    from kamailio_py.engine.core import Core


class Wanted:
    """Which requests a module takes, by its parameters url_match and url_skip."""

    def __init__(self, match: str | None, skip: str | None) -> None:
        self._match = _pattern("url_match", match)
        self._skip = _pattern("url_skip", skip)

    def __contains__(self, msg: Message) -> bool:
        if msg.version[:5].upper() != "HTTP/" or msg.socket is None:
            return False
        if self._skip is not None and self._skip.search(msg.ruri):
            return False
        return self._match is None or self._match.search(msg.ruri) is not None


def _pattern(name: str, text: str | None) -> re.Pattern[str] | None:
    try:
        return compile_posix(text) if text else None
    except ValueError:
        raise ModuleError(f"bad regular expression in {name} [{text}]") from None


def understood(msg: Message, uri: str = "") -> Message:
    """The request with a Via of its sender, which its answer goes back by, and with another URI where one is given."""
    first, end, rest = msg.text.partition("\n")
    if uri:
        first = f"{msg.method} {uri} {msg.version}\r"
    host = f"[{msg.src_ip}]" if ":" in msg.src_ip else msg.src_ip
    via = f"Via: SIP/2.0/{msg.proto.upper()} {host}:{msg.src_port}\r\n"
    known = Message(f"{first}{end}{via}{rest}", msg.src_ip, msg.src_port, msg.socket)
    known.id = msg.id
    known.connection = msg.connection
    known.is_proven = True  # its headers are not SIP's, whatever their names
    return known


def run(core: Core, entry: Entry, msg: Message) -> bool | None:
    """Run a block on the request as on one of SIP: whether it passed, None if it was not to be run at all."""
    ctx = Context(core, msg)
    for accept in core.pre_script:
        if not accept(ctx):
            return None
    passed = core.run(entry, ctx, RouteType.REQUEST) >= 0
    for finish in core.post_script:
        finish(ctx)
    return passed
