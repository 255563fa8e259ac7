"""RPC commands `core.*` that say what this server is and how it was started; and those that echo their arguments."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kamailio_py import KAMAILIO_VERSION
from kamailio_py.module import rpc
from kamailio_py.rpc.group import Group
from kamailio_py.shm.layout import read_header

if TYPE_CHECKING:
    from kamailio_py.rpc.call import Call

VERSION = f"kamailio {KAMAILIO_VERSION} (x86_64/linux) "
IDENT = "kamailio-py"
FLAGS = "SHM_MMAP, USE_DNS_CACHE, USE_DST_BLOCKLIST"
"""What of Kamailio's compile-time flags holds here."""
DEFINE_TYPES = {"define": 0, "trydefine": 1, "redefine": 2}


class Info(Group):
    @property
    def started(self) -> int:
        """When shared memory was made, seconds since the epoch."""
        return int(read_header(self.core.shm.memory).started / 1000)

    @rpc("core.version", "", "Version of the server.")
    def version(self, call: Call) -> str:
        return VERSION

    @rpc("core.flags", "", "What the server was built with.")
    def flags(self, call: Call) -> str:
        return FLAGS

    @rpc("core.info", "", "Version, and what runs it.")
    def info(self, call: Call) -> dict[str, Any]:
        return {
            "version": f"kamailio {KAMAILIO_VERSION}", "id": IDENT, "compiler": _python(), "compiled": "",
            "flags": FLAGS,
        }  # fmt: skip

    @rpc("core.runinfo", "", "Version, what runs it, and since when.")
    def runinfo(self, call: Call) -> dict[str, Any]:
        now, started = int(self.core.clock.now()), self.started
        minutes, seconds = divmod(now - started, 60)
        hours, minutes = divmod(minutes, 60)
        days, hours = divmod(hours, 24)
        return {
            "name": "kamailio", "version": KAMAILIO_VERSION, "sourceid": IDENT, "compiler": _python(), "compiled": "",
            "time_now": time.ctime(now), "time_started": time.ctime(started), "uptime_secs": now - started,
            "utime_days": f"{days}d {hours}h {minutes}m {seconds}s",
        }  # fmt: skip

    @rpc("core.uptime", "", "Since when the server runs.")
    def uptime(self, call: Call) -> dict[str, Any]:
        now, started = int(self.core.clock.now()), self.started
        return {"now": time.ctime(now), "up_since": time.ctime(started), "uptime": now - started}

    @rpc("core.pwd", "", "Working directory.", array=True)
    def pwd(self, call: Call) -> str:
        return os.getcwd()

    @rpc("core.arg", "", "The command line.", array=True)
    def arg(self, call: Call) -> Iterator[str]:
        yield from self.core.arguments

    @rpc("core.modules", "", "Loaded modules, the last one first.", array=True)
    def modules(self, call: Call) -> Iterator[str]:
        yield from reversed(self.core.modules)

    @rpc("core.ppdefines", "", "Names of the preprocessor's defines.", array=True)
    def ppdefines(self, call: Call) -> Iterator[str]:
        yield from self.core.defines

    @rpc("core.ppdefines_full", "", "The preprocessor's defines with type and value.", array=True)
    def ppdefines_full(self, call: Call) -> Iterator[dict[str, Any]]:
        modes = self.core.define_modes
        for name, value in self.core.defines.items():
            yield {"name": name, "type": DEFINE_TYPES[modes.get(name, "define")], "value": value or "none"}

    @rpc("core.prints", "", "The strings it is given.", array=True)
    def prints(self, call: Call) -> Iterator[str]:
        yield from call.rest("*s")

    @rpc("core.printi", "", "The integers it is given.", array=True)
    def printi(self, call: Call) -> Iterator[int]:
        yield from call.rest("*d")

    @rpc("core.echo", "", "What it is given, as strings.", array=True)
    def echo(self, call: Call) -> Iterator[str]:
        yield from call.rest("*.s")


def _python() -> str:
    import platform

    return f"{platform.python_implementation()} {platform.python_version()}"
