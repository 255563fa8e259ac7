"""XML-RPC documents: reading requests, as leniently as Kamailio does, and writing answers, byte for byte like it.

Texts are latin-1 as everywhere in this server: UTF-8 is passed on as its bytes. A document that declares entities or
refers to a DTD is none, so nothing grows when it is read. Knows no RPC command.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from kamailio_py.rpc.values import Members, Struct

HEAD = '<?xml version="1.0"?>\n<methodResponse>\n'
END = "\n"
DEEPEST = 64


class BadDocument(Exception):
    """The text is no XML document, or one that is not taken."""


class BadRequest(Exception):
    """The document is no request; the text is Kamailio's."""


class Request:
    """The method's name and its arguments."""

    def __init__(self, method: str, arguments: list[Any]) -> None:
        self.method = method
        self.arguments = arguments


class _Reader:
    """Builds the tree of a document."""

    def __init__(self) -> None:
        self._tree = TreeBuilder()
        self._depth = 0
        self._parser = parser = expat.ParserCreate()
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._tree.data

    def _refuse(self, *declared: Any) -> None:
        raise BadDocument("a DTD")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise BadDocument("too deep")
        self._tree.start(tag, attributes)

    def _end(self, tag: str) -> None:
        self._depth -= 1
        self._tree.end(tag)

    def read(self, data: bytes) -> Element:
        try:
            self._parser.Parse(data, True)
        except expat.ExpatError as error:
            raise BadDocument(str(error)) from None
        except (ValueError, LookupError) as error:  # an encoding nobody knows
            raise BadDocument(str(error)) from None
        found: Element = self._tree.close()
        return found


def read(data: bytes) -> Request:
    """The request in a document; BadDocument or BadRequest if there is none."""
    root = _Reader().read(data)
    if root.tag != "methodCall":
        raise BadRequest("Root Element Is Not methodCall")
    name = root.find("methodName")
    if name is None:
        raise BadRequest("Method Name Not Found")
    method = _text(name)
    if not method:
        raise BadRequest("Cannot Extract Method Name")
    return Request(method, [_value(value) for value in root.findall("params/param/value")])


def _text(element: Element) -> str:
    return (element.text or "").encode("utf-8", "surrogateescape").decode("latin-1")


class Unreadable:
    """An argument whose type nobody takes."""


def _value(value: Element) -> Any:
    """int, bool, float, str, dict, list, or Unreadable."""
    inner = next(iter(value), None)
    if inner is None:
        return _text(value) if value.text else Unreadable()
    text = _text(inner).strip()
    try:
        match inner.tag:
            case "string":
                return _text(inner)
            case "i4" | "int":
                return int(text)
            case "boolean":
                return bool(int(text))
            case "double":
                return Double(text)
            case "struct":
                members = [(member.find("name"), member.find("value")) for member in inner.findall("member")]
                return {_text(name): _value(one) for name, one in members if name is not None and one is not None}
            case "array":
                return [_value(one) for one in inner.findall("data/value")]
    except ValueError:
        pass
    return Unreadable()


class Double(float):
    """A double as it was written, which is what it is as a text."""

    def __new__(cls, text: str) -> Double:
        made = super().__new__(cls, text)
        made.text = text
        return made

    text: str


class Writer:
    """Writes answers; with `escape_cr` a carriage return is a reference, with `double_lf` two line feeds are CRLF."""

    def __init__(self, escape_cr: bool, double_lf: bool) -> None:
        self._escape_cr = escape_cr
        self._double_lf = double_lf

    def answer(self, values: Sequence[Any], array: bool) -> str:
        """The answer of these top-level values: an array of all, or what there is."""
        if array:
            inside = "".join(f"<value>{self._written(value)}</value>\n" for value in values)
            inside = f"<array><data>\n{inside}</data></array>"
            made = f"<value>{inside}</value>\n"
        else:
            made = f"<value>{''.join(f'{self._written(value)}{END}' for value in values)}</value>\n"
        return f"{HEAD}<params>\n<param>\n{made}</param>\n</params>\n</methodResponse>"

    def done(self) -> str:
        """An answer that says no more than that something was done."""
        return f"{HEAD}<params>\n<param>\n<value><int>1</int></value>\n</param>\n</params>\n</methodResponse>"

    def fault(self, code: int, text: str) -> str:
        members = (("faultCode", f"<int>{code}</int>"), ("faultString", f"<string>{self._escaped(text)}</string>"))
        inside = "".join(
            f"<member>\n<name>{name}</name>\n<value>{value}</value>\n</member>\n" for name, value in members
        )
        return f"{HEAD}<fault>\n<value>\n<struct>\n{inside}</struct>\n</value>\n</fault>\n</methodResponse>"

    def _written(self, value: Any) -> str:
        if isinstance(value, bool):
            return f"<boolean>{int(value)}</boolean>"
        if isinstance(value, int):
            return f"<int>{value}</int>"
        if isinstance(value, float):
            return f"<double>{value:f}</double>"
        if isinstance(value, Members):
            return self._array(self._struct([pair]) for pair in value.items())
        if isinstance(value, (dict, Struct)):
            return self._struct(value.items())
        if isinstance(value, (list, tuple)):
            return self._array(map(self._written, value))
        return f"<string>{self._escaped('' if value is None else str(value))}</string>"

    @staticmethod
    def _array(written: Iterable[str]) -> str:
        inside = "".join(f"<value>{one}</value>" for one in written)
        return f"<array><data>\n{inside}</data></array>"

    def _struct(self, pairs: Iterable[tuple[str, Any]]) -> str:
        members = (
            f"<member><name>{self._escaped(name)}</name><value>{self._written(one)}</value></member>"
            for name, one in pairs
        )
        return f"<struct>{''.join(members)}</struct>"

    def _escaped(self, text: str) -> str:
        made = text.replace("&", "&amp;").replace("<", "&lt;")
        return made.replace("\r", "&#xD;") if self._escape_cr else made

    def taken(self, text: str) -> str:
        """A text argument as commands get it."""
        return text.replace("\n\n", "\r\n") if self._double_lf else text
