"""permissions: rule files, address files, matching."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamailio_py.modules.permissions.addresses import Addresses, Row, check_row, read_file
from kamailio_py.modules.permissions.rules import found, parse_line, read_rules
from kamailio_py.modules.permissions.trusted import Peer, Trusted
from kamailio_py.modules.permissions.trusted import check_row as check_peer
from kamailio_py.script.regex import compile_posix, extended


def test_a_rule() -> None:
    rule = parse_line('"^sip:a,b@", ^sip:c EXCEPT "x" : ALL EXCEPT "^sip:0" # comment')
    assert rule is not None
    assert found([rule], "sip:a,b@h", "sip:1@h")
    assert found([rule], "SIP:C@h", "sip:1@h")
    assert not found([rule], "sip:cx@h", "sip:1@h")
    assert not found([rule], "sip:c@h", "sip:0@h")


@pytest.mark.parametrize(
    "line", ["", "   \n", "# only a comment", "no colon", ": right", "left :", "a, : b", '"[" : ALL']
)
def test_no_rule(line: str) -> None:
    assert parse_line(line) is None


@given(st.text(st.characters(max_codepoint=255)))
def test_any_line_is_a_rule_or_none(line: str) -> None:
    parse_line(line)


def test_a_missing_file_has_no_rules(tmp_path: Path) -> None:
    assert read_rules(str(tmp_path / "nosuch")) == []


def test_an_address_file_says_where_it_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "addresses"
    for line, problem in (
        ("1", "address is missing"),
        ("x 1.2.3.4", "invalid literal"),
        ("1 1.2.3.4 33", "invalid mask"),
    ):
        file.write_text(f"1 10.0.0.1\n{line}\n")
        with pytest.raises(ValueError, match=f"line 2: .*{problem}"):
            read_file(str(file))


ADDRESSES = st.integers(0, 2**32 - 1).map(lambda n: ".".join(str(n >> shift & 255) for shift in (24, 16, 8, 0)))


@given(st.lists(st.tuples(st.integers(1, 3), ADDRESSES, st.integers(0, 32), st.sampled_from([0, 5060]))), ADDRESSES)
def test_what_is_found_is_in_the_network(rows: list[tuple[int, str, int, int]], address: str) -> None:
    from ipaddress import ip_address, ip_network

    table = Addresses([check_row((*row, None)) for row in rows])
    for group in (1, 2, 3, None):
        row = table.find(address, 5060, group)
        matching = [
            r for r in rows
            if group in (None, r[0]) and ip_address(address) in ip_network(f"{r[1]}/{r[2] or 32}", strict=False)
        ]  # fmt: skip
        assert (row is not None) == bool(matching)


def test_too_many_networks_are_left_out() -> None:
    rows = [Row(1, f"10.{n}.0.0", 16, 0, None) for n in range(5)]
    assert len(Addresses(rows, max_subnets=3).subnets) == 3


def test_a_bad_pattern_matches_nobody() -> None:
    """Real Kamailio's process dies of it."""
    assert not Peer("10.0.0.3", "any", "[", None, None, 0).matches("sip:a@b", "sip:c@d")
    with pytest.raises(ValueError, match="unknown protocol"):
        check_peer(("10.0.0.3", "nothing", None, None, None, 0))


def test_peers_of_higher_priority_come_first() -> None:
    peers = Trusted([("a", "any", None, None, str(n), n) for n in (1, 3, 2)]).peers["a"]
    assert [peer.tag for peer in peers] == ["3", "2", "1"]


@pytest.mark.parametrize(
    ("basic", "text", "matches"),
    [
        ("a+", "aa", False),
        ("a+", "a+", True),
        (r"a\+", "aa", True),
        (r"\(a\|b\)c", "bc", True),
        ("(a|b)", "a", False),
        ("*a", "*a", True),
        ("^*a", "*a", True),
        ("[+(]x", "(x", True),
        ("[]+]x", "+x", True),
        (r"a\{2\}", "aa", True),
        (r"a\.b", "axb", False),
    ],
)
def test_basic_regular_expressions(basic: str, text: str, matches: bool) -> None:
    assert bool(compile_posix(extended(basic)).search(text)) is matches
