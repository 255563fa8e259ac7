"""Objects that are in the way of every request have few enough attributes for PyPy to compile what reads them."""

from __future__ import annotations

from kit.local import Local

from kamailio_py.module import MOST_ATTRIBUTES
from kamailio_py.sip.message import Message

CFG = """
loadmodule "tm.so"
loadmodule "tmx.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "maxfwd.so"
loadmodule "siputils.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
loadmodule "acc.so"
loadmodule "dialog.so"
loadmodule "dispatcher.so"
loadmodule "nathelper.so"
loadmodule "htable.so"
loadmodule "async.so"
loadmodule "permissions.so"
loadmodule "rtpproxy.so"
loadmodule "uac.so"
modparam("dispatcher", "list_file", "/dev/null")
route { exit; }
"""


def test_few_attributes() -> None:
    with Local(CFG) as server:
        core = server.core
        ways = {"core": core, "cfg": core.cfg, "engine": server.engine, **core.modules}
        ways |= {f"tm.{name}": part for name, part in vars(core.modules["tm"]).items() if hasattr(part, "__dict__")}
        assert {name: len(vars(one)) for name, one in ways.items() if len(vars(one)) > MOST_ATTRIBUTES} == {}
        assert len(vars(core.cfg)) < 10  # the others are slots


def test_a_message_has_room_for_what_a_script_sets() -> None:
    """Where its slots are filled all of them count, and what the script sets comes on top."""
    assert len(Message.slots) <= MOST_ATTRIBUTES // 2
