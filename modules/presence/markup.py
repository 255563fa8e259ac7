"""Texts and values of attributes in XML, written as libxml2 writes them, which is what Kamailio uses."""

from __future__ import annotations


def text(plain: str) -> str:
    """As it stands between tags."""
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")


def attribute(plain: str) -> str:
    """As it stands between the double quotes of an attribute."""
    made = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    return made.replace("\n", "&#10;").replace("\r", "&#13;").replace("\t", "&#9;")
