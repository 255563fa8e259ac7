"""Whether two servers say the same: what came back in one exchange, without what differs by nature."""

from __future__ import annotations

import difflib
import re

_NATURE: list[tuple[re.Pattern[str], str]] = [
    (re.compile(r";branch=z9hG4bK[^;,\s]*"), ";branch=*"),
    (re.compile(r'nonce="[^"]*"'), 'nonce="*"'),
    (re.compile(r";expires=\d+"), ";expires=*"),
]
_LEFT_OUT = ("server:", "user-agent:", "date:")


def canonical(messages: list[bytes], run: str, local: str) -> list[str]:
    """Lines of all messages the generator at `local` got, numbers, tags, branches, nonces and seconds taken out."""
    ours = re.compile(re.escape(run) + r"\d{8}")
    found = []
    for message in messages:
        head, _, body = message.decode("latin-1").partition("\r\n\r\n")
        lines = []
        for line in head.split("\r\n"):
            if line.lower().startswith(_LEFT_OUT):
                continue
            line = ours.sub("ID", line).replace(local, "LOCAL").replace(local.partition(":")[2], "PORT")
            for pattern, text in _NATURE:
                line = pattern.sub(text, line)
            if line.startswith("To:"):
                line = re.sub(r";tag=(?!called)[^;>\s]+", ";tag=*", line)
            lines.append(line)
        found.append([*lines, *body.split("\r\n")] if body else lines)
    # Two parties share one socket, and which of them hears first is chance.
    return [line for lines in sorted(found) for line in lines]


def difference(first: list[str], second: list[str]) -> str:
    """The first lines that differ, "" if none do."""
    changed = [line for line in difflib.ndiff(first, second) if line[0] in "-+"]
    return "; ".join(changed[:4])
