"""Traffic by sipp, for scenarios that are sipp's own XML: a caller, and one who is called where the scenario has that.

Whether an answer is the right one, the XML says. Latency is sipp's response time (`rtd`), counted from when it sent;
its own schedule is not in it.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from kamailio_py.bench.scenario import Scenario
from kamailio_py.bench.traffic import PATIENCE, Outcome

UNLIMITED = 100_000


class Sipp:
    """Drives a scenario as `traffic.Driver` does, until `close()`."""

    def __init__(self, scenario: Scenario, port: int) -> None:
        self.delay = scenario.delay_ms / 1e3
        self._scenario = scenario
        self._port = port
        self._directory = Path(tempfile.mkdtemp(prefix="kambench-sipp-"))
        self._called_port = port + 1
        self._called: subprocess.Popen[bytes] | None = None
        self._rate = 0.0
        # sipp writes its files beside the XML.
        self._caller = shutil.copy(scenario.folder / scenario.caller, self._directory)
        if scenario.called:
            called = shutil.copy(scenario.folder / scenario.called, self._directory)
            self._called = subprocess.Popen(
                ["sipp", "-sf", called, "-i", "127.0.0.1", "-p", str(self._called_port), "-nostdin"],
                cwd=self._directory, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip

    def close(self) -> None:
        if self._called is not None:
            self._called.kill()
            self._called.wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    def count(self, number: int, window: int) -> Outcome:
        """`number` calls, `window` of them at once."""
        return self._run(number, UNLIMITED, window)

    def closed(self, window: int, seconds: float) -> Outcome:
        """`window` calls at once, as many as the server managed in so many seconds the last time."""
        if not self._rate:
            self._rate = self._run(window * 4, UNLIMITED, window).rate
        made = self._run(max(int(self._rate * seconds), window), UNLIMITED, window)
        self._rate = made.rate or self._rate
        return made

    def paced(self, rate: float, seconds: float) -> Outcome:
        """`rate` calls a second for so long."""
        return self._run(max(int(rate * seconds), 1), rate, UNLIMITED)

    def _run(self, number: int, rate: float, window: int) -> Outcome:
        for old in self._directory.glob("*.csv"):
            old.unlink()
        arguments = [
            "sipp", f"127.0.0.1:{self._port}", "-sf", self._caller, "-i", "127.0.0.1", "-m", str(number),
            "-r", str(max(round(rate), 1)), "-l", str(window), "-nostdin",
            "-key", "called_port", str(self._called_port),
            "-trace_stat", "-stf", "stat.csv", "-trace_rtt", "-rtt_freq", "1",
            "-timeout", f"{number / max(rate, 1) + 30:.0f}s", "-recv_timeout", f"{(PATIENCE + self.delay) * 1e3:.0f}",
            "-t", "t1" if self._scenario.transport == "tcp" else "u1",
        ]  # fmt: skip
        begun = time.perf_counter()
        ran = subprocess.Popen(
            arguments, cwd=self._directory, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        assert ran.stderr is not None
        said = ran.stderr.read().decode(errors="replace")
        _, status, used = os.wait4(ran.pid, 0)
        ran.returncode = os.waitstatus_to_exitcode(status)
        return self._outcome(number, said, time.perf_counter() - begun, used.ru_utime + used.ru_stime)

    def _outcome(self, number: int, said: str, elapsed: float, used: float) -> Outcome:
        made = Outcome(sent=number, elapsed=elapsed, busy=used / elapsed)
        stat = self._directory / "stat.csv"
        if not stat.exists():
            made.wrong = [f"sipp: {said.strip()[-200:]}"]
            return made
        with stat.open() as stream:
            row = list(csv.DictReader(stream, delimiter=";"))[-1]
        made.answered = int(row["SuccessfulCall(C)"])
        made.elapsed = _epoch(row["CurrentTime"]) - _epoch(row["StartTime"])
        if int(row["FailedUnexpectedMessage(C)"]):
            made.wrong.append("something the scenario does not expect")
        if again := int(row["Retransmissions(C)"]):
            made.wrong.append(f"only after sipp had sent {again} messages again")
        for path in self._directory.glob("*_rtt.csv"):
            with path.open() as stream:
                for line in csv.DictReader(stream, delimiter=";"):
                    made.latency.add(float(line["response_time_ms"]) / 1e3 - self.delay)
        return made


def _epoch(text: str) -> float:
    """Seconds of sipp's date, time and seconds since 1970, with tabs between."""
    return float(text.split("\t")[-1])
