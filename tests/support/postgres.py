"""A real PostgreSQL of its own, run by an unprivileged user."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import psycopg
from psycopg import sql

from plateid.config.hub import DatabaseConfig
from tests.support.broker import free_port, until

BIN = Path("/usr/lib/postgresql/17/bin")
"""Debian's folder of the server's programs, which are not on PATH."""
OWNER = "hub"


class Postgres:
    """A server that may be killed and started again with its data; each test has a database."""

    def __init__(self, disk: Path | None = None) -> None:
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="plateid-postgres-", dir=disk))
        self._data = self._folder / "data"
        self._databases = 0
        if not os.getuid():
            shutil.chown(self._folder, "postgres", "postgres")
        self._run(
            "initdb", "--no-sync", "-D", self._data, "-U", OWNER, "-A", "trust", "--locale=C.UTF-8"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, **settings: object) -> None:
        """Starts with some settings of postgresql.conf."""
        settings = {"port": self.port, "unix_socket_directories": self._folder} | settings
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        command = self._command("postgres", "-D", self._data, *options)
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self._accepts)

    def create(self, template: str = "template1", options: str = "") -> DatabaseConfig:
        """Makes a database; `options` are those of CREATE DATABASE."""
        self._databases += 1
        name = f"test{self._databases}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} " + options)
        with psycopg.connect(self.url("postgres"), autocommit=True) as db:
            db.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return DatabaseConfig(url=self.url(name))

    def url(self, database: str) -> str:
        return f"postgresql://{OWNER}@127.0.0.1:{self.port}/{database}"

    def kill(self) -> None:
        """As `kill -9` of all its processes does."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        for child in (*children.read_text().split(), self._process.pid):
            try:
                os.kill(int(child), signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait()
        self._process = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        return (self._folder / "log").read_text()

    def close(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()
        shutil.rmtree(self._folder)

    def _run(self, *words: object) -> None:
        subprocess.run(self._command(*words), check=True, capture_output=True)

    def _command(self, program: str, *words: object) -> list[str]:
        user = (
            []
            if os.getuid()
            else ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        )
        return [*user, str(BIN / program), *map(str, words)]

    def _accepts(self) -> bool:
        try:
            psycopg.connect(self.url("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True
