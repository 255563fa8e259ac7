"""Config snippets with what real Kamailio 5.6 says of each, and how to ask it again.

The file tests/wire/config_snippets.txt holds blocks:

    === title [note]
    text of the config
    --- ok
    --- at line 4, column 17-20: words of an error          (one line for each error)
    --- log words that were logged without a place

A note in brackets says where we knowingly differ: "line" compares only the line of the first error, "refused" only that
there is one, "accepted" and "rejected" what we do where Kamailio does the opposite. `\\ no newline` ends a text without
one.

`python -m tests.kit.snippets` asks Kamailio again and rewrites the file.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

FILE = Path(__file__).parent.parent / "wire" / "config_snippets.txt"
NO_NEWLINE = "\\ no newline"
_TITLE = re.compile(r"=== (.*?)(?: \[([a-z]+)\])?\n")
_ERROR = re.compile(
    r"parse error in config file [^,]+, "
    r"(?P<at>(?:from )?line \d+, column \d+(?:-\d+| to line \d+, column \d+)?): ?(?P<words>.*)"
)
_LOGGED = re.compile(r"(?:ERROR|CRITICAL|WARNING|): (?:\w+|<core>) \[\S+\]: \w+\(\): (?P<words>.*)")


@dataclass
class Snippet:
    title: str
    text: str
    note: str = ""
    accepted: bool = True
    errors: list[tuple[str, str]] = field(default_factory=list)  # place, words
    logged: list[str] = field(default_factory=list)


def load() -> list[Snippet]:
    found = []
    with open(FILE, encoding="latin-1", newline="") as file:
        blocks = re.split(r"^(?==== )", file.read(), flags=re.MULTILINE)
    for block in blocks:
        if match := _TITLE.match(block):
            found.append(_parse(match[1], match[2] or "", block[match.end() :]))
    return found


def _parse(title: str, note: str, block: str) -> Snippet:
    lines = [f"{line}\n" for line in block.split("\n")[:-1]]
    first = next(number for number, line in enumerate(lines) if line.startswith("--- "))
    text = "".join(lines[:first])
    if text.endswith(NO_NEWLINE + "\n"):
        text = text[: -len(NO_NEWLINE) - 2]
    made = Snippet(title, text, note, accepted=lines[first] == "--- ok\n")
    for line in lines[first:]:
        kind, _, rest = line.removeprefix("--- ").rstrip("\n").partition(" ")
        if kind == "at":
            at, _, words = rest.partition(": ")
            made.errors.append((at, words))
        elif kind == "log":
            made.logged.append(rest)
    return made


def save(snippets: list[Snippet]) -> None:
    with open(FILE, "w", encoding="latin-1", newline="") as file:
        for each in snippets:
            note = f" [{each.note}]" if each.note else ""
            text = each.text if each.text.endswith("\n") else f"{each.text}\n{NO_NEWLINE}\n"
            file.write(f"=== {each.title}{note}\n{text}")
            if each.accepted:
                file.write("--- ok\n")
            else:
                file.write("--- refused\n")
            file.writelines(f"--- at {at}: {words}\n" for at, words in each.errors)
            file.writelines(f"--- log {words}\n" for words in each.logged)


def ask_kamailio(text: str) -> tuple[bool, list[tuple[str, str]], list[str]]:
    """Accepted, errors with their places, what was logged without one, of `kamailio -c`."""
    program = shutil.which("kamailio") or "/usr/sbin/kamailio"
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "x.cfg")
        Path(path).write_bytes(text.encode("latin-1"))
        done = subprocess.run(
            [program, "-f", path, "-c", "-Y", directory],
            capture_output=True, encoding="latin-1", timeout=30, cwd=directory, check=False,
        )  # fmt: skip
    errors, logged = [], []
    for line in done.stderr.splitlines():
        if match := _ERROR.search(line):
            errors.append((match["at"], match["words"].strip()))
        elif ("CRIT" in line or "ERROR" in line) and (match := _LOGGED.search(line)):
            logged.append(match["words"].replace(directory + "/", ""))
    return done.returncode == 0, errors, logged


def ask_again(each: Snippet) -> Snippet:
    accepted, errors, logged = ask_kamailio(each.text)
    return Snippet(each.title, each.text, each.note, accepted, errors, logged if not accepted else [])


if __name__ == "__main__":
    with ThreadPoolExecutor(2) as pool:
        renewed = list(pool.map(ask_again, load()))
    save(renewed)
    sys.stdout.write(f"{len(renewed)} snippets\n")
