"""Certificates for tests, made when they are first needed and kept for the run: an authority and what it has signed.

`directory()` has ca.pem, and NAME.pem with NAME.key for server, second, client and self (signed by itself).
"""

from __future__ import annotations

import atexit
import datetime
import functools
import ipaddress
import shutil
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_OIDS = {
    "C": NameOID.COUNTRY_NAME, "ST": NameOID.STATE_OR_PROVINCE_NAME, "L": NameOID.LOCALITY_NAME,
    "O": NameOID.ORGANIZATION_NAME, "OU": NameOID.ORGANIZATIONAL_UNIT_NAME, "CN": NameOID.COMMON_NAME,
    "UID": NameOID.USER_ID,
}  # fmt: skip
_NOW = datetime.datetime(2024, 1, 2, 3, 4, 5)
_SUBJECTS = {
    "server": "C=DE,ST=Berlin,L=Berlin,O=Server Org,OU=Unit,CN=sip.example.test",
    "second": "C=FR,O=Second Org,CN=second.example.test",
    "client": "C=DE,ST=Bayern,L=München,O=Client Org,OU=CU,CN=client.example.test,UID=alice",
    "self": "CN=self.example.test",
}
_NAMES = {
    "server": [x509.DNSName("sip.example.test"), x509.DNSName("other.example.test"),
               x509.IPAddress(ipaddress.ip_address("127.0.0.1"))],
    "second": [x509.DNSName("second.example.test")],
    "client": [x509.RFC822Name("alice@example.test"), x509.DNSName("client.example.test"),
               x509.UniformResourceIdentifier("sip:alice@example.test"),
               x509.IPAddress(ipaddress.ip_address("2001:db8::1"))],
    "self": [],
}  # fmt: skip


def _name(text: str) -> x509.Name:
    pairs = (part.split("=", 1) for part in text.split(","))
    return x509.Name([x509.NameAttribute(_OIDS[key], value) for key, value in pairs])


def _write(directory: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    (directory / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / f"{name}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )  # fmt: skip


def _made(
    subject: str, names: list[x509.GeneralName], issuer: x509.Name | None, signer: ec.EllipticCurvePrivateKey | None,
    number: int, authority: bool = False,
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:  # fmt: skip
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer or _name(subject))
        .public_key(key.public_key())
        .serial_number(number)
        .not_valid_before(_NOW)
        .not_valid_after(_NOW + datetime.timedelta(days=36500))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signer or key, hashes.SHA256()), key


@functools.cache
def directory() -> Path:
    """See the head of the file."""
    made = Path(tempfile.mkdtemp(prefix="sip-test-certificates-"))
    atexit.register(shutil.rmtree, made, True)
    authority, key = _made("C=DE,O=Test,CN=Test CA", [], None, None, 1, authority=True)
    _write(made, "ca", authority, key)
    for number, (name, subject) in enumerate(_SUBJECTS.items(), 2):
        own = name == "self"
        certificate, own_key = _made(
            subject, _NAMES[name], None if own else authority.subject, None if own else key, 1000 * number
        )
        _write(made, name, certificate, own_key)
    return made
