"""The presence_xml module: the event packages presence, presence.winfo and xcap-diff for the presence module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kamailio_py.config.arguments import STR
from kamailio_py.db.errors import DbError
from kamailio_py.log import get_logger
from kamailio_py.module import Module, ModuleError, Param, function
from kamailio_py.modules.presence.events import Decision, Event, Status
from kamailio_py.modules.presence_xml import pidf
from kamailio_py.modules.presence_xml.rules import Rules
from kamailio_py.modules.presence_xml.tree import BadXml, parse
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.uri import Uri

if TYPE_CHECKING:
    from kamailio_py.script.context import Context

log = get_logger("presence_xml")

VERSION = 4
BAD_BODY = 415, "Unsupported media type"


class PresenceXml(Module):
    """Presence documents."""

    name = "presence_xml"
    requires = ("presence",)

    db_url = Param(str, "mysql://kamailio:kamailiorw@localhost/kamailio")
    xcap_table = Param(str, "xcap")
    force_active = Param(int, 0)
    integrated_xcap_server = Param(int, 0)
    xcap_server = Param(str, unused="rules of other servers need the xcap_client module, which is not here yet")
    disable_presence = Param(int, 0)
    disable_winfo = Param(int, 0)
    disable_bla = Param(int, 1)
    disable_xcapdiff = Param(int, 0)
    passive_mode = Param(int, 0)
    xcapauth_userdel_reason = Param(str, "probation")
    force_dummy_presence = Param(int, 0)
    force_presence_single_body = Param(int, 0)
    presence_single_body_priorities = Param(str, "Available|Ringing|On the Phone")
    presence_single_body_lookup_element = Param(str, "note")
    default_expires = Param(int, 3600)

    def mod_init(self) -> None:
        core = self.core
        presence = core.module("presence")
        if presence is None:
            raise ModuleError("can't bind presence")
        self._api = presence.api
        if self.passive_mode:
            return
        rules = None
        if not self.force_active:
            if not self.integrated_xcap_server:
                raise ModuleError("can't bind xcap_client (integrated_xcap_server is not set)")
            db = core.db(self.db_url)
            db.check_version(self.xcap_table, VERSION)
            rules = Rules(db, self.xcap_table, core.clock.now, self._sphere if self._api.sphere_check else None)
        add = presence.api.add_event
        if not self.disable_presence:
            add(
                Event(
                    "presence", "application/pidf+xml", self.default_expires, watched=not self.disable_winfo,
                    publish=good, aggregate=self._aggregate, offline=pidf.offline,
                    authorize=rules.decide if rules is not None else everybody,
                    has_rules=rules.exist if rules is not None else None,
                    show=rules.show if rules is not None else None, forgotten=self.xcapauth_userdel_reason,
                )
            )  # fmt: skip
        if not self.disable_bla:
            add(Event("dialog;sla", "application/dialog-info+xml", self.default_expires))
        if not self.disable_xcapdiff:
            add(Event("xcap-diff", "application/xcap-diff+xml", self.default_expires))

    def _sphere(self, user: str, domain: str) -> str | None:
        """Where somebody is, of what was published last."""
        try:
            bodies = self._api.bodies(user, domain, "presence")
        except DbError:
            return None
        return pidf.sphere(bodies[-1]) if bodies else None

    def _aggregate(self, user: str, domain: str, bodies: Sequence[str]) -> str:
        if not bodies:
            return pidf.dummy(user) if self.force_dummy_presence else ""
        if self.force_presence_single_body:
            priorities, element = self.presence_single_body_priorities, self.presence_single_body_lookup_element
            return pidf.foremost(bodies, priorities, element)
        return pidf.aggregate(bodies)

    @function("pres_check_basic", STR, STR)
    def pres_check_basic(self, ctx: Context, presentity: str, status: str) -> int:
        """Whether a tuple of the presentity has this basic status; -1 if not."""
        return self._check(presentity, pidf.basics, status)

    @function("pres_check_activities", STR, STR)
    def pres_check_activities(self, ctx: Context, presentity: str, activity: str) -> int:
        """Whether the presentity's person has this activity; -1 if not."""
        return self._check(presentity, pidf.activities, activity)

    def _check(self, presentity: str, read: Callable[[str], list[str]], wanted: str) -> int:
        try:
            uri = Uri.parse(presentity)
            bodies = self._api.bodies(uri.user, uri.host, "presence")
        except (BadMessage, DbError):
            log.err("error parsing presentity URI or getting its state")
            return -1
        for body in bodies:
            try:
                if wanted in read(body):
                    return 1
            except BadXml:
                continue
        return -1


def good(body: str) -> tuple[int, str] | None:
    """Whether a body of PUBLISH is XML at all."""
    try:
        parse(body)
    except BadXml as error:
        log.err(f"bad body format: {error}")
        return BAD_BODY
    return None


def everybody(user: str, domain: str, watcher: str, watcher_domain: str) -> Decision:
    return Decision(Status.ACTIVE)
