"""The table of function calls: each one's message, and what real Kamailio sent to port 5064 after the call.

`code` is what the route does; it leaves the result of the function in $var(r), which goes into the header X-Rc. `sent`
is null where nothing was sent. Requests come from 127.0.0.1:5062, the server listens on 127.0.0.1:5070.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

CLIENT, SERVER, TARGET = 5062, 5070, 5064
MODULES = ("sl", "tm", "rr", "pv", "textops", "textopsx", "siputils", "xlog")


class Call(NamedTuple):
    name: str
    code: str
    headers: str
    body: str | None
    method: str
    sent: str | None

    @property
    def request(self) -> str:
        """The message the route is run with."""
        headers = "".join(f"{line}\r\n" for line in self.headers.split("\n") if line)
        body = self.body or ""
        length = "" if "Content-Length" in self.headers or self.body is None else f"Content-Length: {len(body)}\r\n"
        return (
            f"{self.method} sip:{self.name}@127.0.0.1:{TARGET} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{CLIENT};branch=z9hG4bK{self.name}\r\n"
            'From: "Al" <sip:alice@example.test>;tag=f1\r\nTo: <sip:bob@example.test>\r\n'
            f"Call-ID: c-{self.name}\r\nCSeq: 1 {self.method}\r\n{headers}{length}\r\n{body}"
        )


def calls() -> list[Call]:
    table = json.loads((Path(__file__).parent / "functions.json").read_text())
    return [Call(**entry) for entry in table]


def cfg(table: list[Call]) -> str:
    """A config with a route for each call."""
    routes = "".join(f"route[{call.name}] {{\n{call.code}\n}}\n" for call in table)
    jumps = "".join(
        f'  if ($rU == "{call.name}") {{ route({call.name}); append_hf("X-Rc: $var(r)\\r\\n");'
        f' $du = "sip:127.0.0.1:{TARGET}"; forward(); exit; }}\n'
        for call in table
    )
    modules = "".join(f'loadmodule "{name}.so"\n' for name in MODULES)
    return (
        "#!KAMAILIO\ndebug=0\nlog_stderror=yes\nchildren=1\ndisable_tcp=yes\nauto_aliases=no\n"
        f'listen=udp:127.0.0.1:{SERVER}\n{modules}request_route {{\n  $var(r) = "none";\n{jumps}}}\n{routes}'
    )
