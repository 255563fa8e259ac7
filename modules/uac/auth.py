"""Answering challenges: the Authorization header that fits a 401 or 407.

Credentials come from the module's parameter, by realm, or from AVPs of the run.
"""

from __future__ import annotations

from typing import NamedTuple

from kamailio_py.sip.digest import ALGORITHMS, Credentials, ha1, parse_credentials, response
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.message import Message


class Credential(NamedTuple):
    """Who answers, where; `password` may be the HA1 already."""

    user: str
    realm: str
    password: str
    hashed: bool = False


def parse_credential(text: str) -> Credential:
    """`user:realm:password`; ValueError for others."""
    user, first, rest = text.partition(":")
    realm, second, password = rest.partition(":")
    if not first or not second or not user or not realm:
        raise ValueError("failed to parse the credentials: user:realm:password expected")
    return Credential(user, realm, password)


def challenges(reply: Message) -> list[Credentials]:
    """The challenges of a reply that can be answered; those of 401 are in WWW-Authenticate."""
    name = "proxy-authenticate" if reply.status == 407 else "www-authenticate"
    found = []
    for value in reply.headers(name):
        try:
            challenge = parse_credentials(value)
        except BadMessage:
            continue
        if challenge is not None and challenge.get("algorithm", "MD5").upper() in ALGORITHMS:
            found.append(challenge)
    return found


def authorization(
    status: int, challenge: Credentials, credential: Credential, method: str, uri: str, body: str, cnonce: str
) -> str:
    """The header line that answers a challenge."""
    algorithm = challenge.get("algorithm", "MD5").upper()
    realm, nonce = challenge.get("realm", ""), challenge.get("nonce", "")
    offered = [one.strip().lower() for one in challenge.get("qop", "").split(",")]
    qop = "auth" if "auth" in offered else "auth-int" if "auth-int" in offered else ""
    if credential.hashed:
        hashed = credential.password
    else:
        hashed = ha1(algorithm, credential.user, realm, credential.password)
    given = {"nonce": nonce, "uri": uri, "qop": qop, "nc": "00000001", "cnonce": cnonce}
    proof = response(algorithm, hashed, given, method, body)
    name = "Proxy-Authorization" if status == 407 else "Authorization"
    parts = [f'username="{credential.user}"', f'realm="{realm}"', f'nonce="{nonce}"', f'uri="{uri}"']
    if "opaque" in challenge:
        parts.append(f'opaque="{challenge["opaque"]}"')
    if qop:
        parts += [f"qop={qop}", "nc=00000001", f'cnonce="{cnonce}"']
    parts += [f'response="{proof}"', f"algorithm={algorithm}"]
    return f"{name}: Digest {', '.join(parts)}\r\n"
