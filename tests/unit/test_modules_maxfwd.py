"""The maxfwd module: Max-Forwards counted down in the received text, as observed on Kamailio 5.6.3."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kit.local import Local
from kit.requests import request

from kamailio_py.script.context import Context
from kamailio_py.sip.message import Message


@pytest.fixture(scope="module")
def server() -> Iterator[Local]:
    with Local('loadmodule "maxfwd"\nrequest_route { ; }') as made:
        yield made


def context(server: Local, header: str) -> Context:
    return Context(server.core, Message(request(extra=header)))


def max_forwards(ctx: Context) -> str:
    return next(line for line in ctx.msg.text.split("\r\n") if line.startswith("Max-Forwards"))


@pytest.mark.parametrize(
    ("header", "result", "after"),
    [
        ("Max-Forwards: 10", 1, "Max-Forwards:  9"),
        ("Max-Forwards: 1", 1, "Max-Forwards: 0"),
        ("Max-Forwards: 70", 1, "Max-Forwards: 69"),
        ("Max-Forwards: 71", 1, "Max-Forwards: 70"),
        ("Max-Forwards:   0071   ", 1, "Max-Forwards:     70   "),
        ("Max-Forwards: 255", 1, "Max-Forwards:  70"),
        ("Max-Forwards: 70000", 1, "Max-Forwards:    70"),
        ("Max-Forwards: 0", -1, "Max-Forwards: 0"),
        ("Max-Forwards: ", -1, "Max-Forwards: "),
        ("Max-Forwards: x1", -2, "Max-Forwards: x1"),
        ("Max-Forwards: 655350", -2, "Max-Forwards: 655350"),
    ],
)
def test_counted_down(server: Local, header: str, result: int, after: str) -> None:
    ctx = context(server, header)
    assert server.core.module("maxfwd").process(ctx, 10) == result
    assert max_forwards(ctx) == after
    assert ctx.msg.header("max-forwards") == after.partition(":")[2].strip()
    assert not ctx.msg.has_lumps


def test_missing_header_is_put_first(server: Local) -> None:
    ctx = context(server, "")
    assert server.core.module("maxfwd").process(ctx, 10) == 2
    text = ctx.msg.lumps.apply(ctx.msg.text)
    assert text.split("\r\n")[1] == "Max-Forwards: 10"


def test_limit_of_the_module(server: Local) -> None:
    module: Any = server.core.module("maxfwd")
    module.max_limit = 5
    try:
        ctx = context(server, "Max-Forwards: 70")
        assert module.process(ctx, 10) == 1
        assert max_forwards(ctx) == "Max-Forwards:  5"
    finally:
        del module.max_limit


@pytest.mark.parametrize("limit", [-1, 256])
def test_impossible_limits(server: Local, limit: int) -> None:
    ctx = context(server, "Max-Forwards: 10")
    assert server.core.module("maxfwd").process(ctx, limit) == -1
    assert server.core.module("maxfwd").lower(ctx, limit) == -1
    assert max_forwards(ctx) == "Max-Forwards: 10"


@pytest.mark.parametrize(
    ("header", "limit", "result"),
    [
        ("Max-Forwards: 9", 10, 1), ("Max-Forwards: 10", 10, -1), ("Max-Forwards: 11", 10, -1), ("", 10, -2),
        ("Max-Forwards: x", 10, -3), ("Max-Forwards: ", 10, 1),
    ],
)  # fmt: skip
def test_lower_than(server: Local, header: str, limit: int, result: int) -> None:
    assert server.core.module("maxfwd").lower(context(server, header), limit) == result
