"""Whatever a message looks like, reading it from a script gives null, a number or a text, and never an error."""

from __future__ import annotations

from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st
from tables.runner import read_message, read_table

from kamailio_py.clock import VirtualClock
from kamailio_py.engine.groups import Groups
from kamailio_py.modules.pv import Pv
from kamailio_py.script import core_pvars
from kamailio_py.script.context import Context
from kamailio_py.script.selects import parse_select
from kamailio_py.sip.endpoint import ListenSocket
from kamailio_py.sip.errors import BadMessage
from kamailio_py.sip.message import Message

SOCKET = ListenSocket(0, "udp", "127.0.0.1", 5060)
TEXTS = [read_message(f"{name}.sip").replace("@PORT@", "5060").replace("@ME@", "5061") for name in ("full", "reply")]
PIECES = [
    "",
    "\r\n",
    "\r\n\r\n",
    " ",
    "\t",
    '"',
    "<",
    ">",
    ";",
    ",",
    "=",
    "@",
    ":",
    "[",
    "]",
    "*",
    "\0",
    "\xff",
    "SIP/2.0",
]


def _getters():  # type: ignore[no-untyped-def]
    registry = core_pvars.registry({})
    module = Pv(None)
    for name, transformation in module.transformations.items():
        registry.add_transformation(name, transformation)
    for export in module.pvars():
        registry.add(export)
    for expression in read_table("pseudo_variables.table")[1]:
        if not expression.startswith(("$stat", "$(stat")):
            yield expression, registry.parse(expression).get
    for select in read_table("selects.table")[1]:
        yield select, parse_select(select.removeprefix("$sel(").removesuffix(")")).get


GETTERS = list(_getters())
CORE = SimpleNamespace(
    clock=VirtualClock(), snd=None, sockets=[SOCKET], cfg=SimpleNamespace(groups=Groups(), server_id=0),
    destination=lambda uri, *more: None, modules={}, variables=SimpleNamespace(readable=lambda group, name: None),
)  # fmt: skip


@st.composite
def broken_messages(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = text[:start] + draw(st.sampled_from(PIECES)) + text[end:]
    return text


@settings(max_examples=300, deadline=None)
@given(broken_messages())
def test_reading_a_broken_message(text: str) -> None:
    try:
        msg = Message(text, "10.0.0.1", 5060, SOCKET)
        msg.check()
    except BadMessage:
        # the script never sees it
        return
    ctx = Context(CORE, msg)  # type: ignore[arg-type]
    for expression, get in GETTERS:
        value = get(ctx)
        assert value is None or isinstance(value, (int, str)), expression
