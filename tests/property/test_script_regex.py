"""POSIX regexes in Python's `re` find what the C library's regexec() finds."""

from __future__ import annotations

import ctypes
import ctypes.util

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kamailio_py.script.regex import compile_posix

EXTENDED, ICASE, NEWLINE = 1, 2, 4


class Match(ctypes.Structure):
    _fields_ = [("start", ctypes.c_int), ("end", ctypes.c_int)]


_libc = ctypes.CDLL(ctypes.util.find_library("c"))


class Compiled:
    """A pattern of the C library; ValueError where it refuses one."""

    def __init__(self, pattern: str, flags: int) -> None:
        self.buffer = ctypes.create_string_buffer(256)
        if _libc.regcomp(self.buffer, pattern.encode("latin-1"), flags | EXTENDED):
            raise ValueError(pattern)

    def search(self, text: str) -> tuple[int, int] | None:
        match = (Match * 1)()
        if _libc.regexec(self.buffer, text.encode("latin-1"), 1, match, 0):
            return None
        return match[0].start, match[0].end

    def free(self) -> None:
        _libc.regfree(self.buffer)


def both(pattern: str, text: str, icase: bool = False, newline: bool = False) -> tuple[object, object]:
    """Where the leftmost match begins, by the C library and by us; "refused" for a pattern that is none."""
    flags = (ICASE if icase else 0) | (NEWLINE if newline else 0)
    try:
        compiled = Compiled(pattern, flags)
    except ValueError:
        theirs: object = "refused"
    else:
        found = compiled.search(text)
        theirs = None if found is None else found[0]
        compiled.free()
    try:
        match = compile_posix(pattern, icase=icase, newline=newline).search(text)
        ours: object = None if match is None else match.start()
    except ValueError:
        ours = "refused"
    return theirs, ours


_ATOMS = ["a", "b", "A", ".", "^", "$", "[ab]", "[^a]", "[a-c]", "[[:alpha:]]", "[[:digit:]x]", "[]a]", "[^]a]", "[a-]"]
_ATOMS += ["\\.", "\\\\", "[\\.]", "[[:space:]]", "(a|b)", "(ab)", "()", "\\+", "1", "\n", "[.]", "(^a)", "(b$)", "\\w"]
_SIGNS = ["", "", "", "*", "+", "?", "{2}", "{1,2}", "{0,1}", "{1,}", "|"]

patterns = st.lists(st.tuples(st.sampled_from(_ATOMS), st.sampled_from(_SIGNS)), min_size=1, max_size=5).map(
    lambda parts: "".join(atom + sign for atom, sign in parts)
)
texts = st.text(alphabet="abcAB1x.\\]- \n+", max_size=8)


@settings(max_examples=600, deadline=None)
@given(patterns, texts, st.booleans(), st.booleans())
def test_finds_what_the_c_library_finds(pattern: str, text: str, icase: bool, newline: bool) -> None:
    theirs, ours = both(pattern, text, icase, newline)
    assert ours == theirs, (pattern, text)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("^sip:[0-9]{3}@", "sip:123@x"),
        ("a{,2}", "aa"),
        ("a{x", "a{x"),
        ("[[:bogus:]]", "a"),
        ("[b-a]", "a"),
        ("(a", "a"),
        ("a)", "a"),
        ("[a", "a"),
        ("a\\", "a"),
        ("\\d", "d"),
        ("\\bsip", "a sip"),
        ("(a)\\1", "aa"),
        ("[\\]]", "\\]"),
        ("a**", "aaa"),
        ("(?:a)", "a"),
        ("^a|b$", "xb"),
        ("a|*b", "b"),
        ("*a", "a"),
        ("(*a)", "a"),
        ("^*a", "a"),
        ("a{1a}", "a{1a}"),
        ("x{3}{2}", "xxxxxx"),
        ("[[:upper:][:digit:]_-]+", "a-Z"),
        ("é", "é"),
    ],
)
def test_corners(pattern: str, text: str) -> None:
    theirs, ours = both(pattern, text)
    assert ours == theirs
