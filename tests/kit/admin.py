"""kamctl and kamcli, as Debian ships them, on a server of a scene: what they print."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from .programs import program
from .server import Server

_KAMCTLRC = """SIP_DOMAIN={domain}
DBENGINE={engine}
DB_PATH={directory}/kamailio.db
CTLENGINE=RPCFIFO
RPCFIFOPATH={directory}/run/kamailio_rpc.fifo
STORE_PLAINTEXT_PW=1
INSTALL_EXTRA_TABLES=no
INSTALL_PRESENCE_TABLES=no
INSTALL_DBUID_TABLES=no
"""
_KAMCLI = """[main]
domain={domain}
[db]
type=sqlite
rwurl=sqlite:///{directory}/kamailio.db
rourl=sqlite:///{directory}/kamailio.db
[ctl]
type=jsonrpc
[jsonrpc]
transport=socket
srvaddr={directory}/run/kamailio_rpc.sock
rcvaddr={directory}/kamcli.answers
outformat=yaml
"""
_NEXT = "-- next command\n"
_KAMCLI_MAIN = f"""
import json, sys
from kamcli.cli import cli
for words in json.loads(sys.argv[1]):
    print(end={_NEXT!r}, flush=True)
    try:
        cli(words, prog_name="kamcli")
    except SystemExit as end:
        if end.code:
            print("exit", end.code)
    except Exception as error:
        print(type(error).__name__)
"""


class Admin:
    """Who administrates one server, which has its database in sqlite (or `engine`, as kamctl calls it)."""

    def __init__(self, server: Server, domain: str, engine: str = "SQLITE") -> None:
        self._directory = server.directory
        values = {"domain": domain, "directory": server.directory, "engine": engine}
        (self._directory / ".kamctlrc").write_text(_KAMCTLRC.format(**values))
        (self._directory / "kamcli.ini").write_text(_KAMCLI.format(**values))

    def kamctl(self, *words: str) -> str:
        return self._run(program("kamctl"), *words)

    def kamdbctl(self, *words: str) -> str:
        return self._run(program("kamdbctl"), *words)

    def kamcli(self, *commands: list[str]) -> list[str]:
        """What each of the commands prints. One interpreter runs them all: starting kamcli takes a second."""
        first = Path(program("kamcli")).read_text().split("\n")[0].removeprefix("#!").split()
        options = ["--config", str(self._directory / "kamcli.ini")]
        said = self._run(*first, "-c", _KAMCLI_MAIN, json.dumps([[*options, *words] for words in commands]))
        return said.split(_NEXT)[1:]

    def _run(self, *command: str) -> str:
        environment = os.environ | {"HOME": str(self._directory), "TERM": "dumb", "COLUMNS": "200"}
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, timeout=60,
            cwd=self._directory, check=False,
        )  # fmt: skip
        said = f"{done.stdout}{f'exit {done.returncode}' if done.returncode else ''}"
        return said.replace(str(self._directory), "<directory>")
