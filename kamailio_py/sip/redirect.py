"""The Contact header of a redirection: where the script would have sent the request."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kamailio_py.sip.message import Message

FLAGS, PATH = 1, 2
"""Bits of what is said of each contact besides its URI and q."""

_PLAIN = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_.!~*'()[]/?:+$")


def escape(text: str) -> str:
    """`text` as it may stand in the headers part of a URI."""
    return "".join(c if c in _PLAIN else f"%{ord(c):02x}" for c in text)


def redirect_contacts(msg: Message, rich: int = 0) -> str:
    """Contact with the changed R-URI and all additional branches; "" if there are none. A whole header line."""
    targets = [(msg.new_uri, msg.path, msg.q, msg.branch_flags)] if msg.new_uri is not None else []
    targets += [(branch.uri, branch.path, branch.q, branch.flags) for branch in msg.added_branches or ()]
    contacts = []
    for uri, path, q, flags in targets:
        contact = f"<{uri}?Route={escape(path)}>" if rich & PATH and path else f"<{uri}>"
        if q is not None:
            contact += f";q={q / 1000:g}"
        if rich & FLAGS:
            contact += f";flags={flags}"
        contacts.append(contact)
    return f"Contact: {', '.join(contacts)}\r\n" if contacts else ""
