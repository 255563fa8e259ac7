"""Selects, `@via[1].host`: what of the message, the connection and the server they reach, by a path of names.

`parse_select` resolves the path once, when the cfg is read, and leaves a getter that gives a text, or None where
there is nothing. A part that Kamailio has no text for, though what it is part of is there, is an empty text to `@`
and null to `$sel`: the getter's `raw` says False then. Roots of addresses and URIs are in select_parts.py.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, Literal

from kamailio_py.script.context import Context
from kamailio_py.script.pvars import Inner, PVar
from kamailio_py.script.select_parts import ADDRESSED, Path, Raw, bad, header_body, taken, uri_parts
from kamailio_py.script.values import Value
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.via import Via

NULL: Literal[False] = False


def split_path(text: str) -> Path:
    """`via[1].params["x"]` as ["via", 1, "params", "x"]; ValueError when it is no path."""
    found: list[str | int] = []
    pos, end = 0, len(text)
    while pos < end:
        char = text[pos]
        if char == "[":
            close = text.find("]", pos)
            written = text[pos + 1 : close].strip()
            if close < 0 or not written:
                raise ValueError(f"invalid select [{text}]")
            if written[0] in "\"'" and written[-1] == written[0] and len(written) > 1:
                found.append(written[1:-1])
            elif written.lstrip("-").isdigit():
                found.append(int(written))
            else:
                found.append(written)
            pos = close + 1
        elif char == ".":
            pos += 1
        else:
            start = pos
            while pos < end and text[pos] not in ".[":
                pos += 1
            found.append(text[start:pos])
    return found


def parse_select(text: str) -> PVar:
    """The select of that path, with or without its `@`; ValueError with Kamailio's words when there is none."""
    text = text.removeprefix("@").strip()
    path = split_path(text)
    resolve = ROOTS.get(str(path[0])) if path else None
    if resolve is None:
        raise ValueError(f"Unable to resolve select '{path[0] if path else text}' at level 0")
    raw = resolve(path[1:])

    def get(ctx: Context) -> Value:
        value = raw(ctx)
        return "" if value is NULL else value

    get.raw = raw  # type: ignore[attr-defined]
    return PVar(f"@{text}", "@", Inner(None), get, None, "str")  # type: ignore[arg-type]


def null_getter(text: str) -> Callable[[Context], Value]:
    """The getter for `$sel(text)`, where what has no text is null."""
    raw: Raw = parse_select(text).get.raw  # type: ignore[attr-defined]
    return lambda ctx: None if (value := raw(ctx)) is NULL else value


# the message


def _message(path: Path) -> Raw:
    if not path:
        return lambda ctx: ctx.msg.text
    first, rest = str(path[0]), path[1:]
    if first == "header" and rest:
        if rest == ["sdp"]:
            return lambda ctx: None
        return header_body(str(rest[0]))
    if first == "body" and rest == ["sdp"]:

        def sdp(ctx: Context) -> str | None:
            kind = (ctx.msg.header("content-type") or "").lower()
            return ctx.msg.body if kind.startswith("application/sdp") else None

        return sdp
    if first == "id" and rest == ["hex"]:
        return lambda ctx: f"{ctx.msg.id:08x}"
    if rest:
        raise bad(str(rest[0]), 2)
    simple: dict[str, Raw] = {
        "len": lambda ctx: str(len(ctx.msg.text)),
        "type": lambda ctx: "1" if ctx.msg.is_request else "2",
        "flags": lambda ctx: str(ctx.msg.flags),
        "body": lambda ctx: ctx.msg.body,
        "header": lambda ctx: ctx.msg.text[ctx.msg.span(0)[0] : ctx.msg.body_offset] if ctx.msg.names else "",
        "id": lambda ctx: str(ctx.msg.id),
        "first_line": lambda ctx: ctx.msg.text.lstrip("\r\n").partition("\r\n")[0],
    }
    return taken(simple, first, 1)


def _method(path: Path) -> Raw:
    _end(path)
    return lambda ctx: ctx.msg.method_text if ctx.msg.is_request else None


def _status(path: Path) -> Raw:
    _end(path)
    return lambda ctx: None if ctx.msg.is_request else str(ctx.msg.status)


def _reason(path: Path) -> Raw:
    _end(path)
    return lambda ctx: None if ctx.msg.is_request else ctx.msg.reason


def _version(path: Path) -> Raw:
    _end(path)
    return lambda ctx: ctx.msg.version


def _end(path: Path) -> None:
    if path:
        raise bad(str(path[0]), 1)


def _cseq(path: Path) -> Raw:
    if not path:
        return header_body("cseq")
    part = {"num": 0, "method": 1}.get(str(path[0]))
    if part is None:
        raise bad(str(path[0]), 1)

    def get(ctx: Context) -> str | None:
        try:
            return ctx.msg.cseq[part]
        except BadMessage:
            return None

    return get


# Vias


def _via(path: Path) -> Raw:
    index = 1
    if path and isinstance(path[0], int):
        index, path = path[0], path[1:]

    def via(ctx: Context) -> Via | None:
        try:
            if index == 1:
                return ctx.msg.via
            vias = ctx.msg.vias()
        except BadMessage:
            return None
        if index < 0:
            return vias[-1]
        return vias[index - 1] if 0 < index <= len(vias) else None

    if not path:
        return lambda ctx: found.written(ctx.msg.text) if (found := via(ctx)) is not None else None
    name = str(path[0])
    if name == "params" and len(path) == 2:
        param = str(path[1]).lower()
        return lambda ctx: found.param(param) if (found := via(ctx)) is not None else None
    parts: dict[str, Callable[[Via], str | Literal[False] | None]] = {
        "name": lambda found: "SIP",
        "version": lambda found: "2.0",
        "transport": lambda found: found.transport,
        "host": lambda found: found.host,
        "port": lambda found: found.port_text or NULL,
        "comment": lambda found: NULL,
        "branch": lambda found: found.branch,
        "rport": lambda found: found.rport or (NULL if found.rport is not None else None),
        "received": lambda found: found.received or None,
        "i": lambda found: found.i,
        "alias": lambda found: found.alias,
    }
    part = parts.get(name)
    if part is None or len(path) > 1:
        raise bad(name, 2)
    return lambda ctx: part(found) if (found := via(ctx)) is not None else None


# addresses of the connection


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _source(path: Path) -> Raw:
    parts: dict[str, Raw] = {
        "ip": lambda ctx: _bracketed(ctx.msg.src_ip),
        "port": lambda ctx: str(ctx.msg.src_port),
        "ip_port": lambda ctx: f"{_bracketed(ctx.msg.src_ip)}:{ctx.msg.src_port}",
    }
    return taken(parts, str(path[0]) if path else "", 1)


def _destination(path: Path) -> Raw:
    def part(read: Callable[[Any], str]) -> Raw:
        return lambda ctx: read(ctx.msg.socket) if ctx.msg.socket is not None else None

    parts: dict[str, Raw] = {
        "ip": part(lambda socket: socket.host_text),
        "port": part(lambda socket: str(socket.port)),
        "ip_port": part(lambda socket: f"{socket.host_text}:{socket.port}"),
        "proto": part(lambda socket: socket.proto),
        "proto_ip_port": part(str),
    }
    return taken(parts, str(path[0]) if path else "", 1)


# the server


def _cfg_get(path: Path) -> Raw:
    if len(path) != 2:
        raise bad("cfg_get", 0)
    group, name = str(path[0]), str(path[1])

    def get(ctx: Context) -> str | None:
        value = ctx.core.variables.readable(group, name)
        return None if value is None else str(value)

    return get


def _cfg_selected(path: Path) -> Raw:
    if len(path) != 1:
        raise bad("cfg_selected", 0)
    group = str(path[0])
    return lambda ctx: str(ctx.core.cfg.groups.selected.get(group, ""))


def _now(path: Path) -> Raw:
    if not path:
        return lambda ctx: str(int(ctx.core.clock.now()))
    breaks = {"gmt": time.gmtime, "local": time.localtime}.get(str(path[0]))
    if breaks is None:
        raise bad(str(path[0]), 2)
    form = str(path[1]) if len(path) > 1 else "%a %b %d %H:%M:%S %Y"
    return lambda ctx: time.strftime(form, breaks(ctx.core.clock.now()))


class _Unique:
    """The counter behind `@sys.unique`."""

    count = 0


def _unique(ctx: Context) -> str:
    _Unique.count += 1
    return f"{os.getpid():x}-{int(ctx.core.clock.now()):x}-{_Unique.count:x}"


def _sys(path: Path) -> Raw:
    first = str(path[0]) if path else ""
    if first == "now":
        return _now(path[1:])
    parts: dict[str, Raw] = {
        "pid": lambda ctx: str(os.getpid()),
        "server_id": lambda ctx: str(ctx.core.cfg.server_id),
        "unique": _unique,
    }
    return taken(parts, first, 1)


# URIs the script may have changed


def _ruri(path: Path) -> Raw:
    return uri_parts(path, lambda ctx: ctx.msg.uri if ctx.msg.is_request else None)


def _dst_uri(path: Path) -> Raw:
    return uri_parts(path, lambda ctx: (ctx.msg.dst_uri or NULL) if ctx.msg.is_request else None)


def _next_hop(path: Path) -> Raw:
    if path == ["src_ip"]:

        def src_ip(ctx: Context) -> str | None:
            msg = ctx.msg
            destination = ctx.core.destination(msg.dst_uri or msg.uri, None, "", msg.socket) if msg.is_request else None
            return None if destination is None else _bracketed(destination.socket.host)

        return src_ip
    return uri_parts(path, lambda ctx: (ctx.msg.dst_uri or ctx.msg.uri) if ctx.msg.is_request else None)


def _branch(path: Path) -> Raw:
    """Only the number of branches can be asked for outside of branch_route."""
    names = [part for part in path if not isinstance(part, int)]
    if names == ["count"]:
        return lambda ctx: str(len(ctx.msg.branches))
    parts: dict[str, Callable[[Any], str | None]] = {
        "uri": lambda branch: branch.uri,
        "q": lambda branch: None if branch.q is None else str(branch.q / 1000),
        "dst_uri": lambda branch: branch.dst_uri,
    }
    if len(names) != 1 or names[0] not in parts:
        raise bad(str(path[0]) if path else "branch", 1)
    read = parts[str(names[0])]

    def get(ctx: Context) -> str | None:
        at = ctx.branch - 1
        return read(ctx.msg.branches[at]) if 0 <= at < len(ctx.msg.branches) else None

    return get


def _expires(path: Path) -> Raw:
    _end(path)
    return lambda ctx: ctx.msg.header("expires")


def _header(name: str) -> Callable[[Path], Raw]:
    def resolve(path: Path) -> Raw:
        _end(path)
        return header_body(name)

    return resolve


ROOTS: dict[str, Callable[[Path], Raw]] = {
    **ADDRESSED,
    **{
        name.replace("-", "_"): _header(name)
        for name in (
            "call-id", "content-length", "content-type", "date", "event", "identity", "identity-info",
            "max-forwards", "min-se", "organization", "priority", "session-expires", "sip-if-match", "subject",
            "user-agent",
        )
    },
    "branch": _branch,
    "cfg_get": _cfg_get,
    "cfg_selected": _cfg_selected,
    "cseq": _cseq,
    "dst": _destination,
    "dst_uri": _dst_uri,
    "expires": _expires,
    "message": _message,
    "method": _method,
    "msg": _message,
    "next_hop": _next_hop,
    "reason": _reason,
    "received": _destination,
    "request_uri": _ruri,
    "ruri": _ruri,
    "src": _source,
    "status": _status,
    "sys": _sys,
    "v": _via,
    "version": _version,
    "via": _via,
}  # fmt: skip
