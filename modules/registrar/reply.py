"""The reply to a REGISTER: the contacts that are registered, and why it was refused.

As in Kamailio what the last save() of a process found stands here until a reply is sent, by save() itself or, after
one that was told not to, by reg_send_reply().
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from kamailio_py.log import get_logger
from kamailio_py.modules.registrar.refusals import REASONS, Refusal
from kamailio_py.modules.registrar.settings import OUTBOUND_NONE, OUTBOUND_REQUIRED, PATH_OFF, PATH_STRICT
from kamailio_py.sip.errors import BadUri
from kamailio_py.sip.uri import Uri

if TYPE_CHECKING:
    from kamailio_py.modules.registrar import Registrar
    from kamailio_py.modules.registrar.request import Register
    from kamailio_py.modules.usrloc.contact import Contact
    from kamailio_py.script.context import Context

log = get_logger("registrar")


class Reply:
    """See the head of the file."""

    def __init__(self, module: Registrar) -> None:
        self.module = module
        self.refusal = Refusal.FINE
        self.contact_header = ""
        self.register: Register | None = None

    def begin(self) -> None:
        """A new REGISTER: forget the one before."""
        self.refusal = Refusal.FINE
        self.contact_header = ""
        self.register = None

    def show(
        self, ctx: Context, register: Register, aor: str, target: str, contacts: Iterable[Contact], now: int
    ) -> None:
        """Note the contacts that the reply will list; the URI `target` has the host of their public names."""
        module = self.module
        received_param = module.received_param
        values = []
        for contact in contacts:
            if not contact.valid(now):
                continue
            q = f";q={contact.q / 1000:g}" if contact.q >= 0 else ""
            value = f"<{contact.address}>{q};expires={contact.expires - now}"
            if contact.received and received_param:
                value += f';{received_param}="{contact.received}"'
            if contact.instance:
                if module.gruu_enabled == 1 and "gruu" in register.supported:
                    value += self._gruu(aor, target, contact)
                value += f';+sip.instance="{contact.instance}"'
            if contact.reg_id > 0:
                value += f";reg-id={contact.reg_id}"
            values.append(value)
            module.show_record(ctx, contact, now)
        self.contact_header = f"Contact: {', '.join(values)}\r\n" if values else ""

    def _gruu(self, aor: str, target: str, contact: Contact) -> str:
        """pub-gruu, which names the instance, and temp-gruu, which hides who it is (RFC 5627)."""
        try:
            host = Uri.parse(target).host
        except BadUri:
            return ""
        instance = contact.instance
        if instance[0] == "<" and instance[-1] == ">":
            instance = instance[1:-1]
        public = aor if "@" in aor else f"{aor}@{host}"
        digits = f"{self.module.usrloc.aor_hash(aor):x}"[::-1]
        return f';pub-gruu="sip:{public};gr={instance}";temp-gruu="sip:{contact.ruid}-{digits}@{host};gr"'

    def prepare(self, ctx: Context) -> int:
        """Put the headers of the reply into the message; the reply's status."""
        headers = ctx.msg.reply_headers
        if self.contact_header:
            headers.append(self.contact_header)
            self.contact_header = ""
        module = self.module
        match self.refusal:
            case Refusal.FINE:
                if module.use_path:
                    self._path(ctx, headers)
                if module.outbound_mode != OUTBOUND_NONE:
                    self._outbound(headers)
            case Refusal.OUTBOUND_UNSUPPORTED:
                headers += ["Require: outbound\r\n", "Supported: outbound\r\n"]
            case Refusal.OUTBOUND_REQUIRED:
                headers.append("Unsupported: outbound\r\n")
            case Refusal.LOW_EXPIRES:
                headers.append(f"Min-Expires: {module.min_expires}\r\n")
        status = self.refusal.status
        if status != 200:
            headers.append(f"P-Registrar-Error: {self.refusal.text}\r\n")
            if status >= 500 and module.retry_after:
                headers.append(f"Retry-After: {module.retry_after}\r\n")
        return status

    def _is_supported(self, tag: str) -> bool:
        return self.register is not None and tag in self.register.supported

    def _path(self, ctx: Context, headers: list[str]) -> None:
        module, path = self.module, ctx.msg.path
        if not path or module.path_mode == PATH_OFF:
            return
        if self._is_supported("path"):
            headers.append(f"Path: {path}\r\n")
        elif module.path_mode == PATH_STRICT:
            self.refusal = Refusal.PATH_UNSUPPORTED
            headers += ["Unsupported: path\r\n", f"Path: {path}\r\n"]

    def _outbound(self, headers: list[str]) -> None:
        mode = self.module.outbound_mode
        used = mode == OUTBOUND_REQUIRED or self._is_supported("outbound")
        used = used or (self.register is not None and "outbound" in self.register.required)
        if mode == OUTBOUND_REQUIRED:
            headers += ["Require: outbound\r\n", "Supported: outbound\r\n"]
        else:
            headers.append("Supported: outbound\r\n")
            if used:
                headers.append("Require: outbound\r\n")
        if used and self.module.flow_timer > 0:
            headers.append(f"Flow-Timer: {self.module.flow_timer}\r\n")

    def send(self, ctx: Context) -> bool:
        """Send the reply; whether that worked."""
        status = self.prepare(ctx)
        reason = REASONS[status]
        if self.module.sl.reply_either(ctx, status, reason) < 0:
            log.err(f"failed to send {status} {reason}")
            return False
        return True
