"""usrloc: contacts of addresses of record in shared memory, their order, their end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kit.local import Local
from kit.rpc import invoke

from kamailio_py.module import RpcFault
from kamailio_py.modules.usrloc.api import RepeatedRequest, StaleRequest
from kamailio_py.modules.usrloc.contact import Contact

CFG = """
loadmodule "usrloc"
modparam("usrloc", "preload", "location")
{params}
request_route {{ drop; }}
"""
NOW = 1_700_000_000


@pytest.fixture
def server() -> Iterator[Local]:
    with Local(CFG.format(params="")) as server:
        yield server


def domain_of(server: Local) -> Any:
    return server.core.module("usrloc").api.domain("location")


def contact(address: str, **values: Any) -> Contact:
    values = {"expires": NOW + 600, "ruid": f"ruid-{address}", "last_modified": NOW, **values}
    return Contact(address, **values)


def put(server: Local, aor: str, *contacts: Contact) -> None:
    with domain_of(server).open(aor) as bindings:
        for one in contacts:
            assert bindings.insert(one)


def addresses(server: Local, aor: str) -> list[str]:
    return [one.address for one in domain_of(server).contacts(aor) or ()]


def sound(server: Local) -> None:
    """Nothing is broken, and every block belongs to a contact or record that can be reached."""
    assert server.core.shm.check() == []
    domain = domain_of(server)
    contents = [entry for slot in domain.slot_contents() for entry in slot]
    owners = server.core.shm.arena.by_owner()
    assert owners.get("usrloc:location records", (0, 0))[0] == len(contents) == domain.users
    count = sum(len(contacts) for _, _, contacts in contents)
    assert owners.get("usrloc:location contacts", (0, 0))[0] == count == domain.total


def test_a_contact_keeps_everything(server: Local) -> None:
    values: dict[str, Any] = {
        "received": "sip:10.0.0.1:7", "path": "<sip:p;lr>", "callid": "c\xe9", "user_agent": "ua", "ruid": "r",
        "instance": "<urn:x>", "socket": "udp:127.0.0.1:5060", "expires": NOW + 5, "last_modified": NOW,
        "last_keepalive": NOW + 1, "q": 300, "cseq": 7, "flags": 1, "cflags": 64, "methods": 0xFFFFFFFF, "reg_id": 9,
        "server_id": 3, "tcpconn_id": 12, "keepalive": 1, "roundtrip": 5, "xavp": {"a": [1, "b"]},
    }  # fmt: skip
    put(server, "alice", Contact("sip:alice@h", **values))
    [found] = domain_of(server).contacts("alice")
    assert found.address == "sip:alice@h"
    assert {name: getattr(found, name) for name in values} == values
    sound(server)


def test_contacts_are_in_the_order_of_q(server: Local) -> None:
    put(server, "alice", contact("a", q=500), contact("b"), contact("c", q=900), contact("d", q=500))
    assert addresses(server, "alice") == ["c", "a", "d", "b"]


def test_newest_first_with_desc_time_order() -> None:
    with Local(CFG.format(params='modparam("usrloc", "desc_time_order", 1)')) as server:
        put(server, "alice", contact("a", q=500), contact("b"), contact("c", q=100))
        assert addresses(server, "alice") == ["c", "b", "a"]


def test_an_update_changes_what_a_register_says(server: Local) -> None:
    put(server, "alice", contact("a", q=500, callid="1"), contact("b", q=400))
    with domain_of(server).open("alice") as bindings:
        assert bindings.update(bindings.contacts[0], contact("other", q=450, callid="2", ruid="x", expires=NOW + 9))
    first, second = domain_of(server).contacts("alice")
    assert (first.address, first.q, first.callid, first.ruid, first.expires) == ("a", 450, "2", "ruid-a", NOW + 9)
    assert second.address == "b"
    sound(server)


def test_an_instance_takes_its_uri_along(server: Local) -> None:
    put(server, "alice", contact("a", instance="<x>"))
    with domain_of(server).open("alice") as bindings:
        bindings.update(bindings.contacts[0], contact("b", instance="<x>"))
    assert addresses(server, "alice") == ["b"]


def test_a_record_goes_with_its_last_contact(server: Local) -> None:
    put(server, "alice", contact("a"), contact("b"))
    with domain_of(server).open("alice") as bindings:
        bindings.delete(bindings.contacts[1])
    assert addresses(server, "alice") == ["a"]
    with domain_of(server).open("alice") as bindings:
        bindings.clear()
    assert domain_of(server).contacts("alice") is None
    sound(server)


def test_the_timer_removes_what_is_over(server: Local) -> None:
    told = []
    server.core.module("usrloc").api.on("expire", lambda domain, aor, one: told.append((domain.name, aor, one.address)))
    put(server, "alice", contact("a", expires=NOW + 30), contact("b"), contact("c", expires=0))
    server.advance(61, step=1)
    assert addresses(server, "alice") == ["b", "c"]
    assert told == [("location", "alice", "a")]
    server.advance(600, step=10)
    assert addresses(server, "alice") == ["c"]
    sound(server)


def test_matching(server: Local) -> None:
    api = server.core.module("usrloc").api
    known = [contact("a", callid="1", cseq=5), contact("b", callid="1", cseq=5, instance="<i>", reg_id=1)]

    def find(address: str, **values: Any) -> Contact | None:
        found: Contact | None = api.find(known, contact(address, **values), NOW + 1)
        return found

    assert find("a", callid="1", cseq=6) is known[0]
    assert find("a", callid="2", cseq=1) is known[0]
    assert find("x", callid="1", cseq=6) is None
    assert find("x", instance="i", reg_id=1) is known[1]
    assert find("x", instance="i", reg_id=2) is None
    with pytest.raises(StaleRequest):
        find("a", callid="1", cseq=4)
    with pytest.raises(RepeatedRequest):
        find("a", callid="1", cseq=5)
    with pytest.raises(StaleRequest):
        api.find(known, contact("a", callid="1", cseq=5), NOW + 20)


@pytest.mark.parametrize(("mode", "found"), [(0, True), (1, False), (2, True), (3, False)])
def test_matching_modes(mode: int, found: bool) -> None:
    with Local(CFG.format(params=f'modparam("usrloc", "matching_mode", {mode})')) as server:
        api = server.core.module("usrloc").api
        known = [contact("a", callid="1", path="p")]
        assert (api.find(known, contact("a", callid="2"), NOW) is not None) == found
        other = api.find(known, contact("b", callid="1", cseq=9), NOW)
        assert (other is not None) == (mode == 3)
        assert (api.find(known, contact("a", callid="1", path="q", cseq=9), NOW) is not None) == (mode != 2)


def test_by_ruid(server: Local) -> None:
    put(server, "alice", contact("a"), contact("b"))
    domain = domain_of(server)
    hash = server.core.module("usrloc").api.aor_hash("alice")
    aor, found = domain.by_ruid(hash, "ruid-b")
    assert (aor, found.address) == ("alice", "b")
    assert domain.by_ruid(hash, "ruid-x") is None
    assert domain.by_ruid(hash + 1, "ruid-b") is None


def test_no_memory_leaves_everything_as_it_was() -> None:
    with Local(CFG.format(params=""), shm=4 << 20) as server:
        put(server, "alice", contact("a"))
        arena = server.core.shm.arena
        taken = []
        while block := arena.alloc(30000, 1):
            taken.append(block)
        for size in range(16, 30000, 8):
            while block := arena.alloc(size, 1):
                taken.append(block)
        with domain_of(server).open("alice") as bindings:
            assert not bindings.insert(contact("b"))
            assert not bindings.update(bindings.contacts[0], contact("a", user_agent="x" * 5000))
        with domain_of(server).open("bob") as bindings:
            assert not bindings.insert(contact("b"))
        for block in taken:
            arena.free(block)
        assert addresses(server, "alice") == ["a"]
        assert domain_of(server).contacts("bob") is None
        sound(server)


def test_rpc_faults(server: Local) -> None:
    for arguments, text in (
        (("ul.lookup", "nosuch", "a"), "Domain table not found"),
        (("ul.lookup", "location", "a"), "AOR not found in location table"),
        (("ul.rm_contact", "location", "a", "b"), "AOR not found"),
        (("ul.db_users", "location"), "Command is not supported in db_mode=0"),
    ):
        with pytest.raises(RpcFault) as fault:
            invoke(server.core, *arguments)
        assert fault.value.text == text
