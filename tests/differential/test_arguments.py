"""What functions make of a text with several pseudo-variables, or with one and more: some take all of it, some only the
first pseudo-variable, and for some a text that does not begin with one is nothing but text."""

from __future__ import annotations

from kit.room import Room
from kit.scene import Scene

room = Room("arguments", modules="auth")

TEXTS = [
    "$rm more", "a $rm", "$rm$rU", "$(rm)x", "$var(no) y", "$avp(no)", "$avp(no) z", "$var(s) b", "$hdr(X) z",
    "plain",
]  # fmt: skip
CODES = ["$var(c)", "$var(c)1", "$var(c) x", "$avp(no)", "$avp(no)5"]

REPLIES = {
    "all of it": "append_to_reply('X-All: %s\\r\\n'); sl_send_reply('200', 'OK');",
    "sl": "sl_send_reply('200', '%s');",
    "send": "send_reply('200', '%s');",
    "tm": "t_newtran(); t_reply('200', '%s');",
    "www": "www_challenge('%s', '0');",
    "proxy": "proxy_challenge('%s', '0');",
    "either": "auth_challenge('%s', '0');",
    "tel": "tel2sip('%s', 'h', '$var(out)'); xlog('L_NOTICE', '$rc $var(out)\\n'); sl_send_reply('200', 'OK');",
    "tel host": "tel2sip('tel:1', '%s', '$var(o)'); xlog('L_NOTICE', '$rc $var(o)\\n'); sl_send_reply('200', 'OK');",
}
STATUSES = {
    "sl": "sl_send_reply('%s', 'r');",
    "send": "send_reply('%s', 'r');",
    "tm": "t_newtran(); t_reply('%s', 'r');",
}


def table(calls: dict[str, str], texts: list[str]) -> list[str]:
    return [call.replace("'", '"').replace("%s", text) for call in calls.values() for text in texts]


def route(name: str, calls: list[str]) -> str:
    each = "\n".join(f'if ($hdr(N) == "{number}") {{ {call} exit; }}' for number, call in enumerate(calls))
    return f'route[{name}] {{ $var(s) = "sss"; $var(c) = 202;\n{each}\n}}'


def ask_each(s: Scene, calls: list[str]) -> None:
    s.mask('nonce="[^"]*"')
    alice = s.agent("alice")
    for number, call in enumerate(calls):
        s.note(call)
        alice.request("MESSAGE", headers=f"N: {number}\nX: val")
        s.fence()
        alice.drain()


@room.case(route("reasons", table(REPLIES, TEXTS)))
def test_reasons(s: Scene) -> None:
    ask_each(s, table(REPLIES, TEXTS))


@room.case(route("statuses", table(STATUSES, CODES)))
def test_statuses(s: Scene) -> None:
    ask_each(s, table(STATUSES, CODES))
