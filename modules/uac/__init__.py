"""The uac module: what a proxy does as a client: other From and To, answers to challenges, requests of its own.

replace     From and To
auth        challenges
remote      registrations with other registrars: parameters, functions, the process
registration, registrations, registration_rows    what one is, all of them in shared memory, and in the database
registrar_client, commands    what is sent and answered; RPC
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamailio_py.config.arguments import INT, STR
from kamailio_py.config.host import RouteType
from kamailio_py.config.without_effect import KEMI
from kamailio_py.log import get_logger
from kamailio_py.module import ModuleError, Param, function, pvar
from kamailio_py.modules.uac.auth import Credential, authorization, challenges, parse_credential
from kamailio_py.modules.uac.commands import Commands
from kamailio_py.modules.uac.replace import AUTO, MANUAL, NONE, Replacing
from kamailio_py.script.context import Context
from kamailio_py.sip.message import Message

if TYPE_CHECKING:
    from kamailio_py.modules.tm.transaction import Transaction
    from kamailio_py.script.pvars import Getter, Inner, PVar, Setter
    from kamailio_py.script.values import Value
    from kamailio_py.sip.endpoint import ListenSocket

log = get_logger("uac")

REPLACING = RouteType.REQUEST | RouteType.BRANCH
MODES = {None: AUTO, "none": NONE, "manual": MANUAL, "auto": AUTO}
_TEXTS = frozenset((
    "method", "ruri", "turi", "furi", "hdrs", "body", "ouri", "auser", "apasswd", "arealm", "callid", "sock", "ttag",
    "ftag",
))  # fmt: skip
_NUMBERS = frozenset(("evroute", "evcode", "evtype", "cseqno"))


class Uac(Commands):
    """What a proxy does as a client."""

    name = "uac"
    requires = ("tm",)
    event_routes = ("uac:reply",)

    rr_from_store_param = Param(str, "vsf")
    rr_to_store_param = Param(str, "vst")
    restore_mode = Param(str)
    restore_passwd = Param(str, "")
    restore_dlg = Param(int, 0)
    restore_from_avp = Param(str)
    restore_to_avp = Param(str)
    credential = Param(str, setter="add_credential")
    auth_realm_avp = Param(str)
    auth_username_avp = Param(str)
    auth_password_avp = Param(str)
    default_socket = Param(str)
    event_callback = Param(str, unused=KEMI)

    def __init__(self, core: Any) -> None:
        super().__init__(core)
        self._credentials: list[Credential] = []
        self._request: dict[str, Value] = {}

    def add_credential(self, text: str) -> None:
        """modparam credential."""
        self._credentials.append(parse_credential(text))

    def mod_init(self) -> None:
        core = self.core
        tm = core.module("tm")
        if tm is None:
            raise ModuleError("can't load TM API")
        self.tm = tm.api
        if self.restore_mode not in MODES:
            raise ModuleError(f"unsupported value '{self.restore_mode}' for restore_mode")
        mode = MODES[self.restore_mode]
        rr = core.module("rr")
        if mode != NONE and rr is None:
            raise ModuleError("can't load RR API")
        dialog = core.module("dialog")
        self._dialog = dialog.api if dialog is not None else None
        offered = self._dialog if mode == AUTO and self.restore_dlg else None
        if mode == AUTO and offered is None and not rr.append_fromtag:
            raise ModuleError("'append_fromtag' RR param is not enabled! - required by AUTO restore mode")
        names = {"from": self.rr_from_store_param, "to": self.rr_to_store_param}
        avps = {"from": self.restore_from_avp, "to": self.restore_to_avp}
        kept = {name: self._avp(text) for name, text in avps.items() if text and mode != NONE}
        self._replacing = Replacing(self.tm, rr, mode, names, self.restore_passwd, kept, offered)
        given = (self.auth_realm_avp, self.auth_username_avp, self.auth_password_avp)
        if any(given) and not all(given):
            raise ModuleError("partial definition of auth AVP!")
        try:
            self._avps = [core.registry.pvar(name, True) for name in given if name]
        except ValueError as error:
            raise ModuleError(f"malformed auth AVP: {error}") from None
        self.socket = self.socket_named(self.default_socket)
        if self.default_socket and self.socket is None:
            raise ModuleError(f"non-local socket <{self.default_socket}>")
        self.tm.callback("uac.sent", self._answered)
        self.init_remote()

    def _avp(self, text: str) -> PVar:
        """The AVP that a parameter names; ModuleError for others."""
        try:
            pvar = self.core.registry.pvar(text, True)
        except ValueError:
            pvar = None
        if pvar is None or pvar.name != "avp":
            raise ModuleError(f"malformed or non AVP {text} AVP definition")
        return pvar

    def socket_named(self, text: str | None) -> ListenSocket | None:
        return self.core.addresses.listening(text) if text else None

    # From and To

    @function("uac_replace_from", STR, routes=REPLACING)
    def uac_replace_from(self, ctx: Context, uri: str) -> int:
        return 1 if self._replacing.replace(ctx, "from", uri, None) else -1

    @function("uac_replace_from", STR, STR, routes=REPLACING)
    def uac_replace_from_display(self, ctx: Context, display: str, uri: str) -> int:
        return 1 if self._replacing.replace(ctx, "from", uri, display) else -1

    @function("uac_replace_to", STR, routes=REPLACING)
    def uac_replace_to(self, ctx: Context, uri: str) -> int:
        return 1 if self._replacing.replace(ctx, "to", uri, None) else -1

    @function("uac_replace_to", STR, STR, routes=REPLACING)
    def uac_replace_to_display(self, ctx: Context, display: str, uri: str) -> int:
        return 1 if self._replacing.replace(ctx, "to", uri, display) else -1

    @function("uac_restore_from", routes=RouteType.REQUEST)
    def uac_restore_from(self, ctx: Context) -> int:
        return 1 if self._replacing.restore(ctx, "from") else -1

    @function("uac_restore_to", routes=RouteType.REQUEST)
    def uac_restore_to(self, ctx: Context) -> int:
        return 1 if self._replacing.restore(ctx, "to") else -1

    # challenges

    @function("uac_auth", routes=RouteType.FAILURE)
    @function("uac_auth", INT, routes=RouteType.FAILURE)
    @function("uac_auth_mode", INT, routes=RouteType.FAILURE)
    def uac_auth(self, ctx: Context, mode: int = 0) -> int:
        """Put the answer to the challenge of the failed branch into the request; mode 1: the password is an HA1."""
        t = ctx.t
        reply = t.reply_msg if t is not None else None
        if t is None or reply is None or reply.status not in (401, 407):
            log.err("no reply with a challenge to answer")
            return -1
        for challenge in challenges(reply):
            credential = self._credential(ctx, challenge.get("realm", ""), mode)
            if credential is None:
                continue
            notes = t.branch_notes(ctx.branch)
            uri = notes.get("uri") or ctx.msg.uri
            line = authorization(
                reply.status, challenge, credential, ctx.msg.method, uri, ctx.msg.body, self.cnonce()
            )  # fmt: skip
            ctx.msg.lumps.insert(ctx.msg.headers_end, line)
            # t_relay() is to send it where the challenge came from
            ctx.msg.new_uri, ctx.msg.dst_uri = uri, notes.get("dst_uri") or ctx.msg.dst_uri
            if self._dialog is not None:
                self._dialog.authenticated(ctx)
            return 1
        log.dbg("no credential for any challenge")
        return -1

    def cnonce(self) -> str:
        return f"{self.core.random.getrandbits(32):08x}"

    def _credential(self, ctx: Context, realm: str, mode: int) -> Credential | None:
        """Of the AVPs if they are for the realm (or for any), else of the parameter."""
        if self._avps:
            wanted, user, password = (pv.get(ctx) for pv in self._avps)
            if user and password is not None and wanted in (None, "", realm):
                return Credential(str(user), realm, str(password), mode & 1 == 1)
        for one in self._credentials:
            if one.realm == realm:
                return one._replace(hashed=mode & 1 == 1)
        return None

    # requests of the script's own

    @pvar("uac_req", setter="set_uac_req")
    def uac_req(self, inner: Inner) -> Getter:
        """$uac_req(name): what uac_req_send() sends, and in event_route[uac:reply] how it was answered."""
        name = self._name(inner)
        return lambda ctx: self._request.get(name) if name in _TEXTS else self._request.get(name, 0)

    def set_uac_req(self, inner: Inner) -> Setter:
        name = self._name(inner)

        def set(ctx: Context, value: Value) -> bool:
            if name == "all":
                self._request = {}
                return True
            if value is not None and isinstance(value, str) is not (name in _TEXTS):
                log.err(f"invalid type of value for $uac_req({name})")
                return False
            if value is None or value == "":
                self._request.pop(name, None)
            else:
                self._request[name] = value
            return True

        return set

    @staticmethod
    def _name(inner: Inner) -> str:
        if inner.text not in _TEXTS and inner.text not in _NUMBERS and inner.text != "all":
            raise ValueError(f'pvar "uac_req" has an invalid name param [{inner.text}]')
        return inner.text

    @function("uac_req_send")
    def uac_req_send(self, ctx: Context) -> int:
        """Send the request that $uac_req(...) describes."""
        what = dict(self._request)
        if not what.get("ruri") or not what.get("furi") or not what.get("method"):
            log.err("method, ruri or furi of the request is missing")
            return -1
        what.setdefault("turi", what["ruri"])
        return 1 if self._send(what, 10 if "cseqno" not in what else int(what["cseqno"] or 0)) else -1

    def _send(self, what: dict[str, Any], cseq: int, extra: str = "") -> bool:
        needed = what.get("evroute") or what.get("auser")
        from_ = f"<{what['furi']}>" + (f";tag={what['ftag']}" if what.get("ftag") else "")
        sent = self.tm.request(
            what["method"],
            what["ruri"],
            from_,
            f"<{what['turi']}>" + (f";tag={what['ttag']}" if what.get("ttag") else ""),
            headers=(what.get("hdrs") or "") + extra,
            body=what.get("body") or "",
            next_hop=what.get("ouri") or "",
            socket=self.socket_named(what.get("sock")) or self.socket,
            call_id=what.get("callid") or "",
            cseq=cseq,
            callback="uac.sent" if needed else "",
            data=(what, cseq, bool(extra)),
        )
        return sent is not None

    def _answered(self, t: Transaction, code: int, reply: Message | None, data: Any) -> None:
        """A request of the script's own was answered: tell the script, answer a challenge."""
        what, cseq, answered = data
        self._tell(what, code, reply)
        if code not in (401, 407) or answered or reply is None or not what.get("auser"):
            return
        for challenge in challenges(reply):
            if what.get("arealm") and what["arealm"] != challenge.get("realm"):
                continue
            credential = Credential(what["auser"], challenge.get("realm", ""), what.get("apasswd") or "")
            line = authorization(
                code, challenge, credential, what["method"], what["ruri"], what.get("body") or "", self.cnonce()
            )  # fmt: skip
            again = dict(what, callid=Message(t.text()).call_id, ftag=reply.from_.tag)
            if not self._send(again, cseq + 1, line):
                log.err("failed to send the request with credentials")
            return

    def _tell(self, what: dict[str, Any], code: int, reply: Message | None) -> None:
        """event_route[uac:reply], on the reply or on a faked message."""
        entry = self.core.event_route("uac:reply")
        if entry is None or not what.get("evroute"):
            return
        before, self._request = self._request, {**what, "evcode": code, "evtype": 1 if reply is not None else 2}
        ctx = Context(self.core, reply if reply is not None else self.core.faked_message())
        self.core.run(entry, ctx, RouteType.LOCAL)
        self._request = before
