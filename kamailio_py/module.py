"""What a Kamailio module is here: a class that declares parameters, functions, pseudo-variables, and its life cycle.

    class Maxfwd(Module):
        \"\"\"Max-Forwards checks.\"\"\"

        name = "maxfwd"
        max_limit = Param(int, 256)

        @function("mf_process_maxfwd_header", INT, routes=RouteType.REQUEST)
        def process(self, ctx, limit):
            ...
            return 1

A function returns an int as in Kamailio: > 0 true, < 0 false, 0 ends the script. `mod_init` runs once before forking,
`child_init` in every process after it; connections and other things that belong to one process are made there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from kamailio_py.config.arguments import Argument, Fixup
from kamailio_py.config.host import RouteType
from kamailio_py.dataclass import dataclass, replace

if TYPE_CHECKING:
    from kamailio_py.engine.core import Core
    from kamailio_py.script.pvars import Getter, Inner, Setter

F = TypeVar("F", bound=Callable[..., Any])

MOST_ATTRIBUTES = 80
"""Of an object that is in the way of a request: PyPy keeps one with more in a dictionary, and its compiler then no
longer knows what a name stands for."""


class Rank:
    """Kamailio's process ranks, as child_init gets them."""

    MAIN = 0
    TIMER = -1
    RPC = -2
    TCP_MAIN = -4
    POSTCHILDINIT = -126
    INIT = -127
    NOCHLDINIT = -128


class Param:
    """A module parameter: `workers = Param(int, 1)`.

    On an instance the attribute is its value. With `setter` the named method is called for each modparam() line
    instead. `name` is needed where Kamailio's name is no Python identifier. `unused` says why the parameter is
    accepted and has no effect here (config.without_effect; docs/compatibility.md lists it).
    """

    def __init__(
        self,
        type: type[int] | type[str] | tuple[type[int], type[str]],
        default: Any = None,
        *,
        name: str = "",
        setter: str = "",
        unused: str = "",
    ) -> None:
        self.type = type
        self.default = default
        self.name = name
        self.setter = setter
        self.unused = unused

    def __set_name__(self, owner: type, attribute: str) -> None:
        self.attribute = attribute
        self.name = self.name or attribute

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else self.default


@dataclass(frozen=True, slots=True)
class CfgVariable:
    """A variable that cfg.set* may change while the server runs.

    Its value is that of the module's parameter `parameter` (default: the one of the same name; "" for none).
    """

    name: str
    help: str
    text: bool = False
    low: int | None = None
    high: int | None = None
    hidden: bool = False
    """cfg.get and selects cannot read it."""
    read_only: bool = False
    check: Callable[[Any], Any] | None = None
    """What is stored for a value; ValueError refuses it."""
    conflict: Callable[[Any, Any], str] | None = None
    """(global parameters, value) -> why the value does not go with the others, "" if it does."""
    parameter: str | None = None
    default: int | str | None = None
    """The value where there is no parameter."""
    shown: Callable[[Any], Any] | None = None
    """How cfg.diff shows the value, if not as it is."""


@dataclass(frozen=True, slots=True)
class Function:
    """One exported signature; `call` is the module's bound method."""

    module: str
    name: str
    arguments: tuple[Argument, ...]
    routes: RouteType
    call: Callable[..., int]


@dataclass(frozen=True, slots=True)
class PVarExport:
    """An exported pseudo-variable: `bind(inner) -> Getter` and, if writable, `bind_set(inner) -> Setter`."""

    name: str
    bind: Callable[[Inner], Getter]
    bind_set: Callable[[Inner], Setter] | None
    type: str = "any"
    inner: bool | None = None
    """True: an inner name must be there; False: none may be; None: as `bind` decides."""
    index: bool | None = None
    """False: no index may be written."""


def function(name: str, *arguments: Argument, routes: RouteType = RouteType.ANY) -> Callable[[F], F]:
    """Export a method as script function `name` with these arguments; several decorators give several signatures."""

    def mark(method: F) -> F:
        method.__dict__.setdefault("_functions", []).append((name, arguments, routes))
        return method

    return mark


def pvar(
    name: str, *, type: str = "any", setter: str = "", inner: bool | None = None, index: bool | None = None
) -> Callable[[F], F]:
    """Export pseudo-variable `$name`.

    The method is called once for each use in the cfg, `method(inner) -> getter(ctx)`; `setter` names the method
    `(inner) -> set(ctx, value) -> bool`; `inner` and `index` as in PVarExport.
    """

    def mark(method: F) -> F:
        method.__dict__.setdefault("_pvars", []).append((name, type, setter, inner, index))
        return method

    return mark


@dataclass(frozen=True, slots=True)
class Command:
    """An exported RPC command; `call(call, *scanned)` is the bound method (rpc.call.Call says what it gets)."""

    name: str
    scan: str
    doc: str
    array: bool
    missing: tuple[int, str] | None
    call: Callable[..., Any]


def rpc(
    name: str, scan: str = "", doc: str = "", *, array: bool = False, missing: tuple[int, str] | None = None
) -> Callable[[F], F]:
    """Export a method as RPC command `name`: `method(call, *arguments) -> result`.

    The arguments are those of `scan`, Kamailio's format: s S string, d int, u unsigned, f double, b bool, `*` the rest
    may be left out (and is then not passed), `.` converts the next one; the method scans more itself with
    `call.scan()` and `call.rest()`. `missing` is the fault (code, text) if they are not there, where Kamailio has one
    of its own for it. What the method returns is the answer: None for nothing, one value (rpc/values.py), or a
    generator of several. `array` is Kamailio's RET_ARRAY: JSON answers with an array of all values, without it with
    the last one. RpcFault answers with a fault.
    """

    def mark(method: F) -> F:
        method.__dict__.setdefault("_rpcs", []).append((name, scan, doc, array, missing))
        return method

    return mark


def marked(exporter: Any, mark: str) -> Iterable[tuple[Callable[..., Any], Any]]:
    """(bound method, what was declared) for every export of this kind that the object's class declares."""
    seen = set()
    for klass in type(exporter).__mro__:
        for attribute, value in vars(klass).items():
            if attribute not in seen and mark in getattr(value, "__dict__", ()):
                for entry in value.__dict__[mark]:
                    yield getattr(exporter, attribute), entry
            seen.add(attribute)


def commands_of(exporter: Any) -> Iterable[Command]:
    """The RPC commands that an object's methods are marked as; it need not be a Module."""
    for method, (name, scan, doc, array, missing) in marked(exporter, "_rpcs"):
        yield Command(name, scan, doc, array, missing, method)


class Module:
    """Base of all modules; subclasses are found by `loadmodule` as the Module in `<path>/<name>.py` or package."""

    name: ClassVar[str] = ""
    requires: ClassVar[tuple[str, ...]] = ()
    """Modules that must have been loaded before this one."""
    event_routes: ClassVar[tuple[str, ...]] = ()
    """Names of event routes this module runs ("htable:mod-init"; "htable:expired:" for a family)."""
    statistics: ClassVar[tuple[str, ...]] = ()
    statistics_group: ClassVar[str] = ""
    """Their group, if it is not the module's name."""
    computed_group: ClassVar[str] = ""
    """The group of computed_statistics(), if it is not the module's name."""
    selects: ClassVar[dict[str, Any]] = {}
    """Root of a select ("hf_value") -> what resolves the path behind it (script.selects.ROOTS)."""
    cfg_variables: ClassVar[Sequence[CfgVariable]] = ()
    """Its group in the cfg framework; after a change cfg_changed() is called."""
    cfg_group: ClassVar[str] = ""
    """The name of that group, if it is not the module's."""
    transformations: ClassVar[dict[str, Any]] = {}
    """Class name ("s", "uri") -> script.transformations.Transformation, for modules that export some."""

    def __init__(self, core: Core) -> None:
        self.core = core
        # plain attributes, which are read faster than the class's; see MOST_ATTRIBUTES
        for param in self.params().values():
            if not param.setter and not param.unused:
                setattr(self, param.attribute, param.default)

    # life cycle

    def mod_init(self) -> None:
        """Once, before forking; reserve shared memory here. CfgError or ModuleError stop the start."""

    def child_init(self, rank: int) -> None:
        """In every process, after forking."""

    def destroy(self) -> None:
        """In the main process, when the server stops."""

    def cfg_changed(self) -> None:
        """In every process, when it took over changes of the module's variables; the attributes have them."""

    # what is exported

    def computed_statistics(self) -> dict[str, Callable[[], int]]:
        """Statistics of `computed_group` that are no counters of their own: name -> what gives the value."""
        return {}

    @classmethod
    def params(cls) -> dict[str, Param]:
        found = {}
        for klass in reversed(cls.__mro__):
            found.update({p.name: p for p in vars(klass).values() if isinstance(p, Param)})
        return found

    def functions(self) -> Iterable[Function]:
        for method, (name, arguments, routes) in marked(self, "_functions"):
            yield Function(self.name, name, tuple(map(self._prepared, arguments)), routes, method)

    def _prepared(self, argument: Argument) -> Argument:
        """The argument with a Fixup's method bound to this module."""
        if isinstance(argument, Fixup) and argument.method:
            return replace(argument, prepare=getattr(self, argument.method))
        return argument

    def pvars(self) -> Iterable[PVarExport]:
        for method, (name, type, setter, inner, index) in marked(self, "_pvars"):
            yield PVarExport(name, method, getattr(self, setter) if setter else None, type, inner, index)

    def rpcs(self) -> Iterable[Command]:
        """RPC commands of the module; those of helper objects are added by overriding."""
        return commands_of(self)


class ModuleError(Exception):
    """A module cannot start; the text is what Kamailio would log."""


class RpcFault(Exception):
    """What an RPC command answers instead of a result: Kamailio's code (404, 500) and text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
