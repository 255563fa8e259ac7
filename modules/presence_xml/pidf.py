"""Presence documents (PIDF, RFC 3863): one out of several, and what is left of one that ended."""

from __future__ import annotations

from collections.abc import Sequence

from kamailio_py.log import get_logger
from kamailio_py.modules.presence import markup
from kamailio_py.modules.presence_xml.tree import BadXml, Document, Element, parse

log = get_logger("presence_xml")

NAMESPACE = "urn:ietf:params:xml:ns:pidf"
DUMMY = (
    '<?xml version="1.0" encoding="UTF-8"?><presence xmlns="{ns}" xmlns:dm="{ns}:data-model" xmlns:rpid="{ns}:rpid" '
    'xmlns:c="{ns}:cipid" entity="{user}"><tuple xmlns="{ns}" id="615293b33c62dec073e05d9421e9f48b">'
    '<status><basic>open</basic></status></tuple><note xmlns="{ns}">Available</note>'
    '<dm:person xmlns:dm="{ns}:data-model" xmlns:rpid="{ns}:rpid" id="1"><rpid:activities/>'
    "<dm:note>Available</dm:note></dm:person></presence>"
)


def dummy(user: str) -> str:
    """The document of somebody of whom nothing is known, as Kamailio invents it (force_dummy_presence)."""
    return str(parse(DUMMY.format(ns=NAMESPACE, user=markup.attribute(user))))


def foremost(bodies: Sequence[str], priorities: str, element: str) -> str:
    """The document whose element of this name has the content that stands last in `priorities`; the newest of several.

    "" if there is none.
    """
    documents = _parsed(bodies)
    if not documents:
        return ""
    best = documents.pop()
    current = _content(best, element)
    if priorities and element and current is not None:
        place = priorities.find(current)
        for document in reversed(documents):
            other = _content(document, element)
            if other is not None and other.lower() != current.lower() and priorities.find(other) > place:
                best, current, place = document, other, priorities.find(other)
    return str(best)


def _content(document: Document, name: str) -> str | None:
    found = document.root.find(name)
    return found.whole_text if found is not None else None


def _parsed(bodies: Sequence[str]) -> list[Document]:
    documents = []
    for body in bodies:
        try:
            documents.append(parse(body))
        except BadXml as error:
            log.err(f"while parsing xml body message: {error}")
    return documents


def aggregate(bodies: Sequence[str]) -> str:
    """The newest document with what the older ones have besides; "" if there is none.

    A document with a tuple that is there already adds nothing.
    """
    documents = _parsed(bodies)
    if not documents:
        return ""
    *older, newest = documents
    known = _ids(newest)
    for document in reversed(older):
        own = _ids(document)
        if own & known:
            continue
        known |= own
        for child in document.root.children:
            newest.root.children.append(child.copy(newest.root) if isinstance(child, Element) else child)
    return str(newest)


def _ids(document: Document) -> set[str | None]:
    """Ids of the tuples."""
    return {tuple_.attributes.get("id") for tuple_ in document.root.all("tuple")} - {None}


def offline(body: str) -> str:
    """A document with the first tuple only, closed; "" where there is nothing of that kind."""
    try:
        root = parse(body).root
    except BadXml:
        return ""
    tuple_ = root.find("tuple")
    status = tuple_.find("status") if tuple_ is not None else None
    if tuple_ is None or status is None or status.find("basic") is None:
        return ""
    left = _bare(root, None)
    kept = _bare(tuple_, left)
    inner = _bare(status, kept)
    prefix = status.name.rpartition(":")[0]
    basic = Element(f"{prefix}:basic" if prefix else "basic", {}, inner)
    basic.children.append("closed")
    for parent, child in ((inner, basic), (kept, inner), (left, kept)):
        parent.children.append(child)
    return str(Document(left))


def _bare(element: Element, parent: Element | None) -> Element:
    """The element without what is in it."""
    bare = Element(element.name, element.attributes, element.parent)
    made = bare.copy()
    made.parent = parent
    return made


def sphere(body: str) -> str | None:
    """Where the presentity says that it is (RFC 4480): an element with a prefix, without which Kamailio sees none."""
    if ":sphere" not in body:
        return None
    try:
        found = parse(body).root.find("sphere")
    except BadXml:
        return None
    return found.whole_text if found is not None else None


def basics(body: str) -> list[str]:
    """The basic status of each tuple."""
    root = parse(body).root
    found = (tuple_.find("basic") for tuple_ in root.all("tuple"))
    return [basic.text for basic in found if basic is not None]


def activities(body: str) -> list[str]:
    """Names of the person's activities (RFC 4480)."""
    person = parse(body).root.find("person")
    found = person.find("activities") if person is not None else None
    return [activity.local for activity in found.elements] if found is not None else []
