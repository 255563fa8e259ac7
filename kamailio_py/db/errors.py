"""What can go wrong with a database."""

from __future__ import annotations


class DbError(Exception):
    """A database did not do what it was asked; the text is for a person and was logged where it was raised."""


class ConnectionLost(DbError):
    """The connection is gone; whoever opens it anew may try again."""
