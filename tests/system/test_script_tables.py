"""Transformations, pseudo-variables and selects have the values that real Kamailio gives them."""

from __future__ import annotations

import pytest
from tables.runner import compare_cases, compare_table, read, read_cases, read_message, read_table

pytestmark = pytest.mark.kamailio

CUSTOM = 'g.v = 5 desc "a number"\ng.s = "str" desc "a text"\n'
PARAMETERS = """
modparam("pv", "shvset", "i1=i:10")
modparam("pv", "shvset", "s1=s:str")
modparam("pv", "varset", "vi=i:7")
modparam("pv", "varset", "vs=s:q")
modparam("pv", "varset", "vp=s:plain")
modparam("pv", "avp_aliases", "al=s:real;n2=i:77")
"""
REQUEST = read_message("minimal.sip")


def _agree(differences: list[str]) -> None:
    assert not differences, "\n".join(differences)


def test_string_transformations() -> None:
    comment_and_setup, names, members = read("strings.table").split("--\n")
    setup = comment_and_setup.partition("\n")[2]
    expressions = [
        f"$({name}{{{member}}})"
        for member in members.split("\n")[:-1]
        for name in names.split("\n")[:-1]
        # Kamailio writes the lines over the digits it makes them of
        if not (name == "avp(neg)" and member.startswith("s.fmtline"))
    ]
    _agree(compare_table(expressions, [REQUEST], setup))


@pytest.mark.parametrize("name", ["parameters", "addresses", "codes", "uris"])
def test_transformations(name: str) -> None:
    setup, expressions = read_table(f"{name}.table")
    _agree(compare_table(expressions, [REQUEST], setup))


def test_pseudo_variables() -> None:
    _, expressions = read_table("pseudo_variables.table")
    messages = [read_message(f"{name}.sip") for name in ("full", "minimal", "reply", "compact", "blanks")]
    _agree(compare_table(expressions, messages, head=CUSTOM))


def test_selects() -> None:
    _, expressions = read_table("selects.table")
    messages = [read_message(f"{name}.sip") for name in ("full", "minimal", "reply", "compact", "blanks")]
    _agree(compare_table(expressions, messages, head=CUSTOM))


def test_selects_by_name() -> None:
    setup, expressions = read_table("selects_by_name.table")
    _agree(compare_table(expressions, [read_message("full.sip"), REQUEST], setup, head=CUSTOM))


def test_assignments() -> None:
    _agree(compare_cases(read_cases("assignments.cases"), head=CUSTOM + PARAMETERS))
