"""The PostgreSQL database of the hub: opened, created and migrated; its monthly partitions."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from plateid.config.hub import DatabaseConfig
from plateid.errors import StoreError, errors_as
from plateid.files import read_text

SCHEMA_LOCK = 0x504C4944
"""Key of the advisory lock of all changes of tables: "PLID" in ASCII."""
MONTHS_AHEAD = "SELECT make_months_ahead()"
CONNECTION = {
    "client_encoding": "utf8",
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""Text is UTF-8, also if the database does not know it (SQL_ASCII). Time-outs: seconds, and
milliseconds without an answer of TCP."""
SERVER_KEEPALIVE = """
    SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;
    SET tcp_user_timeout = 20000"""
"""The same for the server: it frees the number of a hub that the network has cut off."""


def connect(config: DatabaseConfig, *, purpose: str) -> psycopg.Connection:
    """Connects with autocommit; PostgreSQL shows `purpose`. Raises StoreError."""
    tls = {} if config.is_local else {"sslmode": "verify-full", "sslrootcert": "system"}
    with database_errors(config):
        options: dict[str, Any] = CONNECTION | tls | conninfo_to_dict(config.url)
        options["application_name"] = f"plateid {purpose}"
        if config.password_file is not None:
            options["password"] = _read_password(config.password_file)
        db = psycopg.connect(make_conninfo(**options), autocommit=True)
        db.execute(SERVER_KEEPALIVE)
        return db


def _read_password(file: Path) -> str:
    with errors_as(StoreError, f"database.password_file: {file}", UnicodeDecodeError, OSError):
        return read_text(file).rstrip("\r\n")


@contextmanager
def database_errors(config: DatabaseConfig) -> Iterator[None]:
    """Turns a failure of PostgreSQL into a StoreError that names the database."""
    try:
        yield
    except psycopg.Error as error:
        reason = error.diag.message_primary or str(error).strip().replace("\n", "; ")
        raise StoreError(config.endpoint, reason or type(error).__name__) from error


def migrate(config: DatabaseConfig) -> None:
    """Creates the tables, or updates those of an older version, and makes partitions ahead.

    Several processes may call it at once. Raises StoreError if the database is of a newer version.
    """
    folder = resources.files("plateid.hub").joinpath("schema")
    files = {int(each.name[:3]): each for each in folder.iterdir() if each.name.endswith(".sql")}
    with connect(config, purpose="schema") as db, database_errors(config), db.transaction():
        db.execute("SELECT pg_advisory_xact_lock(%s)", (SCHEMA_LOCK,))
        db.execute("CREATE TABLE IF NOT EXISTS schema_version (version integer PRIMARY KEY)")
        row = db.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchone()
        version = int(row[0]) if row else 0
        if version > max(files):
            reason = f"is of a newer version: tables {version}, this plateid knows {max(files)}"
            raise StoreError(config.endpoint, reason)
        for number in range(version + 1, max(files) + 1):
            db.execute(files[number].read_bytes())
            db.execute("INSERT INTO schema_version VALUES (%s)", (number,))
        db.execute(MONTHS_AHEAD)


def make_partitions(db: psycopg.Connection, moments: Iterable[datetime]) -> None:
    """Makes the partitions of the months of some moments, as far as they do not exist."""
    db.execute("SELECT make_partitions(%s)", (list(moments),))
