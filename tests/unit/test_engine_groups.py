"""Variables of the config's own and the instances of their groups: the rows were seen on real Kamailio 5.6.3."""

from __future__ import annotations

import pytest

from kamailio_py.engine.boot import ConfigRejected
from tests.kit.local import Local

CFG = """
loadmodule "pv"
loadmodule "sl"
grp.num = 5 desc "a number"
grp.txt = "hello"
grp[2].num = 22
grp[2].txt = "second"
grp[3].num = 33
request_route {{
    $var(seen) = $sel(cfg_get.grp.num) + $sel(cfg_get.grp.txt);
    {script}
    sl_send_reply("200", ": $var(seen) $var(r) $sel(cfg_get.grp.num) $sel(cfg_get.grp.txt) [$sel(cfg_selected.grp)]");
}}
"""
OPTIONS = """OPTIONS sip:a@b SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:40000;branch=z9hG4bK1
From: <sip:a@b>;tag=1
To: <sip:a@b>
Call-ID: groups
CSeq: 1 OPTIONS
"""


def answer(server: Local) -> str:
    [reply] = server.inject(OPTIONS)
    return reply.split("\r\n")[0].removeprefix("SIP/2.0 200 : ")


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("$var(r) = 0;", "5hello 0 5 hello []"),
        ('$var(r) = cfg_select("grp", 2);', "5hello 1 22 second [2]"),
        ('$var(r) = cfg_select("grp", 3);', "5hello 1 33 hello [3]"),
        ('cfg_select("grp", 3); $var(r) = cfg_select("grp", 9);', "5hello -1 33 hello [3]"),
        ('cfg_select("grp", 2); $var(r) = cfg_reset("grp");', "5hello 1 5 hello []"),
        ('$var(id) = 2; $var(r) = 0; cfg_select("grp", $var(id));', "5hello 0 22 second [2]"),
    ],
)
def test_an_instance_is_chosen_for_one_message(script: str, expected: str) -> None:
    with Local(CFG.format(script=script)) as server:
        assert [answer(server), answer(server)] == [expected, expected]


def test_an_unknown_group_is_an_error_of_the_config() -> None:
    with pytest.raises(ConfigRejected) as rejected:
        Local(CFG.format(script='cfg_select("nope", 2);'))
    assert 'configuration group "nope" not found' in str(rejected.value.errors[0])
