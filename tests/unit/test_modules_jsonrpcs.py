"""jsonrpcs: documents byte for byte as Kamailio 5.6.3 writes them, requests of all sorts, cutting a FIFO's stream."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamailio_py.modules.jsonrpcs import document
from kamailio_py.modules.jsonrpcs.fifo import Documents
from kamailio_py.rpc.values import Members, Struct
from tests.kit.local import Local
from tests.kit.requests import request

CFG = """
debug=-3
loadmodule "sl"
loadmodule "pv"
loadmodule "xlog"
loadmodule "cfg_rpc"
loadmodule "jsonrpcs"
modparam("jsonrpcs", "transport", 8)
modparam("pv", "shvset", "a=i:1")
request_route {
    $var(before) = $jsonrpl(code);
    jsonrpc_exec("$hdr(X-Request)");
    $var(rc) = $rc;
    sl_send_reply("200", ": $var(before) $var(rc) $jsonrpl(code) $jsonrpl(text) $(jsonrpl(body){s.len})");
}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Local]:
    with Local(CFG) as made:
        yield made


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, "{\n}"),
        ({"a": {}}, '{\n\t"a":\t{\n\t}\n}'),
        ({"a": 1, "b": "x"}, '{\n\t"a":\t1,\n\t"b":\t"x"\n}'),
        ({"r": [1, "a"]}, '{\n\t"r":\t[1, "a"]\n}'),
        ({"r": [{"a": 1}, {"a": 2}]}, '{\n\t"r":\t[{\n\t\t\t"a":\t1\n\t\t}, {\n\t\t\t"a":\t2\n\t\t}]\n}'),
        (Struct([("x", 1), ("x", 2)]), '{\n\t"x":\t1,\n\t"x":\t2\n}'),
        (Members([("x", 1), ("x", 2)]), '[{\n\t\t"x":\t1\n\t}, {\n\t\t"x":\t2\n\t}]'),
        ([None, True, False], "[null, true, false]"),
        ([0.7, 2.0, 1e20, 1e-9, 1.5e10], "[0.700000, 2, 100000000000000000000, 1.000000e-09, 15000000000]"),
        ('q"\\/\b\f\n\r\t\x01\x7f\xe9', '"q\\"\\\\/\\b\\f\\n\\r\\t\\u0001\x7f\xe9"'),
    ],
)
def test_written(value: Any, text: str) -> None:
    assert document.write(value, True) == text
    assert json.loads(document.write(value, False), object_pairs_hook=list) == json.loads(text, object_pairs_hook=list)


def test_written_without_white_space() -> None:
    assert document.write({"a": [1, {"b": None}]}, False) == '{"a":[1,{"b":null}]}'


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'"\\u00e9\xc3\xa9\xff"', "\xc3\xa9\xc3\xa9\xff"),
        (b' \n{"a":1} and more', {"a": 1}),
        (b'"a\nb"', "a\nb"),
        (b'"\\ud800"', "?"),
    ],
)
def test_read(data: bytes, value: Any) -> None:
    assert document.read(data) == value


@pytest.mark.parametrize("data", [b"", b"garbage", b'{"a":1', b'{"a\0":1}', b"[" * 100_000, b"{'a':1}"])
def test_what_is_no_document(data: bytes) -> None:
    with pytest.raises(document.BadDocument):
        document.read(data)


@given(st.binary())
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(document.BadDocument):
        document.read(data)


def ask(server: Local, text: str) -> str | None:
    found = server.core.module("jsonrpcs")._run(text.encode("latin-1"))
    return None if found is None else " ".join(found.body.split())


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{"jsonrpc":"2.0","method":"core.echo","params":["a",1],"id":1}', '"result": ["a", "1"], "id": 1'),
        ('{"jsonrpc":"2.0","method":"core.echo","params":[2.5,true,1],"id":"x"}', '"result": ["2"], "id": "x"'),
        ('{"jsonrpc":"2.0","method":"core.echo","params":{"a":1,"b":"x"},"id":1.5}', '["1", "x"], "id": 1.500000'),
        ('{"jsonrpc":"2.0","method":"core.echo","params":5,"id":null}', '"result": [], "id": 0'),
        ('{"jsonrpc":"2.0","method":"core.printi","params":["a",2.7,true]}', '"result": [0, 2, 1] }'),
        ('{"jsonrpc":"2.0","method":"core.echo"}', '"result": [] }'),
        (
            '{"jsonrpc":"2.0","method":"nope","id":7}',
            '"error": { "code": 500, "message": "Method Not Found" }, "id": 7',
        ),
        ('{"jsonrpc":"1.0","method":"core.echo","id":1}', '"result": { }, "id": 1'),
        ('{"jsonrpc":2.0,"method":"core.echo","id":1}', '"result": { }, "id": 1'),
        ('{"jsonrpc":"2.0","method":5,"id":1}', '"result": { }, "id": 1'),
        ("{}", '"result": { } }'),
        ('[{"jsonrpc":"2.0","method":"core.echo","id":1}]', '"result": { } }'),
        ('{"jsonrpc":"2.0","method":"jsonrpc.echo","params":["a",7,5],"id":1}', '"result": ["a", 7]'),
        ('{"jsonrpc":"2.0","method":"jsonrpc.echo","params":["a","b",3],"id":1}', '"result": ["a", 0]'),
        ('{"jsonrpc":"2.0","method":"cfg.sets","params":["core","debug",9],"id":1}', '"result": { }'),
        ('{"jsonrpc":"2.0","method":"cfg.set","params":["core"],"id":1}', '"result": { }'),
        ('{"jsonrpc":"2.0","method":"cfg.get","id":1}', '{ "code": 500, "message": "Failed to get the parameters" }'),
        ('{"jsonrpc":"2.0","method":"cfg.help","params":["core","debug"],"id":1}', '"(parameter type is integer)"'),
    ],
)
def test_answers(server: Local, text: str, answer: str) -> None:
    found = ask(server, text)
    assert found is not None
    assert found.startswith('{ "jsonrpc": "2.0", ')
    assert answer in found


@pytest.mark.parametrize("text", ["", "garbage", '{"jsonrpc":"2.0","method":"core.echo","id":1'])
def test_no_answer_without_a_document(server: Local, text: str) -> None:
    assert ask(server, text) is None


@given(st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.lists(st.text()))
def test_any_id_and_any_argument_is_answered(server: Local, value: Any) -> None:
    text = json.dumps({"jsonrpc": "2.0", "method": "core.echo", "params": [value], "id": value})
    assert json.loads(ask(server, text) or "")["jsonrpc"] == "2.0"


def test_from_the_script(server: Local) -> None:
    def run(text: str) -> str:
        [reply] = server.inject(request("OPTIONS", extra=f"X-Request: {text}\r\n"))
        return reply.split("\r\n")[0].removeprefix("SIP/2.0 200 : ")

    assert run("garbage") == "0 -1 <null> <null> "
    assert run('{"jsonrpc":"2.0","method":"core.echo","id":1}') == "0 1 200 OK 46"
    assert run("garbage") == "200 -1 200 OK 46"
    assert run('{"jsonrpc":"2.0","method":"nope","id":1}').startswith("200 1 500 Method Not Found ")


REQUESTS = [b'{"a":1}', b' \n{"b":"}{\\"}\\\\"}', b'garbage {"c":{"d":[{}]}}', b'{"e":"\\\\\\""}']


@given(st.lists(st.sampled_from(REQUESTS)), st.data())
def test_a_stream_is_cut_into_documents_wherever_it_is_read(requests: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(requests)
    documents, found = Documents(), []
    while stream:
        count = data.draw(st.integers(1, len(stream)))
        found += documents.feed(stream[:count])
        stream = stream[count:]
    assert found == requests
    assert not documents.rest


def test_what_is_incomplete_does_not_spoil_the_next_request() -> None:
    documents = Documents()
    assert list(documents.feed(b'{"a":"{')) == []
    documents.forget()
    assert list(documents.feed(b'}}}{"b":1}')) == [b'}}}{"b":1}']
    assert list(documents.feed(b"{" * ((1 << 20) + 1))) == []
    assert list(documents.feed(b'{"c":1}')) == [b'{"c":1}']
