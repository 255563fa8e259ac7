"""The names of one scene on one server, on the name server that a file of tests has started for both servers."""

from __future__ import annotations

from typing import ClassVar

from .agent import Agent
from .name_server import NameServer
from .scene import Scene


class Domain:
    """@ in names and records stands for the domain; `name_server` is the name server, while the tests of a file run."""

    name_server: ClassVar[NameServer]

    def __init__(self, s: Scene) -> None:
        self.s = s
        self.name = f"{s.name}.{s.server.name}.test".replace("_", "-").replace("again", "2")
        s.mask(self.name)
        self.last = len(self.name_server.asked)

    def has(self, name: str, *records: str) -> None:
        self.name_server.zone[self.full(name)] = [self.full(record) for record in records]

    def full(self, text: str) -> str:
        return text.replace("@", self.name)

    def host(self, agent: Agent, name: str = "") -> None:
        """An agent's address record."""
        self.has(f"{name or agent.name}.@", f"A {agent.address}")

    def service(self, *agents: Agent, service: str = "_sip._udp") -> None:
        """SRV records for agents, the first of them preferred."""
        self.has(f"{service}.@", *(f"SRV {n} 1 {agent.port} {agent.name}.@" for n, agent in enumerate(agents)))
        for agent in agents:
            self.host(agent)

    def asked(self) -> list[str]:
        """What was asked since the last time."""
        asked = [question for question in self.name_server.asked[self.last :] if question.endswith(self.name)]
        self.last = len(self.name_server.asked)
        return asked

    def note_asked(self) -> None:
        self.s.note(f"asked {self.asked()}")

    def uri(self, name: str = "@", rest: str = "") -> str:
        return f"sip:{self.s.name}@{self.full(name)}{rest}"
