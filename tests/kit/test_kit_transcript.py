"""The harness itself: what it hides, what it must not hide, and that it sees a difference between two servers."""

from __future__ import annotations

import pytest

from kit.scene import Scene, play_both
from kit.server import Server, real_command, script_lines
from kit.transcript import Entry, Names, Transcript, compare

MD5 = "0123456789abcdef0123456789abcdef"


def names() -> Names:
    return Names({23456: "<server>", 45678: "<alice>"}, [r"secret\d+"])


def of(*texts: str, seconds: float | None = None) -> Transcript:
    made = Transcript()
    for text in texts:
        made.add("alice", Entry(text, seconds))
    return made


def test_ports_get_their_owners_names() -> None:
    assert names().apply("127.0.0.1:23456 127.0.0.1:45678 45679 x45678") == (
        "127.0.0.1:<server> 127.0.0.1:<alice> 45679 x45678"
    )


def test_a_branch_keeps_its_index_and_number() -> None:
    given = names()
    assert given.apply(f"branch=z9hG4bKa846.{MD5}.0") == "branch=z9hG4bKa846.<md5 1>.0"
    assert given.apply(f"branch=z9hG4bKa847.{MD5}.1") == "branch=z9hG4bKa847.<md5 1>.1"
    assert given.apply(f"branch=z9hG4bKa847.{MD5[::-1]}.1") == "branch=z9hG4bKa847.<md5 2>.1"


def test_tags_say_who_made_them() -> None:
    given = names()
    assert given.apply(f"tag={MD5}-12345678") == "tag=<tm-tag 1>"
    assert given.apply(f"tag={MD5}.12345678") == "tag=<sl-tag 1>"
    assert given.apply(f"tag={MD5}-87654321 tag={MD5}-12345678") == "tag=<tm-tag 2> tag=<tm-tag 1>"


def test_numbered() -> None:
    names = Names({}, [], {"media": r"(?<=m=audio )\d+"})
    assert names.apply("m=audio 31000 m=audio 7 m=audio 31000") == (
        "m=audio <media 1> m=audio <media 2> m=audio <media 1>"
    )


def test_masks() -> None:
    assert names().apply("a secret77 b") == "a <masked> b"


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (of("A\r\nX: 1\r\nY: 2"), of("A\r\nY: 2\r\nX: 1")),
        (of("A"), of("A", "B")),
        (of("A", "B"), of("B", "A")),
        (of("A: b"), of("A:  b")),
        (of(), of("A")),
        (of("A", seconds=1.0), of("A", seconds=2.0)),
    ],
)
def test_differences_are_seen(left: Transcript, right: Transcript) -> None:
    assert compare(left, right, ("left", "right"), 0.5)
    assert not compare(left, left, ("left", "right"), 0.5)


def test_times_count_only_where_asked() -> None:
    assert not compare(of("A", seconds=1.0), of("A", seconds=2.0), ("left", "right"), None)
    assert not compare(of("A", seconds=1.0), of("A", seconds=1.3), ("left", "right"), 0.5)


def test_script_lines_stay_together() -> None:
    log = (
        " 0(12) INFO: <core> [main.c:1]: main(): x\n 1(13) NOTICE: <script>: one\nmore of one\n"
        "12(14) ERROR: {1 2 INVITE} <script>: two\n 1(13) WARNING: tm [t.c:1]: f(): <not script>\n"
    )
    assert script_lines(log) == ["NOTICE: one\nmore of one", "ERROR: {1 2 INVITE} two"]


CFG = """#!KAMAILIO
disable_tcp=yes
children=1
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "xlog.so"
request_route { xlog("L_NOTICE", "seen\\n"); sl_send_reply("200", "%s"); }
"""


@pytest.mark.parametrize(("other", "differ"), [("this", False), ("that", True)])
def test_two_servers(other: str, differ: bool) -> None:
    """Two servers that answer differently are told apart, two that do not are the same."""
    servers = Server("left", real_command(), CFG % "this"), Server("right", real_command(), CFG % other)

    def steps(scene: Scene) -> None:
        alice = scene.agent("alice")
        alice.request("OPTIONS")
        alice.expect(200)

    try:
        for server in servers:
            server.start()
        difference = compare(*play_both("two", servers, steps, False), ("left", "right"), None)
    finally:
        for server in servers:
            server.stop()
    assert bool(difference) == differ
    assert ("+alice < SIP/2.0 200 that" in difference) == differ
