"""/etc/resolv.conf as the C library reads it, with RES_OPTIONS and LOCALDOMAIN of the environment."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from kamailio_py.dataclass import dataclass, field

MOST_SERVERS, MOST_DOMAINS = 3, 6


@dataclass(slots=True)
class ResolvConf:
    """Name servers in the order they are asked, domains to look in, and what `options` says; times in seconds."""

    servers: list[str] = field(default_factory=list)
    search: list[str] = field(default_factory=list)
    ndots: int = 1
    timeout: int = 5
    attempts: int = 2
    rotate: bool = False

    @classmethod
    def read(cls, path: str) -> ResolvConf:
        """What the file says; without one, the C library's defaults: the server is this machine."""
        found = cls()
        try:
            lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        for line in lines:
            word, *values = line.partition("#")[0].partition(";")[0].split() or [""]
            if word == "nameserver" and values:
                found.servers.append(values[0])
            elif word in ("search", "domain") and values:
                found.search = values if word == "search" else values[:1]
            elif word == "options":
                found._options(values)
        if domains := os.environ.get("LOCALDOMAIN", "").split():
            found.search = domains
        found._options(os.environ.get("RES_OPTIONS", "").split())
        if not found.search:
            found.search = [domain for domain in [socket.gethostname().partition(".")[2]] if domain]
        found.search = found.search[:MOST_DOMAINS]
        found.servers = found.servers[:MOST_SERVERS] or ["127.0.0.1"]
        return found

    def _options(self, words: list[str]) -> None:
        for word in words:
            name, _, value = word.partition(":")
            if name == "rotate":
                self.rotate = True
            elif name in ("ndots", "timeout", "attempts") and value.isdigit():
                setattr(self, name, int(value))

    def names(self, name: str, search: bool) -> list[str]:
        """Under which names to ask for `name`, as res_search(3) does; a name that ends in a dot only as it is."""
        if name.endswith("."):
            return [name.rstrip(".")]
        others = [f"{name}.{domain.strip('.')}" for domain in self.search] if search else []
        return [name, *others] if name.count(".") >= self.ndots else [*others, name]
