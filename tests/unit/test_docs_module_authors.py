"""The module that docs/module-authors.md begins with works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

from kit.local import Local

PAGE = Path(__file__).parents[2] / "docs" / "module-authors.md"
MESSAGE = """
MESSAGE sip:bob@127.0.0.1 SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:40000;branch=z9hG4bKdocs
From: <sip:alice@example.test>;tag=1
To: <sip:bob@example.test>
Call-ID: docs
CSeq: 1 MESSAGE
"""


def test_the_first_example(tmp_path: Path) -> None:
    module = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert module is not None
    (tmp_path / "greet.py").write_text(module.group(1))
    cfg = f"""
mpath "{tmp_path}"
loadmodule "pv"
loadmodule "sl"
loadmodule "textopsx"
loadmodule "greet.so"
modparam("greet", "greeting", "moin")
request_route {{
    greet("$fU", 2);
    msg_apply_changes();
    sl_send_reply("200", ": $hdrc(X-Greeting) $hdr(X-Greeting) $greeting");
}}
"""
    with Local(cfg, tmp_path) as server:
        [reply] = server.inject(MESSAGE)
    assert reply.startswith("SIP/2.0 200 : 2 moin alice moin\r\n")
