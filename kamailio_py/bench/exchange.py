"""What is said with the server: requests of a template, challenges answered, whole calls; and whose an answer is.

Bytes in, bytes out: no socket and no clock. Each exchange has a number, which stands in everything its messages carry
(`{id}` of a template: in the Call-ID, the branch, the tags), so that an answer says whose it is without being parsed.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from hashlib import md5

Send = Callable[[bytes], object]
USERS = 1000
"""How many different users the `{user}` of a template stands for; they take turns."""

_ID = "{id}"
_DIGITS = 8
_CHALLENGE = re.compile(rb'\r\n(WWW|Proxy)-Authenticate:[^\r]*?realm="([^"]*)"[^\r]*?nonce="([^"]*)"([^\r]*)')


class Template:
    """One message with places for the number, made ready to be filled in quickly.

    `{server}` and `{local}` are host:port of the two ends. Lines may end in LF; Content-Length is added if missing.
    """

    def __init__(self, text: str, server: str, local: str, run: str) -> None:
        text = text.strip("\n").replace("\r\n", "\n")
        head, _, body = text.partition("\n\n")
        body = body.replace("\n", "\r\n")
        if not re.search(r"^(content-length|l)\s*:", head, re.IGNORECASE | re.MULTILINE):
            head += f"\nContent-Length: {len(body.encode())}"
        text = head.replace("\n", "\r\n") + "\r\n\r\n" + body
        text = text.replace("{server}", server).replace("{local}", local).replace(_ID, run + _ID)
        self._users = "{user}" in text
        self._parts = text.encode().split(_ID.encode())

    def fill(self, number: int) -> bytes:
        text = (b"%08d" % number).join(self._parts)
        return text.replace(b"{user}", b"user%04d" % (number % USERS)) if self._users else text


class Exchange(ABC):
    """A kind of exchange with one server. `next`: number of the next one; `wrong`: first answers nobody expected."""

    def __init__(self, expect: int) -> None:
        self.run = os.urandom(4).hex() + "."
        self.next = 0
        self.wrong: list[str] = []
        self._mark = self.run.encode()
        self._good = b"SIP/2.0 %d " % expect

    @abstractmethod
    def begin(self, number: int, send: Send) -> None:
        """Say the first word of exchange `number`."""

    @abstractmethod
    def react(self, data: bytes, send: Send) -> int:
        """Go on after `data`; the number of the exchange if it is over with it, -1 otherwise."""

    def number(self, data: bytes) -> int:
        """Whose it is; -1 if it is of no exchange of this run."""
        at = data.find(self._mark)
        if at < 0:
            return -1
        at += len(self._mark)
        digits = data[at : at + _DIGITS]
        return int(digits) if digits.isdigit() else -1

    def refuse(self, data: bytes) -> int:
        """Note a final answer that is not the expected one; the exchange is over."""
        if len(self.wrong) < 10:
            self.wrong.append(data[:200].split(b"\r\n", 1)[0].decode("latin-1"))
        return self.number(data)


class Requests(Exchange):
    """A request and its final answer; with a password, a challenge is answered by the request with credentials."""

    def __init__(self, text: str, expect: int, server: str, local: str, password: str = "") -> None:
        super().__init__(expect)
        self._template = Template(text, server, local, self.run)
        self._credentials = Credentials(text, password) if password else None

    def begin(self, number: int, send: Send) -> None:
        send(self._template.fill(number))

    def react(self, data: bytes, send: Send) -> int:
        if data.startswith(self._good):
            return self.number(data)
        if data.startswith(b"SIP/2.0 1"):
            return -1
        if self._credentials is not None and data.startswith((b"SIP/2.0 401", b"SIP/2.0 407")):
            number = self.number(data)
            if number >= 0 and (again := self._credentials.answer(data, self._template.fill(number))):
                send(again)
                return -1
        return self.refuse(data)


class Credentials:
    """Answers challenges (RFC 2617, MD5, with or without qop). The user is that of the From header."""

    def __init__(self, text: str, password: str) -> None:
        self._password = password.encode()
        self._known: dict[tuple[bytes, bytes], bytes] = {}
        self._method, self._uri = text.lstrip("\n").encode().split(b" ", 2)[:2]

    def answer(self, challenge: bytes, request: bytes) -> bytes:
        """The request with credentials, b"" if the challenge cannot be met or the request has some already."""
        found = _CHALLENGE.search(challenge)
        if found is None or b"\r\nCSeq: 1 " not in challenge:
            return b""
        kind, realm, nonce, rest = found.groups()
        method, uri = request.split(b" ", 2)[:2]
        user = request.partition(b"\r\nFrom:")[2].partition(b"sip:")[2].partition(b"@")[0]
        first = self._known.get((user, realm))
        if first is None:
            first = md5(user + b":" + realm + b":" + self._password).hexdigest().encode()
            self._known[user, realm] = first
        second = md5(method + b":" + uri).hexdigest().encode()
        extra = b""
        middle = nonce
        if b"qop=" in rest:
            middle = nonce + b":00000001:bench:auth"
            extra = b', qop=auth, nc=00000001, cnonce="bench"'
        response = md5(first + b":" + middle + b":" + second).hexdigest().encode()
        header = (
            b"Authorization" if kind == b"WWW" else b"Proxy-Authorization"
        ) + b': Digest username="%s", realm="%s", nonce="%s", uri="%s", response="%s", algorithm=MD5%s\r\n' % (
            user,
            realm,
            nonce,
            uri,
            response,
            extra,
        )
        request = request.replace(b"\r\nCSeq: 1 ", b"\r\nCSeq: 2 ", 1).replace(
            b";branch=z9hG4bK", b";branch=z9hG4bKb", 1
        )
        end = request.index(b"\r\n\r\n") + 2
        return request[:end] + header + request[end:]


class Calls(Exchange):
    """Calls through the server, both parties here: INVITE, 180, 200, ACK, BYE, 200. Over with the last 200."""

    def __init__(self, text: str, server: str, local: str) -> None:
        super().__init__(200)
        self._local = local
        self._server = server
        self._invite = Template(text, server, local, self.run)
        self._text = text
        self._within: dict[bytes, tuple[Template, Template]] = {}
        self._contact = f"Contact: <sip:bob@{local}>\r\nContent-Length: 0\r\n\r\n".encode()
        self.acknowledged = 0

    def begin(self, number: int, send: Send) -> None:
        send(self._invite.fill(number))

    def react(self, data: bytes, send: Send) -> int:
        if data.startswith(b"SIP/2.0 "):
            if b"\r\nCSeq: 1 INVITE" in data:
                if data.startswith(b"SIP/2.0 1"):
                    return -1
                if not data.startswith(self._good):
                    return self.refuse(data)
                number = self.number(data)
                ack, bye = self._in_dialog(data, number)
                send(ack.fill(number))
                send(bye.fill(number))
                return -1
            return self.number(data) if data.startswith(self._good) else self.refuse(data)
        if data.startswith(b"INVITE"):
            send(self._reply(data, b"180 Ringing"))
            send(self._reply(data, b"200 OK"))
        elif data.startswith(b"BYE"):
            send(self._reply(data, b"200 OK"))
        elif data.startswith(b"ACK"):
            self.acknowledged += 1
        return -1

    def _in_dialog(self, ok: bytes, number: int) -> tuple[Template, Template]:
        """ACK and BYE of the caller: made of the INVITE's template, the To tag and the routes of the answer."""
        routes = header(ok, b"Record-Route").replace(b"%08d" % number, _ID.encode())
        found = self._within.get(routes)
        if found is None:
            lines = self._text.strip("\n").split("\n\n")[0].split("\n")
            kept = [line for line in lines[1:] if not line.lower().startswith(("content-", "user-agent", "cseq"))]
            made = []
            for method, cseq in (("ACK", 1), ("BYE", 2)):
                own = [f"{method} sip:bob@{self._local} SIP/2.0", *kept, f"CSeq: {cseq} {method}"]
                if routes:
                    own.insert(2, "Route: " + routes.decode().replace(self.run, ""))
                text = "\n".join(line + ";tag=called" if line.startswith("To:") else line for line in own)
                text = text.replace("z9hG4bK-", f"z9hG4bK-{method.lower()}-")
                made.append(Template(text, self._server, self._local, self.run))
            found = self._within[routes] = (made[0], made[1])
        return found

    def _reply(self, request: bytes, status: bytes) -> bytes:
        """A reply as the one called makes it: the lines of the request that belong into it, in its order."""
        kept = []
        for line in request.split(b"\r\n\r\n", 1)[0].split(b"\r\n")[1:]:
            if line.startswith((b"Via:", b"From:", b"Call-ID:", b"CSeq:", b"Record-Route:")):
                kept.append(line)
            elif line.startswith(b"To:"):
                kept.append(line if b";tag=" in line else line + b";tag=called")
        return b"SIP/2.0 " + status + b"\r\n" + b"\r\n".join(kept) + b"\r\n" + self._contact


def header(data: bytes, name: bytes) -> bytes:
    """The value of the first header of the name, b"" if there is none."""
    start = data.find(b"\r\n" + name + b": ")
    if start < 0:
        return b""
    start += len(name) + 4
    return data[start : data.index(b"\r\n", start)]
