"""Contacts in shared memory do what a dictionary does, whatever is done to them; texts of all kinds come back."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kit.local import Local

from kamailio_py.modules.registrar.aor import AorRules
from kamailio_py.modules.registrar.refusals import Refused
from kamailio_py.modules.usrloc.contact import TEXTS, Contact

CFG = """
loadmodule "usrloc"
modparam("usrloc", "preload", "location")
modparam("usrloc", "hash_size", 2)
request_route { drop; }
"""
NOW = 1_700_000_000
latin = st.text(st.characters(max_codepoint=255), max_size=40)
aors = st.sampled_from(["", "alice", "bob", "b\xf6b", "x" * 400])
q = st.sampled_from([-1, 0, 100, 500, 1000])
expires = st.sampled_from([0, NOW + 5, NOW + 50, NOW + 500])
operations = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), aors, q, expires),
        st.tuples(st.just("update"), aors, q, expires, st.integers(0, 5), latin),
        st.tuples(st.just("delete"), aors, st.integers(0, 5)),
        st.tuples(st.just("clear"), aors),
        st.tuples(st.just("sweep"), st.integers(1, 100)),
    ),
    max_size=25,
)


def check(server: Local, model: dict[str, dict[str, tuple[int, int, str]]]) -> None:
    domain = server.core.module("usrloc").api.domain("location")
    found = {aor: contacts for slot in domain.slot_contents() for aor, _, contacts in slot}
    stored = {aor: {c.ruid: (c.q, c.expires, c.user_agent) for c in contacts} for aor, contacts in found.items()}
    assert stored == {aor: contacts for aor, contacts in model.items() if contacts}
    for aor, contacts in found.items():
        assert [c.ruid for c in domain.contacts(aor)] == [c.ruid for c in contacts]
    total = sum(map(len, model.values()))
    assert (domain.users, domain.total) == (len(found), total)
    assert server.core.shm.check() == []
    owners = server.core.shm.arena.by_owner()
    assert owners.get("usrloc:location contacts", (0, 0))[0] == total


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(operations)
def test_as_a_dictionary(steps: list[tuple[Any, ...]]) -> None:
    with Local(CFG) as server:
        domain = server.core.module("usrloc").api.domain("location")
        model: dict[str, dict[str, tuple[int, int, str]]] = {}
        now = NOW
        for number, (what, *step) in enumerate(steps):
            if what == "sweep":
                now += step[0]
                domain.sweep(now)
                for contacts in model.values():
                    for ruid in [ruid for ruid, (_, over, _) in contacts.items() if 0 < over <= now]:
                        del contacts[ruid]
                check(server, model)
                continue
            aor, *values = step
            mine = model.setdefault(aor, {})
            with domain.open(aor) as bindings:
                assert {c.ruid for c in bindings.contacts} == set(mine)
                if what == "insert":
                    bindings.insert(Contact(f"sip:{number}", q=values[0], expires=values[1], ruid=str(number)))
                    mine[str(number)] = (values[0], values[1], "")
                elif what == "clear":
                    bindings.clear()
                    mine.clear()
                elif bindings.contacts:
                    contact = bindings.contacts[values[-1 if what == "delete" else 2] % len(bindings.contacts)]
                    if what == "delete":
                        bindings.delete(contact)
                        del mine[contact.ruid]
                    else:
                        bindings.update(contact, Contact("x", q=values[0], expires=values[1], user_agent=values[3]))
                        mine[contact.ruid] = (values[0], values[1], values[3])
        check(server, model)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.fixed_dictionaries(dict.fromkeys(TEXTS, latin)))
def test_texts_come_back(texts: dict[str, str]) -> None:
    with Local(CFG) as server:
        domain = server.core.module("usrloc").api.domain("location")
        address = texts.pop("address")
        with domain.open("alice") as bindings:
            bindings.insert(Contact(address, **texts))
        [found] = domain.contacts("alice")
        assert found.address == address
        assert {name: getattr(found, name) for name in texts} == texts


@given(st.text(max_size=80), st.booleans(), st.booleans())
def test_any_uri_has_an_address_of_record_or_is_refused(text: str, use_domain: bool, case_sensitive: bool) -> None:
    rules = AorRules(use_domain, case_sensitive)
    try:
        aor = rules.aor(f"sip:{text}")
    except Refused:
        return
    assert use_domain or "@" not in aor or "%40" in text
    assert case_sensitive or aor == aor.lower()
