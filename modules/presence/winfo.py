"""Watcher information (RFC 3858): who is subscribed to a presentity, as the body for those who watch that."""

from __future__ import annotations

from collections.abc import Iterable

from kamailio_py.modules.presence.events import Status
from kamailio_py.modules.presence.markup import attribute, text
from kamailio_py.modules.presence.subscription import Subscription

NAMES = {Status.ACTIVE: "active", Status.PENDING: "pending", Status.TERMINATED: "terminated", Status.WAITING: "waiting"}


def body(presentity: str, package: str, version: int, watchers: Iterable[Subscription], *, full: bool) -> str:
    """The document, laid out as Kamailio's; `full` has all watchers, otherwise what changed."""
    listed = "".join(
        f'    <watcher id="{attribute(s.callid)}" event="subscribe" status="{NAMES[Status(s.status)]}">'
        f"{text(s.watcher)}</watcher>\n"
        for s in watchers
    )
    head = f'  <watcher-list resource="{attribute(presentity)}" package="{attribute(package)}"'
    inside = f"{head}>\n{listed}  </watcher-list>\n" if listed else f"{head}/>\n"
    state = "full" if full else "partial"
    return (
        '<?xml version="1.0"?>\n<watcherinfo xmlns="urn:ietf:params:xml:ns:watcherinfo" '
        f'version="{version}" state="{state}">\n{inside}</watcherinfo>\n'
    )
