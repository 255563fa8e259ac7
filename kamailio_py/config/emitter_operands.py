"""Comparisons with the old bare words: `method == "INVITE"`, `src_ip == 10.0.0.0/8`, `uri == myself`, `proto == UDP`.

What stands on the other side decides: an address, a network, a host, `myself`, a number, a protocol, a text or regex.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from kamailio_py.config import nodes
from kamailio_py.config.emitter_ast import call, compare, const, ctx, negated, python
from kamailio_py.config.emitter_values import reject
from kamailio_py.config.types import constant

if TYPE_CHECKING:
    from kamailio_py.config.emitter_expressions import Expressions

_TEXTS = {"method": "ctx.msg.method", "uri": "uri(ctx)", "from_uri": "from_uri(ctx)", "to_uri": "to_uri(ctx)"}
_ADDRESSES = {"src_ip": "ctx.msg.src_ip", "dst_ip": "dst_ip(ctx)", "snd_ip": "snd_ip(ctx)", "to_ip": "to_ip(ctx)"}
_NUMBERS = {
    "src_port": "ctx.msg.src_port", "dst_port": "dst_port(ctx)", "snd_port": "snd_port(ctx)", "to_port": "to_port(ctx)",
    "proto": "proto(ctx)", "snd_proto": "snd_proto(ctx)", "af": "af(ctx)", "snd_af": "snd_af(ctx)",
    "msg:len": "msg_len(ctx)",
}  # fmt: skip
_PROTOCOLS = {"udp": 1, "tcp": 2, "tls": 3, "sctp": 4, "ws": 5, "wss": 6}
_FAMILIES = {"inet": 2, "ipv4": 2, "inet6": 10, "ipv6": 10}
_TURNED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}


def comparison(emitter: Expressions, e: nodes.Binary) -> ast.expr:
    """A comparison of which at least one side is an Operand."""
    left, right, op = e.left, e.right, e.op
    if op not in ("==", "!=", "=~", "<", "<=", ">", ">="):
        raise reject(e.at, f"invalid operator {op} for {_word(left) or _word(right)}")
    if _word(left) in ("", "myself"):
        left, right, op = right, left, _TURNED.get(op, op)
    word = _word(left)
    if _word(right) == "myself":
        made = _myself(emitter, word, op, e)
    elif word in _TEXTS:
        made = _text(emitter, word, op, right)
    elif word in _ADDRESSES:
        made = _address(emitter, word, op, right)
    elif word in _NUMBERS:
        return compare(python(_NUMBERS[word]), op, _number(emitter, right))
    else:
        raise reject(e.at, f"{word} cannot be compared here")
    return negated(made) if op == "!=" else made


def _word(e: nodes.Expression) -> str:
    return e.name if isinstance(e, nodes.Operand) else ""


def _myself(emitter: Expressions, word: str, op: str, e: nodes.Binary) -> ast.expr:
    if word in _ADDRESSES:
        return call("ip_is_myself", ctx(), python(_ADDRESSES[word]))
    if word in ("uri", "from_uri", "to_uri"):
        # what is no URI makes the condition false either way, so only the negation has to know
        strict = [const(True)] if op == "!=" else []
        emitter.fails = emitter.fails or bool(strict)
        if word == "uri":
            return call("uri_is_myself", ctx(), *strict)
        return call("is_own_uri", ctx(), python(_TEXTS[word]), *strict)
    raise reject(e.at, f"{word or 'this'} cannot be compared with myself")


def _text(emitter: Expressions, word: str, op: str, right: nodes.Expression) -> ast.expr:
    subject = python(_TEXTS[word])
    if op == "=~":
        return emitter.match(subject, right)
    other = emitter.text(right)
    if word == "method" and isinstance(other, ast.Constant) and other.value == str(other.value).upper():
        # known methods are kept in capitals
        return compare(subject, "==", other)
    return call("same_text", subject, other)


def _address(emitter: Expressions, word: str, op: str, right: nodes.Expression) -> ast.expr:
    subject = python(_ADDRESSES[word])
    if op == "=~":
        return emitter.match(subject, right)
    if isinstance(right, nodes.Address):
        return _constant_address(emitter, subject, f"{right.host}/{right.mask}" if right.mask else right.host, right)
    known = right.name if isinstance(right, nodes.Identifier) else constant(right)
    if isinstance(known, str):
        return _constant_address(emitter, subject, known, right)
    return call("ip_is", ctx(), subject, emitter.text(right))


def _constant_address(emitter: Expressions, subject: ast.expr, text: str, at: nodes.Expression) -> ast.expr:
    namespace = emitter.names.namespace
    if "/" in text:
        try:
            namespace["network"](text)
        except ValueError:
            raise reject(at.at, f"bad ip network {text}") from None
        return call("in_network", subject, const(text))
    if namespace["is_ip"](text):
        return compare(subject, "==", const(namespace["normalise"](text)))
    return call("ip_is", ctx(), subject, const(text))


def _number(emitter: Expressions, e: nodes.Expression) -> ast.expr:
    """The number on the other side; protocols and families have names."""
    word = ""
    if isinstance(e, (nodes.Identifier, nodes.Operand)):
        word = e.name.lower()
    elif isinstance(e, nodes.String):
        word = e.value.lower()
    if word:
        number = _PROTOCOLS.get(word, _FAMILIES.get(word))
        if number is not None:
            return const(number)
        if word in _NUMBERS:
            return python(_NUMBERS[word])
    return emitter.integer(e)
