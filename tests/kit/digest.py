"""The client's side of digest authentication, written down once more: tests do not ask the server's code."""

from __future__ import annotations

import hashlib
import re

from .scene import Scene
from .sip import Sip

HASHES = {"": hashlib.md5, "MD5": hashlib.md5, "SHA-256": hashlib.sha256}


def challenge_of(reply: Sip) -> dict[str, str]:
    """The parameters of the challenge in a 401 or 407."""
    value = reply.first("WWW-Authenticate") or reply.first("Proxy-Authenticate")
    return {name: quoted or plain for name, quoted, plain in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]*))', value)}


def authorization(
    challenge: dict[str, str],
    method: str,
    uri: str,
    user: str = "alice",
    password: str = "secret",
    *,
    header: str = "Authorization",
    nc: str = "00000001",
    qop: str | None = None,
    ha1: str = "",
    **changes: str,
) -> str:
    """The header that answers a challenge; `changes` are parameters that are put in instead, "" leaves one out."""
    algorithm = challenge.get("algorithm", "")

    def h(*parts: str) -> str:
        return HASHES[algorithm](":".join(parts).encode("latin-1")).hexdigest()

    realm, nonce = challenge["realm"], changes.get("nonce", challenge["nonce"])
    qop = challenge.get("qop", "") if qop is None else qop
    proof = [h(method, uri)]
    fields = {"username": user, "realm": realm, "nonce": nonce, "uri": uri}
    if qop:
        proof = [nc, "0a4f113b", qop, *proof]
        fields |= {"qop": qop, "nc": nc, "cnonce": "0a4f113b"}
    if algorithm:
        fields["algorithm"] = algorithm
    fields["response"] = h(ha1 or h(user, realm, password), nonce, *proof)
    fields |= changes
    plain = ("qop", "nc", "algorithm")
    texts = [f"{name}={value}" if name in plain else f'{name}="{value}"' for name, value in fields.items() if value]
    return f"{header}: Digest {', '.join(texts)}"


def digest(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def proven(s: Scene, request: Sip, ha1: str) -> None:
    """Note whether the response is right, which depends on the port of the URI, and hide it."""
    s.mask(r'cnonce="[^"]*"')
    s.mask(r'response="[^"]*"')
    value = request.first("Proxy-Authorization" if "Proxy-Authorization" in request.text else "Authorization")
    given = dict(re.findall(r'(\w+)="?([^",]*)"?', value))
    middle = f"{given['nc']}:{given['cnonce']}:{given['qop']}:" if "qop" in given else ""
    uri = given["uri"]
    expected = digest(f"{ha1}:{given['nonce']}:{middle}{digest(f'{request.method}:{uri}')}")
    s.note(f"the response is right: {given['response'] == expected}")
