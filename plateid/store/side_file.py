"""SQLite files beside the store, which the service, the web UI and commands write."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from plateid.errors import StoreError, os_errors_as

BUSY_S = 2.0
"""Longest wait for another process, seconds."""


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Gives a connection to a file, which only its owner can read; raises StoreError."""
    with os_errors_as(StoreError, path):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}", BUSY_S, uri=True)) as db, db:
            db.execute("PRAGMA secure_delete = ON")
            yield db
    except sqlite3.Error as error:
        raise StoreError(path, error) from error
