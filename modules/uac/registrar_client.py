"""Registering with other registrars: the rounds of the timer process, what is sent, and what the answers change.

Answers come to tm's callback in whichever process. A record is changed under its lock, before something is sent and
after something came; nothing is sent while a lock is held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamailio_py.log import get_logger
from kamailio_py.modules.uac.auth import Credential, authorization, challenges
from kamailio_py.modules.uac.registration import State, read_answer, seconds
from kamailio_py.modules.uac.registrations import Head
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.message import Message

if TYPE_CHECKING:
    from kamailio_py.modules.tm.transaction import Transaction
    from kamailio_py.modules.uac import Uac
    from kamailio_py.modules.uac.registration import Registration
    from kamailio_py.modules.uac.registrations import Registrations

log = get_logger("uac")

CALLBACK = "uac.registered"


class Failed(Exception):
    """A registration did not work; the text is what is logged."""


class RegistrarClient:
    """See the head of the file."""

    def __init__(self, module: Uac, table: Registrations) -> None:
        self.module = module
        self.table = table
        self.core = module.core
        module.tm.callback(CALLBACK, self._answered)

    def now(self) -> int:
        return int(self.core.clock.now())

    # sending

    def round(self) -> None:
        """Register whatever is due."""
        module, table = self.module, self.table
        now, active = self.now(), bool(table.head(Head.active))
        due: list[str] = []

        def look(registration: Registration) -> None:
            if registration.is_due(now, module.reg_timer_interval, module.reg_retry_interval, active):
                due.append(registration.l_uuid)

        for uuid in [registration.l_uuid for registration in table]:
            table.change(uuid, look)
        for uuid in due:
            self.register(uuid, now)
        shifted = table.head(Head.shifted)
        if shifted and shifted < now - module.reg_gc_interval:
            table.reset_counters()  # as Kamailio does when it frees what was there before the reload

    def unregister(self, uuid: str) -> None:
        """Ask the registrar to forget us; from then on nothing is sent for this registration."""

        def never_again(registration: Registration) -> None:
            registration.expires = 0

        self.table.change(uuid, never_again)
        self.register(uuid, self.now())

    def register(self, uuid: str, now: int) -> bool:
        """Send a REGISTER; False if that was not possible."""
        call: list[bool] = []
        one = self.table.change(uuid, lambda registration: call.append(registration.begin(now)))
        if one is None:
            return False
        self.table.count(self.table.active, -1)
        kept = call[0] and bool(self.module.reg_keep_callid)
        if self._send(one, one.address, one.address, one.call_id if kept else "", one.cseq + 1 if kept else 10):
            return True
        log.err(f"failed to send request for [{uuid}]")
        self._failed(uuid)
        return False

    def _send(
        self, one: Registration, from_: str, to: str, call_id: str, cseq: int, tag: str = "", extra: str = ""
    ) -> bool:
        module = self.module
        sent = module.tm.request(
            "REGISTER",
            one.registrar,
            f"<{from_}>" + (f";tag={tag}" if tag else ""),
            f"<{to}>",
            headers=one.headers + extra,
            next_hop=one.auth_proxy,
            socket=module.socket_named(one.socket) or module.socket,
            call_id=call_id,
            cseq=cseq,
            callback=CALLBACK,
            data=one.l_uuid,
        )
        return sent is not None

    # answers

    def _answered(self, t: Transaction, code: int, reply: Message | None, uuid: Any) -> None:
        """The final reply to a REGISTER."""
        one = self.table.get(uuid)
        if one is None:
            log.dbg(f"no user with uuid {uuid}")
        else:
            try:
                if code in (401, 407):
                    assert reply is not None
                    self._authenticate(one, code, reply)
                    return
                self._take(one, code, reply)
            except (Failed, BadMessage) as error:
                log.err(str(error))
                self._failed(uuid)
        self.table.count(self.table.active, 1)

    def _take(self, one: Registration, code: int, reply: Message | None) -> None:
        """What a reply that is no challenge changes; BadMessage or Failed for others than 200 and 423."""
        if code == 200 and reply is not None:
            answer, keep = read_answer(reply, one.l_uuid), bool(self.module.reg_keep_callid)
            self.table.change(one.l_uuid, lambda registration: registration.succeed(answer, keep))
        elif code == 423 and reply is not None:
            least = seconds(reply, "min-expires")
            self.table.change(one.l_uuid, lambda registration: registration.stretch(least))
        else:
            raise Failed(f"got sip response {code} while registering [{one.l_uuid}]")

    def _authenticate(self, one: Registration, code: int, reply: Message) -> None:
        """Send the REGISTER again, with credentials."""
        if one.flags & State.AUTH_SENT:
            raise Failed(f"authentication failed for <{one.l_uuid}>")
        challenge = next(iter(challenges(reply)), None)
        if challenge is None:
            raise Failed("failed to extract authenticate hdr")
        realm = challenge.get("realm", "")
        if one.realm and one.realm != realm:
            raise Failed(f"realms do not match. requested realm: [{realm}]")
        credential = Credential(one.auth_username, realm, one.auth_ha1 or one.auth_password or "", bool(one.auth_ha1))
        line = authorization(code, challenge, credential, "REGISTER", one.registrar, "", self.module.cnonce())

        def credentials_sent(registration: Registration) -> None:
            registration.flags |= State.AUTH_SENT

        self.table.change(one.l_uuid, credentials_sent)
        from_ = reply.from_
        if not self._send(
            one, from_.uri, reply.to.uri, reply.call_id.strip(), int(reply.cseq_number) + 1, from_.tag, line
        ):  # fmt: skip
            raise Failed(f"failed to send request with authentication for [{one.l_uuid}]")

    def _failed(self, uuid: str) -> None:
        now, retry = self.now(), self.module.reg_retry_interval
        disabled: list[bool] = []
        self.table.change(uuid, lambda registration: disabled.append(registration.fail(now, retry)))
        if disabled and disabled[0]:
            self.table.count(self.table.disabled, 1)
