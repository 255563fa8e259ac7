"""blst: what a script does with the list of blocked destinations. It is the sender of the message that is meant.

The list itself is the core's (engine/blocklist.py), and only used with use_dst_blocklist=yes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py.config.arguments import INT
from kamailio_py.engine.blocklist import PROHIBITED
from kamailio_py.log import get_logger
from kamailio_py.module import Module, function
from kamailio_py.sip.endpoint import Destination

if TYPE_CHECKING:
    from kamailio_py.script.context import Context

log = get_logger("blst")

ALL = 0xFF
"""Every reason for which a destination may be listed."""


class Blst(Module):
    """Blocked destinations."""

    name = "blst"

    @function("blst_add")
    @function("blst_add", INT)
    def blst_add(self, ctx: Context, seconds: int = 0) -> int:
        """List the sender, for dst_blocklist_expire seconds if no time is given."""
        if self._enabled():
            self._add(ctx, seconds)
        return 1

    @function("blst_add_retry_after", INT)
    @function("blst_add_retry_after", INT, INT)
    def blst_add_retry_after(self, ctx: Context, least: int, most: int = 0) -> int:
        """List the sender for as long as its Retry-After says, within limits; -1 where there is none."""
        if not self._enabled():
            return 1
        seconds = ctx.msg.retry_after
        if seconds is None:
            return -1
        seconds = min(max(seconds, least), most)
        if seconds:
            self._add(ctx, seconds)
        return 1

    @function("blst_del")
    def blst_del(self, ctx: Context) -> int:
        """Take the sender off the list."""
        return 1 if self._enabled() and self.core.blocklist.remove(self._sender(ctx)) else -1

    @function("blst_is_blocklisted")
    def blst_is_blocklisted(self, ctx: Context) -> int:
        return 1 if self._enabled() and self.core.blocklist.holds(self._sender(ctx)) else -1

    @function("blst_set_ignore")
    @function("blst_set_ignore", INT)
    def blst_set_ignore(self, ctx: Context, reasons: int = ALL) -> int:
        """Do not list where this message is forwarded to for these reasons (bits)."""
        ctx.msg.blst_ignored |= reasons & ALL
        return 1

    @function("blst_clear_ignore")
    @function("blst_clear_ignore", INT)
    def blst_clear_ignore(self, ctx: Context, reasons: int = ALL) -> int:
        ctx.msg.blst_ignored &= ~reasons
        return 1

    @function("blst_rpl_set_ignore")
    @function("blst_rpl_set_ignore", INT)
    def blst_rpl_set_ignore(self, ctx: Context, reasons: int = ALL) -> int:
        """The same for where replies to this message go."""
        ctx.msg.reply_blst_ignored |= reasons & ALL
        return 1

    @function("blst_rpl_clear_ignore")
    @function("blst_rpl_clear_ignore", INT)
    def blst_rpl_clear_ignore(self, ctx: Context, reasons: int = ALL) -> int:
        ctx.msg.reply_blst_ignored &= ~reasons
        return 1

    def _enabled(self) -> bool:
        if not self.core.blocklist.enabled:
            log.warn("blocklist support disabled")
        return self.core.blocklist.enabled

    def _add(self, ctx: Context, seconds: int) -> None:
        sender = self._sender(ctx)
        self.core.blocklist.add(sender.proto, sender.host, sender.port, PROHIBITED, seconds)

    def _sender(self, ctx: Context) -> Destination:
        msg = ctx.msg
        socket = msg.socket or self.core.sockets[0]
        return Destination(socket.proto, msg.src_ip, msg.src_port, socket)
