"""Other Python interpreters of the machine read configs as this one does.

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
import sys
if sys.version_info < (3, 11):
    sys.exit(77)
from pathlib import Path
from kit.known_host import KnownHost
from kamailio_py.config.parser import parse_file
for path in sorted(Path("cfg").glob("*.cfg")):
    print(path, parse_file(str(path), KnownHost()))
"""


def read_with(python: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(TOP), str(TOP / "tests")])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([python, "-c", READ], cwd=TOP, env=environment, capture_output=True, text=True, timeout=60)


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
def test_the_shipped_configs_are_read_alike(python: str) -> None:
    expected, got = read_with(sys.executable), read_with(python)
    assert (expected.returncode, expected.stderr) == (0, "")
    assert expected.stdout.count("cfg/") >= 5
    assert (got.returncode, got.stderr) == (0, "")
    assert got.stdout == expected.stdout
