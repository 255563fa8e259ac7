"""Messages in a stream, cut where the other end likes to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamailio_py.transport.framing import BadFrame, Framer


def message(body: str = "", length: str | None = None, first: str = "OPTIONS sip:a SIP/2.0") -> str:
    length = f"Content-Length: {len(body)}\r\n" if length is None else length
    return f"{first}\r\nVia: SIP/2.0/TCP a\r\n{length}\r\n{body}"


def drained(framer: Framer) -> list[str]:
    found = []
    while (text := framer.message()) is not None:
        found.append(text)
    return found


def fed(text: str, **options: bool) -> list[str]:
    framer = Framer(16384, **options)
    framer.feed(text)
    return drained(framer)


@given(
    st.lists(
        st.tuples(st.text("ab\r\n: ", max_size=30), st.sampled_from(["", "\r\n", "\r\n\r\n", "\0", " \t"])), max_size=5
    ),
    st.lists(st.integers(1, 90), max_size=30),
)
def test_cuts_change_nothing(parts: list[tuple[str, str]], cuts: list[int]) -> None:
    messages = [message(body) for body, _ in parts]
    stream = "".join(before + text for text, (_, before) in zip(messages, parts, strict=True))
    framer, found, at = Framer(16384), [], 0
    for size in [*cuts, len(stream)]:
        framer.feed(stream[at : at + size])
        at += size
        found += drained(framer)
    assert found == messages
    assert framer.pings_seen == sum(before == "\r\n\r\n" for _, before in parts)


@pytest.mark.parametrize(
    ("stream", "pings"),
    [
        ("\r\n\r\n", 1), ("\r\n", 0), ("\r\n\r\n\r\n\r\n", 2), ("\r\n\r\n\r\n", 1), ("\n\n", 0), ("\0\0\r\n\r\n", 1),
        ("\r\n\r", 0), (" \r\n\r\n ", 1),
    ],
)  # fmt: skip
def test_keepalives(stream: str, pings: int) -> None:
    framer = Framer(1000)
    for char in stream:
        framer.feed(char)
        assert framer.message() is None
    assert framer.pings_seen == pings
    framer.feed(message())
    assert framer.message() == message()


def test_keepalives_are_blanks_without_crlf_ping() -> None:
    framer = Framer(1000, pings=False)
    framer.feed("\r\n\r\n" + message() + "\r\n\r\n")
    assert drained(framer) == [message()]
    assert framer.pings_seen == 0


@pytest.mark.parametrize("length", ["l: 3", "L:3", "CONTENT-LENGTH :\t3  ", "content-length: 003", "l: 9\r\nl: 3"])
def test_spellings(length: str) -> None:
    text = message("abc", f"{length}\r\n")
    assert fed(text + message()) == [text, message()]


def test_lines_that_end_in_lf_alone() -> None:
    text = message("abc").replace("\r\n", "\n")
    assert fed(text) == [text]


@pytest.mark.parametrize(
    "length", ["", "Content-Length: abc\r\n", "l: -1\r\n", "l:\r\n 4\r\n", "l: 1 2\r\n", "l: 99999999999\r\n"]
)
def test_bad_lengths(length: str) -> None:
    with pytest.raises(BadFrame):
        fed(message("abcd", length))


@pytest.mark.parametrize(("size", "fits"), [(100, True), (101, False)])
def test_limit(size: int, fits: bool) -> None:
    head = message("", "Content-Length: 00\r\n")
    text = message("x" * (size - len(head)), f"Content-Length: {size - len(head)}\r\n")
    assert len(text) == size
    framer = Framer(100)
    framer.feed(text)
    if fits:
        assert framer.message() == text
    else:
        with pytest.raises(BadFrame, match="overrun"):
            framer.message()


def test_headers_without_end_are_limited() -> None:
    framer = Framer(100)
    for _ in range(9):
        framer.feed("X: 12345\r\n")
        assert framer.message() is None
    framer.feed("X: 12345\r\n")
    with pytest.raises(BadFrame, match="overrun"):
        framer.message()


def http(headers: str = "", body: str = "") -> str:
    return f"GET / HTTP/1.1\r\nHost: a\r\n{headers}\r\n{body}"


def test_http_without_length() -> None:
    with_body = http("Content-Length: 3\r\n", "abc")
    assert fed(http() + with_body + http(), without_length=True) == [http(), with_body, http()]


def test_chunks_are_put_together() -> None:
    head = http("Transfer-Encoding: chunked\r\n")
    chunks = "5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\n\r\n"
    framer = Framer(1000, without_length=True)
    for char in head + chunks:
        assert framer.message() is None
        framer.feed(char)
    framer.feed(http())
    assert drained(framer) == [head + "helloabc", http()]


@pytest.mark.parametrize("chunks", ["x\r\n", "3\r\nabcd\r\n", "-1\r\n", "\r\n\r\n"])
def test_bad_chunks(chunks: str) -> None:
    with pytest.raises(BadFrame):
        fed(http("Transfer-Encoding: chunked\r\n", chunks), without_length=True)


def test_expected_body() -> None:
    framer = Framer(1000, without_length=True)
    head = http("Expect: 100-continue\r\nContent-Length: 2\r\n")
    framer.feed(head)
    assert framer.message() is None
    assert framer.expects
    framer.expects = False
    framer.feed("a")
    assert framer.message() is None
    assert not framer.expects, "asked for once"
    framer.feed("b")
    assert framer.message() == head + "ab"
