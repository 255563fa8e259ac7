"""Headers that stand twice or are bad: what is still read of a request and of a reply, and what the script sees."""

from __future__ import annotations

from kit.agent import Agent
from kit.room import Room
from kit.scene import Scene
from kit.sip import build_reply

SHOW = """xlog("L_NOTICE", "[$hdr(CSeq)] [$(hdr(CSeq)[1])] [$(hdr(CSeq)[-1])] [$(hdr(CSeq)[*])] $hdrc(CSeq) $hfl(CSeq)
[$cs] $rm [$hdr(To)] [$(hdr(To)[1])] [$(hdr(From)[-1])] [$(hdr(i)[1])] [$(hdr(Content-Length)[-1])] $hdrc(X)
[$ci] [$ft] [$tt]\\n");"""

room = Room(
    "repeated_headers",
    first='t_on_reply("SHOW");',
    cfg=f"onreply_route[SHOW] {{ {SHOW} }}\nonreply_route {{ {SHOW} }}",
)

LAST = {
    "cseq": "CSeq: 2 INVITE",
    "same cseq": "CSeq: 1 MESSAGE",
    "two more": "CSeq: 3 MESSAGE\nCSeq: 4 MESSAGE",
    "bad cseq": "CSeq: nonsense",
    "to": "To: <sip:x@y>;tag=other",
    "bad to": "To: <<<",
    "from": "From: <sip:x@y>;tag=other",
    "call-id": "Call-ID: other",
    "content-length": "Content-Length: 0\nContent-Length: 7",
    "bad content-length": "Content-Length: 0\nContent-Length: x",
    "retry-after": "Retry-After: x",
    "second retry-after": "Retry-After: 1\nRetry-After: x",
    "others": "X: 1\nX: 2\nMax-Forwards: 1\nMax-Forwards: 2",
    "via": "Via: SIP/2.0/UDP",
    "none": "nonsense",
}
"""Header lines at the end."""
FIRST = {
    "cseq": "CSeq: 2 MESSAGE",
    "bad cseq": "CSeq: nonsense",
    "to": "To: <sip:x@y>;tag=other",
    "bad to": "To: <<<",
    "bad from": "From: <<<",
    "call-id": "Call-ID: other",
    "retry-after": "Retry-After: x",
    "content-length": "Content-Length: x",
    "via": "Via: SIP/2.0",
    "none": "nonsense",
}
"""Before the first Via, or before the second one."""


def put(text: str, lines: str, place: int) -> str:
    """The message with more lines before its header with this index."""
    head = text.split("\r\n")
    head[place + 1 : place + 1] = lines.split("\n")
    return "\r\n".join(head)


def variants(text: str, last: str) -> dict[str, str]:
    """What to send instead of a message; `last` is how it looks with `%s` in the place of more headers at the end."""
    found = {f"last {name}": last % lines.replace("\n", "\r\n") for name, lines in LAST.items()}
    for place in (0, 1):
        found |= {f"{place} {name}": put(text, lines, place) for name, lines in FIRST.items()}
    return found


def replies(s: Scene, alice: Agent, bob: Agent) -> None:
    for name in variants("\r\n", "%s"):
        s.note(name)
        alice.request("MESSAGE", bob)
        request = bob.expect("MESSAGE")
        text = build_reply(request, 200, None, "tag-b", "", "")
        last = build_reply(request, 200, None, "tag-b", "%s\n" + ("" if "length" in name else "Content-Length: 0"), "")
        if "length" in name:
            last = last.replace("Content-Length: 0\r\n", "")
        bob.socket.sendto(variants(text, last)[name].encode(), request.source)
        s.fence()
        alice.drain()


@room.case("route[stateful] { t_relay(); }")
def test_stateful(s: Scene) -> None:
    replies(s, *s.agents("alice", "bob"))


@room.case("route[stateless] { forward(); }")
def test_stateless(s: Scene) -> None:
    replies(s, *s.agents("alice", "bob"))


@room.case(f'route[requests] {{ {SHOW} sl_send_reply("200", "OK"); }}')
def test_requests(s: Scene) -> None:
    alice = s.agent("alice")
    for name in variants("\r\n", "%s"):
        text = alice.request("MESSAGE", headers="" if "length" in name else "Content-Length: 0", send=False).text
        last = text.replace("\r\n\r\n", "\r\n%s\r\n\r\n")
        if "length" in name:
            last = last.replace("Content-Length: 0\r\n", "")
        s.note(name)
        alice.send(variants(text, last)[name])
        s.fence()
        alice.drain()
