"""The errors that bytes from the network can cause; whoever asks for a parsed value handles these two and no others."""

from __future__ import annotations


class BadMessage(ValueError):
    """A SIP message, or the part of it that was asked for, cannot be understood.

    `code` is the status a server could answer with.
    """

    def __init__(self, reason: str, code: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class BadUri(BadMessage):
    """A URI cannot be understood; Kamailio answers 478 or 416 where it matters."""
