"""Request texts for tests in one process: one function, every header a parameter or in `extra`."""

from __future__ import annotations

from kit.sip import build


def request(
    method: str = "OPTIONS",
    uri: str = "sip:bob@127.0.0.1",
    *,
    call_id: str = "c1",
    cseq: int = 1,
    branch: str = "z9hG4bKb1",
    from_tag: str = "f1",
    to_tag: str = "",
    extra: str = "",
    body: str = "",
) -> str:
    to = f";tag={to_tag}" if to_tag else ""
    headers = [
        ("Via", f"SIP/2.0/UDP 127.0.0.1:40000;branch={branch}"),
        ("From", f"<sip:alice@example.test>;tag={from_tag}"),
        ("To", f"<sip:bob@example.test>{to}"),
        ("Call-ID", call_id),
        ("CSeq", f"{cseq} {method}"),
    ]
    return build(f"{method} {uri} SIP/2.0", headers, extra, body)
