"""Transformations: what encoding and decoding, cutting and joining have to do with each other, for any text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamailio_py.script.transformations import encodings
from kamailio_py.script.transformations.base import Cursor
from kamailio_py.script.transformations.params import parse_params
from kamailio_py.script.transformations.strings import STRINGS

texts = st.text(st.characters(max_codepoint=255), max_size=60)
plain = st.text("abcXYZ019-_", min_size=1, max_size=8)


def applied(member: str, value: object) -> object:
    """`value` through `{s.member}`; no parameter here is a pseudo-variable."""
    text = member + "}"
    cursor = Cursor(text, 0, None)  # type: ignore[arg-type]
    apply = STRINGS(cursor)
    assert cursor.rest() == "}"
    return apply(None, value)  # type: ignore[arg-type]


@pytest.mark.parametrize("code", ["hexa", "base64", "base64t", "base64url", "base64urlt", "base58"])
@given(text=texts)
def test_decoding_gives_back_what_was_encoded(code: str, text: str) -> None:
    decoded = applied(f"decode.{code}", applied(f"encode.{code}", text))
    # Kamailio's base64url decoder has nothing to say about nothing
    assert decoded == (None if not text and "url" in code else text)


@given(st.text(st.characters(max_codepoint=127), max_size=30))
def test_seven_bits(text: str) -> None:
    decoded = applied("decode.7bit", applied("encode.7bit", text))
    assert isinstance(decoded, str)
    # eight septets fill seven bytes: a last one of seven zero bits cannot be told from padding
    assert decoded.rstrip("\0") == text.rstrip("\0")


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40))
def test_percent_escapes(text: str) -> None:
    for escape in (encodings.escape_user, encodings.escape_param):
        escaped = escape(text)
        assert escaped is not None
        assert encodings.unescape_percent(escaped) == text
    assert encodings.urldecode(encodings.urlencode(text)) == text


@given(texts)
def test_common_escapes(text: str) -> None:
    assert encodings.unescape_common(encodings.escape_common(text)) == text


@given(texts, st.integers(-70, 70), st.integers(0, 70))
def test_substr_is_a_slice(text: str, start: int, length: int) -> None:
    at = start + len(text) if start < 0 else start
    expected = text[at : at + length] if length else text[at:]
    assert applied(f"substr,{start},{length}", text) == (expected if 0 <= at < len(text) else None)


@given(st.lists(plain, min_size=1, max_size=6), st.integers(-8, 8))
def test_select_is_an_item(items: list[str], index: int) -> None:
    expected = items[index] if -len(items) <= index < len(items) else ""
    assert applied(f"select,{index},;", ";".join(items)) == expected


@given(texts)
def test_nothing_fails_on_any_text(text: str) -> None:
    for member in ("md5", "rmws", "numeric", "trim", "unquote", "unbracket", "int", "decode.7bit", "unescape.user"):
        applied(member, text)
    for member in ("fmtlines,3,2", "prefixes,2", "corehash,16", "before,x", "rafter,x", "count,x", "stripto,x"):
        assert applied(member, text) is not None


@given(st.dictionaries(plain, plain, min_size=1, max_size=5))
def test_parameters_are_read_as_written(params: dict[str, str]) -> None:
    written = ";".join(f'{name}="{value}"' for name, value in params.items())
    assert parse_params(written) == tuple(params.items())


@given(texts)
def test_parameters_of_any_text(text: str) -> None:
    found = parse_params(text)
    assert found is None or all(len(item) == 2 for item in found)
