"""Scripts without a server: cfg text compiled against a small host, functions that note how they were called.

The host knows `$var $avp $rc` and the request's `$rU $ru $rm $si $sp`, a test's own functions, and the core's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from kamailio_py.config.arguments import Argument
from kamailio_py.config.compiler import compile_config
from kamailio_py.config.host import RouteType
from kamailio_py.config.nodes import Config, RouteKind
from kamailio_py.config.parser import parse_file
from kamailio_py.engine.core import Core
from kamailio_py.engine.core_functions import core_functions
from kamailio_py.module import Function, PVarExport
from kamailio_py.script import avp
from kamailio_py.script.context import Context
from kamailio_py.script.core_pvars import registry
from kamailio_py.script.pvars import Getter, Inner, PVarRegistry, Setter, inline
from kamailio_py.script.runtime import NAMESPACE
from kamailio_py.script.variables import VARS
from kamailio_py.sip.endpoint import ListenSocket
from kamailio_py.sip.message import Message

REQUEST = (
    "MESSAGE sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP 10.1.2.3:5062;branch=z9hG4bK1\r\n"
    "From: <sip:alice@example.test>;tag=f1\r\nTo: <sip:bob@example.test>\r\nCall-ID: c1\r\nCSeq: 1 MESSAGE\r\n"
    "Content-Length: 0\r\n\r\n"
)


class ScriptHost:
    """The names a script can use; `calls` is what its functions were called with, in order."""

    def __init__(self, core: Core) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.pvars: PVarRegistry = registry({})
        self._functions: dict[tuple[str, int], Function] = {}
        self._core = {(f.name, sum(a.written for a in f.arguments)): f for f in core_functions(core)}
        self.pvars.add(PVarExport("var", _var, _set_var))
        self.pvars.add(PVarExport("avp", lambda inner: avp.bind(inner, {}), lambda inner: avp.bind_set(inner, {})))
        self.pvars.add(PVarExport("ru", lambda inner: inline("ctx.msg.uri"), _set_uri, "str"))
        for name, source, kind in (
            ("rU", "ctx.msg.parsed_uri.user or None", "str"),
            ("rm", "ctx.msg.method", "str"),
            ("si", "ctx.msg.src_ip", "str"),
            ("sp", "ctx.msg.src_port", "int"),
        ):
            self.pvars.add(PVarExport(name, lambda inner, source=source: inline(source), None, kind))  # type: ignore[misc]

    def add(self, name: str, *arguments: Argument, result: int | Callable[..., int] = 1) -> None:
        """A function; it gives `result`, or what `result(ctx, *args)` gives."""

        def call(ctx: Context, *args: Any) -> int:
            self.calls.append((name, *args))
            return result(ctx, *args) if callable(result) else result

        written = sum(argument.written for argument in arguments)
        self._functions[name, written] = Function("test", name, arguments, RouteType.ANY, call)

    # config.host.Host

    def load_module(self, name: str) -> str:
        return name

    def add_module_path(self, path: str) -> None:
        pass

    def set_module_param(self, module: str, name: str, value: int | str) -> None:
        pass

    def set_global(self, name: str, value: int | str) -> None:
        pass

    def find_function(self, name: str, nargs: int) -> Function | None:
        return self._functions.get((name, nargs))

    def find_core_function(self, name: str, nargs: int) -> Function | None:
        return self._core.get((name, nargs))

    def function_names(self) -> Iterable[str]:
        return [name for name, _ in self._functions]

    def function_modules(self, name: str) -> Iterable[str]:
        return ()

    def pvar(self, text: str, strict: bool) -> Any:
        return self.pvars.parse(text, strict)

    def format(self, text: str) -> Any:
        return self.pvars.format(text)

    def select(self, text: str) -> Any:
        raise ValueError(f"no selects here: {text}")

    def evaluate(self, text: str) -> str:
        return text


class Script:
    """A cfg text, compiled; `run()` runs one of its blocks on a request."""

    def __init__(self, directory: Path, text: str, prepare: Callable[[ScriptHost], None] = lambda host: None) -> None:
        self.core = Core()
        self.host = ScriptHost(self.core)
        prepare(self.host)
        self.path = directory / "test.cfg"
        self.path.write_text(text, encoding="latin-1")
        self.config: Config = parse_file(str(self.path), self.host)
        self.program = compile_config(self.config, self.host, NAMESPACE)
        self.core.program = self.program
        self.socket = ListenSocket(0, "udp", "127.0.0.1", 5060)
        self.core.addresses.sockets.append(self.socket)

    @property
    def calls(self) -> list[tuple[Any, ...]]:
        return self.host.calls

    def context(self, text: str = REQUEST) -> Context:
        VARS.clear()
        return Context(self.core, Message(text, "10.1.2.3", 5062, self.socket))

    def run(self, name: str = "0", kind: RouteKind = RouteKind.REQUEST, ctx: Context | None = None) -> int:
        """Run a block as the server does; its result."""
        entry = self.program.find(kind, name)
        assert entry is not None
        return self.core.run(entry, ctx or self.context(), RouteType.REQUEST)


def _var(inner: Inner) -> Getter:
    name = inner.text

    def read(ctx: Context) -> int | str | None:
        return VARS[name]

    read.static = name  # type: ignore[attr-defined]
    return read


def _set_var(inner: Inner) -> Setter:
    name = inner.text

    def write(ctx: Context, value: int | str | None) -> bool:
        VARS[name] = 0 if value is None else value
        return True

    return write


def _set_uri(inner: Inner) -> Setter:
    def write(ctx: Context, value: int | str | None) -> bool:
        ctx.msg.new_uri = None if value is None else str(value)
        return True

    return write
