"""What an X.509 certificate says of its owner: read from DER, checked by nobody here.

Python's ssl tells nothing of a certificate that was not asked to be verified, and nothing at all of the own one.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator
from datetime import datetime

NAMES = {
    "2.5.4.3": "CN", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O", "2.5.4.11": "OU",
    "2.5.4.4": "SN", "2.5.4.42": "GN", "2.5.4.5": "serialNumber", "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC", "1.2.840.113549.1.9.1": "emailAddress",
}  # fmt: skip
"""Object identifiers of attributes, with the names OpenSSL prints."""
_SAN = "2.5.29.17"
_EXTENSIONS, _UTC_TIME = 0xA3, 0x17
_EMAIL, _DNS, _URI, _IP = 0x81, 0x82, 0x86, 0x87
_ENCODINGS = {0x1E: "utf-16-be", 0x1C: "utf-32-be", 0x14: "latin-1"}


class BadCertificate(ValueError):
    """No certificate, or one that cannot be read."""


class Certificate:
    """See the head of the file.

    `subject` and `issuer` are lists of (name, value), the value as bytes of UTF-8 in a text, like all that a script
    sees; `san` maps email, dns, uri and ip to lists.
    """

    def __init__(self, der: bytes) -> None:
        self.der = der
        try:
            self._read(der)
        except (IndexError, ValueError, UnicodeError) as error:
            raise BadCertificate(f"not a certificate: {error}") from None

    @classmethod
    def from_pem(cls, text: str) -> Certificate:
        """The first certificate of a PEM file."""
        begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
        start = text.find(begin)
        stop = text.find(end, start)
        if start < 0 or stop < 0:
            raise BadCertificate("no certificate in the file")
        return cls(ssl.PEM_cert_to_DER_cert(text[start : stop + len(end)]))

    def _read(self, der: bytes) -> None:
        (_, whole), *_ = _elements(der)
        (_, body), *_ = _elements(whole)
        parts = list(_elements(body))
        self.version = 0
        if parts[0][0] == 0xA0:
            self.version = int.from_bytes(next(_elements(parts.pop(0)[1]))[1], "big")
        serial, _, issuer, validity, subject = parts[:5]
        self.serial = int.from_bytes(serial[1], "big", signed=True)
        self.issuer = list(_name(issuer[1]))
        self.subject = list(_name(subject[1]))
        self.not_before, self.not_after = (_time(tag, value) for tag, value in _elements(validity[1]))
        self.san: dict[str, list[str]] = {}
        for tag, value in parts[5:]:
            if tag == _EXTENSIONS:
                self._extensions(value)

    def _extensions(self, data: bytes) -> None:
        for _, extension in _elements(next(_elements(data))[1]):
            fields = list(_elements(extension))
            if _identifier(fields[0][1]) != _SAN:
                continue
            for tag, value in _elements(next(_elements(fields[-1][1]))[1]):
                kind = {_EMAIL: "email", _DNS: "dns", _URI: "uri", _IP: "ip"}.get(tag)
                if kind:
                    text = str(ipaddress.ip_address(value)) if kind == "ip" else value.decode("latin-1")
                    self.san.setdefault(kind, []).append(text)

    @property
    def pem(self) -> str:
        return ssl.DER_cert_to_PEM_cert(self.der)

    @staticmethod
    def line(name: list[tuple[str, str]]) -> str:
        """A name as OpenSSL writes it in one line."""
        line = "".join(f"/{key}={value}" for key, value in name)
        return "".join(c if " " <= c <= "~" else f"\\x{ord(c):02X}" for c in line)

    @staticmethod
    def part(name: list[tuple[str, str]], key: str) -> str | None:
        """The first attribute of that name."""
        return next((value for found, value in name if found == key), None)


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element, one after the other."""
    at = 0
    while at < len(data):
        tag, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(data[at : at + size], "big")
            at += size
        if at + length > len(data):
            raise ValueError("element longer than what holds it")
        yield tag, data[at : at + length]
        at += length


def _identifier(data: bytes) -> str:
    numbers, value = [], 0
    for byte in data:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(value)
            value = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, [first, numbers[0] - 40 * first, *numbers[1:]]))


def _name(data: bytes) -> Iterator[tuple[str, str]]:
    for _, group in _elements(data):
        for _, attribute in _elements(group):
            (_, key), (tag, value) = list(_elements(attribute))[:2]
            known = _identifier(key)
            text = value.decode(_ENCODINGS.get(tag, "utf-8"), "replace")
            yield NAMES.get(known, known), text.encode().decode("latin-1")


def _time(tag: int, value: bytes) -> str:
    """As OpenSSL prints it: Nov 25 18:07:04 2026 GMT."""
    text = value.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    when = datetime.strptime(text, "%Y%m%d%H%M%SZ")
    return f"{when:%b} {when.day:2d} {when:%H:%M:%S %Y} GMT"
