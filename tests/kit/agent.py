"""User agents: a UDP socket on 127.0.0.1 each, told step by step what to send and what to wait for.

Everything that arrives is kept with its time, also what nobody asked for. A copy of a datagram already seen is a
retransmission: it is kept only where the scene asks for them, because on a busy machine a server may well repeat what
an agent was slow to answer.
"""

from __future__ import annotations

import socket
import struct
import time

from .sip import Sip, address, build, build_reply

PATIENCE = 8.0
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("qq")


class Missing(AssertionError):
    """What an agent waited for did not come."""


class Arrival:
    """A message that came, when, and whether it had come before."""

    __slots__ = ("label", "message", "repeated", "since_action", "when")

    def __init__(self, message: Sip, when: float, since_action: float, repeated: bool, label: str = "") -> None:
        self.message = message
        self.label = label  # of the connection it came over
        self.when = when
        self.since_action = since_action
        self.repeated = repeated


class Agent:
    """One named user agent of a scene; its requests go to the server unless told otherwise."""

    transport = "UDP"
    uri_params = ""
    address = "127.0.0.1"

    def __init__(self, name: str, scene_name: str, server: tuple[str, int]) -> None:
        self.name = name
        self.server = server
        self.arrivals: list[Arrival] = []
        self.claims = ""
        """`host:port` that the agent takes for its own, behind NAT."""
        self._scene = scene_name
        self._unread: list[Sip] = []
        self._seen: set[bytes] = set()
        self._count = 0
        self._last_action = time.time()
        self._open()

    def _open(self) -> None:
        self.socket = socket.socket(self.family, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self.socket.bind((self.address, 0))
        self.port = self.socket.getsockname()[1]

    @property
    def ports(self) -> dict[int, str]:
        """Ports this agent uses and what a transcript calls them."""
        return {self.port: f"<{self.name}>"}

    def close(self) -> None:
        self.socket.close()

    @property
    def family(self) -> int:
        return socket.AF_INET6 if ":" in self.address else socket.AF_INET

    @property
    def host(self) -> str:
        """`127.0.0.1:port`, for URIs and headers."""
        return f"{self._in_uri}:{self.port}"

    @property
    def _in_uri(self) -> str:
        return f"[{self.address}]" if ":" in self.address else self.address

    @property
    def contact(self) -> str:
        return f"Contact: <sip:{self.name}@{self.claims or self.host}{self.uri_params}>"

    # -- sending

    def send(self, text: str) -> None:
        self._last_action = time.time()
        self.socket.sendto(text.encode("latin-1"), self.server)

    def request(
        self,
        method: str,
        to: Agent | None = None,
        *,
        uri: str = "",
        user: str = "",
        headers: str = "",
        body: str = "",
        call_id: str = "",
        cseq: int = 1,
        branch: str = "",
        from_tag: str = "f1",
        to_tag: str = "",
        max_forwards: int | None = 70,
        via_params: str = "",
        send: bool = True,
    ) -> Sip:
        """Send a request to sip:<case>@<agent `to`, or the server> and return it as sent."""
        self._count += 1
        where = f"{to.host}{to.uri_params}" if to else f"{self._in_uri}:{self.server[1]}"
        branch = branch or f"z9hG4bK-{self._scene}-{self.name}-{self._count}"
        lines = [f"Via: SIP/2.0/{self.transport} {self.claims or self.host};branch={branch}{via_params}"]
        if max_forwards is not None:
            lines.append(f"Max-Forwards: {max_forwards}")
        lines += [
            f"From: <sip:{self.name}@example.test>;tag={from_tag}",
            f"To: <sip:{user or self._scene}@example.test>" + (f";tag={to_tag}" if to_tag else ""),
            f"Call-ID: {call_id or f'{self._scene}-{self.name}-{self._count}'}",
            f"CSeq: {cseq} {method}",
        ]
        if method in ("INVITE", "SUBSCRIBE", "REFER"):
            lines.append(self.contact)
        text = build(f"{method} {uri or f'sip:{user or self._scene}@{where}'} SIP/2.0", lines, headers, body)
        if send:
            self.send(text)
        return Sip(text)

    def again(self, message: Sip) -> None:
        """Send the same bytes once more."""
        self.send(message.text)

    def reply(
        self, request: Sip, status: int, reason: str | None = None, *, headers: str = "", body: str = "", tag: str = ""
    ) -> Sip:
        extra = headers
        if request.method == "INVITE" and 101 <= status < 300:
            extra = f"{self.contact}\n{headers}"
        text = build_reply(request, status, reason, tag or f"tag-{self.name}", extra, body)
        self._last_action = time.time()
        self._send_back(text, request)
        return Sip(text)

    def _send_back(self, text: str, request: Sip) -> None:
        self.socket.sendto(text.encode("latin-1"), request.source)

    def ack(self, invite: Sip, reply: Sip, headers: str = "") -> Sip:
        """ACK a final reply: hop by hop for a negative one, along the route set for a 2xx."""
        if reply.status >= 300:
            lines = [f"{name}: {invite.first(name)}" for name in ("Via", "Max-Forwards", "From")]
            lines += [f"To: {reply.first('To')}", f"Call-ID: {invite.call_id}", f"CSeq: {invite.cseq} ACK"]
            text = build(f"ACK {invite.uri} SIP/2.0", lines, headers)
            self.send(text)
            return Sip(text)
        return self.within("ACK", invite, reply, cseq=invite.cseq, headers=headers)

    def within(
        self,
        method: str,
        invite: Sip,
        reply: Sip,
        *,
        cseq: int,
        headers: str = "",
        body: str = "",
        callee: bool = False,
    ) -> Sip:
        """A request within the dialog of `invite` and `reply`, from the caller or (`callee`) the one called."""
        self._count += 1
        routes = reply.all("Record-Route") if not callee else invite.all("Record-Route")
        if not callee:
            routes = routes[::-1]
        target = address((invite if callee else reply).first("Contact"))
        local, remote = reply.first("From"), reply.first("To")
        if callee:
            local, remote = remote, local
        branch = f"z9hG4bK-{self._scene}-{self.name}-{self._count}"
        lines = [f"Via: SIP/2.0/{self.transport} {self.claims or self.host};branch={branch}"]
        lines += [f"Route: {route}" for route in routes]
        lines += ["Max-Forwards: 70", f"From: {local}", f"To: {remote}", f"Call-ID: {invite.call_id}"]
        lines.append(f"CSeq: {cseq} {method}")
        text = build(f"{method} {target} SIP/2.0", lines, headers, body)
        self.send(text)
        return Sip(text)

    def cancel(self, invite: Sip, headers: str = "") -> Sip:
        lines = [f"{name}: {invite.first(name)}" for name in ("Via", "Max-Forwards", "From", "To", "Call-ID")]
        lines.append(f"CSeq: {invite.cseq} CANCEL")
        text = build(f"CANCEL {invite.uri} SIP/2.0", lines, headers)
        self.send(text)
        return Sip(text)

    # -- receiving

    def expect(self, what: int | str, method: str = "", *, timeout: float = PATIENCE) -> Sip:
        """The next message that is a reply of status `what` (to `method`) or a request of method `what`."""
        deadline = time.monotonic() + timeout
        while True:
            for message in self._unread:
                if _is(message, what, method):
                    self._unread.remove(message)
                    return message
            if not self._receive(deadline):
                wanted = f"{what} {method}".strip()
                got = ", ".join(arrival.message.start for arrival in self.arrivals) or "nothing"
                raise Missing(f"{self.name} waited {timeout:g} s for {wanted} and got {got}")

    def expect_repeated(self, message: Sip, times: int = 1, *, timeout: float = PATIENCE) -> None:
        """Wait until `message` has come `times` more often than once."""
        deadline = time.monotonic() + timeout
        while sum(a.message.text == message.text for a in self.arrivals) <= times:
            if not self._receive(deadline):
                raise Missing(f"{self.name} waited {timeout:g} s for {message.start} once more")

    def listen(self, seconds: float) -> None:
        """Take whatever comes for so long: what a server should not send is only seen by waiting."""
        deadline = time.monotonic() + seconds
        while self._receive(deadline):
            pass

    def drain(self) -> None:
        """Take what is already there."""
        while self._receive(0.0):
            pass

    def _receive(self, deadline: float) -> bool:
        remaining = deadline - time.monotonic()
        try:
            self.socket.settimeout(max(remaining, 0.0))
            data, ancillary, _, source = self.socket.recvmsg(65535, 64)
        except (TimeoutError, BlockingIOError):
            return False
        except ConnectionRefusedError:
            return True
        # The kernel's time of arrival: an agent that was busy elsewhere reads its socket late.
        seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
        arrived = seconds + nanoseconds / 1e9
        message = Sip(data.decode("latin-1"), source[:2])
        repeated = data in self._seen
        self._seen.add(data)
        self.arrivals.append(Arrival(message, arrived, arrived - self._last_action, repeated))
        if not repeated:
            self._unread.append(message)
        return True


def _is(message: Sip, what: int | str, method: str) -> bool:
    if isinstance(what, int):
        return message.status == what and (not method or message.method == method)
    return not message.status and message.method == what


class Agent6(Agent):
    """The same on [::1]."""

    address = "::1"
