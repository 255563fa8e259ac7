"""MariaDB and PostgreSQL for tests: servers of the test's own, in a directory that is gone afterwards.

They run as an unprivileged user; where the tests run as root, as the one the package made for them.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pymysql

from .ports import Port
from .programs import program

PATIENCE = 40.0
NAME, USER, PASSWORD = "kamailio", "kamailio", "kamailiorw"


class DbServer:
    """A database server: `url`, `stop()`, `start()` again on the same data."""

    scheme = ""
    user = ""
    """Who runs it when the tests are root's."""

    def __init__(self) -> None:
        self._port = Port()
        self.port = self._port.number
        self.directory = Path(tempfile.mkdtemp(prefix=f"sip-test-{self.scheme}-"))
        self._as: dict[str, Any] = {}
        if os.getuid() == 0:
            entry = pwd.getpwnam(self.user)
            os.chown(self.directory, entry.pw_uid, entry.pw_gid)
            self._as = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        self.log = (self.directory / "log").open("wb")
        self.process: subprocess.Popen[bytes] | None = None

    def up(self) -> None:
        """Start it, or start it again."""

    @property
    def url(self) -> str:
        return f"{self.scheme}://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{NAME}"

    def run(self, *command: str, **more: Any) -> None:
        subprocess.run(command, check=True, stdout=self.log, stderr=self.log, timeout=PATIENCE,
                       cwd=self.directory, **self._as, **more)  # fmt: skip

    def start(self, *command: str) -> None:
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL,
                                        cwd=self.directory, **self._as)  # fmt: skip
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert self.process.poll() is None, (self.directory / "log").read_text()
            assert time.monotonic() < deadline, f"{command[0]} does not answer"
            time.sleep(0.05)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGINT if self.scheme == "postgres" else signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def remove(self) -> None:
        self.stop()
        self.log.close()
        self._port.release()
        shutil.rmtree(self.directory, ignore_errors=True)


class MariaDb(DbServer):
    scheme = "mysql"
    user = "mysql"

    def __init__(self) -> None:
        self._install, self._daemon = program("mariadb-install-db"), program("mariadbd", "/usr/sbin")
        self._client = program("mariadb")
        super().__init__()
        self.socket = str(self.directory / "socket")
        self.run(self._install, "--no-defaults", f"--datadir={self.directory}/data", "--skip-test-db",
                 "--auth-root-authentication-method=normal")  # fmt: skip
        self.up()
        self.sql(f"create database {NAME} character set latin1; create user {USER}@localhost identified by"
                 f" '{PASSWORD}'; grant all on {NAME}.* to {USER}@localhost", "mysql")  # fmt: skip

    def up(self) -> None:
        self.start(self._daemon, "--no-defaults", f"--datadir={self.directory}/data", f"--socket={self.socket}",
                   f"--port={self.port}", "--bind-address=127.0.0.1", "--innodb-buffer-pool-size=8M",
                   "--innodb-flush-log-at-trx-commit=0", "--innodb-log-file-size=4M",
                   f"--pid-file={self.directory}/pid")  # fmt: skip

    def sql(self, statements: str, database: str = NAME) -> None:
        self.run(self._client, "--no-defaults", "-u", "root", f"--socket={self.socket}", database, "-e", statements)


class Postgres(DbServer):
    scheme = "postgres"
    user = "postgres"

    def __init__(self) -> None:
        place = "/usr/lib/postgresql/*/bin"
        self._is_ready = program("pg_isready", place)
        self._daemon, init = program("postgres", place), program("initdb", place)
        self._client = program("psql", place)
        super().__init__()
        self.run(init, "-D", f"{self.directory}/data", "-U", "root", "--auth=trust", "--no-sync", "-E", "UTF8",
                 "--locale=C")  # fmt: skip
        self.up()
        self.sql(f"create user {USER} password '{PASSWORD}' superuser", "postgres")
        self.sql(f"create database {NAME} owner {USER}", "postgres")

    def up(self) -> None:
        self.start(self._daemon, "-D", f"{self.directory}/data", "-p", str(self.port), "-k", str(self.directory),
                   "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "shared_buffers=8MB")  # fmt: skip

    def _answers(self) -> bool:
        command = [self._is_ready, "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, timeout=PATIENCE).returncode == 0

    def sql(self, statements: str, database: str = NAME) -> None:
        self.run(
            self._client, "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "root", "-d", database, "-c", statements
        )


@contextmanager
def serving(kind: type[DbServer]) -> Iterator[Any]:
    """A server of this kind, running."""
    server = kind()
    try:
        yield server
    finally:
        server.remove()


class Databases:
    """A database server of one kind, which starts once it is needed, and databases in it with Kamailio's tables.

    They are made with the scripts that Debian's packages bring: for mysql and postgres in the folders of these names.
    """

    def __init__(self, kind: type[DbServer], *tables: str) -> None:
        self.scheme = kind.scheme
        self._kind = kind
        self._scripts = [Path(f"/usr/share/kamailio/{self.scheme}/{name}-create.sql") for name in tables]
        self._server: Any = None

    def make(self, name: str, *more: str) -> str:
        """Make the database `name` anew, and run `more` statements in it; its URL."""
        if self._server is None:
            self._server = self._kind()
            if self._kind is MariaDb:
                self._server.sql(f"grant all on *.* to {USER}@localhost", "mysql")
        for statement in (f"drop database if exists {name}", f"create database {name}"):
            self._server.sql(statement)
        self._server.sql("\n".join([*(script.read_text() for script in self._scripts), *more]), name)
        return f"{self._server.url.rpartition('/')[0]}/{name}"

    def connect(self, name: str) -> Any:
        """A connection of the driver's, which writes at once and takes `%s` for values."""
        where: dict[str, Any] = {"host": "127.0.0.1", "port": self._server.port, "user": USER, "password": PASSWORD}
        if self._kind is MariaDb:
            return pymysql.connect(database=name, autocommit=True, **where)
        return psycopg.connect(dbname=name, autocommit=True, **where)

    def close(self) -> None:
        if self._server is not None:
            self._server.remove()
            self._server = None
