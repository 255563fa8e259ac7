"""Other Python interpreters of the machine read configs and headers as this one does.

What differs between patch releases is easily missed: possessive groups of regular expressions match too little before
3.11.5, which Debian 12 has not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
CANDIDATES = ("/usr/bin/python3", "python3", *(f"python3.{minor}" for minor in range(11, 16)), "pypy3")
READ = """
from pathlib import Path
from kit.known_host import KnownHost
from kamailio_py.config.parser import parse_file
for path in sorted(Path("cfg").glob("*.cfg")):
    print(path, parse_file(str(path), KnownHost()))
"""

PARSE = """
import random
from kamailio_py.script.transformations.uris import _split
from kamailio_py.sip.address_lists import parse_contacts, parse_routes
from kamailio_py.sip.digest import parse_credentials
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.nameaddr import split_values
from kamailio_py.sip.via import Via

def listed(parse):
    return lambda text: [(one.display, one.uri, one.params) for one in parse(text)]

def via(text):
    one = Via(text, 0, len(text))
    return one.transport, one.host, one.port, one.branch, one.received, one.rport, one.params, one.end

chance = random.Random(1)
parts = [
    '"a b"', '"x\\\\"y"', "<sip:a@b>", "<sip:a@b;x=1>", " ", ",", ";q=1", ";tag=2", "bob", "sip:c@d", '"', "<", ">",
    "\\\\", '"q,w"', ":", ';x="a,b"', ';branch=z9', 'realm="r"', ", ", 'nonce="n"', "uri=x", "a=", "b",
]
ways = [
    listed(parse_contacts), listed(parse_routes), split_values, _split,
    lambda text: parse_credentials("Digest " + text), lambda text: via("SIP/2.0/UDP h" + text),
]
for number in range(4000):
    text = "".join(chance.choice(parts) for _ in range(chance.randint(1, 7)))
    for way in ways:
        try:
            print(text, way(text))
        except BadMessage as bad:
            print(text, "bad", bad)
"""


def run_with(python: str, program: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(TOP), str(TOP / "tests")])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([python, "-c", program], cwd=TOP, env=environment, capture_output=True, text=True, timeout=60)


def others() -> list[str]:
    """One path for each interpreter that runs here and is not the one of the tests."""
    found = {}
    for name in CANDIDATES:
        path = shutil.which(name)
        if path is None:
            continue
        asked = subprocess.run(
            [path, "-c", "import sys; print(sys.version_info >= (3, 11), sys.version)"], capture_output=True, text=True
        )
        if asked.stdout.startswith("True"):
            found[asked.stdout] = path
    found.pop(f"True {sys.version}\n", None)
    return sorted(found.values())


@pytest.mark.parametrize("python", others() or [sys.executable])
@pytest.mark.parametrize(("program", "least"), [(READ, 5), (PARSE, 20_000)], ids=["configs", "headers"])
def test_interpreters_agree(python: str, program: str, least: int) -> None:
    expected, got = run_with(sys.executable, program), run_with(python, program)
    assert (expected.returncode, expected.stderr) == (0, "")
    assert expected.stdout.count("\n") >= least
    assert (got.returncode, got.stderr) == (0, "")
    assert got.stdout == expected.stdout
