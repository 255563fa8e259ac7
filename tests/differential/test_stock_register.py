"""The stock config as it is installed: registrations, and what is found of them."""

from __future__ import annotations

from kit.agent import Agent
from kit.calls import exchange
from kit.scene import Scene
from kit.stock import DOMAIN, Stock, contact_of, phone, phones, register, rpc

room = Stock("stock-register", listen=("tcp:127.0.0.1",))


def message(s: Scene, caller: Agent, user: str, status: int) -> None:
    """A MESSAGE for a user, which finds nobody if `status` is an error."""
    caller.request("MESSAGE", uri=f"sip:{user}@{DOMAIN}", user=user)
    caller.expect(status)


@room.each("udp", "tcp")
def test_new(s: Scene, over: str) -> None:
    """A registration, and a request that reaches its contact."""
    alice, bob = phones(s, "alice", "bob", over=over)
    register(alice)
    exchange(bob, alice, uri=f"sip:{alice.name}@{DOMAIN}", headers="Content-Type: text/plain", body="hello")


@room.each("udp", "tcp")
def test_refresh(s: Scene, over: str) -> None:
    """The same contact anew: its time and parameters are those of the last one."""
    alice = phone(s, "alice", over)
    register(alice)
    register(alice, f"{contact_of(alice)};q=0.5", cseq=2, headers="Expires: 900")
    register(alice, cseq=3, headers="Expires: 300", call_id=f"other-{alice.name}")


@room.each("udp", "tcp")
def test_remove(s: Scene, over: str) -> None:
    alice, bob = phones(s, "alice", "bob", over=over)
    register(alice)
    register(alice, cseq=2, headers="Expires: 0")
    message(s, bob, alice.name, 404)


@room.one
def test_remove_by_parameter(s: Scene) -> None:
    alice = phone(s, "alice")
    register(alice, f"<sip:a@127.0.0.1:1>;expires=100, {contact_of(alice)}")
    register(alice, f"{contact_of(alice)};expires=0", cseq=2)
    s.mask("expires=(100|99|98)")
    register(alice, "", cseq=3)


@room.one
def test_remove_what_is_not_there(s: Scene) -> None:
    alice = phone(s, "alice")
    register(alice, headers="Expires: 0")
    register(alice, "*", cseq=2, headers="Expires: 0")


@room.one
def test_several_contacts(s: Scene) -> None:
    """Contacts in one header, in several, and of several phones of one user."""
    alice, second = phones(s, "alice", "second")
    s.mask("expires=(200|199|198)")
    register(alice, "<sip:1@127.0.0.1:1>;q=0.1;expires=200", headers="Contact: <sip:2@127.0.0.1:2>;expires=200")
    register(second, "<sip:3@127.0.0.1:3>;expires=200,<sip:4@127.0.0.1:4>;q=1.0;expires=200", user=alice.name)
    register(alice, "", cseq=2)


@room.one
def test_star(s: Scene) -> None:
    """`Contact: *` removes all."""
    alice, bob = phones(s, "alice", "bob")
    register(alice, "<sip:1@127.0.0.1:1>, <sip:2@127.0.0.1:2>")
    register(alice, "*", cseq=2, headers="Expires: 0")
    register(alice, "", cseq=3)
    message(s, bob, alice.name, 404)


@room.each(with_expires=("*", "Expires: 60"), without_expires=("*", ""), two=("*", "Contact: *\nExpires: 0"))
def test_bad_star(s: Scene, row: tuple[str, str]) -> None:
    contact, headers = row
    alice = phone(s, "alice")
    register(alice)
    register(alice, contact, 400, cseq=2, headers=headers)


@room.one
def test_star_with_another(s: Scene) -> None:
    alice = phone(s, "alice")
    register(alice)
    register(alice, "*, <sip:a@127.0.0.1:1>", cseq=2, headers="Expires: 0")
    register(alice, "", cseq=3)


@room.one
def test_fetch(s: Scene) -> None:
    """A REGISTER without a contact asks what is there."""
    alice = phone(s, "alice")
    register(alice, "")
    s.mask("expires=(600|599|598)")
    register(alice)
    register(alice, "", cseq=2)
    register(alice, "", cseq=3, headers="")


@room.each(
    none="", zero="Expires: 0", one="Expires: 1", day="Expires: 86400", most="Expires: 3600", above="Expires: 3601",
    word="Expires: soon", empty="Expires:", huge="Expires: 99999999999", minus="Expires: -5",
    parameters="Expires: 60;a=b",
)  # fmt: skip
def test_expires(s: Scene, headers: str) -> None:
    """The time asked for in the header, and what becomes of it."""
    alice = phone(s, "alice")
    alice.request(
        "REGISTER",
        uri=f"sip:{DOMAIN}",
        user=alice.name,
        headers=f"Contact: {contact_of(alice)}\n{headers}",
        call_id=s.name,
    )
    s.fence()
    s.server.settle()


@room.each(
    expires=";expires=70", expires_zero=";expires=0", expires_word=";expires=soon", expires_quoted=';expires="60"',
    expires_above=";expires=7200", q=";q=0.3", q_one=";q=1", q_three=";q=0.123", q_four=";q=0.1234", q_above=";q=1.1",
    q_word=";q=x", q_empty=";q=", instance=';+sip.instance="<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>"',
    reg_id=';reg-id=1;+sip.instance="<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>"', methods=';methods="INVITE,ACK"',
    received=';received="sip:1.2.3.4:5"', unknown=";foo=bar;+sip.x",
)  # fmt: skip
def test_contact_parameters(s: Scene, parameters: str) -> None:
    alice = phone(s, "alice")
    alice.request(
        "REGISTER",
        uri=f"sip:{DOMAIN}",
        user=alice.name,
        headers=f"Contact: {contact_of(alice)}{parameters}\nExpires: 600",
    )
    s.fence()
    s.server.settle()
    s.mask("expires=(600|599|598)")
    alice.request("REGISTER", uri=f"sip:{DOMAIN}", user=alice.name)
    s.fence()
    s.server.settle()


@room.each(
    broken="<sip:a@127.0.0.1", no_uri="<>", http="<http://a.test>", tel="<tel:+491>", sips="<sips:a@127.0.0.1>",
    name='"A B" <sip:a@127.0.0.1:1>', bare="sip:a@127.0.0.1:1;expires=50", long=f"<sip:{'a' * 300}@127.0.0.1>",
    no_user="<sip:127.0.0.1:1>", v6="<sip:a@[::1]:1>", escaped="<sip:a%20b@127.0.0.1:1>",
    header="<sip:a@127.0.0.1:1?X=1>",
    password="<sip:a:pw@127.0.0.1:1>", parameters="<sip:a@127.0.0.1:1;a=b;ob>", empty="", comma=",", quoted='"',
)  # fmt: skip
def test_contact(s: Scene, contact: str) -> None:
    """Contacts as they come."""
    alice = phone(s, "alice")
    alice.request("REGISTER", uri=f"sip:{DOMAIN}", user=alice.name, headers=f"Contact: {contact}\nExpires: 600")
    s.fence()
    s.server.settle()


@room.each(
    user=f"sip:somebody@{DOMAIN}", tel="tel:+49301234", foreign="sip:{user}@foreign.test", no_user=f"sip:{DOMAIN}",
    upper=f"sip:UPPER.{{user}}@{DOMAIN}", escaped=f"sip:%41b.{{user}}@{DOMAIN}",
    parameters=f"sip:{{user}}@{DOMAIN};a=b",
    empty=f"sip:@{DOMAIN}", long=f"sip:{'l' * 300}@{DOMAIN}", nonsense="nonsense",
)  # fmt: skip
def test_whose(s: Scene, to: str) -> None:
    """What is in To is registered."""
    alice = phone(s, "alice")
    text = alice.request(
        "REGISTER", uri=f"sip:{DOMAIN}", user="TO", headers=f"Contact: {contact_of(alice)}\nExpires: 600", send=False
    ).text
    alice.send(text.replace("sip:TO@example.test", to.replace("{user}", alice.name)))
    s.fence()
    s.server.settle()


@room.one
def test_order(s: Scene) -> None:
    """The same Call-ID with an older, the same and a newer CSeq."""
    alice = phone(s, "alice")
    register(alice, cseq=5)
    for cseq in (4, 5, 6):
        alice.request(
            "REGISTER", uri=f"sip:{DOMAIN}", user=alice.name, headers=f"Contact: {contact_of(alice)}\nExpires: 50",
            cseq=cseq, call_id=f"reg-{alice.name}",
        )  # fmt: skip
        s.fence()
        s.server.settle()


@room.each(supported="Supported: path", not_supported="", tagged="Supported: timer, path")
def test_path(s: Scene, supported: str) -> None:
    """Requests take the Path, whether or not the phone said that it supports that."""
    alice, proxy, bob = phones(s, "alice", "proxy", "bob")
    alice.request(
        "REGISTER", uri=f"sip:{DOMAIN}", user=alice.name,
        headers=f"Path: <sip:{proxy.host};lr>\nContact: {contact_of(alice)}\nExpires: 600\n{supported}",
    )  # fmt: skip
    alice.expect(200)
    exchange(bob, proxy, uri=f"sip:{alice.name}@{DOMAIN}", user=alice.name)


@room.one
def test_method_not_supported(s: Scene) -> None:
    """Phones that named their methods are not asked others: 405."""
    alice, bob = phones(s, "alice", "bob")
    register(alice, headers="Expires: 600\nAllow: INVITE, ACK, BYE, CANCEL")
    message(s, bob, alice.name, 405)


@room.one
def test_case_of_users(s: Scene) -> None:
    alice, bob = phones(s, "alice", "bob")
    register(alice)
    bob.request("MESSAGE", uri=f"sip:{alice.name.upper()}@{DOMAIN}")
    s.fence()
    s.server.settle()
    alice.drain()
    for arrival in list(alice.arrivals):
        if arrival.message.method == "MESSAGE":
            alice.reply(arrival.message, 200)
    s.fence()


@room.one
def test_two_phones_of_one_user(s: Scene) -> None:
    """A request goes to both at once."""
    first, second, bob = phones(s, "first", "second", "bob")
    s.mask("expires=(600|599|598)")
    register(first, user=f"both.{s.name}")
    register(second, user=f"both.{s.name}")
    bob.request("MESSAGE", uri=f"sip:both.{s.name}@{DOMAIN}")
    one, other = first.expect("MESSAGE"), second.expect("MESSAGE")
    first.reply(one, 480)
    second.reply(other, 200)
    bob.expect(200)


@room.one
def test_locations_by_rpc(s: Scene) -> None:
    """kamcmd sees, adds and removes locations."""
    alice, bob = phones(s, "alice", "bob")
    s.mask(r"Expires: \d+")
    s.mask(r"Last-Modified: \d+")
    s.mask(r"Ruid: \S+")
    s.mask(r"RUID: \S+")
    s.mask(r"Socket: \S+")
    s.mask(r"Last-Keepalive: \d+")
    register(alice, headers="Expires: 600\nUser-Agent: Phone 1.0")
    s.note(rpc(s, "ul.lookup", "location", alice.name))
    s.note(rpc(s, "ul.rm", "location", alice.name))
    s.note(rpc(s, "ul.lookup", "location", alice.name))
    s.note(rpc(s, "ul.rm", "location", alice.name))
    message(s, bob, alice.name, 404)
    s.note(rpc(s, "ul.add", "location", alice.name, f"sip:x@{alice.host}", "600", "1.0", ".", "0", "0", "8191"))
    exchange(bob, alice, uri=f"sip:{alice.name}@{DOMAIN}")


@room.one
def test_stopped_phone(s: Scene) -> None:
    """Nobody listens where the contact leads any more."""
    alice, bob = phones(s, "alice", "bob", over="tcp")
    register(alice, f"<sip:gone@127.0.0.1:{alice.port};transport=tcp>")
    alice.hang_up()
    alice.stop_listening()
    s.server.settle()
    sent = bob.request("MESSAGE", uri=f"sip:{alice.name}@{DOMAIN}")
    assert sent
    s.fence()
    s.server.settle()
