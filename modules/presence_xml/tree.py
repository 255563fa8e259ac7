"""XML documents that are put together from others, written as libxml2 writes them. Texts are latin-1: bytes of UTF-8.

A document that declares a DTD is refused, so that nothing grows when it is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.parsers import expat

from kamailio_py.modules.presence import markup

DEEPEST = 64
_ENCODING = re.compile(r"""\s*<\?xml[^>]*encoding=["']([^"']+)["']""")


class BadXml(Exception):
    """The text is no XML document, or one that is not taken."""


class Element:
    """One element; its children are elements, texts, and comments."""

    __slots__ = ("attributes", "children", "name", "parent")

    def __init__(self, name: str, attributes: dict[str, str], parent: Element | None = None) -> None:
        self.name = name
        self.attributes = attributes
        self.parent = parent
        self.children: list[Element | str | Comment] = []

    @property
    def local(self) -> str:
        """The name without prefix."""
        return self.name.rpartition(":")[2]

    @property
    def elements(self) -> Iterator[Element]:
        return (child for child in self.children if isinstance(child, Element))

    def find(self, local: str) -> Element | None:
        """The first element of this name below, in the order of the document."""
        for child in self.elements:
            if child.local.lower() == local.lower():
                return child
            found = child.find(local)
            if found is not None:
                return found
        return None

    def all(self, local: str) -> Iterator[Element]:
        """Children of this name."""
        return (child for child in self.elements if child.local.lower() == local.lower())

    @property
    def text(self) -> str:
        return "".join(child for child in self.children if isinstance(child, str))

    @property
    def whole_text(self) -> str:
        """All text below."""
        parts = (child if isinstance(child, str) else child.whole_text
                 for child in self.children if not isinstance(child, Comment))  # fmt: skip
        return "".join(parts)

    def namespace(self, prefix: str) -> str | None:
        """What a prefix ("" is the default) stands for here."""
        key = f"xmlns:{prefix}" if prefix else "xmlns"
        at: Element | None = self
        while at is not None:
            if key in at.attributes:
                return at.attributes[key]
            at = at.parent
        return None

    def copy(self, parent: Element | None = None) -> Element:
        """The element with all below; what namespaces it has from outside are declared at its top."""
        made = self._copied(parent)
        for prefix in self._prefixes():
            key = f"xmlns:{prefix}" if prefix else "xmlns"
            meant = self.namespace(prefix)
            if meant is not None and key not in made.attributes:
                made.attributes = {**_declared(made.attributes), key: meant, **_others(made.attributes)}
        return made

    def _copied(self, parent: Element | None) -> Element:
        made = Element(self.name, dict(self.attributes), parent)
        made.children = [child._copied(made) if isinstance(child, Element) else child for child in self.children]
        return made

    def _prefixes(self) -> Iterator[str]:
        """Prefixes that are used and not declared within, as they come up."""
        names = [self.name, *(name for name in self.attributes if ":" in name and not name.startswith("xmlns"))]
        for name in names:
            prefix = name.rpartition(":")[0]
            if (f"xmlns:{prefix}" if prefix else "xmlns") not in self.attributes and prefix != "xml":
                yield prefix
        for child in self.elements:
            for prefix in child._prefixes():
                if (f"xmlns:{prefix}" if prefix else "xmlns") not in self.attributes:
                    yield prefix


class Comment:
    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def _declared(attributes: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in attributes.items() if name.startswith("xmlns")}


def _others(attributes: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in attributes.items() if not name.startswith("xmlns")}


class Document:
    """A root and the encoding that was declared, "" if none was."""

    def __init__(self, root: Element, encoding: str = "") -> None:
        self.root = root
        self.encoding = encoding

    def __str__(self) -> str:
        declared = f' encoding="{self.encoding}"' if self.encoding else ""
        text = f'<?xml version="1.0"{declared}?>\n{_written(self.root, 0, indent=True)}\n'
        return text if text.isascii() else _encoded(text, self.encoding)


def parse(text: str) -> Document:
    """The document; BadXml if there is none."""
    top: list[Element] = []
    stack: list[Element] = []
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.ordered_attributes = True

    def refuse(*_: object) -> None:
        raise BadXml("a DTD")

    def start(name: str, attributes: list[str]) -> None:
        if len(stack) == DEEPEST:
            raise BadXml("too deep")
        parent = stack[-1] if stack else None
        pairs = dict(zip(attributes[::2], map(_latin, attributes[1::2]), strict=True))
        made = Element(_latin(name), {**_declared(pairs), **_others(pairs)}, parent)
        (parent.children if parent is not None else top).append(made)
        stack.append(made)

    def data(text: str) -> None:
        stack[-1].children.append(_latin(text))

    def comment(text: str) -> None:
        if stack:
            stack[-1].children.append(Comment(_latin(text)))

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda name: stack.pop()
    parser.CharacterDataHandler = data
    parser.CommentHandler = comment
    try:
        parser.Parse(text.encode("latin-1"), True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise BadXml(str(error)) from None
    match = _ENCODING.match(text)
    return Document(top[0], match[1] if match else "")


def _encoded(text: str, encoding: str) -> str:
    """Bytes of UTF-8 as those of another encoding; without one all that is not ASCII is a reference."""
    if encoding.upper() in ("UTF-8", "UTF8"):
        return text
    characters = text.encode("latin-1").decode("utf-8", "replace")
    if encoding:
        try:
            return characters.encode(encoding, "xmlcharrefreplace").decode("latin-1")
        except LookupError:
            return text
    return "".join(one if one.isascii() else f"&#x{ord(one):X};" for one in characters)


def _latin(text: str) -> str:
    return text.encode("utf-8", "replace").decode("latin-1")


def _written(element: Element, depth: int, *, indent: bool) -> str:
    attributes = "".join(f' {name}="{markup.attribute(value)}"' for name, value in element.attributes.items())
    if not element.children:
        return f"<{element.name}{attributes}/>"
    indent = indent and not any(isinstance(child, str) for child in element.children)
    before = "\n" + "  " * (depth + 1) if indent else ""
    inside = "".join(before + _child(child, depth + 1, indent=indent) for child in element.children)
    after = "\n" + "  " * depth if indent else ""
    return f"<{element.name}{attributes}>{inside}{after}</{element.name}>"


def _child(child: Element | str | Comment, depth: int, *, indent: bool) -> str:
    if isinstance(child, Element):
        return _written(child, depth, indent=indent)
    if isinstance(child, Comment):
        return f"<!--{child.text}-->"
    return markup.text(child)
