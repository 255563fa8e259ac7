"""Presence rules (RFC 5025) of the xcap table: may a watcher see a presentity, and what of it? Takes no lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from kamailio_py.db.database import Database
from kamailio_py.db.errors import DbError
from kamailio_py.db.values import Value
from kamailio_py.log import get_logger
from kamailio_py.modules.presence.events import Decision, Status
from kamailio_py.modules.presence_xml.transformations import shown
from kamailio_py.modules.presence_xml.tree import BadXml, Element, parse

log = get_logger("presence_xml")

PRES_RULES = 2
DECISIONS = {
    "block": Decision(Status.TERMINATED, "rejected"), "confirm": Decision(Status.PENDING),
    "polite-block": Decision(Status.ACTIVE, "polite-block"), "allow": Decision(Status.ACTIVE),
}  # fmt: skip


class Rules:
    """Documents by presentity."""

    def __init__(
        self, db: Database, table: str, now: Callable[[], float], sphere: Callable[[str, str], str | None] | None
    ) -> None:
        """`sphere` tells where a presentity (user, domain) is, None if that is not known; without it nobody asks."""
        self._db = db
        self._table = table
        self._now = now
        self._sphere = sphere

    def _document(self, user: str, domain: str) -> str:
        """ "" if there is none."""
        where: dict[str, Value] = {"username": user, "domain": domain, "doc_type": PRES_RULES}
        try:
            rows = self._db.query(self._table, ("doc",), where).rows
        except DbError:
            return ""
        if not rows:
            return ""
        text = rows[0][0]
        return text.decode("latin-1") if isinstance(text, bytes) else str(text or "")

    def exist(self, user: str, domain: str) -> bool:
        return bool(self._document(user, domain))

    def decide(self, user: str, domain: str, watcher: str, watcher_domain: str) -> Decision | None:
        """What the first rule that is for the watcher says; None if there is no such one."""
        rule = self._rule(user, domain, watcher, watcher_domain)
        handling = rule.find("sub-handling") if rule is not None else None
        return DECISIONS.get(handling.text.strip()) if handling is not None else None

    def show(self, user: str, domain: str, watcher: str, watcher_domain: str, body: str) -> str:
        """What the watcher sees of the presentity's document."""
        rule = self._rule(user, domain, watcher, watcher_domain)
        return shown(body, rule) if rule is not None else body

    def _rule(self, user: str, domain: str, watcher: str, watcher_domain: str) -> Element | None:
        """The first rule that is for the watcher."""
        text = self._document(user, domain)
        if not text:
            return None
        try:
            root = parse(text).root
        except BadXml as error:
            log.err(f"parsing xml file: {error}")
            return None
        uri = f"sip:{watcher}@{watcher_domain}"
        fit = (rule for rule in root.all("rule") if applies(rule, uri, watcher_domain))
        return next((rule for rule in fit if self._holds(rule, user, domain)), None)

    def _holds(self, rule: Element, user: str, domain: str) -> bool:
        """Whether a rule is for this moment and for where the presentity is."""
        validity = rule.find("validity")
        if validity is not None and not covers(validity, self._now()):
            return False
        wanted = rule.find("sphere")
        if wanted is None or self._sphere is None:
            return True
        sphere = self._sphere(user, domain)
        return sphere is None or sphere.lower() == wanted.whole_text.lower()


def applies(rule: Element, uri: str, domain: str) -> bool:
    """Whether a rule's identity names the watcher."""
    identity = rule.find("identity")
    if identity is None:
        return False
    if any(one.attributes.get("id") == uri for one in identity.all("one")):
        return True
    return any(
        many.attributes.get("domain", domain) == domain and not any(_excepted(many, uri, domain))
        for many in identity.all("many")
    )


def covers(validity: Element, now: float) -> bool:
    """Whether one of the times of a rule is now; one that cannot be read never is."""
    times = zip(validity.all("from"), validity.all("until"), strict=False)
    try:
        return any(_seconds(begin) <= now <= _seconds(end) for begin, end in times)
    except ValueError:
        return False


def _seconds(time: Element) -> float:
    return datetime.fromisoformat(time.text.strip()).timestamp()


def _excepted(many: Element, uri: str, domain: str) -> Iterator[bool]:
    for but in many.all("except"):
        yield but.attributes.get("id") == uri or but.attributes.get("domain") == domain
