"""A room: cases that share one cfg, and the pair of servers it runs on.

Each case brings its own routes and is reached by the user part of the request-URI, which is its name. The servers are
started when the first case of a room is run and stopped when another room's turn comes. Should one of them refuse the
whole cfg, the cases are run one by one, each with only its own routes, so that one unknown word fails one case.

KAMAILIO_PAIR=real,real plays real Kamailio against itself: that is how a new case is shown to be deterministic.
KAMAILIO_SHOW=1 (with pytest -s) prints what the left side saw, KAMAILIO_ALONE=1 gives each case its own servers.
KAMAILIO_REQUIRED=1 makes a missing Kamailio a failure; otherwise the cases are skipped.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from .scene import FENCE, Scene, play_both
from .server import Server, StartFailed, our_command, real_command
from .transcript import compare

STANDARD_MODULES = "tm tmx sl rr pv maxfwd textops textopsx siputils xlog sanity cfgutils kex corex htable"

HEAD = """#!KAMAILIO
debug=2
log_stderror=yes
children={children}
disable_tcp={disable_tcp}
auto_aliases=no
dns=no
rev_dns=no
{globals}
{modules}
modparam("tm", "fr_timer", 1500)
modparam("tm", "fr_inv_timer", 3000)
{params}
"""

DISPATCH = """
request_route {{
    if ($rU == "{fence}") {{
        sl_send_reply("200", "fence");
        exit;
    }}
    {first}
    route(CASE);
    {last}
    exit;
}}
route[CASE] {{
    {jumps}
}}
"""


@dataclass
class Case:
    name: str
    cfg: str
    params: str
    steps: Callable[[Scene], None]
    retransmissions: bool
    tolerance: float | None
    differs: str


class Room:
    """Cases on one cfg.

    `modules` come on top of the standard ones, `params` and `cfg` are put in as they are, `first` and `last` are
    statements before and after the case's route. `prepare(directory)` makes the files of one server, for which the cfg
    says `@DIR@`. `listen` is where the servers listen besides UDP, `tcp:127.0.0.1`. `fence` is `Server.fence`.
    """

    fence = FENCE

    def __init__(
        self,
        name: str,
        *,
        modules: str = "",
        params: str = "",
        globals_: str = "",
        cfg: str = "",
        first: str = "",
        last: str = "",
        children: int = 1,
        options: list[str] | None = None,
        prepare: Callable[[Path], None] | None = None,
        listen: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.listen = listen
        self.modules = f"{STANDARD_MODULES} {modules}".split()
        self.params = params
        self.globals = globals_
        self.shared_cfg = cfg
        self.first = first
        self.last = last
        self.children = children
        self.options = options or []
        self.prepare = prepare
        self.cases: dict[str, Case] = {}

    def case(
        self,
        cfg: str,
        *,
        params: str = "",
        retransmissions: bool = False,
        tolerance: float | None = None,
        differs: str = "",
    ) -> Callable[[Callable[[Scene], None]], Callable[[Pairs], None]]:
        """Make a test of a function: `cfg` has route[<case name>] and whatever else it needs.

        With `retransmissions` copies of datagrams count; with `tolerance` also when each message came, in seconds since
        the agent last sent something. `differs` says why the two servers may differ: then only what the case itself
        waits for is checked on both.
        """

        def wrap(steps: Callable[[Scene], None]) -> Callable[[Pairs], None]:
            name = steps.__name__.removeprefix("test_")
            case = Case(name, cfg, params, steps, retransmissions, tolerance, differs)
            assert name not in self.cases, name
            self.cases[name] = case

            def test(pairs: Pairs) -> None:
                self.run(case, pairs)

            test.__name__ = steps.__name__
            test.__doc__ = steps.__doc__
            test.__module__ = steps.__module__
            return test

        return wrap

    def text(self, cases: list[Case]) -> str:
        jumps = "\n    ".join(f'if ($rU == "{case.name}") {{ route({case.name}); }}' for case in cases)
        params = "\n".join([self.params, *(case.params for case in cases)])
        head = HEAD.format(
            children=self.children,
            disable_tcp="no" if any(not where.startswith("udp") for where in self.listen) else "yes",
            globals=self.globals,
            modules="\n".join(f'loadmodule "{name}.so"' for name in self.modules),
            params=params,
        )
        dispatch = DISPATCH.format(fence=FENCE, first=self.first, last=self.last, jumps=jumps)
        return "\n".join([head, dispatch, self.shared_cfg, *(case.cfg for case in cases)]) + "\n"

    def run(self, case: Case, pairs: Pairs) -> None:
        """Play a case; what differs is played once more, on servers of its own.

        Both servers are several processes whose steps the system orders, real Kamailio's own transcripts differ now and
        then. A difference that is not there the second time is no difference, but it is told, as a warning.
        """
        wrong = self._wrong(case, pairs)
        if not wrong:
            return
        pairs.close()
        again = self._wrong(case, pairs)
        if again:
            pytest.fail(again, pytrace=False)
        warnings.warn(f"{case.name} came out right only when it was played again; at first {wrong}", stacklevel=2)

    def _wrong(self, case: Case, pairs: Pairs) -> str:
        servers = pairs.of(self, case)
        left, right = play_both(case.name, servers, case.steps, case.retransmissions)
        titles = (servers[0].name, servers[1].name)
        if os.environ.get("KAMAILIO_SHOW"):
            print(f"\n===== {case.name}\n{left}")
        if not (servers[0].alive and servers[1].alive):
            pairs.close()
        failed = [f"{title}: {t.sections['failure'][0].text}" for title, t in zip(titles, (left, right), strict=True)
                  if "failure" in t.sections]  # fmt: skip
        difference = compare(left, right, titles, case.tolerance)
        if difference and not (case.differs and not failed):
            return "\n".join(["the two servers differ", *failed, difference])
        return "\n".join(failed)


class Pairs:
    """The pair of servers running now."""

    def __init__(self) -> None:
        self._room: Room | None = None
        self._alone: str | None = None
        self._servers: tuple[Server, Server] | None = None
        self._refused: set[str] = set()

    def of(self, room: Room, case: Case) -> tuple[Server, Server]:
        alone = case.name if room.name in self._refused or os.environ.get("KAMAILIO_ALONE") else None
        if self._servers and self._room is room and self._alone == alone:
            return self._servers
        self.close()
        refusal = ""
        try:
            self._servers = self._start(room, [case] if alone else list(room.cases.values()))
        except StartFailed as error:
            refusal = str(error)
        if refusal and alone:
            pytest.fail(refusal, pytrace=False)
        if refusal:
            self._refused.add(room.name)
            return self.of(room, case)
        self._room, self._alone = room, alone
        return self._servers

    def _start(self, room: Room, cases: list[Case]) -> tuple[Server, Server]:
        started: list[Server] = []
        kinds = os.environ.get("KAMAILIO_PAIR", "real,ours").split(",")
        commands = [real_command() if kind == "real" else our_command() for kind in kinds]
        for position, (kind, command) in enumerate(zip(kinds, commands, strict=True)):
            title = kind if kinds.index(kind) == position else f"{kind} again"
            server = Server(
                title.replace(" ", "-"), command, room.text(cases), room.options, room.prepare, listen=room.listen
            )
            server.fence = room.fence
            try:
                server.start()
            except StartFailed:
                for other in started:
                    other.stop()
                raise
            started.append(server)
        return started[0], started[1]

    def close(self) -> None:
        if self._servers:
            for server in self._servers:
                server.stop()
        self._servers = None
        self._room = None
