"""xmlrpc: documents that are none or would grow, values of every kind, what the script needs."""

from __future__ import annotations

import xmlrpc.client
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamailio_py.modules.xmlrpc.document import DEEPEST, BadDocument, BadRequest, Writer, read
from kamailio_py.rpc.values import Members, Struct
from tests.kit.local import Local

CFG = """
debug=-3
loadmodule "sl"
loadmodule "pv"
loadmodule "xmlrpc"
request_route { dispatch_rpc(); }
"""
BOMB = """<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<methodCall><methodName>core.echo</methodName><params><param><value>&b;</value></param></params></methodCall>"""
writer = Writer(True, False)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_bombs_are_no_documents(encoding: str) -> None:
    with pytest.raises(BadDocument):
        read(BOMB.encode(encoding))


def test_neither_are_files_of_others() -> None:
    with pytest.raises(BadDocument):
        read(b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><methodCall><methodName>x</methodName></methodCall>')


def test_depth_has_an_end() -> None:
    inner = "<value><array><data>" * DEEPEST + "</data></array></value>" * DEEPEST
    text = f"<methodCall><methodName>x</methodName><params><param>{inner}</param></params></methodCall>"
    with pytest.raises(BadDocument):
        read(text.encode())


@given(st.binary(max_size=200))
def test_any_bytes_are_answered(data: bytes) -> None:
    for text in (data, b"<methodCall><methodName>" + data + b"</methodName></methodCall>"):
        try:
            read(text)
        except (BadDocument, BadRequest):
            continue


values = st.recursive(
    st.integers(-(2**31), 2**31 - 1) | st.booleans() | st.text("aB<&>\"' \xe9"), lambda inner: st.lists(inner)
    | st.dictionaries(st.text("ab", min_size=1), inner), max_leaves=8,
)  # fmt: skip


@given(values)
def test_answers_are_read_by_others(value: Any) -> None:
    """The standard library's client reads what is written."""
    (found,), _ = xmlrpc.client.loads(writer.answer([value], array=False).encode("latin-1").decode("latin-1"))
    assert found == value


@given(st.lists(st.integers(-(2**31), 2**31 - 1) | st.text("a<&>b", min_size=1) | st.booleans()))
def test_requests_of_others_are_read(arguments: list[Any]) -> None:
    request = read(xmlrpc.client.dumps(tuple(arguments), "some.command").encode())
    assert (request.method, request.arguments) == ("some.command", arguments)


def test_repeated_names() -> None:
    pairs = [("a", 1), ("a", 2)]
    (members, struct), _ = xmlrpc.client.loads(
        writer.answer([Members(pairs), Struct(pairs)], array=True)
        .replace("<value><array><data>\n", "", 1)
        .replace("</data></array></value>\n</param>", "</param>")
        .replace("</value>\n<value>", "</value></param><param><value>")
    )
    assert members == [{"a": 1}, {"a": 2}]
    assert struct == {"a": 2}


def test_dispatch() -> None:
    with Local(CFG) as server:
        answer = server.core.module("xmlrpc").answer
        (version,), _ = xmlrpc.client.loads(answer(xmlrpc.client.dumps((), "core.version")))
        assert version.startswith("kamailio 5.6.3")
        for text, code in (("", 400), (BOMB, 400), (xmlrpc.client.dumps((), "nope"), 500)):
            with pytest.raises(xmlrpc.client.Fault) as fault:
                xmlrpc.client.loads(answer(text))
            assert fault.value.faultCode == code
