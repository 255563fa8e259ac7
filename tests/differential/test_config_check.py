"""`kamailio -c` and our parser on the same snippets: accepted or refused, and where the first error stands.

What Kamailio said of the snippets is on record (tests/wire/config_snippets.txt) and unit tests hold us to it; this
asks Kamailio again, so that the record cannot drift from the truth. `python -m tests.kit.snippets` renews it.
"""

from __future__ import annotations

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kit.known_host import KnownHost
from kit.programs import program
from kit.snippets import Snippet, ask_again, ask_kamailio, load

from kamailio_py.config.cfg_print import cfg_print
from kamailio_py.config.parser import CfgErrors, parse_text

pytestmark = pytest.mark.kamailio

FAST_EVERY = 12
EXAMPLES = Path("/usr/share/doc/kamailio/examples")


@pytest.fixture(autouse=True)
def kamailio() -> None:
    program("kamailio")


def drifted(snippets: list[Snippet]) -> list[str]:
    """Titles of those of which Kamailio now says something else than the record."""
    with ThreadPoolExecutor(2) as pool:
        renewed = list(pool.map(ask_again, snippets))
    return [
        f"{old.title}: {old.errors} is now {new.errors}"
        for old, new in zip(snippets, renewed, strict=True)
        if (old.accepted, old.errors[:1]) != (new.accepted, new.errors[:1])
    ]


def test_a_sample_of_the_record_is_what_kamailio_says() -> None:
    assert drifted(load()[::FAST_EVERY]) == []


@pytest.mark.slow
def test_the_whole_record_is_what_kamailio_says() -> None:
    assert drifted(load()) == []


@pytest.mark.slow
def test_examples_are_judged_as_kamailio_judges_them() -> None:
    """Module paths of the examples are taken off; modules that are not installed here do not count."""
    wrong = []
    for path in sorted(EXAMPLES.rglob("*.cfg")):
        if "ims" in path.parts or "kemi" in path.parts:
            continue  # they include files that are not shipped
        text = re.sub(r'loadmodule(\s+)"[^"]*/([^/"]+)"', r'loadmodule\1"\2"', path.read_text(encoding="latin-1"))
        text = re.sub(r"^(\s*)(mpath|loadpath)\b", r"\1#", text, flags=re.MULTILINE)
        accepted, errors, _ = ask_kamailio(text)
        absent = [at for at, words in errors if words == "failed to load module"]
        first = next((at for at, words in errors if at not in absent), "")
        try:
            parse_text(text, KnownHost(), path="/nowhere/x.cfg")
            ours = ""
        except CfgErrors as caught:
            ours = next((str(e.position) for e in caught.errors if e.message != "failed to load module"), "")
        if first != ours and not absent:
            wrong.append(f"{path}: Kamailio {first or accepted}, we {ours}")
    assert wrong == []


@pytest.mark.parametrize("defines", [[], ["WITH_NAT"], ["WITH_MYSQL", "WITH_AUTH", "WITH_TLS"]])
def test_cfg_print(defines: list[str]) -> None:

    options = [option for name in defines for option in ("-A", name)]
    stock = "/etc/kamailio/kamailio.cfg"
    done = subprocess.run(
        ["kamailio", "-f", stock, *options, "--cfg-print"], capture_output=True, encoding="latin-1", check=True
    )
    assert cfg_print(stock, defines) == done.stdout
