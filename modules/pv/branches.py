"""Branches: `$branch(...)` of those appended, `$sbranch(...)` of the static one, `$br $bR $ds`."""

from __future__ import annotations

from collections.abc import Callable

from kamailio_py.log import get_logger
from kamailio_py.script.context import Context
from kamailio_py.script.pvars import Getter, Inner, Setter
from kamailio_py.script.values import Value
from kamailio_py.sip.branch import Branch
from kamailio_py.sip.message import Message

from .table import Table

log = get_logger("pv")

PVARS = Table()

_UNSET_Q = -1


def q_text(q: int) -> str:
    """A quality in thousandths as it stands in a Contact: 500 is 0.5."""
    if q >= 1000:
        return "1"
    return f"0.{q:03d}".rstrip("0") if q else "0"


def _socket_text(branch: Branch) -> Value:
    return None if branch.force_socket is None else str(branch.force_socket)


_READ: dict[str, Callable[[Branch], Value]] = {
    "uri": lambda branch: branch.uri or None,
    "dst_uri": lambda branch: branch.dst_uri or None,
    "path": lambda branch: branch.path or None,
    "q": lambda branch: branch.q,
    "send_socket": _socket_text,
    "flags": lambda branch: branch.flags,
    "ruid": lambda branch: branch.ruid or None,
    "location_ua": lambda branch: branch.location_ua or None,
    "otcpid": lambda branch: branch.otcpid,
    "instance": lambda branch: branch.instance or None,
}


def _assign(ctx: Context, branch: Branch, part: str, value: Value) -> bool:
    """Put `value` into one part of a branch; what Kamailio does not let a script change stays."""
    if part in ("uri", "dst_uri", "path"):
        if value is not None and not isinstance(value, str):
            log.err(f"str value required to set the branch {part}")
            return False
        if part == "uri":
            branch.uri = value or ""
        else:
            setattr(branch, part, value or None)
    elif part in ("q", "flags", "otcpid"):
        if value is not None and not isinstance(value, int):
            log.err(f"int value required to set branch {part}")
            return False
        if part == "q":
            branch.q = None if value is None or value == _UNSET_Q else value
        else:
            setattr(branch, part, value or 0)
    elif part == "send_socket":
        if value is None:
            branch.force_socket = None
            return True
        if not isinstance(value, str):
            log.err("str value required to set the branch send sock")
            return False
        socket = ctx.core.addresses.listening(value)
        if socket is None:
            log.warn(f"no socket found to match [{value}]")
        else:
            branch.force_socket = socket
    return True


def _part(inner: Inner) -> str:
    part = inner.text.strip()
    if part not in _READ and part != "count":
        raise ValueError(f"unknown PV branch name {inner.text}")
    return part


def _branch(inner: Inner) -> Getter:
    part = _part(inner)
    position = inner.position()
    read = _READ.get(part)

    def get(ctx: Context) -> Value:
        index = position(ctx)
        branches = ctx.msg.branches
        if index is None or not -len(branches) <= index < len(branches):
            return None
        return len(branches) if read is None else read(branches[index])

    return get


def _set_branch(inner: Inner) -> Setter:
    part = _part(inner)
    position = inner.position()

    def set(ctx: Context, value: Value) -> bool:
        index = position(ctx)
        branches = ctx.msg.branches
        if index is None or not -len(branches) <= index < len(branches):
            log.err(f"error accessing branch [{index}]")
            return False
        if part == "uri" and value is None:
            del branches[index]
            return True
        return _assign(ctx, branches[index], part, value)

    return set


class Static:
    """The static branch: one for the process, which stays until it is reset, as in Kamailio."""

    branch: Branch | None = None

    @classmethod
    def reset(cls) -> None:
        cls.branch = None


def _sbranch(inner: Inner) -> Getter:
    part = _part(inner)
    if part == "count":
        return lambda ctx: int(Static.branch is not None)
    read = _READ[part]

    def get(ctx: Context) -> Value:
        if Static.branch is None:
            log.err("error accessing branch [0]")
            return None
        return read(Static.branch)

    return get


def _set_sbranch(inner: Inner) -> Setter:
    part = _part(inner)

    def set(ctx: Context, value: Value) -> bool:
        if Static.branch is None:
            Static.branch = Branch("")
        return _assign(ctx, Static.branch, part, value)

    return set


PVARS.named("branch", _branch, "any", set=_set_branch, index=True)
PVARS.named("sbranch", _sbranch, "any", set=_set_sbranch)


# lists of branches


def destination_set(msg: Message) -> str | None:
    """All branches as a Contact header, the changed request-URI first."""
    found = []
    if msg.new_uri is not None:
        found.append(_contact(msg.new_uri, msg.q, True))
    found += [_contact(branch.uri, branch.q, True) for branch in msg.branches]
    if not found:
        log.warn("no r-uri or branches")
        return None
    return "Contact: " + ", ".join(found)


def _contact(uri: str, q: int | None, brackets: bool) -> str:
    if q is None:
        return f"<{uri}>" if brackets else uri
    return f"<{uri}>;q={q_text(q)}"


def _first(ctx: Context) -> Value:
    branches = ctx.msg.branches
    return branches[0].uri if branches else None


def _all(ctx: Context) -> Value:
    branches = ctx.msg.branches
    return ", ".join([_contact(branch.uri, branch.q, False) for branch in branches]) if branches else None


def _append(ctx: Context, value: Value) -> bool:
    """Assigning to `$br` appends a branch."""
    if not isinstance(value, str) or not value:
        log.err("bad parameters")
        return False
    ctx.msg.branches.append(Branch(value))
    return True


PVARS.plain("br", _first, "str", _append)
PVARS.plain("bR", _all)
PVARS.plain("ds", lambda ctx: destination_set(ctx.msg))
PVARS.plain("ruid", "(ctx.msg.ruid or None)")
PVARS.plain("location_ua", "(ctx.msg.location_ua or None)")
