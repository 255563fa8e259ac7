"""A scene: agents acting against one server. A case plays the same scene on two servers at the same time.

The case's function is given a `Scene` and says what the agents do; what they see, what the script logs and what the
case notes is the transcript.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from .agent import PATIENCE, Agent, Agent6, Missing
from .kamcmd import kamcmd
from .server import Server
from .stream_agent import StreamAgent, StreamAgent6, TlsAgent
from .transcript import Entry, Names, Transcript

FENCE = "fence"


class Scene:
    """What a case's function gets: makes agents, waits for log lines, notes what is to be compared."""

    def __init__(self, name: str, server: Server, retransmissions: bool) -> None:
        self.name = name
        self.server = server
        self.retransmissions = retransmissions
        self._agents: list[Agent] = []
        self._notes: list[str] = []
        self._masks: list[str] = []
        self._kinds: dict[str, str] = {}
        self._log_from = server.log_size()
        self.sorted_log = False

    def agent(self, name: str) -> Agent:
        agent = Agent(name, self.name, self.server.address)
        self._agents.append(agent)
        return agent

    def agents(self, *names: str) -> list[Agent]:
        return [self.agent(name) for name in names]

    def agent6(self, name: str) -> Agent6:
        """An agent on [::1]."""
        agent = Agent6(name, self.name, ("::1", self.server.port))
        self._agents.append(agent)
        return agent

    def stream6(self, name: str) -> StreamAgent6:
        agent = StreamAgent6(name, self.name, ("::1", self.server.port))
        self._agents.append(agent)
        return agent

    def stream(self, name: str) -> StreamAgent:
        """An agent that uses TCP."""
        agent = StreamAgent(name, self.name, self.server.address)
        self._agents.append(agent)
        return agent

    def tls(self, name: str, certificate: str = "", server_name: str | None = None) -> TlsAgent:
        """An agent that uses TLS."""
        agent = TlsAgent(name, self.name, self.server.address)
        agent.certificate, agent.server_name = certificate, server_name
        self._agents.append(agent)
        return agent

    def streams(self, *names: str) -> list[StreamAgent]:
        return [self.stream(name) for name in names]

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    @property
    def ours(self) -> bool:
        """Whether it is played on our server: for cases that may differ, which say there what they want of ours."""
        return self.server.name.startswith("ours")

    def note(self, text: str) -> None:
        """Put a line into the transcript."""
        self._notes.append(text)

    def mask(self, pattern: str) -> None:
        """Hide what a server chooses freely and the harness does not know of."""
        self._masks.append(pattern)

    def number(self, kind: str, pattern: str) -> None:
        """The same, but numbered in the order in which it appears, so that "the same again" stays visible."""
        self._kinds[kind] = pattern

    def wait_log(self, text: str, timeout: float = PATIENCE) -> None:
        """Wait for a log line of this scene, of the script or the server."""
        if not self.server.wait_log(text, self._log_from, timeout):
            raise Missing(f"no log line with {text!r} within {timeout:g} s")

    def note_log(self, text: str) -> None:
        """Note whether the server has logged `text` in this scene."""
        self.note(f"log has {text!r}: {self.server.log_contains(text, self._log_from)}")

    def tell(self, *commands: str) -> None:
        """Note RPC commands, and what kamcmd prints for each."""
        for command in commands:
            self.note(f"$ {command}\n{kamcmd(self.server.ctl, *command.split(' '))}")

    def fence(self) -> None:
        """Wait until the server's receiver has worked off all that was sent to it before."""
        with_fence = Agent(FENCE, self.name, self.server.address)
        try:
            user = self.server.fence
            uri = f"sip:{user}@{self.host}" if user else f"sip:{self.host}"
            sent = with_fence.request("OPTIONS", uri=uri, call_id=f"{FENCE}-{time.monotonic_ns()}")
            for _ in range(8):
                try:
                    with_fence.expect(200, timeout=1.0)
                    return
                except Missing:
                    with_fence.again(sent)
            raise Missing("the server no longer answers (fence)")
        finally:
            with_fence.close()

    def play(self, steps: Callable[[Scene], None]) -> Transcript:
        """Run the steps and return the transcript; what was missed is its last line."""
        failure = ""
        try:
            steps(self)
            self.fence()
            self.server.settle()
        except Missing as error:
            failure = str(error)
        if not self.server.alive:
            failure += f"\nthe server has ended; last it said:\n{self.server.log(-1500)}"
        for agent in self._agents:
            agent.drain()
        transcript = self._transcript(failure)
        for agent in self._agents:
            agent.close()
        return transcript

    def _transcript(self, failure: str) -> Transcript:
        ports = {self.server.port: "<server>"}
        for agent in self._agents:
            ports |= agent.ports
        names = Names(ports, self._masks, self._kinds)
        transcript = Transcript()
        arrivals = [(a.when, agent.name, a) for agent in self._agents for a in agent.arrivals]
        texts = {id(a): names.apply(a.message.text) for _, _, a in sorted(arrivals, key=lambda entry: entry[0])}
        for agent in self._agents:
            for arrival in agent.arrivals:
                if self.retransmissions or not arrival.repeated:
                    again = "again: " if arrival.repeated else ""
                    text = f"{agent.name} < {arrival.label}{again}{texts[id(arrival)]}"
                    if arrival.repeated:
                        text = text.split("\r\n")[0]
                    transcript.add(agent.name, Entry(text, arrival.since_action))
        script = [names.apply(line) for line in self.server.script_lines(self._log_from)]
        for line in sorted(script) if self.sorted_log else script:
            transcript.add("script log", Entry(line))
        for line in self._notes:
            transcript.add("notes", Entry(names.apply(line)))
        if failure:
            transcript.add("failure", Entry(f"!! {names.apply(failure)}"))
        return transcript


def play_both(
    name: str, servers: tuple[Server, Server], steps: Callable[[Scene], None], retransmissions: bool
) -> tuple[Transcript, Transcript]:
    """Play the scene on both servers at once, each in a thread of its own."""
    results: list[Transcript | BaseException | None] = [None, None]

    def side(number: int) -> None:
        try:
            results[number] = Scene(name, servers[number], retransmissions).play(steps)
        except BaseException as error:
            results[number] = error

    threads = [threading.Thread(target=side, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    left, right = results
    assert isinstance(left, Transcript)
    assert isinstance(right, Transcript)
    return left, right


def ask(scene: Scene, headers: str = "", body: str = "", status: int = 200) -> None:
    """One OPTIONS, and its answer: for cases whose routes log what they find."""
    alice = scene.agent("alice")
    alice.request("OPTIONS", headers=headers, body=body)
    alice.expect(status)
