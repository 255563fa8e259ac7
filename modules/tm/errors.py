"""Kamailio's error numbers and the replies they become when a script leaves its request unanswered."""

from __future__ import annotations

E_UNSPEC = -1
E_OUT_OF_MEM = -2
E_BAD_ADDRESS = -478
E_BAD_URI = -479
E_CFG = -6
E_NO_SOCKET = -7
E_SEND = -477
E_SCRIPT = -10
E_TOO_MANY_BRANCHES = -20
E_CANCELED = -487
E_BAD_REQ = -400

_PHRASES = {
    E_SEND: (477, "Unfortunately error on sending to next hop occurred"),
    E_BAD_ADDRESS: (478, "Unresolvable destination"),
    E_BAD_URI: (479, "Regretfully, we were not able to process the URI"),
    E_CANCELED: (487, "Transaction canceled"),
    E_BAD_REQ: (400, "Bad Request"),
    E_TOO_MANY_BRANCHES: (500, "Forking capacity exceeded"),
}


def reply_for(error: int, signature: str = "TM") -> tuple[int, str]:
    """Status and reason phrase for an error number."""
    code, text = _PHRASES.get(error, (500, "I'm terribly sorry, server error occurred"))
    return code, f"{text} ({-error}/{signature})"
