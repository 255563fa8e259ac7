"""Snippets of script run in the test's own process, each one the route of a request; what they say is the answer.

    with Scripts({"adds": '$var(out) = 1 + 2;'}, modules="pv") as scripts:
        assert scripts.run("adds") == "3"

A snippet leaves its answer in $var(out). It gets a request whose user part is its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from .local import Local
from .requests import request


class Scripts:
    """A server with one route for each snippet; `head` is put before the routes."""

    def __init__(self, snippets: Mapping[str, str], *, modules: str = "", head: str = "") -> None:
        loads = "\n".join(f'loadmodule "{name}"' for name in f"tm sl pv {modules}".split())
        cases = "\n".join(f'if ($rU == "{name}") {{ route(R_{name}); }}' for name in snippets)
        routes = "\n".join(f"route[R_{name}] {{\n{text}\n}}" for name, text in snippets.items())
        self.server = Local(
            f"""#!KAMAILIO
{loads}
{head}
request_route {{
    $var(out) = "nothing";
    {cases}
    sl_send_reply("200", "$var(out)");
}}
{routes}
"""
        )

    def run(self, name: str, *, method: str = "OPTIONS", **parts: str) -> str | None:
        """The snippet's answer; None if it ended the script."""
        sent = self.server.inject(request(method, f"sip:{name}@127.0.0.1", **parts))
        return sent[-1].split("\r\n", 1)[0].removeprefix("SIP/2.0 200 ") if sent else None

    def __enter__(self) -> Scripts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.close()
