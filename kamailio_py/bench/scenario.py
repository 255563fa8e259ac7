"""Scenarios: a cfg and the traffic that is driven through it, a small TOML file each. Those that ship: `scenarios/`.

A file that is no scenario is a ScenarioError with its name and the key that is wrong.
"""

from __future__ import annotations

import shutil
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path

from kamailio_py.bench.exchange import Calls, Exchange, Requests

SHIPPED = Path(__file__).parent / "scenarios"
KINDS = ("requests", "calls", "sipp", "suspended", "scaling", "idle")
STOCK = Path("/etc/kamailio/kamailio.cfg")
HALF = "half"
"""A rate: half of what the server managed with the window full."""


class ScenarioError(Exception):
    """There is no such scenario, or its file is wrong; the text says which and why."""


@dataclass(frozen=True)
class Scenario:
    """What is asked of the servers. Keys of the file are the fields from `title` on."""

    name: str
    folder: Path
    title: str
    cfg: str
    kind: str = "requests"
    message: str = ""
    probe: str = ""
    pace: str = ""
    expect: int = 200
    password: str = ""
    transport: str = "udp"
    window: int = 48
    delay_ms: float = 0
    rates: list[float | str] = field(default_factory=lambda: [1000, HALF])
    counts: list[int] = field(default_factory=lambda: [100, 5000, 20000])
    holds: float = 0
    receivers: list[int] = field(default_factory=lambda: [1, 2])
    watch: float = 3
    caller: str = ""
    called: str = ""
    unit: str = "request"

    @property
    def cfg_path(self) -> Path:
        return self.folder / self.cfg

    def exchange(self, server: str, local: str) -> Exchange:
        """What is said with a server at `server`, both host:port."""
        if self.kind == "calls":
            return Calls(self.message, server, local)
        return self.requests(self.pace if self.kind == "suspended" else self.message, server, local)

    def requests(self, text: str, server: str, local: str) -> Requests:
        return Requests(text, self.expect, server, local, self.password)


def load(name: str) -> Scenario:
    """The scenario of a file, or the one that ships under that name."""
    path = Path(name)
    if path.suffix != ".toml":
        path = SHIPPED / f"{name}.toml"
        if not path.exists():
            raise ScenarioError(f"there is no scenario {name}; those that ship: {', '.join(shipped())}")
    try:
        keys = tomllib.loads(path.read_text())
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: {error}") from None
    return _checked(path, keys)


def _checked(path: Path, keys: dict[str, object]) -> Scenario:
    known = {one.name: one for one in fields(Scenario)[2:]}
    for key, value in keys.items():
        if key not in known:
            raise ScenarioError(f"{path}: unknown key {key}; there are {', '.join(known)}")
        wanted = str(known[key].type)
        if type(value) not in {"str": (str,), "int": (int,), "float": (int, float)}.get(wanted, (list,)):
            raise ScenarioError(f"{path}: {key} must be of type {wanted}")
    for key in ("title", "cfg"):
        if key not in keys:
            raise ScenarioError(f"{path}: {key} is missing")
    made = Scenario(path.stem, path.parent, **keys)  # type: ignore[arg-type]
    if made.kind not in KINDS:
        raise ScenarioError(f"{path}: kind must be one of {', '.join(KINDS)}")
    if made.transport not in ("udp", "tcp"):
        raise ScenarioError(f"{path}: transport must be udp or tcp")
    for key in {"sipp": ["caller"], "suspended": ["message", "probe", "pace"]}.get(made.kind, ["message"]):
        text = getattr(made, key)
        if not text:
            raise ScenarioError(f"{path}: {key} is missing")
        if made.kind != "sipp" and not all(mark in text for mark in ("Call-ID: {id}", "branch=z9hG4bK-{id}")):
            raise ScenarioError(f"{path}: {key} must have {{id}} in its Call-ID and its branch (branch=z9hG4bK-{{id}})")
    for rate in made.rates:
        if rate != HALF and (not isinstance(rate, int | float) or rate <= 0):
            raise ScenarioError(f'{path}: rates are numbers above 0 or "{HALF}"')
    for key, numbers in (("counts", made.counts), ("receivers", made.receivers)):
        if not numbers or any(type(number) is not int or number < 1 for number in numbers):
            raise ScenarioError(f"{path}: {key} are whole numbers above 0")
    for needed in (made.cfg, made.caller, made.called):
        if needed and not Path(needed).is_absolute() and not (made.folder / needed).exists():
            raise ScenarioError(f"{path}: there is no file {made.folder / needed}")
    return made


def missing(scenario: Scenario, cfg: Path | None) -> str:
    """What the scenario needs that this machine has not, "" if nothing; `cfg` is used instead of its own."""
    if scenario.kind == "sipp" and shutil.which("sipp") is None:
        return "sipp is not installed: apt-get install sip-tester"
    if cfg is None and not scenario.cfg_path.exists():
        hint = ": apt-get install kamailio" if scenario.cfg_path == STOCK else ""
        return f"there is no {scenario.cfg_path}{hint}"
    return ""


def shipped() -> list[str]:
    """Names of the scenarios that ship."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))
