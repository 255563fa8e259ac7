"""The registrar module: REGISTER requests, and looking up those who are registered.

save.py works on the contacts of a request, reply.py answers it, lookup.py finds contacts, profiles.py is $ulc; the
contacts are usrloc's. What the last save() found stands in this process until it is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from kamailio_py.config.arguments import INT, RAW, STR, Fixup
from kamailio_py.config.host import RouteType
from kamailio_py.engine.unique_ids import UniqueIds
from kamailio_py.log import get_logger
from kamailio_py.module import ModuleError, PVarExport, function
from kamailio_py.modules.registrar.aor import AorRules
from kamailio_py.modules.registrar.lookup import Lookup
from kamailio_py.modules.registrar.profiles import EXPIRED, Profile, Profiles
from kamailio_py.modules.registrar.refusals import Refusal, Refused
from kamailio_py.modules.registrar.reply import Reply
from kamailio_py.modules.registrar.save import (
    ALL_FLAGS,
    IN_MEMORY,
    NO_REPLY,
    PREPARE_REPLY,
    Saving,
    replies_from,
)
from kamailio_py.modules.registrar.settings import OUTBOUND_NONE, PATH_OFF, Settings
from kamailio_py.modules.usrloc.domain import DB_ONLY
from kamailio_py.script.values import parse_int
from kamailio_py.sip.errors import BadMessage

if TYPE_CHECKING:
    from kamailio_py.modules.usrloc.contact import Contact
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import PVar

log = get_logger("registrar")

SAVING = RouteType.REQUEST | RouteType.FAILURE | RouteType.ONREPLY
LOOKING = RouteType.REQUEST | RouteType.FAILURE
DOMAIN = Fixup("domain", method="domain_named")
FLAGS = Fixup("flags", method="save_flags")
LONGEST_FLOW_TIMER = 999


class Registrar(Settings):
    """REGISTER requests and lookups."""

    name = "registrar"
    requires = ("usrloc", "sl")
    event_routes = ("usrloc:contact-expired",)
    statistics = ("accepted_regs", "rejected_regs")

    def __init__(self, core: Any) -> None:
        super().__init__(core)
        self.usrloc: Any = None  # usrloc's Api, set by mod_init
        self.rules = AorRules()
        self._profiles = Profiles()

    # when the config is read

    def domain_named(self, name: str) -> str:
        """A domain that a function works on; its table is loaded when the server starts."""
        usrloc = self.core.module("usrloc")
        if usrloc is None:
            raise ValueError("failed to register domain (loadmodule usrloc.so is missing)")
        usrloc.api.register(name)
        return name

    def save_flags(self, text: str) -> int:
        flags = parse_int(text)
        if flags is None or not 0 <= flags <= ALL_FLAGS:
            log.err(f"bad flags <{text}>")
            raise ValueError(f"bad flags <{text}>")
        usrloc = self.core.module("usrloc")
        if flags & IN_MEMORY and usrloc is not None and usrloc.db_mode == DB_ONLY:
            log.err("MEM flag set while using the DB_ONLY mode in USRLOC")
            raise ValueError("MEM flag set while using the DB_ONLY mode in USRLOC")
        return flags

    # life cycle

    def mod_init(self) -> None:
        core = self.core
        self.sl = core.module("sl")
        if self.sl is None:
            raise ModuleError("registrar: Cannot bind to SL API. Please load the SL module before loading this module.")
        usrloc = core.module("usrloc")
        if usrloc is None:
            raise ModuleError("registrar: Can't bind to the usrloc module. Please load it before this module.")
        self.usrloc = usrloc.api
        self.xavp_contact = usrloc.xavp_contact
        self.ruid = UniqueIds(core, "uloc")
        self.reply = Reply(self)
        self.finder = Lookup(self)
        self._received = self._received_variable()
        self._check()
        self.cfg_changed()
        self._accepted = core.statistic("registrar", "accepted_regs")
        self._rejected = core.statistic("registrar", "rejected_regs")
        if core.event_route("usrloc:contact-expired") is not None:
            self.usrloc.on("expire", self._contact_expired)

    def _received_variable(self) -> PVar | None:
        if not self.received_avp:
            return None
        try:
            variable = self.core.registry.pvar(self.received_avp, True)
        except ValueError:
            variable = None
        if variable is None or variable.name != "avp":
            raise ModuleError(f"registrar: malformed or non AVP {self.received_avp} AVP definition")
        return variable

    def _check(self) -> None:
        flag, named = self.sock_flag, self.sock_hdr_name is not None
        if flag != -1 and named and not self.sock_hdr_name:
            log.info("empty sock_hdr_name or sock_flag not set -> resetting")
            flag = -1
        elif flag != -1 and not named and not self.xavp_cfg:
            log.info("sock_flag defined but no sock_hdr_name or no reg_xavp_cfg -> resetting flag")
            flag = -1
        self.sock_bit = 1 << flag if flag >= 0 else 0
        if not 0 <= self.outbound_mode <= 2:
            raise ModuleError(
                "registrar: outbound_mode modparam must be 0 (not supported), 1 (supported), "
                "or 2 (supported and required)"
            )
        if not 0 <= self.regid_mode <= 1:
            raise ModuleError("registrar: regid_mode modparam must be 0 (use with outbound), 1 (use always)")
        timer = self.flow_timer
        if not 0 <= timer <= LONGEST_FLOW_TIMER or (timer and self.outbound_mode == OUTBOUND_NONE):
            raise ModuleError("registrar: bad value for flow_timer")

    def cfg_changed(self) -> None:
        self.rules = AorRules(self.usrloc.use_domain, bool(self.case_sensitive), self.realm_prefix or "")
        self.usrloc.case_sensitive = bool(self.case_sensitive)

    def child_init(self, rank: int) -> None:
        self.ruid.restart()

    # what the parts share

    def valid(self, contact: Contact, now: int) -> bool:
        """Whether lookup() may use a contact."""
        return bool(self.use_expired_contacts) or contact.valid(now)

    def received_uri(self, ctx: Context) -> str:
        """What the AVP of received_avp holds, "" if nothing."""
        value = self._received.get(ctx) if self._received is not None else None
        return value if isinstance(value, str) else ""

    def named_socket(self, ctx: Context) -> str:
        """Name of the socket that the header of sock_hdr_name or `$xavp(cfg=>socket)` tells of, "" if it is none."""
        if self.sock_hdr_name:
            text = ctx.msg.header(self.sock_hdr_name.lower()) or ""
        else:
            text = self.set_for_request(ctx, "socket", str) or ""
        if not text:
            return ""
        socket = self.usrloc.module.socket_of(text)
        if socket is None:
            log.err(f"non-local socket <{text}>")
        return str(socket) if socket is not None else ""

    def _contact_expired(self, domain: Any, aor: str, contact: Contact) -> None:
        """event_route[usrloc:contact-expired]"""
        self._profiles.known[EXPIRED] = Profile(domain.name, aor, [contact])
        self.core.run_event("usrloc:contact-expired")

    # functions

    @function("save", DOMAIN, routes=SAVING)
    @function("save", DOMAIN, FLAGS, routes=SAVING)
    def save(self, ctx: Context, domain: str, flags: int = 0) -> int:
        return self._save(ctx, domain, flags, "")

    @function("save", DOMAIN, FLAGS, STR, routes=SAVING)
    def save_uri(self, ctx: Context, domain: str, flags: int, uri: str) -> int:
        if not uri:
            log.err("invalid uri parameter")
            return -1
        return self._save(ctx, domain, flags, uri)

    def _save(self, ctx: Context, domain: str, flags: int, uri: str) -> int:
        reply, msg = self.reply, ctx.msg
        reply.begin()
        answers = replies_from(ctx.route_type) and not flags & NO_REPLY
        try:
            result = Saving(self, ctx, flags).save(self.usrloc.domain(domain), uri)
        except Refused as refused:
            reply.refusal = refused.refusal
            self.core.count(self._rejected)
            if answers and ctx.route_type is RouteType.REQUEST:
                reply.send(ctx)
            return -2 if refused.refusal is Refusal.TOO_MANY else -1
        self.core.count(self._accepted)
        if answers:
            if not reply.send(ctx):
                return -1
        elif flags & NO_REPLY and flags & PREPARE_REPLY:
            reply.prepare(ctx)
        if self.use_path and self.path_mode != PATH_OFF:
            msg.path = None
        return result

    @function("reg_send_reply", routes=LOOKING)
    def reg_send_reply(self, ctx: Context) -> int:
        """Answer as save() found that it should be."""
        return 1 if self.reply.send(ctx) else -1

    @function("lookup", DOMAIN, routes=LOOKING)
    def lookup(self, ctx: Context, domain: str) -> int:
        return self.finder.lookup(ctx, self.usrloc.domain(domain))

    @function("lookup", DOMAIN, STR, routes=LOOKING)
    def lookup_uri(self, ctx: Context, domain: str, uri: str) -> int:
        if not uri:
            log.err("invalid uri parameter")
            return -1
        return self.finder.lookup(ctx, self.usrloc.domain(domain), uri)

    @function("lookup_to_dset", DOMAIN, routes=LOOKING)
    def lookup_to_dset(self, ctx: Context, domain: str) -> int:
        return self.finder.lookup(ctx, self.usrloc.domain(domain), only_branches=True)

    @function("lookup_to_dset", DOMAIN, STR, routes=LOOKING)
    def lookup_to_dset_uri(self, ctx: Context, domain: str, uri: str) -> int:
        if not uri:
            log.err("invalid uri parameter")
            return -1
        return self.finder.lookup(ctx, self.usrloc.domain(domain), uri, only_branches=True)

    @function("lookup_branches", DOMAIN, routes=LOOKING)
    def lookup_branches(self, ctx: Context, domain: str) -> int:
        return self.finder.lookup_branches(ctx, self.usrloc.domain(domain))

    @function("registered", DOMAIN)
    def registered(self, ctx: Context, domain: str) -> int:
        return self.finder.registered(ctx, self.usrloc.domain(domain), "", 0, 0)

    @function("registered", DOMAIN, STR)
    @function("registered", DOMAIN, STR, INT)
    @function("registered", DOMAIN, STR, INT, INT)
    def registered_uri(self, ctx: Context, domain: str, uri: str, match: int = 0, action: int = 0) -> int:
        if not uri:
            log.err("invalid uri parameter")
            return -1
        return self.finder.registered(ctx, self.usrloc.domain(domain), uri, match, action)

    @function("unregister", DOMAIN, STR)
    def unregister(self, ctx: Context, domain: str, uri: str) -> int:
        """Remove all contacts of a URI."""
        if not uri:
            log.err("invalid uri parameter")
            return -1
        try:
            aor = self.rules.aor(uri)
        except Refused:
            log.err("failed to extract Address Of Record")
            return -1
        with self.usrloc.domain(domain).open(aor) as bindings:
            bindings.clear()
        if bindings.failed:
            log.err(f"error unregistering user [{aor}]")
            return -2
        return 1

    @function("unregister", DOMAIN, STR, STR)
    def unregister_ruid(self, ctx: Context, domain: str, uri: str, ruid: str) -> int:
        """Remove the contact with this id."""
        if not ruid:
            log.err("invalid ruid parameter")
            return -1
        where = self.usrloc.domain(domain)
        if not uri:
            return self._unregister_row(where, ruid)
        try:
            aor = self.rules.aor(uri)
        except Refused:
            log.err("failed to extract Address Of Record")
            return -1
        with where.open(aor) as bindings:
            contact = next((one for one in bindings.contacts if one.ruid == ruid), None)
            if contact is None:
                log.warn("AOR/Contact not found")
                return -3
            bindings.delete(contact)
        if bindings.failed:
            log.warn("could not delete contact")
            return -2
        return 1

    @staticmethod
    def _unregister_row(domain: Any, ruid: str) -> int:
        """Without a URI: only where contacts are in the database alone."""
        deleted = domain.delete_ruid(ruid)
        if deleted is None:
            log.err("could not delete contact")
            return -2
        if not deleted:
            log.warn("contact not found")
            return -3
        return 1

    @function("add_sock_hdr", STR, routes=RouteType.REQUEST)
    def add_sock_hdr(self, ctx: Context, name: str) -> int:
        """A header that names the socket the request came in on."""
        msg = ctx.msg
        if not name:
            log.err("invalid header name parameter")
            return -1
        try:
            msg.require_headers()
        except BadMessage:
            log.err("failed to parse message")
            return -1
        msg.lumps.insert(msg.headers_end, f"{name}: {msg.socket}\r\n")
        return 1

    @function("reg_fetch_contacts", DOMAIN, STR, RAW, routes=LOOKING)
    def reg_fetch_contacts(self, ctx: Context, domain: str, uri: str, profile: str) -> int:
        """Copy the contacts of a URI for $ulc(profile=>...)."""
        if not uri:
            log.err("invalid uri parameter")
            return -1
        self._profiles.known.pop(profile, None)
        try:
            aor = self.rules.aor(uri)
        except Refused:
            log.err("failed to extract Address Of Record")
            return -1
        contacts = self.usrloc.domain(domain).contacts(aor)
        if contacts is None:
            return -1
        self._profiles.known[profile] = Profile(domain, aor, contacts)
        return 1

    @function("reg_free_contacts", RAW, routes=LOOKING)
    def reg_free_contacts(self, ctx: Context, profile: str) -> int:
        self._profiles.known.pop(profile, None)
        return 1

    # what is exported

    def pvars(self) -> Iterable[PVarExport]:
        profiles = self._profiles
        yield PVarExport("ulc", profiles.ulc, profiles.set_ulc, inner=True)

    def computed_statistics(self) -> dict[str, Callable[[], int]]:
        return {
            "max_expires": lambda: self.max_expires,
            "max_contacts": lambda: self.max_contacts,
            "default_expire": lambda: self.default_expires,
            "default_expires_range": lambda: self.default_expires_range,
            "expires_range": lambda: self.expires_range,
        }
