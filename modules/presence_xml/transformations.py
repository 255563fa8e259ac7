"""What of a presentity's document a watcher gets to see: the transformations of a presence rule (RFC 5025, 3.3).

As Kamailio has it: each `provide-...` of the rule is about one kind of elements, those that it does not name are taken
out, and kinds that no transformation is about are left. Nothing here knows a database.
"""

from __future__ import annotations

from typing import TypeAlias

from kamailio_py.log import get_logger
from kamailio_py.modules.presence_xml.tree import BadXml, Comment, Element, parse

log = get_logger("presence_xml")

PROVIDE = "provide-"
Node: TypeAlias = Element | str | Comment
LONGEST = 23
"""Characters of the kind that a transformation is about."""


def shown(body: str, rule: Element) -> str:
    """The document as the rule has it shown; "" where it is none."""
    transformations = next(rule.all("transformations"), None)
    if transformations is None:
        return body
    try:
        document = parse(body)
    except BadXml as error:
        log.err(f"while parsing the xml body message: {error}")
        return ""
    for one in transformations.elements:
        kind = one.local[len(PROVIDE) :]
        if len(kind) > LONGEST:
            log.info(f"unsupported handling of: {one.local}")
        elif kind:
            _provide(document.root, one, kind)
    return str(document)


def _provide(root: Element, transformation: Element, kind: str) -> None:
    """Take out of the document what one transformation does not let be seen."""
    name = "tuple" if kind.lower() == "services" else "person" if kind.startswith("person") else kind
    first = root.find(name)
    if first is None or first.parent is None:
        return
    answer = transformation.whole_text.lower()
    if answer == "true":
        return
    siblings = first.parent.children
    if answer == "false":
        siblings.remove(first)
        root.children[:] = [child for child in root.children if not _is(child, name)]
        return
    if next(transformation.all(f"all-{kind}"), None) is not None:
        return
    start = siblings.index(first)
    stop = next(
        (at for at in range(start, len(siblings)) if not isinstance(siblings[at], str) and not _is(siblings[at], name)),
        len(siblings),
    )
    siblings[start:stop] = [
        child
        for at, child in enumerate(siblings[start:stop], start)
        if not isinstance(child, Element) or _named(child, siblings[at:], transformation)
    ]


def _is(child: Node, name: str) -> bool:
    return isinstance(child, Element) and child.local.lower() == name.lower()


def _named(element: Element, on: list[Node], transformation: Element) -> bool:
    """Whether a transformation names the element: by its class, id, device, or where the service is reached.

    What the element itself does not say of these, those that follow it (`on`) say, for Kamailio.
    """
    contact = _content(on, "contact")
    known = {
        "class": _content(on, "class"),
        "deviceid": _content(on, "deviceID"),
        "occurence-id": element.attributes.get("id"),  # so written in Kamailio 5.6
        "service-uri": contact,
        "service-uri-scheme": contact.partition(":")[0] if contact is not None else None,
    }
    for wanted in transformation.elements:
        value = known.get(wanted.local.lower())
        if value is not None and value.lower() == wanted.whole_text.lower():
            return True
    return False


def _content(on: list[Node], name: str) -> str | None:
    found = (one if _is(one, name) else one.find(name) for one in on if isinstance(one, Element))
    first = next(filter(None, found), None)
    return first.whole_text if first is not None else None
