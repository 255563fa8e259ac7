"""MD5, which SIP has in branches, tags, nonces and digests.

By way of Python's own, where it has one: hashlib's goes through OpenSSL, which takes twice as long for texts as short
as these, on PyPy three times and with an object that the collector has to finalise.
"""

from __future__ import annotations

try:
    from _md5 import md5
except ImportError:
    from hashlib import md5

__all__ = ["md5"]
