"""Declaring, finding and running RPC commands; scanning arguments; faults."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from kamailio_py.module import RpcFault, commands_of, rpc
from kamailio_py.rpc.call import Call, ScanFault
from kamailio_py.rpc.values import Members, Struct
from tests.kit.rpc import invoke


class Demo:
    """Commands of all sorts."""

    def rpcs(self) -> Any:
        return commands_of(self)

    @rpc("demo.sum", "dd", "Adds two numbers.", missing=(400, "Two numbers expected"))
    def sum(self, call: Call, a: int, b: int) -> int:
        return a + b

    @rpc("demo.greet", "S*S")
    def greet(self, call: Call, whom: str, greeting: str = "hello") -> str:
        return f"{greeting} {whom}"

    @rpc("demo.echo", array=True)
    def echo(self, call: Call) -> Iterator[str]:
        yield from call.rest("*.s")

    @rpc("demo.structure")
    def structure(self, call: Call) -> Iterator[Any]:
        repeated = Struct([("item", 1)])
        repeated.add("item", 2)
        yield {"repeated": repeated, "named": Members([("a", None)]), "plain": [1, 2.5, True]}

    @rpc("demo.stops", array=True)
    def stops(self, call: Call) -> Iterator[int]:
        yield 1
        raise RpcFault(404, "Not found")

    @rpc("demo.nothing")
    def nothing(self, call: Call) -> None:
        return None

    @rpc("demo.broken", "", "Fails.")
    def broken(self, call: Call) -> int:
        return 1 // 0


@pytest.fixture
def core() -> Any:
    return SimpleNamespace(modules={"demo": Demo()}, shm=None, commands=None)


@pytest.mark.parametrize(
    ("name", "arguments", "values"),
    [
        ("demo.sum", [2, 3], [5]),
        ("demo.greet", ["bob"], ["hello bob"]),
        ("demo.greet", ["bob", "moin"], ["moin bob"]),
        ("demo.echo", [], []),
        ("demo.echo", ["a", 1, 2.5], ["a", "1", "2"]),
        ("demo.nothing", [], []),
        ("system.methodHelp", ["demo.sum"], ["Adds two numbers."]),
        ("demo.structure", [], [
            {"repeated": Struct([("item", 1), ("item", 2)]), "named": Members([("a", None)]), "plain": [1, 2.5, True]}
        ]),
    ],
)  # fmt: skip
def test_answers(core: Any, name: str, arguments: list[Any], values: list[Any]) -> None:
    assert invoke(core, name, *arguments) == values


@pytest.mark.parametrize(
    ("name", "arguments", "code", "text"),
    [
        ("demo.sum", [2], 400, "Two numbers expected"),
        ("demo.sum", [2, "x"], 400, "Two numbers expected"),
        ("demo.greet", [], 400, "error at parameter 0: expected string type but end of packet encountered"),
        ("demo.greet", ["a", 1], 400, "error at parameter 1: expected string type but record doesn't match type"),
        ("demo.stops", [], 404, "Not found"),
        ("demo.broken", [], 500, "Internal error"),
        ("system.methodHelp", [], 400, "Method Name Expected"),
        ("system.methodHelp", ["demo.none"], 400, "command not found"),
        ("system.methodSignature", ["demo.sum"], 500, "Not Implemented Yet"),
    ],
)
def test_faults(core: Any, name: str, arguments: list[Any], code: int, text: str) -> None:
    with pytest.raises(RpcFault) as caught:
        invoke(core, name, *arguments)
    assert (caught.value.code, caught.value.text) == (code, text)


def test_names_are_sorted_and_the_first_of_a_name_stays(core: Any) -> None:
    names = invoke(core, "system.listMethods")
    assert names == sorted(names)
    assert {"demo.sum", "system.listMethods"} <= set(names)
    known = core.commands
    first = known.find("demo.sum")
    for command in commands_of(Demo()):
        known.add(command)
    assert known.find("demo.sum") is first


def test_scanning_converts_only_where_asked() -> None:
    call = Call(["12", "0x10", "x", 3.9])
    assert call.scan(".d.d") == [12, 16]
    with pytest.raises(ScanFault) as caught:
        call.scan(".d")
    assert not caught.value.absent
    assert call.scan("s.d") == ["x", 3]
    assert call.scan("*ss") == []
