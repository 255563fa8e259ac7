"""An additional branch of a request: one more place it goes to when it is forwarded."""

from __future__ import annotations

from typing import Any

from kamailio_py.sip.endpoint import ListenSocket


class Branch:
    """What append_branch() and lookup() collect; `uri` is the branch's request-URI.

    q is in thousandths, None is unspecified.
    """

    __slots__ = (
        "dst_uri", "flags", "force_socket", "instance", "location_ua", "otcpid", "path", "q", "reg_id", "ruid", "uri",
    )  # fmt: skip

    def __init__(
        self,
        uri: str,
        dst_uri: str | None = None,
        path: str | None = None,
        q: int | None = None,
        flags: int = 0,
        force_socket: ListenSocket | None = None,
        ruid: str = "",
        location_ua: str = "",
        instance: str = "",
        reg_id: int = 0,
        otcpid: int = 0,
    ) -> None:
        self.uri = uri
        self.dst_uri = dst_uri
        self.path = path
        self.q = q
        self.flags = flags
        self.force_socket = force_socket
        self.ruid = ruid
        self.location_ua = location_ua
        self.instance = instance
        self.reg_id = reg_id
        self.otcpid = otcpid

    def __repr__(self) -> str:
        return f"Branch({self.uri!r})"

    def state(self) -> tuple[Any, ...]:
        """Plain data, the socket by its index."""
        socket = self.force_socket.index if self.force_socket is not None else -1
        return (
            self.uri, self.dst_uri, self.path, self.q, self.flags, socket, self.ruid, self.location_ua, self.instance,
            self.reg_id, self.otcpid,
        )  # fmt: skip

    @classmethod
    def restore(cls, data: tuple[Any, ...], sockets: list[ListenSocket]) -> Branch:
        branch = cls(*data)
        branch.force_socket = sockets[data[5]] if data[5] >= 0 else None
        return branch
