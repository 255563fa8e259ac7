"""A few hundred snippets: accepted or refused as real Kamailio does, and the first error at its place in its words."""

from __future__ import annotations

import pytest
from kit.known_host import KnownHost
from kit.snippets import Snippet, load

from kamailio_py.config.errors import CfgError
from kamailio_py.config.parser import CfgErrors, parse_text

SNIPPETS = load()


def errors_of(text: str) -> list[CfgError]:
    try:
        parse_text(text, KnownHost(), path="/etc/x.cfg")
    except CfgErrors as several:
        return several.errors
    return []


def disagreement(snippet: Snippet, errors: list[CfgError]) -> str:
    """What differs from Kamailio's answer, "" if nothing that the snippet's note does not allow."""
    if snippet.note in ("accepted", "rejected"):
        assert snippet.accepted == (snippet.note == "rejected"), "the note is out of date"
        return "" if (not errors) == (snippet.note == "accepted") else f"we say {errors}"
    if snippet.accepted != (not errors):
        return f"Kamailio says {snippet.errors or snippet.logged or 'ok'}, we say {errors or 'ok'}"
    if not snippet.errors or snippet.note == "refused":
        return ""
    place = snippet.errors[0][0]
    if snippet.note == "line":
        line = int(place.partition("line ")[2].partition(",")[0])
        return "" if errors[0].line == line else f"line {errors[0].line} instead of {line}"
    if str(errors[0].position) != place:
        return f"{errors[0].position} instead of {place}"
    words = [words for _, words in snippet.errors] + snippet.logged
    return "" if errors[0].message in words else f"{errors[0].message!r} instead of one of {words}"


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda snippet: snippet.title)
def test_snippet_is_judged_as_kamailio_judges_it(snippet: Snippet) -> None:
    assert disagreement(snippet, errors_of(snippet.text)) == ""


def test_there_are_snippets_of_both_kinds() -> None:
    assert sum(snippet.accepted for snippet in SNIPPETS) > 150
    assert sum(not snippet.accepted for snippet in SNIPPETS) > 250
