"""The generator's end of one scenario: whether the server is there, what it answers, and who drives the traffic."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from kamailio_py.bench import answers, link
from kamailio_py.bench.exchange import Exchange
from kamailio_py.bench.scenario import Scenario
from kamailio_py.bench.sipp import Sipp
from kamailio_py.bench.traffic import Driver, Outcome


class Drives(Protocol):
    """Who drives traffic: our own generator, or sipp. `delay` is what the cfg itself makes each exchange wait."""

    delay: float

    def count(self, number: int, window: int) -> Outcome: ...

    def closed(self, window: int, seconds: float) -> Outcome: ...

    def paced(self, rate: float, seconds: float) -> Outcome: ...

    def close(self) -> None: ...


class Talk:
    """A scenario with the server on a port; a context manager. Nothing is opened before something is said."""

    def __init__(self, scenario: Scenario, port: int) -> None:
        self._scenario = scenario
        self._port = port
        self._driver: Drives | None = None

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._driver is not None:
            self._driver.close()

    @property
    def driver(self) -> Drives:
        """ConnectionError if nobody listens (TCP)."""
        if self._driver is None:
            if self._scenario.kind == "sipp":
                self._driver = Sipp(self._scenario, self._port)
            else:
                wire = link.connect(self._scenario.transport, self._port)
                self._driver = Driver(wire, self._exchange(wire.local), self._scenario.delay_ms / 1e3)
        return self._driver

    def answered(self) -> bool:
        """Whether the server answers an exchange (in whatever way)."""
        if self._scenario.kind == "sipp" and not bound(self._port):
            return False
        try:
            return self.driver.count(1, 1).answered > 0
        except ConnectionError:
            return False

    def transcript(self) -> list[str]:
        """What comes back in one exchange, made comparable; nothing with sipp, which compares with its XML itself."""
        driver = self.driver
        if not isinstance(driver, Driver):
            return []
        recorder = link.Recorder(driver.link)
        # A first exchange, whatever number it took until the server was there: it is the same user's with every server.
        first = self._exchange(recorder.local)
        Driver(recorder, first, driver.delay).count(1, 1)
        return answers.canonical(recorder.heard, first.run, recorder.local)

    def _exchange(self, local: str) -> Exchange:
        return self._scenario.exchange(f"127.0.0.1:{self._port}", local)


def bound(port: int) -> bool:
    """Whether somebody has the port, without asking."""
    mark = f":{port:04X} "
    return any(mark in Path(f"/proc/net/{name}").read_text() for name in ("udp", "tcp"))
