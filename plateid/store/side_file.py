"""SQLite files beside the store, which the service, the web UI and commands write."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from plateid.errors import StoreError, os_errors_as
from plateid.files import give_to_owner_of_folder

BUSY_S = 2.0
"""Longest wait for another process, seconds."""


class SideFile:
    """A file beside a store, at `path`, which only its owner can read. May be used from any thread.

    The first use creates it.
    """

    def __init__(self, store: Path, name: str, layout: str) -> None:
        """Takes the ending of the file's name, and the statements that create its tables."""
        self.path = store.with_name(f"{store.name}.{name}")
        self._layout = layout

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """Gives a connection, and stores its changes at the end; raises StoreError."""
        with os_errors_as(StoreError, self.path):
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
            give_to_owner_of_folder(self.path)
        uri = f"file:{quote(str(self.path))}"
        try:
            with closing(sqlite3.connect(uri, BUSY_S, uri=True)) as db, db:
                db.execute("PRAGMA secure_delete = ON")
                db.executescript(self._layout)
                yield db
        except sqlite3.Error as error:
            raise StoreError(self.path, error) from error
