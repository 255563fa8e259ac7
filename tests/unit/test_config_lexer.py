"""Tokens: strings, numbers, addresses, pseudo-variables, comments, and where each stands."""

from __future__ import annotations

import pytest

from kamailio_py.config import tokens
from kamailio_py.config.errors import CfgError, CfgWarning
from kamailio_py.config.lexer import Lexer
from kamailio_py.config.source import Source
from kamailio_py.config.tokens import Token


class Reader:
    def __init__(self, text: str, defines: list[str] | None = None) -> None:
        self.errors: list[CfgError] = []
        self.warnings: list[CfgWarning] = []
        self.lexer = Lexer(
            Source("x.cfg", text), defines or [], lambda text: text, self.errors.append, self.warnings.append
        )

    def all(self) -> list[Token]:
        found = []
        while True:
            token = self.lexer.next()
            if token.kind == tokens.EOF:
                return found
            found.append(token)


def read(text: str, defines: list[str] | None = None) -> list[tuple[str, int | str]]:
    return [(token.kind, token.value) for token in Reader(text, defines).all()]


def value(text: str) -> int | str:
    (token,) = Reader(text).all()
    return token.value


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r'"a\n\r\t\a\"\\"', 'a\n\r\t\a"\\'),
        (r'"\x41\x4\x4a1"', "A\x04J1"),
        (r'"\101\12\7\378"', "A\n\\7\x1f8"),
        (r'"\e\1\8"', r"\e\1\8"),
        ('"a\\\nb"', "ab"),
        ('"a\nb"', "a\nb"),
        ('"a" "b"\n\t"c"', "abc"),
        ('""', ""),
        (r"'raw\n\x41 " + '"q"' + "'", r'raw\n\x41 "q"'),
        ("'a\nb'", "a\nb"),
        (r'"\\" "n"', "\\n"),
    ],
)
def test_strings(written: str, meant: str) -> None:
    assert value(written) == meant


def test_single_quoted_strings_are_not_joined() -> None:
    assert read("'a' 'b'") == [("STRING", "a"), ("STRING", "b")]


def test_a_comment_separates_strings() -> None:
    assert len(read('"a" /* x */ "b"')) == 2


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("0", 0), ("10", 10), ("0x1F", 31), ("017", 15), ("101b", 5), ("yes", 1), ("disable", 0), ("inet", 2),
        ("IPv6", 10), ("2147483648", -2147483648), ("4294967296", 0), ("0xffffffff", -1),
        ("99999999999999999999", -1),
    ],
)  # fmt: skip
def test_numbers(written: str, meant: int) -> None:
    assert read(written) == [("NUMBER", meant)]


@pytest.mark.parametrize("word", ["08", "1abc", "0x", "12b", "0xg"])
def test_words_that_begin_with_a_digit_and_are_no_numbers(word: str) -> None:
    assert read(word) == [("NUM_ID", word)]


@pytest.mark.parametrize("address", ["::", "::1", "fe80::", "2001:db8::1", "1:2:3:4:5:6:7:8", "a::b:c"])
def test_ipv6_addresses(address: str) -> None:
    assert read(address) == [("IPV6", address)]


def test_colons_elsewhere() -> None:
    assert [kind for kind, _ in read("udp:a:5060 uri:host msg:len case 1: x")] == [
        "udp", ":", "ID", ":", "NUMBER", "uri:host", "msg:len", "case", "NUMBER", ":", "ID",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "$var(x)", "$(ru{s.substr,0,(1)}{s.len})", "$(avp(x)[*])", "$xavp(a[1]=>b)", "$?", "$rc", "$retcode",
        "$sht(a=>$(ru{uri.user})::x)", "$(hdr(X)[-1]{re.subst,/^(.*)$/\\1/})",
    ],
)  # fmt: skip
def test_pseudo_variables_are_one_token(text: str) -> None:
    assert read(text + ";") == [("PVAR", text), (";", ";")]


def test_what_a_plain_dollar_name_is_depends_on_the_dialect() -> None:
    assert read("$ru") == [("AVP_OR_PVAR", "$ru")]
    assert read("#!KAMAILIO\n$ru") == [("PVAR", "$ru")]
    assert read("#!SER\n$ru") == [("ATTR", "ru")]
    assert read("//!OPENSER\n$ru\n#!MAXCOMPAT\n$ru") == [("PVAR", "$ru"), ("AVP_OR_PVAR", "$ru")]
    assert read("$fu.name %x $tags") == [("ATTR", "fu.name"), ("ATTR", "x"), ("AVP_OR_PVAR", "$tags")]


def test_a_dialect_line_with_something_behind_it_is_a_comment() -> None:
    reader = Reader("#!KAMAILIO \n$ru")
    assert reader.all()[0].kind == "AVP_OR_PVAR"
    assert "nothing may follow" in reader.warnings[0].message


def test_selects() -> None:
    assert read('@a.b["c"].d[-1].e == 1') == [("SELECT", 'a.b["c"].d[-1].e'), ("==", "=="), ("NUMBER", 1)]


def test_comments() -> None:
    assert read("a # b\nc // d\ne /* f /* g */ h */ i /**/ j\n# k") == [("ID", word) for word in "aceij"]


def test_keywords_are_words_of_their_own() -> None:
    assert [kind for kind, _ in read("and or not if iff sethost rewritehost shm_mem TCP")] == [
        "&&", "||", "!", "if", "ID", "rewritehost", "rewritehost", "shm", "tcp",
    ]  # fmt: skip


def test_places() -> None:
    first, second, third = Reader('ab "c\nd"\n  efg').all()
    assert (first.line, first.column, first.end_column) == (1, 1, 2)
    assert (second.line, second.column, second.end_line, second.end_column) == (1, 4, 2, 2)
    assert (third.line, third.column) == (3, 3)


def test_tokens_of_a_define_stand_where_its_name_stands() -> None:
    found = Reader("#!define LONG a b c\nx LONG y\nz").all()
    assert [(token.value, token.line, token.column) for token in found] == [
        ("x", 2, 1), ("a", 2, 3), ("b", 2, 3), ("c", 2, 3), ("y", 2, 8), ("z", 3, 1),
    ]  # fmt: skip


def test_characters_that_mean_nothing_are_ignored_with_a_warning() -> None:
    reader = Reader("a ` \xe4 b")
    assert [token.value for token in reader.all()] == ["a", "b"]
    assert len(reader.warnings) == 2


def test_an_open_string_is_reported_where_it_begins() -> None:
    reader = Reader('a\n  "b\nc\n')
    assert [token.value for token in reader.all()] == ["a"]
    assert reader.errors[0].message == "cfg. parser: unexpected EOF in unclosed string"
    assert (reader.errors[0].line, reader.errors[0].column) == (2, 3)
