"""Pseudo-variables and transformations: the module `pv` of Kamailio.

What the variables stand for is in files by noun, each with a table of them; here are the parameters and what has to be
made when the server starts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kamailio_py.module import Param, PVarExport, RpcFault, rpc
from kamailio_py.rpc.call import Call, ScanFault
from kamailio_py.rpc.values import Struct
from kamailio_py.script.avp import Name, parse_name
from kamailio_py.script.transformations.lines import LINES
from kamailio_py.script.transformations.params import PARAMS
from kamailio_py.script.transformations.strings import STRINGS
from kamailio_py.script.transformations.uris import NAMEADDRS, TOBODIES, URIALIASES, URIS
from kamailio_py.script.values import parse_int
from kamailio_py.script.variables import VARS

from . import addresses, branches, credentials, flags, headers, messages, server, sockets, times, uris, variables, xavps
from .functions import PvFunctions
from .shared import SharedVariables

TABLES = (
    uris.PVARS, addresses.PVARS, headers.PVARS, messages.PVARS, flags.PVARS, sockets.PVARS, branches.PVARS,
    credentials.PVARS, times.PVARS, server.PVARS,
)  # fmt: skip


def _assignment(text: str) -> tuple[str, int | str]:
    """`name=i:number` or `name=s:text`, as the parameters shvset and varset have it."""
    name, equals, value = text.partition("=")
    kind, colon, value = value.partition(":")
    if not equals or not colon or not name or kind not in ("i", "I", "s", "S"):
        raise ValueError(f"unable to set shv parame [{text}]")
    if kind in "sS":
        return name, value
    number = parse_int(value)
    if number is None:
        raise ValueError(f"bad integer value in [{text}]")
    return name, number


class Pv(PvFunctions):
    """See the head of the file."""

    name = "pv"
    transformations = {
        "s": STRINGS,
        "uri": URIS,
        "param": PARAMS,
        "nameaddr": NAMEADDRS,
        "tobody": TOBODIES,
        "line": LINES,
        "urialias": URIALIASES,
    }
    shvset = Param(str, setter="set_shared")
    varset = Param(str, setter="set_variable")
    avp_aliases = Param(str, setter="set_aliases")

    def __init__(self, core: Any) -> None:
        super().__init__(core)
        self.aliases: dict[str, Name] = {}
        self.initial: dict[str, int | str] = {}
        self.shared: SharedVariables = None  # type: ignore[assignment]  # made by mod_init

    def set_shared(self, text: str) -> None:
        """`name=i:number` or `name=s:text`: a shared variable's first value."""
        name, value = _assignment(text)
        self.initial[name] = value

    def set_variable(self, text: str) -> None:
        name, value = _assignment(text)
        VARS[name] = value

    def set_aliases(self, text: str) -> None:
        """`alias=s:name;other=i:5`."""
        for part in text.split(";"):
            alias, equals, name = part.partition("=")
            if part.strip():
                if not equals or not alias.strip() or not name.strip():
                    raise ValueError(f"parse error in alias definition [{text}]")
                self.aliases[alias.strip()] = parse_name(name.strip(), self.aliases)

    def mod_init(self) -> None:
        times.Start.seconds = int(self.core.clock.now())
        self.shared = SharedVariables(self.core.shm)
        for name, value in self.initial.items():
            self.shared.set(name, value)

    def pvars(self) -> Iterable[PVarExport]:
        for table in TABLES:
            yield from table.exports
        yield from variables.exports(self.aliases, lambda: self.shared)
        yield from xavps.exports()

    @rpc("pv.shvGet", "*S", "The value of a shared variable, or of all of them")
    def shv_get(self, call: Call, name: str | None = None) -> Any:
        known = dict(self.shared.items())
        if name is None:
            return {"items": Struct(("shv", _described(name, value)) for name, value in known.items())}
        if name not in known:
            raise RpcFault(404, "Variable not found")
        return _described(name, known[name])

    @rpc("pv.shvSet", "", "Set a shared variable: its name, int or str, and the value")
    def shv_set(self, call: Call) -> Any:
        usage = "(Parameters: varname type value)"

        def scanned(letter: str, what: str) -> Any:
            try:
                return call.scan(letter)[0]
            except ScanFault:
                raise RpcFault(500, f"Missing {what} {usage}") from None

        name = scanned("S", "parameter varname")
        kind = scanned("S", "parameter type").lower()
        if kind == "int":
            value = scanned("d", "integer parameter value")
        elif kind == "str":
            value = scanned("S", "string parameter value")
        else:
            raise RpcFault(500, "Unknown parameter type (Types: int or str)")
        if name not in dict(self.shared.items()):
            raise RpcFault(404, "Variable not found")
        self.shared.set(name, value)
        return "Ok. Variable set to new value."


def _described(name: str, value: int | str) -> dict[str, Any]:
    return {"name": name, "type": "int" if isinstance(value, int) else "string", "value": value}
