"""What a report says about where it was made: the machine, the commit, the generator's own ceiling."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from kamailio_py.bench.scenario import load
from kamailio_py.bench.servers import Kind, Server, free_port
from kamailio_py.bench.talk import Talk

_ECHO = Kind("echo", (sys.executable, "-m", "kamailio_py.bench.stub", "--port", "{port}", "--transport", "{transport}"))
_ASKS = {"udp": "options-stateless", "tcp": "tcp-options"}


def describe() -> dict[str, Any]:
    """The machine as it is now."""
    model = "unknown processor"
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("model name", "Model")):
                model = line.partition(":")[2].strip()
                break
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "model": model,
        "architecture": platform.machine(),
        "kernel": platform.release(),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "load": "%.1f" % os.getloadavg()[0],
    }


def commit() -> str:
    """The commit of the checkout this runs from, with a + if files differ from it; "" if it is none."""
    here = Path(__file__).parent
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        told = [
            subprocess.run(
                ["git", "-C", str(here), *words], capture_output=True, text=True, timeout=10, check=True
            ).stdout
            for words in (("rev-parse", "--short=12", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
        ]
        return told[0].strip() + ("+" if told[1].strip() else "")
    return ""


def ceiling(transport: str, seconds: float) -> float:
    """How many requests a second the generator manages with a server that does nothing but answer."""
    scenario = load(_ASKS[transport])
    server = Server(_ECHO, scenario.cfg_path, transport, free_port())
    try:
        with Talk(scenario, server.port) as talk:
            server.start(talk.answered)
            talk.driver.closed(scenario.window, 0.2)
            return talk.driver.closed(scenario.window, seconds).rate
    finally:
        server.stop()
